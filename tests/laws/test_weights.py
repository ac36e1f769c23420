"""Laws of the mixing weights: expectations, divergences, subsets, and zeros that stay harmless."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats
from scipy.special import betaln

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import normalise
from laws.cases import CASES, PLAIN, generator, identity

PRIORS = {"dirichlet": DirichletPrior, "sticks": StickBreakingPrior}
every_prior = pytest.mark.parametrize("make", PRIORS.values(), ids=PRIORS)
counts = st.lists(st.floats(0.0, 200.0), min_size=2, max_size=5).map(np.array)
concentrations = st.floats(0.01, 5.0)
quick = settings(max_examples=60, derandomize=True)

# Two-sided: a false alarm in 100,000 runs.
Z = stats.norm.isf(0.5e-5)


def marginals(weights):
    """The independent Beta factors behind weights: of sticks, or of each π_k of a Dirichlet."""
    if hasattr(weights, "first"):
        return [stats.beta(a, b) for a, b in zip(weights.first, weights.rest, strict=True)]
    total = weights.concentration.sum()
    return [stats.beta(a, total - a) for a in weights.concentration]


def average(beta, function):
    """E[function(v)] by quadrature in log odds, where nothing is singular."""

    def integrand(u):
        v, rest = 1.0 / (1.0 + np.exp(-u)), 1.0 / (1.0 + np.exp(u))
        a, b = beta.args
        log_density = -a * np.logaddexp(0.0, -u) - b * np.logaddexp(0.0, u)
        return np.exp(log_density - betaln(a, b)) * function(v, rest)

    a, b = beta.args
    centre, reach = np.log(a / b), 45.0 / min(a, b, 1.0)
    breaks = centre + reach * np.array([-1.0, -0.3, -0.1, -0.02, 0.0, 0.02, 0.1, 0.3, 1.0])
    return sum(
        integrate.quad(integrand, low, high, epsabs=1e-13, epsrel=1e-12, limit=400)[0]
        for low, high in pairwise(breaks)
    )


def draws_of(weights, rng, n):
    """Draws of π (n, K)."""
    if hasattr(weights, "first"):
        sticks = rng.beta(weights.first, weights.rest, size=(n, len(weights.first)))
        rest = np.cumprod(1.0 - sticks, axis=1)
        return np.column_stack([sticks, np.ones(n)]) * np.column_stack([np.ones(n), rest])
    return rng.dirichlet(weights.concentration, size=n)


# Expectations


@every_prior
@pytest.mark.parametrize("kept", [[3.0, 9.0], [0.2, 40.0, 5.0], [12.0, 0.0, 1.0, 7.0]])
def test_expected_log_is_an_integral(make, kept):
    weights = make(0.7).posterior(np.array(kept))
    logs = [average(beta, lambda v, rest: np.log(v)) for beta in marginals(weights)]
    if make is StickBreakingPrior:
        remainders = [average(beta, lambda v, rest: np.log(rest)) for beta in marginals(weights)]
        logs = np.append(logs, 0.0) + np.append(0.0, np.cumsum(remainders))
    np.testing.assert_allclose(weights.expected_log(), logs, rtol=1e-9)


@every_prior
def test_expected_log_and_mean_are_averages_over_draws(make):
    weights = make(0.9).posterior(np.array([5.0, 1.0, 20.0, 3.0]))
    draws = draws_of(weights, generator(1), 100_000)
    for expected, values in ((weights.mean(), draws), (weights.expected_log(), np.log(draws))):
        error = values.std(axis=0) / np.sqrt(len(values))
        assert np.all(np.abs(values.mean(axis=0) - expected) < Z * error)


@every_prior
@quick
@given(counts, concentrations)
def test_the_mean_is_a_distribution_and_the_expected_log_is_below_its_log(make, counts, alpha0):
    weights = make(alpha0).posterior(counts)
    assert weights.n_components == len(counts)
    assert weights.mean().sum() == pytest.approx(1.0, abs=1e-13)
    assert np.all(weights.expected_log() <= np.log(weights.mean()) + 1e-12)  # Jensen


@quick
@given(st.floats(0.05, 300.0), concentrations)
def test_the_last_stick_takes_the_rest(count, alpha0):
    weights = StickBreakingPrior(alpha0).posterior(np.array([count, 2.0 * count]))
    stick = weights.first[0] / (weights.first[0] + weights.rest[0])
    np.testing.assert_allclose(weights.mean(), [stick, 1.0 - stick], rtol=1e-13)
    np.testing.assert_allclose([weights.first[0], weights.rest[0]], [1 + count, alpha0 + 2 * count])


# Divergences


@every_prior
@pytest.mark.parametrize("kept", [[3.0, 9.0], [0.2, 40.0], [0.0, 0.5], [100.0, 0.0]])
@pytest.mark.parametrize("alpha0", [0.3, 1.0, 4.0])
def test_kl_of_two_components_is_an_integral(make, kept, alpha0):
    prior = make(alpha0)
    weights = prior.posterior(np.array(kept))
    q = marginals(weights)[0]
    p = stats.beta(1.0, alpha0) if make is StickBreakingPrior else stats.beta(alpha0, alpha0)
    (a, b), (c, d) = q.args, p.args

    def log_ratio(v, rest):
        constant = betaln(c, d) - betaln(a, b)
        return (a - c) * np.log(v) + (b - d) * np.log(rest) + constant

    assert prior.kl(weights) == pytest.approx(average(q, log_ratio), rel=1e-9, abs=1e-10)


@every_prior
def test_kl_of_several_components_is_an_average_over_draws(make):
    prior = make(1.4)
    weights = prior.posterior(np.array([5.0, 1.0, 20.0, 3.0]))
    rng = generator(3)
    if make is StickBreakingPrior:
        sticks = rng.beta(weights.first, weights.rest, size=(100_000, 3))
        ratio = stats.beta.logpdf(sticks, weights.first, weights.rest)
        ratio = (ratio - stats.beta.logpdf(sticks, 1.0, 1.4)).sum(axis=1)
    else:
        draws = draws_of(weights, rng, 100_000).T
        draws /= draws.sum(axis=0)
        ratio = stats.dirichlet(weights.concentration).logpdf(draws)
        ratio -= stats.dirichlet(np.full(4, 1.4)).logpdf(draws)
    error = ratio.std() / np.sqrt(len(ratio))
    assert abs(ratio.mean() - prior.kl(weights)) < Z * error


@every_prior
@quick
@given(counts, concentrations)
def test_kl_is_not_negative_and_no_data_gives_back_the_prior(make, counts, alpha0):
    prior = make(alpha0)
    assert prior.kl(prior.posterior(counts)) > -1e-11
    nothing = np.zeros(len(counts))
    assert prior.kl(prior.posterior(nothing)) == pytest.approx(0.0, abs=1e-12)


def test_free_weights_have_no_kl():
    prior = FreeWeights()
    weights = prior.posterior(np.array([3.0, 0.0, 1.0]))
    assert prior.kl(weights) == 0.0
    np.testing.assert_array_equal(weights.mean(), [0.75, 0.0, 0.25])


# Modes


@quick
@given(counts.filter(lambda c: c.sum() > 0.1), st.floats(1.0, 5.0))
def test_the_mode_maximises_likelihood_times_prior(counts, alpha0):
    prior = DirichletPrior(alpha0)
    mode = prior.mode(counts)

    def log_joint(weights):
        logs = weights.expected_log()
        return float(counts[counts > 0] @ logs[counts > 0]) + prior.log_density(weights)

    best, rng = log_joint(mode), generator(0)
    for size in (1e-3, 0.1):
        shifted = mode.probabilities * np.exp(size * rng.normal(size=len(counts)))
        assert log_joint(PointWeights(shifted / shifted.sum())) <= best + 1e-11 * (1 + abs(best))


def test_log_density_of_the_weights_is_scipys():
    weights = PointWeights(np.array([0.2, 0.5, 0.3]))
    expected = stats.dirichlet.logpdf(weights.probabilities, np.full(3, 2.5))
    assert DirichletPrior(2.5).log_density(weights) == pytest.approx(expected, rel=1e-13)


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(InvalidInputError, match="at least 1"):
        DirichletPrior(0.5).mode(np.array([1.0, 2.0]))
    with pytest.raises(UnsupportedError):
        StickBreakingPrior(1.0).mode(np.array([1.0, 2.0]))
    with pytest.raises(UnsupportedError):
        StickBreakingPrior(1.0).log_density(PointWeights(np.array([1.0])))
    with pytest.raises(UnsupportedError):
        FreeWeights().log_density(PointWeights(np.array([1.0])))


# Subsets


@every_prior
@quick
@given(counts, concentrations, st.randoms(use_true_random=False))
def test_a_subset_is_the_posterior_of_the_kept_counts(make, counts, alpha0, random):
    keep = np.array(random.sample(range(len(counts)), random.randint(1, len(counts))))
    subset = make(alpha0).posterior(counts).subset(keep, counts[keep])
    expected = make(alpha0).posterior(counts[keep])
    np.testing.assert_allclose(subset.mean(), expected.mean(), rtol=1e-12)
    np.testing.assert_allclose(subset.expected_log(), expected.expected_log(), rtol=1e-10)


def test_a_subset_of_point_weights_is_renormalised_in_the_order_given():
    weights = PointWeights(np.array([0.1, 0.6, 0.3]))
    kept = weights.subset(np.array([2, 0]), np.array([3.0, 1.0]))
    np.testing.assert_allclose(kept.probabilities, [0.75, 0.25], rtol=1e-15)


def test_only_sticks_depend_on_the_order_of_components():
    order, counts = np.array([2, 0, 1]), np.array([5.0, 30.0, 1.0])
    for make in (DirichletPrior, lambda alpha0: FreeWeights()):
        weights = make(0.7).posterior(counts)
        assert weights.exchangeable
        np.testing.assert_allclose(
            make(0.7).posterior(counts[order]).expected_log(), weights.expected_log()[order]
        )
    sticks = StickBreakingPrior(0.7).posterior(counts)
    assert not sticks.exchangeable
    shuffled = StickBreakingPrior(0.7).posterior(counts[order])
    assert np.abs(shuffled.expected_log() - sticks.expected_log()[order]).max() > 0.01


# Zeros


def test_zero_weights_take_part_in_nothing():
    weights = PointWeights(np.array([0.0, 1.0, 0.0]))
    logs = weights.expected_log()
    np.testing.assert_array_equal(logs, [-np.inf, 0.0, -np.inf])
    joint = logs + np.array([[0.0, -3.0, np.log(2.0)], [700.0, -700.0, 0.0]])
    log_normaliser = normalise(joint)
    np.testing.assert_array_equal(joint, [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    np.testing.assert_array_equal(log_normaliser, [-3.0, -700.0])
    assert DirichletPrior(1.0).log_density(weights) == pytest.approx(np.log(2.0))
    assert DirichletPrior(1.0).mode(np.array([0.0, 4.0, 0.0])).probabilities[0] == 0.0


def test_a_row_that_no_component_can_produce_has_no_nan():
    joint = np.array([[-np.inf, -np.inf], [-1.0, -np.inf]])
    log_normaliser = normalise(joint)
    np.testing.assert_array_equal(log_normaliser, [-np.inf, -1.0])
    np.testing.assert_array_equal(joint, [[0.5, 0.5], [1.0, 0.0]])


@pytest.mark.parametrize("height", [0.0, -150.0, 150.0, -800.0, 800.0, -1e7, 1e7])
def test_log_sum_exp_is_as_exact_far_from_zero(height):
    apart = generator(3).uniform(-40.0, 0.0, (50, 4))
    apart[::7, 1] = -np.inf
    joint = height + apart
    expected, shares = special.logsumexp(joint, axis=1), special.softmax(joint, axis=1)
    log_normaliser = normalise(joint)
    np.testing.assert_allclose(log_normaliser, expected, rtol=4e-16, atol=4e-16 * 40.0)
    # Rounding of a logarithm is a relative error of its exponential.
    np.testing.assert_allclose(joint, shares, rtol=4e-16 * (abs(height) + 40.0), atol=0.0)
    assert not normalise(np.empty((0, 4))).size


@pytest.mark.parametrize("case", CASES, ids=identity)
def test_a_weight_that_goes_to_zero_never_makes_nan(case):
    """Type-II maximum likelihood from a start that gives a component nothing at all."""
    rng = generator(7)
    rows = case.rows(rng, 60, 2)
    start = np.column_stack([soft := rng.uniform(0.2, 0.8, 60), 1.0 - soft, np.zeros(60)])
    options = PLAIN | {"init_params": start, "max_iter": 5000, "prune": False}
    inference = bm.VariationalBayes(weights=FreeWeights())
    model = bm.Mixture(3, family=case.family, inference=inference, **options).fit(rows)
    assert model.weights_[2] == 0.0
    assert np.isfinite(model.objective_trace_).all()
    assert np.isfinite(model.means_).all()
    assert np.isfinite(model.score_samples(rows)).all()
    assert np.isfinite(model.predict_proba(rows)).all()
    assert np.all(model.predict_proba(rows)[:, 2] == 0.0)
    assert model.n_components_ == 3
    for criterion in (model.bic, model.aic, model.aicc, model.icl):
        assert np.isfinite(criterion())
        assert np.isfinite(criterion(rows))


@pytest.mark.parametrize("case", CASES, ids=identity)
def test_maximum_likelihood_with_an_empty_component_never_makes_nan(case):
    rng = generator(8)
    rows = case.rows(rng, 60, 2)
    options = PLAIN | {"init_params": np.repeat([0, 2], 30), "max_iter": 5000}
    model = bm.Mixture(3, family=case.family, **options).fit(rows)
    assert model.weights_[1] == 0.0
    assert np.isfinite(model.objective_trace_).all()
    assert np.isfinite(model.predict_proba(rows)).all()
    assert np.isfinite(model.score_samples(rows)).all()


def test_probabilities_and_rates_of_zero_never_make_nan():
    """0 log 0 is 0, and what cannot be has probability zero."""
    ones = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    coins = bm.Mixture(1, family=bm.Bernoulli(), **PLAIN).fit(ones)
    np.testing.assert_array_equal(coins.means_, [[1.0, 0.5]])
    assert coins.log_likelihood_ == pytest.approx(4 * np.log(0.5))
    assert coins.score_samples([[0.0, 1.0]])[0] == -np.inf
    never = bm.Mixture(1, family=bm.Poisson(), **PLAIN).fit(np.array([[0.0, 2.0], [0.0, 4.0]]))
    np.testing.assert_array_equal(never.means_, [[0.0, 3.0]])
    assert never.log_likelihood_ == pytest.approx(stats.poisson.logpmf([2, 4], 3.0).sum())
    assert never.score_samples([[1.0, 3.0]])[0] == -np.inf
    for model in (coins, never):
        with pytest.warns(BayesmixWarning, match="impossible under every component"):
            shares = model.predict_proba([[0.0, 1.0], [1.0, 0.0]])
        assert np.isfinite(shares).all()
