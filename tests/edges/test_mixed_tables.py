"""Tables of numbers, categories and text: what is taken for what, and the same columns later."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

import bayesmix as bm
from bayesmix.data.column_kinds import kind_of
from bayesmix.data.table_columns import coded, recoded
from bayesmix.errors import BayesmixWarning, InvalidInputError
from bayesmix.shell.app import app

OPTIONS = {"random_state": 0, "n_jobs": 1}


def birds(n=300, seed=0):
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, n)
    frame = pd.DataFrame(
        {
            "bill": rng.normal(40.0 + 9.0 * kind),
            "sex": np.where(rng.random(n) < 0.5, "f", "m"),
            "flipper": rng.normal(200.0 + 8.0 * kind, 3.0),
            "wet": rng.random(n) < 0.2 + 0.3 * kind,
        }
    )
    return frame, kind


def test_intervals_of_cut_are_ratings_that_are_saved_and_found_again_as_text(tmp_path):
    rng = np.random.default_rng(5)
    x = np.where(np.arange(90) % 2, 6.0, 0.0) + rng.normal(size=90)
    frame = pd.DataFrame({"x": x, "part": pd.cut(x, 4)})
    search = bm.select(frame, [2])
    assert search.columns_["kind"].tolist() == ["continuous", "ratings"]
    search.best_estimator_.save(tmp_path / "model.bayesmix")
    model = bm.load(tmp_path / "model.bayesmix")
    days = pd.Categorical(pd.to_datetime(["2024-01-01", "2024-01-02"] * 45))
    bm.Mixture(2, family="auto").fit(frame.assign(part=days)).save(tmp_path / "days.bayesmix")
    as_text = frame.astype({"part": str})
    assert np.array_equal(model.predict_proba(as_text), search.predict_proba(frame))
    line = bm.RegressionMixture(1).fit(frame[["part"]], x)
    means = frame.groupby("part", observed=True)["x"].transform("mean")
    np.testing.assert_allclose(line.predict(frame[["part"]]), means)


@pytest.mark.filterwarnings("error::bayesmix.errors.BayesmixWarning")
def test_truth_values_and_their_texts_are_the_same_levels():
    frame = pd.DataFrame({"a": [True, False, True, True, False], "b": [2.0, 1.5, 3.0, 2.5, 7.25]})
    as_text = frame.assign(a=frame["a"].astype(str))
    for fitted, new in ((frame, as_text), (as_text, frame)):
        codes, coding = coded(fitted, {"a": "categorical"})
        pd.testing.assert_frame_equal(recoded(new, coding, unseen="missing"), codes)


def test_arrow_truth_values_and_decimals_are_read_as_those_of_pandas():
    decimals = pytest.importorskip("pyarrow").decimal128(8, 2)
    rng = np.random.default_rng(4)
    wet = pd.array([None, True, False] * 30, dtype="boolean")
    x = (6.0 * (np.arange(90) % 3 == 1) + rng.normal(size=90)).round(2)
    plain = pd.DataFrame({"x": x, "wet": wet})
    arrow = plain.astype({"x": pd.ArrowDtype(decimals), "wet": "bool[pyarrow]"})
    model, same = [
        bm.Mixture(2, family="auto", missing="use", random_state=0).fit(frame)
        for frame in (plain, arrow)
    ]
    assert np.array_equal(same.predict_proba(arrow), model.predict_proba(plain))


def agreement(labels, kind):
    return pd.crosstab(labels, kind).max(axis=1).sum() / len(kind)


@pytest.mark.parametrize(
    ("values", "levels", "why"),
    [
        ([1.5, 2.0, 2.5] * 5, None, ""),
        (["a", "b", None] * 5, ("a", "b"), ""),
        ([True, False] * 5, (False, True), ""),
        (pd.Categorical(["hi", "lo"] * 5, ["lo", "mid", "hi"]), ("lo", "hi"), ""),
        (pd.date_range("2020-01-01", periods=12), None, "dates"),
        (["2020-01-03", "2021-12-30"] * 5, None, "dates"),
        (["3/1/20", "30/12/21"] * 5, None, "dates"),
        ([f"row {i}" for i in range(20)], None, "looks like an identifier"),
        (list(range(5, 25)), None, "looks like an identifier"),
        ([7.0] * 12, None, "one value"),
        (["x"] * 12, None, "one value"),
        ([None] * 12, None, "empty"),
        (["1.5", "2", "x", "4"] * 5, None, "numbers except 'x' in row 2, 'x' in row 6"),
        (["1.5", "2", "n/a", "4"] * 5, None, ""),
        (["1.5", "2", "4", "7"] * 5, None, ""),
        (["00501", "10001", "94301"] * 7, None, "looks like an identifier: numbers with leading"),
        (["950", "1,234"] * 5, None, "numbers with ambiguous separators, '1,234' in row 1"),
        (["$1.200", "$950"] * 5, None, "numbers with ambiguous separators, '$1.200' in row 0: lea"),
        (["030 555 123", "40 555 987"] * 6, None, "numbers with ambiguous separators"),
        (
            ["1.234,5", "1.2O4,5", "9,5"] + ["5.678,9"] * 9,
            None,
            "numbers except '1.2O4,5' in row 1: correct",
        ),
        (["12 %", "0.5"] * 5, None, "numbers with several units, '%' and none: convert"),
        (["12 €", "3.141,50 $"] * 5, None, "numbers with several units, '€' and '$': convert"),
        (["a,5", "b,6"] * 5, ("a,5", "b,6"), ""),
        ([object(), object()] * 6, None, "neither numbers nor text"),
        ([1 + 2j] * 12, None, "complex"),
    ],
)
def test_a_column_is_what_its_type_and_its_values_say(values, levels, why):
    found = kind_of("column", pd.Series(values))
    assert found.levels == levels
    assert found.why.startswith(why)
    assert bool(found.why) == bool(why)


@pytest.mark.parametrize(
    ("cells", "numbers", "reason"),
    [
        (["999", "1,234", "12,345.6", "2,000"], [999, 1234, 12345.6, 2000], "thousands separators"),
        (["1 234", "2'000", "17", "-5"], [1234, 2000, 17, -5], "thousands separators"),
        (["1.234,5", "1.234.567", "0", "NA"], [1234.5, 1234567, 0, np.nan], "decimal commas"),
        (["3,5", "-12,25", "0,001", "4"], [3.5, -12.25, 0.001, 4], "decimal commas"),
        (["1\u202f234,5", "17", "-", "2"], [1234.5, 17, np.nan, 2], "decimal commas"),
        (["12%", "3.5 %", "-4 %", ""], [12, 3.5, -4, np.nan], "'%'"),
        (["$1,200.50", "-$3.10", "$ 17", "$0"], [1200.5, -3.1, 17, 0], "'$'"),
        (["$122,877", "$98,500", "$7", "$950"], [122877, 98500, 7, 950], "'$'"),
        (["12 €", "3.141,50 €", "7 €", "\u22121,5 €"], [12, 3141.5, 7, -1.5], "'€'"),
        (["EUR 5", "EUR 1.250,00", "EUR 7", None], [5, 1250, 7, np.nan], "'EUR'"),
        (["8 kg", "9.5 kg", "10 kg", "?"], [8, 9.5, 10, np.nan], "'kg'"),
    ],
)
def test_numbers_of_one_unit_and_form_are_numbers(cells, numbers, reason):
    column, x = pd.Series(cells * 5, name="amount"), np.arange(20.0) ** 2
    kind = kind_of("amount", column)
    assert (kind.kind, kind.reason) == ("continuous", f"numbers with {reason}")
    rows, coding = coded(pd.DataFrame({"amount": column, "x": x}))
    np.testing.assert_array_equal(rows["amount"], numbers * 5)
    assert coding.guesses() == f"continuous: amount ({kind.reason})"
    declared, _ = coded(pd.DataFrame({"amount": column, "x": x}), {"amount": "continuous"})
    np.testing.assert_array_equal(declared["amount"], numbers * 5)


def test_numbers_that_happen_to_differ_are_no_key_but_ids_are():
    far = pd.Series(np.random.default_rng(0).permutation(np.arange(40) * 7))
    assert not kind_of("income", far).why
    assert kind_of("bird_id", far).why.startswith("looks like an identifier")


def test_counts_are_told_from_grades_years_and_amounts():
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 2, 400)
    eggs = rng.poisson(1.0 + 3.0 * kind)
    assert kind_of("n_eggs", pd.Series(eggs)).kind == "counts"
    assert kind_of("n_eggs", pd.Series(eggs, dtype=float).mask(kind == 1)).kind == "counts"
    for values in (
        rng.integers(1, 6, 400),  # grades begin at 1
        rng.binomial(10, 0.5, 400),  # vary less than their mean
        rng.choice([2007, 2008, 2009], 400),
        rng.poisson(1.0, 400) * 100,  # amounts
        kind,
        eggs + 0.5,
    ):
        assert kind_of("n", pd.Series(values)).kind != "counts"
    eggs = rng.poisson(2.0 + 7.0 * kind)
    table = pd.DataFrame({"size": rng.normal(2.0 * kind), "eggs": eggs})
    with pytest.warns(BayesmixWarning, match=r"counts: eggs \(integers from 0 to 1"):
        m = bm.Mixture(2, family="auto", **OPTIONS).fit(table)
    assert list(m.components_) == ["size", "eggs"]
    assert m.result_.family.coding.sentence == "continuous: size; counts: eggs"
    by_hand = bm.Mixture(
        2, family=bm.Product({"size": bm.Gaussian(), "eggs": bm.NegativeBinomial()}), **OPTIONS
    ).fit(table)
    assert m.log_likelihood_ == by_hand.log_likelihood_
    assert by_hand.result_.family.coding.sentence == "continuous: size; counts: eggs"


def test_auto_takes_numbers_as_one_block_and_says_what_it_left_out():
    frame, kind = birds()
    n = len(frame)
    wide = frame.assign(id=[f"b{i}" for i in range(n)], date=pd.date_range("2020", periods=n))
    with pytest.warns(
        BayesmixWarning, match=r"left out: id \(looks like an identifier.*date \(dates\)"
    ):
        m = bm.Mixture(3, family="auto", **OPTIONS).fit(wide)
    assert list(m.components_) == [("bill", "flipper"), "sex", "wet"]
    assert agreement(m.predict(wide), kind) > 0.95
    assert m.result_.family.coding.sentence.startswith(
        "continuous: bill, flipper; categorical: sex (2"
    )
    plain = frame.assign(sex=frame["sex"] == "m").astype(float)
    family = bm.Product({("bill", "flipper"): bm.Gaussian(), ("sex", "wet"): bm.Bernoulli()})
    by_hand = bm.Mixture(3, family=family, **OPTIONS).fit(plain)
    assert m.log_likelihood_ == pytest.approx(by_hand.log_likelihood_, rel=1e-9)


def test_the_same_columns_are_found_by_name_and_levels_by_theirs(tmp_path):
    frame, _ = birds()
    m = bm.Mixture(3, family="auto", **OPTIONS).fit(frame)
    expected = m.predict_proba(frame)
    turned = frame[["wet", "flipper", "sex", "bill"]]
    np.testing.assert_array_equal(m.predict_proba(turned), expected)
    one_level = frame[frame["sex"] == "m"]
    np.testing.assert_array_equal(m.predict_proba(one_level), expected[frame["sex"] == "m"])
    with pytest.warns(BayesmixWarning, match="ignored: colour"):
        m.predict(frame.assign(colour="red"))
    new = frame.assign(sex=frame["sex"].mask(frame.index < 7, "x"))
    with pytest.warns(BayesmixWarning, match=r"7 rows have categories .* as missing: sex \('x'\)"):
        density = m.score_samples(new)
    # A missing category leaves the density of the other columns.
    some = m.marginal(["bill", "flipper", "wet"]).score_samples(frame.drop(columns="sex"))
    np.testing.assert_allclose(density[:7], some[:7], rtol=1e-9)
    np.testing.assert_allclose(density[7:], m.score_samples(frame)[7:], rtol=1e-12)
    strict = bm.Mixture(3, family="auto", unseen="error", **OPTIONS).fit(frame)
    with pytest.raises(
        InvalidInputError,
        match="'sex' of X has 'x' in row 0, but the levels of the fit are 'f', 'm'",
    ):
        strict.predict(new)
    with pytest.raises(InvalidInputError, match="'wet' is not among"):
        m.predict(frame.drop(columns="wet"))
    with pytest.raises(InvalidInputError, match="numbers in column 'bill', got 'long' in row 0"):
        m.predict(frame.assign(bill="long"))
    m.save(tmp_path / "birds.bayesmix")
    loaded = bm.load(tmp_path / "birds.bayesmix")
    np.testing.assert_array_equal(loaded.predict_proba(turned), expected)
    assert repr(loaded.components_) == repr(m.components_)


def test_parts_have_parameters_and_a_product_has_no_means():
    frame, _ = birds()
    m = bm.Mixture(2, family="auto", **OPTIONS).fit(frame)
    assert m.components_["flipper"]["means"].shape == (2, 2)
    assert m.components_["sex"].levels == (("f", "m"),)
    share = m.components_["sex"]["probabilities"]
    assert share.shape == (2, 1)
    assert ((share > 0) & (share < 1)).all()
    assert "levels: f, m" in repr(m.components_["sex"])
    with pytest.raises(
        AttributeError, match=r"no means_: use that of a part, components_\[\('bill'"
    ):
        _ = m.means_
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = m.nothing
    with pytest.raises(KeyError, match="the parts are"):
        _ = m.components_["colour"]


def test_explicit_parts_read_levels_and_name_what_they_cannot_be():
    frame, _ = birds()
    parts = {("bill", "flipper"): bm.Gaussian("diag"), "sex": bm.Bernoulli(), "wet": bm.Bernoulli()}
    m = bm.Mixture(2, family=bm.Product(parts), **OPTIONS).fit(frame)
    assert m.components_["sex"].levels == (("f", "m"),)
    dated = frame.assign(date=pd.date_range("2020", periods=len(frame)))
    with_dates = bm.Product({**parts, "date": bm.Gaussian()})
    some = bm.Product({key: parts[key] for key in parts if key != "wet"})
    for family, X, words in (
        (with_dates, dated, "'date' of X is neither numeric nor categorical: dates"),
        (some, frame, "'wet' is in no part"),
        (bm.Product(parts), frame.drop(columns="wet"), "columns of X, which are .* got 'wet'"),
    ):
        m = bm.Mixture(2, family=family, **OPTIONS)
        with pytest.raises(InvalidInputError, match=words):
            m.fit(X)


def test_select_on_a_mixed_frame_chooses_structure_and_number():
    frame, kind = birds(240)
    dated = frame.assign(day=pd.date_range("2020", periods=240))
    with pytest.warns(BayesmixWarning, match=r"left out: day \(dates\)"):
        search = bm.select(dated, n_components=(1, 2, 3, 4), covariance_type=("diag", "full"))
    assert search.best_estimator_.n_components_ == 3
    assert set(search.results_["covariance_type"]) == {"diag", "full"}
    assert agreement(search.predict(dated), kind) > 0.95
    coding = search.best_estimator_.result_.family.coding
    assert coding.sentence.startswith("continuous: bill, flipper; categorical: sex (2 levels)")
    assert search.best_params_["covariance_type"] in ("diag", "full")


def test_a_frame_of_numbers_is_selected_as_before():
    frame, _ = birds(100)
    search = bm.select(frame[["bill", "flipper"]], n_components=(1, 2), covariance_type="diag")
    assert type(search.best_estimator_) is bm.BayesianGaussianMixture


def test_a_key_by_its_name_may_come_twice():
    numbers = np.random.default_rng(0).integers(1e6, 2e6, 60).astype(float)
    numbers[:10] = numbers[10:20]
    frame = pd.DataFrame({"ID": numbers, "valid": numbers, "kind": ["a", "b"] * 30})
    _, coding = coded(frame)
    assert coding.left_out == (("ID", "looks like an identifier: 50 values in 60 rows"),)
    assert coding.names == ("valid", "kind")


@pytest.mark.slow
def test_numbers_that_are_0_or_1_are_levels_of_a_mixed_table():
    frame, _ = birds(200)
    frame = frame.assign(wet=frame["wet"].astype(float))
    frame.loc[::9, "wet"] = np.nan
    m = bm.Mixture(2, family="auto", missing="use", random_state=0).fit(frame)
    assert "categorical: sex (2 levels), wet (2 levels)" in m.result_.family.coding.sentence
    assert set(m.impute(frame)["wet"]) == {0, 1}
    # Where the family is given they are what it says.
    parts = {("bill", "flipper"): bm.Gaussian(), "sex": bm.Bernoulli(), "wet": bm.Poisson()}
    m = bm.Mixture(2, family=bm.Product(parts), missing="use", random_state=0).fit(frame)
    assert m.predict(frame.assign(wet=5.0)).shape == (200,)


def test_odd_cells_in_a_column_of_numbers_are_named():
    frame = pd.DataFrame({"a": ["1.5", "2", "x", "4"] * 4, "b": np.arange(16.0) ** 2})
    made, coding = coded(frame)
    assert coding.names == ("b",)
    words = r"left out: a \(numbers except 'x' in row 2"
    with pytest.warns(BayesmixWarning, match=words) as said:
        bm.Mixture(1, family="auto").fit(frame)
    assert len(said) == 1
    assert list(made) == ["b"]
    with pytest.raises(InvalidInputError, match="numbers in column 'a'"):
        recoded(frame, type(coding)(("a",), (None,)))


def test_levels_are_no_numbers_to_a_family_that_knows_none(tmp_path):
    from bayesmix.io.readers import read_typed

    frame, _ = birds()
    path = str(tmp_path / "birds.csv")
    frame.to_csv(path, index=False)
    source = read_typed(path)
    assert source.coding.levels[1] == ("f", "m")
    with pytest.raises(InvalidInputError, match="these columns are not: 'sex', 'wet'"):
        bm.GaussianMixture(2).fit(source)
    m = bm.Mixture(3, family="auto", **OPTIONS).fit(source)
    in_memory = bm.Mixture(3, family="auto", **OPTIONS).fit(frame)
    np.testing.assert_array_equal(m.predict(source), in_memory.predict(frame))
    some = read_typed(path, exclude=["flipper"], continuous=["wet"])
    assert some.columns == ("bill", "sex", "wet")
    assert some.coding.levels == (None, ("f", "m"), None)


def test_categories_counts_and_numbers_together():
    frame, kind = birds()
    rng = np.random.default_rng(1)
    island = np.array(["north", "south", "west"])[(kind + (rng.random(len(kind)) < 0.2)) % 3]
    table = frame.assign(island=island, eggs=rng.poisson(1.0 + kind))[["bill", "island", "eggs"]]
    parts = {"bill": bm.Gaussian(), "island": bm.Categorical(), "eggs": bm.Poisson()}
    m = bm.Mixture(3, family=bm.Product(parts), **OPTIONS).fit(table)
    assert agreement(m.predict(table), kind) > 0.95
    assert m.components_["island"].levels == (("north", "south", "west"),)
    np.testing.assert_allclose(m.components_["island"]["probabilities"].sum(axis=1), 1.0)
    with pytest.warns(BayesmixWarning, match="ratings: eggs"):
        auto = bm.Mixture(3, family="auto", **OPTIONS).fit(table)
    assert auto.result_.family.coding.levels[1] == ("north", "south", "west")
    assert "west (0." in auto.summary()


def test_at_one_component_the_bound_of_a_table_is_the_sum_over_its_parts():
    frame, kind = birds(60)
    table = frame.assign(island=np.array(["n", "s", "w"])[kind], eggs=kind)
    vb = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    parts = {("bill", "flipper"): bm.Gaussian(), "island": bm.Categorical(), "eggs": bm.Poisson()}

    def bound(family, columns):
        m = bm.Mixture(1, family=family, inference=vb, prune=False, **OPTIONS)
        return m.fit(table[columns]).elbo_

    each = [bound(f, list(k) if isinstance(k, tuple) else [k]) for k, f in parts.items()]
    together = bound(bm.Product(parts), ["bill", "island", "flipper", "eggs"])
    assert together == pytest.approx(sum(each), rel=1e-10)


def test_samples_and_conditionals_speak_of_names_and_levels():
    frame, kind = birds()
    table = frame.assign(island=np.array(["n", "s", "w"])[kind])
    m = bm.Mixture(3, family="auto", **OPTIONS).fit(table)
    drawn, components = m.sample(500, random_state=0)
    assert list(drawn) == list(table)
    assert set(drawn["island"]) == {"n", "s", "w"}
    assert drawn["wet"].dtype.kind == "b"
    assert (m.predict(drawn) == components).mean() > 0.9
    given = m.conditional({"island": "s", "wet": True})
    assert given.weights_.max() > 0.99
    assert "island=s, wet=True" in repr(given)
    assert set(given.sample(20)[0]["sex"]) == {"f", "m"}
    part = m.marginal(["island", "bill"])
    rows, _ = part.sample(5, random_state=1)
    assert list(rows) == ["island", "bill"]
    codes = rows["island"].map({"n": 0.0, "s": 1.0, "w": 2.0})
    whole = m.result_.unframed
    by_hand = np.log(
        sum(
            weight
            * whole.parts[3].probabilities[k][codes.astype(int)]
            * stats.norm(whole.means[k, 0], whole.deviations[k, 0]).pdf(rows["bill"])
            for k, weight in enumerate(m.weights_)
        )
    )
    np.testing.assert_allclose(part.score_samples(rows), by_hand, rtol=1e-9)
    means = m.conditional_mean(table[["island", "wet"]][:3], ["island", "wet"])
    assert means.shape == (3, 3)
    with pytest.raises(InvalidInputError, match=r"levels \('n', 's', 'w'\), got 'x' for 'island'"):
        m.conditional({"island": "x"})
    with pytest.raises(InvalidInputError, match="has 'x' in row 1"):
        part.score_samples([["n", 40.0], ["x", 41.0]])


@pytest.mark.slow
def test_a_product_is_drawn_part_by_part():
    frame, _ = birds()
    m = bm.Mixture(2, family="auto", **OPTIONS).fit(frame)
    ax = m.marginal(["flipper", "bill"]).plot()
    assert ax.get_xlabel() == "flipper"
    # Of all columns, those that are continuous.
    assert m.plot(frame).get_xlabel() in frame.columns


# The shell


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Runs a command in a folder with the birds, a key, dates and a count of them."""
    frame, _ = birds(200)
    n = len(frame)
    more = {"id": np.arange(n) + 100, "day": pd.date_range("2020", periods=n).astype(str)}
    frame.assign(**more).to_csv(tmp_path / "birds.csv", index=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments, code=0):
        done = CliRunner().invoke(app, [str(one) for one in arguments])
        assert done.exit_code == code, done.output
        return done

    return run


@pytest.mark.slow
def test_the_shell_takes_a_table_as_python_does(shell):
    search = ("select", "birds.csv", "--components", "1:3", "--covariance", "diag")
    done = shell(*search, "--out", "all")
    said = "Columns: continuous: bill, flipper; categorical: sex (2 levels), wet (2 levels)"
    assert said in done.stdout
    assert "id (looks like an identifier" in " ".join(done.stdout.split())
    with pytest.warns(BayesmixWarning, match="left out: id"):
        expected = bm.select(pd.read_csv("birds.csv"), (1, 2, 3), "diag", n_jobs=1)
    values = json.loads(Path("all/result.json").read_text("utf-8"))
    assert values["chosen"]["n_components"] == expected.best_estimator_.n_components_
    assert values["model"]["log_likelihood"] == pytest.approx(
        expected.best_estimator_.log_likelihood_, rel=1e-8
    )
    done = shell(*search, "--exclude", "flipper", "--out", "found")
    assert "Columns: continuous: bill; categorical: sex (2 levels), wet (2 levels)" in done.stdout
    assert "id (looks like an identifier" in " ".join(done.stdout.split())
    values = json.loads(Path("found/result.json").read_text("utf-8"))
    assert values["data"]["levels"] == {"sex": ["f", "m"], "wet": [False, True]}
    assert values["data"]["left_out"]["day"] == "dates"
    assert [part["columns"] for part in values["model"]["parts"]] == [["bill"], ["sex"], ["wet"]]
    done = shell("predict", "found/model.bayesmix", "birds.csv", "--keep", "id,sex")
    table = pd.read_csv(io.StringIO(done.stdout))
    assert list(table)[:7] == [
        "id",
        "sex",
        "cluster",
        "probability",
        "component",
        "log_density",
        "p1",
    ]
    assert table["id"].tolist() == list(range(100, 300))
    model = bm.load("found/model.bayesmix")
    frame = pd.read_csv("birds.csv")
    labels = model.predict(frame[["bill", "sex", "wet"]])
    assert table["component"].tolist() == (labels + 1).tolist()


def reported(shell, *arguments):
    """The page of ``bayesmix report``."""
    shell("report", *arguments, "--out", "page.html")
    return Path("page.html").read_text("utf-8")


@pytest.mark.slow
def test_rows_without_any_value_are_left_out_aloud_in_the_shell(tmp_path, shell):
    frame = pd.read_csv("birds.csv")
    frame.loc[[3, 7], ["bill", "flipper"]] = np.nan
    frame.loc[9, "bill"] = np.nan
    frame.to_csv("gaps.csv", index=False)
    fit = ("fit", "gaps.csv", "--components", 2, "--missing", "use", "--columns", "bill,flipper")
    done = shell(*fit, "--out", "found")
    assert "note: left out: 2 rows without any value (row 4, 8)" in done.stderr
    assert "gaps.csv: 198 rows" in done.stdout
    saved = "found/model.bayesmix", "gaps.csv"
    assert "observations without missing values" in reported(shell, *saved)
    done = shell("merge", *saved, "--out", "merged")
    assert "2 components form 2 clusters" in done.stdout
    labels = pd.read_csv("merged/labels.csv", dtype=str)["cluster"]
    assert labels.index[labels.isna()].tolist() == [3, 7]
    assert {*labels.dropna()} == {"1", "2"}
    done = shell("predict", *saved, "--keep", "id")
    assert "note: left out: 2 rows without any value (row 4, 8)" in done.stderr
    table = pd.read_csv(io.StringIO(done.stdout))
    assert table["id"].tolist() == frame["id"].tolist()
    unsaid = table[["component", "p1", "log_density"]].isna()
    assert np.flatnonzero(unsaid.all(axis=1)).tolist() == [3, 7]
    assert not table.drop([3, 7]).isna().any().any()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["mass", "1.5", "x", "2.5", "3"], "mass (numbers except 'x' in row 2: correct these"),
        (["day", "2020-01-01", "2020-01-02"], "day (dates)"),
    ],
)
def test_a_file_without_columns_to_fit_says_what_they_are(shell, lines, said):
    Path("odd.txt").write_text("\n".join(lines))
    done = shell("select", "odd.txt", code=2)
    assert "has no column that can be used" in done.stderr
    assert said in done.stderr


def test_a_european_file_is_read_without_an_option(shell):
    lines = ["age;income;kind"]
    lines += [f"{20 + k},5;{1 + k % 5}.{100 + 7 * k % 800},50;{'ab'[k % 2]}" for k in range(30)]
    Path("euro.csv").write_text("\n".join(lines), "utf-8")
    fit = ("fit", "euro.csv", "--components", 1, "--json")
    values = json.loads(shell(*fit).stdout)
    assert values["data"]["columns"] == ["age", "income", "kind"]
    assert values["data"]["levels"] == {"kind": ["a", "b"]}
    numbers = json.loads(shell(*fit, "--exclude", "kind").stdout)
    assert numbers["model"]["means"][0][0] == pytest.approx(35.0)
    assert 1100.5 < numbers["model"]["means"][0][1] < 5900.5
    same = json.loads(shell(*fit, "--exclude", "kind", "--sep", ";", "--decimal", ",").stdout)
    assert same["model"]["means"] == numbers["model"]["means"]


def test_the_line_on_many_columns_names_some_of_each_kind(shell):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 30)), columns=[f"gene{d}" for d in range(30)])
    drawn = rng.geometric(np.linspace(0.1, 0.5, 12), (60, 12)) - 1
    counted = pd.DataFrame(drawn, columns=[f"n{d}" for d in range(12)])
    pd.concat([frame, counted], axis=1).to_csv("wide.csv", index=False)
    said = shell("fit", "wide.csv", "--components", 1).stdout
    assert "Columns: continuous: gene0, gene1, ..., gene29 (30 columns); counts: n0 (" in said
    assert "), and 7 more; to overrule, give" in said


def test_kinds_of_columns_can_be_overruled(shell):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=60), "n": rng.poisson(3, 60), "grade": [1, 2, 3] * 20}
    )
    frame.assign(empty=np.nan).to_csv("kinds.csv", index=False)
    fit = ("fit", "kinds.csv", "--components", 1)
    plain = shell(*fit)
    assert "Columns: continuous: a; counts: n (integers from 1 to " in plain.stdout
    assert "); ratings: grade (3 levels from 1 to 3); left out: empty (empty); " in plain.stdout
    assert "to overrule, give --continuous 'n'\n" in plain.stdout
    assert "columns:" not in plain.stderr
    quiet = shell(*fit, "--quiet")
    assert "counts: n (integers from 1 to " in quiet.stderr
    assert "to overrule, give --continuous 'n'" in quiet.stderr
    plain = shell(*fit, "--continuous", "n,grade")
    assert "columns a, n, grade\n" in plain.stdout
    assert "Columns:" not in plain.stdout
    done = shell(*fit, "--counts", "n", "--categorical", "grade")
    assert "Columns: continuous: a; counts: n; categorical: grade (3 levels)" in done.stdout
    done = shell(*fit, "--categorical", "grade", "--continuous", "n")
    assert "Columns: continuous: a, n; categorical: grade (3 levels)" in done.stdout
    assert "--counts must be found" in shell(*fit, "--counts", "m", code=2).stderr
    assert "must have one type" in shell(*fit, "--counts", "n", "--continuous", "n", code=2).stderr


@pytest.mark.slow
def test_families_and_factor_analysers_have_names_in_the_shell(shell):
    fit = ("fit", "birds.csv", "--components", 2, "--columns", "bill,flipper")
    shell(*fit, "--family", "student_t", "--out", "t")
    assert bm.load("t/model.bayesmix").result_.family.name == "student_t"
    values = json.loads(Path("t/result.json").read_text("utf-8"))
    assert np.shape(values["model"]["parameters"]["means"]) == (2, 2)
    values = json.loads(shell(*fit, "--covariance", "factors:1", "--json").stdout)
    assert values["model"]["covariance_type"] == "FactorAnalytic(1)"
    done = shell("select", *fit[1:2], *fit[4:], "--components", 1, "--covariance", "full", *(
        "--family", "gaussian,student_t", "--json",
    ))  # fmt: skip
    families = {one["family"] for one in json.loads(done.stdout)["candidates"]}
    assert len(families) == 2
    assert "--family must be among" in shell(*fit, "--family", "cauchy", code=2).stderr
    assert "must name one family" in shell(*fit, "--family", "gaussian,poisson", code=2).stderr


def test_cells_and_columns_are_named_as_the_shell_has_them(shell):
    frame = pd.read_csv("birds.csv").astype({"bill": str})
    frame.loc[9, "bill"] = "x"
    frame.to_csv("odd.csv", index=False)
    done = shell("fit", "odd.csv", "--components", 1)
    assert (done.stdout + done.stderr).count("'x' in row 10") == 1
    assert "left out: bill (numbers except 'x' in row 10: correct" in done.stdout
    fit = ("fit", "birds.csv", "--components", 1)
    assert "--exclude must be found" in shell(*fit, "--exclude", "moon", code=2).stderr
    assert "--categorical must be found" in shell(*fit, "--categorical", "moon", code=2).stderr
    shell(*fit, "--categorical", "sex", "--out", "found")
    predict = ("predict", "found/model.bayesmix", "birds.csv")
    assert "--keep must be found" in shell(*predict, "--keep", "moon", code=2).stderr
    pd.read_csv("birds.csv").assign(sex="moon").to_csv("moon.csv", index=False)
    predict = ("predict", "found/model.bayesmix", "moon.csv")
    assert "200 rows have categories that the fit has not seen" in shell(*predict).stderr


def test_the_shell_predicts_from_numbers_as_the_fit_reads_them(shell):
    frame = pd.read_csv("birds.csv")[["bill", "flipper"]].round(2)
    frame.assign(bill="$" + frame["bill"].astype(str)).to_csv("signs.csv", index=False)
    frame.to_csv("plain.csv", index=False)
    shell("fit", "signs.csv", "--components", 2, "--out", "signs")
    done = [shell("predict", "signs/model.bayesmix", name) for name in ("signs.csv", "plain.csv")]
    assert done[0].stdout == done[1].stdout
    frame.assign(bill="dear").to_csv("text.csv", index=False)
    refused = shell("predict", "signs/model.bayesmix", "text.csv", code=2)
    assert "must have numbers in column 'bill', got 'dear' in row 1" in refused.stderr
    frame.assign(w="heavy", crp="<0.5").to_csv("weighted.csv", index=False)
    for words in (("select",), ("merge", "signs/model.bayesmix")):
        refused = shell(*words, "weighted.csv", "--weight", "w", code=2)
        assert "--weight must be numeric, but 'w' in weighted.csv is not" in refused.stderr


def test_the_shell_predicts_from_a_model_of_levels(shell):
    frame = pd.read_csv("birds.csv")[["sex", "wet"]]
    m = bm.Mixture(2, family=bm.Categorical(), **OPTIONS).fit(frame)
    m.save("levels.bayesmix")
    done = shell("predict", "levels.bayesmix", "birds.csv", "--keep", "sex")
    table = pd.read_csv(io.StringIO(done.stdout))
    np.testing.assert_allclose(table[["p1", "p2"]], m.predict_proba(frame), rtol=5e-6)  # six digits
    assert table["sex"].tolist() == frame["sex"].tolist()


@pytest.mark.slow
def test_levels_alone_are_drawn_by_their_profile(shell):
    pytest.importorskip("matplotlib")
    columns = ("--columns", "sex,colour,wet", "--categorical", "sex,colour,wet")
    frame = pd.read_csv("birds.csv")
    frame.assign(colour=np.where(frame["bill"] > frame["bill"].median(), "red", "None")).to_csv(
        "birds.csv", index=False
    )
    done = shell("fit", "birds.csv", "--components", 2, *columns, "--out", "found")
    assert "profile.png" in os.listdir("found")
    assert "density.png" not in done.output
    assert "2 classes: log likelihood" in done.stdout
    assert bm.load("found/model.bayesmix").result_.family.coding.levels[1] == ("None", "red")


def test_one_fit_with_categories_in_the_shell(shell):
    fit = ("fit", "birds.csv", "--components", 2, "--categorical", "sex")
    done = shell(*fit, "--columns", "bill", "--method", "map")
    assert "2 components, full covariance: log posterior" in done.stdout
    assert "f (0." in done.stdout or "m (0." in done.stdout
    assert (
        "'colour'"
        in shell("fit", "birds.csv", "--components", 2, "--exclude", "colour", code=2).stderr
    )


@pytest.mark.slow
def test_a_range_of_k_takes_care_of_itself_on_mixed_tables():
    rng = np.random.default_rng(7)
    kinds = np.repeat(["a", "b", "c"], 60)
    frame = pd.DataFrame({"size": rng.normal(np.repeat([0.0, 6.0, 12.0], 60), 1.0), "kind": kinds})
    search = bm.select(frame)
    assert search.best_params_["n_components"] == 3
    assert search.results_["n_components"].max() > 3
    assert (pd.crosstab(search.predict(frame), kinds).max(axis=0) > 50).all()


def test_select_takes_auto_as_one_family():
    rng = np.random.default_rng(31)
    labels = rng.integers(2, size=120)
    levels = np.array(["a", "b"])[labels]
    table = pd.DataFrame({"x": 6 * labels + rng.normal(size=120), "level": levels})
    found = bm.select(table, (1, 2), family="auto", random_state=0)
    assert found.best_params_["n_components"] == 2


@pytest.mark.slow
def test_the_shell_reads_masses_as_python_does(run, tmp_path):
    draw = np.random.default_rng(5)
    n, group = 200, draw.integers(0, 2, 200)
    frame = pd.DataFrame(
        {
            "rain": np.where(draw.random(n) < 0.3 + 0.3 * group, 0.0, draw.gamma(3.0, 4.0, n)),
            "degrees": draw.normal(10.0 + 6.0 * group, 1.3),
            "sky": np.where(draw.random(n) < 0.2 + 0.6 * group, "clear", "grey"),
        }
    )
    for columns in (["rain", "degrees"], [*frame]):
        table = frame[columns].round(3)
        table.to_csv(tmp_path / "t.csv", index=False)
        search = bm.select(table)
        said = run("select", "t.csv", "--out", "found").stdout
        assert search.summary().splitlines()[0] in said
        assert search.answer_.choice in " ".join(said.split())
        run("predict", "found/model.bayesmix", "t.csv", "--out", "p.csv")
        predicted = pd.read_csv(tmp_path / "p.csv")["cluster"] - 1
        assert predicted.tolist() == search.predict_clusters(table).tolist()
        # Zeros are no missing values of the amounts, and the name says which rain is described.
        described = search.describe(table)
        assert ("rain", "missing") not in described.table
        assert any(row[0].startswith("rain (where not 0)") for row in described.to_apa().rows)
        assert "(where not 0)" in said
