"""Student-t components: SciPy's density, the slope of the likelihood, and what a far row does."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.special import digamma

import bayesmix as bm
from bayesmix.errors import (
    DegenerateComponentWarning,
    InvalidInputError,
    UnsupportedError,
)
from bayesmix.families.student_t.components import most_likely
from laws.cases import generator

COVARIANCES = ("full", "tied", "diag", "spherical")
FREEDOMS = (3.0, "shared", "free")
every_covariance = pytest.mark.parametrize("covariance", COVARIANCES)


def heavy(seed, n=250, freedom=3.0, apart=8.0):
    """Two clusters of Student-t rows."""
    rng = generator(seed)
    shape = [[1.0, 0.4], [0.4, 0.7]]
    centres = ([0.0, 0.0], [apart, 2.0])
    return np.vstack([stats.multivariate_t(c, shape, df=freedom, seed=rng).rvs(n) for c in centres])


def fitted(rows, covariance="full", freedom=None, n_components=2, **options):
    options = {"random_state": 0, "max_iter": 5000, "search": None} | options
    family = bm.StudentT(covariance, freedom)
    return bm.Mixture(n_components, family=family, **options).fit(rows)


def log_likelihood(rows, weights, components):
    parts = zip(components.means, components.scales, components.degrees_of_freedom, strict=True)
    joint = np.column_stack([stats.multivariate_t(m, s, df=nu).logpdf(rows) for m, s, nu in parts])
    return np.logaddexp.reduce(np.log(weights) + joint, axis=1)


@every_covariance
@pytest.mark.parametrize("freedom", FREEDOMS)
def test_the_density_is_scipys_and_the_objective_never_falls(covariance, freedom):
    rows = heavy(1)
    model = fitted(rows, covariance, freedom, acceleration=None)
    expected = log_likelihood(rows, model.weights_, model.result_.unframed)
    np.testing.assert_allclose(model.score_samples(rows), expected, rtol=1e-9)
    assert model.log_likelihood_ == pytest.approx(expected.sum(), rel=1e-11)
    trace = model.objective_trace_
    assert np.diff(trace).min() >= -1e-12 * np.abs(trace).max()
    quicker = fitted(rows, covariance, freedom)
    assert quicker.log_likelihood_ == pytest.approx(model.log_likelihood_, abs=1e-4)


@every_covariance
@pytest.mark.parametrize("freedom", FREEDOMS)
def test_maximum_likelihood_is_stationary(covariance, freedom):
    rows = heavy(2)
    model = fitted(rows, covariance, freedom, tol=1e-12)
    found, weights = model.result_.unframed, model.weights_
    rng = generator(3)
    for _ in range(3):
        means = rng.normal(size=found.means.shape)
        wider = np.exp if found.blocks.ndim == 2 else None
        shape = found.blocks.shape
        turn = rng.normal(size=shape)
        freer = np.zeros(2)
        if freedom != 3.0:
            freer = np.full(2, rng.normal()) if freedom == "shared" else rng.normal(size=2)

        def at(h, means=means, turn=turn, freer=freer, wider=wider):
            if wider is None:
                factor = np.eye(2) + h * turn
                blocks = factor @ found.blocks @ factor.transpose(0, 2, 1)
            else:
                blocks = found.blocks * np.exp(h * turn)
            moved = replace(
                found,
                means=found.means + h * means,
                blocks=blocks,
                degrees_of_freedom=found.degrees_of_freedom * np.exp(h * freer),
            )
            return log_likelihood(rows, weights, moved).sum()

        slope = (at(1e-4) - at(-1e-4)) / 2e-4
        assert abs(slope) < 1e-3 * len(rows)
        assert at(0.02) < at(0.0) > at(-0.02)


def test_degrees_of_freedom_solve_their_equation_within_limits():
    rng = generator(4)
    for nu in (0.7, 2.0, 30.0, 400.0):
        hidden = rng.gamma(0.5 * nu, 2.0 / nu, size=1000)
        tails = np.array([(np.log(hidden) - hidden).sum()])

        def equation(v, tails=tails):
            return np.log(0.5 * v) - digamma(0.5 * v) + 1.0 + tails[0] / 1000.0

        found = most_likely(tails, np.array([1000.0]))[0]
        if equation(0.5) > 0.0 > equation(500.0):
            assert found == pytest.approx(optimize.brentq(equation, 0.5, 500.0), rel=1e-9)
    assert most_likely(np.array([-1000.0]), np.array([1000.0]))[0] == pytest.approx(500.0)


@every_covariance
def test_statistics_of_a_union_are_the_sum_and_come_back_from_a_vector(covariance):
    rows = heavy(5)
    model = fitted(rows, covariance)
    components, shares = model.result_.mixture.components, model.predict_proba(rows)
    framed = model.result_.mixture.frame.apply(rows)
    whole = components.statistics(framed, shares)
    halves = components.statistics(framed[:200], shares[:200])
    halves += components.statistics(framed[200:], shares[200:])
    np.testing.assert_allclose(halves.pack(), whole.pack(), rtol=1e-10, atol=1e-9)
    again = whole.unpack(whole.pack())
    np.testing.assert_allclose(again.weighted.scatter, whole.weighted.scatter, rtol=1e-8)
    np.testing.assert_array_equal(again.tails, whole.tails)
    np.testing.assert_allclose(whole.scaled(2.0).counts, 2.0 * whole.counts)
    one = whole.merged(0, 1)
    np.testing.assert_allclose(one.counts, whole.counts.sum())


def test_a_row_very_far_away_changes_a_scale_by_no_more_than_its_weight_allows():
    rng = generator(6)
    nu, n, dimension = 4.0, 400, 2
    rows = rng.standard_t(nu, size=(n, dimension))
    alone = fitted(rows, freedom=nu, n_components=1, tol=1e-12).result_.unframed
    far = fitted(np.vstack([rows, [[1e6, 0.0]]]), freedom=nu, n_components=1, tol=1e-12)
    found = far.result_.unframed
    away = np.array([1e6, 0.0]) - found.means[0]
    distance = away @ np.linalg.solve(found.scales[0], away)
    own = (nu + dimension) / (nu + distance) * np.outer(away, away) / (n + 1)
    # Its own part of the scale is (ν + D) / N of it at most, in any direction.
    share = np.linalg.eigvals(np.linalg.solve(found.scales[0], own)).real.max()
    assert share <= (nu + dimension) / (n + 1)
    # What it changes in all is about that: a normal's variance grows by 1e12 / N.
    ratio = np.linalg.eigvals(np.linalg.solve(alone.scales[0], found.scales[0])).real
    assert np.abs(ratio - 1.0).max() < 2.0 * (nu + dimension) / n


def test_no_start_is_at_a_far_row():
    rng = generator(5)
    centres = ([0.0, 0.0], [12.0, 2.0])
    rows = np.vstack([stats.multivariate_t(c, np.eye(2), df=2, seed=rng).rvs(200) for c in centres])
    rows[7] = [160.0, -400.0]
    for options in ({"search": None}, {"search": "short"}, {"inference": bm.VariationalBayes()}):
        model = fitted(rows, **options)
        np.testing.assert_allclose(np.sort(model.means_[:, 0]), [0.0, 12.0], atol=0.5)


def test_select_takes_families_into_one_table():
    rows = heavy(28, n=80, freedom=2.0)
    families = [bm.Gaussian(), bm.StudentT(degrees_of_freedom=2.0)]
    for criterion in ("bic", "auto"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            search = bm.select(rows, [1, 2], "full", criterion, family=families)
        assert search.best_params_["family"] == families[1]
        assert search.best_params_["n_components"] == 2
        assert len(search.results_) == 4
    with pytest.raises(UnsupportedError, match=r"noise needs Gaussian\(\) or a Product"):
        bm.select(rows, [1, 2], family=families[1], noise=True)


@pytest.mark.parametrize("seed", range(3))
def test_two_clusters_with_heavy_tails_are_two(seed):
    rows = heavy(100 + seed, n=300, freedom=2.0, apart=14.0)
    estimator = bm.Mixture(family=bm.StudentT(), search="short", max_iter=1000)
    search = bm.MixtureSearch(estimator, [1, 2, 3], criterion="bic", random_state=0).fit(rows)
    assert search.best_params_ == {"n_components": 2}
    assert (search.best_estimator_.result_.unframed.degrees_of_freedom < 5.0).all()


def test_families_compete_in_one_table():
    rows = heavy(7, n=200, freedom=2.0)
    estimator = bm.Mixture(search="short", max_iter=1000)
    families = {"family": [bm.Gaussian(), bm.StudentT()]}
    search = bm.MixtureSearch(
        estimator, [1, 2, 3], param_grid=families, criterion="bic", random_state=0
    ).fit(rows)
    assert search.best_params_["family"] == bm.StudentT()
    # Three of degrees of freedom, means and scales: K (ν, μ, Σ) and K - 1 weights.
    assert search.best_estimator_.result_.n_parameters == 2 * (1 + 2 + 3) + 1


def test_a_saved_fit_says_the_same_and_rows_are_drawn_from_it(tmp_path):
    rows = heavy(8)
    model = fitted(rows, "tied", "shared")
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_samples(rows), model.score_samples(rows))
    drawn, labels = model.sample(4000, random_state=0)
    # z = 4.5 standard errors of a mean log density.
    mean, spread = model.score_samples(drawn).mean(), model.score_samples(drawn).std()
    expected = -quadrature_entropy(model)
    assert abs(mean - expected) < 4.5 * spread / np.sqrt(len(drawn))
    assert set(labels) == {0, 1}


def quadrature_entropy(model):
    """-E[log p] by importance sampling from rows that were drawn apart."""
    rows, _ = model.sample(40_000, random_state=1)
    return -model.score_samples(rows).mean()


def test_doubling_the_units_of_the_columns_changes_the_units_of_the_answer_only():
    rows = heavy(9)
    one, other = fitted(rows), fitted(rows * 2.0)
    np.testing.assert_allclose(other.means_, 2.0 * one.means_, rtol=1e-9)
    found, scaled = one.result_.unframed, other.result_.unframed
    np.testing.assert_allclose(scaled.scales, 4.0 * found.scales, rtol=1e-9)
    np.testing.assert_allclose(scaled.degrees_of_freedom, found.degrees_of_freedom, rtol=1e-9)


def test_a_component_on_equal_rows_is_held_and_named():
    rows = np.vstack([heavy(10, n=60), np.full((30, 2), 40.0)])
    labels = np.repeat([0, 1], [120, 30])
    with pytest.warns(DegenerateComponentWarning, match="collapsed onto .* with zero variance"):
        model = fitted(rows, init_params=labels)
    assert np.isfinite(model.log_likelihood_)
    assert model.result_.degenerate is not None


@pytest.mark.parametrize("freedom", [0.0, -1.0, np.inf, "some", True, [3.0]])
def test_what_are_no_degrees_of_freedom_is_refused(freedom):
    with pytest.raises(InvalidInputError, match="degrees_of_freedom must be a positive number"):
        bm.StudentT(degrees_of_freedom=freedom)


def test_what_student_t_components_do_not_do_is_refused_by_name():
    rows = heavy(11, n=60)
    with pytest.raises(UnsupportedError, match="partial_fit does not support the family"):
        bm.Mixture(2, family=bm.StudentT()).partial_fit(rows)
    with pytest.raises(InvalidInputError, match="covariance must be one of"):
        bm.StudentT("VEI")
    model = variational(rows)
    with pytest.raises(UnsupportedError, match="no closed form"):
        bm.gibbs(model, rows, n_draws=5, chains=1)
    assert "prior_mean_precision" in model.to_arviz(rows, n_draws=20).constant_data
    very_heavy = fitted(rows, freedom=1.5)
    with pytest.raises(UnsupportedError, match="without variances"):
        bm.plot_density(very_heavy, rows)
    evidence = bm.log_evidence(model, rows)
    assert np.isnan(evidence.estimate)
    assert "has no closed form" in evidence.note
    with pytest.raises(InvalidInputError, match="values of StudentPrior"):
        variational(rows, prior=bm.StudentPrior(values=[0.0, 2.0]))


# Under a prior


def variational(rows, covariance="full", freedom=None, n_components=2, prior=None, **options):
    inference = bm.VariationalBayes(prior=prior, weights=bm.DirichletPrior(1.0))
    options = {"inference": inference, "prune": False, "acceleration": None} | options
    return fitted(rows, covariance, freedom, n_components, **options)


@pytest.mark.slow
@every_covariance
@pytest.mark.parametrize("freedom", FREEDOMS)
def test_the_bound_never_falls_finds_the_tails_and_its_density_integrates_to_one(
    covariance, freedom
):
    rows = heavy(21)
    model = variational(rows, covariance, freedom)
    trace = model.objective_trace_
    assert np.diff(trace).min() >= -1e-12 * np.abs(trace).max()
    found = model.result_.posterior.components.freedom
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0)
    assert found.means.min() < 4.0
    assert found.means.max() < 12.0
    quicker = variational(rows, covariance, freedom, acceleration="auto")
    assert quicker.elbo_ == pytest.approx(model.elbo_, abs=1e-3)
    one = model.marginal([0])
    grid = 4.0 + np.sinh(np.linspace(-16.0, 16.0, 8001))
    density = np.exp(one.score_samples(grid[:, None]))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=1e-5)


def test_the_bound_is_that_of_every_hidden_number_by_sampling():
    """F = E_q[log p(X, z, u, θ, ν) - log q], drawn from q part by part."""
    rows = heavy(22, n=25)
    given = bm.GaussianPrior([3.0, 1.0], 0.5, 4.0, np.diag([1.5, 0.5]))
    prior = bm.StudentPrior(given, values=[2.0, 3.0, 8.0])
    model = variational(rows, prior=prior, n_components=1)
    q, rng = model.result_.unframed, generator(23)
    n_draws = 4000
    normals = q.normals
    nu_q, inverse = normals.precisions.degrees_of_freedom[0], normals.precisions.scale_inverse[0]
    mean_precision, prior_scale = nu_q * np.linalg.inv(inverse), np.diag([1.5, 0.5])
    own = stats.wishart(nu_q, np.linalg.inv(inverse))
    known = stats.wishart(4.0, np.linalg.inv(prior_scale))
    beta, mean, values = normals.mean_precision[0], normals.means[0], q.freedom.values
    shares = q.freedom.probabilities[0]
    precisions = own.rvs(n_draws, random_state=rng)
    roots = np.linalg.cholesky(np.linalg.inv(precisions) / beta)
    means = mean + np.einsum("sde,se->sd", roots, rng.normal(size=(n_draws, 2)))
    expected = 2 / beta + np.einsum("nd,de,ne->n", rows - mean, mean_precision, rows - mean)
    places = rng.choice(3, size=n_draws, p=shares)
    nu = values[places][:, None]
    shape, rate = 0.5 * (nu + 2), 0.5 * (nu + expected)
    u = rng.gamma(shape, 1.0 / rate)
    away = rows - means[:, None]
    squared = np.einsum("snd,sde,sne->sn", away, precisions, away)
    log_det = np.linalg.slogdet(precisions)[1]

    def log_normal(centre, factor):
        apart = means - centre
        lengths = np.einsum("sd,sde,se->s", apart, precisions, apart)
        return 0.5 * (2 * np.log(factor / (2 * np.pi)) + log_det - factor * lengths)

    total = 0.5 * (2 * np.log(u / (2 * np.pi)) + log_det[:, None] - u * squared).sum(axis=1)
    total += stats.gamma.logpdf(u, 0.5 * nu, scale=2.0 / nu).sum(axis=1)
    total -= stats.gamma.logpdf(u, shape, scale=1.0 / rate).sum(axis=1)
    stacked = np.moveaxis(precisions, 0, -1)
    total += known.logpdf(stacked) - own.logpdf(stacked)
    total += log_normal([3.0, 1.0], 0.5) - log_normal(mean, beta)
    total -= np.log(3.0) + np.log(shares[places])
    # z = 4.5 standard errors. Scales are held to the resolution of the data: 1e-6 of a variance.
    assert abs(total.mean() - model.elbo_) < 4.5 * total.std() / np.sqrt(n_draws) + 1e-3


def test_the_predictive_density_is_the_average_over_q():
    rows = heavy(24, n=20)
    model = variational(rows)
    drawn = model.sample_posterior(1000, random_state=0)
    points = np.array([[0.0, 0.0], [4.0, 1.0], [30.0, -10.0]])
    density = np.zeros((1000, 3))
    for k in range(2):
        for s in range(1000):
            one = stats.multivariate_t(
                drawn.means[s, k], drawn.scales[s, k], df=drawn.degrees_of_freedom[s, k]
            )
            density[s] += drawn.weights[s, k] * one.pdf(points)
    error = density.std(axis=0) / np.sqrt(1000)
    assert (np.abs(density.mean(axis=0) - np.exp(model.score_samples(points))) < 4.5 * error).all()
    given = model.conditional({0: 4.0}).score_samples(points[1:2, 1:])
    joint, known = model.score_samples(points[1:2]), model.marginal([0]).score_samples([[4.0]])
    np.testing.assert_allclose(given, joint - known, rtol=1e-6)


def test_the_mode_is_stationary_and_files_keep_posteriors(tmp_path):
    rows = heavy(25)
    model = fitted(rows, inference=bm.MaximumAPosteriori(), acceleration=None)
    trace = model.objective_trace_
    assert np.diff(trace).min() >= -1e-12 * np.abs(trace).max()
    wide = fitted(rows, inference=bm.MaximumLikelihood())
    np.testing.assert_allclose(model.means_, wide.means_, atol=0.1)
    for place, one in enumerate((model, variational(rows))):
        one.save(tmp_path / str(place))
        loaded = bm.load(tmp_path / str(place))
        np.testing.assert_array_equal(loaded.score_samples(rows), one.score_samples(rows))


def test_heavy_tails_have_the_higher_bound_and_normal_rows_the_lower():
    rows = heavy(26, n=150, freedom=2.0)
    normal = generator(27).normal(size=(300, 2))
    bounds = []
    for data in (rows, normal):
        student = variational(data, n_components=1 + (data is rows), acceleration="auto").elbo_
        gaussian = bm.Mixture(
            1 + (data is rows),
            inference=bm.VariationalBayes(weights=bm.DirichletPrior(1.0)),
            prune=False,
            random_state=0,
        ).fit(data)
        bounds.append(student - gaussian.elbo_)
    assert bounds[0] > 50.0 > 0.0 > bounds[1]
