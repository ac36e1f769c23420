"""Successes among known numbers of trials: SciPy's densities, the exact evidence, coins."""

from itertools import product

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.errors import InvalidInputError
from laws.cases import BINOMIAL_CASE, estimator, generator, posterior_of, soft_assignments

EVERY_ROW = np.array(list(product(range(4), range(6))), dtype=float)


def test_densities_are_scipys_and_sum_to_one():
    point = BINOMIAL_CASE.point(generator(1), 3, 2)
    expected = BINOMIAL_CASE.log_density_by_scipy(point, EVERY_ROW)
    np.testing.assert_allclose(point.expected_log_density(EVERY_ROW), expected, rtol=1e-11)
    np.testing.assert_allclose(point.linear.expected_log_density(EVERY_ROW), expected, rtol=1e-11)
    posterior, _, _ = posterior_of(BINOMIAL_CASE, generator(2), 3, 2)
    predictive = posterior.predictive()
    expected = BINOMIAL_CASE.predictive_by_hand(posterior, EVERY_ROW)
    np.testing.assert_allclose(predictive.expected_log_density(EVERY_ROW), expected, rtol=1e-10)
    np.testing.assert_allclose(np.exp(expected).sum(axis=0), 1.0, rtol=1e-12)
    for one in (point, predictive):  # moments are those of the density
        shares = np.exp(one.expected_log_density(EVERY_ROW))
        np.testing.assert_allclose(shares.T @ EVERY_ROW, one.means, rtol=1e-10)
        second = shares.T @ EVERY_ROW**2 - one.means**2
        np.testing.assert_allclose(second, one.deviations**2, rtol=1e-9)
        rows = one.draw(np.array([0, 4000, 0]), generator(3))
        error = 5.0 * one.deviations[1] / np.sqrt(4000)
        assert (np.abs(rows.mean(axis=0) - one.means[1]) < error).all()


def test_the_bound_at_one_component_is_the_exact_evidence_and_never_falls():
    rng = generator(4)
    rows, letters = BINOMIAL_CASE.rows(rng, 60, 2), BINOMIAL_CASE.letters(rng, 2)
    inference = bm.VariationalBayes(
        prior=BINOMIAL_CASE.choice(letters), weights=bm.DirichletPrior(1.3)
    )
    for n_components in (1, 3):
        start = soft_assignments(rng, 60, n_components)
        model = estimator(
            BINOMIAL_CASE, n_components, inference, init_params=start, max_iter=5000
        ).fit(rows)
        if n_components == 1:
            exact = BINOMIAL_CASE.log_evidence(rows, letters)
            assert model.elbo_ == pytest.approx(exact, rel=1e-10)
        trace = model.objective_trace_
        assert (np.diff(trace) > -1e-9 * abs(trace[-1])).all()


@pytest.mark.parametrize(
    "inference", [None, bm.MaximumAPosteriori(), bm.VariationalBayes()], ids=["ml", "map", "vb"]
)
def test_one_trial_is_a_bernoulli_mixture(inference):
    rows = (generator(5).random((150, 3)) < 0.4).astype(float)
    options = {"init_params": soft_assignments(generator(6), 150, 2), "max_iter": 5000}
    options |= {"search": None, "random_state": 0, "prune": False}
    one = bm.Mixture(2, family=bm.Binomial([1, 1, 1]), inference=inference, **options).fit(rows)
    coins = bm.Mixture(2, family=bm.Bernoulli(), inference=inference, **options).fit(rows)
    assert one.result_.objective == pytest.approx(coins.result_.objective, rel=1e-9)


def test_what_is_no_number_of_successes_is_refused_and_files_keep_trials(tmp_path):
    rows = BINOMIAL_CASE.rows(generator(7), 80, 2)
    model = bm.Mixture(2, family=BINOMIAL_CASE.family, random_state=0).fit(rows)
    model.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.score_samples(rows), model.score_samples(rows))
    assert model.marginal([1]).score_samples(rows[:3, 1:]).shape == (3,)
    with pytest.raises(InvalidInputError, match="0 to 3 in column 0, got 4"):
        model.predict(np.maximum(rows, [[4.0, 0.0]]))
    with pytest.raises(InvalidInputError, match="each of the 1 columns"):
        bm.Mixture(2, family=BINOMIAL_CASE.family).fit(rows[:, :1])
    with pytest.raises(InvalidInputError, match="n_trials"):
        bm.Binomial([0, 2])
