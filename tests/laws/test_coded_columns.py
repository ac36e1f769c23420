"""Predictions read every column and level: frames of any names equal numeric designs by hand."""

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.allocation.designs import coded_frame, coding_of_frame, columns_of, without_marks
from bayesmix.errors import BayesmixWarning, InvalidInputError

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


def test_terms_of_the_same_name_are_two_columns():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"a": rng.choice(["x", "y"], 80), "a_y": rng.normal(size=80)})
    y = 5.0 * (frame["a"] == "y") - 2.0 * frame["a_y"] + rng.normal(0, 0.01, 80)
    model = bm.RegressionMixture(1).fit(frame, y)
    assert model.feature_names_in_.tolist() == ["a (y vs. x)", "a_y"]
    np.testing.assert_allclose(model.coef_[0], [5.0, -2.0], atol=0.02)
    with pytest.raises(InvalidInputError, match="more than one column is called 'a'"):
        bm.RegressionMixture(2).fit(y.to_frame(), y, gate=frame.set_axis(["a", "a"], axis=1))


def test_courses_read_levels_and_powers_whatever_their_names():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"unit": np.repeat(np.arange(40), 4), "t": np.tile(np.arange(4.0), 40)})
    frame["t^2"], frame["t_b"] = rng.normal(size=(2, 160))
    frame["t_"] = rng.choice(["a", "b"], 160)
    level = 2.0 * frame["t"] - 0.5 * frame["t"] ** 2 + 3.0 * frame["t^2"]
    level += 4.0 * (frame["t_"] == "b")
    frame["y"] = level + rng.normal(0, 0.01, 160)
    search = bm.trajectories(
        frame, y="y", time="t", unit="unit", degree=2, n_components=1, random=None,
        fixed=["t_", "t^2", "t_b"], random_state=0,
    )  # fmt: skip
    model = search.best_estimator_
    new = frame[frame["t_"] == "b"][["t_b", "t_", "t^2", "t"]][:5]
    np.testing.assert_allclose(model.predict(new), level[new.index], atol=0.05)
    with pytest.raises(InvalidInputError, match="column 't_' has 'A', which the fit has not seen"):
        model.predict(new.assign(t_="A"))


def test_indicators_by_hand_are_those_of_the_design():
    frame = pd.DataFrame({"a": np.resize(["x", "y", "z"], 60), "b": np.linspace(0.0, 1.0, 60)})
    coded = coded_frame("gate", frame, coding_of_frame("gate", frame))
    again = coded_frame("gate", coded.table[["b", "a_z", "a_y"]], coded.coding)
    pd.testing.assert_frame_equal(again.table, coded.table)
    with pytest.raises(InvalidInputError, match="columns of the fit, a, b, got a, a_y"):
        coded_frame("gate", frame.assign(a_y=1.0)[["a", "a_y"]], coded.coding)


def test_lagged_columns_keep_the_levels_of_the_fit():
    rng = np.random.default_rng(5)
    y, level = rng.normal(size=60), rng.choice(["b", "c"], 60)
    y[1:] += 4.0 * (level[1:] == "c")
    X, left, lengths = bm.lagged(y, 1, pd.DataFrame({"g": level}))
    model = bm.RegressionMixture(1).fit(X, left, lengths=lengths)
    new = bm.lagged(y[:2], 1, pd.DataFrame({"g": ["b", "c"]})).X
    by_hand = model.intercept_ + model.coef_[0] @ [y[0], 1.0]
    np.testing.assert_allclose(model.predict(new), by_hand)
    with pytest.raises(InvalidInputError, match="'a'"):
        model.predict(bm.lagged(y[:2], 1, pd.DataFrame({"g": ["b", "a"]})).X)


@pytest.mark.filterwarnings("ignore")  # of starts that do not converge
def test_frames_of_polars_are_matched_by_name():
    polars = pytest.importorskip("polars")
    hostile = HostileFrame(6)
    x, y = hostile.rng.normal(size=(2, 60))
    predicted, expected = as_gate(hostile, y, x)
    new = hostile.new_rows()
    np.testing.assert_allclose(predicted(polars.from_pandas(new)), expected(new))


@pytest.mark.parametrize("formula", ["y ~ g + x", "y ~ poly(x, 2)", "y ~ C(g):x", "y ~ center(x)"])
def test_formulas_keep_levels_and_constants_of_the_fit(formula, tmp_path):
    pytest.importorskip("formulaic")
    rng = np.random.default_rng(7)
    frame = pd.DataFrame({"g": rng.choice(["b", "c", "d"], 60), "x": rng.normal(5.0, 2.0, 60)})
    frame["y"] = frame["x"] + (frame["g"] == "c") + rng.normal(size=60)
    model = bm.RegressionMixture(1).fit(frame, formula)
    model.save(tmp_path / "m.bayesmix")
    some = frame[frame["g"] != "b"][:7]
    for fit in (model, bm.load(tmp_path / "m.bayesmix")):
        np.testing.assert_allclose(fit.predict(some), model.predict(frame)[some.index])
    if "g" in formula:
        with pytest.raises(InvalidInputError, match="'a', which the fit has not seen"):
            model.predict(some.assign(g="a"))


@pytest.mark.parametrize("seed", range(20))
def test_marks_of_missing_values_in_covariates_are_no_levels(seed):
    """Rows with marks are missing; without them the design is that of the other rows."""
    hostile = HostileFrame(seed)
    rng = np.random.default_rng(seed)
    frame = hostile.frame.assign(job=rng.choice(["clerk", "craft", "farm"], 60))
    marked, marks = frame.copy(), rng.random(60) < 0.2
    marked.loc[marks, "job"] = rng.choice(["?", "-", " N/A", "missing"], marks.sum())
    first = frame.index[marks][0]
    with pytest.raises(InvalidInputError, match=f"means missing, in row {first}, column 'job'"):
        columns_of("covariates", marked, 60)
    table, names, _ = columns_of("covariates", marked[~marks], (~marks).sum())
    expected, same, coding = columns_of("covariates", frame, 60)
    np.testing.assert_array_equal(table, expected[~marks])
    assert names == same
    with pytest.raises(InvalidInputError, match="means missing"):
        coded_frame("covariates", marked, coding)
    with pytest.warns(BayesmixWarning, match="predictors: .* of 1 column holds? .* as missing"):
        missing = without_marks("predictors", marked)
    pd.testing.assert_frame_equal(missing, frame.assign(job=frame["job"].where(~marks)))
    listed = marked.assign(job=marked["job"].astype("category"))
    assert without_marks("predictors", listed) is listed
    assert set(coding_of_frame("covariates", listed)[-1].levels) == set(marked["job"])


def test_marks_among_numbers_are_missing_and_beside_one_text_a_level():
    numbers = pd.DataFrame({"dose": ["1", "?", "2.5", "-99"]})
    with pytest.warns(BayesmixWarning, match=r"X: 1 cell of 1 column holds '\?', read as missing"):
        read = without_marks("X", numbers)
    np.testing.assert_array_equal(read["dose"], [1.0, np.nan, 2.5, -99.0])
    with pytest.raises(InvalidInputError, match=r"'\?', which means missing, in row 1"):
        columns_of("X", numbers, 4)
    signs = pd.DataFrame({"test": ["+", "-"] * 4})
    assert without_marks("X", signs) is signs
    assert coding_of_frame("X", signs)[0].levels == ("+", "-")


def test_formulas_leave_rows_with_marks_out():
    pytest.importorskip("formulaic")
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"job": rng.choice(["a", "b", "c"], 90), "x": rng.normal(size=90)})
    frame["y"] = 2.0 * (frame["job"] == "b") + frame["x"] + rng.normal(size=90)
    marked = frame.assign(job=frame["job"].where(frame.index % 9 > 0, "?"))
    with pytest.warns(BayesmixWarning, match=r"X: 10 cells of 1 column hold '\?'"):
        model = bm.RegressionMixture(1).fit(marked, "y ~ job + x")
    alone = bm.RegressionMixture(1).fit(frame[frame.index % 9 > 0], "y ~ job + x")
    np.testing.assert_array_equal(model.coef_, alone.coef_)
    assert "?" not in "".join(model.feature_names_in_)
