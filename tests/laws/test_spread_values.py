"""Rounded values of a search: the grids they lie on, what is spread, and what stays as it is."""

import warnings

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm
from bayesmix.errors import BayesmixWarning
from bayesmix.numerics.rounding import grids_of, steps_of
from bayesmix.selection.data_checks import equal_copies
from bayesmix.selection.spread_values import spread_values
from bayesmix.sources.memory import ArraySource


def selected(X, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)
        return bm.select(X, n_jobs=1, **options)


def on_three_grids(n=934, seed=1):
    """Return heights of one group in steps of 0.1, 0.5 and 1, and the steps."""
    rng = np.random.default_rng(seed)
    steps = rng.choice([0.1, 0.5, 1.0], n, p=[0.3, 0.4, 0.3])
    return (np.round(rng.normal(66.7, 3.5, n) / steps) * steps).round(1), steps


def heaped(n=299, seed=1):
    """Return waiting times and durations of two groups, of which 74 are whole and even minutes."""
    rng = np.random.default_rng(seed)
    short = rng.random(n) < 0.36
    duration = np.where(short, rng.normal(2.0, 0.25, n), rng.normal(4.35, 0.4, n))
    waiting = np.where(short, rng.normal(80, 7, n), rng.normal(67, 10, n)).round()
    duration[rng.choice(np.flatnonzero(~short), 53, replace=False)] = 4.0
    duration[rng.choice(np.flatnonzero(short), 21, replace=False)] = 2.0
    return pd.DataFrame({"waiting": waiting, "duration": duration.round(2)})


def test_values_on_several_grids_have_the_coarsest_step():
    x, _ = on_three_grids()
    whole, half = x % 1.0 == 0.0, x % 1.0 == 0.5
    expected = np.select([whole, half], [1.0, 0.5], 0.1)
    np.testing.assert_allclose(steps_of(x), expected, rtol=1e-9)


def test_inches_in_tenths_of_centimetres_have_the_step_of_an_inch():
    inches = np.round(np.random.default_rng(2).normal(68, 2.5, 900))
    np.testing.assert_allclose(steps_of((2.54 * inches).round(1)), 2.54, rtol=2e-3)


def test_a_few_values_off_a_grid_leave_it_a_grid():
    rng = np.random.default_rng(6)
    x = np.round(rng.normal(50.0, 6.0, 400))
    np.testing.assert_allclose(steps_of(np.append(x, [48.37, 51.7118])), 1.0)
    assert grids_of(np.append(x, rng.normal(50.0, 6.0, 40))) is None


def test_scores_that_are_means_of_answers_are_spread():
    """One scale is the mean of eight answers, of which some pupils gave six or seven."""
    scales = pd.read_csv("tests/data/pisa_scales.csv")
    assert grids_of(scales["efficacy"].dropna().to_numpy()).step == pytest.approx(1 / 56)
    search = selected(scales)
    assert search.n_clusters_ == 1
    assert "17 observations with missing values" in search.summary()


def test_one_frequent_value_makes_no_grid():
    rng = np.random.default_rng(3)
    x = np.where(rng.random(500) < 0.4, 0.0, rng.normal(0.0, 3.0, 500)).round(1)
    np.testing.assert_allclose(steps_of(x), 0.1)


def test_zeros_limits_and_levels_are_exact():
    rng = np.random.default_rng(4)
    amounts = np.where(rng.random(500) < 0.4, 0.0, rng.normal(20.0, 4.0, 500)).round(1)
    grids = grids_of(amounts)
    assert grids.exact.tolist() == [True] + [False] * (len(grids.values) - 1)
    assert grids_of(np.minimum(rng.normal(size=500), 0.5).round(1)).exact[-1]
    assert grids_of(rng.choice([0.0, 10.0, 20.0, 30.0], 300)).exact.all()
    assert grids_of(rng.choice(np.arange(1.0, 6.0), 300)).exact.all()
    assert not grids_of(rng.normal(size=300).round()).exact.any()


def test_values_that_are_not_rounded_stay_the_same_object():
    rng = np.random.default_rng(5)
    for rows in (rng.normal(size=(400, 2)), rng.normal(size=(150, 2)).round(1)):
        source = ArraySource(rows)
        assert spread_values(source, [0, 1], 0) == (source, ())


def test_spread_values_lie_within_half_a_step():
    x, _ = on_three_grids()
    source = ArraySource(x[:, None])
    spread, (feature,) = spread_values(source, [0], 7)
    away = np.abs(spread.values[:, 0] - x) / steps_of(x)
    assert away.max() <= 0.5
    assert np.abs(away.mean() - 0.25) < 4.0 * np.sqrt(1.0 / 48.0 / len(x))
    assert feature.heaps.startswith("column 0 (")
    again, _ = spread_values(source, [0], 7)
    np.testing.assert_array_equal(again.values, spread.values)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_one_group_of_heights_in_inches_is_one_cluster(seed):
    rng = np.random.default_rng(seed)
    heights = np.clip(np.floor(rng.normal(68.1, 2.5, 930)) + 0.2, 61.7, 73.7)
    search = selected(heights[:, None], random_state=seed)
    assert search.n_clusters_ == 1
    assert "steps" in search.summary()
    assert selected(bm.Measured(heights[:, None], step="auto")).n_clusters_ == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_one_group_on_three_grids_is_one_cluster(seed):
    assert selected(on_three_grids(seed=seed)[0][:, None], random_state=seed).n_clusters_ == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_a_heap_on_a_round_number_is_named_and_no_cluster(seed):
    search = selected(heaped(), random_state=seed)
    assert search.n_clusters_ == 2
    assert "duration (54 exactly 4, " in search.summary()


@pytest.mark.slow
def test_a_heap_of_zeros_is_a_mass_or_stays_a_group():
    rng = np.random.default_rng(5)
    amounts = np.where(rng.random(400) < 0.4, 0.0, rng.normal(20.0, 4.0, 400)).round(1)[:, None]
    with_mass = selected(amounts)
    assert with_mass.n_clusters_ == 1
    assert "Values that many share: x0 (42 % zeros)" in with_mass.summary()
    search = selected(amounts, masses=None)
    assert search.n_clusters_ == 2
    clusters = search.predict_clusters(amounts)
    assert len(set(clusters[amounts[:, 0] == 0.0])) == 1
    assert set(clusters[amounts[:, 0] == 0.0]).isdisjoint(clusters[amounts[:, 0] > 5.0])


@pytest.mark.slow
def test_levels_of_a_dose_stay_groups():
    rng = np.random.default_rng(6)
    dose = rng.choice([0.0, 10.0, 20.0, 40.0], 400)
    assert selected(np.column_stack([dose, 0.2 * dose + rng.normal(size=400)])).n_clusters_ == 4


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["auto", "bic"])
def test_weights_of_two_and_every_row_twice_are_one_search(criterion):
    rng = np.random.default_rng(100)
    X = (rng.normal(size=(48, 4)) @ rng.normal(size=(4, 4))).round(1)
    weighted = selected(X, sample_weight=np.full(48, 2.0), criterion=criterion)
    twice = selected(np.repeat(X, 2, axis=0), criterion=criterion)
    assert weighted.n_clusters_ == twice.n_clusters_
    assert weighted.cluster_probabilities_.equals(twice.cluster_probabilities_)
    columns = ["log_likelihood", "bic", "icl", "aic"]
    pd.testing.assert_frame_equal(weighted.results_[columns], twice.results_[columns])
    if criterion == "auto":
        plain = selected(X)
        pd.testing.assert_frame_equal(plain.results_[columns], twice.results_[columns])
        assert "Every observation occurs 2 times" in twice.summary()


def test_one_of_equal_copies_of_rounded_rows_is_left():
    rows = np.random.default_rng(9).integers(0, 6, (60, 2)) * 1.0
    source = ArraySource(np.tile(rows, (3, 1)), np.full(180, 2.0))
    places, copies, weight = equal_copies(source)
    assert (copies, weight, len(places)) == (3, 2.0, 60)
    left, expected = source.values[places], rows
    np.testing.assert_array_equal(left[np.lexsort(left.T)], expected[np.lexsort(expected.T)])
    assert equal_copies(ArraySource(rows))[1:] == (1, 1.0)


@pytest.mark.slow
def test_components_of_a_growing_search_have_more_than_d_plus_1_distinct_rows():
    rng = np.random.default_rng(8)
    search = selected(rng.normal(size=(40, 3)), sample_weight=rng.integers(1, 40, 40) * 1.0)
    assert search.results_["n_components"].max() <= 40 // 5


def test_groups_as_far_apart_as_round_numbers_are_no_coarser_grid():
    alarms = 0
    for seed in range(60):
        rng = np.random.default_rng([11, seed])
        apart, step = rng.integers(4, 8), rng.choice([0.25, 0.5, 1.0])
        x = apart * rng.integers(0, 3, 300) + rng.normal(size=300)
        alarms += grids_of(np.round(x / step) * step).heaped.any()
    # 3 in 100 are to be expected; more than 7 of 60 have probability 0.001.
    assert alarms <= 7
