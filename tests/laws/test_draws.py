"""Draws from q: their densities are SciPy's, their moments those of q, nothing underflows."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from bayesmix.allocation.dirichlet import Dirichlet, DirichletPrior
from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.families.gaussian.prior import LearnedScale, Wishart
from bayesmix.families.rates import GammaRates
from bayesmix.families.successes import BetaProbabilities
from bayesmix.numerics.special import log_gammas
from laws.cases import COLUMN_CASES, EVERY_CASE, GAUSSIAN_CASES, generator, identity, posterior_of

every_case = pytest.mark.parametrize("case", EVERY_CASE, ids=identity)
every_gaussian = pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)
every_count = pytest.mark.parametrize("case", COLUMN_CASES, ids=identity)

K, D, S = 3, 2, 7
# Two-sided, of a normal mean: a false alarm in 1.7 million.
Z = 5.0


def precisions_of(roots, case, n_components=K, dimension=D):
    """Drawn precisions as matrices (S, K, D, D)."""
    if roots.ndim == 4:
        matrices = roots @ roots.transpose(0, 1, 3, 2)
        return np.broadcast_to(matrices, (len(roots), n_components, dimension, dimension))
    values = np.broadcast_to(roots**2, (len(roots), n_components, dimension))
    return values[..., None] * np.eye(dimension)


def log_wishart_by_scipy(precision, degrees_of_freedom, scale_inverse):
    """One block: a Wishart over a matrix, or a Gamma for each of several numbers."""
    if np.ndim(scale_inverse) == 2:
        wishart = stats.wishart(degrees_of_freedom, np.linalg.inv(scale_inverse))
        return wishart.logpdf(precision)
    rates = np.asarray(scale_inverse) / 2.0
    return stats.gamma.logpdf(precision, degrees_of_freedom / 2.0, scale=1.0 / rates).sum()


def blocks_of(roots):
    """Drawn blocks (S, B, ...) from their roots."""
    return roots @ roots.transpose(0, 1, 3, 2) if roots.ndim == 4 else roots**2


def log_normal_by_scipy(mean, centre, precision):
    return stats.multivariate_normal(centre, np.linalg.inv(precision)).logpdf(mean)


# Components


@every_gaussian
def test_log_density_of_drawn_gaussians_under_every_factor_is_scipys(case):
    q, _, _ = posterior_of(case, generator(1), K, D)
    draws = q.draws(S, generator(2))
    shared, pairs = q.log_factors(draws)
    precisions, blocks = precisions_of(draws.roots, case), blocks_of(draws.roots)
    tied = case.covariance == "tied"
    nu, inverse = q.precisions.degrees_of_freedom, q.precisions.scale_inverse
    for s, j, k in np.ndindex(S, K, K):
        expected = log_normal_by_scipy(
            draws.means[s, k], q.means[j], q.mean_precision[j] * precisions[s, k]
        )
        if not tied:
            expected += log_wishart_by_scipy(blocks[s, k], nu[j], inverse[j])
        assert pairs[s, j, k] == pytest.approx(expected, rel=1e-10)
    expected = [log_wishart_by_scipy(b[0], nu[0], inverse[0]) if tied else 0.0 for b in blocks]
    np.testing.assert_allclose(shared, expected, rtol=1e-10)


@every_gaussian
def test_log_prior_of_drawn_gaussians_is_scipys(case):
    q, prior, letters = posterior_of(case, generator(1), K, D)
    draws = q.draws(S, generator(2))
    precisions, blocks = precisions_of(draws.roots, case), blocks_of(draws.roots)
    for s, value in enumerate(prior.log_density_of(draws)):
        expected = sum(
            log_normal_by_scipy(
                draws.means[s, k], letters["m0"], letters["beta0"] * precisions[s, k]
            )
            for k in range(K)
        )
        expected += sum(
            log_wishart_by_scipy(block, letters["nu0"], prior.scale.mean[0]) for block in blocks[s]
        )
        assert value == pytest.approx(expected, rel=1e-10)


@every_gaussian
def test_a_learned_scale_is_integrated_out_exactly(case):
    """p(Λ) = p(S) p(Λ | S) / p(S | Λ) for any S at all: Bayes' rule, with SciPy's densities."""
    q, prior, letters = posterior_of(case, generator(1), K, D)
    known = prior.scale.mean
    algebra = case.structure.algebra
    freedom = np.full((1,) if known.ndim == 3 else known.shape, 3.3)
    learned = LearnedScale(Wishart(algebra, freedom, 1.7 * known))
    roots = q.draws(S, generator(2)).roots
    blocks = blocks_of(roots)
    for s, value in enumerate(learned.log_density_of(roots, letters["nu0"])):
        scale = known[0] * 0.8
        given = learned.prior.scale_inverse[0] + blocks[s].sum(axis=0)
        nu = freedom[0] + len(blocks[s]) * letters["nu0"]
        expected = log_wishart_by_scipy(scale, freedom[0], learned.prior.scale_inverse[0])
        expected += sum(log_wishart_by_scipy(block, letters["nu0"], scale) for block in blocks[s])
        expected -= log_wishart_by_scipy(scale, nu, given)
        assert value == pytest.approx(expected, rel=1e-10)


@every_gaussian
def test_drawn_gaussians_have_the_moments_of_q(case):
    q, prior, _ = posterior_of(case, generator(3), K, D)
    inverse = prior.scale.mean
    freedom = np.full((1,) if inverse.ndim == 3 else inverse.shape, 4.5)
    q = replace(q, scale=Wishart(case.structure.algebra, freedom, inverse))
    n = 20_000
    draws = q.draws(n, generator(4))
    for roots, factor in ((draws.roots, q.precisions), (draws.scale_roots, q.scale)):
        blocks = blocks_of(roots)
        error = blocks.std(axis=0) / np.sqrt(n)
        assert (np.abs(blocks.mean(axis=0) - factor.mean) < Z * error).all()
        # E[log |Λ|] has a closed form of its own (Bishop 2006, eq. B.81).
        log_det = np.linalg.slogdet(blocks)[1] if blocks.ndim == 4 else np.log(blocks)
        error = log_det.std(axis=0) / np.sqrt(n)
        assert (np.abs(log_det.mean(axis=0) - factor.expected_log_det) < Z * error).all()
    error = draws.means.std(axis=0) / np.sqrt(n)
    assert (np.abs(draws.means.mean(axis=0) - q.means) < Z * error).all()
    # Deviations are normal given Λ: β (μ - m)ᵀ Λ (μ - m) is chi-square with D degrees of freedom.
    away = draws.means - q.means
    precisions = precisions_of(draws.roots, case)
    lengths = q.mean_precision * np.einsum("ski,skij,skj->sk", away, precisions, away)
    assert (np.abs(lengths.mean(axis=0) - D) < Z * np.sqrt(2.0 * D / n)).all()


@every_gaussian
def test_components_of_drawn_gaussians_are_their_densities(case):
    q, _, _ = posterior_of(case, generator(1), K, D)
    draws = q.draws(S, generator(2))
    rows, precisions = generator(5).normal(size=(4, D)), precisions_of(draws.roots, case)
    densities = draws.components.expected_log_density(rows).reshape(4, S, K)
    for s, k in np.ndindex(S, K):
        one = stats.multivariate_normal(draws.means[s, k], np.linalg.inv(precisions[s, k]))
        np.testing.assert_allclose(densities[:, s, k], one.logpdf(rows), rtol=1e-10)


@every_count
def test_densities_of_drawn_counts_are_scipys(case):
    q, prior, letters = posterior_of(case, generator(1), K, D)
    draws = q.draws(S, generator(2))
    values = case.drawn_values(draws)
    shared, pairs = q.log_factors(draws)
    assert (shared == 0.0).all()
    for s, j, k in np.ndindex(S, K, K):
        expected = sum(case.marginal(q, j, d).logpdf(values[s, k, d]) for d in range(D))
        assert pairs[s, j, k] == pytest.approx(expected, rel=1e-10, abs=1e-10)
    expected = sum(
        case.marginal_prior(letters, d).logpdf(values[:, k, d]) for k in range(K) for d in range(D)
    )
    np.testing.assert_allclose(prior.log_density_of(draws), expected, rtol=1e-10)
    rows = case.rows(generator(3), 5, D)
    densities = draws.components.expected_log_density(rows).reshape(5, S, K)
    expected = sum(case.log_density(rows[:, None, None, d], values[..., d]) for d in range(D))
    np.testing.assert_allclose(densities, expected, rtol=1e-10)


@every_count
def test_drawn_counts_have_the_mean_of_q(case):
    q, _, _ = posterior_of(case, generator(3), K, D)
    n = 20_000
    draws = q.draws(n, generator(4))
    values = case.drawn_values(draws)
    error = values.std(axis=0) / np.sqrt(n)
    expected = [[case.marginal(q, k, d).mean() for d in range(D)] for k in range(K)]
    assert (np.abs(values.mean(axis=0) - expected) < Z * error).all()


def test_draws_of_tiny_shapes_do_not_underflow():
    tiny = np.full((2, 2), 1e-4)
    for draws in (
        BetaProbabilities(tiny, tiny).draws(500, generator(1)).log_successes,
        GammaRates(tiny, np.ones((2, 2))).draws(500, generator(1)).log_rates,
        Dirichlet(np.full(3, 1e-4)).draws(500, generator(1)).log_weights,
    ):
        assert np.isfinite(draws).all()
        assert draws.min() < -1000.0  # below what a double holds


@pytest.mark.parametrize("shape", [0.01, 0.6, 1.0, 40.0])
def test_log_gammas_are_logarithms_of_gamma_variables(shape):
    logs = log_gammas(np.array(shape), 5000, generator(1))
    # A false alarm in a million.
    assert stats.kstest(special.gammaincc(shape, np.exp(logs)), "uniform").pvalue > 1e-6


# Weights


def test_densities_of_drawn_dirichlet_weights_are_scipys():
    weights = Dirichlet(np.array([0.4, 3.0, 8.5]))
    draws = weights.draws(S, generator(1))
    points = np.exp(draws.log_weights)
    np.testing.assert_allclose(points.sum(axis=1), 1.0, rtol=1e-12)
    expected = [stats.dirichlet.logpdf(p / p.sum(), weights.concentration) for p in points]
    np.testing.assert_allclose(weights.log_density_of(draws), expected, rtol=1e-9)
    own = np.trace(weights.log_factors(draws), axis1=1, axis2=2) + weights.log_normaliser()
    np.testing.assert_allclose(own, expected, rtol=1e-9)
    expected = [stats.dirichlet.logpdf(p / p.sum(), np.full(3, 1.4)) for p in points]
    np.testing.assert_allclose(DirichletPrior(1.4).log_density_of(draws), expected, rtol=1e-9)


def test_densities_of_drawn_sticks_are_scipys():
    prior = StickBreakingPrior(1.6)
    weights = prior.posterior(np.array([9.0, 0.3, 4.0]))
    draws = weights.draws(S, generator(1))
    sticks = np.exp(draws.log_first)
    np.testing.assert_allclose(sticks, 1.0 - np.exp(draws.log_rest), rtol=1e-9)
    expected = stats.beta.logpdf(sticks, weights.first, weights.rest).sum(axis=1)
    np.testing.assert_allclose(weights.log_density_of(draws), expected, rtol=1e-9)
    expected = stats.beta.logpdf(sticks, 1.0, 1.6).sum(axis=1)
    np.testing.assert_allclose(prior.log_density_of(draws), expected, rtol=1e-9)
    first, second = sticks.T
    points = np.column_stack([first, (1 - first) * second, (1 - first) * (1 - second)])
    np.testing.assert_allclose(np.exp(draws.log_weights), points, rtol=1e-9)


@pytest.mark.parametrize(
    "weights",
    [Dirichlet(np.array([0.7, 5.0, 2.0])), StickBreakingPrior(1.6).posterior(np.array([5, 1, 2]))],
    ids=["dirichlet", "sticks"],
)
def test_drawn_weights_have_the_mean_of_q(weights):
    n = 20_000
    points = np.exp(weights.draws(n, generator(1)).log_weights)
    error = points.std(axis=0) / np.sqrt(n)
    assert (np.abs(points.mean(axis=0) - weights.mean()) < Z * error).all()


def test_point_weights_are_themselves_in_every_draw():
    draws = PointWeights(np.array([0.25, 0.75, 0.0])).draws(4, generator(1))
    np.testing.assert_array_equal(np.exp(draws.log_weights), [[0.25, 0.75, 0.0]] * 4)
    assert (FreeWeights().log_density_of(draws) == 0.0).all()
