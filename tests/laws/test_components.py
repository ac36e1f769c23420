"""Laws of statistics, components, priors and posteriors, each family and structure the same."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import bayesmix as bm
from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import CENTRED, LINEAR, ExpectationStep, Linear
from bayesmix.sources.memory import ArraySource
from laws.cases import (
    COLUMN_CASES,
    EVERY_CASE,
    GAUSSIAN_CASES,
    POOLED_CASES,
    TRANSFORMED_CASES,
    assert_same,
    component_counts,
    dimensions,
    generator,
    identity,
    posterior_of,
    row_counts,
    seeds,
    soft_assignments,
)

every_conjugate = pytest.mark.parametrize("case", GAUSSIAN_CASES + POOLED_CASES, ids=identity)
every_case = pytest.mark.parametrize("case", EVERY_CASE, ids=identity)
every_gaussian = pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)
every_and_pooled = pytest.mark.parametrize("case", EVERY_CASE + POOLED_CASES, ids=identity)
every_count = pytest.mark.parametrize("case", COLUMN_CASES, ids=identity)
quick = settings(max_examples=40, derandomize=True)

# Two-sided: a false alarm in 100,000 runs.
Z = stats.norm.isf(0.5e-5)


def drawn(case, n=12, n_components=3, dimension=3, seed=0):
    rng = generator(seed)
    rows = case.rows(rng, n, dimension)
    return rng, rows, soft_assignments(rng, n, n_components)


# Densities


@every_case
@quick
@given(seeds, component_counts, dimensions)
def test_the_density_at_a_point_is_scipys(case, seed, n_components, dimension):
    rng = generator(seed)
    point = case.point(rng, n_components, dimension)
    rows = case.rows(rng, 9, dimension)
    expected = case.log_density_by_scipy(point, rows)
    np.testing.assert_allclose(point.expected_log_density(rows), expected, rtol=1e-11, atol=1e-11)


@every_gaussian
@quick
@given(seeds, component_counts, dimensions)
def test_the_expected_log_density_is_the_textbooks(case, seed, n_components, dimension):
    rng = generator(seed)
    posterior, _, _ = posterior_of(case, rng, n_components, dimension)
    rows = case.rows(rng, 9, dimension)
    expected = case.expected_log_density_by_hand(posterior, rows)
    actual = posterior.expected_log_density(rows)
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.slow
@every_count
def test_the_expected_log_density_is_an_integral_over_the_posterior(case):
    rng = generator(3)
    posterior, _, _ = posterior_of(case, rng, 2, 2)
    rows = case.rows(rng, 6, 2)
    expected = case.expected_log_density_by_hand(posterior, rows)
    np.testing.assert_allclose(posterior.expected_log_density(rows), expected, rtol=1e-9)


@every_case
@quick
@given(seeds, component_counts, dimensions)
def test_the_predictive_density_is_the_one_of_scipy(case, seed, n_components, dimension):
    """Full, tied: t with ν + 1 - D; diag: a product of t; spherical: t with ν0 + D N_k."""
    rng = generator(seed)
    posterior, _, _ = posterior_of(case, rng, n_components, dimension)
    rows = case.rows(rng, 9, dimension)
    expected = case.predictive_by_hand(posterior, rows)
    actual = posterior.predictive().expected_log_density(rows)
    np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-10)


@every_gaussian
@pytest.mark.parametrize("dimension", [1, 4])
def test_the_predictive_has_the_degrees_of_freedom_of_the_design(case, dimension):
    letters = case.letters(generator(0), dimension)
    rng = generator(1)
    rows, responsibilities = case.rows(rng, 40, dimension), soft_assignments(rng, 40, 2)
    counts = responsibilities.sum(axis=0)
    posterior = case.prior(letters).posterior(case.family.statistics(rows, responsibilities))
    expected = letters["nu0"] + {
        "full": counts + 1 - dimension,
        "tied": 40 + 1 - dimension,
        "diag": counts,
        "spherical": dimension * counts,
    }[case.name] * np.ones(2)
    actual = posterior.predictive().degrees_of_freedom
    actual = actual[:, 0] if actual.ndim == 2 else np.broadcast_to(actual, 2)
    np.testing.assert_allclose(actual, expected, rtol=1e-13)


# A density integrates to one


def predictive_mixture(case, dimension, seed):
    """Log density of a mixture of three predictive components, and the posterior."""
    posterior, _, _ = posterior_of(case, generator(seed), 3, dimension, n=25)
    weights = PointWeights(np.array([0.2, 0.5, 0.3]))
    mixture = Mixture(weights, posterior.predictive(), Frame.identity(dimension))
    return (lambda rows: mixture.responsibilities(Rows(np.atleast_2d(rows)))[1]), posterior


@every_conjugate
@pytest.mark.parametrize("seed", range(3))
def test_the_predictive_density_integrates_to_one_by_quadrature(case, seed):
    log_density, posterior = predictive_mixture(case, 1, seed)
    centre, width = posterior.means.mean(), 3.0

    def integrand(u):  # x = centre + width sinh(u): the tails of a t become exponential
        return np.exp(log_density([[centre + width * np.sinh(u)]])[0]) * width * np.cosh(u)

    pieces = [-40, -8, -3, -1, 0, 1, 3, 8, 40]
    total = sum(
        integrate.quad(integrand, low, high, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
        for low, high in pairwise(pieces)
    )
    assert total == pytest.approx(1.0, abs=1e-9)


@every_gaussian
def test_the_predictive_density_integrates_to_one_by_importance_sampling(case):
    """Five dimensions; draws from wider, heavier-tailed densities than the predictive itself."""
    n_draws, dimension, rng = 200_000, 5, generator(11)
    log_density, posterior = predictive_mixture(case, dimension, 2)
    dense = case.structure.algebra.dense(posterior.blocks, 3, dimension)
    labels = rng.integers(0, 3, n_draws)
    df = 3.0
    if case.name == "diag":  # the predictive is a product over columns, and so are its tails
        widths = np.sqrt(2.0 * np.diagonal(dense, axis1=1, axis2=2))
        rows = posterior.means[labels] + widths[labels] * rng.standard_t(df, (n_draws, dimension))
        logs = [
            stats.t.logpdf(rows, df, m, w).sum(axis=1)
            for m, w in zip(posterior.means, widths, strict=True)
        ]
    else:
        proposals = [
            stats.multivariate_t(m, 1.5 * c, df)
            for m, c in zip(posterior.means, dense, strict=True)
        ]
        rows = np.empty((n_draws, dimension))
        for k, proposal in enumerate(proposals):
            rows[labels == k] = proposal.rvs(int((labels == k).sum()), random_state=rng)
        logs = [proposal.logpdf(rows) for proposal in proposals]
    ratio = np.exp(log_density(rows) - np.logaddexp.reduce(logs, axis=0) + np.log(3.0))
    standard_error = ratio.std() / np.sqrt(n_draws)
    assert standard_error < 0.004  # sharp enough to tell the restricted Wishart's 0.34 from 1
    assert abs(ratio.mean() - 1.0) < Z * standard_error


@pytest.mark.parametrize(("case", "dimension"), [(COLUMN_CASES[0], 4), (COLUMN_CASES[1], 1)])
def test_the_predictive_probabilities_sum_to_one(case, dimension):
    log_density, posterior = predictive_mixture(case, dimension, 4)
    assert np.exp(log_density(case.support(posterior))).sum() == pytest.approx(1.0, abs=1e-12)


@every_case
def test_draws_of_a_component_have_its_density(case):
    """Continuous: SciPy's distribution function of each column is uniform; counts: the mean."""
    rng = generator(21)
    posterior, _, _ = posterior_of(case, rng, 2, 2, n=60)
    predictive = posterior.predictive()
    n_draws = 40_000
    rows = predictive.draw(np.array([n_draws, n_draws]), rng)
    predictive = getattr(predictive, "normals", predictive)
    assert rows.shape == (2 * n_draws, 2)
    for k in range(2):
        own = rows[k * n_draws : (k + 1) * n_draws]
        if case in TRANSFORMED_CASES:
            own = case.moved(own)[0]
        if case.continuous:
            scale = np.sqrt(case.structure.algebra.dense(predictive.blocks, 2, 2)[k].diagonal())
            nu = np.broadcast_to(
                predictive.degrees_of_freedom
                if predictive.degrees_of_freedom.ndim == 2
                else predictive.degrees_of_freedom[:, None],
                (2, 2),
            )[k]
            values = stats.t.cdf((own - predictive.means[k]) / scale, nu)
            for column in values.T:
                assert stats.kstest(column, "uniform").pvalue > 1e-5
        else:
            error = own.std(axis=0) / np.sqrt(n_draws)
            expected = case.predictive_means(posterior)[k]
            assert np.all(np.abs(own.mean(axis=0) - expected) < Z * error)


# Statistics


@every_case
@quick
@given(seeds, row_counts, row_counts, component_counts, dimensions)
def test_statistics_of_a_union_are_the_sum(case, seed, n_left, n_right, n_components, dimension):
    rng, n = generator(seed), n_left + n_right
    rows, responsibilities = (
        case.rows(rng, n, dimension),
        soft_assignments(rng, n, n_components) * rng.uniform(0.0, 3.0, n)[:, None],
    )
    left = case.family.statistics(rows[:n_left], responsibilities[:n_left])
    right = case.family.statistics(rows[n_left:], responsibilities[n_left:])
    whole = case.family.statistics(rows, responsibilities)
    assert_same(left + right, whole, rtol=1e-11, atol=1e-11)
    assert_same(right + left, whole, rtol=1e-11, atol=1e-11)


@every_case
@quick
@given(seeds, row_counts, component_counts, dimensions)
def test_statistics_scaled_by_two_are_those_of_the_rows_repeated(
    case, seed, n, n_components, dimension
):
    rng = generator(seed)
    rows, responsibilities = case.rows(rng, n, dimension), soft_assignments(rng, n, n_components)
    once = case.family.statistics(rows, responsibilities)
    twice = case.family.statistics(np.repeat(rows, 2, 0), np.repeat(responsibilities, 2, 0))
    weighted = case.family.statistics(rows, 2.0 * responsibilities)
    assert_same(once.scaled(2.0), twice, rtol=1e-12, atol=1e-12)
    assert_same(once.scaled(2.0), weighted, rtol=1e-15)
    assert_same(once + once, twice, rtol=1e-12, atol=1e-12)


@every_case
@quick
@given(seeds, row_counts, component_counts, dimensions)
def test_packed_statistics_unpack_to_themselves(case, seed, n, n_components, dimension):
    rng = generator(seed)
    rows, responsibilities = case.rows(rng, n, dimension), soft_assignments(rng, n, n_components)
    statistics = case.family.statistics(rows, responsibilities)
    assert_same(statistics.unpack(statistics.pack()), statistics, rtol=1e-9, atol=1e-11)
    # What is packed is linear: the sums of extrapolation make sense.
    other = case.family.statistics(rows[::-1], responsibilities)
    np.testing.assert_allclose(
        (statistics + other).pack(), statistics.pack() + other.pack(), rtol=1e-10, atol=1e-10
    )


@every_case
def test_a_component_without_rows_has_statistics_without_nan(case):
    _, rows, responsibilities = drawn(case)
    responsibilities[:, 1] = 0.0
    statistics = case.family.statistics(rows, responsibilities)
    merged = statistics + case.family.statistics(rows, responsibilities)
    for record in (statistics, merged):
        assert np.isfinite(record.pack()).all()
        assert record.counts[1] == 0.0
    point = case.family.maximum_likelihood(merged)
    assert np.isfinite(point.expected_log_density(rows)).all()


@every_case
def test_maximum_likelihood_leaves_a_component_without_rows_where_it_was(case):
    rng, rows, responsibilities = drawn(case)
    before = case.point(rng, 3, 3)
    responsibilities[:, 2] = 0.0
    after = case.family.maximum_likelihood(case.family.statistics(rows, responsibilities), before)
    means = [getattr(point, "normals", point).means[2] for point in (after, before)]
    np.testing.assert_array_equal(*means)
    assert np.isfinite(after.expected_log_density(case.rows(rng, 4, 3))).all()


# Far from the origin


@every_gaussian
@pytest.mark.parametrize("posterior", [False, True], ids=["point", "posterior"])
def test_far_from_the_origin_nothing_changes(case, posterior):
    """Rows on a grid of 2⁻²⁰, moved by 2³⁰: the move itself is exact."""
    rng, rows, responsibilities = drawn(case, n=40)
    rows, shift = np.round(rows * 2.0**20) / 2.0**20, 2.0**30
    near = case.family.statistics(rows, responsibilities)
    far = case.family.statistics(rows + shift, responsibilities)
    np.testing.assert_array_equal(near.counts, far.counts)
    np.testing.assert_allclose(far.means - shift, near.means, atol=1e-6)
    np.testing.assert_allclose(far.scatter, near.scatter, rtol=1e-8, atol=1e-8)
    point = case.point(rng, 3, 3)
    if posterior:
        point, _, _ = posterior_of(case, rng, 3, 3)
    point = replace(point, means=np.round(point.means * 2.0**20) / 2.0**20)
    moved = replace(point, means=point.means + shift)
    np.testing.assert_array_equal(
        moved.expected_log_density(rows + shift), point.expected_log_density(rows)
    )


@every_gaussian
def test_a_frame_of_powers_of_two_changes_no_bit_of_a_density(case):
    rng, rows, _ = drawn(case, n=30)
    point = case.point(rng, 3, 3)
    scale = np.array([2.0**20, 2.0**-7, 2.0**3])
    if case.structure.common_scale:
        scale = np.full(3, 2.0**5)
    frame = Frame(np.zeros(3), scale)
    in_data_units = point.unframed(frame)
    framed = in_data_units.framed(frame)
    assert_same(framed, point, rtol=0)
    expected = point.expected_log_density(rows) - frame.log_volume
    actual = in_data_units.expected_log_density(frame.undo(rows))
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(frame.apply(frame.undo(rows)), rows)


# Order


@pytest.mark.slow
@every_case
@quick
@given(seeds, st.permutations(range(4)))
def test_permuting_components_permutes_everything(case, seed, order):
    rng, order = generator(seed), np.array(order)
    posterior, prior, _ = posterior_of(case, rng, 4, 2)
    rows = case.rows(rng, 7, 2)
    for components in (case.point(rng, 4, 2), posterior, posterior.plug_in()):
        permuted = components.subset(order)
        np.testing.assert_array_equal(
            permuted.expected_log_density(rows), components.expected_log_density(rows)[:, order]
        )
    assert prior.kl(posterior.subset(order)) == pytest.approx(prior.kl(posterior), rel=1e-12)
    responsibilities = soft_assignments(rng, 7, 4)
    statistics = case.family.statistics(rows, responsibilities)
    shuffled = case.family.statistics(rows, responsibilities[:, order])
    direct = case.family.maximum_likelihood(statistics).subset(order)
    assert_same(case.family.maximum_likelihood(shuffled), direct, rtol=1e-11, atol=1e-12)
    direct = prior.posterior(statistics).subset(order)
    assert_same(prior.posterior(shuffled), direct, rtol=1e-11, atol=1e-12)


@every_case
def test_a_subset_is_the_components_that_were_kept(case):
    rng, rows, _ = drawn(case)
    posterior, _, _ = posterior_of(case, rng, 4, 3)
    for components in (case.point(rng, 4, 3), posterior):
        kept = components.subset(np.array([3, 1]))
        assert kept.n_components == 2
        np.testing.assert_array_equal(
            kept.expected_log_density(rows), components.expected_log_density(rows)[:, [3, 1]]
        )


# Priors and posteriors


@every_and_pooled
def test_covariances_are_those_of_draws(case):
    rng, n = generator(8), 20_000
    point = case.point(rng, 2, 3)
    if case.name.startswith("log "):  # with variances whose estimates have a variance
        blocks = 0.1 * point.normals.blocks
        point = replace(point, normals=replace(point.normals, blocks=blocks))
    for rows, mean, covariance in zip(
        point.draw(np.array([n, n]), rng).reshape(2, n, 3),
        point.means,
        point.covariances,
        strict=True,
    ):
        products = (rows - mean)[:, :, None] * (rows - mean)[:, None, :]
        error = products.std(axis=0) / np.sqrt(n)
        assert np.all(np.abs(products.mean(axis=0) - covariance) < Z * error)
    assert np.allclose(np.diagonal(point.covariances, axis1=1, axis2=2), point.deviations**2)


@every_case
@quick
@given(seeds, component_counts, dimensions)
def test_no_data_gives_back_the_prior(case, seed, n_components, dimension):
    rng = generator(seed)
    letters = case.letters(rng, dimension)
    prior, nothing = case.prior(letters), np.zeros((5, n_components))
    statistics = case.family.statistics(case.rows(rng, 5, dimension), nothing)
    posterior = prior.posterior(statistics)
    assert prior.kl(posterior) == pytest.approx(0.0, abs=1e-11)
    if case.continuous:  # for counts by quadrature, below
        assert case.kl_by_hand(posterior, letters) == pytest.approx(0.0, abs=1e-8)


@every_case
@quick
@given(seeds, component_counts, dimensions)
def test_kl_is_not_negative(case, seed, n_components, dimension):
    rng = generator(seed)
    n = int(rng.integers(1, 30))
    responsibilities = soft_assignments(rng, n, n_components) * rng.choice([1e-9, 1e-3, 1.0, 50.0])
    prior = case.prior(case.letters(rng, dimension))
    statistics = case.family.statistics(case.rows(rng, n, dimension), responsibilities)
    assert prior.kl(prior.posterior(statistics)) > -1e-12


@every_gaussian
@quick
@given(seeds, component_counts, dimensions)
def test_kl_is_the_textbooks(case, seed, n_components, dimension):
    posterior, prior, letters = posterior_of(case, generator(seed), n_components, dimension)
    assert prior.kl(posterior) == pytest.approx(case.kl_by_hand(posterior, letters), rel=1e-9)


@every_count
def test_kl_is_an_integral_over_the_posterior(case):
    posterior, prior, letters = posterior_of(case, generator(5), 2, 2)
    assert prior.kl(posterior) == pytest.approx(case.kl_by_hand(posterior, letters), rel=1e-8)


@every_gaussian
def test_the_learned_scale_has_no_kl_before_it_has_learned(case):
    """And what it learns, the bound pays for."""
    rows = case.rows(generator(0), 40, 2)
    summary = ArraySource(rows).summary
    frame = case.family.frame(summary)
    prior = case.family.reference_prior(summary, frame)
    factor = prior.scale.initial()
    assert prior.scale.kl(factor) == pytest.approx(0.0, abs=1e-12)
    empty = case.family.statistics(frame.apply(rows), np.zeros((40, 2)))
    filled = case.family.statistics(frame.apply(rows), soft_assignments(generator(1), 40, 2))
    assert prior.kl(prior.posterior(empty)) >= 0.0
    learned = prior.posterior(filled, prior.posterior(filled))
    assert prior.kl(learned) > 0.0
    assert prior.scale.kl(learned.scale) > 0.0


@every_conjugate
def test_every_update_of_a_learned_prior_raises_the_bound(case):
    """At fixed responsibilities: coordinate ascent over q(θ), q(S) and β0."""
    _, rows, responsibilities = drawn(case, n=40)
    summary = ArraySource(rows).summary
    frame = case.family.frame(summary)
    prior, framed = case.family.reference_prior(summary, frame), frame.apply(rows)
    statistics = case.family.statistics(framed, responsibilities)
    q, bounds = prior.posterior(statistics), []
    for _ in range(60):
        bounds.append(expected_log_likelihood(q, framed, responsibilities) - prior.kl(q))
        q = prior.posterior(statistics, q)
    steps = np.diff(bounds)
    assert steps.min() > -1e-11
    assert steps[0] > 1e-3


# Optima


def expected_log_likelihood(components, rows, responsibilities):
    return float((responsibilities * components.expected_log_density(rows)).sum())


def assert_stationary(case, best, value, rng):
    """Central differences of ``value`` along random directions vanish, and both sides are lower."""
    top, step = value(best), 1e-4
    for _ in range(12):
        state = rng.bit_generator.state
        ahead = value(case.nudged(best, rng, step))
        rng.bit_generator.state = state
        behind = value(case.nudged(best, rng, -step))
        curvature = (2.0 * top - ahead - behind) / step**2
        slope = (ahead - behind) / (2.0 * step)
        assert curvature > 0.0
        assert ahead < top
        assert behind < top
        assert abs(slope) < 1e-3 * curvature


@every_case
@pytest.mark.parametrize("seed", range(3))
def test_maximum_likelihood_is_stationary(case, seed):
    rng, rows, responsibilities = drawn(case, n=40, seed=seed)
    best = case.family.maximum_likelihood(case.family.statistics(rows, responsibilities))
    assert_stationary(
        case, best, lambda point: expected_log_likelihood(point, rows, responsibilities), rng
    )


@every_and_pooled
@pytest.mark.parametrize("seed", range(3))
def test_the_posterior_mode_is_stationary(case, seed):
    rng, rows, responsibilities = drawn(case, n=40, seed=seed)
    prior = case.prior(case.letters(rng, 3))
    best = prior.mode(case.family.statistics(rows, responsibilities))

    def log_joint(point):
        return expected_log_likelihood(point, rows, responsibilities) + prior.log_density(point)

    assert_stationary(case, best, log_joint, rng)


@every_case
@pytest.mark.parametrize("seed", range(2))
def test_the_posterior_maximises_the_bound_at_fixed_responsibilities(case, seed):
    """Any other q of the conjugate kind (that of other statistics) has a lower bound."""
    rng, rows, responsibilities = drawn(case, n=30, seed=seed)
    prior = case.prior(case.letters(rng, 3))

    def bound(q):
        return expected_log_likelihood(q, rows, responsibilities) - prior.kl(q)

    best = bound(prior.posterior(case.family.statistics(rows, responsibilities)))
    for size in (1e-3, 1e-1, 1.0):
        other = responsibilities * np.exp(size * rng.normal(size=responsibilities.shape))
        assert bound(prior.posterior(case.family.statistics(rows, other))) < best


# Two forms of the same E-step


def two_forms(case, rng, separation, dimension, n_components=3, n=300):
    """The same pass in the linear and in the centred form, with the bound on their difference."""
    labels = rng.integers(0, n_components, n)
    centres = separation * rng.normal(size=(n_components, dimension))
    rows = centres[labels] + case.rows(rng, n, dimension)
    point = replace(case.point(rng, n_components, dimension), means=centres)
    if rng.random() < 0.5:
        prior = case.prior(case.letters(rng, dimension))
        shares = np.eye(n_components)[labels]
        point = prior.posterior(case.family.statistics(rows, shares))
    weights = PointWeights(rng.dirichlet(np.ones(n_components)))
    mixture = Mixture(weights, point, Frame.identity(dimension))
    chunk = Rows(rows, rng.uniform(0.5, 2.0, n))
    return mixture, *(
        ExpectationStep(mixture, form)(chunk).finished() for form in (LINEAR, CENTRED)
    )


@every_gaussian
@settings(max_examples=60, derandomize=True)
@given(seeds, st.sampled_from([0.0, 1.0, 10.0, 1e2, 1e3, 1e4]), dimensions)
def test_the_linear_form_is_the_centred_form_within_its_bound(case, seed, separation, dimension):
    mixture, fast, exact = two_forms(case, generator(seed), separation, dimension)
    loss = mixture.components.linear.loss(exact.statistics)
    rounding = 1e-14 * exact.magnitude
    assert abs(fast.log_normaliser - exact.log_normaliser) <= loss + rounding
    if LINEAR.keeps_digits(mixture, fast):
        assert (
            abs(fast.log_normaliser - exact.log_normaliser) <= 1.1e-12 * exact.magnitude + rounding
        )
        np.testing.assert_allclose(fast.counts, exact.counts, rtol=1e-8, atol=1e-8)


@every_gaussian
@settings(max_examples=60, derandomize=True)
@given(seeds, st.sampled_from([0.0, 1.0, 10.0, 1e3, 1e6]), dimensions)
def test_a_rough_bound_is_no_less_than_the_sharp_one(case, seed, separation, dimension):
    mixture, _, exact = two_forms(case, generator(seed), separation, dimension)
    form = mixture.components.linear
    sharp, rough = form.loss(exact.statistics), form.loss(exact.statistics, np.inf)
    assert 0.0 < sharp <= rough * (1.0 + 1e-12)
    # Which of the two is told depends on the rough one alone.
    assert form.loss(exact.statistics, 0.99 * rough) == sharp
    assert form.loss(exact.statistics, 1.01 * rough) == rough


@every_gaussian
@given(seeds, dimensions)
def test_no_component_is_nearer_to_the_floor_than_all_of_them_together(case, seed, dimension):
    rng = generator(seed)
    root, floor = case.point(rng, 3, dimension).precision_root, rng.uniform(0.1, 5.0, dimension)
    tightest = case.structure.algebra.tightest(root, floor)
    assert tightest.max() <= np.sum(root * root) * floor.max() * (1.0 + 1e-12)


@every_gaussian
def test_the_linear_form_is_used_where_clusters_are_near_and_not_where_they_are_far(case):
    mixture, fast, _ = two_forms(case, generator(1), 3.0, 3)
    assert LINEAR.keeps_digits(mixture, fast)
    mixture, fast, _ = two_forms(case, generator(1), 1e6, 3)
    assert not LINEAR.keeps_digits(mixture, fast)


@pytest.mark.parametrize(("n_features", "separation"), [(2, 100.0), (6, 30.0), (20, 10.0)])
def test_rounding_of_large_problems_is_below_the_worst_case_per_feature(n_features, separation):
    """What lets large problems use the linear form where the worst case would not."""
    case, rng = GAUSSIAN_CASES[0], generator(n_features)
    mixture, fast, exact = two_forms(case, rng, separation, n_features, n_components=5, n=3000)
    per_feature = mixture.linear.loss(exact.statistics) / mixture.coefficients.shape[1]
    assert abs(fast.log_normaliser - exact.log_normaliser) <= per_feature
    assert Linear(large=True).keeps_digits(mixture, fast)
    assert not LINEAR.keeps_digits(mixture, fast)


@every_gaussian
def test_a_run_goes_on_in_the_centred_form_where_clusters_are_a_million_deviations_apart(case):
    """The fit is then that of each cluster by itself."""
    rng = generator(2)
    left, right = rng.normal(size=(400, 2)), rng.normal(size=(600, 2))
    offset = np.array([1e6, -1e6])
    rows = np.vstack([left, right + offset])
    model = bm.GaussianMixture(
        2, covariance_type=case.covariance, init_params=np.repeat([0, 1], [400, 600]), n_jobs=1
    ).fit(rows)
    assert [event.kind for event in model.result_.events] == ["centred form"]
    assert model.result_.form == "centred"
    np.testing.assert_allclose(model.weights_, [0.4, 0.6], rtol=1e-12)
    alone = [
        bm.GaussianMixture(1, covariance_type=case.covariance, n_jobs=1).fit(part)
        for part in (left, right)
    ]
    np.testing.assert_allclose(model.means_[0], alone[0].means_[0], atol=1e-9)
    np.testing.assert_allclose(model.means_[1] - offset, alone[1].means_[0], atol=1e-9)
    if case.name == "tied":
        expected = 0.4 * alone[0].covariances_ + 0.6 * alone[1].covariances_
        np.testing.assert_allclose(model.covariances_, expected, rtol=1e-9, atol=1e-10)
    else:
        for k in range(2):
            np.testing.assert_allclose(
                model.covariances_[k], alone[k].covariances_[0], rtol=1e-9, atol=1e-10
            )


@every_case
@pytest.mark.parametrize("arithmetic", [LINEAR, CENTRED], ids=lambda each: each.name)
@pytest.mark.parametrize(("n_components", "dimension"), [(12, 4), (15, 3), (34, 9)])
def test_blocks_of_a_chunk_add_up_to_the_chunk(
    case, arithmetic, n_components, dimension, monkeypatch
):
    """The last block is not whole; a weight of zero gives no share."""
    rng = generator(3)
    weights = np.append(0.0, rng.dirichlet(np.ones(n_components - 1)))
    point = case.point(rng, n_components, dimension)
    frame = Frame.identity(dimension)
    chunk = Rows(case.rows(rng, 701, dimension), rng.uniform(0.5, 2.0, 701))
    whole = ExpectationStep(Mixture(PointWeights(weights), point, frame), arithmetic)
    plain = whole(chunk).finished()
    monkeypatch.setattr("bayesmix.em.expectation.BLOCK_VALUES", 1)
    monkeypatch.setattr("bayesmix.core.rows.MOST_KEPT", 0)
    blocks = whole(Rows(chunk.values, chunk.weights)).finished()
    assert abs(blocks.log_normaliser - plain.log_normaliser) <= 1e-12 * plain.magnitude
    np.testing.assert_allclose(blocks.counts, plain.counts, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        blocks.statistics.pack(), plain.statistics.pack(), rtol=1e-9, atol=1e-8
    )
    assert blocks.counts[0] == plain.counts[0] == 0.0


def test_near_clusters_keep_the_linear_form():
    rows = np.asarray(bm.datasets.load_faithful(), dtype=float)
    model = bm.GaussianMixture(2, random_state=0, n_jobs=1).fit(rows)
    assert model.result_.form == "linear"
    assert model.result_.events == ()
