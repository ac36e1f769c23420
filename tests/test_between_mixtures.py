"""Distances, reductions and thresholds of mixtures against quadrature and closed forms."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

import bayesmix as bm
from bayesmix.errors import InvalidInputError


def mixture(weights, means, variances):
    return bm.GaussianMixture.from_parameters(weights, np.c_[means], variances)


@pytest.fixture(scope="module")
def pair():
    p = mixture([0.3, 0.7], [0.0, 3.0], [1.0, 2.0])
    return p, mixture([0.5, 0.5], [-1.0, 4.0], [1.5, 1.0])


def density(model):
    return lambda x: float(np.exp(model.score_samples([[x]])[0]))


def test_squared_distance_of_normal_mixtures_is_that_of_quadrature(pair):
    p, q = map(density, pair)
    truth = quad(lambda x: (p(x) - q(x)) ** 2, -30, 30, limit=200)[0]
    found = bm.divergence(*pair, kind="l2")
    assert found.value == pytest.approx(truth, abs=1e-9)
    assert found.n_draws == found.standard_error == 0


@pytest.mark.parametrize("kind", ["kl", "js"])
def test_divergences_by_draws_are_those_of_quadrature(pair, kind):
    p, q = map(density, pair)

    def term(x):
        a, b = p(x), q(x)
        if kind == "kl":
            return a * np.log(a / b)
        return 0.5 * (a * np.log(2 * a / (a + b)) + b * np.log(2 * b / (a + b)))

    truth = quad(term, -15, 18, limit=200)[0]
    found = bm.divergence(*pair, kind=kind, n_draws=40_000, random_state=4)
    assert abs(found.value - truth) < 4.0 * found.standard_error
    assert 0.0 < found.standard_error < 0.05


def test_divergence_of_single_normals_is_exact():
    draw = np.random.default_rng(1)
    A, B = (np.eye(3) + v @ v.T for v in draw.normal(size=(2, 3, 3)))
    means = draw.normal(size=(2, 1, 3))
    p, q = (
        bm.GaussianMixture.from_parameters([1.0], mean, S[None])
        for mean, S in zip(means, (A, B), strict=True)
    )
    X = draw.multivariate_normal(means[0, 0], A, 200_000)
    terms = p.score_samples(X) - q.score_samples(X)
    found = bm.divergence(p, q)
    assert found.n_draws == 0
    assert abs(found.value - terms.mean()) < 4.0 * terms.std() / np.sqrt(len(X))


def test_other_families_are_compared_by_draws():
    X = np.random.default_rng(0).gamma(3.0, 2.0, (300, 1))
    p = bm.Mixture(1, family=bm.Gamma(), random_state=0).fit(X)
    found = bm.divergence(p, p, n_draws=1000)
    assert (found.value, found.standard_error) == (0.0, 0.0)
    with pytest.raises(InvalidInputError, match="q must be"):
        bm.divergence(p, 3)
    with pytest.raises(InvalidInputError, match="same features"):
        bm.divergence(
            mixture([1.0], [0.0], [1.0]),
            bm.GaussianMixture.from_parameters([1.0], np.zeros((1, 2)), np.eye(2)[None]),
        )


def test_a_reduction_keeps_the_moments_and_merges_the_least_costly_pair():
    draw = np.random.default_rng(7)
    weights, means = draw.dirichlet(np.ones(6)), draw.normal(size=(6, 2)) * 3.0
    covariances = np.array([np.eye(2) + v @ v.T for v in draw.normal(size=(6, 2, 2))])
    whole = bm.GaussianMixture.from_parameters(weights, means, covariances)
    small = bm.reduce_mixture(whole, 3)
    np.testing.assert_allclose(small.weights_ @ small.means_, weights @ means, atol=1e-10)

    def second(model):
        outer = model.means_[:, :, None] * model.means_[:, None]
        return np.einsum("k,kij->ij", model.weights_, model.covariances_ + outer)

    np.testing.assert_allclose(second(small), second(whole), atol=1e-9)
    sums = [weights[small.reduced_from_ == k].sum() for k in range(3)]
    np.testing.assert_allclose(sums, small.weights_, atol=1e-12)
    one_less = bm.reduce_mixture(whole, 5)

    def cost(i, j):
        w = weights[[i, j]]
        share = w / w.sum()
        away = means[i] - means[j]
        both = share[0] * covariances[i] + share[1] * covariances[j]
        both = both + share.prod() * np.outer(away, away)
        logs = [np.log(np.linalg.det(covariances[k])) for k in (i, j)]
        return 0.5 * (w.sum() * np.log(np.linalg.det(both)) - w @ logs)

    costs = {(i, j): cost(i, j) for i in range(6) for j in range(i)}
    assert one_less.reduction_bound_ == pytest.approx(min(costs.values()))
    i, j = min(costs, key=costs.get)
    assert one_less.reduced_from_[i] == one_less.reduced_from_[j]
    assert bm.divergence(whole, small, n_draws=20_000).value <= small.reduction_bound_ + 0.02


def test_a_threshold_is_where_two_components_are_equally_probable():
    model = mixture([0.8, 0.2], [10.0, 15.0], [1.0, 4.0])
    found = bm.decision_threshold(model)
    posterior = model.predict_proba([[found.value]])[0]
    np.testing.assert_allclose(posterior, [0.5, 0.5], atol=1e-12)
    assert 10.0 < found.value < 15.0
    assert found.lower_above == pytest.approx(stats.norm.sf(found.value, 10.0, 1.0))
    assert found.upper_below == pytest.approx(stats.norm.cdf(found.value, 15.0, 2.0))
    # The wide component is more probable again far below the narrow one.
    assert len(found.crossings) == 2
    by_error = bm.decision_threshold(model, error=0.01)
    assert by_error.value == pytest.approx(stats.norm.isf(0.01, 10.0, 1.0))


def test_the_interval_of_a_threshold_covers_the_truth():
    draw, covered = np.random.default_rng(21), 0
    truth = bm.decision_threshold(mixture([0.6, 0.4], [0.0, 5.0], [1.0, 1.0])).value
    for seed in range(20):
        z = draw.random(300) < 0.4
        X = (draw.normal(size=300) + 5.0 * z)[:, None]
        model = bm.BayesianGaussianMixture(2, random_state=seed).fit(X)
        found = bm.decision_threshold(model, level=0.9)
        covered += found.lower <= truth <= found.upper
    # Fewer than 14 of 20 have a probability below 1e-2 at 90 %.
    assert covered >= 14
    fit = bm.GaussianMixture(2, random_state=0).fit(X)
    assert np.isnan(bm.decision_threshold(fit).lower)
    by_bootstrap = bm.decision_threshold(fit, X, n_draws=50)
    assert by_bootstrap.lower < by_bootstrap.value < by_bootstrap.upper


def test_wrong_components_are_refused():
    model = mixture([0.3, 0.3, 0.4], [0.0, 4.0, 8.0], [1.0, 1.0, 1.0])
    with pytest.raises(InvalidInputError, match="two of 0 to 2"):
        bm.decision_threshold(model)
    assert bm.decision_threshold(model, components=(1, 0)).value == pytest.approx(2.0)
    flat = bm.GaussianMixture.from_parameters([0.5, 0.5], np.eye(2), np.eye(2)[None].repeat(2, 0))
    with pytest.raises(InvalidInputError, match="one continuous variable"):
        bm.decision_threshold(flat)
