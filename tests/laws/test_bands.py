"""Bands by the method that their draws are from: Gibbs sampling, a bootstrap, or q."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.allocation.point_draws import WeightDraws
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.posterior.bands import drawn_mixtures, marginal_band
from bayesmix.posterior.bootstrap import weighted_bootstrap
from bayesmix.posterior.posterior_draws import Draws
from laws.cases import COVARIANCES, generator
from laws.test_posterior import PLAIN, counted, dense, fitted, rows_of

# Two-sided, of a normal mean: a false alarm in 1.7 million.
Z = 5.0
BOTH = ("gibbs", "bootstrap")

every_structure = pytest.mark.parametrize("structure", COVARIANCES)


def densities(structure, weights, means, covariances, rows):
    """p(x | draw) (S, n), by SciPy."""
    matrices = dense(structure, covariances, *means.shape[1:])
    found = np.zeros((len(weights), len(rows)))
    for s, k in np.ndindex(weights.shape):
        found[s] += weights[s, k] * stats.multivariate_normal(means[s, k], matrices[s, k]).pdf(rows)
    return found


@every_structure
def test_a_band_of_gibbs_draws_is_the_quantiles_of_their_densities(structure):
    model, rows = fitted(structure, 2), rows_of()
    found = bm.gibbs(model, rows, n_draws=50, chains=2, warmup=5)
    drawn = [found.parameters[name].reshape(100, *found.parameters[name].shape[2:])
             for name in ("means", "covariances")]  # fmt: skip
    each = densities(structure, found.weights.reshape(100, 2), *drawn, rows[:4])
    expected = np.exp(np.quantile(np.log(each), [0.1, 0.9], axis=0)).T
    band = model.density_interval(rows[:4], 0.8, method=found)
    np.testing.assert_allclose(band, expected, rtol=1e-6)


@pytest.mark.parametrize("kind", [bm.BayesianGaussianMixture, bm.GaussianMixture])
@every_structure
def test_a_band_of_refits_is_the_quantiles_of_their_densities(kind, structure):
    rows = rows_of()
    model = kind(2, covariance_type=structure, **PLAIN).fit(rows)
    found = weighted_bootstrap(model, rows, n_draws=40)
    sample = found.sample
    each = densities(structure, sample.weights, sample.means, sample.covariances, rows[:4])
    expected = np.exp(np.quantile(np.log(each), [0.25, 0.75], axis=0)).T
    band = model.density_interval(rows[:4], 0.5, method=found)
    np.testing.assert_allclose(band, expected, rtol=1e-6)


def test_a_band_of_draws_of_an_unknown_number_of_components_is_over_all_of_them():
    rows = rows_of()[:, :1]
    options = {"weight_concentration_prior_type": "dirichlet_distribution"}
    model = bm.BayesianGaussianMixture(2, **PLAIN | options).fit(rows)
    found = bm.gibbs(model, rows, n_draws=40, chains=2, n_components=None)
    numbers = found.n_components.ravel()
    assert len(set(numbers)) > 1
    weights = found.weights.reshape(80, -1)
    means = found.parameters["means"].reshape(80, -1)
    sds = np.sqrt(found.parameters["covariances"].reshape(80, -1))
    each = np.nansum(weights[:, None] * stats.norm.pdf(rows[:4], means[:, None], sds[:, None]), 2)
    expected = np.exp(np.quantile(np.log(each), [0.1, 0.9], axis=0)).T
    np.testing.assert_allclose(
        model.density_interval(rows[:4], 0.8, method=found), expected, rtol=1e-6
    )
    assert drawn_mixtures(model, found, None, 30, 0).n_draws == 30
    with pytest.raises(UnsupportedError, match="co_clustering"):
        model.assignment_interval(rows[:4], 0.8, method=found)


def test_a_method_by_name_is_the_draws_of_its_function():
    model, rows = fitted("full", 2), rows_of()
    found = {
        "gibbs": bm.gibbs(model, rows, n_draws=10, chains=4, random_state=3),
        "bootstrap": weighted_bootstrap(model, rows, 40, random_state=3),
    }
    for name, draws in found.items():
        for ask in (
            lambda **more: model.density_interval(rows[:3], 0.5, True, 40, 3, **more),
            lambda **more: model.conditional_interval(rows[:3, :1], 0, 0.5, 40, 3, **more),
            lambda **more: model.assignment_interval(rows[:3], 0.5, 40, 3, **more),
        ):
            np.testing.assert_array_equal(ask(method=name, data=rows), ask(method=draws))


@pytest.mark.parametrize("method", BOTH)
def test_weights_of_rows_come_with_a_source_and_threads_change_nothing(method):
    from bayesmix.sources.memory import ArraySource

    rows, weights = rows_of(), 1.0 + np.arange(120) % 2
    model = fitted("diag", 2, rows=rows)
    model.fit(rows, sample_weight=weights)
    source = ArraySource(rows, weights)
    bands = []
    for n_jobs in (1, 2):
        model.set_params(n_jobs=n_jobs)
        bands.append(model.density_interval(rows[:5], 0.5, n_draws=20, method=method, data=source))
    np.testing.assert_array_equal(*bands)
    with pytest.raises(InvalidInputError, match="total weight"):
        model.density_interval(rows[:5], 0.5, n_draws=20, method=method, data=rows)


def shuffled(drawn, *seed):
    """The same draws, the components of each in an order of its own."""
    rng = generator(*seed)
    n_draws, n_components = drawn.parts[0].weights.log_weights.shape
    orders = np.array([rng.permutation(n_components) for _ in range(n_draws)])

    def reordered(values):
        index = orders.reshape(*orders.shape, *(1,) * (values.ndim - 2))
        return np.take_along_axis(values, index, axis=1)

    components = drawn.parts[0].components
    mixed = replace(
        components, means=reordered(components.means), roots=reordered(components.roots)
    )
    log_weights = reordered(drawn.parts[0].weights.log_weights)
    return replace(drawn, parts=(Draws(WeightDraws(log_weights), mixed),))


def test_labels_of_draws_do_not_matter_to_a_band():
    model, rows = fitted("full", 3), rows_of()
    drawn = drawn_mixtures(model, "variational", None, 30, 1)
    expected = bands_of(drawn, rows[:4])
    for found, known in zip(bands_of(shuffled(drawn, 1), rows[:4]), expected, strict=True):
        np.testing.assert_allclose(found, known, rtol=1e-9)


def bands_of(drawn, rows):
    from bayesmix.posterior.bands import conditional_band, density_band
    from bayesmix.sources.memory import ArraySource

    first, second = np.array([0]), np.array([1])
    return (
        density_band(drawn, ArraySource(rows), 0.8, False),
        density_band(drawn, ArraySource(rows), 0.8, True),
        conditional_band(drawn, second, first, rows[:, :1], 0.8),
    )


@every_structure
def test_a_marginal_band_is_the_quantiles_of_marginal_densities(structure):
    model, places = fitted(structure, 2), rows_of()[:5, 1:]
    drawn = drawn_mixtures(model, "variational", None, 50, 2)
    sample = model.sample_posterior(50, random_state=2)
    variances = dense(structure, sample.covariances, 2, 2)[:, :, 1, 1]
    each = stats.norm.pdf(places, sample.means[:, None, :, 1], np.sqrt(variances)[:, None])
    logs = np.log((each * sample.weights[:, None]).sum(axis=2))
    expected = np.exp(np.quantile(logs, [0.1, 0.9], axis=0)).T
    found = marginal_band(drawn, np.array([1]), places, 0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_where_q_is_exact_gibbs_draws_have_its_band():
    rows = rows_of()[:, :1]
    model = bm.BayesianGaussianMixture(
        1, covariance_prior=[[2.0]], mean_precision_prior=0.1, mean_prior=[100.0], **PLAIN
    ).fit(rows)
    places, n = np.array([[98.0], [101.0], [105.0]]), 1000
    variational = model.density_interval(places, 0.5, n_draws=n, random_state=1)
    gibbs = model.density_interval(
        places, 0.5, n_draws=n, random_state=2, method="gibbs", data=rows
    )
    logs = drawn_mixtures(model, "variational", None, n, 1)
    sd = logs.log_densities(_source(places)).std(axis=1)
    # A quartile of n normal draws has a standard error of 1.36 sd / √n; there are two of them.
    error = 1.36 * np.sqrt(2.0 / n) * sd[:, None]
    assert (np.abs(np.log(gibbs / variational)) < 1.3 * Z * error).all()


def _source(values):
    from bayesmix.sources.memory import ArraySource

    return ArraySource(values)


def test_given_draws_are_thinned_evenly_and_used_as_they_are_where_they_are_few():
    model, rows = fitted("diag", 1), rows_of()
    found = bm.gibbs(model, rows, n_draws=30, chains=1)
    whole = drawn_mixtures(model, found, None, 1000, 0)
    assert whole.n_draws == 30
    some = drawn_mixtures(model, found, None, 7, 0)
    expected = whole.parts[0].weights.log_weights[np.linspace(0, 29, 7).astype(int)]
    np.testing.assert_array_equal(some.parts[0].weights.log_weights, expected)


@pytest.mark.parametrize("name", ["bernoulli", "poisson"])
@pytest.mark.parametrize("method", BOTH)
def test_counts_have_bands_by_every_method(name, method):
    model, rows = counted(name)
    rng = generator(2)
    shares = np.where(np.arange(80) % 2, 0.2, 0.7)[:, None] * [1.0, 0.6]
    data = rng.random((80, 2)) < shares if name == "bernoulli" else rng.poisson(10.0 * shares)
    lower, upper = model.density_interval(rows, 0.9, n_draws=60, method=method, data=data * 1.0).T
    assert ((lower > 0.0) & (lower < upper) & (upper < 1.0)).all()


@pytest.mark.parametrize("prior", [None, "auto"])
@pytest.mark.slow
def test_point_fits_have_bands_by_refits_and_only_by_them(prior):
    rows = rows_of()
    model = bm.GaussianMixture(2, prior=prior, **PLAIN).fit(rows)
    lower, upper = model.density_interval(rows[:9], 0.95, n_draws=60, method="bootstrap",
                                          data=rows).T  # fmt: skip
    middle = np.exp(model.score_samples(rows[:9]))
    assert ((lower < middle) & (middle < upper)).all()
    band = model.conditional_interval(rows[:9, :1], 0, 0.95, 60, method="bootstrap", data=rows)
    mean = model.conditional_mean(rows[:9, :1], 0)
    assert ((band[..., 0] < mean) & (mean < band[..., 1])).all()
    with pytest.raises(UnsupportedError, match="method='bootstrap'"):
        model.density_interval(rows[:9])
    with pytest.raises(InvalidInputError, match="variational"):
        model.density_interval(rows[:9], method="gibbs", data=rows)


@pytest.mark.parametrize("method", BOTH)
def test_a_method_that_needs_the_rows_says_so(method):
    said = f"method='{method}' needs the data of the fit.*pass data=X"
    with pytest.raises(InvalidInputError, match=said):
        fitted("diag", 1).density_interval(rows_of()[:2], method=method)


def test_draws_of_another_fit_and_unknown_methods_are_refused():
    model, rows = fitted("diag", 1), rows_of()
    other = bm.gibbs(fitted("diag", 2), rows, n_draws=10, chains=1)
    with pytest.raises(InvalidInputError, match="must be draws of this fit"):
        model.density_interval(rows[:2], 0.5, method=other)
    for unknown in ("nuts", None, 3, np.zeros(3), model.sample_posterior(30)):
        with pytest.raises(InvalidInputError, match="method must be one of 'variational'"):
            model.density_interval(rows[:2], method=unknown)
    few = bm.gibbs(model, rows, n_draws=10, chains=1)
    with pytest.raises(InvalidInputError, match="n_draws must be at least 20"):
        model.density_interval(rows[:2], 0.9, method=few)
