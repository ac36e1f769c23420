"""Rules for the kinds of columns, by tables like those that people have, with the right kind."""

import warnings
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.data.column_doubts import linear_functions
from bayesmix.data.column_kinds import kinds_of, overdispersion
from bayesmix.data.numbers_in_text import as_numbers
from bayesmix.data.table_columns import coded
from bayesmix.errors import BayesmixWarning, InvalidInputError
from bayesmix.io.readers import read_typed
from bayesmix.regressions.regression_columns import (
    as_design,
    coding_of_design,
    explanatory,
)
from bayesmix.shell.screen import worded

RNG = np.random.default_rng(20)
N = 240
SHUFFLED = RNG.permutation(N)
PORTIONS = np.random.default_rng(7).poisson(25, N)
KINDS = {
    # Row numbers, identifiers and dates
    "Unnamed: 0": (np.arange(N) + 7, "exclude", "row numbers"),
    "Id": (np.arange(N) + 1, "exclude", "row numbers"),
    "t": (np.arange(N)[::-1], "exclude", "row numbers"),
    "userid": (RNG.integers(1, 60, N), "exclude", "looks like an identifier: "),
    "pidnum": (RNG.permutation(10 * N)[:N] + 10_000, "exclude", "looks like an identifier: all"),
    "idcode": (np.repeat(np.arange(N // 4), 4), "exclude", "looks like an identifier: "),
    "studentid": (np.arange(N)[::-1] * 7 + 1000, "exclude", "looks like an identifier: "),
    "obs": (np.arange(N) * 3 // 2, "exclude", "looks like an identifier: all"),
    "listing": (50_000 + SHUFFLED, "exclude", "looks like an identifier: consecutive"),
    "rownames": (SHUFFLED, "exclude", "looks like an identifier: all"),
    "case": (SHUFFLED, "exclude", "looks like an identifier: all"),
    "Kunden-Nr": (7 + np.arange(N) % (N - 30), "exclude", "looks like an identifier: 210"),
    "patient_id": (RNG.integers(1, 60, N), "exclude", "looks like an identifier: "),
    "zipCode": (RNG.integers(10_000, 99_999, N), "exclude", "looks like an identifier"),
    "year": (RNG.choice([2007, 2008, 2009], N), "exclude", "years"),
    "Année": (RNG.choice([2007, 2008, 2009], N), "exclude", "years"),
    "JahrDerGeburt": (RNG.integers(1930, 2000, N), "continuous", ""),
    "survey_year": (RNG.integers(1990, 2020, N), "exclude", "years"),
    "PLZ_Ort": (RNG.integers(10_000, 99_999, N), "exclude", "looks like an identifier"),
    "Teléfono": (RNG.integers(10**8, 10**9, N), "exclude", "looks like an identifier"),
    "Número": (SHUFFLED, "exclude", "looks like an identifier: all"),
    "date": (20_200_101 + RNG.integers(0, 30, N), "exclude", "dates"),
    "tel": (RNG.integers(10**8, 10**9, N), "exclude", "looks like an identifier"),
    "time": (RNG.integers(1, 900, N), "continuous", ""),
    "Datum": (RNG.uniform(44_000, 45_500, N), "exclude", "dates"),  # of a spreadsheet
    "quarter": (RNG.choice(["2019Q4", "2020Q1"] + [f"20{y}-11" for y in range(10, 30)], N),
                "exclude", "dates"),
    "user": (SHUFFLED.astype(str), "exclude", "looks like an identifier: all"),
    "constant": (np.full(N, 3.0), "exclude", "one value"),
    # Names that only contain such words
    "platelets": (RNG.integers(60, 500, N), "continuous", ""),
    "phone_minutes": (RNG.integers(0, 500, N), "continuous", ""),
    "valid": (RNG.integers(0, 10**6, N), "continuous", ""),
    "rank": (SHUFFLED, "continuous", ""),
    "molecules": (6e23 * (1 + SHUFFLED), "continuous", ""),
    "almost": (np.r_[2.5, np.full(N - 1, np.nan)], "exclude", "one value"),
    # Measurements rounded to few values, ages, parts of dates
    "temperature": (RNG.choice([36.5, 37.0, 37.5, 38.0], N), "continuous", ""),
    "degrees": (RNG.integers(36, 42, N), "continuous", ""),
    "age": (RNG.integers(0, 95, N), "continuous", ""),
    "mpg": (RNG.integers(9, 45, N), "continuous", ""),
    # On circles, where name and range say so
    "month": (RNG.integers(1, 13, N), "circular", "12 months"),
    "pickup_hour": (RNG.uniform(0.0, 24.0, N), "circular", "0 to 24 h"),
    "hour_of_day": (RNG.integers(0, 24, N), "circular", "0 to 24 h"),
    "time_of_call": ([f"{i % 24}:{i % 60:02d}:00" for i in range(N)], "circular", "0 to 24 h"),
    "weekday": (RNG.integers(1, 8, N), "circular", "7 days"),
    "wind_dir": (RNG.integers(0, 360, N), "circular", "degrees, 0 to 360"),
    "phase": (RNG.uniform(-np.pi, np.pi, N), "circular", "radians, -pi to pi"),
    "angle": (RNG.uniform(0.0, 2.0 * np.pi, N), "circular", "radians, 0 to 2 pi"),
    # Other words, other ranges
    "Age": (RNG.integers(0, 25, N), "continuous", ""),
    "hours_worked": (RNG.uniform(0.0, 24.0, N), "continuous", ""),
    "hours": (RNG.uniform(0.0, 24.0, N), "continuous", ""),
    "age_month": (RNG.integers(1, 13, N), "continuous", ""),
    "hour": (RNG.uniform(8.0, 18.0, N), "continuous", ""),
    "Hour": (RNG.uniform(0.0, 30.0, N), "continuous", ""),
    "longitude_deg": (RNG.uniform(-180.0, 180.0, N), "continuous", ""),
    "km_per_hour": (RNG.uniform(0.0, 24.0, N), "continuous", ""),
    "direction_index": (RNG.uniform(0.0, 360.0, N), "continuous", ""),
    "charges": (RNG.uniform(0.0, 24.0, N), "continuous", ""),
    # Two values, codes of groups
    "died": (RNG.integers(0, 2, N), "categorical", "0 and 1"),
    "sex": (RNG.integers(1, 3, N), "categorical", "1 and 2"),
    "dept": (RNG.choice([10, 20, 30], N), "categorical", "codes of groups"),
    "store": (RNG.integers(101, 106, N), "categorical", "codes of groups"),
    "census_tract": (RNG.choice([950_100, 950_200, 960_100], N), "categorical", "codes of groups"),
    "STATEFP": (RNG.choice([1, 4, 56, 72], N), "categorical", "codes of groups"),
    "region": (RNG.integers(1, 7, N), "categorical", "codes of groups"),
    "cylinders": (RNG.choice(["4", "6", "8", "rotary"], N), "categorical", ""),
    # Scales of answers
    "stars": (RNG.integers(1, 10, N) / 2.0, "ratings", "9 levels from 0.5 to 4.5"),
    "pain": (RNG.integers(0, 11, N), "ratings", "11 levels from 0 to 10"),
    "agree": (RNG.integers(-2, 3, N), "ratings", "5 levels from -2 to 2"),
    # Few values without a step: doses, incomes in classes, a scale with a gap filled by the mean
    "dose": (RNG.choice([0, 5, 22, 100], N), "ratings", "4 values from 0 to 100 without a common"),
    "income": (RNG.choice([2500, 7500, 15_000, 35_000, 75_000], N), "ratings", "5 values from"),
    "score": (np.r_[RNG.choice([1, 2, 3, 4, 5, 6], N - 1), 2.116], "ratings", "7 values from 1 to"),
    "screen": (RNG.choice([14, 15, 17], N), "continuous", ""),  # on a grid
    # Counts
    "visits": (RNG.negative_binomial(1, 0.15, N), "counts", "integers from 0 to"),
    "docvis": (np.r_[RNG.negative_binomial(1, 0.15, N - 1), 121], "counts", "integers from"),
    "spray_count": (np.tile([*range(24), 0, 0, 1, 2, 3, 23], 2), "counts", "integers from 0 to 23"),
    "children": (RNG.poisson(1.2, N), "counts", "integers from 0 to"),
    "num_claims": (np.minimum(RNG.poisson(2.0, N), 2), "ratings", "3 levels from 0 to 2"),
    "hosp": (np.r_[RNG.negative_binomial(1, 0.6, N - 2), 8, 7], "counts", "integers from 0 to"),
    "nvisits": (RNG.poisson(3, N), "counts", "integers from 0 to"),
    "numbids": (np.r_[RNG.poisson(1.7, N - 1), 10], "counts", "integers from 0 to 10"),
    "n_children": (RNG.poisson(1.2, N), "counts", "integers from 0 to"),
    # Far from zero, but for a few: whole grams, unless the name says that they were counted
    "protein": (np.where(np.arange(N) % 40, PORTIONS, 0), "continuous", ""),
    "n_calls": (np.where(np.arange(N) % 40, PORTIONS, 0), "counts", "integers from 0 to"),
    "amount": (RNG.poisson(3, N) * 100, "continuous", ""),
    "site_number": (RNG.integers(1, 40, N), "continuous", ""),
    # Text
    "notes": ([f"note {i}" if i % 40 == 0 else None for i in range(N)], "exclude", "looks like an"),
    "again": (["again" if i == 7 else str(i / 4) for i in range(N)], "exclude", "numbers except"),
    "crp": ([f"{'<' * (i % 9 == 0)}{i / 8}" for i in range(N)], "exclude", "numbers and limits"),
    "opened": ([f"{i % 24:02d}:{i % 60:02d}" for i in range(N)], "exclude", "dates"),
    "caught": ([*(f"{i % 24:02d}:{i % 60:02d}" for i in range(N - 1)), "9.12"], "exclude", "dates"),
    "type": (np.array(["Compact", "Large", "Sporty", "Small", "Van"])[np.arange(N) % 5],
             "categorical", ""),
    "MBSA2": (np.array(["Agree", "StronglyAgree", "Disagree"])[np.arange(N) % 3], "ratings",
              "3 labels from Disagree to StronglyAgree"),
    "ticked": (RNG.choice(["x", ""], N), "categorical", "ticked, or blank for no"),
    "mm": (["[mm]", *map(str, RNG.normal(size=N - 1))], "exclude", "numbers except '[mm]' in row"),
    "error": (RNG.choice(["#DIV/0!", r"\N", "\u2013", "1", "2", "9.5"], N), "ratings",
              "3 values from 1 to 9.5"),
    "rooms": (RNG.choice(["1", "2", "3", "4", "5+"], N), "categorical", "levels may have an or"),
    "length": ([f"{i / 10} cm" for i in range(N)], "continuous", "numbers with 'cm'"),
    "smoker": (RNG.choice(["ja", "Ja ", "nein"], N), "categorical", "levels differ in case, o"),
    "drinks": (RNG.choice(["Yes", "no", "TRUE", "0"], N), "categorical", ""),
    "frequency": (np.arange(N) * 7 % 611 + 2, "continuous", "if these are weights of the rows, p"),
    "Freq": (np.arange(N) * 7 % 611 + 2, "continuous", "if these are weights of the rows, pass"),
    "birth_weight": (RNG.gamma(2.0, size=N), "continuous", ""),
    "run": ([f"{i % 5}:{i % 60:02d}:{i % 59:02d}" for i in range(N)], "continuous", "times as H:"),
    "rate": ([f"{i / 8}{' b' * (i % 9 == 0)}" if i % 7 else ": c" for i in range(N)], "continuous",
             "numbers, 23 flags (b) apart"),
    "lap": ([f"1:{i % 60:02d}.{i:03d}" for i in range(N)], "exclude", "dates"),
    "session": ([f"s{i // 4:x}" for i in range(N)], "categorical", "60 levels in 240 rows: make"),
    "mixed": (pd.Series([1, "1", "many"] * (N // 3), dtype=object), "categorical",
              "levels differ in case, outer spaces or type only: 1, '1'"),
    "wage": (RNG.choice([".a", ".b", "1.5", "2", "3.25"], N), "ratings", "3 values from 1.5"),
    "item": (RNG.choice([*"12345", "Refused", "DK"], N), "categorical", "DK, Refused beside"),
    "ward": (RNG.choice(["A", "A ", " B"], N), "categorical", ""),
    "remark": ([f"remark {i % 200}" for i in range(N)], "exclude", "free text"),
    "price": ([Decimal(f"{v:.2f}") for v in RNG.normal(size=N)], "continuous", ""),
    "width": (pd.Series(list(RNG.normal(size=N).astype("f4")), dtype=object), "continuous", ""),
    "mass": (RNG.choice(["1.5", "2.25", " 3", "?", "3.1"], N), "ratings", "4 values from 1.5"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_a_column_has_the_kind_that_a_person_would_give_it(name):
    values, kind, reason = KINDS[name]
    found = kinds_of(pd.DataFrame({name: values}), {})[name]
    assert (found.kind, (found.reason or found.doubt)[: len(reason)]) == (kind, reason)


def test_declared_circles_have_a_period_given_or_by_name():
    frame = pd.DataFrame({"hour": [8.0, 9.0], "x": [-0.5, 0.4]})
    coding = coded(frame, {"hour": "circular", "x": "circular 1.0"})[1]
    assert coding.circular == ("hour", "x")
    assert coding.turns == ((24.0, 0.0), (1.0, -0.5))
    with pytest.raises(InvalidInputError, match="period of the circular column 'x'"):
        coded(frame, {"x": "circular"})
    with pytest.raises(InvalidInputError, match="must have numbers"):
        coded(pd.DataFrame({"x": ["a", "b"]}), {"x": "circular 24"})


@pytest.mark.parametrize("periods", [{"hour": -1}, {"hour": "24"}, 24, {"hour": np.inf}])
def test_wrong_periods_are_refused(periods):
    with pytest.raises(InvalidInputError, match="periods must"):
        bm.select(pd.DataFrame({"hour": np.arange(24.0)}), periods=periods)


def test_periods_name_columns_of_the_frame():
    frame = pd.DataFrame({"when": np.arange(24.0)})
    with pytest.raises(InvalidInputError, match="hour"):
        bm.select(frame, periods={"hour": 24})
    with pytest.raises(InvalidInputError, match="periods names 'when'"):
        bm.select(frame, periods={"when": 24}, columns={"when": "counts"})


def test_select_describes_hours_by_von_mises_distributions(tmp_path):
    rng = np.random.default_rng(0)
    when = np.concatenate([rng.normal(0.0, 1.0, 60), rng.normal(12.0, 1.5, 40)]) % 24.0
    frame = pd.DataFrame({"when": when})
    with pytest.warns(BayesmixWarning, match=r"circular: hour \(0 to 24 h\)"):
        by_name = bm.select(frame.rename(columns={"when": "hour"}), [1, 2])
    search = bm.select(frame, [1, 2], periods={"when": 24})
    assert search.n_clusters_ == by_name.n_clusters_ == 2
    assert search.columns_.loc["when", ["kind", "family"]].tolist() == ["circular", "von Mises"]
    labels = search.predict(frame)
    assert len(set(labels[:60])) == 1
    np.testing.assert_array_equal(search.predict(frame + 24.0), labels)
    search.best_estimator_.save(tmp_path / "hours.bayesmix")
    again = bm.load(tmp_path / "hours.bayesmix")
    np.testing.assert_array_equal(again.predict(frame), search.best_estimator_.predict(frame))


def test_times_and_flags_are_read_as_numbers():
    cells = pd.Series(["1:30:00", "0:00:36", "26:15:00", None], dtype=object)
    np.testing.assert_allclose(as_numbers(cells), [1.5, 0.01, 26.25, np.nan])
    cells = pd.Series(["12.3 b", "7", ":", "-1.5", ": c"], dtype=object)
    np.testing.assert_allclose(as_numbers(cells), [12.3, 7.0, np.nan, -1.5, np.nan])


def test_flags_are_no_units():
    cells = pd.Series(["12 ns", "7 s"], dtype=object)
    assert as_numbers(cells) is None


PURCHASES = {
    "NumDealsPurchases": RNG.negative_binomial(2, 0.5, N),
    "NumWebPurchases": RNG.negative_binomial(3, 0.4, N),
    "NumCatalogPurchases": RNG.negative_binomial(1, 0.3, N),
    "NumStorePurchases": 3 + np.arange(N) % 13,  # by themselves no counts
}


def test_integers_in_a_block_of_counts_are_counts():
    frame = pd.DataFrame(PURCHASES)
    assert kinds_of(frame[["NumStorePurchases"]], {})["NumStorePurchases"].kind == "continuous"
    kinds = kinds_of(frame, {})
    assert {kind.kind for kind in kinds.values()} == {"counts"}
    assert kinds["NumStorePurchases"].reason == "integers, as in columns beside it"


@pytest.mark.parametrize(
    "other",
    [
        {"distance": PURCHASES["NumStorePurchases"]},  # another name
        {"NumStorePurchases": PURCHASES["NumStorePurchases"] + 0.5},
        {"NumStorePurchases": PURCHASES["NumStorePurchases"].astype(float)},  # another dtype
        {"AgeAtPurchases": PURCHASES["NumStorePurchases"]},
    ],
)
def test_columns_beside_a_block_keep_their_kind(other):
    frame = pd.DataFrame({**PURCHASES, **other}).drop(columns="NumStorePurchases", errors="ignore")
    frame = frame.assign(**other)
    (name,) = other
    assert kinds_of(frame, {})[name].kind == "continuous"


def acids():
    """Whole numbers of one unit, of which the last looks like counts by itself."""
    large = {f"acid{d}": RNG.integers(50, 5000, N) for d in "abc"}
    return pd.DataFrame({**large, "acidd": RNG.negative_binomial(3, 0.4, N)})


def test_a_column_beside_measurements_in_whole_units_is_one():
    frame = acids()
    assert kinds_of(frame[["acidd"]], {})["acidd"].kind == "counts"
    kind = kinds_of(frame, {})["acidd"]
    assert (kind.kind, kind.reason) == ("continuous", "integers, as the measurements beside it")


@pytest.mark.parametrize(
    "changed",
    [
        lambda frame: frame.drop(columns="acida"),  # a third of the block
        lambda frame: frame.rename(columns={"acidd": "n_visits"}),
        lambda frame: frame.astype({"acida": float, "acidb": float}),
        lambda frame: frame.rename(columns={"acida": "age", "acidb": "year of birth"}),
        lambda frame: frame.assign(acida=1 + np.arange(N) % 5),  # answers
    ],
)
def test_counts_beside_other_columns_are_counts(changed):
    frame = changed(acids())
    assert kinds_of(frame, {})[frame.columns[-1]].kind == "counts"


def test_a_declared_column_of_a_block_keeps_its_kind():
    declared = {"NumStorePurchases": "continuous"}
    assert kinds_of(pd.DataFrame(PURCHASES), declared)["NumStorePurchases"].kind == "continuous"


def with_code(values, code):
    return np.where(RNG.random(N) < 0.1, code, values)


def test_values_that_may_mean_missing_are_named_with_the_option_that_reads_them_so():
    frame = pd.DataFrame(
        {
            "income": with_code(RNG.integers(20, 80, N), -9),
            "weight": with_code(RNG.integers(40, 80, N), 99),
            "share": RNG.integers(0, 100, N),  # 99 is one of many values
        }
    )
    frame[["q1", "q2", "q3"]] = with_code(RNG.integers(1, 6, (3, N)), 8).T
    doubts = coded(frame)[1].doubts
    assert [f"{name} (" in doubts for name in frame] == [True, True, False, True, True, True]
    assert f"q1 (8 in {(frame.q1 == 8).sum()} rows may mean missing)" in doubts
    assert doubts.endswith("read the file with na=['-9', '8', '99'], or replace them by NaN")
    assert worded(doubts).endswith("rows may mean missing): give --na '-9,8,99'")
    skips = pd.DataFrame(
        {
            "income": np.where(
                RNG.random(N) < 0.1, RNG.choice([97, 98], N), RNG.integers(1, 20, N)
            ),
            "q": np.where(RNG.random(N) < 0.1, RNG.choice([7, 9], N), RNG.integers(1, 5, N)),
            "n_kids": np.r_[RNG.poisson(1.5, N - 3), 98, 98, 99],
            "cyl": np.where(RNG.random(N) < 0.4, 8, RNG.choice([4, 5, 6], N)),  # is none
        }
    )
    doubts = coded(skips)[1].doubts
    for cells in (
        "income (97, 98 in ",
        "q (7, 9 in ",
        "n_kids (98, 99 in 3",
    ):
        assert cells in doubts
    assert "cyl" not in doubts
    assert "na=['7', '9', '97', '98', '99']" in doubts
    long = pd.DataFrame({"pay": with_code(RNG.integers(9_000, 90_000, N), 9_999_998)})
    assert coded(long)[1].doubts == (
        f"pay (9999998 in {(long.pay == 9_999_998).sum()} rows may mean missing): read the file "
        "with na=['9999998'], or replace them by NaN"
    )
    ten = pd.DataFrame(RNG.choice([0, 1, 2, 3, 4, 5, 6, 8, 9, 10], (N, 3)), columns=["a", "b", "c"])
    assert not coded(ten)[1].doubts


def test_few_answers_of_yes_and_no_in_several_spellings_are_categories():
    table = pd.DataFrame({"a": [1, 0, 0, 1, 1, 0, 1] * 3 + ["Yes", "No"] * 5})
    kind = kinds_of(table, {})["a"]
    assert kind.kind == "categorical"


def test_names_of_sizes_beside_others_and_genotypes_have_no_order():
    genes = pd.DataFrame(
        {f"rs{i}": np.array(["A/A", "A/C", "C/C"])[SHUFFLED % 3] for i in range(3)}
    )
    genes = genes.apply(lambda column: column.sample(frac=1, random_state=1, ignore_index=True))
    kinds = kinds_of(genes.assign(type=KINDS["type"][0]), {})
    assert "order" not in " ".join(kind.doubt for kind in kinds.values())


def test_infinite_values_are_no_total():
    assert not coded(pd.DataFrame({"days": [*RNG.normal(size=N), np.inf]}))[1].doubts


def test_indicators_of_one_category_are_named():
    level = RNG.integers(0, 3, N)
    frame = pd.get_dummies(pd.Series(level).map(dict(enumerate("uvw"))))
    frame.insert(0, "other", RNG.integers(0, 2, N))
    frame["b"] = RNG.random(N) < 0.5
    frame["not_b"] = ~frame["b"]
    doubts = coded(frame)[1].doubts
    for columns in (["u", "v", "w"], ["b", "not_b"]):  # the one that varies most
        others = {one: ", ".join(other for other in columns if other != one) for one in columns}
        said = [f"{one}: follows exactly from {names}, as" for one, names in others.items()]
        assert sum(text in doubts for text in said) == 1
    assert not coded(frame.drop(columns=["w", "b"]))[1].doubts


def test_labels_beside_their_codes_and_codes_beside_few_levels_are_named():
    region = RNG.integers(1, 4, N)
    frame = pd.DataFrame(
        {"region": region, "name": np.array(["", "north", "south", "west"])[region]}
    )
    assert coded(frame)[1].doubts == "name: the same groups as region: leave one of them out"
    frame.loc[0, "name"] = "north" if frame.loc[0, "name"] != "north" else "south"
    assert not coded(frame)[1].doubts
    codes = pd.DataFrame(
        {
            "smokes": with_code(with_code(RNG.integers(1, 3, N), 8), 9),
            "income": with_code(RNG.integers(1000, 1900, N), -1),
            "rent": with_code(RNG.integers(1, 40, N) * 100, -99),
            "change": RNG.integers(-1, 2, N),
        }
    )
    doubts = coded(codes)[1].doubts
    for said in ("smokes (8, 9 in", "income (-1 in", "rent (-99 in"):
        assert said in doubts
    assert "change" not in doubts


def test_a_sum_or_a_mean_of_other_columns_is_named():
    items = pd.DataFrame(RNG.integers(1, 6, (N, 5)), columns=list("abcde"))
    items.insert(0, "x", RNG.normal(size=N))
    assert not coded(items)[1].doubts
    ways = {
        "total": items[[*"abcde"]].sum(axis=1),
        "subscale": items[[*"bcd"]].mean(axis=1),
        "reversed": 6 - items["c"],
    }
    for name, values in ways.items():
        for place in (0, 6):
            frame = items.copy()
            frame.insert(place, name, values)
            frame.loc[::7, "b"] = np.nan
            of = {"total": "a, b, c, d, e", "subscale": "b, c, d"}.get(name)
            doubt = f"{name}: follows exactly from {of}, as a sum does: leave it out"
            if of is None:
                first, last = sorted(("c", name), key=[*frame].index)
                doubt = f"{last}: the same groups as {first}: leave one of them out"
            assert coded(frame)[1].doubts.startswith(doubt)
    counts = pd.DataFrame(RNG.negative_binomial(1, 0.1, (N, 2)), columns=["calls", "visits"])
    doubts = coded(counts.assign(all=counts.sum(axis=1)))[1].doubts
    assert doubts == "all: follows exactly from calls, visits, as a sum does: leave it out"
    many = pd.DataFrame(RNG.negative_binomial(1, 0.1, (30_000, 2)), columns=["calls", "visits"])
    many = many.assign(all=many.sum(axis=1))
    assert coded(many)[1].doubts == doubts
    many.loc[1, "all"] += 1
    assert not coded(many)[1].doubts


def test_ranks_are_named():
    ranks = pd.DataFrame([RNG.permutation(4) + 1 for _ in range(N)], columns=list("abcd"))
    assert "follows exactly from" in coded(ranks)[1].doubts
    assert not coded(ranks.assign(a=RNG.integers(1, 5, N)))[1].doubts


def test_new_frames_must_have_rows():
    frame, group = groups()
    fit = bm.Mixture(1, family="auto").fit(frame.assign(group=np.array(["u", "v"])[group]))
    with pytest.raises(InvalidInputError, match="X must have at least one row, got none"):
        fit.predict(frame.assign(group="u")[:0])


def test_a_series_in_another_order_and_a_response_that_may_mean_missing_are_named():
    frame, group = groups()
    y = pd.Series(np.where(group, "yes", "no"), frame.index)
    with pytest.warns(BayesmixWarning, match="in another order, but rows are matched by position"):
        bm.MixtureClassifier().fit(frame, y[::-1])
    with pytest.warns(BayesmixWarning, match="in another order, but rows are matched by position"):
        bm.RegressionMixture(1).fit(frame[["x"]], frame["y"][::-1])
    for fit in (bm.GaussianMixture(1).fit, bm.MixtureSearch(n_components=1).fit):
        with pytest.warns(BayesmixWarning, match="sample_weight has the index of X in another"):
            fit(frame, sample_weight=(1.0 + frame["x"] ** 2)[::-1], weight_type="sampling")
    y[:] = np.where(group, "yes", " ")
    y[::9] = "no"
    assert bm.MixtureClassifier().fit(frame, y).classes_.tolist() == ["no", "yes"]  # " " is missing
    with pytest.warns(BayesmixWarning, match="the response 'y': -999 in .* rows may mean missing"):
        bm.RegressionMixture(1).fit(frame[["x"]], frame["y"].where(frame.index > 9, -999.0))


def test_the_coding_of_answers_changes_nothing():
    answers = RNG.integers(0, 5, (60, 3))
    made = []
    for levels in (np.arange(5), np.arange(1, 6), 10 * np.arange(1, 6), np.arange(-2, 3)):
        frame, coding = coded(pd.DataFrame(levels[answers], columns=["a", "b", "c"]))
        assert coding.ratings == ("a", "b", "c")
        made.append(frame.to_numpy())
    for codes in made:
        np.testing.assert_array_equal(codes, answers)


def test_few_rows_of_one_scale_are_no_rating_but_three_items_are():
    one = pd.DataFrame({"a": [1, 2, 3, 4, 5] * 4})
    assert kinds_of(one, {})["a"].kind == "continuous"
    three = one.assign(b=one["a"][::-1].to_numpy(), c=np.minimum(one["a"], 4))
    assert {kind.kind for kind in kinds_of(three, {}).values()} == {"ratings"}


def test_labels_that_begin_with_numbers_may_have_an_order_and_are_ratings_in_it_if_asked_for():
    words = np.array(["1 = nie", "2 = selten", "10 = immer"])
    items = pd.DataFrame(words[RNG.integers(0, 3, (N, 2))], columns=["a", "b"])
    for kind in kinds_of(items, {}).values():
        assert (kind.kind, kind.doubt[:25]) == ("categorical", "levels may have an order:")
    for kind in kinds_of(items, dict.fromkeys(items, "ratings")).values():
        assert (kind.kind, kind.levels, kind.doubt) == ("ratings", tuple(words), "")


def test_a_remedy_names_a_kind_that_the_column_can_have():
    frame = pd.DataFrame({"x": RNG.normal(size=20), "who": [f"P{i}" for i in range(20)]})
    with pytest.warns(BayesmixWarning, match=r"set columns=\{'who': 'categorical'\}"):
        bm.Mixture(1, family="auto").fit(frame)
    named = bm.Mixture(1, family="auto", columns={"who": "categorical"}).fit(frame)
    assert list(named.feature_names_in_) == ["x", "who"]


def test_codes_of_groups_are_indicators_in_a_regression():
    region = np.repeat([1, 2, 3], 20)
    y = np.array([0.0, 5.0, 1.0])[region - 1] + RNG.normal(size=60)
    fit = bm.RegressionMixture(1).fit(pd.DataFrame({"region": region}), y)
    means = [y[region == code].mean() for code in (1, 2, 3)]
    np.testing.assert_allclose(fit.predict(pd.DataFrame({"region": [1, 2, 3]})), means, rtol=1e-6)


@pytest.mark.parametrize("response", ["normal", "gamma"])
def test_a_response_with_a_unit_is_a_number(response):
    frame, _ = groups()
    y = np.round(np.exp(frame["y"]), 2)
    fits = [
        bm.RegressionMixture(1, response=response).fit(frame[["x"]], given)
        for given in (y, y.map("{:.2f} €".format))
    ]
    np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, rtol=1e-12)


def test_an_ordered_dtype_is_a_rating_in_its_order():
    sizes = pd.Categorical(["m", "s", "l"] * 10, ["s", "m", "l"], ordered=True)
    kind = kinds_of(pd.DataFrame({"size": sizes}), {})["size"]
    assert (kind.kind, kind.levels) == ("ratings", ("s", "m", "l"))


def groups(n=150):
    rng = np.random.default_rng(5)
    group = rng.integers(0, 2, n)
    return pd.DataFrame({"x": rng.normal(6.0 * group), "y": rng.normal(size=n)}), group


def test_a_named_column_is_what_the_user_says_once():
    frame, _ = groups()
    frame = frame.assign(Id=np.arange(len(frame)), sex=1 + frame.index % 2)
    options = {"n_components": 1, "covariance_type": "diag", "criterion": "bic"}
    search = bm.select(frame, continuous=["Id"], exclude="sex", **options)
    assert search.columns_["kind"].tolist() == ["continuous"] * 3 + ["exclude"]
    assert search.best_estimator_.n_features_in_ == 3
    for named in (
        {"continuous": ["x"], "columns": {"x": "counts"}},
        {"counts": "x", "ratings": "x"},
    ):
        with pytest.raises(InvalidInputError, match="must have one type, got several for 'x'"):
            bm.select(frame, **named)
    with pytest.raises(InvalidInputError, match="columns must map names to 'continuous'"):
        bm.select(frame, columns={"x": "number"})
    with pytest.raises(InvalidInputError, match="did you mean 'sex'"):
        bm.select(frame, counts=["sexe"])


def test_row_numbers_are_no_features_and_new_frames_may_have_them(tmp_path):
    frame, group = groups()
    numbered = frame.assign(Id=np.argsort(np.argsort(group, kind="stable")))
    numbered = numbered.sort_values("Id", ignore_index=True)
    plain, classes = numbered[["x", "y"]], np.sort(group)
    options = {"n_components": (1, 2), "covariance_type": "diag", "criterion": "bic"}
    with pytest.warns(BayesmixWarning, match=r"left out: Id \(row numbers\); to overrule, set col"):
        search = bm.select(numbered, **options)
    expected = bm.select(plain, **options)
    new = numbered.sample(40, random_state=0)
    np.testing.assert_array_equal(search.predict(new), expected.predict(new[["x", "y"]]))
    search.save(tmp_path / "search.bayesmix")
    loaded = bm.load(tmp_path / "search.bayesmix")
    np.testing.assert_array_equal(loaded.predict(new), search.predict(new))
    assert loaded.columns_.loc["Id", "reason"] == "row numbers"
    older = (("x", "counts", "integers; 99 is odd"), ("y", "continuous", "; 99 is odd"))
    loaded._coding = replace(loaded._coding, decisions=older)
    assert loaded.columns_["reason"].tolist() == ["integers; 99 is odd", "99 is odd"]
    with pytest.warns(BayesmixWarning, match=r"left out: Id"):
        classifier = bm.MixtureClassifier(covariance_type="diag").fit(numbered, classes)
    same = bm.MixtureClassifier(covariance_type="diag").fit(plain, classes)
    np.testing.assert_array_equal(
        classifier.predict_proba(new), same.predict_proba(new[["x", "y"]])
    )
    with pytest.warns(BayesmixWarning, match=r"left out: Id"):
        lines = bm.RegressionMixture(1).fit(numbered[["Id", "x"]], numbered["y"])
    assert lines.coef_.shape == (1, 1)
    np.testing.assert_array_equal(lines.predict(new), lines.predict(new[["x"]]))


def test_codes_that_were_a_column_of_an_older_fit_remain_one():
    frame = pd.DataFrame({"region": np.arange(60) % 5 + 1, "x": np.linspace(0.0, 1.0, 60)})
    coding = explanatory(frame, None)
    assert "region_2" in as_design(frame, coding, coding_of_design(coding))
    older = as_design(frame, coding, coding_of_design(coding, ("region", "x")))
    pd.testing.assert_frame_equal(older, frame.astype(float))


def test_text_covariates_of_a_regression_are_indicators():
    frame, _ = groups()
    colour = np.array(["blue", "green", "red"])[np.arange(len(frame)) % 3]
    text, y = frame[["x"]].assign(colour=colour), frame["y"] + (colour == "red")
    model = bm.RegressionMixture(1, random_state=0).fit(text, y)
    dummies = pd.get_dummies(text, drop_first=True, dtype=float)
    expected = bm.RegressionMixture(1, random_state=0).fit(dummies.to_numpy(), y.to_numpy())
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    assert model.feature_names_in_.tolist() == ["x", "colour_green", "colour_red"]
    red = text[colour == "red"]
    np.testing.assert_allclose(model.predict(red), model.predict(text)[colour == "red"])


def test_text_covariates_of_weights_are_indicators_of_the_fit():
    frame, group = groups()
    noise = np.arange(len(frame)) % 3 == 0
    Z = pd.DataFrame({"z": frame["y"], "colour": np.array(["green", "red"])[(group + noise) % 2]})
    dummies = pd.get_dummies(Z, drop_first=True, dtype=float)
    fits = [
        bm.GaussianMixture(2, search=None, init_params=group, random_state=0).fit(
            frame[["x"]], covariates=covariates
        )
        for covariates in (Z, dummies)
    ]
    np.testing.assert_array_equal(fits[0].gate_coef_, fits[1].gate_coef_)
    shares = [
        fits[0].predict_proba(frame[["x"]], covariates=Z),
        fits[1].predict_proba(frame[["x"]], covariates=dummies),
    ]
    np.testing.assert_array_equal(*shares)
    red = Z["colour"] == "red"
    some = fits[0].predict_proba(frame.loc[red, ["x"]], covariates=Z[red])
    np.testing.assert_allclose(some, shares[0][red], rtol=1e-12)
    with pytest.raises(InvalidInputError, match="has 'violet', which the fit has not seen"):
        fits[0].predict_proba(frame[["x"]], covariates=Z.assign(colour="violet"))


FILES = {
    "comments": "# exported 2024-01-02\n# by someone\nid,dose,group\n" + "".join(
        f"{i * 3},{'?' if i % 9 == 0 else i / 7},{'ab'[i % 2]}\n" for i in range(40)
    ),
    "zeros": "postal|dose|yes\n" + "".join(
        f"0{1000 + i * 13}|{i / 7}|{i % 2}\n" for i in range(40)
    ),
    "excel": "sep=;\ndose;yes\n" + "".join(f"{i / 7};{i % 2}\n" for i in range(40)),
    "rows": ",,dose,yes\n" + "".join(f"{i // 9},{i % 9},{i / 7},{i % 2}\n" for i in range(40)),
    "codes": "\ufeffwhen;dose;grade;empty\n" + "".join(
        f"{1 + i % 28}.0{1 + i % 9}.2024;{'-999' if i % 11 == 0 else i * 3 % 17}.5;{1 + i % 4};\n"
        for i in range(60)
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kept", "left_out"),
    [
        ("comments", ("dose", "group"), ("id",)),
        ("zeros", ("dose", "yes"), ("postal",)),
        ("excel", ("dose", "yes"), ()),
        ("rows", ("dose", "yes"), ("Unnamed: 0", "Unnamed: 1")),
        ("codes", ("dose", "grade"), ("when", "empty")),
    ],
)
def test_untidy_files_have_the_same_columns_in_python_and_as_files(tmp_path, name, kept, left_out):
    path = str(tmp_path / f"{name}.csv")
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(FILES[name])
    from bayesmix.io.text import TextFormat

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        source = read_typed(path, missing="keep", text=TextFormat(na=("-999.5",)))
        table = bm.read_table(path, na=["-999.5"])
    said = "5 cells of 1 column hold '?', read as missing"
    assert [str(each.message) for each in caught] == [f"{path}: {said}"] * 2 * (name == "comments")
    frame, coding = coded(table)
    assert source.coding == coding
    assert coding.names == kept
    assert tuple(column for column, _ in coding.left_out) == left_out
    np.testing.assert_array_equal(source.values, frame.to_numpy())
    assert np.isnan(source.values[:, 0]).any() == (name in ("comments", "codes"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Report,\n,\na,b\n1,2\n", "must name the columns, got 'Report' alone: delete the lines"),
        ("a,b\n", "must have at least one row, got none"),
    ],
)
def test_a_file_whose_first_line_does_not_name_columns_is_refused(tmp_path, text, said):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=said):
        bm.select(bm.read_table(path))


@pytest.mark.parametrize("sign", [";", "\t", "|", " "])
def test_a_wrong_separator_is_said(tmp_path, sign):
    path = tmp_path / "table.csv"
    path.write_text(f"a{sign}b\n1{sign}2.5\n3{sign}4.5\n", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="but seems to have the separator"):
        bm.read_table(path, sep="," if sign != "," else ";")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a;b;c,d;e\n1,2\n3,4\n", ["a;b;c", "d;e"]),
        ("size, in cm;b\n1,5;2,5\n", ["size, in cm", "b"]),
        ("a|b\n1|2\n", ["a", "b"]),
        ("a\tb, in cm\n1\t2\n", ["a", "b, in cm"]),
        ("p(a|b)\n0.5\n0.25\n", ["p(a|b)"]),
        ("country,2001,2002\nPeru,1,2\nChad,3,4\n", ["country", "2001", "2002"]),
    ],
)
def test_a_separator_is_one_in_the_header_and_the_line_below(tmp_path, text, names):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    assert bm.read_table(path).columns.tolist() == names


def test_a_gaussian_mixture_on_text_names_select():
    frame, _ = groups()
    with pytest.raises(InvalidInputError, match=r"bayesmix\.select"):
        bm.GaussianMixture(1).fit(frame.assign(kind="a"))


def test_columns_that_a_user_calls_continuous_are_normal():
    answers = pd.DataFrame(RNG.integers(1, 6, (80, 3)), columns=["a", "b", "c"])
    search = bm.select(answers, (1, 2), columns=dict.fromkeys(answers, "continuous"))
    assert type(search.best_estimator_).__name__ == "BayesianGaussianMixture"
    assert set(search.columns_["kind"]) == {"continuous"}
    search.predict(answers)
    mixture = bm.Mixture(1, columns=dict.fromkeys(answers, "continuous")).fit(answers)
    np.testing.assert_allclose(mixture.means_[0], answers.mean())


def test_blank_text_is_missing_in_frames_as_in_files(tmp_path):
    table = pd.DataFrame({"kind": ["a", "b", " ", "b", ""] * 4, "x": np.arange(20) / 8})
    table.to_csv(tmp_path / "table.csv", index=False)
    for frame in (table, bm.read_table(tmp_path / "table.csv")):
        rows, coding = coded(frame)
        assert coding.levels[0] == ("a", "b")
        gone = rows["kind"].isna().to_numpy().nonzero()[0]
        assert gone.tolist() == [i for i in range(20) if i % 5 in (2, 4)]


def test_nothing_overrules_columns_without_numbers():
    table = pd.DataFrame(
        {"share": [f"{i}{'%€'[i % 2]}" for i in range(20)], "x": np.arange(20) ** 2 / 8}
    )
    _, coding = coded(table)
    assert coding.guesses().startswith("left out: share (numbers with several units")
    assert "to overrule" not in coding.guesses()


@pytest.mark.parametrize("name", ["index", "nr", "obs"])
def test_numbers_of_rows_within_groups_are_no_feature(name):
    sizes = (50, 50, 47, 50)
    numbers = np.concatenate([np.arange(1, size + 1) for size in sizes])
    for values in (numbers, RNG.permutation(numbers)):
        found = kinds_of(pd.DataFrame({name: values}), {})[name]
        assert found.kind == "exclude"
        assert "row numbers within groups, from 1 to 50" in found.reason
    # A name that says nothing keeps the column, with a doubt; one of time keeps it without.
    assert "within groups" in kinds_of(pd.DataFrame({"a": numbers}), {})["a"].doubt
    assert not kinds_of(pd.DataFrame({"week": numbers}), {})["week"].doubt


def test_words_for_missing_among_many_numbers_are_missing():
    money = [f"${1000 + 37 * i:,}" for i in range(N)]
    money[3] = money[40] = "unknown"
    money[50] = "N.A."
    made, coding = coded(pd.DataFrame({"money": money, "x": RNG.normal(size=N)}))
    assert np.flatnonzero(made["money"].isna()).tolist() == [3, 40, 50]
    assert made["money"][4] == 1148.0
    assert "'unknown' in 2 rows: read as missing" in coding.doubts
    assert coding.marks == "1 cell of 1 column holds 'N.A.', read as missing"
    few = pd.DataFrame({"kids": np.where(np.arange(N) % 3, "none", "2"), "x": np.arange(N) / 7})
    assert kinds_of(few, {})["kids"].kind == "categorical"


def test_a_column_that_cannot_be_used_for_a_few_cells_has_no_remedy_of_another():
    frame = pd.DataFrame({"id": np.arange(N), "money": [*map(str, RNG.normal(size=N - 1)), "x"]})
    guesses = coded(frame.assign(y=RNG.normal(size=N)))[1].guesses()
    assert "money (numbers except 'x' in row" in guesses
    assert "to overrule" not in guesses


def test_parentheses_are_minus_signs_beside_other_amounts():
    values = np.round(RNG.normal(0.0, 3000.0, N), 2)
    cells = [f"({-v:,.2f})" if v < 0 else f"{v:,.2f}" for v in values]
    dollars = [f"($ {-v:,.2f})" if v < 0 else f"$ {v:,.2f}" for v in values]
    frame = pd.DataFrame({"profit": cells, "dollars": dollars})
    made, coding = coded(frame)
    np.testing.assert_array_equal(made, np.column_stack([values, values]))
    assert coding.decisions[0][2] == "numbers, negative ones in parentheses"
    # Cells that are all in parentheses are something else, such as standard errors.
    errors = pd.DataFrame({"errors": [f"({abs(v)})" for v in values]})
    assert kinds_of(errors, {})["errors"].kind == "exclude"


@pytest.mark.parametrize("values", [np.arange(1, 101), np.arange(1, 61)])
def test_months_that_end_at_frequent_values_are_no_counts(values):
    months = np.random.default_rng(8).choice(values, 880).astype(float)
    for name in ("late", "Months since late", "months"):
        assert kinds_of(pd.DataFrame({name: months}), {})[name].kind == "continuous"


def test_the_dispersion_test_has_its_level_and_power():
    rng = np.random.default_rng(9)
    poisson = rng.poisson(np.repeat([0.5, 5.0, 30.0], 300)[:, None], (900, 200)).astype(float)
    alarms = sum(overdispersion(values) is not None for values in poisson)
    assert alarms <= 9 + 4 * 3  # 1 % of 900, and four standard errors
    spread = rng.negative_binomial(5, 0.5, (100, 200)).astype(float)
    assert sum(overdispersion(values) is not None for values in spread) >= 98
    gaps = np.where(rng.random(200) < 0.3, np.nan, spread[0])
    assert overdispersion(gaps) == pytest.approx(np.nanvar(gaps, ddof=1) / np.nanmean(gaps))
    assert overdispersion(np.full(5, np.nan)) is None


def test_sparse_counts_follow_from_each_other_by_chance_alone():
    told = totals = 0
    for seed in range(20):
        draw = np.random.default_rng([103, seed])
        n = int(draw.integers(45, 150))
        rate = 4.0 * np.exp(draw.normal(-1.0, 1.5, (n, 1))) * draw.dirichlet(np.full(40, 0.5))
        counts = draw.poisson(rate).astype(float)
        columns = {str(d): column for d, column in enumerate(counts.T) if column.any()}
        told += bool(linear_functions(columns))
        total = {**columns, "all": counts.sum(axis=1)}
        totals += any(names[0] == "all" for names in linear_functions(total))
    assert told <= 2  # half of such tables before
    assert totals >= 18


def test_an_absent_oxide_is_no_misspelt_one():
    glass = pd.DataFrame({"Na2O": [1.0, 2.0, 3.0], "MgO": [2.0, 1.0, 4.0]})
    with pytest.raises(InvalidInputError, match="no column 'CaO': it has 'Na2O' and 'MgO'"):
        bm.select(glass, exclude=["CaO"])
    with pytest.raises(InvalidInputError, match="did you mean 'Na2O'"):
        bm.select(glass, exclude=["Na20"])


@pytest.mark.parametrize(
    "analysis",
    [
        lambda search, X: bm.goodness_of_fit(search, X, random_state=0),
        bm.leave_one_out,
        bm.log_evidence,
        bm.merge_components,
    ],
)
def test_analyses_of_a_search_read_numbers_in_text_as_the_search_did(analysis):
    rng = np.random.default_rng(1201)
    values = rng.normal(size=(80, 2)).round(2)
    values[:40, 1] += 8.0
    text = pd.DataFrame({"a": [f"{value:.2f}" for value in values[:, 0]], "b": values[:, 1]})
    of_text, of_numbers = (
        analysis(bm.select(X), X) for X in (text, pd.DataFrame(values, columns=["a", "b"]))
    )
    assert repr(of_text) == repr(of_numbers)


def test_two_samples_with_a_weight_have_no_folds_and_one_cluster():
    frame = pd.DataFrame({"x": [1.0, 2.5, 2.6], "y": [2.0, 1.0, 0.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert bm.select(frame, sample_weight=[0, 1, 1]).n_clusters_ == 1
        with pytest.raises(InvalidInputError, match="cv must be"):
            bm.select(frame, sample_weight=[0, 1, 1], criterion="cv")
