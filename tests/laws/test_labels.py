"""Known labels and groups: exact bounds, invariances, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from laws.cases import generator

FIXED = {
    "mean_prior": np.zeros(2),
    "mean_precision_prior": 0.1,
    "degrees_of_freedom_prior": 4.0,
    "weight_concentration_prior_type": "dirichlet_distribution",
    "weight_concentration_prior": 1.5,
    "prune": False,
    "random_state": 0,
}


def three_clusters(seed, n=120):
    rng = generator(seed)
    z = rng.integers(0, 3, n)
    return rng.normal(size=(n, 2)) + 3.0 * np.array([[0, 0], [1, 0], [0, 1]])[z], z


def some_of(z, seed, share=0.2):
    return np.where(generator(seed).random(len(z)) < share, z, -1)


def log_joint(gm, X):
    densities = [
        multivariate_normal.logpdf(X, m, c) for m, c in zip(gm.means_, gm.covariances_, strict=True)
    ]
    return np.array(densities).T + np.log(gm.weights_)


@pytest.mark.parametrize("structure", ["full", "diag", "spherical"])
def test_with_all_labels_the_bound_is_the_sum_of_exact_evidences(structure):
    X, z = three_clusters(1)
    scale = {"full": np.eye(2), "diag": np.ones(2), "spherical": 1.0}[structure]
    prior = FIXED | {"covariance_prior": scale, "covariance_type": structure}
    whole = bm.BayesianGaussianMixture(3, **prior).fit(X, labels=z)
    classes = [bm.BayesianGaussianMixture(1, **prior).fit(X[z == k]).elbo_ for k in range(3)]
    counts, alpha = np.bincount(z), prior["weight_concentration_prior"]
    weights = gammaln(3 * alpha) - gammaln(3 * alpha + len(X))
    weights += (gammaln(alpha + counts) - gammaln(alpha)).sum()
    assert whole.elbo_ == pytest.approx(sum(classes) + weights, rel=1e-12)


@pytest.mark.parametrize("share", [0.02, 0.3, 1.0])
def test_the_log_likelihood_is_that_of_samples_and_labels(share):
    X, z = three_clusters(2)
    labels = some_of(z, 2, share)
    gm = bm.GaussianMixture(3, random_state=0).fit(X, labels=labels)
    joint = log_joint(gm, X)
    known = labels >= 0
    expected = joint[known, labels[known]].sum() + logsumexp(joint[~known], axis=1).sum()
    assert gm.log_likelihood_ == pytest.approx(expected, rel=1e-10)
    # A stationary point: one more step from here changes nothing.
    shares = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    shares[known] = np.eye(3)[labels[known]]
    np.testing.assert_allclose(gm.weights_, shares.mean(axis=0), atol=2e-3)
    np.testing.assert_allclose(gm.means_, shares.T @ X / shares.sum(axis=0)[:, None], atol=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [bm.GaussianMixture, bm.BayesianGaussianMixture])
def test_what_constrains_nothing_is_the_mixture_without_labels(kind):
    X, _ = three_clusters(3)
    plain = kind(3, random_state=0).fit(X)
    unknown = {"labels": np.full(len(X), -1)}
    ones = {"labels": np.ones((len(X), 3), dtype=bool)}
    for constraints in (unknown, ones, {"groups": np.arange(len(X))}):
        other = kind(3, random_state=0).fit(X, **constraints)
        np.testing.assert_array_equal(plain.means_, other.means_)
        assert plain.lower_bound_ == other.lower_bound_


def test_permuted_labels_permute_the_components():
    X, z = three_clusters(4)
    labels, order = some_of(z, 4), np.array([2, 0, 1])
    one = bm.GaussianMixture(3, random_state=0).fit(X, labels=labels)
    other = bm.GaussianMixture(3, random_state=0).fit(
        X, labels=np.where(labels >= 0, order[labels], -1)
    )
    np.testing.assert_allclose(other.means_[order], one.means_, rtol=1e-4, atol=1e-4)
    assert other.log_likelihood_ == pytest.approx(one.log_likelihood_, rel=1e-7)


def test_soft_labels_of_zero_and_one_are_hard_labels():
    X, z = three_clusters(5)
    labels = some_of(z, 5)
    soft = np.where((labels >= 0)[:, None], np.eye(3)[labels], 1.0)
    hard = bm.GaussianMixture(3, random_state=0).fit(X, labels=labels)
    for given in (soft, soft.astype(bool)):
        np.testing.assert_array_equal(
            hard.means_, bm.GaussianMixture(3, random_state=0).fit(X, labels=given).means_
        )


def test_soft_labels_multiply_the_weights():
    X, z = three_clusters(6)
    soft = 0.1 + 0.7 * np.eye(3)[z]
    gm = bm.GaussianMixture(3, random_state=0).fit(X, labels=soft)
    expected = logsumexp(log_joint(gm, X) + np.log(soft), axis=1).sum()
    assert gm.log_likelihood_ == pytest.approx(expected, rel=1e-10)


def test_samples_of_a_group_share_their_component():
    rng = generator(7)
    X, _ = three_clusters(7)
    X, groups = np.repeat(X, 3, axis=0), np.repeat(rng.permutation(len(X)), 3)
    X += rng.normal(scale=0.5, size=X.shape)
    order = rng.permutation(len(X))
    gm = bm.GaussianMixture(3, random_state=0).fit(X[order], groups=groups[order])
    joint = log_joint(gm, X)
    by_group = (joint - np.log(gm.weights_)).reshape(-1, 3, 3).sum(axis=1) + np.log(gm.weights_)
    assert gm.log_likelihood_ == pytest.approx(logsumexp(by_group, axis=1).sum(), rel=1e-10)
    assert gm.log_likelihood_ == pytest.approx(
        bm.GaussianMixture(3, random_state=0).fit(X, groups=groups).log_likelihood_, rel=1e-9
    )


def test_groups_of_latent_classes():
    rng = generator(8)
    z = rng.integers(0, 2, 80)
    answers = (rng.random((80, 4, 3)) < np.where(z == 0, 0.8, 0.2)[:, None, None]).astype(int)
    X, groups = answers.reshape(-1, 3), np.repeat(np.arange(80), 4)
    model = bm.Mixture(family="bernoulli", n_components=2, random_state=0).fit(X, groups=groups)
    alone = bm.Mixture(family="bernoulli", n_components=2, random_state=0).fit(X)
    labels = model.predict_proba(X)
    assert model.log_likelihood_ > alone.log_likelihood_
    assert labels.shape == (320, 2)


@pytest.mark.slow
def test_gibbs_sampling_respects_labels():
    X, z = three_clusters(9)
    model = bm.BayesianGaussianMixture(3, **FIXED, covariance_prior=np.eye(2)).fit(X, labels=z)
    draws = bm.gibbs(model, X, n_draws=400, chains=2)
    posterior = np.bincount(z) + FIXED["weight_concentration_prior"]
    np.testing.assert_allclose(
        draws.weights.mean(axis=(0, 1)), posterior / posterior.sum(), atol=0.008
    )


def test_a_search_finds_the_class_that_nobody_labelled():
    rng = generator(10)
    z = rng.integers(0, 3, 150)
    X = rng.normal(size=(150, 2)) + 7.0 * np.array([[0, 0], [1, 0], [0, 1]])[z]
    labels = np.where(z < 2, some_of(z, 10), -1)
    search = bm.select(X, range(1, 6), "full", labels=labels)
    assert search.n_components_ == 3
    assert search.k_probabilities_.index.min() == 2
    assert search.k_probabilities_[3] > 0.8
    np.testing.assert_array_equal(search.predict(X), z)


@pytest.mark.slow
def test_the_label_of_one_sample_does_not_change_the_probability_of_k():
    rng = generator(16)
    X = rng.normal(size=(60, 1)) + 20.0 * rng.integers(0, 2, 60)[:, None]
    labels = np.full(60, -1)
    labels[0] = 0
    plain = bm.select(X, range(2, 4)).k_probabilities_
    named = bm.select(X, range(2, 4), labels=labels).k_probabilities_
    np.testing.assert_allclose(named, plain, atol=0.01)


def test_missing_labels_and_samples_of_weight_zero():
    X, z = three_clusters(11)
    labels = some_of(z, 11)
    weights = np.ones(len(X))
    weights[::7] = 0.0
    kept = weights > 0
    one = bm.GaussianMixture(3, random_state=0).fit(X, sample_weight=weights, labels=labels)
    given = pd.array([None if k < 0 else int(k) for k in labels[kept]], dtype="Int64")
    other = bm.GaussianMixture(3, random_state=0).fit(X[kept], labels=pd.Series(given))
    np.testing.assert_allclose(one.means_, other.means_, rtol=1e-9)


def test_saved_fits_keep_their_labels(tmp_path):
    X, z = three_clusters(12)
    model = bm.GaussianMixture(3, random_state=0).fit(X, labels=some_of(z, 12))
    model.save(tmp_path / "fit.bayesmix")
    again = bm.load(tmp_path / "fit.bayesmix")
    np.testing.assert_array_equal(again.result_.side.labels, model.result_.side.labels)


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        ({"labels": [0, 1]}, "one entry for each of the 120 samples"),
        ({"labels": np.full(120, 4)}, "n_components=5 or more"),
        ({"labels": np.full(120, 0.5)}, "integers from 0"),
        ({"labels": np.full(120, "a")}, "pandas.factorize"),
        ({"labels": np.zeros((120, 3))}, "exclude all components for sample 0"),
        ({"labels": np.eye(2)[np.zeros(120, int)]}, "a column for each of n_components=3"),
        ({"labels": -np.eye(3)[np.zeros(120, int)]}, "not negative"),
        ({"groups": [None] * 120}, "no missing values"),
        ({"groups": np.zeros(120), "labels": np.arange(120) % 2}, "contradict groups"),
        (
            {"groups": np.zeros(120), "sample_weight": np.arange(120) + 1.0},
            "sample_weight must be equal within a group",
        ),
    ],
)
def test_bad_constraints_are_refused(constraints, message):
    X, _ = three_clusters(13)
    with pytest.raises(InvalidInputError, match=message):
        bm.GaussianMixture(3).fit(X, **constraints)


def test_what_does_not_support_labels_says_so():
    X, z = three_clusters(14)
    model = bm.BayesianGaussianMixture(3, random_state=0).fit(X, labels=some_of(z, 14))
    for analysis in (bm.log_evidence, bm.leave_one_out, bm.crosscheck, bm.gibbs):
        with pytest.raises(UnsupportedError, match="labels"):
            analysis(model, X)
    with pytest.raises(UnsupportedError, match="noise"):
        bm.GaussianMixture(3, noise="uniform").fit(X, labels=z)


def test_masked_labels_are_unknown_and_infinite_ones_are_refused():
    X, z = three_clusters(15)
    labels = some_of(z, 15)
    masked = np.ma.array(z, mask=labels < 0)
    one = bm.GaussianMixture(3, random_state=0).fit(X, labels=masked)
    other = bm.GaussianMixture(3, random_state=0).fit(X, labels=labels)
    np.testing.assert_array_equal(one.means_, other.means_)
    with pytest.raises(InvalidInputError, match="integers from 0"):
        bm.GaussianMixture(3).fit(X, labels=np.where(labels < 0, np.inf, labels))
