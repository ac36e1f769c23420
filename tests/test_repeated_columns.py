"""Columns that say what another one says are named; columns of well-separated clusters are not."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.data.coded_frames import looked_at
from bayesmix.data.repeated_columns import repeated_columns


def clusters(draw):
    """Well-separated clusters of numbers, dependent within clusters or not, counts and levels."""
    n, K, D = draw.integers(200, 1500), draw.integers(2, 6), draw.integers(3, 8)
    labels = draw.choice(K, n, p=draw.dirichlet(np.full(K, 6.0)))
    means = draw.normal(size=(K, D)) * draw.uniform(4.0, 8.0)
    mixed = np.eye(D) + draw.integers(0, 2) * draw.normal(size=(D, D)) / (2.0 * np.sqrt(D))
    X = means[labels] + draw.normal(size=(n, D)) @ mixed
    numbers = {f"x{d}": X[:, d] for d in range(D)}
    numbers["visits"] = draw.poisson(draw.gamma(2.0, 10.0, K)[labels]).astype(float)
    shares = draw.dirichlet(np.full(4, 0.3), K)
    kind = (draw.random((n, 1)) > shares[labels].cumsum(axis=1)).sum(axis=1).clip(0, 3)
    return numbers, {"kind": kind.astype(float)}


def test_columns_of_separated_clusters_are_no_repetitions():
    draw = np.random.default_rng(11290)
    assert sum(bool(repeated_columns(*clusters(draw))) for _ in range(40)) <= 1


@pytest.mark.parametrize("plant", ["unit", "grade", "logarithm", "rounded", "noise", "label"])
def test_planted_repetitions_are_named(plant):
    draw, found = np.random.default_rng(11291), 0
    for _ in range(10):
        numbers, levels = clusters(draw)
        x, n = numbers["x0"], len(numbers["x0"])
        planted = {
            "unit": 2.54 * x + 0.02 * draw.normal(size=n),
            "logarithm": np.exp(0.7 * x / x.std()),
            "rounded": np.round(x, 1),
            "noise": x + 0.2 * draw.normal(size=n),
        }
        if plant == "grade":
            levels["copy"] = np.digitize(x, np.quantile(x, [0.25, 0.5, 0.75])).astype(float)
        elif plant == "label":
            levels["code"] = draw.integers(0, 8, n).astype(float)
            levels["copy"] = levels["code"] // 2
        else:
            numbers["copy"] = planted[plant]
        doubts = repeated_columns(numbers, levels)
        found += "copy" in doubts or any("from copy " in doubt for doubt in doubts.values())
    assert found >= 9


def test_a_grade_beside_its_rate_is_named_before_the_fit_and_nothing_is_dropped():
    draw = np.random.default_rng(3)
    rate = draw.normal(12.0, 4.0, 300).round(2)
    frame = pd.DataFrame(
        {
            "rate": rate,
            "income": draw.normal(size=300),
            "grade": np.array(list("ABCD"))[np.digitize(rate, [9.0, 12.0, 15.0])],
        }
    )
    with pytest.warns(bm.errors.BayesmixWarning, match=r"grade: follows from rate .*exclude"):
        search = bm.select(frame, n_components=1)
    assert [*search.columns_["kind"]] == ["continuous", "continuous", "categorical"]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        without = bm.select(frame, n_components=1, exclude=["grade"])
    notes = [" ".join(fit.describe(frame).notes) for fit in (search, without)]
    assert "grade follows from rate (uncertainty coefficient" in notes[0]
    assert "count twice" in notes[0]
    assert "follows from" not in notes[1]
    assert not any("follows from" in str(one.message) for one in said)


def test_continuous_columns_are_named_without_a_warning_as_a_full_covariance_allows_for_them():
    draw = np.random.default_rng(4)
    radius = draw.normal(14.0, 3.0, 300)
    frame = pd.DataFrame(
        {
            "radius": radius,
            "perimeter": 6.3 * radius + 0.3 * draw.normal(size=300),
            "home": draw.choice(["own", "rent"], 300),
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = bm.select(frame, n_components=1)
    reason = search.columns_.loc["perimeter", "reason"]
    assert reason.startswith("follows from radius (R² ")
    assert reason.endswith("full and tied covariances allow for it")
    frame = frame[["radius", "perimeter"]]
    fit = bm.GaussianMixture(1, covariance_type="diag").fit(frame)
    assert any("radius and perimeter (1.00)" in note for note in fit.describe(frame).notes)


def passengers(n=400):
    """Two classes of levels and an age, with copies: a port by name and by letter, a deck of it."""
    draw = np.random.default_rng(120199)
    group = draw.random(n) < 0.4
    port = np.where(draw.random(n) < np.where(group, 0.8, 0.2), "Cherbourg", "Queenstown")
    port = np.where(draw.random(n) < 0.2, "Southampton", port)
    return pd.DataFrame(
        {
            "port": port,
            "meal": np.where(draw.random(n) < np.where(group, 0.9, 0.2), "hot", "cold"),
            "cabin": np.where(draw.random(n) < np.where(group, 0.85, 0.1), "own", "shared"),
            "age": draw.normal(np.where(group, 50.0, 25.0), 6.0).round(1),
            "letter": [name[0] for name in port],
            "irish": port == "Queenstown",
        }
    )


def test_a_column_that_follows_exactly_from_another_counts_once():
    frame = passengers()
    with pytest.warns(
        bm.errors.BayesmixWarning,
        match=r"letter, irish \(follows exactly from port\); .*\{'letter': 'categorical'",
    ):
        search = bm.select(frame)
    rest = frame.drop(columns=["letter", "irish"])
    alone = bm.select(rest)
    assert search.summary() == alone.summary()
    assert (search.predict_clusters(frame) == alone.predict_clusters(rest)).all()
    assert (search.predict_clusters(rest) == alone.predict_clusters(rest)).all()
    reasons = search.columns_.loc[["letter", "irish"], "reason"]
    assert (reasons == "follows exactly from port").all()
    assert (search.columns_.loc[["letter", "irish"], "kind"] == "exclude").all()


def test_a_declared_copy_and_one_that_codes_of_rows_determine_stay():
    frame = passengers().assign(ticket=[f"t{i // 2}" for i in range(400)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coding = looked_at(frame, {"irish": "categorical"})[1]
    assert dict(coding.left_out) == {"letter": "follows exactly from port"}
    assert "meal" in coding.names


def test_a_copy_that_is_seen_where_the_other_is_missing_stays():
    frame = passengers()
    frame.loc[::7, "port"] = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coding = looked_at(frame)[1]
    assert dict(coding.left_out) == {
        "irish": "follows exactly from letter",
        "port": "follows exactly from letter",
    }
