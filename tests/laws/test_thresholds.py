"""Thresholds between two components of each family, against independent root finding."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq
from scipy.special import expit, logit

import bayesmix as bm
from bayesmix.errors import InvalidInputError
from laws.cases import generator

N_PAIRS = 100


def normals(rng):
    means, deviations = rng.normal(0.0, 3.0, 2), np.exp(rng.normal(0.0, 1.0, 2))
    given = {"means": means[:, None], "covariances": deviations**2}
    return bm.Gaussian("spherical"), given, stats.norm(means, deviations)


def students(rng):
    means, scales = rng.normal(0.0, 3.0, 2), np.exp(rng.normal(0.0, 1.0, 2))
    freedom = np.exp(rng.uniform(np.log(0.8), np.log(60.0), 2))
    given = {"means": means[:, None], "scales": (scales**2)[:, None, None]}
    given["degrees_of_freedom"] = freedom
    return bm.StudentT(), given, stats.t(freedom, means, scales)


def log_normals(rng):
    means, deviations = rng.normal(2.0, 2.0, 2), np.exp(rng.normal(-0.5, 0.7, 2))
    given = {"log_means": means[:, None], "log_variances": (deviations**2)[:, None]}
    return bm.LogNormal(), given, stats.lognorm(deviations, scale=np.exp(means))


def gammas(rng):
    shapes, rates = np.exp(rng.normal(1.0, 1.5, (2, 2)))
    given = {"shapes": shapes[:, None], "rates": rates[:, None]}
    return bm.Gamma(), given, stats.gamma(shapes, scale=1.0 / rates)


def weibulls(rng):
    shapes, scales = np.exp(rng.normal(0.5, 0.7, (2, 2)))
    given = {"shapes": shapes[:, None], "scales": scales[:, None]}
    return bm.Weibull(), given, stats.weibull_min(shapes, scale=scales)


def exponentials(rng):
    rates = np.exp(rng.normal(0.0, 1.5, 2))
    return bm.Exponential(), {"rates": rates[:, None]}, stats.expon(scale=1.0 / rates)


def betas(rng):
    left, right = np.exp(rng.normal(1.0, 1.2, (2, 2)))
    given = {"left_shapes": left[:, None], "right_shapes": right[:, None]}
    return bm.Beta(masses=False), given, stats.beta(left, right)


FAMILIES = (normals, students, log_normals, gammas, weibulls, exponentials, betas)


def mixture_of(family, given, weights):
    """Return a chain without memory, whose states have these weights."""
    return bm.HiddenMarkovModel.from_parameters(None, np.tile(weights, (2, 1)), family, **given)


def roots_of(distributions, weights):
    """Return all roots of the log odds, from steps of 2e-3 in a coordinate of the support."""
    low, high = (float(np.max(end)) for end in distributions.support())
    forward, back = {
        (-np.inf, np.inf): (np.arcsinh, np.sinh), (0.0, np.inf): (np.log, np.exp),
        (0.0, 1.0): (logit, expit),
    }[low, high]  # fmt: skip

    def log_odds(u):
        logs = distributions.logpdf(np.asarray(back(u))[..., None]) + np.log(weights)
        return logs[..., 0] - logs[..., 1]

    ends = {np.arcsinh: (-30.0, 30.0), np.log: (-100.0, 100.0), logit: (-100.0, 30.0)}[forward]
    grid = np.arange(*ends, 2e-3) + 1e-5
    with np.errstate(all="ignore"):
        sign = np.sign(log_odds(grid))
    places = np.flatnonzero(sign[1:] * sign[:-1] < 0.0)
    roots = [brentq(log_odds, grid[i], grid[i + 1], xtol=1e-15, rtol=1e-15) for i in places]
    return back(np.array(roots)), back(np.array(ends))


@pytest.mark.slow
@pytest.mark.parametrize("pair", FAMILIES)
def test_thresholds_are_the_roots_of_the_log_odds(pair):
    rng, numbers = generator(720), []
    for _ in range(N_PAIRS):
        (family, given, distributions), weights = pair(rng), rng.dirichlet([1.0, 1.0])
        expected, ends = roots_of(distributions, weights)
        model = mixture_of(family, given, weights)
        numbers.append(len(expected))
        if not len(expected):
            with pytest.raises(InvalidInputError, match="no value separates"):
                bm.decision_threshold(model)
            continue
        found = bm.decision_threshold(model)
        inside = [one for one in found.crossings if ends[0] < one < ends[1]]
        np.testing.assert_allclose(inside, expected, rtol=1e-8)
        low, high = found.components
        assert found.value in found.crossings
        assert found.lower_above == pytest.approx(distributions.sf(found.value)[low], rel=1e-8)
        assert found.upper_below == pytest.approx(distributions.cdf(found.value)[high], rel=1e-8)
        for error in (0.3, 0.01, 1e-6):
            by_error = bm.decision_threshold(model, error=error)
            assert by_error.value == pytest.approx(distributions.isf(error)[low], rel=1e-8)
    # Pairs without a crossing and with two are among them; rates cross once at most.
    most = 1 if pair is exponentials else 2
    assert 0 in numbers
    assert most in numbers


def test_a_threshold_is_found_beside_a_narrow_component():
    weights, means, deviations = [0.5, 0.5], [0.0, 100.0], np.array([1e-3, 30.0])
    model = bm.GaussianMixture.from_parameters(weights, np.c_[means], deviations**2)

    def log_odds(x):
        return np.diff(stats.norm.logpdf(x, means, deviations))[0]

    found = bm.decision_threshold(model)
    assert found.value == pytest.approx(brentq(log_odds, 1e-3, 2e-2, xtol=1e-15))
    assert found.lower_above == pytest.approx(stats.norm.sf(found.value, 0.0, 1e-3))


def test_two_roots_between_points_of_the_grid_are_found():
    means, deviations = np.array([0.0, 1.0]), np.array([1.0, 3.0])
    # The vertex of the quadratic log odds at equal weights; weights put it just above 0.
    a, b = 0.5 * (1 / 9 - 1.0), -1 / 9
    vertex = -b / (2.0 * a)
    top = -np.diff(stats.norm.logpdf(vertex, means, deviations))[0]
    for above in (1e-3, 1e-8):
        odds = np.exp(above - top)
        weights = np.array([odds, 1.0]) / (1.0 + odds)
        model = bm.GaussianMixture.from_parameters(weights, means[:, None], deviations**2)
        width = np.sqrt(-above / a)
        found = bm.decision_threshold(model).crossings
        np.testing.assert_allclose(found, [vertex - width, vertex + width], rtol=1e-6)
    below = np.exp(-1e-8 - top)
    weights = np.array([below, 1.0]) / (1.0 + below)
    model = bm.GaussianMixture.from_parameters(weights, means[:, None], deviations**2)
    with pytest.raises(InvalidInputError, match="no value separates"):
        bm.decision_threshold(model)


@pytest.mark.parametrize("masses", [0.3, 0.9])
def test_masses_count_in_the_errors_of_a_threshold(masses):
    zeros, shapes, rates = np.array([masses, 0.1]), np.array([2.0, 40.0]), np.array([2.0, 2.0])
    given = {"zeros": zeros[:, None], "shapes": shapes[:, None], "rates": rates[:, None]}
    model = mixture_of(bm.ZeroOr(bm.Gamma()), given, [0.5, 0.5])
    amounts, found = stats.gamma(shapes, scale=1.0 / rates), bm.decision_threshold(model)
    assert found.lower_above == pytest.approx((1.0 - masses) * amounts.sf(found.value)[0])
    assert found.upper_below == pytest.approx(0.1 + 0.9 * amounts.cdf(found.value)[1])
    by_error = bm.decision_threshold(model, error=0.05)
    assert by_error.value == pytest.approx(amounts.isf(0.05 / (1.0 - masses))[0])
    assert by_error.lower_above == pytest.approx(0.05)
    none_above = bm.decision_threshold(model, error=1.0 - 0.5 * masses)
    assert (none_above.value, none_above.lower_above) == (0.0, pytest.approx(1.0 - masses))
