"""Gibbs sampling of rows with gaps against the enumeration of assignments and of what is missing.

Comparisons are over independent chains, as in ``test_gibbs``.
"""

from functools import cache

import numpy as np
import pytest
from reference import exact
from scipy.special import logsumexp

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.errors import InvalidInputError
from bayesmix.posterior.gibbs import gibbs
from bayesmix.posterior.labels import co_clustered
from laws.cases import (
    BINOMIAL_CASE,
    GAUSSIAN_CASES,
    LEVEL_CASE,
    BernoulliCase,
    PoissonCase,
    estimator,
    generator,
    identity,
)
from laws.test_gibbs import N_CHAINS, SPARSE, assert_near, chains_of

K = 2
# Where a value may be that is missing, and the width of what each of them stands for.
GRID = np.linspace(-15.0, 15.0, 101)
NUMBERS = np.arange(0.0, 80.0)
HIDDEN = {"bernoulli": NUMBERS[:2], "poisson": NUMBERS}


def places_of(case):
    """Values that a missing one may have, and the logarithm of what each stands for."""
    if case.continuous:
        return GRID, np.log(GRID[1] - GRID[0])
    if case is LEVEL_CASE:
        return NUMBERS[:3], 0.0
    if case is BINOMIAL_CASE:
        return NUMBERS[: 1 + case.family.n_trials[1]], 0.0
    return HIDDEN[case.name], 0.0


def summed_out(family, hidden, values, log_width):
    """The family of rows in which one value is not known: log ∫ p(X, h | Z) dh."""

    def given_rows(rows):
        complete = []
        for value in values:
            filled = rows.copy()
            filled[hidden] = value
            complete.append(family(filled))

        @cache
        def log_likelihood(assignment):
            return float(logsumexp([one(np.array(assignment)) for one in complete]) + log_width)

        return lambda assignment: log_likelihood(tuple(int(k) for k in assignment))

    return given_rows


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [*GAUSSIAN_CASES[:4], BernoulliCase(), PoissonCase(), LEVEL_CASE, BINOMIAL_CASE],
    ids=identity,
)
def test_draws_are_those_of_enumerating_assignments_and_what_is_missing(case):
    rng = generator(20)
    rows, letters = case.rows(rng, 5, 2), case.letters(rng, 2)
    if case.continuous:
        rows[:3] += 1.0
    gaps = rows.copy()
    gaps[1, 1] = np.nan
    values, log_width = places_of(case)
    family = summed_out(case.exact_family(letters, K), (1, 1), values, log_width)
    expected = exact.enumerate_assignments(rows, K, family, exact.dirichlet_weights(SPARSE))
    inference = bm.VariationalBayes(prior=case.choice(letters), weights=DirichletPrior(SPARSE))
    vb = estimator(case, K, inference, max_iter=5000).set_params(missing="use").fit(gaps)
    found = gibbs(vb, gaps, n_draws=50, chains=N_CHAINS, warmup=10, random_state=1)
    shares = (found.n_occupied[:, :, None] == np.arange(K + 1)).mean(axis=1)
    assert_near(shares, exact.occupied_distribution(expected))
    framed = vb.result_.mixture.frame.apply(gaps)
    together = np.array([co_clustered(mine, framed) for mine in chains_of(found)])
    assert_near(together, exact.co_clustering(expected))


def table(rng, n=60):
    """Rows of two clusters in columns of other units than 1, with gaps."""
    rows = rng.normal(size=(n, 2)) @ [[1.0, 0.5], [0.0, 1.0]] + 6.0 * rng.integers(0, 2, (n, 1))
    rows[rng.random(n) < 0.3, 1] = np.nan
    return rows * [1000.0, 0.01]


@pytest.mark.parametrize("covariance", ["full", "diag"])
def test_the_likelihood_of_draws_is_that_of_what_rows_have(covariance):
    rows = table(generator(21))
    vb = bm.BayesianGaussianMixture(
        K, covariance_type=covariance, missing="use", random_state=0
    ).fit(rows)
    found = bm.gibbs(vb, rows, n_draws=2, chains=2, warmup=5)
    own = [found.parameters[name][1, 1] for name in ("means", "covariances")]
    drawn = bm.GaussianMixture.from_parameters(found.weights[1, 1], *own).set_params(missing="use")
    expected = drawn.score_samples(rows).sum()
    assert found.log_likelihood[1, 1] == pytest.approx(expected, rel=1e-9)
    assert found.co_clustering().shape == (60, 60)


@pytest.mark.slow
def test_repetitions_of_a_row_have_gaps_of_their_own():
    rows = table(generator(22), 20)
    weights = np.where(np.isnan(rows[:, 1]), 3.0, 1.0)
    options = {"weight_concentration_prior_type": "dirichlet_distribution", "missing": "use"}
    whole, repeated = (
        bm.gibbs(
            bm.BayesianGaussianMixture(K, random_state=0, search=None, **options).fit(
                own, sample_weight=weight
            ),
            own,
            sample_weight=weight,
            n_draws=100,
            chains=8,
        )
        for own, weight in ((rows, weights), (np.repeat(rows, weights.astype(int), axis=0), None))
    )
    spread = whole.log_joint.mean(axis=1).std() + repeated.log_joint.mean(axis=1).std()
    assert abs(whole.log_joint.mean() - repeated.log_joint.mean()) < 6.5 * spread / np.sqrt(8)


@pytest.mark.slow
def test_an_unknown_number_of_components_is_sampled_with_gaps():
    rows = table(generator(23))
    vb = bm.BayesianGaussianMixture(
        3,
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        missing="use",
        random_state=0,
    ).fit(rows)
    found = bm.gibbs(vb, rows, n_draws=200, chains=2, n_components=None)
    assert found.k_probabilities[2] > 0.5


def test_rows_with_gaps_of_a_fit_without_are_refused():
    rows = table(generator(24))
    vb = bm.BayesianGaussianMixture(K, random_state=0).fit(rows[~np.isnan(rows[:, 1])])
    with pytest.raises(InvalidInputError, match="NaN in row"):
        bm.gibbs(vb, rows)
