"""Predictions read every column and level: frames of any names equal numeric designs by hand."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError

NAMES = (
    *("a", "a_b", "a_b_c", "a_", "_a", "a b", "a (b vs. c)", "a (c vs. b)", "A", "a1", "1a", "é"),
    *("a_é", "λ", "x", "x_x", "x y", "x_y", "sex", "sex_score", "sex_m", "vs.", " (", "名前", "a'"),
)
LEVELS = (
    *(
        "b",
        "c",
        "b_c",
        "c_b",
        "b vs. c",
        "_b",
        "b_",
        "B",
        "1b",
        "1 b",
        "é",
        "e",
        "m",
        "f",
        "x",
        "y",
    ),
    *("y_x", "score", "~", "Z", "0z", "ß", "値", "b)", "(b"),
)


class HostileFrame:
    """A frame of numbers and text, a design of it by hand, and new rows."""

    def __init__(self, seed: int, n_rows: int = 60) -> None:
        self.rng = np.random.default_rng(seed)
        names = self.rng.permutation(NAMES)[: self.rng.integers(2, 6)].tolist()
        self.levels = {
            name: sorted(self.rng.choice(LEVELS, self.rng.integers(2, 5), replace=False).tolist())
            for name in names
            if self.rng.random() < 0.6
        }
        self.frame = self.rows(names, n_rows)

    def rows(self, names: list[str], n_rows: int) -> pd.DataFrame:
        """Return rows that have every level, if there are enough."""
        columns = {}
        for name in names:
            levels = self.levels.get(name)
            columns[name] = self.rng.normal(size=n_rows)
            if levels is not None:
                each = np.resize(np.array(levels, dtype=object), n_rows)
                columns[name] = self.rng.permutation(each)
        return pd.DataFrame(columns)

    def by_hand(self, frame: pd.DataFrame) -> np.ndarray:
        """Return numbers, and indicators of all levels but the first, in the order of the fit."""
        columns = []
        for name in self.frame:
            levels = self.levels.get(name)
            if levels is None:
                columns.append(frame[name].to_numpy(dtype=float))
            else:
                columns += [(frame[name] == level).to_numpy(dtype=float) for level in levels[1:]]
        return np.column_stack(columns)

    def new_rows(self) -> pd.DataFrame:
        """Return few rows, so that levels are missing, with permuted columns."""
        new = self.rows(list(self.frame), int(self.rng.integers(1, 4)))
        return new[self.rng.permutation(new.columns).tolist()]

    def with_a_new_level(self) -> tuple[pd.DataFrame, str, str] | None:
        """Return rows with a level that the fit has not seen, and its column and name."""
        if not self.levels:
            return None
        name = str(self.rng.choice(list(self.levels)))
        level = str(self.rng.choice([each for each in LEVELS if each not in self.levels[name]]))
        new = self.rows(list(self.frame), 4)
        new.loc[int(self.rng.integers(4)), name] = level
        return new, name, level


def as_gate(hostile, y, x):
    """Return predictions by gates from the frame and by hand, each a function of a frame."""
    model = bm.RegressionMixture(2, n_init=1, max_iter=5, random_state=0)
    plain = bm.RegressionMixture(2, n_init=1, max_iter=5, random_state=0)
    model.fit(x[:, None], y, gate=hostile.frame)
    plain.fit(x[:, None], y, gate=hostile.by_hand(hostile.frame))
    return (
        lambda new: model.predict(np.ones((len(new), 1)), gate=new),
        lambda new: plain.predict(np.ones((len(new), 1)), gate=hostile.by_hand(new)),
    )


def as_columns(hostile, y, x):
    """Return predictions by regressions on the frame and by hand."""
    model = bm.RegressionMixture(1).fit(hostile.frame, y)
    plain = bm.RegressionMixture(1).fit(hostile.by_hand(hostile.frame), y)
    return model.predict, lambda new: plain.predict(hostile.by_hand(new))


def as_covariates(hostile, y, x):
    """Return weights of classes by covariates from the frame and by hand."""
    options = {"search": None, "init_params": x > 0.0, "random_state": 0, "max_iter": 5}
    rows = (y + 4.0 * (x > 0.0))[:, None]
    model = bm.GaussianMixture(2, **options).fit(rows, covariates=hostile.frame)
    plain = bm.GaussianMixture(2, **options).fit(rows, covariates=hostile.by_hand(hostile.frame))
    return (
        lambda new: model.predict_proba(np.ones((len(new), 1)), covariates=new),
        lambda new: plain.predict_proba(
            np.ones((len(new), 1)), covariates=hostile.by_hand(new)
        ),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of starts that do not converge, and of separation
@pytest.mark.parametrize("use", [as_gate, as_columns, as_covariates])
@pytest.mark.parametrize("seed", range(8))
def test_predictions_are_those_of_a_design_by_hand_whatever_the_names(use, seed):
    hostile = HostileFrame(seed)
    x, y = hostile.rng.normal(size=(2, 60))
    predicted, expected = use(hostile, y, x)
    for _ in range(3):
        new = hostile.new_rows()
        np.testing.assert_allclose(predicted(new), expected(new), rtol=1e-8, atol=1e-10)
    if (unseen := hostile.with_a_new_level()) is not None:
        new, name, level = unseen
        with pytest.raises(InvalidInputError) as refused:
            predicted(new)
        assert repr(name) in str(refused.value)
        assert repr(level) in str(refused.value)
