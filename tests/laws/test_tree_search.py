"""The search from the tops of trees: what it fits, on cells and on all observations."""

import math

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, UnsupportedError
from bayesmix.selection.tasks import Task
from bayesmix.selection.tree_search import REACH


def twelve_groups(n, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 12
    centres = 7.0 * np.array([[i, j, (i + j) % 2] for i in range(4) for j in range(3)])
    return centres[labels] + rng.normal(size=(n, 3)), labels


@pytest.fixture(scope="module")
def large():
    X, labels = twelve_groups(6000)
    return X, labels, bm.select(X, n_jobs=1)


@pytest.mark.slow
def test_groups_are_found_on_cells_and_fitted_to_all_observations(large):
    X, labels, search = large
    assert search.n_clusters_ == 12
    assert adjusted_rand_score(labels, search.predict_clusters(X)) > 0.99
    table = search.results_
    on_all = table["elbo_prior"].notna()
    assert 2 < on_all.sum() < len(table)
    assert table.loc[~on_all, "note"].str.contains("cells alone").all()
    # Cells share responsibilities, so that they bound the value on all observations; runs end
    # where a pass gains little.
    assert (table.loc[on_all, "on_sample"] <= table.loc[on_all, "elbo_log_k"] + 0.1).all()
    neighbours = table.loc[on_all, "n_components"]
    assert {11, 12, 13} <= set(neighbours)


@pytest.mark.slow
def test_the_answer_is_that_of_fits_to_all_observations(large):
    X, _, search = large
    grid = bm.select(X, range(10, 15), "spherical", most_samples=None, n_jobs=1)
    values = search.results_["elbo_log_k"]
    assert values.max() >= grid.results_["elbo_log_k"].max() - 0.1


@pytest.mark.slow
def test_a_list_of_numbers_is_fitted_whole_on_cells(large):
    X, *_ = large
    search = bm.select(X, (3, 12, 20), ("diag", "spherical"), n_jobs=1)
    assert sorted(search.results_["n_components"]) == [3, 3, 12, 12, 20, 20]
    assert search.best_params_ == {"covariance_type": "spherical", "n_components": 12}


@pytest.mark.slow
def test_likelihood_criteria_are_searched_alike():
    X, _ = twelve_groups(3000)
    search = bm.select(X, criterion="bic", n_jobs=1)
    # One covariance has fewer parameters than twelve variances.
    assert search.best_params_ == {"covariance_type": "tied", "n_components": 12}


@pytest.mark.slow
def test_an_interrupt_among_cells_fits_the_best_to_all_observations(monkeypatch):
    X, _ = twelve_groups(3000)
    fit, seen = Task.__call__, []

    def interrupted(task, question):
        seen.append(question)
        if len(seen) == 7:
            raise KeyboardInterrupt
        return fit(task, question)

    monkeypatch.setattr(Task, "__call__", interrupted)
    with pytest.warns(BayesmixWarning, match="interrupted: compared the first 6 candidates"):
        search = bm.select(X, n_jobs=1)
    assert search.interrupted_
    assert search.best_estimator_.result_.n_rows == 3000


def test_neighbours_of_all_candidates_within_reach_are_fitted():
    search = bm.select(bm.datasets.load_faithful())
    table = search.results_
    fitted = {(row.covariance_type, row.n_components) for row in table.itertuples()}
    best = table["elbo_prior"].max()
    within = table[table["elbo_prior"] > best - REACH + 1e-6]
    for row in within.itertuples():
        for k in (row.n_components - 1, row.n_components + 1):
            assert k == 0 or (row.covariance_type, k) in fitted
    assert math.isfinite(best)


def test_a_search_of_given_numbers_has_no_tree():
    search = bm.MixtureSearch(n_components=(1, 2)).fit(bm.datasets.load_faithful())
    with pytest.raises(UnsupportedError, match="no tree of merges"):
        search.plot_tree()


@pytest.mark.parametrize("n_clusters", [1, 2, 3])
def test_another_number_of_clusters_is_a_search_of_its_own(n_clusters):
    X = bm.datasets.load_faithful()
    search = bm.select(X)
    before = search.summary()
    other = search.with_clusters(n_clusters)
    labels = other.predict_clusters(X)
    assert other.n_clusters_ == n_clusters == len(np.unique(labels))
    assert other.summary().startswith(f"{n_clusters} cluster")
    assert other.answer_.sizes.sum() + other.answer_.outlying == pytest.approx(len(X))
    assert search.summary() == before
    assert search.n_clusters_ == 2


def test_a_number_of_clusters_that_no_candidate_has_is_refused():
    search = bm.select(bm.datasets.load_faithful(), (1, 2))
    with pytest.raises(ValueError, match="no fitted candidate forms n_clusters=9"):
        search.with_clusters(9)


def test_another_fit_leaves_no_tree_of_the_first():
    X = bm.datasets.load_faithful()
    search = bm.select(X)
    search.plot_tree()
    search.set_params(n_components=(1, 2), covariance_type="full", most_samples=None)
    search.set_params(column_powers=False, try_noise=False).fit(X)
    with pytest.raises(UnsupportedError, match="no tree of merges"):
        search.plot_tree()
