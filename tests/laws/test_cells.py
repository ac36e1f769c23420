"""Limits and intervals of counts and positive columns, against direct likelihoods by SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize
from scipy.special import betainc, digamma, gammainc, gammaln, logsumexp, xlogy

import bayesmix as bm
from bayesmix.errors import BayesmixError, InvalidInputError, UnsupportedError
from bayesmix.families.gamma import Gammas
from bayesmix.observation.cells import _nodes_in
from laws.skew_normal import SkewNormal, SkewNormals

EXACT = {"random_state": 0, "n_jobs": 1}
LIKELIHOOD = {"inference": bm.MaximumLikelihood(), **EXACT}


def log_cell(law, low, high):
    """Log P(low <= x <= high), from the tail in which it lies."""
    low = np.where(low == np.floor(low), low - 1.0, low) if hasattr(law.dist, "pmf") else low
    upper = law.cdf(low) > 0.5
    return np.log(
        np.where(upper, law.sf(low) - law.sf(high), law.cdf(high) - law.cdf(low)) + 1e-320
    )


class NegativeBinomialLaw:
    """Counts by mean and size: SciPy's law loses digits at sizes of 1e8, near a Poisson law."""

    dist = stats.nbinom

    def __init__(self, mean, size):
        self.mean, self.size = mean, size

    def logpmf(self, x):
        i = np.arange(x.max())
        rises = np.where(i < x[..., None], np.log1p(i / np.reshape(self.size, (-1, 1))), 0.0)
        powers = xlogy(x, self.mean) - (x + self.size) * np.log1p(self.mean / self.size)
        return rises.sum(axis=-1) + powers - gammaln(x + 1.0)

    def sf(self, x):
        tail = betainc(np.clip(x, 0.0, 1e6) + 1.0, self.size, self.mean / (self.mean + self.size))
        return np.where(x < 0.0, 1.0, np.where(x > 1e6, 0.0, tail))

    def cdf(self, x):
        return 1.0 - self.sf(x)

    def rvs(self, shape, rng):
        return stats.nbinom(self.size, self.size / (self.mean + self.size)).rvs(shape, rng)


# Families: SciPy's law of two real parameters, and those of the fitted components.
FAMILIES = {
    "exponential": (
        bm.Exponential(),
        lambda a, b: stats.expon(scale=np.exp(a)),
        lambda c: (np.log(c.means), 0.0 * c.means),
    ),
    "weibull": (
        bm.Weibull(),
        lambda a, b: stats.weibull_min(np.exp(b), scale=np.exp(a)),
        lambda c: (np.log(c.scales), np.log(c.shapes)),
    ),
    "gamma": (
        bm.Gamma(),
        lambda a, b: stats.gamma(np.exp(b), scale=np.exp(a - b)),
        lambda c: (np.log(c.means), np.log(c.shapes)),
    ),
    "log_normal": (
        bm.LogNormal(),
        lambda a, b: stats.lognorm(np.exp(b), scale=np.exp(a)),
        lambda c: (
            c.normals.means,
            0.5 * np.log(np.diagonal(c.normals.covariances, axis1=1, axis2=2)),
        ),
    ),
    "poisson": (
        bm.Poisson(),
        lambda a, b: stats.poisson(np.exp(a)),
        lambda c: (np.log(c.means), 0.0 * c.means),
    ),
    "negative_binomial": (
        bm.NegativeBinomial(),
        lambda a, b: NegativeBinomialLaw(np.exp(a), np.exp(b)),
        lambda c: (np.log(c.means), np.log(c.sizes)),
    ),
}


def parameters_of(model, name):
    components = model.result_.density.components.unframed(model.result_.density.frame)
    first, second = FAMILIES[name][2](components)
    return np.broadcast_to(first, np.shape(second)) + 0.0, second + 0.0


def log_densities(name, weights, first, second, low, high):
    """Log densities (n,) of cells from low to high, exact where they are equal."""
    exact, logs = low == high, []
    for w, a, b in zip(weights, first, second, strict=True):
        law = FAMILIES[name][1](a, b)
        density = getattr(law, "logpmf" if hasattr(law.dist, "pmf") else "logpdf")
        inside = np.where(exact, low, 1.0)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            cell = log_cell(law, np.where(exact, 0.0, low), np.where(exact, 1.0, high))
            logs.append(np.log(w) + np.where(exact, density(inside), cell).sum(axis=1))
    return logsumexp(logs, axis=0)


def problem(name, D=1, n=100):
    """Two clusters, limits of detection, ends of observation, and one interval."""
    rng = np.random.default_rng(64)
    count = name in ("poisson", "negative_binomial")
    first, second = np.array([[0.3], [2.6]]) + np.zeros(D), np.array([[1.0], [1.4]]) + np.zeros(D)
    if name in ("exponential", "poisson"):
        second *= 0.0
    if name == "log_normal":
        second = second - 1.9
    z = (np.arange(n) < n // 3).astype(int)
    X = np.concatenate(
        [FAMILIES[name][1](first[k], second[k]).rvs(((z == k).sum(), D), rng) for k in (0, 1)]
    ).astype(float)
    stop = rng.uniform(4.0, 40.0, X.shape)
    stop = np.ceil(stop) if count else stop
    low, high = np.where(stop < X, stop, X), np.where(stop < X, np.inf, X)
    least = 1.0 if count else 0.7
    low, high = np.where(least >= X, -np.inf, low), np.where(least >= X, least, high)
    low[5], high[5] = 2.0, 6.0
    return low, high


SLOW = [pytest.param("negative_binomial", marks=pytest.mark.slow)]


@pytest.mark.parametrize("D", [1, 2])
@pytest.mark.parametrize("name", [*list(FAMILIES)[:-1], *SLOW])
def test_the_likelihood_is_that_of_distribution_functions_and_stationary(name, D):
    low, high = problem(name, D)
    data = bm.Measured(np.full(low.shape, np.nan), lower=low, upper=high)
    options = {"family": FAMILIES[name][0], "search": None, "tol": 1e-8, "max_iter": 2000}
    model = bm.Mixture(2, **options, **LIKELIHOOD).fit(data)
    first, second = parameters_of(model, name)
    expected = log_densities(name, model.weights_, first, second, low, high)
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-8, atol=1e-8)
    assert model.log_likelihood_ == pytest.approx(expected.sum(), rel=1e-9)
    assert np.diff(model.result_.trace).min() > -1e-8
    for change in (1e-2, -1e-2):
        for k, d in np.ndindex(2, D):
            moved = np.zeros((2, D))
            moved[k, d] = change
            for other in ((first + moved, second), (first, second + moved)):
                if name in ("exponential", "poisson") and other[0] is first:
                    continue
                own = log_densities(name, model.weights_, *other, low, high).sum()
                assert own < model.log_likelihood_ + 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_the_maximum_is_that_of_a_direct_search(name):
    low, high = problem(name)
    data = bm.Measured(np.full(low.shape, np.nan), lower=low, upper=high)
    options = {"search": None, "tol": 1e-11, "max_iter": 20_000, **LIKELIHOOD}
    model = bm.Mixture(2, family=FAMILIES[name][0], **options).fit(data)

    def minus(theta):
        weights = np.exp(theta[:2] - logsumexp(theta[:2]))
        return -log_densities(name, weights, theta[2:4, None], theta[4:6, None], low, high).sum()

    rng = np.random.default_rng(1)
    starts = [np.r_[rng.normal(0, 0.3, 2), 0.3, 2.6, rng.normal(0, 0.4, 2)] for _ in range(4)]
    options = {"ftol": 1e-14, "gtol": 1e-7}
    found = [minimize(minus, start, method="L-BFGS-B", options=options) for start in starts]
    best = min(found, key=lambda one: one.fun)
    assert model.log_likelihood_ == pytest.approx(-best.fun, rel=1e-6)
    first, _ = parameters_of(model, name)
    np.testing.assert_allclose(np.sort(first.ravel()), np.sort(best.x[2:4]), atol=1e-3)
    weights = np.exp(best.x[:2] - logsumexp(best.x[:2]))
    np.testing.assert_allclose(np.sort(model.weights_), np.sort(weights), atol=1e-3)


@pytest.mark.parametrize(("shape", "digits"), [(0.03, 8), (0.2, 8), (1.0, 10), (30.0, 13)])
def test_probabilities_of_cells_hold_for_gammas_of_small_shape(shape, digits):
    """Their log values have a tail a hundred times as wide as the bend at the mode."""
    column = Gammas(np.array([[shape]]), np.array([[shape]]))
    low, high = np.array([0.0, 0.0, 0.5, 0.2]), np.array([np.inf, 1.0, np.inf, 3.0])
    zeros = np.zeros(4)
    nodes = _nodes_in(column, False, zeros, low, high)
    expected = np.diff(gammainc(shape, shape * np.array([low, high])), axis=0)[0]
    np.testing.assert_allclose(np.exp(nodes.log_total), expected, rtol=10.0**-digits)
    mean_log = nodes.mean(np.log(nodes.values))[0]
    assert mean_log == pytest.approx(digamma(shape) - np.log(shape), rel=10.0 ** (1 - digits))


def test_cells_as_small_as_rounding_give_the_plain_fit():
    X = np.random.default_rng(2).weibull(2.0, (100, 1)) + 0.01
    plain = bm.Mixture(1, family=bm.Weibull(), **EXACT).fit(X)
    width = 1e-6 * X
    cells = bm.Measured(X, lower=X - width, upper=X + width)
    model = bm.Mixture(1, family=bm.Weibull(), **EXACT).fit(cells)
    volume = np.log(2.0 * width).sum()
    assert model.log_likelihood_ - volume == pytest.approx(plain.log_likelihood_, rel=1e-8)


def test_a_remaining_duration_of_an_exponential_is_its_mean():
    """No memory: E[x | x > c] = c + mean, with the standard deviation of the mean."""
    X = np.random.default_rng(3).exponential(5.0, (80, 1))
    low, high = np.minimum(X, 6.0), np.where(X > 6.0, np.inf, X)
    data = bm.Measured(X, lower=low, upper=high)
    model = bm.Mixture(1, family=bm.Exponential(), **LIKELIHOOD).fit(data)
    # Events over total time.
    mean = np.minimum(X, 6.0).sum() / (X <= 6.0).sum()
    assert model.means_[0, 0] == pytest.approx(mean, rel=1e-6)
    values, ended = model.true_values(data), X[:, 0] <= 6.0
    np.testing.assert_allclose(values.mean[~ended, 0], 6.0 + mean, rtol=1e-6)
    np.testing.assert_allclose(values.standard_deviation[~ended, 0], mean, rtol=1e-6)
    np.testing.assert_allclose(values.mean[ended], X[ended])
    assert (values.standard_deviation[ended] == 0.0).all()


def test_a_component_of_censored_values_only_is_named():
    X = np.r_[np.full(30, 1.0), np.random.default_rng(4).weibull(6.0, 40) * 50.0][:, None]
    data = bm.Measured(X, limits=(2.0, None))
    with pytest.warns(UserWarning, match=r"only censored values of column 0, such as that of row"):
        bm.Mixture(2, family=bm.Weibull(), search=None, tol=1e-2, **LIKELIHOOD).fit(data)


@pytest.mark.parametrize(
    ("family", "options", "message"),
    [
        (bm.Weibull(), {"upper": [[-1.0], [np.nan], [np.nan]]}, "-inf to -1 in row 0, column 0"),
        (bm.Poisson(), {"lower": [[np.nan], [1.2], [np.nan]], "upper": [[np.nan], [1.8], [np.nan]]},
         "from 1.2 to 1.8 in row 1, column 0 holds no value of Poisson"),
        (bm.Gamma(), {"error": [1.0]}, "errors of measured data need a Gaussian family"),
        (bm.StudentT(), {"limits": (1.5, None)}, "do not support StudentT"),
        (bm.Product({0: bm.Gaussian()}), {"error": [1.0]}, "need a Gaussian family, got Product"),
    ],
)  # fmt: skip
def test_what_a_family_cannot_hold_is_refused_by_name(family, options, message):
    data = bm.Measured([[1.0], [2.0], [3.0]], **options)
    with pytest.raises((InvalidInputError, UnsupportedError), match=message):
        bm.Mixture(1, family=family, **LIKELIHOOD).fit(data)
    if isinstance(family, bm.Poisson):
        variational = bm.Mixture(1, family=family, inference=bm.VariationalBayes())
        with pytest.raises(UnsupportedError, match="need a point estimate"):
            variational.fit(bm.Measured([[1.0], [2.0]], limits=(1.0, None)))


@pytest.mark.parametrize(
    "name",
    [
        "exponential",
        "weibull",
        "poisson",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("gamma", "log_normal")),
        *SLOW,
    ],
)
def test_delayed_entry_divides_by_the_probability_of_being_recorded(name):
    """Samples below their own bound were never recorded; those above another are censored."""
    low, high = problem(name, n=200)
    entry = np.floor(np.random.default_rng(8).uniform(0.0, 6.0, low.shape))
    there = (low >= entry).all(axis=1) & (low < high + 1.0).all(axis=1) & (low[:, 0] > 0.0)
    low, high, entry = low[there], high[there], entry[there]
    data = bm.Measured(low, lower=low, upper=high, truncated=(entry[:, 0], None))
    options = {"family": FAMILIES[name][0], "search": None, "tol": 1e-9, "max_iter": 5000}
    model = bm.Mixture(2, **options, **LIKELIHOOD).fit(data)

    def log_likelihood(weights, first, second):
        seen = log_densities(name, weights, first, second, low, high)
        reached = log_densities(name, weights, first, second, entry, np.full(entry.shape, np.inf))
        return (seen - reached).sum()

    first, second = parameters_of(model, name)
    weights = model.population_weights_
    assert log_likelihood(weights, first, second) == pytest.approx(model.log_likelihood_, rel=1e-9)
    assert np.diff(model.result_.trace).min() > -1e-8
    assert weights[np.argmin(first)] > model.weights_[np.argmin(first)]
    for change in (1e-2, -1e-2):
        moved = np.array([1.0 + change, 1.0])
        assert log_likelihood(weights * moved / (weights @ moved), first, second) < (
            model.log_likelihood_ + 1e-6
        )
        for k in range(2):
            moved = np.zeros((2, 1))
            moved[k] = change
            assert log_likelihood(weights, first + moved, second) < model.log_likelihood_ + 1e-6
            if name not in ("exponential", "poisson") and second[k, 0] < 15.0:
                assert log_likelihood(weights, first, second + moved) < model.log_likelihood_ + 1e-6


def test_a_product_holds_each_column_as_it_was_measured():
    """A normal column with a limit, censored counts, lifetimes in steps: direct densities."""
    rng, n = np.random.default_rng(12), 150
    z = rng.random(n) < 0.4
    X = np.column_stack(
        [rng.normal(3.0 * z), rng.poisson(2.0 + 9.0 * z), np.ceil(9.0 * rng.weibull(1.0 + 2.0 * z))]
    )
    X[::11, 0], X[::13, 1] = np.nan, np.nan
    data = bm.Measured(X, limits=([-0.5, -np.inf, -np.inf], [np.inf, 12.0, np.inf]), step=[0, 0, 1])
    family = bm.Product({0: bm.Gaussian(), 1: bm.Poisson(), 2: bm.Weibull()})
    options = {"search": None, "tol": 1e-9, "max_iter": 5000, "missing": "use"}
    model = bm.Mixture(2, family=family, **options, **LIKELIHOOD).fit(data)
    normal, counts, lifetimes = model.result_.density.components.unframed(
        model.result_.density.frame
    ).parts

    def log_likelihood(weights, means, deviations, rates, scales, shapes):
        logs = []
        for k, w in enumerate(weights):
            law, count = stats.norm(means[k], deviations[k]), stats.poisson(rates[k])
            life = stats.weibull_min(shapes[k], scale=scales[k])
            parts = [
                np.where(X[:, 0] <= -0.5, law.logcdf(-0.5), law.logpdf(X[:, 0])),
                np.where(X[:, 1] >= 12.0, count.logsf(11), count.logpmf(X[:, 1])),
                np.log(life.sf(X[:, 2] - 0.5) - life.sf(X[:, 2] + 0.5)),
            ]
            logs.append(np.log(w) + np.nansum(parts, axis=0))
        return logsumexp(logs, axis=0).sum()

    found = [
        model.weights_,
        normal.means[:, 0],
        normal.deviations[:, 0],
        counts.means[:, 0],
        lifetimes.scales[:, 0],
        lifetimes.shapes[:, 0],
    ]
    assert log_likelihood(*found) == pytest.approx(model.log_likelihood_, rel=1e-9)
    assert np.diff(model.result_.trace).min() > -1e-8
    for change in (0.99, 1.01):
        for place in range(1, 6):
            moved = [part.copy() for part in found]
            moved[place][0] *= change
            assert log_likelihood(*moved) < model.log_likelihood_ + 1e-6
    values, hidden = model.true_values(data), X[:, 0] <= -0.5
    assert (values.mean[hidden, 0] < -0.5).all()


def survival(factor=1.0):
    rng = np.random.default_rng(3)
    days, stop = 5.0 * rng.weibull(1.5, (80, 1)), rng.uniform(1.0, 12.0, (80, 1))
    low, high = np.minimum(days, stop), np.where(days > stop, np.inf, days)
    return low * factor, high * factor


def test_units_do_not_matter_and_weights_repeat_samples():
    options, models = {"family": bm.Weibull(), "search": None, **EXACT}, []
    for factor in (1.0, 1000.0):
        low, high = survival(factor)
        models.append(bm.Mixture(1, **options).fit(bm.Measured(low, lower=low, upper=high)))
    low, high = survival()
    change = (low == high).sum() * np.log(1000.0)
    assert models[1].log_likelihood_ + change == pytest.approx(models[0].log_likelihood_, rel=1e-9)
    np.testing.assert_allclose(models[1].means_, 1000.0 * models[0].means_, rtol=1e-6)
    weights = np.arange(80) % 3 + 1
    rows = np.repeat(np.arange(80), weights)
    weighted, repeated = bm.Mixture(1, **options), bm.Mixture(1, **options)
    weighted.fit(bm.Measured(low, lower=low, upper=high), sample_weight=weights)
    repeated.fit(bm.Measured(low[rows], lower=low[rows], upper=high[rows]))
    assert weighted.log_likelihood_ == pytest.approx(repeated.log_likelihood_, rel=1e-9)


def test_where_nine_in_ten_durations_go_on_the_maximum_has_no_slope_and_few_passes_lead_there():
    rng = np.random.default_rng(11)
    days = 2.0 * rng.weibull(1.5, 400)
    days[::2] = 10.0 * rng.weibull(3.0, 200)
    stop = np.sort(days)[40]
    low, high = np.minimum(days, stop), np.where(days > stop, np.inf, days)
    data = bm.Measured(low[:, None], lower=low[:, None], upper=high[:, None])
    options = {"family": bm.Weibull(), "search": None, **EXACT}
    model = bm.Mixture(1, **options).fit(data)
    ended, found = high < np.inf, model.result_.unframed
    shape, scale = found.shapes.item(), found.scales.item()
    powers = (low / scale) ** shape
    assert ended.sum() == pytest.approx(powers.sum(), rel=1e-6)
    slope = (1.0 / shape + np.log(low / scale))[ended].sum() - powers @ np.log(low / scale)
    assert abs(slope) * shape < 1e-4
    assert model.n_iter_ < 30
    mixture = bm.Mixture(2, **options, max_iter=300).fit(data)
    assert mixture.converged_
    assert mixture.log_likelihood_ >= model.log_likelihood_
    found = mixture.result_.unframed
    life = stats.weibull_min(found.shapes.T, scale=found.scales.T)
    x = low[:, None]
    logs = np.where(ended[:, None], life.logpdf(x), life.logsf(x)) + np.log(mixture.weights_)
    direct = np.logaddexp.reduce(logs, axis=1).sum()
    assert mixture.log_likelihood_ == pytest.approx(direct, rel=1e-9)


def test_limits_that_are_written_in_cells_of_a_frame_are_read():
    frame = pd.DataFrame({"lead": ["≤0.5", "1.25", " >9", ""], "zinc": [1.0, 2.0, 3.0, np.nan]})
    intervals = bm.Measured(frame).side.measurement
    np.testing.assert_array_equal(intervals.lower[:, 0], [-np.inf, np.nan, 9.0, np.nan])
    np.testing.assert_array_equal(intervals.upper[:, 0], [0.5, np.nan, np.inf, np.nan])
    assert np.isnan(intervals.lower[:, 1]).all()
    with pytest.raises(InvalidInputError, match="columns do not: 'site'"):
        bm.Measured(frame.assign(site="a"))
    with pytest.raises(
        InvalidInputError, match=r"'lead'.*bayesmix\.Measured\(X\) if cells such as"
    ):
        bm.GaussianMixture(2).fit(frame)


def test_a_search_over_variational_mixtures_of_measured_data_names_the_remedy():
    data = bm.Measured(np.arange(20.0)[:, None], error=[0.1])
    search = bm.MixtureSearch(bm.BayesianGaussianMixture(), [1, 2])
    with pytest.raises(BayesmixError, match=r"^no candidate could be fitted: measured data need"):
        search.fit(data)


def test_limits_that_no_value_reaches_change_nothing():
    X = np.random.default_rng(7).weibull(2.0, (50, 1)) + 0.01
    models = [
        bm.Mixture(1, family=bm.Weibull(), **EXACT).fit(data)
        for data in (X, bm.Measured(X, limits=(None, 99.0)))
    ]
    np.testing.assert_allclose(models[1].means_, models[0].means_, rtol=1e-7)


def test_censored_counts_and_missing_values_together_have_the_direct_maximum():
    X = np.random.default_rng(5).poisson([3, 20], (60, 2)).astype(float)
    X[::7, 0] = np.nan
    data = bm.Measured(X, limits=(None, [5.0, np.inf]))
    options = {"family": bm.Poisson(), "missing": "use", "search": None, **LIKELIHOOD}
    model = bm.Mixture(1, **options).fit(data)
    exact, beyond = X[X[:, 0] < 5.0, 0], (X[:, 0] >= 5.0).sum()

    def minus(rate):
        return -stats.poisson.logpmf(exact, rate).sum() - beyond * stats.poisson.logsf(4, rate)

    best = minimize(minus, [2.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    np.testing.assert_allclose(model.means_[0], [best.x[0], X[:, 1].mean()], rtol=1e-6)


def test_intervals_that_reach_beyond_the_values_of_a_family_end_there():
    rng = np.random.default_rng(23)
    options = {"search": None, "random_state": 0, "n_jobs": 1}
    waits = rng.gamma(2.0, size=(60, 1))
    fits = [
        bm.Mixture(1, family=bm.Gamma(), **options).fit(
            bm.Measured(waits, lower=low, upper=waits + 1)
        )
        for low in (waits - 1.0, np.maximum(waits - 1.0, 0.0))
    ]
    assert fits[0].log_likelihood_ == pytest.approx(fits[1].log_likelihood_, rel=1e-9)
    # Durations between inspections at whole numbers, the first at 0.
    low = np.floor(waits)
    model = bm.Mixture(1, family=bm.Exponential(), **options).fit(
        bm.Measured(waits, lower=low, upper=low + 1.0)
    )
    rate = np.log1p(1.0 / low.mean())
    expected = np.log(-np.expm1(-rate)) - rate * low.mean()
    assert model.log_likelihood_ == pytest.approx(60 * expected, rel=1e-9)
    counts = rng.poisson(3.0, (60, 1))
    fits = [
        bm.Mixture(1, family=bm.Poisson(), **options).fit(bm.Measured(counts, limits=(low, None)))
        for low in (1.0, 1.5)
    ]
    assert fits[0].log_likelihood_ == pytest.approx(fits[1].log_likelihood_, rel=1e-9)
    with pytest.raises(
        InvalidInputError, match=r"Poisson\(\) has whole numbers without steps: pass"
    ):
        bm.Mixture(1, family=bm.Poisson()).fit(bm.Measured(counts, step=1.0))


def test_intervals_have_the_probability_that_a_family_of_somebody_else_gives_them():
    location, slope, variance = -1.5, 2.0, 0.3
    point = SkewNormals(*(np.full((1, 1), own) for own in (location, slope, variance)))
    law = stats.skewnorm(slope / np.sqrt(variance), location, np.sqrt(slope**2 + variance))
    low = np.array([-np.inf, -3.0, -1.6, -1.0, 2.0, 7.0])
    high = np.array([-1.0, -2.5, -1.5, 4.0, 2.001, np.inf])
    found = _nodes_in(point, False, np.zeros(len(low)), low, high).log_total
    np.testing.assert_allclose(found, np.log(law.cdf(high) - law.cdf(low)), rtol=1e-5)


def test_a_family_of_somebody_else_is_fitted_to_intervals():
    rows = stats.skewnorm.rvs(4.0, -3.0, 2.0, 400, random_state=1)[:, None]
    low = np.floor(rows)
    data = bm.Measured(rows, lower=low, upper=low + 1.0)
    model = bm.Mixture(1, family=SkewNormal(), **LIKELIHOOD).fit(data)

    def loss(theta):
        law = stats.skewnorm(theta[0], theta[1], np.exp(theta[2]))
        return -np.log(law.cdf(low + 1.0) - law.cdf(low)).mean()

    best = minimize(loss, [4.0, -3.0, 0.7], method="Nelder-Mead", options={"fatol": 1e-12})
    assert model.log_likelihood_ == pytest.approx(-400.0 * best.fun, rel=1e-7)
