"""Exact scores and information of chains equal differences of log densities of sequences."""

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.posterior.chain_scores import ChainScores
from bayesmix.posterior.parameter_errors import scores_of
from bayesmix.posterior.unit_scores import UnitScores

CASES = [
    ("none", "entered", "bernoulli"),
    ("first", "entered", "bernoulli"),
    ("transitions", "entered", "bernoulli"),
    ("all", "left", "bernoulli"),
    ("all", "entered", "poisson"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("effects", "timing", "family"), CASES)
def test_exact_derivatives_are_those_of_differences(effects, timing, family):
    rng = np.random.default_rng(1)
    persons = np.repeat(np.arange(60), 4)[rng.random(240) < 0.8]  # of unequal lengths
    states = rng.integers(2, size=60)[persons] ^ (rng.random(len(persons)) < 0.2)
    z = (
        rng.normal(size=(60, 1))[persons]
        if effects == "first"
        else rng.normal(size=(len(persons), 1))
    )
    if family == "poisson":
        X = rng.poisson(np.where(states[:, None], 6.0, 1.0), (len(persons), 2)).astype(float)
    else:
        X = (rng.random((len(persons), 3)) < np.where(states[:, None], 0.8, 0.2)).astype(float)
    X[::9, 0] = np.nan
    model = bm.HiddenMarkovModel(
        2, family=family, covariate_effects=effects, covariate_timing=timing, missing="use",
        n_init=2, search="short", random_state=0,
    )  # fmt: skip
    given = None if effects == "none" else z
    model.fit(X, groups=persons, covariates=given)
    exact = scores_of(model, X)
    assert isinstance(exact, ChainScores)
    differences = UnitScores(exact.result, exact.source)
    np.testing.assert_allclose(exact.scores, differences.scores, atol=1e-7)
    scale = np.sqrt(np.diag(differences.information))
    relative = (exact.information - differences.information) / np.outer(scale, scale)
    assert np.abs(relative).max() < 1e-5
    np.testing.assert_allclose(exact.derivatives, differences.derivatives, atol=1e-7)
    pairs = zip(exact.shares_by_wave, differences.shares_by_wave, strict=True)
    for closed, by_steps in pairs:
        np.testing.assert_allclose(closed, by_steps, atol=1e-7)


def test_a_long_series_has_the_errors_of_differences():
    rng = np.random.default_rng(2)
    states = np.repeat(rng.integers(2, size=40), 6)
    X = rng.normal(3.0 * states)[:, None]
    model = bm.HiddenMarkovModel(2, n_init=2, search="short", random_state=0).fit(X)
    exact = scores_of(model, X)
    differences = UnitScores(exact.result, exact.source)
    np.testing.assert_allclose(exact.scores, differences.scores, atol=1e-6)
    np.testing.assert_allclose(
        exact.errors("information"), differences.errors("information"), rtol=1e-5
    )
