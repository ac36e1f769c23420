"""The objective is what it says: exact evidence at K = 1, a bound below it on tiny data, MAP's
log joint density. Everything is compared with `tests/reference`, which shares no line with the
package.
"""

import numpy as np
import pytest
from reference import exact, learned_scale
from reference import slow_em as em
from reference import slow_vb as vb
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from laws.cases import (
    COLUMN_CASES,
    EVERY_CASE,
    GAUSSIAN_CASES,
    PLAIN,
    POOLED_CASES,
    WEIGHT_KINDS,
    WEIGHT_PRIORS,
    estimator,
    generator,
    identity,
    soft_assignments,
)

every_case = pytest.mark.parametrize("case", EVERY_CASE, ids=identity)
every_conjugate = pytest.mark.parametrize("case", GAUSSIAN_CASES + POOLED_CASES, ids=identity)
every_and_pooled = pytest.mark.parametrize("case", EVERY_CASE + POOLED_CASES, ids=identity)
every_gaussian = pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)
every_count = pytest.mark.parametrize("case", COLUMN_CASES, ids=identity)
every_weights = pytest.mark.parametrize("weights", WEIGHT_KINDS)


def bayesian(case, letters, n_components=1, weights="dirichlet_distribution", **options):
    """The estimator with a fixed prior, plain coordinate ascent."""
    concentration = None if weights == "type2_ml" else letters["alpha0"]
    options = PLAIN | {"prune": False, "max_iter": 2000} | options
    return bm.BayesianGaussianMixture(
        n_components,
        covariance_type=case.covariance,
        weight_concentration_prior_type=weights,
        weight_concentration_prior=concentration,
        mean_precision_prior=letters["beta0"],
        mean_prior=letters["m0"],
        degrees_of_freedom_prior=letters["nu0"],
        covariance_prior=case.covariance_prior(letters),
        **options,
    )


# One component


@every_conjugate
@pytest.mark.parametrize("dimension", [1, 2, 3, 7, 20])
def test_elbo_at_one_component_is_the_exact_log_evidence(case, dimension):
    rng = generator(dimension)
    rows, letters = case.rows(rng, 30, dimension), case.letters(rng, dimension)
    model = bayesian(case, letters).fit(rows)
    assert model.converged_
    assert model.elbo_ == pytest.approx(case.log_evidence(rows, letters), rel=1e-10)
    assert model.lower_bound_ == model.elbo_


@every_conjugate
@every_weights
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_elbo_at_one_component_is_exact_for_weighted_rows_and_any_weights(case, weights, offset):
    rng = generator(7)
    rows, letters = case.rows(rng, 25, 3) + offset, case.letters(rng, 3)
    letters["m0"] = letters["m0"] + offset
    row_weights = rng.uniform(0.2, 2.0, 25)
    model = bayesian(case, letters, weights=weights).fit(rows, sample_weight=row_weights)
    expected = case.log_evidence(rows, letters, row_weights)
    # A mean as stored near 1e6 is known to 1e-10; the evidence no better.
    assert model.elbo_ == pytest.approx(expected, rel=1e-10 if offset == 0.0 else 1e-8)


@every_gaussian
def test_elbo_at_one_component_is_the_evidence_with_fewer_rows_than_dimensions(case):
    rng = generator(3)
    rows, letters = case.rows(rng, 4, 9), case.letters(rng, 9)
    # A prior that is given in full makes nothing singular: no direction is set aside, no warning.
    model = bayesian(case, letters).fit(rows)
    assert model.elbo_ == pytest.approx(case.log_evidence(rows, letters), rel=1e-10)


@every_count
@pytest.mark.parametrize("dimension", [1, 4, 20])
@every_weights
def test_elbo_at_one_component_of_counts_is_the_exact_log_evidence(case, dimension, weights):
    rng = generator(dimension)
    rows, letters = case.rows(rng, 30, dimension), case.letters(rng, dimension)
    row_weights = rng.uniform(0.2, 2.0, 30)
    prior = WEIGHT_PRIORS[weights](letters["alpha0"])
    inference = bm.VariationalBayes(prior=case.choice(letters), weights=prior)
    model = estimator(case, 1, inference).fit(rows, sample_weight=row_weights)
    expected = case.log_evidence(rows, letters, row_weights)
    assert model.elbo_ == pytest.approx(expected, rel=1e-10)


@every_gaussian
def test_the_evidence_of_data_in_other_units_differs_by_the_volume(case):
    rng = generator(4)
    rows, letters = case.rows(rng, 20, 2), case.letters(rng, 2)
    scaled = dict(letters)
    scaled["m0"], scaled["W0"] = 100.0 * letters["m0"], np.asarray(letters["W0"]) / 1e4
    near, far = bayesian(case, letters).fit(rows), bayesian(case, scaled).fit(100.0 * rows)
    assert far.elbo_ == pytest.approx(near.elbo_ - 20 * 2 * np.log(100.0), rel=1e-12)


# Tiny data, two components


def tiny(case, seed, dimension=2):
    """Six rows that fall into two groups."""
    rng = generator(seed)
    rows = case.rows(rng, 6, dimension)
    rows[:3] = case.shifted(rows[:3], 2.0)
    return rows, case.letters(rng, dimension), rng


WEIGHTS_OF_ASSIGNMENTS = {
    "dirichlet_distribution": lambda model, alpha0: exact.dirichlet_weights(alpha0),
    "dirichlet_process": lambda model, alpha0: exact.stick_weights(alpha0),
    "type2_ml": lambda model, alpha0: exact.fixed_weights(model.weights_),
}


@every_and_pooled
@every_weights
@pytest.mark.parametrize("seed", range(2))
def test_elbo_is_below_the_evidence_by_enumeration(case, weights, seed):
    """All 2⁶ assignments; the tightest of several starts is also not far below."""
    rows, letters, rng = tiny(case, seed)
    inference = bm.VariationalBayes(
        prior=case.choice(letters), weights=WEIGHT_PRIORS[weights](letters["alpha0"])
    )
    starts = [soft_assignments(rng, 6, 2) for _ in range(4)] + [np.repeat([0, 1], 3)]
    family, evidence, gaps = case.exact_family(letters, 2), None, []
    for start in starts:
        model = estimator(case, 2, inference, init_params=start, max_iter=5000).fit(rows)
        if evidence is None or weights == "type2_ml":  # whose evidence is given the weights
            log_weight_prior = WEIGHTS_OF_ASSIGNMENTS[weights](model, letters["alpha0"])
            evidence = exact.log_evidence(rows, 2, family, log_weight_prior)
        gaps.append(evidence - model.elbo_)
    assert min(gaps) > -1e-10
    assert min(gaps) < 4.0


@every_gaussian
@every_weights
def test_the_bound_of_a_fit_is_the_textbooks_sum_of_nine_terms(case, weights):
    """Bishop 2006, eq. 10.70, written out term by term, at the q that the fit found."""
    rows, letters, rng = tiny(case, 5)
    rows, start = np.vstack([rows, rows + 0.3]), soft_assignments(rng, 12, 2)
    model = bayesian(case, letters, 2, weights, init_params=start, tol=0.0, max_iter=12)
    with pytest.warns(ConvergenceWarning):
        model.fit(rows)
    slow_kind = {
        "dirichlet_distribution": "dirichlet",
        "dirichlet_process": "dp_closed",
        "type2_ml": "ml",
    }[weights]
    run = vb.run_vb(rows, start, case.covariance, slow_kind, letters, 12)
    np.testing.assert_allclose(model.objective_trace_, run.elbo_after_E, rtol=1e-11)
    np.testing.assert_allclose(model.responsibilities(rows), run.responsibilities, atol=1e-10)
    np.testing.assert_allclose(model.means_, run.q["m"], rtol=1e-9)
    np.testing.assert_allclose(model.degrees_of_freedom_, run.q["nu"] * np.ones(2), rtol=1e-10)
    np.testing.assert_allclose(model.score_samples(rows), vb.log_predictive(rows, run.q), rtol=1e-9)


# The learned scale


def learned_factors(model):
    """Prior and factors of a fit with the reference prior at K = 1, D = 1, as the reference has."""
    q, prior = model.result_.unframed, model.result_.prior

    def number(value):
        return float(np.ravel(value)[0])

    assert number(prior.scale.prior.degrees_of_freedom) == 1.0
    known = learned_scale.Prior(
        m0=number(prior.mean),
        beta0=q.prior_mean_precision,
        nu0=prior.degrees_of_freedom,
        g_dof=number(prior.scale.prior.degrees_of_freedom),
        h=number(prior.scale.prior.scale_inverse),
    )
    factors = learned_scale.Factors(
        mean=number(q.means),
        mean_precision=number(q.mean_precision),
        dof=number(q.precisions.degrees_of_freedom),
        scale_inverse=number(q.precisions.scale_inverse),
        scale_dof=number(q.scale.degrees_of_freedom),
        scale_rate=number(q.scale.scale_inverse),
    )
    return known, factors


@every_gaussian
@pytest.mark.parametrize(
    ("n", "spread", "centre"), [(8, 1.0, 0.0), (40, 30.0, 1e3), (90, 0.01, -2.0)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_bound_with_a_learned_scale_is_exact_and_below_the_evidence(
    case, n, spread, centre, weighted
):
    """K = 1, D = 1: expectations and evidence by quadrature over (μ, λ, s), no closed form."""
    rng = generator(n)
    values = rng.normal(centre, spread, n)
    row_weights = rng.uniform(0.3, 2.0, n) if weighted else None
    model = bm.BayesianGaussianMixture(
        covariance_type=case.covariance, **PLAIN | {"prune": False, "max_iter": 5000}
    ).fit(values[:, None], sample_weight=row_weights)
    prior, factors = learned_factors(model)
    assert prior.nu0 == 3.0
    expected = learned_scale.elbo(values, prior, factors, row_weights)
    assert model.elbo_ == pytest.approx(expected, rel=1e-9)
    evidence = learned_scale.log_evidence(values, prior, row_weights)
    assert model.elbo_ < evidence
    best = learned_scale.coordinate_ascent(values, prior, row_weights=row_weights)
    assert model.elbo_ == pytest.approx(
        learned_scale.elbo(values, prior, best, row_weights), abs=1e-6
    )


def test_all_structures_have_the_same_bound_in_one_dimension():
    """Section 4: a variance has the same marginal in all structures, so bounds compare them."""
    values = generator(0).normal(3.0, 2.0, (50, 1))
    bounds = [
        bm.BayesianGaussianMixture(covariance_type=case.covariance, **PLAIN).fit(values).elbo_
        for case in GAUSSIAN_CASES
    ]
    np.testing.assert_allclose(bounds, bounds[0], rtol=1e-12)


@every_gaussian
def test_the_learned_mean_precision_maximises_the_bound(case):
    """β0 by type-II maximum likelihood: fixed at any other value the bound is lower."""
    rng = generator(2)
    rows = np.vstack([case.rows(rng, 40, 2), case.rows(rng, 40, 2) + 5.0])
    options = PLAIN | {"prune": False, "max_iter": 5000, "init_params": np.repeat([0, 1], 40)}

    def fitted(mean_precision):
        return bm.BayesianGaussianMixture(
            2,
            covariance_type=case.covariance,
            mean_precision_prior=mean_precision,
            weight_concentration_prior_type="dirichlet_distribution",
            **options,
        ).fit(rows)

    learned = fitted(None)
    best = learned.mean_precision_prior_
    assert fitted(best).elbo_ == pytest.approx(learned.elbo_, abs=1e-5)
    for factor in (0.5, 0.8, 1.25, 2.0):
        assert fitted(factor * best).elbo_ < learned.elbo_


# Maximum a posteriori


def mixture_of(model, case, n_features):
    """Fitted parameters as the slow reference writes them."""
    covariances = case.dense(model.covariances_, model.n_components_, n_features)
    return em.Mixture(model.weights_, model.means_, np.array(covariances))


def log_joint_density(rows, mixture, case, letters, row_weights=None):
    log_likelihood = em.log_likelihood(rows, mixture, row_weights)
    return log_likelihood + em.log_prior(mixture, case.covariance, letters)


def nudged(mixture, case, rng, size):
    """The mixture moved by ``size`` along a random direction, its structure kept."""
    dimension = mixture.means.shape[1]
    noise = rng.normal(size=mixture.covariances.shape)
    if case.name == "tied":
        noise[:] = noise[0]
    if case.name in ("diag", "spherical"):
        noise = noise * np.eye(dimension)
    if case.name == "spherical":
        noise = noise[:, :1, :1] * np.eye(dimension)
    factors = np.eye(dimension) + size * noise
    weights = mixture.weights * np.exp(size * rng.normal(size=mixture.weights.shape))
    return em.Mixture(
        weights / weights.sum(),
        mixture.means + size * rng.normal(size=mixture.means.shape),
        factors @ mixture.covariances @ factors.transpose(0, 2, 1),
    )


def assert_stationary(value, mixture, case, rng):
    """Central differences of ``value`` vanish at the mixture."""
    step = 1e-4
    top = value(mixture)
    for _ in range(10):
        state = rng.bit_generator.state
        ahead = value(nudged(mixture, case, rng, step))
        rng.bit_generator.state = state
        behind = value(nudged(mixture, case, rng, -step))
        curvature = (2.0 * top - ahead - behind) / step**2
        assert curvature > 0.0
        assert abs(ahead - behind) / (2.0 * step) < 1e-3 * max(1.0, curvature)


@every_gaussian
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_the_map_objective_is_the_log_joint_density_and_stationary(case, weighted, offset):
    rng = generator(9)
    rows = np.vstack([case.rows(rng, 40, 2), case.rows(rng, 40, 2) + 3.0]) + offset
    letters = case.letters(rng, 2)
    letters["m0"] = letters["m0"] + offset
    row_weights = rng.uniform(0.3, 2.0, 80) if weighted else None
    model = bm.GaussianMixture(
        2,
        covariance_type=case.covariance,
        prior=case.choice(letters),
        weight_concentration_prior=letters["alpha0"],
        init_params=soft_assignments(rng, 80, 2),
        max_iter=20_000,
        n_jobs=1,
    ).fit(rows, sample_weight=row_weights)
    mixture = mixture_of(model, case, 2)

    def value(at):
        return log_joint_density(rows, at, case, letters, row_weights)

    assert model.result_.objective == pytest.approx(value(mixture), rel=1e-10)
    assert model.objective_trace_[-1] == pytest.approx(value(mixture), rel=1e-10)
    total = 80 if row_weights is None else row_weights.sum()
    assert model.lower_bound_ == pytest.approx(value(mixture) / total, rel=1e-10)
    assert_stationary(value, mixture, case, rng)


@every_gaussian
def test_the_map_trace_is_the_references(case):
    rng = generator(10)
    rows, start = case.rows(rng, 60, 3), soft_assignments(rng, 60, 3)
    letters = case.letters(rng, 3)
    model = bm.GaussianMixture(
        3,
        covariance_type=case.covariance,
        prior=case.choice(letters),
        weight_concentration_prior=letters["alpha0"],
        init_params=start,
        tol=0.0,
        max_iter=15,
        **PLAIN,
    )
    with pytest.warns(ConvergenceWarning):
        model.fit(rows)
    run = em.run_map(rows, start, case.covariance, letters, 15)
    np.testing.assert_allclose(model.objective_trace_, run.trace, rtol=1e-11)
    np.testing.assert_allclose(model.means_, run.mixture.means, rtol=1e-9)


@every_gaussian
@pytest.mark.parametrize("n", [3, 60])
def test_the_automatic_prior_of_map_is_that_of_the_design(case, n):
    """W0⁻¹ = S^½ [(1 - a) R + a I] S^½ / K^(2/D), β0 = 0.01, and nothing is ever singular."""
    rng, n_components = generator(n), 2
    rows = np.vstack([case.rows(rng, n, 3), case.rows(rng, n, 3) + 2.0])
    model = bm.GaussianMixture(
        n_components,
        covariance_type=case.covariance,
        prior="auto",
        init_params=np.repeat([0, 1], n),
        max_iter=20_000,
        n_jobs=1,
    ).fit(rows)
    prior = model.result_.prior
    letters = {"alpha0": 1.0, "beta0": prior.mean_precision, "m0": prior.mean}
    letters["nu0"], block = prior.degrees_of_freedom, prior.scale.mean
    letters["W0"] = np.linalg.inv(block)[0] if block.ndim == 3 else 1.0 / block[0]
    if case.name == "spherical":
        letters["W0"] = float(letters["W0"][0])
    mixture = mixture_of(model, case, 3)
    expected = log_joint_density(rows, mixture, case, letters)
    assert model.result_.objective == pytest.approx(expected, rel=1e-10)
    assert prior.mean_precision == 0.01
    assert letters["nu0"] == (5.0 if case.name in ("full", "tied") else 3.0)
    ordered, rank = np.sort(rows, axis=0), int(np.ceil(0.5 * n)) - 1  # of 2 n rows
    robust = (ordered[int(np.ceil(1.5 * n)) - 1] - ordered[rank]) / 1.349
    variances = robust**2 / n_components ** (2.0 / 3.0)
    actual = np.ravel(np.diagonal(block[0])) if block.ndim == 3 else block[0]
    expected = [variances.mean()] if case.name == "spherical" else variances
    np.testing.assert_allclose(actual, expected, rtol=1e-10)
    if block.ndim == 3:
        kept = 1.0 - 3.0 / (2 * n + 3.0)
        between = kept * np.corrcoef(rows.T)[0, 1] * np.sqrt(variances[0] * variances[1])
        assert block[0, 0, 1] == pytest.approx(between, rel=1e-9)


def test_concentrations_below_one_are_refused_for_map():
    with pytest.raises(ValueError, match="weight_concentration_prior"):
        bm.GaussianMixture(2, prior="auto", weight_concentration_prior=0.5).fit(np.eye(8))
    with pytest.raises(ValueError, match="at least 1"):
        bm.Mixture(
            2, family=bm.Poisson(), inference=bm.MaximumAPosteriori(weights=DirichletPrior(0.5))
        ).fit(np.arange(12.0)[:, None])


@every_count
def test_the_map_objective_of_counts_is_the_log_joint_density(case):
    rng = generator(12)
    rows, letters = case.rows(rng, 80, 3), case.letters(rng, 3)
    inference = bm.MaximumAPosteriori(prior=case.choice(letters), weights=DirichletPrior(1.3))
    model = estimator(
        case, 2, inference, init_params=soft_assignments(rng, 80, 2), max_iter=20_000
    ).fit(rows)
    point = model.result_.unframed
    log_likelihood = np.logaddexp.reduce(
        np.log(model.weights_) + case.log_density_by_scipy(point, rows), axis=1
    ).sum()
    log_prior = em.log_prior_weights(model.weights_, letters) + sum(
        case.marginal_prior(letters, d).logpdf(case.values_of(point)[:, d]).sum() for d in range(3)
    )
    assert model.result_.objective == pytest.approx(log_likelihood + log_prior, rel=1e-10)
    assert model.log_likelihood_ == pytest.approx(log_likelihood, rel=1e-10)


# Maximum likelihood


@every_case
def test_the_likelihood_objective_is_the_log_likelihood(case):
    rng = generator(13)
    rows, row_weights = case.rows(rng, 80, 3), rng.uniform(0.3, 2.0, 80)
    start = soft_assignments(rng, 80, 2)
    model = estimator(case, 2, None, init_params=start, max_iter=20_000)
    model.fit(rows, sample_weight=row_weights)
    point = model.result_.unframed
    joint = np.log(model.weights_) + case.log_density_by_scipy(point, rows)
    expected = row_weights @ np.logaddexp.reduce(joint, axis=1)
    assert model.log_likelihood_ == pytest.approx(expected, rel=1e-10)
    assert model.result_.objective == pytest.approx(expected, rel=1e-10)
    assert model.lower_bound_ == pytest.approx(expected / row_weights.sum(), rel=1e-10)
    assert row_weights @ model.score_samples(rows) == pytest.approx(expected, rel=1e-10)


@every_gaussian
def test_the_likelihood_trace_is_the_references(case):
    rng = generator(14)
    rows, start = case.rows(rng, 60, 3), soft_assignments(rng, 60, 3)
    options = PLAIN | {"init_params": start, "tol": 0.0, "max_iter": 15}
    model = bm.GaussianMixture(3, covariance_type=case.covariance, **options)
    with pytest.warns(ConvergenceWarning):
        model.fit(rows)
    run = em.run_em(rows, start, case.covariance, 15)
    np.testing.assert_allclose(model.objective_trace_, run.trace, rtol=1e-11)
    np.testing.assert_allclose(model.responsibilities(rows), run.responsibilities, atol=1e-10)
    assert len(model.objective_trace_) == model.n_iter_ == 15


def test_the_bound_has_no_log_factorial_in_it():
    """Far apart, two components: the bound is below the evidence by about log 2, not above."""
    case = GAUSSIAN_CASES[0]
    rows, letters, _ = tiny(case, 1)
    rows[:3] += 20.0
    model = bayesian(case, letters, 2, init_params=np.repeat([0, 1], 3)).fit(rows)
    log_weight_prior = exact.dirichlet_weights(letters["alpha0"])
    evidence = exact.log_evidence(rows, 2, case.exact_family(letters, 2), log_weight_prior)
    assert evidence - model.elbo_ == pytest.approx(np.log(2.0), abs=0.1)


def test_weights_are_named_by_what_they_are():
    names = {
        "dirichlet_distribution": DirichletPrior,
        "dirichlet_process": StickBreakingPrior,
        "type2_ml": FreeWeights,
    }
    rows = generator(0).normal(size=(30, 2))
    for kind, prior in names.items():
        options = PLAIN | {"weight_concentration_prior_type": kind}
        model = bm.BayesianGaussianMixture(2, **options, max_iter=5000).fit(rows)
        assert isinstance(model.result_.inference.weights, prior)
