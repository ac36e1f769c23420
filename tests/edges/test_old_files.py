"""Files of every version so far load, and predict what they predicted when they were saved."""

import json

import numpy as np
import pytest
from saved_models import MODELS, SAVED, numbers, predictions

import bayesmix as bm

FILES = {
    f"{folder.name}/{name}": kept
    for folder in sorted(SAVED.iterdir())
    for name, kept in json.loads((folder / "expected.json").read_text("utf-8")).items()
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_an_older_version_predicts_the_same(name):
    kept = FILES[name]
    model = bm.load(SAVED / name)
    assert type(model).__name__ == kept["class"]
    found = predictions(model, kept["rows"]) | numbers(model)
    for what, value in (kept["predictions"] | kept["numbers"]).items():
        if value is None or isinstance(np.ravel(value)[0], str):
            assert found[what] == value, what
        else:
            # Rounding of another machine's linear algebra is all that may differ.
            np.testing.assert_allclose(found[what], value, rtol=1e-9, atol=1e-12, err_msg=what)


def test_the_first_version_left_a_file_of_every_kind():
    assert sum(name.startswith("0.1.0/") for name in FILES) == 27 <= len(MODELS)
