"""Posterior draws and bands: their moments are those of q, their average is the predictive."""

import sys

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.errors import InvalidInputError, MissingExtraError, UnsupportedError
from bayesmix.posterior import bands as bands
from laws.cases import COVARIANCES, GaussianCase, elpd_of, generator

# Two-sided, of a normal mean: a false alarm in 1.7 million.
Z = 5.0
PLAIN = {"search": None, "max_iter": 1000, "tol": 1e-3, "random_state": 0, "n_jobs": 1}
COUNTS = {"bernoulli": bm.Bernoulli(), "poisson": bm.Poisson()}

every_structure = pytest.mark.parametrize("structure", COVARIANCES)


def rows_of(n=120):
    """Two clusters in two columns of different units, far from the origin."""
    rng = generator(1)
    rows = rng.normal(size=(n, 2)) + np.where(np.arange(n) % 3 == 0, 0.0, 3.0)[:, None]
    return rows * [1.0, 40.0] + [100.0, -7.0]


def fitted(structure, n_components=3, rows=None, **options):
    options = PLAIN | {"prune": False} | options
    model = bm.BayesianGaussianMixture(n_components, covariance_type=structure, **options)
    return model.fit(rows_of() if rows is None else rows)


def counted(name):
    rng = generator(2)
    shares = np.where(np.arange(80) % 2, 0.2, 0.7)[:, None] * [1.0, 0.6]
    rows = rng.random((80, 2)) < shares if name == "bernoulli" else rng.poisson(10.0 * shares)
    model = bm.Mixture(2, family=COUNTS[name], inference=bm.VariationalBayes(), **PLAIN)
    return model.fit(rows.astype(float)), rows[:6].astype(float)


def dense(structure, covariances, n_components, n_features):
    """Drawn covariances as matrices (S, K, D, D)."""
    case = GaussianCase(structure)
    return np.array([case.dense(one, n_components, n_features) for one in covariances])


def densities_by_scipy(structure, drawn, rows):
    """p(x | draw) (S, n), from what a user sees of the draws."""
    n_draws, n_components, n_features = drawn.means.shape
    matrices = dense(structure, drawn.covariances, n_components, n_features)
    out = np.zeros((n_draws, len(rows)))
    for s, k in np.ndindex(n_draws, n_components):
        one = stats.multivariate_normal(drawn.means[s, k], matrices[s, k])
        out[s] += drawn.weights[s, k] * one.pdf(rows)
    return out


def assert_mean(values, expected, factor=Z):
    """The mean over axis 0 is what is expected, up to Monte Carlo noise."""
    error = values.std(axis=0) / np.sqrt(len(values))
    away = np.abs(values.mean(axis=0) - expected)
    assert (away <= factor * error + 1e-12 * np.abs(expected)).all()


# Draws


@every_structure
def test_draws_have_the_moments_of_q_in_data_units(structure):
    model = fitted(structure)
    drawn = model.sample_posterior(20_000, random_state=1)
    assert len(drawn) == 20_000
    assert drawn.covariances.shape[1:] == model.covariances_.shape
    np.testing.assert_allclose(drawn.weights.sum(axis=1), 1.0, rtol=1e-12)
    assert_mean(drawn.weights, model.weights_)
    assert_mean(drawn.means, model.means_)
    few = drawn.covariances[:4000]
    precisions = np.linalg.inv(few) if structure in ("full", "tied") else 1.0 / few
    assert_mean(precisions, model.precisions_)
    assert_mean(drawn.scale, model.covariance_prior_)


def test_what_is_printed_of_draws_is_their_shapes():
    text = repr(fitted("tied").sample_posterior(7))
    assert text == (
        "<PosteriorSample: 7 draws, weights (7, 3), means (7, 3, 2), covariances (7, 2, 2), "
        "scale (7, 2, 2)>"
    )


def test_a_scale_that_is_given_is_not_drawn():
    model = fitted("diag", covariance_prior=[1.0, 900.0])
    assert not hasattr(model.sample_posterior(5), "scale")


@pytest.mark.parametrize("name", COUNTS)
def test_draws_of_counts_have_the_means_of_q(name):
    model, _ = counted(name)
    drawn = model.sample_posterior(20_000, random_state=1)
    assert_mean(drawn.weights, model.weights_)
    assert_mean(drawn.means, model.means_)
    named = drawn.values[{"bernoulli": "probabilities", "poisson": "rates"}[name]]
    np.testing.assert_array_equal(named, drawn.means)


@pytest.mark.slow
@every_structure
def test_the_average_over_draws_is_the_predictive_density(structure):
    model = fitted(structure, n_components=2)
    rows = rows_of()[:5] + np.array([0.0, 0.0, 0.0, 0.0, 2.0])[:, None] * [1.0, 40.0]
    drawn = model.sample_posterior(3000, random_state=2)
    assert_mean(densities_by_scipy(structure, drawn, rows), np.exp(model.score_samples(rows)))


@pytest.mark.parametrize("name", COUNTS)
def test_the_average_over_draws_is_the_predictive_probability(name):
    model, rows = counted(name)
    drawn = model.sample_posterior(20_000, random_state=2)
    law = stats.bernoulli if name == "bernoulli" else stats.poisson
    terms = law.pmf(rows[:, None, None, :], drawn.means).prod(axis=3)
    assert_mean((terms * drawn.weights).sum(axis=2).T, np.exp(model.score_samples(rows)))


def test_a_seed_gives_the_same_draws_and_they_cannot_be_written_to():
    model = fitted("full")
    one, other = (model.sample_posterior(3, random_state=4) for _ in range(2))
    for name in ("weights", "means", "covariances", "scale"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        with pytest.raises(ValueError, match="read-only"):
            getattr(one, name)[:] = 0.0
    # None is the estimator's own seed, as in ``sample``.
    np.testing.assert_array_equal(
        model.sample_posterior(3).means, model.sample_posterior(3, random_state=0).means
    )


# Bands


@pytest.mark.slow
@every_structure
def test_the_pointwise_band_is_the_quantiles_of_the_drawn_densities(structure):
    model, rows = fitted(structure), rows_of()[:5]
    drawn = densities_by_scipy(structure, model.sample_posterior(400, random_state=3), rows)
    expected = np.exp(np.quantile(np.log(drawn), [0.1, 0.9], axis=0)).T
    found = model.density_interval(rows, level=0.8, n_draws=400, random_state=3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_the_simultaneous_band_holds_that_share_of_its_own_draws_and_no_more(level):
    model, rows = fitted("full"), rows_of()[:30]
    drawn = densities_by_scipy("full", model.sample_posterior(300, random_state=3), rows)
    lower, upper = model.density_interval(rows, level, True, 300, random_state=3).T
    # The curve that fixes the factor touches the band.
    inside = ((drawn >= lower * (1 - 1e-6)) & (drawn <= upper * (1 + 1e-6))).all(axis=1)
    assert inside.sum() == round(level * 300)


def test_a_row_that_no_draw_can_have_has_a_density_of_zero():
    rng = generator(3)
    rows = np.column_stack([rng.random((60, 2)) < 0.5, np.zeros(60)]).astype(float)
    model = bm.Mixture(2, family=bm.Bernoulli(), **PLAIN).fit(rows)
    places = [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    for simultaneous in (False, True):
        band = model.density_interval(
            places, 0.5, simultaneous, n_draws=40, method="bootstrap", data=rows
        )
        assert np.allclose(band[0], 0.0, atol=1e-300)
        assert 0.0 < band[1, 0] < np.exp(model.score_samples(places)[1]) < band[1, 1] < 1.0


@pytest.mark.slow
def test_fresh_draws_are_inside_as_often_as_the_level_says():
    rows, level, n = rows_of()[:40], 0.8, 3000
    model = fitted("diag")
    fresh = densities_by_scipy("diag", model.sample_posterior(n, random_state=6), rows)
    whole = model.density_interval(rows, level, True, n, random_state=5)
    single = model.density_interval(rows, level, False, n, random_state=5)
    shares = [
        ((fresh >= whole[:, 0]) & (fresh <= whole[:, 1])).all(axis=1).mean(),
        *((fresh >= single[:, 0]) & (fresh <= single[:, 1])).mean(axis=0),
    ]
    # Both the band and its check are from n draws.
    error = np.sqrt(2.0 * level * (1.0 - level) / n)
    assert (np.abs(np.array(shares) - level) < Z * error).all()


def test_a_higher_level_is_wider_and_the_whole_is_wider_than_its_points():
    model, rows = fitted("full"), rows_of()[:30]
    narrow, wide, whole = (
        model.density_interval(rows, level, simultaneous, random_state=1)
        for level, simultaneous in ((0.5, False), (0.9, False), (0.9, True))
    )
    assert (wide[:, 0] < narrow[:, 0]).all()
    assert (wide[:, 1] > narrow[:, 1]).all()
    ratio = np.log(whole[:, 1] / whole[:, 0]) / np.log(wide[:, 1] / wide[:, 0])
    assert np.median(ratio) > 1.2


@pytest.mark.parametrize("simultaneous", [False, True])
def test_neither_blocks_nor_threads_nor_single_precision_matter(monkeypatch, simultaneous):
    rows = rows_of(400)
    model = fitted("full", rows=rows)

    def band(values, n_jobs=1):
        model.set_params(n_jobs=n_jobs)
        return model.density_interval(values, 0.9, simultaneous, 200, random_state=1)

    expected = band(rows)
    np.testing.assert_array_equal(band(rows, n_jobs=2), expected)
    single = rows.astype(np.float32)
    np.testing.assert_array_equal(band(single), band(single.astype(np.float64)))
    monkeypatch.setattr(bands, "BATCH_VALUES", 200 * 37)
    np.testing.assert_allclose(band(rows), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"n_components": 1},
        {"n_components": 8, "prune": True, "search": "auto"},
        {"weight_concentration_prior_type": "dirichlet_distribution"},
        {"weight_concentration_prior_type": "type2_ml"},
    ],
)
def test_every_kind_of_variational_fit_has_a_band_around_its_density(options):
    rows = rows_of()
    model = bm.BayesianGaussianMixture(**PLAIN | {"n_components": 2} | options)
    model.fit(rows, sample_weight=np.arange(120) % 3)
    lower, upper = model.density_interval(rows[:20], level=0.99, random_state=1).T
    middle = np.exp(model.score_samples(rows[:20]))
    assert ((lower < middle) & (middle < upper)).all()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_have_bands_of_probabilities(name):
    model, rows = counted(name)
    lower, upper = model.density_interval(rows, level=0.99, random_state=1).T
    middle = np.exp(model.score_samples(rows))
    assert ((lower < middle) & (middle < upper) & (upper < 1.0)).all()


def test_repeated_rows_narrow_the_band():
    rows = rows_of()
    once, often = fitted("full", rows=rows), fitted("full", rows=np.repeat(rows, 9, axis=0))
    width = [
        np.median(np.diff(np.log(model.density_interval(rows, random_state=1))))
        for model in (once, often)
    ]
    # A third for nine times the rows; the prior counts for less as well.
    assert 0.2 < width[1] / width[0] < 0.45


@pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning")
def test_a_constant_column_is_part_of_the_density_and_not_of_the_doubt():
    rows = rows_of()
    wide = np.column_stack([rows, np.full(len(rows), 3.0)])
    model = fitted("full", rows=wide)
    drawn = model.sample_posterior(50, random_state=1)
    assert drawn.means.shape == (50, 3, 3)
    np.testing.assert_allclose(drawn.means[:, :, 2], 3.0)
    # A million of standard deviations of the constant away nothing is left.
    off = wide[:4].copy()
    off[3, 2] += 1000.0
    lower, upper = model.density_interval(off, level=0.99, random_state=1).T
    middle = np.exp(model.score_samples(off))
    assert ((lower[:3] < middle[:3]) & (middle[:3] < upper[:3])).all()
    assert upper[3] == middle[3] == 0.0


@every_structure
def test_the_band_of_a_conditional_mean_is_the_quantiles_of_its_draws(structure):
    model, given = fitted(structure), rows_of()[:4, 1:]
    drawn = model.sample_posterior(60, random_state=7)
    each = zip(drawn.weights, drawn.means, drawn.covariances, strict=True)
    means = [bm.GaussianMixture.from_parameters(*one).conditional_mean(given, [1]) for one in each]
    expected = np.moveaxis(np.quantile(means, [0.1, 0.9], axis=0), 0, -1)
    found = model.conditional_interval(given, [1], 0.8, n_draws=60, random_state=7)
    assert found.shape == (4, 1, 2)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    lower, upper = np.moveaxis(model.conditional_interval(given, [1], 0.99, random_state=1), -1, 0)
    middle = model.conditional_mean(given, [1])
    assert ((lower < middle) & (middle < upper)).all()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_have_bands_of_conditional_means(name):
    model, rows = counted(name)
    lower, upper = np.moveaxis(model.conditional_interval(rows[:, :1], 0, 0.99), -1, 0)
    middle = model.conditional_mean(rows[:, :1], 0)
    assert ((lower < middle) & (middle < upper)).all()


# Refusals


@pytest.mark.parametrize("prior", [None, "auto"])
def test_a_point_has_no_posterior_and_says_what_to_do(prior):
    model = bm.GaussianMixture(2, prior=prior, **PLAIN).fit(rows_of())
    for ask in (
        lambda: model.sample_posterior(10),
        lambda: model.density_interval(rows_of()[:2]),
        lambda: model.conditional_interval([[1.0]], 0),
        model.to_arviz,
    ):
        with pytest.raises(UnsupportedError, match=r"BayesianGaussianMixture.*bootstrap"):
            ask()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"level": 1.0}, "level must be a number above 0 and below 1"),
        ({"level": 0.0}, "level must be a number above 0"),
        ({"level": "high"}, "level"),
        ({"simultaneous": "yes"}, "simultaneous"),
        ({"n_draws": 2.5}, "n_draws"),
        ({"n_draws": 19}, "n_draws must be at least 20 for level=0.9"),
        ({"level": 0.99, "n_draws": 100}, "at least 200"),
        ({"random_state": "seed"}, "random_state"),
        ({"X": [[1.0]]}, "features"),
        ({"X": [[1.0, np.nan]]}, "NaN"),
    ],
)
def test_bands_that_cannot_be_made_are_refused(arguments, words):
    model = fitted("diag", n_components=1)
    with pytest.raises(InvalidInputError, match=words):
        model.density_interval(**{"X": rows_of()[:3]} | arguments)
    with pytest.raises(InvalidInputError, match="n_draws"):
        model.sample_posterior(0)


# ArviZ


def test_without_arviz_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(MissingExtraError, match=r"bayesmix\[pymc\]"):
        fitted("diag", n_components=1).to_arviz(n_draws=5)


@pytest.fixture
def arviz():
    return pytest.importorskip("arviz", reason="ArviZ is not installed: its export is not tested")


@every_structure
def test_arviz_has_the_draws_with_named_axes(arviz, structure):
    import pandas as pd

    rows = pd.DataFrame(rows_of(), columns=["length", "weight"])
    model = fitted(structure, rows=rows)
    # Of other data than those of the fit, draws are not resampled.
    rows = rows.iloc[:30]
    tree = model.to_arviz(rows, n_draws=50, random_state=1)
    drawn = model.sample_posterior(50, random_state=1)
    posterior = tree["posterior"]
    assert posterior["means"].dims == ("chain", "draw", "component", "feature")
    assert posterior["feature"].values.tolist() == ["length", "weight"]
    for name in ("weights", "means", "covariances", "scale"):
        np.testing.assert_array_equal(posterior[name].values, getattr(drawn, name)[None])
    assert posterior.attrs["inference"] == "variational"
    np.testing.assert_array_equal(tree["sample_stats"]["objective"].values, model.objective_trace_)
    np.testing.assert_array_equal(tree["observed_data"]["X"].values, rows)
    log_likelihood = tree["log_likelihood"]["X"]
    assert log_likelihood.dims == ("chain", "draw", "row")
    np.testing.assert_allclose(
        np.exp(log_likelihood.values[0][:, :4]),
        densities_by_scipy(structure, drawn, rows.to_numpy()[:4]),
        rtol=1e-6,
    )
    constants = tree["constant_data"]
    np.testing.assert_allclose(constants["prior_mean"].values, model.mean_prior_)
    assert float(constants["prior_mean_precision"]) == model.mean_precision_prior_
    assert float(constants["prior_weight_concentration"]) == model.weight_concentration_prior_
    np.testing.assert_allclose(constants["prior_scale"].values.squeeze(), model.covariance_prior_)


@pytest.mark.parametrize("name", COUNTS)
def test_arviz_has_draws_of_counts(arviz, name):
    model, _ = counted(name)
    tree = model.to_arviz(n_draws=7)
    named = {"bernoulli": "probabilities", "poisson": "rates"}[name]
    assert tree["posterior"][named].shape == (1, 7, 2, 2)
    assert "log_likelihood" not in tree
    assert {"prior_shape", "prior_successes"} & set(tree["constant_data"].data_vars)


def test_arviz_summarises_the_draws(arviz):
    tree = fitted("diag").to_arviz(n_draws=50)
    table = arviz.summary(tree, var_names=["weights"], kind="stats")
    assert len(table) == 3
    assert "r_hat" not in table.columns


def test_draws_of_large_data_are_thinned(monkeypatch, arviz):
    from bayesmix.posterior import pointwise

    model, rows = fitted("diag"), rows_of()[:20]
    whole = model.to_arviz(rows, n_draws=250)
    monkeypatch.setattr(pointwise, "MOST_VALUES", 125 * 20)
    tree = model.to_arviz(rows, n_draws=250)
    assert tree["posterior"]["draw"].size == 250
    assert tree["log_likelihood"]["draw"].values.tolist() == list(range(0, 250, 2))
    assert tree["posterior_predictive"]["draw"].values.tolist() == list(range(0, 250, 4))
    some = whole["log_likelihood"]["X"].values[:, ::2]
    np.testing.assert_array_equal(tree["log_likelihood"]["X"].values, some)
    monkeypatch.setattr(pointwise, "MOST_VALUES", 20)
    assert "log_likelihood" not in model.to_arviz(rows, n_draws=250)


@pytest.mark.slow
def test_leave_one_out_of_arviz_is_that_of_the_package(arviz):
    """Draws of q alone give 0.45 nats more: 3.5 standard errors of the difference of means."""
    X = bm.datasets.load_faithful()
    model = bm.BayesianGaussianMixture(2, random_state=0, n_jobs=1).fit(X)
    trees = [model.to_arviz(X, n_draws=4000, random_state=seed) for seed in range(3)]
    estimates = [elpd_of(arviz.loo(tree)) for tree in trees]
    own = [bm.leave_one_out(model, X, 4000, random_state=seed).total for seed in range(3)]
    assert abs(np.mean(estimates) - np.mean(own)) < 0.25
    assert "resampled by importance weights" in trees[0]["posterior"].attrs["note"]
