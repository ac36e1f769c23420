"""Two censored values in dependent columns, against quadrature and a direct search."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_ndtr, logsumexp, ndtr
from scipy.stats import multivariate_normal, norm

import bayesmix as bm
from bayesmix.errors import UnsupportedError
from bayesmix.observation.rectangles import Nodes, on_rectangle

EXACT = {"random_state": 0, "n_jobs": 1}
INF = np.inf
NODES, WEIGHTS = np.polynomial.legendre.leggauss(300)


def log_rectangle(low, high, mean, covariance):
    """Log probabilities (m,) of rectangles by a fixed rule on the first value."""
    s = np.sqrt(covariance[0, 0])
    a, b = (np.clip((bound[:, 0] - mean[0]) / s, -9.0, 9.0) for bound in (low, high))
    half = 0.5 * (b - a)
    z = (a + half)[:, None] + half[:, None] * NODES
    gain = covariance[0, 1] / s
    rest = np.sqrt(covariance[1, 1] - gain**2)
    inner = [(bound[:, 1:] - mean[1] - gain * z) / rest for bound in (low, high)]
    mass = half[:, None] * WEIGHTS * norm.pdf(z) * (ndtr(inner[1]) - ndtr(inner[0]))
    return np.log(np.maximum(mass.sum(axis=1), 1e-300))


@pytest.mark.parametrize("correlation", [0.0, 0.5, -0.97])
def test_probability_score_and_information_are_derivatives_of_the_same_function(correlation):
    """Central differences of log P in the mean; SciPy's distribution function for P."""
    R = np.array([[1.0, correlation], [correlation, 1.0]])
    bounds = np.array(
        [[[-INF, -INF, 0.2, -3.0], [-INF, 0.3, -INF, -0.5]], [[0.4, 1.0, INF, 2.0], [0.1, 1, 1, 2]]]
    )

    every = np.full(4, correlation)

    def log_p(shift):
        moved = bounds - np.reshape(shift, (1, 2, 1))
        return on_rectangle(np.vstack([moved.reshape(4, -1), every])).log_probability

    there = on_rectangle(np.vstack([bounds.reshape(4, -1), every]))
    law = multivariate_normal([0.0, 0.0], R)
    expected = [
        law.cdf(high, lower_limit=low) for low, high in zip(*bounds.swapaxes(1, 2), strict=True)
    ]
    np.testing.assert_allclose(np.exp(there.log_probability), expected, rtol=1e-7)
    step = 1e-3 * np.eye(2)
    slopes = [(log_p(own) - log_p(-own)) / 2e-3 for own in step]
    np.testing.assert_allclose(there.scores, slopes, rtol=1e-3, atol=1e-4)
    middle = log_p([0.0, 0.0])
    curved = [(log_p(own) + log_p(-own) - 2 * middle) / 1e-6 for own in step]
    both = sum(sign * log_p(step[0] + sign * step[1]) for sign in (1, -1))
    both = (both + sum(sign * log_p(-step[0] - sign * step[1]) for sign in (1, -1))) / 4e-6
    expected = -np.array([curved[0], both, curved[1]])
    np.testing.assert_allclose(there.information, expected, rtol=2e-3, atol=2e-3)


def test_tails_and_correlations_near_one_hold():
    bounds = np.array([[[40.0, -INF, -INF], [40.0, 1.0, -INF]], [[INF, 0.0, -8.0], [INF, INF, -9]]])
    there = on_rectangle(np.vstack([bounds.reshape(4, -1), [0.0, 0.9999, 0.999]]))
    # Independent values; P(z_2 > 1, z_1 < 0); P(both below) is that of the second alone.
    assert there.log_probability[0] == pytest.approx(2.0 * log_ndtr(-40.0), rel=1e-12)
    assert there.log_probability[1] < -1000.0
    assert there.log_probability[2] == pytest.approx(log_ndtr(-9.0), rel=1e-9)
    assert (there.information[[0, 2]] >= -1e-6).all()


def problem(K, n=90, seed=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)) @ [[1.0, 0.6], [0.0, 0.7]]
    X[: n // 3 * (K > 1)] += [3.5, -1.0]
    X[-n // 4 :] += [0.0, 4.0 * (K > 2)]
    return X, np.array([-0.4, -0.6]), np.array([INF, 1.6])


def direct_log_densities(weights, means, covariances, X, low, high):
    """Log densities (n,) of values that are censored at limits."""
    below, above = low >= X, high <= X
    lower, upper = np.where(below, -INF, high), np.where(below, low, INF)
    hidden, logs = below | above, []
    for w, m, c in zip(weights, means, covariances, strict=True):
        own = np.empty(len(X))
        none, both = ~hidden.any(axis=1), hidden.all(axis=1)
        own[none] = multivariate_normal(m, c).logpdf(X[none])
        bounds = np.hstack([lower[both], upper[both]])
        corners, numbers = np.unique(bounds, axis=0, return_inverse=True)
        own[both] = log_rectangle(corners[:, :2], corners[:, 2:], m, c)[numbers.ravel()]
        for d in range(2):
            only, other = hidden[:, d] & ~hidden[:, 1 - d], 1 - d
            x = X[only, other]
            centre = m[d] + c[0, 1] / c[other, other] * (x - m[other])
            spread = np.sqrt(c[d, d] - c[0, 1] ** 2 / c[other, other])
            cell = ndtr((upper[only, d] - centre) / spread) - ndtr(
                (lower[only, d] - centre) / spread
            )
            own[only] = norm.logpdf(x, m[other], np.sqrt(c[other, other])) + np.log(
                np.maximum(cell, 1e-300)
            )
        logs.append(np.log(w) + own)
    return logsumexp(logs, axis=0)


def unpacked(theta, K, tied):
    weights = np.exp(theta[:K] - logsumexp(theta[:K]))
    means = theta[K : 3 * K].reshape(K, 2)
    roots = np.zeros((1 if tied else K, 2, 2))
    roots[:, [0, 1, 1], [0, 0, 1]] = theta[3 * K :].reshape(-1, 3)
    return weights, means, np.broadcast_to(roots @ roots.swapaxes(1, 2), (K, 2, 2))


@pytest.mark.slow
@pytest.mark.parametrize(("K", "structure"), [(1, "full"), (2, "full"), (2, "tied")])
def test_with_two_censored_values_the_maximum_is_that_of_a_direct_search(K, structure):
    X, low, high = problem(K)
    data = bm.Measured(X, limits=(low, high))
    assert ((low >= X) | (high <= X)).all(axis=1).sum() > 5
    model = bm.GaussianMixture(K, covariance_type=structure, **EXACT).fit(data)
    tied = structure == "tied"
    C = np.stack([model.covariances_] * K) if tied else model.covariances_
    expected = direct_log_densities(model.weights_, model.means_, C, X, low, high)
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-9, atol=1e-9)
    assert np.diff(model.result_.trace).min() > -1e-8

    def minus(theta):
        return -direct_log_densities(*unpacked(theta, K, tied), X, low, high).sum()

    rng = np.random.default_rng(0)
    roots = np.tile([0.8, 0.0, 0.8], 1 if tied else K)
    found = []
    for number in range(3):
        means = model.means_ + rng.normal(size=(K, 2)) if number else X[rng.choice(len(X), K)]
        start = np.concatenate([np.zeros(K), means.ravel(), roots])
        options = {"maxiter": 2000, "gtol": 1e-6, "ftol": 1e-13}
        found.append(minimize(minus, start, method="L-BFGS-B", options=options))
    best = min(found, key=lambda one: one.fun)
    assert model.log_likelihood_ == pytest.approx(-best.fun, rel=1e-6)
    weights, means, covariances = unpacked(best.x, K, tied)
    order, by_mean = np.lexsort(model.means_.T), np.lexsort(means.T)
    np.testing.assert_allclose(model.means_[order], means[by_mean], atol=1e-3)
    np.testing.assert_allclose(C[order], covariances[by_mean], atol=2e-3)
    np.testing.assert_allclose(model.weights_[order], weights[by_mean], atol=1e-3)


def test_two_of_three_values_are_censored_and_the_likelihood_is_stationary():
    """Densities by quadrature given the third value; a small change of any mean is worse."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(80, 3)) @ rng.normal(size=(3, 3))
    low = np.quantile(X, 0.3, axis=0) * [1, 1, 0] + [0, 0, -1e9]
    low[2] = -INF
    data = bm.Measured(X, error=np.full(3, 0.1), limits=(low, None))
    model = bm.GaussianMixture(1, **EXACT).fit(data)
    both = (low >= X).sum(axis=1) == 2

    def of_both(m, C):
        T = C + 0.01 * np.eye(3)
        gain = T[:2, 2] / T[2, 2]
        rest = T[:2, :2] - np.outer(gain, T[2, :2])
        own = [
            log_rectangle(np.full((1, 2), -INF), low[None, :2], m[:2] + gain * (x - m[2]), rest)[0]
            + norm.logpdf(x, m[2], np.sqrt(T[2, 2]))
            for x in X[both, 2]
        ]
        return np.array(own)

    m, C = model.means_[0], model.covariances_[0]
    np.testing.assert_allclose(model.score_samples(data)[both], of_both(m, C), rtol=1e-9, atol=1e-9)
    values = model.true_values(data)
    assert (values.mean[both][:, :2] < low[:2] + 0.1).all()
    assert (values.standard_deviation > 0.0).all()
    draws = model.true_values(data.subset(np.flatnonzero(both)))
    np.testing.assert_allclose(draws.mean, values.mean[both], rtol=1e-10)


def test_three_censored_values_of_dependent_columns_are_refused_with_a_remedy():
    X = np.random.default_rng(6).normal(size=(30, 3))
    with pytest.raises(UnsupportedError, match=r"allow two censored values .* row \d+ has 3: use"):
        bm.GaussianMixture(1).fit(bm.Measured(X, limits=(0.0, None)))


def test_nodes_of_a_density_that_vanishes_beside_the_bound_have_a_mean_there():
    owner, values = np.repeat([0, 1], 3), np.array([1.0, 1.1, 1.2, 5.0, 5.0, 5.0])
    nodes = Nodes.of(
        owner, values, np.array([0.2, 0.3, 0.5, 0.0, 0.0, 0.0]), np.array([-1.0, -9.0])
    )
    np.testing.assert_allclose(nodes.log_total[0], -1.0)
    assert -9.0 - 710.0 < nodes.log_total[1] < -700.0
    np.testing.assert_allclose(nodes.mean(values), [1.13, 5.0])
