"""Answers in words: a scale from "never" to "always" is a rating, in Python and in the shell."""

import contextlib
import io
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.data.column_kinds import kinds_of
from bayesmix.data.table_columns import coded
from bayesmix.errors import BayesmixWarning
from bayesmix.shell.app import app

RNG = np.random.default_rng(61)
N = 240
NEVER = ("Never", "Rarely", "Sometimes", "Often", "Always")
AGREE = ("Strongly disagree", "Disagree", "Neither agree nor disagree", "Agree", "STRONGLY AGREE")


def drawn(levels, n_columns=1):
    frame = pd.DataFrame(np.array(levels)[RNG.integers(0, len(levels), (N, n_columns))])
    return frame.add_prefix("q")


@pytest.mark.parametrize(
    "levels",
    [
        NEVER,
        AGREE,
        ("Low", "Medium", "High"),
        ("low", "normal", "high"),
        ("No", "Weak", "Strong", "Very_Strong"),
        ("Poor", "Fair", "Good", "Excellent"),
        ("None", "Mild", "Moderate", "Severe"),
        ("not_at_all", "several_days", "more_than_half_the_days", "nearly_every_day"),
        ("1 - Always", "2 - Sometimes", "3 - Never"),
    ],
)
def test_answers_in_words_are_ratings_from_the_least_to_the_most(levels):
    found = kinds_of(drawn(levels), {})["q0"]
    assert (found.kind, found.levels, found.doubt) == ("ratings", levels, "")
    assert found.reason == f"{len(levels)} labels from {levels[0]} to {levels[-1]}"
    frame = drawn(levels, 2)
    frame.loc[frame["q1"] == levels[-1], "q1"] = levels[0]  # a level that one column lacks
    assert [kind.levels for kind in kinds_of(frame, {}).values()] == [levels, levels[:-1]]
    assert coded(frame, {"q0": "categorical", "q1": "ratings"})[1].levels == (levels, levels[:-1])


def test_answers_that_may_have_an_order_remain_categories_with_a_word():
    frame = drawn(("nie", "oft", "immer"), 3).join(drawn((*NEVER, "Don't know")).add_prefix("dk"))
    frame = frame.assign(gene=drawn(("AA", "AB", "BB")), gender=drawn(("f", "m", "x")))
    coding = coded(frame)[1]
    assert not coding.ratings
    assert coding.doubts == (
        "dkq0: Don't know beside answers on a scale: read as missing, or as an ordered category"
    )
    refused = coded(drawn(("Never", "Sometimes", "Always", "Prefer not to say"), 3))[1]
    assert refused.doubts.startswith("q0, q1, q2: Prefer not to say beside answers on a scale: ")
    brackets = coded(drawn(("5-9", "10-14", "15+")))[1]
    assert brackets.levels == (("5-9", "10-14", "15+"),)
    assert brackets.doubts.startswith("q0: levels may have an order")
    incomes = ("Under 2,600", "2,600 to 5,200", "10,400 to 15,600", "Above 36,400", "Refused")
    rides = ("never", "sometimes", "most of time", "always", "did not ride")
    hours = ("<5", "5", "6", "10+")
    coding = coded(drawn(incomes).assign(ride=drawn(rides), hours=drawn(hours)))[1]
    assert coding.levels == (incomes, rides, hours)
    assert "q0: Refused beside answers on a scale" in coding.doubts
    assert "ride: did not ride beside answers on a scale" in coding.doubts
    assert "hours: levels may have an order" in coding.doubts
    doubts = coded(frame, {"q0": "ratings"})[1].doubts
    assert doubts.startswith("q0: levels are in alphabetical order; if they have another, give it")
    numbered = frame["q0"].map({"nie": "1 nie", "oft": "2 oft", "immer": "10 immer"})
    frame, coding = coded(pd.DataFrame({"q": numbered}), {"q": "ratings"})
    assert (coding.doubts, coding.levels) == ("", (("1 nie", "2 oft", "10 immer"),))


def test_levels_that_are_no_answers_are_named():
    nation = drawn(("English", "Welsh", "Refused", "Unknown"))
    n_rows = int(nation["q0"].isin(["Refused", "Unknown"]).sum())
    coding = coded(nation)[1]
    named = f"q0 (Refused, Unknown in {n_rows} rows may mean missing)"
    assert coding.doubts == (
        f"{named}: read the file with na=['Refused', 'Unknown'], or replace them by NaN"
    )
    assert not coded(drawn(("yes", "unknown")))[1].doubts


def survey(n_classes=3, n_items=8, noise=0.8, seed=0, n=400):
    """Normal answers cut at random thresholds, some items reversed."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, n_classes, n)
    centre = np.linspace(-1.6, 1.6, n_classes)[group]
    codes = [
        np.searchsorted(np.sort(rng.uniform(-2.0, 2.0, 4)), sign * centre + noise * normal)
        for sign, normal in zip(
            rng.choice([-1, 1], n_items), rng.normal(size=(n_items, n)), strict=True
        )
    ]
    return np.array(codes).T, group


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")
@pytest.mark.parametrize("family", [None, "ordinal"])
def test_answers_in_words_and_their_codes_have_the_same_classes(tmp_path, family):
    codes, group = survey()
    names = [f"q{item}" for item in range(8)]
    numbers, words = (
        pd.DataFrame(a[codes], columns=names) for a in (np.arange(5), np.array(NEVER))
    )
    options = {"family": family, "criterion": "bic", "random_state": 0}
    expected, search = (bm.select(frame, (2, 3, 4), **options) for frame in (numbers, words))
    assert search.n_components_ == expected.n_components_ == 3
    predicted = search.predict(words)
    np.testing.assert_array_equal(predicted, expected.predict(numbers))
    assert adjusted_rand_score(group, predicted) >= 0.9
    search.save(tmp_path / "search.bayesmix")
    loaded = bm.load(tmp_path / "search.bayesmix")
    np.testing.assert_array_equal(loaded.predict(words[:50]), predicted[:50])
    labels = bm.plot_profile(search.best_estimator_).get_yticklabels()
    # Of 40 answers those that differ most are drawn, in the order of the scale.
    shown = [label.get_text() for label in labels if label.get_text().startswith("q0: ")]
    assert len(shown) > 2
    assert shown == [f"q0: {word}" for word in NEVER if f"q0: {word}" in shown]
    words.to_csv(tmp_path / "words.csv", index=False)
    arguments = [
        "--components",
        "2:4",
        "--criterion",
        "bic",
        "--seed",
        "0",
        "--json",
        "--jobs",
        "1",
    ]
    arguments += ["--family", family] if family else []
    out = io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(io.StringIO()) as notes,
        pytest.raises(SystemExit),
    ):
        app(["select", str(tmp_path / "words.csv"), *arguments], prog_name="bayesmix")
    said = json.loads(out.getvalue())
    assert said["best"]["bic"] == pytest.approx(search.best_score_, rel=1e-8)
    assert said["data"]["levels"]["q0"] == [*NEVER]
    told = "ratings: q0, q1, ..., q7 (8 columns) (5 labels from Never to Always)"
    assert told in notes.getvalue()


def test_a_named_ordinal_family_says_that_words_are_in_alphabetical_order():
    frame = drawn(("nie", "oft", "immer"), 3)
    with pytest.warns(BayesmixWarning, match="q0, q1, q2: levels are in alphabetical order"):
        bm.Mixture(1, family=bm.Ordinal()).fit(frame)
    order = pd.CategoricalDtype(["nie", "oft", "immer"], ordered=True)
    bm.Mixture(1, family=bm.Ordinal()).fit(frame.astype(order))
