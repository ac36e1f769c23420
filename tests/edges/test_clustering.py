"""A clusterer of scikit-learn's kind, and the programs that take one, their calls rebuilt."""

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import bayesmix as bm
from bayesmix.errors import InvalidInputError


def groups(n=300, n_groups=3, dimension=5, seed=20261129):
    """Groups whose centres are far apart, in an order that says nothing."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, n_groups, n)
    centres = rng.uniform(-20, 20, (n_groups, dimension))
    return centres[group] + rng.normal(size=(n, dimension)), group


@pytest.mark.slow
def test_scikit_learn_accepts_the_clusterer():
    quick = bm.MixtureClustering((1, 2), covariance_type="spherical", n_jobs=1)
    # Copies of a sample are in several parts of the cross-validation, a weighted one is in one.
    weights = {"check_sample_weight_equivalence_on_dense_data": "held out together"}
    results = check_estimator(quick, expected_failed_checks=weights, on_fail=None, on_skip=None)
    assert len(results) > 40
    assert [each["check_name"] for each in results if each["status"] == "failed"] == []


def test_labels_are_the_clusters_of_the_search_and_not_its_components():
    rng = np.random.default_rng(4)
    cross = np.r_[rng.normal(size=(300, 2)) * [1, 4], rng.normal(size=(300, 2)) * [4, 1]]
    X = np.r_[cross, rng.normal(size=(200, 2)) + 25, [[-300.0, 400.0]]]
    clustering = bm.MixtureClustering().fit(X)
    search = clustering.search_
    assert clustering.n_clusters_ == 2 < search.n_components_
    np.testing.assert_array_equal(clustering.labels_, search.predict_clusters(X))
    np.testing.assert_array_equal(clustering.labels_, clustering.predict(X))
    assert clustering.labels_[-1] == -1
    assert clustering.probabilities_[-1] == 0.0
    shares = clustering.predict_proba(X)
    np.testing.assert_allclose(shares[:-1].max(axis=1), clustering.probabilities_[:-1])
    assert shares[:600, 0].mean() > 0.99


def test_a_given_number_is_that_of_the_components():
    X, group = groups()
    clustering = bm.MixtureClustering(3, covariance_type="full").fit(X)
    assert clustering.n_clusters_ == 3
    assert adjusted_rand_score(group, clustering.fit_predict(X)) == 1.0
    with pytest.raises(InvalidInputError, match="n_clusters must be an integer of at least 1"):
        bm.MixtureClustering(0).fit(X)


def test_frames_of_numbers_and_categories_are_clustered_in_pipelines_or_alone():
    X, group = groups(n_groups=2, dimension=2)
    frame = pd.DataFrame(X, columns=["a", "b"])
    in_pipeline = make_pipeline(StandardScaler(), bm.MixtureClustering()).fit(frame)
    assert adjusted_rand_score(group, in_pipeline.predict(frame)) == 1.0
    frame["kind"] = np.where(group == 0, "x", "y")
    mixed = bm.MixtureClustering().fit(frame)
    assert adjusted_rand_score(group, mixed.labels_) == 1.0
    assert "2 clusters" in mixed.summary()


class TopicModel:
    """How BERTopic calls the clusterer that it is given as ``hdbscan_model``."""

    def __init__(self, hdbscan_model):
        self.hdbscan_model = hdbscan_model

    def fit(self, reduced, y=None):
        try:
            self.hdbscan_model.fit(reduced, y=y)
        except TypeError:
            self.hdbscan_model.fit(reduced)
        self.topics = self.hdbscan_model.labels_
        self.outliers = int(-1 in set(self.topics))
        self.probabilities = getattr(self.hdbscan_model, "probabilities_", None)
        return self

    def transform(self, reduced):
        return self.hdbscan_model.predict(reduced)


def test_topics_have_labels_probabilities_and_predictions():
    X, group = groups(n_groups=5)
    topics = TopicModel(bm.MixtureClustering()).fit(X)
    assert adjusted_rand_score(group, topics.topics) == 1.0
    assert topics.outliers == 0
    assert topics.probabilities.shape == (len(X),)
    assert topics.probabilities.min() > 0.9
    np.testing.assert_array_equal(topics.transform(X[:20]), topics.topics[:20])


def soft_clusters(embeddings, threshold, most):
    """RAPTOR's clusters of texts: the number by BIC, a text in all clusters above a threshold."""
    search = bm.select(embeddings, range(1, most), criterion="bic")
    shares = search.predict_proba(embeddings)
    return [np.flatnonzero(each > threshold) for each in shares], search.n_components_


def test_the_number_by_bic_is_found_where_full_covariances_are_singular():
    """97,000 × 12 with singular components ended in an error; here 60 copies of a text."""
    X, group = groups(n=400, n_groups=4, dimension=6)
    X[:60] = X[0]
    group[:60] = group[0]
    clusters, number = soft_clusters(X, 0.1, 9)
    assert 4 <= number <= 6
    assert min(map(len, clusters)) >= 1
    first = np.array([each[0] for each in clusters])
    assert adjusted_rand_score(group, first) > 0.85


class AutoK:
    """CellCharter's choice of K: by stability, several runs of each K by ``n_clusters``."""

    def __init__(self, n_clusters, model_class, model_params, max_runs=3):
        self.n_clusters, self.model_class = n_clusters, model_class
        self.model_params, self.max_runs = model_params, max_runs

    def fit(self, X):
        runs = {
            k: [
                self.model_class(n_clusters=k, random_state=i, **self.model_params)
                .fit(X)
                .predict(X)
                for i in range(self.max_runs)
            ]
            for k in self.n_clusters
        }
        agreement = {
            k: np.mean([adjusted_rand_score(found[0], each) for each in found[1:]])
            for k, found in runs.items()
        }
        self.best_k = max(agreement, key=lambda k: (round(agreement[k], 3), k))
        return self


def test_one_search_answers_what_many_runs_of_each_number_are_for():
    X, _ = groups(n_groups=4, dimension=3)
    params = {"covariance_type": "full"}
    assert AutoK(range(2, 5), bm.MixtureClustering, params).fit(X).best_k == 4
    assert bm.MixtureClustering(range(1, 8), **params).fit(X).n_clusters_ == 4


def test_well_separated_clusters_that_agglomerative_starts_miss_are_found():
    """Where a chosen start decides: eight groups far apart, of very different size."""
    rng = np.random.default_rng(8)
    sizes = [400, 200, 100, 60, 40, 30, 30, 30]
    centres = rng.uniform(-60, 60, (8, 2))
    group = np.repeat(np.arange(8), sizes)
    X = centres[group] + rng.normal(size=(len(group), 2))
    clustering = bm.MixtureClustering().fit(X)
    assert clustering.n_clusters_ == 8
    ours = adjusted_rand_score(group, clustering.labels_)
    assert ours >= adjusted_rand_score(group, KMeans(8, n_init=1, random_state=0).fit_predict(X))
