"""The correction of a bound for relabellings: 0 for copies, log K! apart, never above the evidence.

Added to the bound it is the bound of a symmetric q, so the exact evidence, by enumerating all
assignments, is above it up to the standard error of the draws. Tolerances are 5 standard errors.
"""

from dataclasses import replace
from math import lgamma

import numpy as np
import pytest
from reference import exact
from scipy import stats

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.families.bayesian_regression import BayesianRegressionFamily, RegressionPosterior
from bayesmix.numerics.permanents import log_permanent_bounds, log_permanents
from bayesmix.selection import criteria
from bayesmix.selection.criteria import log_relabellings
from laws.cases import CASES, estimator, generator, identity
from laws.families import EVERY_FAMILY

VARIATIONAL = {
    name: case for name, case in EVERY_FAMILY.items() if getattr(case.family, "has_posterior", True)
}
every_family = pytest.mark.parametrize("name", VARIATIONAL)
Z = 5.0
N_DRAWS = 10_000


def log_factorial(n):
    return lgamma(n + 1.0)


def fitted(name, rows, n_components, start, **options):
    """A variational fit whose components begin at responsibilities or labels."""
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    options = {"search": None, "prune": False, "init_params": start} | options
    model = bm.Mixture(n_components, family=VARIATIONAL[name].family, inference=inference)
    return model.set_params(**options, random_state=0).fit(rows).result_


def copied(result, n_components):
    """The same fit, of copies of its first component."""
    mixture = result.mixture.subset(np.zeros(n_components, dtype=int), result.counts)
    return replace(result, mixture=mixture, requested_components=n_components)


@every_family
@pytest.mark.parametrize("n_components", [2, 7, 12])
def test_copies_of_a_component_count_once(name, n_components):
    case = VARIATIONAL[name]
    result = fitted(name, case.rows(60), 1, "kmeans")
    assert log_relabellings(result) == 0.0
    assert log_relabellings(copied(result, n_components)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("n_components", [2, 5, 12])
@pytest.mark.parametrize("family", [bm.Gaussian(), bm.LogNormal(), bm.StudentT()], ids=repr)
def test_components_far_apart_have_every_order(family, n_components):
    groups = np.repeat(np.arange(n_components), 20)
    logs = 20.0 * groups + generator(n_components).normal(size=len(groups))
    rows = np.exp(logs) if family == bm.LogNormal() else logs
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    model = bm.Mixture(n_components, family=family, inference=inference, prune=False, search=None)
    result = model.set_params(init_params=groups, random_state=0).fit(rows[:, None]).result_
    assert log_relabellings(result) == pytest.approx(log_factorial(n_components), abs=1e-6)


def strong(letters, strength):
    """The letters of a prior that weighs more than the data, so that components hardly differ."""
    known = ("m0", "beta0", "nu0", "W0")
    return {key: value if key in known else strength * value for key, value in letters.items()}


@pytest.mark.parametrize("case", CASES, ids=identity)
@pytest.mark.parametrize("strength", [1.0, 100.0])
@pytest.mark.parametrize("apart", [0.0, 3.0])
def test_bound_and_correction_do_not_exceed_the_evidence_of_all_assignments(
    case, strength, apart, monkeypatch
):
    """Ten rows of two groups: 2¹⁰ assignments, whose evidences are summed."""
    monkeypatch.setattr(criteria, "MOST_DRAWS", N_DRAWS)
    monkeypatch.setattr(criteria, "MOST_VALUES", 100 * N_DRAWS)
    for seed in range(30, 33):
        rng = generator(seed)
        rows, letters = case.rows(rng, 10, 2), strong(case.letters(rng, 2), strength)
        if case.continuous:
            rows[:5] += apart
        inference = bm.VariationalBayes(
            prior=case.choice(letters), weights=DirichletPrior(letters["alpha0"])
        )
        result = estimator(case, 2, inference, max_iter=5000).fit(rows).result_
        family = case.exact_family(letters, 2)
        expected = exact.log_evidence(rows, 2, family, exact.dirichlet_weights(letters["alpha0"]))
        correction = log_relabellings(result)
        assert 0.0 <= correction <= np.log(2.0) + 1e-12
        assert result.objective + correction < expected + Z * np.log(2.0) / np.sqrt(N_DRAWS)
        if case.name == "bernoulli" and strength > 1.0:  # a correction by log 2 is refuted
            assert result.objective + np.log(2.0) > expected + 0.5


@pytest.mark.parametrize("factor", [1e-6, 2.0**20])
def test_the_correction_does_not_depend_on_units(factor):
    x = generator(4).lognormal(0.0, 2.0, (60, 1))
    near, far = (
        fitted("log_normal", values, 3, np.repeat([0, 1, 2], 20)) for values in (x, factor * x)
    )
    assert log_relabellings(far) == pytest.approx(log_relabellings(near), abs=1e-6)


def test_a_labelled_component_keeps_its_factor():
    """K! orders: a label names one component, and the others are relabelled."""
    rng = generator(5)
    rows = np.concatenate(
        [rng.normal(size=20), rng.normal(30.0, 1.0, 20), rng.normal(60.0, 1.0, 20)]
    )
    labels = np.full(60, -1)
    labels[0] = 0
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    model = bm.Mixture(3, inference=inference, prune=False, random_state=0)
    result = model.fit(rows[:, None], labels=labels).result_
    assert log_relabellings(result) == pytest.approx(log_factorial(3), abs=1e-6)


def test_states_of_a_chain_are_told_apart_by_their_densities():
    rng = generator(6)
    rows = np.repeat([0.0, 9.0] * 5, 10)[:, None] + rng.normal(size=(100, 1))
    options = {"inference": bm.VariationalBayes(), "search": None, "random_state": 0}
    apart = bm.HiddenMarkovModel(2, **options).fit(rows, lengths=[100])
    assert log_relabellings(apart.result_) == pytest.approx(np.log(2.0), abs=1e-6)


def test_regressions_are_told_apart_by_their_coefficients():
    rng = generator(7)
    x, group = rng.normal(size=(80, 1)), np.arange(80) % 2
    y = 3.0 * x[:, 0] + 40.0 * group + rng.normal(size=80)
    inference = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))
    result = bm.RegressionMixture(2, inference=inference, random_state=0).fit(x, y).result_
    assert log_relabellings(result) == pytest.approx(np.log(2.0), abs=1e-6)
    assert log_relabellings(copied(result, 5)) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("variable", ["coefficients", "precisions"])
def test_factors_of_regressions_are_the_densities_of_their_draws(variable):
    rng = generator(8)
    precisions = np.array([[[3.0, 1.0], [1.0, 2.0]], [[4.0, -1.0], [-1.0, 3.0]]])
    shape, rate, means = np.array([6.0, 8.0]), np.array([2.0, 3.0]), rng.normal(size=(2, 2))
    q = RegressionPosterior(BayesianRegressionFamily(), means, precisions, shape, rate)
    draws = q.draws(20_000, rng)
    _, factors = q.log_factors(draws)
    for j, k in np.ndindex(2, 2):
        of_precision = stats.gamma.logpdf(draws.precisions[:3, k], shape[j], scale=1.0 / rate[j])
        of_coefficients = [
            stats.multivariate_normal.logpdf(beta, means[j], np.linalg.inv(size * precisions[j]))
            for beta, size in zip(draws.coefficients[:3, k], draws.precisions[:3, k], strict=True)
        ]
        expected = of_precision + np.array(of_coefficients)
        np.testing.assert_allclose(factors[:3, j, k], expected, rtol=1e-12)
    drawn = getattr(draws, variable)
    expected = means if variable == "coefficients" else shape / rate
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert (np.abs(drawn.mean(axis=0) - expected) < Z * error).all()


@pytest.mark.parametrize("size", [11, 14])
@pytest.mark.parametrize("spread", [0.0, 0.3, 3.0, 40.0])
def test_bounds_are_above_permanents(size, spread):
    matrices = spread * generator(size).normal(size=(20, size, size))
    bounds, permanents = log_permanent_bounds(matrices), log_permanents(matrices)
    assert (bounds >= permanents - 1e-9).all()
    if spread == 0.0:
        np.testing.assert_allclose(bounds, permanents, rtol=1e-12)


def test_bounds_are_exact_for_small_blocks_and_large_blocks_of_copies():
    labels = np.repeat([0, 1, 2], [30, 4, 1])
    matrices = np.where(labels[:, None] == labels, 0.0, -900.0)[None]
    expected = log_factorial(30) + log_factorial(4)
    assert log_permanent_bounds(matrices)[0] == pytest.approx(expected, rel=1e-12)
