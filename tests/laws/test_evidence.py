"""Importance-weighted evidence and leave-one-out against closed forms and enumeration.

Tolerances are 5 standard errors of the estimate itself: of a normal mean, a false alarm in 1.7
million.
"""

from itertools import permutations

import numpy as np
import pytest
from reference import exact, learned_scale

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core.random import Purpose, stream
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.permanents import log_permanents
from bayesmix.posterior.evidence import evidence_from_above, importance_evidence
from bayesmix.posterior.leave_one_out import leave_one_out
from bayesmix.posterior.pareto import pareto_smoothed
from bayesmix.posterior.posterior_draws import (
    draws_of,
    joined,
    log_densities,
    log_likelihoods,
    log_q,
    log_q_symmetrised,
)
from bayesmix.sources.memory import ArraySource
from laws.cases import (
    CASES,
    GAUSSIAN_CASES,
    POOLED_CASES,
    WEIGHT_PRIORS,
    estimator,
    generator,
    identity,
)

every_case = pytest.mark.parametrize("case", CASES, ids=identity)
every_and_pooled = pytest.mark.parametrize("case", CASES + POOLED_CASES, ids=identity)
every_gaussian = pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)
Z = 5.0
ROUNDING = 1e-8


def fitted(case, rows, letters, n_components, weights=None, row_weights=None, **options):
    """A variational fit under a fixed prior."""
    weights = weights or DirichletPrior(letters["alpha0"])
    inference = bm.VariationalBayes(prior=case.choice(letters), weights=weights)
    model = estimator(case, n_components, inference, max_iter=5000, **options)
    return model.fit(rows, sample_weight=row_weights).result_


def learned(rows, n_components, **options):
    """A variational fit with the reference prior."""
    options = {
        "weight_concentration_prior_type": "dirichlet_distribution",
        "weight_concentration_prior": 1.0,
        "prune": False,
        "random_state": 0,
        "n_jobs": 1,
    } | options
    return bm.BayesianGaussianMixture(n_components, **options).fit(rows).result_


def two_groups(case, seed, n):
    rng = generator(seed)
    rows, letters = case.rows(rng, n, 2), case.letters(rng, 2)
    if case.continuous:
        rows[: n // 2] += 2.0
    return rows, letters


# Permanents


def by_definition(log_matrix):
    """Log of the sum over all permutations."""
    n = len(log_matrix)
    terms = [log_matrix[np.arange(n), list(order)].sum() for order in permutations(range(n))]
    return np.logaddexp.reduce(terms)


@pytest.mark.parametrize("size", range(1, 7))
@pytest.mark.parametrize("spread", [0.0, 1.0, 30.0, 700.0, 1e5])
def test_log_permanents_are_sums_over_permutations(size, spread):
    """Products from 1 to below 1e-300, and to where no double reaches."""
    matrices = spread * generator(size).normal(size=(20, size, size))
    expected = [by_definition(matrix) for matrix in matrices]
    np.testing.assert_allclose(log_permanents(matrices), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [11, 14])
def test_the_permanent_of_ones_is_a_factorial(size):
    found = log_permanents(np.zeros((2, size, size)))
    np.testing.assert_allclose(found, np.log(np.arange(1.0, size + 1.0)).sum(), rtol=1e-13)


@pytest.mark.parametrize("between", [-60.0, -900.0])
def test_blocks_far_apart_multiply(between):
    """Twelve rows in shuffled blocks of 5, 4 and 3: the product of theirs, up to what is left."""
    rng = generator(3)
    labels = np.repeat([0, 1, 2], [5, 4, 3])
    matrices = 3.0 * rng.normal(size=(10, 12, 12))
    matrices += np.where(labels[:, None] == labels, 0.0, between)
    expected = [
        sum(by_definition(one[np.ix_(labels == label, labels == label)]) for label in range(3))
        for one in matrices
    ]
    rows, columns = rng.permutation(12), rng.permutation(12)
    found = log_permanents(matrices[:, rows][:, :, columns])
    np.testing.assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_scaling_rows_and_columns_scales_the_permanent_by_blocks_too(spread):
    """Above the size at which matrices are taken apart: all of it against none of it."""
    rng = generator(4)
    matrices = spread * rng.normal(size=(5, 11, 11))
    rows, columns = 200.0 * rng.normal(size=(2, 5, 11))
    scaled = matrices + rows[:, :, None] + columns[:, None]
    expected = log_permanents(matrices) + rows.sum(axis=1) + columns.sum(axis=1)
    np.testing.assert_allclose(log_permanents(scaled), expected, rtol=1e-11)
    # Laplace's expansion along the first row, whose minors are not taken apart.
    minors = [log_permanents(np.delete(matrices[:, 1:], k, axis=2)) for k in range(11)]
    expected = np.logaddexp.reduce(matrices[:, 0].T + np.array(minors), axis=0)
    np.testing.assert_allclose(log_permanents(matrices), expected, rtol=1e-11)


# Pareto smoothing


# psislw of ArviZ 0.22.0 for quantiles of three distributions at (i + 1/2) / 400: k, and normalised
# log weights from the largest.
PSIS = {
    "normal": (0.695614664771429, {-1: -1.8426509447785415, -10: -3.992733716804175}),
    "narrow": (0.12866749513154868, {-1: -4.607567129628679, -60: -5.601093953159404}),
    "exponential": (0.8183704168942164, {-1: -1.8732100900646778, 0: -7.615747553918604}),
}


@pytest.mark.parametrize("name", PSIS)
def test_smoothed_weights_are_those_of_arviz(name):
    from scipy import stats

    probabilities = (np.arange(400) + 0.5) / 400
    log_weights = {
        "normal": 2.0 * stats.norm.ppf(probabilities),
        "narrow": 0.5 * stats.norm.ppf(probabilities),
        "exponential": 0.9 * stats.expon.ppf(probabilities),
    }[name]
    order = generator(1).permutation(400)
    smoothed, k = pareto_smoothed(log_weights[order])
    smoothed = smoothed[np.argsort(order)] - np.logaddexp.reduce(smoothed)
    expected_k, expected = PSIS[name]
    assert float(k) == pytest.approx(expected_k, rel=1e-12)
    for place, value in expected.items():
        assert smoothed[place] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.7, 1.0])
def test_the_shape_of_a_pareto_tail_is_found(shape):
    """U^(-k) has the shape k; the error of an estimate is (1 + k) / sqrt(M), M in the tail."""
    n_draws, n_rows = 20_000, 30
    n_tail = np.ceil(3.0 * np.sqrt(n_draws))
    log_weights = shape * generator(2).exponential(size=(n_rows, n_draws))
    _, k = pareto_smoothed(log_weights)
    assert k.shape == (n_rows,)
    expected = (n_tail * shape + 5.0) / (n_tail + 10.0)
    assert np.abs(k - expected).max() < Z * (1.0 + shape) / np.sqrt(n_tail)


def test_equal_weights_stay_and_few_have_no_shape():
    smoothed, k = pareto_smoothed(np.full((2, 100), -3.0))
    assert (smoothed == -3.0).all()
    assert (k == 0.0).all()
    few = generator(1).normal(size=20)
    smoothed, k = pareto_smoothed(few)
    np.testing.assert_array_equal(smoothed, few)
    assert k == np.inf


def test_rows_are_smoothed_each_by_itself_and_none_above_its_largest():
    log_weights = 3.0 * generator(1).normal(size=(7, 300))
    log_weights[3] *= 300.0
    smoothed, k = pareto_smoothed(log_weights)
    for one, expected, expected_k in zip(log_weights, smoothed, k, strict=True):
        found, found_k = pareto_smoothed(one)
        np.testing.assert_array_equal(found, expected)
        assert found_k == expected_k
    assert np.isfinite(smoothed).all()
    assert (smoothed.max(axis=1) <= log_weights.max(axis=1)).all()


# Likelihoods and densities of draws


@pytest.mark.parametrize(
    ("case", "offset"),
    [(case, 0.0) for case in CASES] + [(case, 1e7) for case in GAUSSIAN_CASES],
    ids=lambda value: getattr(value, "name", value),
)
def test_log_likelihoods_of_draws_are_sums_over_rows_of_the_log_of_the_mixed_densities(
    case, offset
):
    rng = generator(5)
    rows, letters = two_groups(case, 5, 30)
    rows = rows * 4.0 + offset if case.continuous else rows
    letters = letters | ({"m0": letters["m0"] + offset} if case.continuous else {})
    row_weights = rng.uniform(0.2, 2.0, 30)
    result = fitted(case, rows, letters, 2, row_weights=row_weights)
    draws = draws_of(result.mixture, 6, stream(0, Purpose.DRAW))
    components = draws.components.components
    values = result.mixture.frame.apply(rows)
    for s, log_weights in enumerate(draws.weights.log_weights):
        joint = components.subset(np.array([2 * s, 2 * s + 1])).expected_log_density(values)
        densities = np.logaddexp.reduce(joint + log_weights, axis=1) - result.log_volume
        source = ArraySource(rows, row_weights)
        np.testing.assert_allclose(log_densities(result, draws, source)[:, s], densities, rtol=1e-9)
        total = log_likelihoods(result, draws, source)[s]
        assert total == pytest.approx(row_weights @ densities, rel=1e-9)


def test_a_cluster_too_narrow_for_features_is_looked_at_centred():
    """At 1e7 of its standard deviations from the others, features keep no digit of it."""
    rng = generator(1)
    rows = np.concatenate([rng.normal(size=(40, 1)), 1e7 + rng.normal(size=(10, 1))])
    result = learned(rows, 2)
    draws = draws_of(result.mixture, 50, stream(0, Purpose.DRAW))
    likelihoods = log_likelihoods(result, draws, ArraySource(rows))
    framed = result.mixture.frame.apply(rows)
    joint = draws.components.components.expected_log_density(framed).reshape(50, 50, 2)
    densities = np.logaddexp.reduce(joint + draws.weights.log_weights, axis=2)
    expected = densities.sum(axis=0) - 50 * result.log_volume
    np.testing.assert_allclose(likelihoods, expected, rtol=1e-10)


@every_and_pooled
@pytest.mark.parametrize("n_components", [2, 3])
def test_symmetrised_q_is_the_average_over_relabelled_fits(case, n_components):
    rows, letters = two_groups(case, 3, 12)
    mixture = fitted(case, rows, letters, n_components).mixture
    draws = draws_of(mixture, 9, stream(0, Purpose.DRAW))
    orders = [np.array(order) for order in permutations(range(n_components))]
    counts = np.ones(n_components)
    relabelled = [log_q(mixture.subset(order, counts), draws) for order in orders]
    expected = np.logaddexp.reduce(relabelled, axis=0) - np.log(len(orders))
    np.testing.assert_allclose(log_q_symmetrised(mixture, draws), expected, rtol=1e-10)


@every_case
def test_draws_joined_and_taken_apart_are_the_same(case):
    rows, letters = two_groups(case, 3, 12)
    mixture = fitted(case, rows, letters, 2).mixture
    parts = [draws_of(mixture, n, stream(n, Purpose.DRAW)) for n in (3, 5)]
    every = joined(parts)
    assert every.n_draws == 8
    densities = np.concatenate([log_q(mixture, part) for part in parts])
    np.testing.assert_allclose(log_q(mixture, every), densities, rtol=1e-12)
    batches = [log_q(mixture, batch) for batch in every.batches()]
    np.testing.assert_allclose(np.concatenate(batches), densities, rtol=1e-12)


# Evidence


@every_and_pooled
def test_evidence_of_one_component_is_exact(case):
    rng = generator(1)
    rows, letters = case.rows(rng, 30, 3), case.letters(rng, 3)
    row_weights = rng.uniform(0.2, 2.0, 30)
    result = fitted(case, rows, letters, 1, row_weights=row_weights)
    found = importance_evidence(result, ArraySource(rows, row_weights), n_draws=200)
    expected = case.log_evidence(rows, letters, row_weights)
    assert abs(found.estimate - expected) < Z * found.standard_error + ROUNDING
    assert found.standard_error < ROUNDING
    assert found.lower == result.objective


@pytest.mark.slow
@every_case
@pytest.mark.parametrize("n_components", [2, pytest.param(3, marks=pytest.mark.nightly)])
def test_evidence_is_that_of_enumerating_all_assignments(case, n_components):
    """Six rows: K⁶ assignments. Of several data sets those that have an estimate."""
    errors = []
    for seed in range(20, 22):
        rows, letters = two_groups(case, seed, 6)
        result = fitted(case, rows, letters, n_components)
        found = importance_evidence(result, ArraySource(rows), n_draws=1500, seed=seed)
        family = case.exact_family(letters, n_components)
        prior = exact.dirichlet_weights(letters["alpha0"])
        expected = exact.log_evidence(rows, n_components, family, prior)
        assert found.lower < expected
        if np.isfinite(found.estimate):
            errors.append((found.estimate - expected) / found.standard_error)
            assert found.note == ""
        else:
            assert found.pareto_k > 0.7
    assert len(errors) >= 1
    assert np.abs(errors).max() < Z


@pytest.mark.slow
@every_case
@pytest.mark.parametrize("n_components", [1, 2])
def test_the_upper_end_is_above_the_exact_evidence(case, n_components):
    rows, letters = two_groups(case, 23, 6)
    result = fitted(case, rows, letters, n_components)
    upper, error = evidence_from_above(result, ArraySource(rows), 400, seed=0)
    family = case.exact_family(letters, n_components)
    prior = exact.dirichlet_weights(letters["alpha0"])
    expected = exact.log_evidence(rows, n_components, family, prior)
    assert upper > expected - Z * error - ROUNDING
    if n_components == 1:  # q is the posterior: the average is of a constant
        assert upper == pytest.approx(expected, abs=1e-8)


@pytest.mark.slow
def test_a_fit_has_its_evidence_between_two_ends():
    rows = bm.datasets.load_faithful()
    search = bm.select(rows, 2, "full")
    found = bm.log_evidence(search, rows, random_state=3)
    assert found.lower < found.estimate < found.upper + Z * found.upper_error
    assert np.isnan(bm.log_evidence(search, rows, n_sweeps=0).upper)
    assert np.isnan(bm.log_evidence(bm.GaussianMixture(2).fit(rows), rows).upper)
    with pytest.raises(ValueError, match="n_sweeps must be"):
        bm.log_evidence(search, rows, n_sweeps=3)


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_evidence_under_a_learned_scale_is_that_of_quadrature(covariance):
    rows = 3.0 + 2.0 * generator(2).normal(size=(12, 1))
    result = learned(rows, 1, covariance_type=covariance)
    q, prior = result.unframed, result.prior

    def number(value):
        return float(np.ravel(value)[0])

    known = learned_scale.Prior(
        m0=number(prior.mean),
        beta0=q.prior_mean_precision,
        nu0=prior.degrees_of_freedom,
        g_dof=number(prior.scale.prior.degrees_of_freedom),
        h=number(prior.scale.prior.scale_inverse),
    )
    found = importance_evidence(result, ArraySource(rows), n_draws=4000)
    expected = learned_scale.log_evidence(rows[:, 0], known)
    assert abs(found.estimate - expected) < Z * found.standard_error + ROUNDING
    assert found.lower < expected


def test_two_clear_clusters_have_the_evidence_of_both_labellings():
    """Where relabelled modes do not overlap log 2 is exact, and q nearly the posterior."""
    rng = generator(3)
    rows = np.concatenate([rng.normal(size=(150, 2)), 12.0 + rng.normal(size=(100, 2))])
    found = importance_evidence(learned(rows, 2), ArraySource(rows))
    assert found.lower + np.log(2.0) < found.estimate + Z * found.standard_error
    assert found.estimate < found.lower + np.log(2.0) + 0.5


@pytest.mark.slow
def test_evidence_in_other_units_differs_by_the_volume():
    rows = bm.datasets.load_faithful().to_numpy()[::4]
    near = importance_evidence(learned(rows, 2), ArraySource(rows), 400)
    far = importance_evidence(learned(rows * [8.0, 0.5], 2), ArraySource(rows * [8.0, 0.5]), 400)
    assert far.estimate == pytest.approx(near.estimate - len(rows) * np.log(4.0), rel=1e-10)
    assert far.pareto_k == pytest.approx(near.pareto_k, abs=1e-6)


@pytest.mark.filterwarnings("ignore::bayesmix.errors.FlatDirectionWarning")
def test_a_constant_column_is_set_aside_at_its_floor():
    rows = generator(4).normal(size=(40, 2))
    rows[:15] += 9.0
    wide = np.column_stack([rows, np.full(40, 7.0)])
    without = importance_evidence(learned(rows, 2), ArraySource(rows), 400)
    found = importance_evidence(learned(wide, 2), ArraySource(wide), 400)
    floor = -0.5 * 40 * np.log(2.0 * np.pi * 1e-6)
    assert found.estimate - without.estimate == pytest.approx(floor, rel=1e-9)


@pytest.mark.slow
def test_results_depend_on_the_seed_and_not_on_threads():
    rows = generator(1).normal(size=(20_000, 2))
    rows[:5000] += 6.0
    result = learned(rows, 2)
    one, two = ArraySource(rows, n_jobs=1), ArraySource(rows, n_jobs=2)
    first = importance_evidence(result, one, 100, seed=3)
    assert importance_evidence(result, two, 100, seed=3) == first
    assert importance_evidence(result, one, 100, seed=4) != first
    values = leave_one_out(result, one, 50, seed=3).values
    np.testing.assert_array_equal(leave_one_out(result, two, 50, seed=3).values, values)


@pytest.mark.slow
def test_fits_without_this_evidence_say_why():
    rows = bm.datasets.load_faithful().to_numpy()
    source = ArraySource(rows)
    cases = {
        "variational": bm.GaussianMixture(2, random_state=0).fit(rows).result_,
        "dirichlet_distribution": bm.BayesianGaussianMixture(2, random_state=0).fit(rows).result_,
        "pruned": learned(rows, 6, prune=True),
    }
    for word, result in cases.items():
        found = importance_evidence(result, source)
        assert np.isnan(found.estimate)
        assert word in found.note
    few = importance_evidence(learned(rows, 1), source, n_draws=20)
    assert np.isnan(few.estimate)
    assert few.pareto_k == np.inf


@pytest.mark.parametrize("n_draws", [0, 2.5, True])
def test_numbers_of_draws_are_checked(n_draws):
    rows = generator(1).normal(size=(20, 2))
    with pytest.raises(InvalidInputError, match="n_draws must be an integer of at least 1"):
        importance_evidence(learned(rows, 1), ArraySource(rows), n_draws)


def test_other_rows_than_those_of_the_fit_are_refused():
    rows = generator(1).normal(size=(20, 2))
    with pytest.raises(InvalidInputError, match="source must hold the data of the fit"):
        importance_evidence(learned(rows, 1), ArraySource(rows[:10]))
    with pytest.raises(InvalidInputError, match="source must hold the data of the fit"):
        leave_one_out(learned(rows, 1), ArraySource(rows, np.full(20, 2.0)))


# Leave one out


@pytest.mark.slow
@every_case
def test_leave_one_out_of_one_component_is_the_exact_predictive(case):
    """log p(X) - log p(X without one repetition of the row), over the spread of thirty runs."""
    rng = generator(6)
    rows, letters = case.rows(rng, 20, 2), case.letters(rng, 2)
    row_weights = rng.integers(1, 4, 20).astype(float)
    result = fitted(case, rows, letters, 1, row_weights=row_weights)
    source = ArraySource(rows, row_weights)
    runs = [leave_one_out(result, source, 1000, seed) for seed in range(30)]
    whole = case.log_evidence(rows, letters, row_weights)
    left = [case.log_evidence(rows, letters, row_weights - one) for one in np.eye(20)]
    values = np.array([run.values for run in runs])
    error = values.std(axis=0, ddof=1) / np.sqrt(30)
    # Student's t with 29 degrees of freedom, 120 times: a false alarm in 10,000.
    assert (np.abs(values.mean(axis=0) - (whole - np.array(left))) < 6.0 * error).all()
    for run in runs[:3]:
        assert run.total == pytest.approx(row_weights @ run.values)
        n = row_weights.sum()
        spread = np.repeat(run.values, row_weights.astype(int)).std() * np.sqrt(n)
        assert run.standard_error == pytest.approx(spread)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["dirichlet_distribution", "dirichlet_process"])
@pytest.mark.parametrize("case", CASES[-2:], ids=identity)
def test_leave_one_out_of_two_components_is_the_predictive_by_enumeration(case, weights):
    rng = generator(2)
    letters = case.letters(rng, 5)
    low, high = (0.1, 0.9) if case.name == "bernoulli" else (1.0, 12.0)
    centres = np.where(np.arange(8) < 5, low, high)[:, None] * np.ones(5)
    rows = rng.binomial(1, centres) if case.name == "bernoulli" else rng.poisson(centres)
    rows = rows.astype(float)
    prior = WEIGHT_PRIORS[weights](letters["alpha0"])
    result = fitted(case, rows, letters, 2, weights=prior)
    runs = [leave_one_out(result, ArraySource(rows), 1500, seed) for seed in range(10)]
    values = np.array([run.values for run in runs])
    error = values.std(axis=0, ddof=1) / np.sqrt(10)
    of_assignments = {
        "dirichlet_distribution": exact.dirichlet_weights,
        "dirichlet_process": exact.stick_weights,
    }[weights](letters["alpha0"])
    family = case.exact_family(letters, 2)
    trusted = np.max([run.pareto_k for run in runs], axis=0) < 0.7
    assert trusted.any()
    # Smoothing has a bias of its own; q of sticks holds one labelling, and the other predicts a
    # little differently.
    bias = {"dirichlet_distribution": 0.01, "dirichlet_process": 0.05}[weights]
    for i in np.flatnonzero(trusted):
        left = np.delete(rows, i, axis=0)
        expected = exact.log_predictive(rows[i : i + 1], left, 2, family, of_assignments)[0]
        assert abs(values[:, i].mean() - expected) < 6.0 * error[i] + bias


@pytest.mark.parametrize(
    "weights", [StickBreakingPrior(1.0), FreeWeights()], ids=["sticks", "free"]
)
def test_leave_one_out_of_any_weights_is_near_refits_without_the_row(weights):
    """Two clear clusters: a fit without the row predicts it nearly as the exact posterior would."""
    rng = generator(7)
    rows = np.concatenate([rng.normal(size=(25, 2)), 9.0 + rng.normal(size=(15, 2))])
    case = GAUSSIAN_CASES[0]
    letters = case.letters(rng, 2)
    result = fitted(case, rows, letters, 2, weights=weights, prune=True)
    found = leave_one_out(result, ArraySource(rows), 2000)
    for i in (0, 10, 30):
        left = fitted(case, np.delete(rows, i, axis=0), letters, 2, weights=weights)
        assert found.values[i] == pytest.approx(left.log_density(rows[i : i + 1])[0], abs=0.1)


def test_leave_one_out_says_in_how_many_rows_it_is_not_to_be_trusted():
    rng = generator(1)
    rows = np.concatenate([rng.normal(size=(12, 2)), [[60.0, -60.0]]])
    found = leave_one_out(learned(rows, 1), ArraySource(rows))
    assert found.pareto_k[-1] > 0.7
    doubtful = int((found.pareto_k > 0.7).sum())
    assert found.note == f"Pareto k exceeds 0.7 for {doubtful} of 13 samples: unreliable there"


def test_leave_one_out_refuses_what_it_cannot_do():
    rows = generator(1).normal(size=(30, 2))
    with pytest.raises(InvalidInputError, match="leave-one-out needs posterior draws"):
        leave_one_out(bm.GaussianMixture(1).fit(rows).result_, ArraySource(rows))
    with pytest.raises(InvalidInputError, match="use at most 1666666 draws"):
        leave_one_out(learned(rows, 1), ArraySource(rows), n_draws=2_000_000)
