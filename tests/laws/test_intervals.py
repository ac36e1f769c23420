"""Limits, intervals, steps and truncation against direct likelihoods and mpmath."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.family import Gaussian, Gaussians
from bayesmix.observation.rectangles import on_interval
from bayesmix.observation.true_values import chunk_sums, drawn

EXACT = {"random_state": 0, "n_jobs": 1}
INFINITY = np.inf


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (40.0, INFINITY),
        (-41.0, -40.0),
        (40.0, 40.0 + 1e-6),
        (0.0, INFINITY),
        (-INFINITY, 1.5),
        (-2.0, 5.0),
        (-1e-7, 1e-7),
        (-30.0, 0.01),
        (1.0, 7.0),
        (-INFINITY, INFINITY),
        (8.9, INFINITY),
        (-INFINITY, -9.0),
        (-9.5, 0.4),
        (5.0, 5.6),
    ],
)
def test_moments_of_truncated_normals_hold_in_tails_and_narrow_intervals(a, b):
    with mpmath.workdps(80):
        low, high = mpmath.mpf(a), mpmath.mpf(b)
        density = [mpmath.npdf(x) if mpmath.isfinite(x) else mpmath.mpf(0) for x in (low, high)]
        ends = [
            x * p if mpmath.isfinite(x) else 0 for x, p in zip((low, high), density, strict=True)
        ]
        mass = (
            mpmath.ncdf(-low) - mpmath.ncdf(-high)
            if a > 0
            else mpmath.ncdf(high) - mpmath.ncdf(low)
        )
        mean = (density[0] - density[1]) / mass
        lost = mean**2 - (ends[0] - ends[1]) / mass
        expected = [float(mpmath.log(mass)), float(mean), float(lost)]
    there = on_interval(np.array([a]), np.array([b]))
    np.testing.assert_allclose(np.ravel(there), expected, rtol=1e-13, atol=1e-14)


def log_cell(low, high, mean, deviation):
    """Log probability of an interval, from the tail in which it lies."""
    a, b = (low - mean) / deviation, (high - mean) / deviation
    a, b = np.where(a + b > 0.0, -b, a), np.where(a + b > 0.0, -a, b)
    upper = norm.logcdf(b)
    return upper + np.log1p(-np.exp(norm.logcdf(a) - upper))


class Direct:
    """A slow likelihood of diagonal components by SciPy's distribution functions."""

    def __init__(self, X, error=0.0, low=None, high=None, step=None, region=None):
        self.X, self.error, self.low, self.high = X, np.broadcast_to(error, X.shape), low, high
        self.step, self.region = step, region

    def log_densities(self, weights, means, deviations):
        terms, recorded = [], []
        for w, m, s in zip(weights, means, deviations, strict=True):
            T = np.hypot(s, self.error)
            logs = norm.logpdf(self.X, m, T)
            if self.step is not None:
                half = 0.5 * self.step
                logs = log_cell(self.X - half, self.X + half, m, T) - np.log(self.step)
            if self.low is not None:
                exact = (self.low == self.high) | np.isnan(self.low)
                low, high = np.where(exact, -1.0, self.low), np.where(exact, 1.0, self.high)
                logs = np.where(exact, logs, log_cell(low, high, m, T))
            terms.append(np.log(w) + np.where(np.isnan(logs), 0.0, logs).sum(axis=1))
            if self.region is not None:
                cell = log_cell(*self.region, m, T)
                recorded.append(np.log(w) + cell.sum(axis=1))
        total = logsumexp(terms, axis=0)
        return total - logsumexp(recorded, axis=0) if recorded else total

    def of_vector(self, theta, K):
        D = self.X.shape[1]
        weights = np.exp(theta[:K] - logsumexp(theta[:K]))
        means, logs = theta[K:].reshape(2, K, D)
        return -self.log_densities(weights, means, np.exp(logs)).sum()

    def best(self, K, starts):
        precise = {"ftol": 1e-14, "gtol": 1e-7}
        found = [
            minimize(self.of_vector, start, (K,), method="L-BFGS-B", options=precise)
            for start in starts
        ]
        return min(found, key=lambda one: one.fun)


def starts_near(X, K, n, seed):
    rng = np.random.default_rng(seed)
    for _ in range(n):
        means = X[rng.choice(len(X), K, replace=False)]
        spread = np.log(np.full((K, X.shape[1]), 0.5 * np.nanstd(X)))
        yield np.concatenate([np.zeros(K), np.ravel(means), np.ravel(spread)])


def two_clusters(seed, n=150):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0, 1, (n, 1)), rng.normal(4, 0.7, (n // 2, 1))]), rng


def of_limits(X, low, high):
    """Bounds (n, D) of values that are censored at limits."""
    below, above = np.less_equal(X, low), np.greater_equal(X, high)
    lower = np.where(below, -np.inf, np.where(above, high, X))
    return lower, np.where(below, low, np.where(above, np.inf, X))


def cases():
    X, rng = two_clusters(1)
    error = rng.uniform(0.2, 0.8, X.shape)
    seen = X + error * rng.normal(size=X.shape)
    low, high = of_limits(seen, -0.3, 4.5)
    options = {"error": error, "limits": (-0.3, 4.5)}
    yield "limits and errors", seen, options, Direct(seen, error, low, high)
    steps = np.round(X / 0.8) * 0.8
    yield "step", steps, {"step": 0.8}, Direct(steps, step=0.8)
    inside = X[X[:, 0] > -0.4][:, :1]
    yield "truncated", inside, {"truncated": (-0.4, None)}, Direct(inside, region=(-0.4, np.inf))
    entry = np.where(rng.random(X.shape) < 0.5, -0.4, -5.0)
    seen = X + error * rng.normal(size=X.shape)
    kept = (seen > entry)[:, 0]
    low, high = of_limits(seen[kept], -np.inf, 4.5)
    options = {"error": error[kept], "limits": (None, 4.5), "truncated": (entry[kept, 0], None)}
    direct = Direct(seen[kept], error[kept], low, high, region=(entry[kept], np.inf))
    yield "everything", seen[kept], options, direct


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case[0])
@pytest.mark.slow
def test_in_one_dimension_the_maximum_is_that_of_a_direct_search(case):
    _, X, options, direct = case
    data = bm.Measured(X, **options)
    model = bm.GaussianMixture(2, **EXACT).fit(data)
    best = direct.best(2, starts_near(X, 2, 3, 0))
    assert model.log_likelihood_ == pytest.approx(-best.fun, rel=1e-6)
    own = getattr(model, "population_weights_", model.weights_)
    deviations = np.sqrt(model.covariances_).reshape(2, 1)
    expected = direct.log_densities(own, model.means_, deviations)
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-9, atol=1e-9)
    assert np.diff(model.result_.trace).min() > -1e-8
    order, by_mean = np.argsort(model.means_.ravel()), np.argsort(best.x[2:4])
    np.testing.assert_allclose(model.means_.ravel()[order], best.x[2:4][by_mean], atol=1e-3)
    np.testing.assert_allclose(deviations.ravel()[order], np.exp(best.x[4:])[by_mean], rtol=1e-3)
    # The gradient is zero at the end.
    theta = np.concatenate([np.log(own), model.means_.ravel(), np.log(deviations.ravel())])
    for i in range(len(theta)):
        change = 1e-4 * np.eye(len(theta))[i]
        slope = (direct.of_vector(theta + change, 2) - direct.of_vector(theta - change, 2)) / 2e-4
        assert abs(slope) < 1e-2


@pytest.mark.parametrize("structure", ["diag", "spherical"])
def test_limits_errors_and_missing_values_in_two_columns(structure):
    rng = np.random.default_rng(2)
    X = np.concatenate([rng.normal(0, 1, (120, 2)), rng.normal([4, 2], 0.8, (80, 2))])
    error = rng.uniform(0.1, 0.6, X.shape)
    X += error * rng.normal(size=X.shape)
    X[::9, 1] = np.nan
    low, high = of_limits(X, np.array([-0.5, 0.0]), np.array([np.inf, 2.5]))
    low[5, 0], high[5, 0] = -0.2, 0.9
    wide = np.full_like(X, np.nan), np.full_like(X, np.nan)
    wide[0][5, 0], wide[1][5, 0] = -0.2, 0.9
    data = bm.Measured(
        X, error=error, limits=([-0.5, 0.0], [np.inf, 2.5]), lower=wide[0], upper=wide[1]
    )
    model = bm.GaussianMixture(2, covariance_type=structure, missing="use", **EXACT).fit(data)
    direct = Direct(X, error, low, high)
    deviations = np.sqrt(model.covariances_.reshape(2, -1)) * np.ones((1, 2))
    expected = direct.log_densities(model.weights_, model.means_, deviations)
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-9, atol=1e-9)
    assert model.log_likelihood_ == pytest.approx(expected.sum(), rel=1e-11)
    assert np.diff(model.result_.trace).min() > -1e-8
    for change in (1e-3, -1e-3):
        for k, d in np.ndindex(2, 2):
            means, scaled = model.means_.copy(), deviations.copy()
            means[k, d] += change
            scaled[k] *= 1.0 + change
            for other in ((means, deviations), (model.means_, scaled)):
                own = direct.log_densities(model.weights_, *other).sum()
                assert own < model.log_likelihood_


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_one_censored_value_of_dependent_columns_has_its_conditional_probability(structure):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(150, 2)) @ [[1.0, 0.6], [0.0, 0.7]]
    X[:50] += [4.0, 0.0]
    X[::11, 0] = np.nan
    error = np.array([0.3, 0.2])
    data = bm.Measured(X, error=error, limits=([-np.inf, -np.inf], [np.inf, 0.5]))
    options = {"covariance_type": structure, "missing": "use", **EXACT}
    model = bm.GaussianMixture(2, **options).fit(data)
    C = model.covariances_ if structure == "full" else np.stack([model.covariances_] * 2)

    def log_likelihood(means, covariances):
        x, y = X.T
        logs = []
        for w, m, c in zip(model.weights_, means, covariances + np.diag(error**2), strict=True):
            known = norm.logpdf(x, m[0], np.sqrt(c[0, 0]))
            gain = np.where(np.isnan(x), 0.0, c[0, 1] / c[0, 0])
            centre = m[1] + gain * np.where(np.isnan(x), 0.0, x - m[0])
            spread = np.sqrt(c[1, 1] - gain * c[0, 1])
            other = np.where(
                y >= 0.5, norm.logsf(0.5, centre, spread), norm.logpdf(y, centre, spread)
            )
            logs.append(np.log(w) + np.where(np.isnan(x), 0.0, known) + other)
        return logsumexp(logs, axis=0)

    expected = log_likelihood(model.means_, C)
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-9, atol=1e-9)
    assert np.diff(model.result_.trace).min() > -1e-8
    for change in (2e-3, -2e-3):
        for d in range(2):
            means = model.means_ + change * np.eye(2)[d] * [[1.0], [0.0]]
            assert log_likelihood(means, C).sum() < expected.sum()
        assert log_likelihood(model.means_, C * (1.0 + change)).sum() < expected.sum()


def test_truncation_of_one_of_two_dependent_columns_is_undone():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(4000, 2)) @ [[1.0, 0.8], [0.0, 0.6]]
    X = X[X[:, 0] > 0.3]
    data = bm.Measured(X, truncated=([0.3, -np.inf], None))
    model = bm.GaussianMixture(1, **EXACT).fit(data)
    m, c = model.means_[0], model.covariances_[0]
    expected = multivariate_normal(m, c).logpdf(X) - norm.logsf(0.3, m[0], np.sqrt(c[0, 0]))
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-9)

    def log_likelihood(m, c):
        logs = multivariate_normal(m, c).logpdf(X)
        return (logs - norm.logsf(0.3, m[0], np.sqrt(c[0, 0]))).sum()

    for i, j in np.ndindex(2, 2):
        change = np.zeros((2, 2))
        change[i, j] = change[j, i] = 1e-4
        slope = log_likelihood(m, c + change) - log_likelihood(m, c - change)
        assert abs(slope) / 2e-4 < 0.1
        slope = log_likelihood(m + change[i], c) - log_likelihood(m - change[i], c)
        assert abs(slope) / 2e-4 < 0.1


def test_missing_values_of_recorded_samples_tell_nothing_of_a_truncated_column():
    rng = np.random.default_rng(12)
    X = rng.normal([0.0, 4.0], [1.0, 2.0], (400, 2))
    X = X[X[:, 0] > -0.5]
    missing = rng.random(len(X)) < 0.3
    options = {"covariance_type": "diag", **EXACT}
    gappy = bm.Measured(
        np.where(missing[:, None] & [True, False], np.nan, X), truncated=([-0.5, -np.inf], None)
    )
    seen = bm.Measured(X[~missing, :1], truncated=(-0.5, None))
    model, alone = (bm.GaussianMixture(1, **options).fit(data) for data in (gappy, seen))
    assert model.means_[0, 0] == pytest.approx(alone.means_[0, 0], abs=1e-3)
    assert model.covariances_[0, 0] == pytest.approx(alone.covariances_[0, 0], rel=1e-3)
    other = norm(X[:, 1].mean(), X[:, 1].std()).logpdf(X[:, 1]).sum()
    assert model.log_likelihood_ == pytest.approx(alone.log_likelihood_ + other, rel=1e-7)


def test_floors_of_components_belong_to_values_and_not_to_the_region_of_recorded_ones():
    """With a floor R the density has a factor exp(-R / 2σ²), of values that were recorded."""
    rng = np.random.default_rng(3)
    bound, x = 0.2, rng.normal(0.7, 1.0, 120)
    data = bm.Measured(x[x > bound][:, None], truncated=([bound], None))
    mixture = bm.GaussianMixture(1, search=None, **EXACT).fit(data).result_.mixture
    frame, structure = mixture.frame, mixture.components.structure
    floor = structure.algebra.of_dense((0.09 / frame.scale**2)[None, :, None])

    def objective(theta):
        mean, deviation = theta[0], np.exp(theta[1])
        logs = norm.logpdf(x[x > bound], mean, deviation) - norm.logsf(bound, mean, deviation)
        return 0.045 / deviation**2 * len(logs) - logs.sum()

    mean, log_deviation = minimize(objective, [0.7, 0.0], options={"gtol": 1e-8}).x
    best = Gaussians(
        structure,
        frame.apply(np.array([[mean]])),
        structure.algebra.of_dense(np.exp(2.0 * log_deviation) / frame.scale**2 * np.eye(1)[None]),
        floor,
    )
    sums = chunk_sums(replace(mixture, components=best), data.rows).finished()
    after = Gaussian("full").maximum_likelihood(sums.statistics, None, floor)
    np.testing.assert_allclose(after.means, best.means, atol=1e-6)
    np.testing.assert_allclose(after.blocks, best.blocks, rtol=1e-6)


@pytest.mark.slow
def test_weights_among_recorded_samples_are_those_before_truncation_times_probabilities():
    X, _ = two_clusters(5, 600)
    X = X[X[:, 0] > 0.0][:, :1]
    model = bm.GaussianMixture(2, **EXACT).fit(bm.Measured(X, truncated=(0.0, None)))
    inside = norm.sf(0.0, model.means_.ravel(), np.sqrt(model.covariances_.ravel()))
    shares = model.population_weights_ * inside
    np.testing.assert_allclose(model.weights_, shares / shares.sum(), atol=1e-4)


def test_small_steps_give_the_plain_fit_and_dependent_columns_sheppards_correction():
    rng = np.random.default_rng(6)
    X = np.concatenate([rng.normal(0, 1, (150, 2)), rng.normal(4, 1, (100, 2))])
    for structure in ("diag", "spherical"):
        options = {"covariance_type": structure, **EXACT}
        plain = bm.GaussianMixture(2, **options).fit(X)
        fine = bm.GaussianMixture(2, **options).fit(bm.Measured(X, step=1e-7))
        assert fine.log_likelihood_ == pytest.approx(plain.log_likelihood_, rel=1e-9)
        np.testing.assert_allclose(fine.covariances_, plain.covariances_, atol=1e-4)
    X = np.hstack([X, rng.normal(size=(250, 1))])
    rounded = np.round(X)
    plain = bm.GaussianMixture(2, **EXACT).fit(rounded)
    model = bm.GaussianMixture(2, **EXACT).fit(bm.Measured(rounded, step="auto"))
    np.testing.assert_allclose(model.covariances_, plain.covariances_ - np.eye(3) / 12, atol=1e-3)
    assert "approximately" in model.result_.summary()


def test_bounds_of_truncation_are_those_of_values_before_rounding_in_dependent_columns():
    rng = np.random.default_rng(17)
    X = rng.normal(size=(400, 3)) @ [[1.0, 0.5, 0.2], [0.0, 0.9, 0.3], [0.0, 0.0, 0.8]]
    X = np.round(X[X[:, 0] > -0.5])
    data = bm.Measured(X, step=1.0, truncated=([-0.5, -np.inf, -np.inf], None))
    model = bm.GaussianMixture(1, **EXACT).fit(data)
    m, C = model.means_[0], model.covariances_[0]
    expected = multivariate_normal(m, C + np.eye(3) / 12.0).logpdf(X)
    expected -= norm.logsf(-0.5, m[0], np.sqrt(C[0, 0]))
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-10)


def test_steps_of_two_dependent_columns_are_probabilities_of_cells():
    rng = np.random.default_rng(16)
    X = np.round(rng.normal(size=(80, 2)) @ [[1.0, 0.6], [0.0, 0.7]])
    model = bm.GaussianMixture(1, **EXACT).fit(bm.Measured(X, step=1.0))
    law = multivariate_normal(model.means_[0], model.covariances_[0])
    cells, numbers = np.unique(X, axis=0, return_inverse=True)
    expected = np.log([law.cdf(cell + 0.5, lower_limit=cell - 0.5) for cell in cells])
    np.testing.assert_allclose(
        model.score_samples(bm.Measured(X, step=1.0)), expected[numbers.ravel()], atol=1e-4
    )
    assert "approximately" not in model.result_.summary()


@pytest.mark.slow
def test_rounding_collapses_no_component():
    """Half the values equal one number: a plain likelihood has no maximum, that of cells has."""
    rng = np.random.default_rng(7)
    X = np.round(np.concatenate([rng.normal(0.1, 0.05, 60), rng.normal(5, 2, 60)]))[:, None]
    with pytest.warns(UserWarning, match="collapsed"):
        bm.GaussianMixture(2, **EXACT).fit(X)
    model = bm.GaussianMixture(2, **EXACT).fit(bm.Measured(X, step="auto"))
    assert model.result_.degenerate is None
    assert model.log_likelihood_ < 0.0


def test_units_of_the_columns_do_not_matter_with_limits_steps_and_truncation():
    rng = np.random.default_rng(8)
    X = np.abs(rng.normal(2, 1, (200, 2)))
    X[:, 1] = np.round(X[:, 1], 1)
    factor = np.array([1000.0, 0.01])
    models = [
        bm.GaussianMixture(2, covariance_type="diag", search=None, **EXACT).fit(
            bm.Measured(
                X * f,
                limits=([0.8, None or -np.inf] * f, None),
                step=f * [0, 0.1],
                truncated=([-np.inf, -0.06] * f, None),
            )
        )
        for f in (np.ones(2), factor)
    ]
    np.testing.assert_allclose(models[1].means_, models[0].means_ * factor, rtol=1e-5)
    n_exact = np.array([(X[:, 0] > 0.8).sum(), 200])
    expected = models[0].log_likelihood_ - n_exact @ np.log(factor)
    assert models[1].log_likelihood_ == pytest.approx(expected, rel=1e-9)
    assert models[1].result_.objective == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("structure", ["diag", "full"])
def test_true_values_and_draws_have_the_moments_of_their_posterior(structure):
    """By quadrature over the measured value; tolerance: 5 standard errors of 1,500 draws."""
    X = np.array([[0.0, 1.0], [2.0, 0.2], [1.0, 3.0], [0.5, 0.4]])
    error = np.full(2, 0.5)
    data = bm.Measured(X, error=error, limits=(None, [np.inf, 0.9]))
    rng = np.random.default_rng(9)
    train = rng.normal(size=(200, 2)) @ [[1.0, 0.5], [0.0, 1.0]]
    model = bm.GaussianMixture(1, covariance_type=structure, **EXACT).fit(train)
    C = model.covariances_[0] if structure == "full" else np.diag(model.covariances_[0])
    m, T = model.means_[0], C + np.diag(error**2)
    values = model.true_values(data)
    gain = C @ np.linalg.inv(T)
    for i in (0, 2):
        centre = m[1] + T[0, 1] / T[0, 0] * (X[i, 0] - m[0])
        law = norm(centre, np.sqrt(T[1, 1] - T[0, 1] ** 2 / T[0, 0]))
        mass, *moments = (
            quad(lambda x, p=p, law=law: law.pdf(x) * x**p, 0.9, 12.0, epsabs=1e-13)[0]
            for p in (0, 1, 2)
        )
        first, second = moments[0] / mass, moments[1] / mass
        np.testing.assert_allclose(
            values.mean[i], m + gain @ (np.array([X[i, 0], first]) - m), rtol=1e-9
        )
        variance = C - gain @ C + np.outer(gain[:, 1], gain[:, 1]) * (second - first**2)
        np.testing.assert_allclose(
            values.standard_deviation[i], np.sqrt(np.diag(variance)), rtol=1e-8
        )
    many = data.subset(np.tile(np.arange(4), 1500)).rows
    draws = drawn(model.result_.density, many, np.random.default_rng(10)).reshape(1500, 4, 2)
    z = (draws.mean(axis=0) - values.mean) / values.standard_deviation * np.sqrt(1500)
    assert np.abs(z).max() < 5.0
    np.testing.assert_allclose(draws.std(axis=0), values.standard_deviation, rtol=0.12)


NAN = np.nan


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lower": [[1, NAN]] * 4, "upper": [[0, NAN]] * 4}, "above upper, got 1 and 0 in row 0"),
        ({"limits": 3.0}, r"pair \(low, high\)"),
        ({"limits": (2.0, 1.0)}, "low bound below the high one"),
        ({"limits": ([0.0, 0.0, 0.0], None)}, r"shape \(2,\)"),
        ({"step": "half"}, "'auto' or numbers"),
        ({"step": [0.1, -1.0]}, "column 1: pass 0"),
        ({"truncated": (0.5, None)}, "got 0 in row 0, column 0: leave out that row"),
        ({"lower": [[0.0, 0.0]]}, r"lower must have shape \(4, 2\)"),
    ],
)
def test_bounds_that_do_not_fit_are_refused_with_their_place_and_a_remedy(options, message):
    X = np.arange(8.0).reshape(4, 2)
    with pytest.raises(InvalidInputError, match=message):
        bm.Measured(X, **options)


def test_what_cannot_be_fitted_is_refused_by_name():
    rng = np.random.default_rng(11)
    X = rng.normal(size=(30, 2))
    both = bm.Measured(X, limits=(0.0, None))
    with pytest.raises(UnsupportedError, match="truncation of one column, got 2"):
        bm.GaussianMixture(1).fit(bm.Measured(X, truncated=(-9.0, None)))
    with pytest.raises(InvalidInputError, match="all 30 values of column 0 are censored"):
        bm.GaussianMixture(1, covariance_type="diag").fit(bm.Measured(X, limits=([9, -9], None)))
    with pytest.raises(UnsupportedError, match="prior='auto'"):
        bm.BayesianGaussianMixture(1, covariance_type="diag").fit(both)


def test_select_ranks_measured_data_by_bic_and_keeps_the_measurement_everywhere(tmp_path):
    X, rng = two_clusters(12, 100)
    error = rng.uniform(0.2, 0.6, X.shape)
    data = bm.Measured(X + error * rng.normal(size=X.shape), error=error, limits=(-0.5, None))
    search = bm.select(data, n_components=[1, 2], n_jobs=1)
    assert search.best_params_["n_components"] == 2
    model = search.best_estimator_
    # BIC counts samples, whether censored or not.
    expected = -2.0 * model.log_likelihood_ + model.n_parameters_ * np.log(len(X))
    assert search.results_["bic"].min() == pytest.approx(expected, rel=1e-9)
    assert model.bic(data) == pytest.approx(expected, rel=1e-9)
    censored = int((data.side.measurement.censored).sum())
    assert f"censored values among 150 samples: {censored} of column 0" in (
        model.result_.summary().lower()
    )
    model.save(tmp_path / "measured.bayesmix")
    loaded = bm.load(tmp_path / "measured.bayesmix")
    np.testing.assert_array_equal(loaded.predict_proba(data), search.predict_proba(data))
    np.testing.assert_array_equal(loaded.true_values(data).mean, search.true_values(data).mean)
    # A subset is measured as it was.
    part = np.arange(0, 150, 7)
    np.testing.assert_allclose(
        loaded.score_samples(data.subset(part)), loaded.score_samples(data)[part], rtol=1e-12
    )


def test_missing_values_beside_intervals_are_neither_warned_of_nor_taken_for_bounds():
    """A missing first value, a column without any, and one of censored and missing values."""
    nan = np.nan
    low, high = [[nan], [nan], [1.0], [1.0]], [[nan], [1.0], [nan], [nan]]
    data = bm.Measured([[nan], [1.0], [1.0], [1.0]], lower=low, upper=high)
    np.testing.assert_array_equal(np.isnan(data.values[:, 0]), [True, False, False, False])
    bm.Measured([[nan, 1.0], [nan, 2.0]], limits=(1.5, None))
    X = np.random.default_rng(18).normal(size=(40, 2))
    model = bm.GaussianMixture(1, covariance_type="diag", **EXACT).fit(X)
    X[:, 0] = np.where(np.arange(40) == 3, nan, -5.0)
    data = bm.Measured(X, limits=([-1.0, -np.inf], None))
    (event,) = data.side.measurement.undetermined(model.result_.mixture, data)
    assert "only censored values of column 0" in event.text


def test_folds_hold_out_measured_samples():
    X, _ = two_clusters(13, 80)
    data = bm.Measured(X, error=np.full(X.shape, 0.3), limits=(None, 4.5))
    search = bm.MixtureSearch(
        bm.GaussianMixture(), n_components=[1, 2], criterion="cv", n_jobs=1, random_state=0
    ).fit(data)
    assert search.best_params_["n_components"] == 2


def test_a_truncated_fit_keeps_both_weights_when_saved(tmp_path):
    X, _ = two_clusters(14, 100)
    X = X[X[:, 0] > 0.0][:, :1]
    model = bm.GaussianMixture(2, **EXACT).fit(bm.Measured(X, truncated=(0.0, None)))
    model.save(tmp_path / "truncated.bayesmix")
    loaded = bm.load(tmp_path / "truncated.bayesmix")
    np.testing.assert_array_equal(loaded.population_weights_, model.population_weights_)
    np.testing.assert_array_equal(loaded.weights_, model.weights_)


@pytest.mark.slow
@pytest.mark.parametrize("K", [1, 2, 3])
def test_in_two_columns_the_maximum_is_that_of_a_direct_search(K):
    rng = np.random.default_rng(15)
    centres = np.array([[0.0, 0.0], [5.0, 1.0], [1.0, 6.0]])[:K]
    X = centres[rng.integers(K, size=240)] + rng.normal(size=(240, 2))
    error = rng.uniform(0.1, 0.8, X.shape)
    X += error * rng.normal(size=X.shape)
    X[::10, 0] = np.nan
    low, high = of_limits(X, np.array([-np.inf, -0.5]), np.array([5.5, np.inf]))
    data = bm.Measured(X, error=error, limits=([-np.inf, -0.5], [5.5, np.inf]))
    model = bm.GaussianMixture(K, covariance_type="diag", missing="use", **EXACT).fit(data)
    direct = Direct(X, error, low, high)
    at_truth = np.concatenate([np.zeros(K), centres.ravel(), np.zeros(2 * K)])
    complete = X[~np.isnan(X[:, 0])]
    best = direct.best(K, [at_truth, *starts_near(complete, K, 2, 1)])
    assert model.log_likelihood_ == pytest.approx(-best.fun, rel=1e-6)
    order, by_mean = (
        np.lexsort(means.T) for means in (model.means_, best.x[K : 3 * K].reshape(K, 2))
    )
    np.testing.assert_allclose(
        model.means_[order], best.x[K : 3 * K].reshape(K, 2)[by_mean], atol=1e-3
    )
    deviations = np.exp(best.x[3 * K :].reshape(K, 2))[by_mean]
    np.testing.assert_allclose(np.sqrt(model.covariances_[order]), deviations, rtol=1e-3)


def test_analyses_of_values_refuse_measured_data():
    X, _ = two_clusters(16, 20)
    data = bm.Measured(X, error=np.full(1, 0.3))
    model = bm.GaussianMixture(2, **EXACT).fit(data)
    variational = bm.BayesianGaussianMixture(2, **EXACT).fit(X)
    search = bm.MixtureSearch(bm.GaussianMixture(), n_components=[1], column_powers=True)
    for analysis in (
        lambda: bm.GaussianMixture(2).partial_fit(data),
        lambda: bm.MixtureClassifier().fit(data, (X[:, 0] > 2.0).astype(int)),
        lambda: model.impute(data),
        lambda: model.tail_probability(data),
        lambda: model.marginal([0]).score_samples(data),
        lambda: bm.goodness_of_fit(model, data),
        lambda: bm.likelihood_ratio_test(model, data),
        lambda: bm.conformal_region(model, data),
        lambda: bm.leave_one_out(variational, data),
        lambda: search.fit(data),
        lambda: bm.GaussianMixture(2, noise="uniform").fit(data),
    ):
        with pytest.raises(UnsupportedError, match=r"not support.* measured data"):
            analysis()
