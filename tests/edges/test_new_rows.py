"""Rows at predict time: values that no fit takes are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

GENERATOR = np.random.default_rng(0)
ROWS = {
    "bernoulli": GENERATOR.integers(0, 2, (60, 3)).astype(float),
    "poisson": GENERATOR.poisson(4.0, (60, 3)).astype(float),
}
FAMILIES = {"bernoulli": bm.Bernoulli(), "poisson": bm.Poisson()}
WRONG = {"bernoulli": [2.0, -1.0, 0.5, 1e308], "poisson": [-1.0, 0.5, 1e300, 1.7e308]}
METHODS = ("predict", "predict_proba", "responsibilities", "score_samples", "score", "bic")


def fitted(name: str) -> Any:
    model = bm.Mixture(2, family=FAMILIES[name], inference=bm.VariationalBayes(), random_state=0)
    return model.fit(ROWS[name])


@pytest.mark.parametrize("name", FAMILIES)
def test_values_that_no_fit_takes_are_refused_by_row_and_column_at_predict_time(name: str) -> None:
    model = fitted(name)
    asked: list[Callable[[Any], Any]] = [getattr(model, method) for method in METHODS]
    asked += [model.marginal([0, 1, 2]).score_samples, model.tail_probability]
    for value in WRONG[name]:
        rows = ROWS[name].copy()
        rows[7, 1] = value
        for ask in asked:
            with pytest.raises(InvalidInputError, match=r"X must hold .* row 7, column 1"):
                ask(rows)


@pytest.mark.parametrize("name", FAMILIES)
def test_searches_and_averages_refuse_the_same_values(name: str) -> None:
    estimator = bm.Mixture(family=FAMILIES[name], inference=bm.VariationalBayes(), random_state=0)
    found = bm.MixtureSearch(
        estimator, n_components=(1, 2), criterion="elbo_log_k", random_state=0
    ).fit(ROWS[name])
    rows = ROWS[name].copy()
    rows[7, 1] = WRONG[name][0]
    for ask in (found.predict, found.score_samples, found.averaged_.score_samples):
        with pytest.raises(InvalidInputError, match=r"X must hold .* row 7, column 1"):
            ask(rows)
