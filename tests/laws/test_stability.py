"""Stability: what resampling says of a procedure, and that it says the same to everybody."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.assess import stability as resampling
from bayesmix.assess.stability import adjusted_rand, stability
from bayesmix.errors import InvalidInputError
from bayesmix.sources.memory import ArraySource

SETTINGS = {"n_resamples": 6, "random_state": 0}


def clusters(apart, n=60, seed=0):
    rng = np.random.default_rng(seed)
    return np.vstack([rng.normal(centre, 1.0, (n, 2)) for centre in (0.0, apart)])


class Sometimes(BaseEstimator):
    """One cluster; refuses rows that hold the first of all rows."""

    def fit(self, X):
        if (X[:, 0] == -99.0).any() and len(X) < 20:
            raise ValueError("such rows cannot be fitted")
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


def test_the_index_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for first, second in ((3, 4), (1, 3), (5, 5), (1, 1)):
        a, b = rng.integers(0, first, 80), rng.integers(0, second, 80)
        assert adjusted_rand(a, b, np.ones(80)) == pytest.approx(
            adjusted_rand_score(a, b), abs=1e-12
        )
    assert adjusted_rand(a, a + 7, np.ones(80)) == 1.0


def test_a_weight_of_two_is_the_row_twice_in_the_index():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    weights = rng.integers(0, 4, 50)
    twice = adjusted_rand_score(np.repeat(a, weights), np.repeat(b, weights))
    assert adjusted_rand(a, b, weights.astype(float)) == pytest.approx(twice, abs=1e-12)


def test_clusters_far_apart_come_back_whole():
    found = stability(bm.GaussianMixture(2), clusters(20.0), **SETTINGS)
    assert found.n_components == 2
    assert found.k_shares.to_dict() == {2: 1.0}
    assert (found.table["adjusted_rand"] == 1.0).all()
    assert found.between_halves["mean"] == 1.0
    assert "K=2 in 6 of 6 half-samples" in found.summary()


def test_clusters_that_are_not_there_do_not_come_back():
    blob = np.random.default_rng(0).normal(size=(150, 2))
    found = stability(KMeans(4, n_init=1), blob, **SETTINGS)
    together = stability(KMeans(2, n_init=1), clusters(20.0), **SETTINGS)
    assert found.adjusted_rand["mean"] < 0.8 < together.adjusted_rand["mean"]


def test_halves_share_no_row_and_are_all_rows():
    seen = []

    class Watch(Sometimes):
        def fit(self, X):
            seen.append(set(X[:, 0]))
            return self

    X = np.arange(21.0)[:, None]
    found = stability(Watch(), X, n_resamples=5, n_jobs=1, random_state=0)
    whole, *parts = seen
    assert len(found.table) == len(parts) == 5
    for first, second in ((0, 1), (2, 3)):
        assert parts[first] | parts[second] == whole
        assert not parts[first] & parts[second]
    # A split once only: the fifth half stands alone.
    np.testing.assert_array_equal(
        found.table["between_halves"].notna(), [True, False, True, False, False]
    )


def test_a_search_chooses_anew_in_every_part():
    search = bm.MixtureSearch(
        bm.GaussianMixture(2), n_components=(1, 2), covariance_type=("full", "tied")
    )
    found = stability(search, clusters(8.0), n_resamples=4, random_state=0)
    assert found.k_shares.to_dict() == {2: 1.0}
    assert set(found.table["covariance_type"]) <= {"full", "tied"}
    assert f"Covariance {found.covariance_type!r}" in found.summary()
    pipeline = make_pipeline(StandardScaler(), bm.GaussianMixture(2))
    assert stability(pipeline, clusters(20.0), **SETTINGS).adjusted_rand["mean"] == 1.0


@pytest.mark.slow
def test_workers_change_no_number(monkeypatch):
    X = clusters(3.0)
    alone = stability(bm.GaussianMixture(2), X, n_resamples=3, n_jobs=1, random_state=3)
    monkeypatch.setattr("bayesmix.core.parallel.SECONDS_ALONE", 0.0)
    monkeypatch.setattr(resampling, "resolve_jobs", lambda n_jobs: n_jobs)
    together = stability(bm.GaussianMixture(2), X, n_resamples=3, n_jobs=2, random_state=3)
    pd.testing.assert_frame_equal(alone.table, together.table)


def test_what_cannot_be_fitted_is_a_row_with_its_reason():
    X = np.arange(30.0)[:, None]
    X[0] = -99.0
    found = stability(Sometimes(), X, **SETTINGS)
    assert found.n_failed == 3
    failed = found.table[found.table["adjusted_rand"].isna()]
    assert set(failed["note"]) == {"failed: such rows cannot be fitted"}
    assert "3 of 6 could not be fitted" in found.summary()


def test_bootstrap_samples_are_of_all_sizes_of_rows():
    found = stability(bm.GaussianMixture(2), clusters(20.0), method="bootstrap", **SETTINGS)
    assert len(found.table) == 6
    assert found.table["between_halves"].isna().all()
    assert "bootstrap samples" in found.summary()
    assert "halves" not in found.summary()


def test_weights_go_with_their_rows():
    X = clusters(20.0)
    nowhere = np.vstack([X, [[500.0, 500.0]]])
    weights = np.append(np.ones(len(X)), 0.0)
    without = stability(bm.GaussianMixture(2), X, sample_weight=np.ones(len(X)), **SETTINGS)
    zero = stability(bm.GaussianMixture(2), nowhere, sample_weight=weights, **SETTINGS)
    source = stability(bm.GaussianMixture(2), ArraySource(nowhere, weights), **SETTINGS)
    pd.testing.assert_frame_equal(without.table, zero.table)
    pd.testing.assert_frame_equal(without.table, source.table)


def test_what_cannot_be_resampled_is_refused():
    X = clusters(5.0)
    with pytest.raises(InvalidInputError, match="fit and predict"):
        stability(StandardScaler(), X)
    with pytest.raises(InvalidInputError, match="method"):
        stability(bm.GaussianMixture(2), X, method="jackknife")
    with pytest.raises(InvalidInputError, match="n_resamples"):
        stability(bm.GaussianMixture(2), X, n_resamples=0)
    with pytest.raises(InvalidInputError, match="at least 4 rows"):
        stability(bm.GaussianMixture(2), X[:3])
    with pytest.raises(ValueError, match="NaN"):
        stability(bm.GaussianMixture(2), np.full((9, 2), np.nan))
