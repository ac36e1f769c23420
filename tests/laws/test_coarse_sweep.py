"""Large data: K grows in widening steps on a sample, and comes back to the best."""

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.estimators.searching import search_checks
from bayesmix.selection.coarse_sweep import LARGEST, widening


@pytest.fixture
def large(monkeypatch):
    """A sample of 1,000 observations, so that small data are large."""
    monkeypatch.setattr(search_checks, "FEWEST_SAMPLES", 1000)
    monkeypatch.setattr(search_checks, "SAMPLES_PER_PARAMETER", 1)
    return {"most_samples": 1000}


def lattice(rng, n_groups, n, D=3):
    """Spherical groups at different points of a lattice, ten standard deviations apart."""
    places = rng.choice(4**D, n_groups, replace=False)
    centres = 10.0 * np.array(np.unravel_index(places, (4,) * D)).T
    labels = np.arange(n) % n_groups
    return centres[labels] + rng.normal(size=(n, D)), labels


def test_steps_widen_by_at_most_a_half_beyond_two():
    numbers = widening(LARGEST)
    assert numbers[:8] == [1, 2, 3, 4, 6, 8, 12, 16]
    assert numbers[-1] == LARGEST
    assert all(low < high <= 1.5 * low for low, high in pairwise(numbers[1:]))


def test_the_answer_is_that_of_a_search_of_all_numbers(large):
    X, labels = lattice(np.random.default_rng(1), 5, 2000)
    coarse, full = bm.select(X, **large), bm.select(X, most_samples=None)
    assert coarse.best_params_ == full.best_params_
    assert coarse.best_params_ == {"covariance_type": "spherical", "n_components": 5}
    assert coarse.best_score_ == pytest.approx(full.best_score_, rel=1e-5)
    assert np.unique(coarse.predict(X) * 5 + labels).size == 5


@pytest.mark.slow
def test_more_than_thirty_groups_are_found(large):
    X, labels = lattice(np.random.default_rng(2), 33, 3000)
    search = bm.select(X, column_powers=False, **large)
    assert search.n_clusters_ == 33
    assert np.unique(search.predict(X) * 33 + labels).size == 33
    tried = set(search.results_["n_components"])
    assert {32, 33, 34} <= tried  # neighbours of the best
    assert len(tried) < 25


def test_structures_that_cannot_catch_up_end_early(large):
    rng = np.random.default_rng(3)
    labels = np.arange(2000) % 6
    shapes = np.eye(4) + 1.5 * rng.normal(size=(6, 4, 4))
    X = 8.0 * rng.normal(size=(6, 4))[labels]
    X += np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(2000, 4)))
    table = bm.select(X, column_powers=False, **large).results_
    largest = table.groupby("covariance_type")["n_components"].max()
    assert table["covariance_type"][0] == "full"
    assert table["n_components"][0] == 6
    assert largest["full"] > 6
    assert largest.max() <= 12  # of 300


@pytest.fixture
def wide(monkeypatch):
    """Six columns are many."""
    monkeypatch.setattr(search_checks, "FEWEST_SAMPLES", 1000)
    monkeypatch.setattr(search_checks, "SAMPLES_PER_PARAMETER", 1000)


def unlike_groups(rng, n_groups, n, D):
    """Normal groups with covariances of their own."""
    labels = np.arange(n) % n_groups
    shapes = np.eye(D) + 0.5 * rng.normal(size=(n_groups, D, D))
    noise = np.einsum("nij,nj->ni", shapes[labels], rng.normal(size=(n, D)))
    return 8.0 * rng.normal(size=(n_groups, D))[labels] + noise, labels


@pytest.mark.slow
def test_many_columns_have_the_answer_of_a_search_of_all_numbers(wide):
    X, labels = unlike_groups(np.random.default_rng(6), 9, 2000, 6)
    merges = bm.select(X, column_powers=False)
    full = bm.select(X, None, "full", column_powers=False, most_samples=None)
    assert merges.best_params_ == {"covariance_type": "full", "n_components": 9}
    best, of_full = (search.results_["elbo_log_k"][0] for search in (merges, full))
    assert best == pytest.approx(of_full, rel=1e-6)
    assert adjusted_rand_score(labels, merges.predict(X)) > 0.99
    tried = merges.results_.loc[merges.results_["covariance_type"] == "full", "n_components"]
    assert sorted(tried) == [1, 2, 3, 8, 9, 10]  # of 300: what merges leave, and its neighbours


@pytest.mark.slow
def test_many_columns_may_have_more_than_thirty_groups(wide):
    X, labels = lattice(np.random.default_rng(7), 34, 3000, 6)
    search = bm.select(X, column_powers=False)
    assert search.best_params_ == {"covariance_type": "spherical", "n_components": 34}
    assert search.n_clusters_ == 34
    assert np.unique(search.predict(X) * 34 + labels).size == 34


def test_candidates_say_on_how_many_observations_they_were_compared(large):
    X, _ = lattice(np.random.default_rng(4), 3, 2000)
    table = bm.select(X, **large).results_
    of_sample = table["note"].str.startswith("compared on 1,000 observations alone")
    assert of_sample.sum() >= len(table) - 3
    assert table["on_sample"].notna().all()
    assert not of_sample[0]


def test_numbers_that_are_given_are_all_fitted(large):
    X, _ = lattice(np.random.default_rng(5), 3, 2000)
    table = bm.select(X, range(1, 6), "spherical", **large).results_
    assert sorted(table["n_components"]) == [1, 2, 3, 4, 5]
