"""The weighted-likelihood bootstrap: its weights, its refits, and the posterior it stands for.

One component has closed forms: a refit is the weighted mean and covariance, the spread of means
over refits is known exactly.
"""

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from bayesmix.posterior import bootstrap as module
from bayesmix.posterior.bootstrap import RefitTask, refit
from bayesmix.posterior.posterior_draws import log_densities
from bayesmix.sources.memory import ArraySource
from laws.cases import COVARIANCES, generator

# Two-sided, of a normal mean: a false alarm in 1.7 million.
Z = 5.0
COUNTS = {"bernoulli": bm.Bernoulli(), "poisson": bm.Poisson()}
INFERENCES = {
    "maximum_likelihood": lambda: bm.GaussianMixture(2, random_state=0, n_jobs=1),
    "maximum_a_posteriori": lambda: bm.GaussianMixture(2, prior="auto", random_state=0, n_jobs=1),
    "variational": lambda: bm.BayesianGaussianMixture(2, random_state=0, n_jobs=1),
}


def faithful():
    return bm.datasets.load_faithful().to_numpy()


def counted(name, n=150):
    rng = generator(4)
    shares = np.where(np.arange(n) % 2, 0.15, 0.85)[:, None] * [1.0, 0.9, 1.0]
    drawn = rng.random((n, 3)) < shares if name == "bernoulli" else rng.poisson(12.0 * shares)
    return drawn.astype(float)


def assert_same(left, right):
    assert left.sample.values.keys() == right.sample.values.keys()
    for name, values in left.sample.items():
        np.testing.assert_array_equal(values, right.sample.values[name])


# Weights of rows


def test_weights_of_rows_are_uniform_on_the_simplex_times_n():
    """Dirichlet(1, ..., 1): mean 1/n, variance (n - 1) / (n² (n + 1))."""
    rows = faithful()[:20]
    model = bm.GaussianMixture(1, random_state=0).fit(rows)
    task = RefitTask(model.result_, ArraySource(rows), 3)
    drawn = np.array([task.factors(number) for number in range(4000)])
    np.testing.assert_allclose(drawn.sum(axis=1), 20.0, rtol=1e-12)
    error = drawn.std(axis=0) / np.sqrt(4000)
    assert (np.abs(drawn.mean(axis=0) - 1.0) < Z * error).all()
    squares = (drawn - 1.0) ** 2
    error = squares.std(axis=0) / np.sqrt(4000)
    assert (np.abs(squares.mean(axis=0) - 19.0 / 21.0) < Z * error).all()


def test_a_row_of_weight_three_is_weighted_as_three_rows_are():
    rows, weights = faithful()[:6], np.array([3.0, 1.0, 1.0, 2.0, 1.0, 1.0])
    source = ArraySource(rows, weights)
    model = bm.GaussianMixture(1, random_state=0).fit(rows, sample_weight=weights)
    task = RefitTask(model.result_, source, 5)
    drawn = np.array([task.factors(number) * weights for number in range(4000)])
    np.testing.assert_allclose(drawn.sum(axis=1), 9.0, rtol=1e-12)
    # Dirichlet(3, 1, 1, 2, 1, 1) times 9.
    variance = 81.0 * (weights / 9.0) * (1.0 - weights / 9.0) / 10.0
    squares = (drawn - weights) ** 2
    error = squares.std(axis=0) / np.sqrt(4000)
    assert (np.abs(squares.mean(axis=0) - variance) < Z * error).all()


# Refits


def test_refits_of_one_component_are_weighted_means_and_covariances():
    X = faithful()
    model = bm.GaussianMixture(1, random_state=0).fit(X)
    found = bm.weighted_bootstrap(model, X, n_draws=5, random_state=2)
    task = RefitTask(model.result_, ArraySource(X), 2)
    for number in range(5):
        weights = task.factors(number)
        np.testing.assert_allclose(
            found.sample.means[number, 0], np.average(X, axis=0, weights=weights), rtol=1e-12
        )
        np.testing.assert_allclose(
            found.sample.covariances[number, 0],
            np.cov(X.T, aweights=weights, bias=True),
            rtol=1e-10,
        )
    assert found.converged.all()


@pytest.mark.slow
def test_means_of_one_component_spread_as_their_closed_form_says():
    """Var(Σ w x) = S / (n + 1), S the covariance of the rows."""
    X = faithful()
    model = bm.GaussianMixture(1, random_state=0).fit(X)
    found = bm.weighted_bootstrap(model, X, n_draws=1000, random_state=1)
    away = found.sample.means[:, 0] - X.mean(axis=0)
    variance = X.var(axis=0) / (len(X) + 1.0)
    error = (away**2).std(axis=0) / np.sqrt(1000)
    assert (np.abs((away**2).mean(axis=0) - variance) < Z * error).all()


@pytest.mark.parametrize("inference", INFERENCES)
@pytest.mark.parametrize("structure", COVARIANCES)
def test_equal_weights_leave_the_fit_where_it_is(inference, structure):
    X = faithful()
    model = INFERENCES[inference]().set_params(covariance_type=structure, tol=1e-11, max_iter=3000)
    model.fit(X)
    again = refit(model.result_, ArraySource(X, np.ones(len(X))))
    assert again.converged
    plain = model.result_.plug_in
    np.testing.assert_allclose(again.point.weights.mean(), plain.weights.probabilities, atol=1e-4)
    np.testing.assert_allclose(again.point.components.means, plain.components.means, atol=1e-3)


@pytest.mark.parametrize("inference", INFERENCES)
def test_refits_are_shaped_and_labelled_like_the_fit(inference):
    X = faithful()
    model = INFERENCES[inference]().fit(X)
    found = bm.weighted_bootstrap(model, X, n_draws=30, random_state=0)
    assert len(found) == 30
    assert found.sample.covariances.shape == (30, *model.covariances_.shape)
    assert not hasattr(found.sample, "scale")
    away = np.abs(found.sample.means - model.means_) / found.standard_deviations.means
    assert away.max() < 6.0
    for name, values in found.standard_deviations.items():
        assert values.shape == getattr(found.sample, name).shape[1:]
        assert (values > 0.0).all()


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("kind", [None, bm.VariationalBayes])
def test_counts_are_refitted_too(name, kind):
    rows = counted(name)
    inference = None if kind is None else kind()
    model = bm.Mixture(2, family=COUNTS[name], inference=inference, random_state=0).fit(rows)
    found = bm.weighted_bootstrap(model, rows, n_draws=20, random_state=0)
    of = "probabilities" if name == "bernoulli" else "rates"
    np.testing.assert_array_equal(getattr(found.sample, of), found.sample.means)
    assert found.standard_deviations.means.shape == (2, 3)


def test_draws_are_the_refits_for_whoever_asks_for_densities():
    X = faithful()
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    found = bm.weighted_bootstrap(model, X, n_draws=6, random_state=0)
    densities = log_densities(model.result_, found.draws, ArraySource(X[:4]))
    for s in range(6):
        same = bm.GaussianMixture.from_parameters(
            found.sample.weights[s],
            found.sample.means[s],
            found.sample.covariances[s],
        )
        np.testing.assert_allclose(densities[:, s], same.score_samples(X[:4]), rtol=1e-9)


# Against the posterior


@pytest.mark.slow
def test_refits_spread_as_the_posterior_does_where_the_model_holds():
    """Two normals 2.6 standard deviations apart, 500 rows: Gibbs, labels by the mean."""
    rng = generator(14)
    rows = rng.normal(size=(500, 1)) + np.where(rng.random(500) < 0.4, 3.0, 0.0)[:, None]
    model = bm.BayesianGaussianMixture(
        2, random_state=0, mean_prior=[1.0], mean_precision_prior=0.05, covariance_prior=[[1.0]],
        degrees_of_freedom_prior=4.0, weight_concentration_prior=1.0,
        weight_concentration_prior_type="dirichlet_distribution",
    ).fit(rows)  # fmt: skip
    found = bm.weighted_bootstrap(model, rows, n_draws=300, random_state=0, n_jobs=1)
    sampled = bm.gibbs(model, rows, n_draws=1000, chains=4, random_state=1, n_jobs=1)
    means = np.sort(sampled.parameters["means"][..., 0].reshape(-1, 2), axis=1)
    order = np.argsort(model.means_[:, 0])
    ratio = found.standard_deviations.means[order, 0] / means.std(axis=0)
    # Five standard errors of a standard deviation over 300 refits, 1 / sqrt(600) each, and as much
    # for what only agrees to first order; q is narrower by a factor of two.
    assert (np.abs(np.log(ratio)) < 0.4).all()
    of_q = model.sample_posterior(2000, random_state=2).means.std(axis=0)[order, 0]
    assert (of_q < 0.6 * means.std(axis=0)).all()


# Numbers that depend on the seed alone


def test_threads_and_how_many_are_asked_for_change_no_number(monkeypatch):
    X = faithful()
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    alone = bm.weighted_bootstrap(model, X, n_draws=9, random_state=5, n_jobs=1)
    monkeypatch.setattr(module, "WORTH_THREADS", 0)
    assert_same(alone, bm.weighted_bootstrap(model, X, n_draws=9, random_state=5, n_jobs=3))
    more = bm.weighted_bootstrap(model, X, n_draws=12, random_state=5, n_jobs=1)
    np.testing.assert_array_equal(more.sample.means[:9], alone.sample.means)
    other = bm.weighted_bootstrap(model, X, n_draws=9, random_state=6)
    assert (other.sample.means != alone.sample.means).any()


def test_an_interrupt_keeps_the_refits_so_far(monkeypatch):
    X = faithful()
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    whole = bm.weighted_bootstrap(model, X, n_draws=6, random_state=0, n_jobs=1)
    plain, calls = module.refit, []

    def interrupted(result, source):
        calls.append(source)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return plain(result, source)

    monkeypatch.setattr(module, "refit", interrupted)
    with pytest.warns(BayesmixWarning, match="the first 4 of 6 refits"):
        part = bm.weighted_bootstrap(model, X, n_draws=6, random_state=0, n_jobs=1)
    assert part.status == "interrupted"
    assert "so far" in part.summary()
    np.testing.assert_array_equal(part.sample.means, whole.sample.means[:4])


# What fails


def test_collapsed_refits_are_left_out_counted_and_said(monkeypatch):
    X = faithful()
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    whole = bm.weighted_bootstrap(model, X, n_draws=6, random_state=0, n_jobs=1)
    plain, calls = module.refit, []

    def collapsing(result, source):
        calls.append(source)
        return None if len(calls) % 2 else plain(result, source)

    monkeypatch.setattr(module, "refit", collapsing)
    found = bm.weighted_bootstrap(model, X, n_draws=6, random_state=0, n_jobs=1)
    assert (found.n_failed, len(found)) == (3, 3)
    assert "3 refits had a degenerate component" in found.summary()
    np.testing.assert_array_equal(found.sample.means, whole.sample.means[1::2])
    monkeypatch.setattr(module, "refit", lambda result, source: None)
    with pytest.raises(UnsupportedError, match="only 0 of 6 refits had no degenerate component"):
        bm.weighted_bootstrap(model, X, n_draws=6, n_jobs=1)


def test_a_refit_whose_component_falls_onto_tied_rows_is_none():
    """All the weight of a component goes to rows that agree."""
    rng = generator(15)
    rows = np.concatenate([rng.normal(size=(40, 1)), 9.0 + rng.normal(size=(20, 1)), [[9.0]] * 6])
    start = (np.arange(66) >= 40).astype(int)
    model = bm.GaussianMixture(2, init_params=start, random_state=0).fit(rows)
    assert model.result_.degenerate is None
    weights = np.where(np.arange(66) < 40, 1.0, 1e-12)
    weights[60:] = 4.0
    assert refit(model.result_, ArraySource(rows, weights)) is None


def test_a_fit_with_a_collapsed_component_is_refused():
    rows = np.concatenate([generator(16).normal(size=(40, 1)), np.full((12, 1), 30.0)])
    with pytest.warns(bm.errors.DegenerateComponentWarning):
        model = bm.GaussianMixture(2, random_state=0).fit(rows)
    with pytest.raises(UnsupportedError, match="refits would inherit a degenerate component"):
        bm.weighted_bootstrap(model, rows, n_draws=10)


def test_what_cannot_be_refitted_is_refused_by_name():
    X = faithful()
    model = bm.GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(InvalidInputError, match="draws must be an integer of at least 2"):
        bm.weighted_bootstrap(model, X, n_draws=1)
    with pytest.raises(InvalidInputError, match="X must hold the data of the fit"):
        bm.weighted_bootstrap(model, X[1:])
    with pytest.raises(InvalidInputError, match="model must be a fitted mixture"):
        bm.weighted_bootstrap(bm.GaussianMixture(2), X)


def test_the_summary_has_a_line_for_every_kind_of_parameter():
    def kinds(model, rows):
        summary = bm.weighted_bootstrap(model, rows, n_draws=4).summary()
        return [line.split(":")[0].strip() for line in summary.splitlines()[2:]]

    gaussian = bm.GaussianMixture(2, random_state=0).fit(faithful())
    assert kinds(gaussian, faithful()) == ["weights", "means", "covariances"]
    rows = counted("poisson")
    counts = bm.Mixture(2, family=COUNTS["poisson"], random_state=0).fit(rows)
    assert kinds(counts, rows) == ["weights", "rates"]
