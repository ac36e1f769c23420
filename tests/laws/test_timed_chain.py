"""Hidden Markov chains in continuous time, at uneven times."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad_vec
from scipy.linalg import expm
from scipy.optimize import approx_fprime

import bayesmix as bm
from bayesmix.allocation.timed_chain import Elapsed, TimedChain
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.posterior.free_allocation import FreeAllocation

RATES = np.array([[-0.3, 0.3], [0.5, -0.5]])


def simulated(n_sequences=20, length=40, seed=0):
    """Return samples, times and states of chains with ``RATES``."""
    rng = np.random.default_rng(seed)
    X, times = [], []
    for _ in range(n_sequences):
        at = np.cumsum(0.05 + rng.exponential(1.3, length))
        states = [int(rng.random() < 0.4)]
        for span in np.diff(at):
            states.append(int(rng.random() < expm(RATES * span)[states[-1], 1]))
        times.append(at)
        X.append(rng.normal(4.0 * np.array(states)))
    return np.concatenate(X)[:, None], np.concatenate(times), [length] * n_sequences


@pytest.fixture(scope="module")
def fitted():
    X, times, lengths = simulated()
    model = bm.HiddenMarkovModel(2, search="short", n_init=2, random_state=0)
    model.set_params(inference=bm.MaximumLikelihood(), covariance_type="diag")
    return model.fit(X, lengths=lengths, times=times), X, times, lengths


def chain_of_three(seed=0):
    rng = np.random.default_rng(seed)
    return TimedChain.of(rng.dirichlet(np.ones(3)), rng.uniform(0.1, 1.0, (3, 3)))


# All rates of a progressive chain are equal, so that its generator has one eigenvector.
PROGRESSIVE = TimedChain.of(np.array([1.0, 0.0, 0.0]), np.diag([0.7, 0.7], 1))


def test_likelihood_is_the_sum_over_all_paths(fitted):
    model, X, times, _ = fitted
    n, deviations = 8, np.sqrt(model.covariances_.T)
    logs = -0.5 * ((X[:n] - model.means_.T) / deviations) ** 2
    logs -= np.log(np.sqrt(2 * np.pi) * deviations)
    spans = np.diff(times[:n])
    moves = np.log([expm(model.generator_ * span) for span in spans])
    paths = [
        np.log(model.startprob_[path[0]])
        + sum(moves[t, path[t], path[t + 1]] for t in range(n - 1))
        + sum(logs[t, path[t]] for t in range(n))
        for path in product(range(2), repeat=n)
    ]
    total = model.score_samples(X[:n], times=times[:n]).sum()
    assert_allclose(total, np.logaddexp.reduce(paths), rtol=1e-10)


@pytest.mark.parametrize("chain", [chain_of_three(), PROGRESSIVE], ids=["general", "progressive"])
def test_transitions_and_integrals_are_those_of_exponentials(chain):
    times, K = np.array([0.3, 1.0, 2.5]), 3
    assert_allclose(
        chain.transitions_over(times), [expm(chain.rates * t) for t in times], atol=1e-12
    )
    ratios = np.random.default_rng(1).random((3, K, K))
    expected = sum(
        quad_vec(
            lambda s, r=r, t=t: expm(chain.rates * s).T @ r @ expm(chain.rates * (t - s)).T,
            0.0,
            t,
            epsabs=1e-12,
        )[0]
        for r, t in zip(ratios, times, strict=True)
    )
    assert_allclose(chain._integrals(ratios, times), expected, rtol=1e-10)


def test_only_dependent_eigenvectors_need_the_exponential_of_blocks():
    assert chain_of_three().eigen is not None
    assert PROGRESSIVE.eigen is None


def test_score_is_the_gradient_of_the_log_likelihood():
    rng = np.random.default_rng(2)
    begins = np.arange(30) % 10 == 0
    times = np.cumsum(rng.exponential(size=30))
    rows = Rows(
        np.zeros((30, 1)), side=SideInformation(begins=begins, elapsed=Elapsed.of(times, begins))
    )
    joint = np.log(rng.random((30, 3)))
    free = FreeAllocation.of(chain_of_three())
    away = 0.1 * rng.normal(size=free.size)

    def log_likelihood(steps):
        return free.moved(steps).allocate(joint.copy(), rows).log_normaliser.sum()

    at = free.moved(away)
    exact = free.score(at, at.allocate(joint.copy(), rows).statistics)
    assert_allclose(approx_fprime(away, log_likelihood, 1e-7), exact, atol=1e-5)


def test_evenly_spaced_samples_have_the_likelihood_of_a_chain_in_steps(fitted):
    model, X, _, _ = fitted
    every = np.arange(40.0) * model.result_.side.elapsed.unit
    by_time = model.score_samples(X[:40], times=every)
    logs = -0.5 * (X[:40] - model.means_.T) ** 2 / model.covariances_.T
    logs -= 0.5 * np.log(2 * np.pi * model.covariances_.T)
    share, total = model.startprob_, 0.0
    for row in logs:
        joint = share * np.exp(row)
        total += np.log(joint.sum())
        share = joint / joint.sum() @ model.transmat_
    assert_allclose(by_time.sum(), total, rtol=1e-10)


def test_rates_and_their_errors_recover_the_chain(fitted):
    model, X, _, _ = fitted
    order = np.argsort(model.means_[:, 0])
    table = model.parameter_table(X).loc["transition rate"]
    errors = table["standard_error"].to_numpy().reshape(2, 2)[np.ix_(order, order)]
    rates = model.generator_[np.ix_(order, order)]
    # |z| < 4: 1 false alarm in 16,000 for each of 2 rates.
    assert (np.abs(rates - RATES) < 4 * errors).all()
    assert_allclose(model.expected_durations_[order], -1 / rates.diagonal())
    assert (np.diff(model.objective_trace_) > -1e-9).all()
    assert model.bic() == pytest.approx(model.bic(X, [40] * 20, times=fitted[2]))


def test_the_unit_of_time_changes_rates_alone(fitted):
    model, X, times, lengths = fitted
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(times, unit="D")
    given = model.get_params()
    for other, factor in ((7.0 * times, 7.0), (days, 1.0)):
        again = bm.HiddenMarkovModel(**given).fit(X, lengths=lengths, times=other)
        assert_allclose(again.generator_ * factor, model.generator_, rtol=1e-5)
        assert_allclose(again.log_likelihood_, model.log_likelihood_, atol=1e-6)


def test_transitions_over_any_time(fitted):
    model, X, times, _ = fitted
    moves = model.transition_matrix(elapsed=[0.0, 1.0, 2.0])
    assert_allclose(moves[0], np.eye(2), atol=1e-12)
    assert_allclose(moves[1] @ moves[1], moves[2])
    assert_allclose(model.transition_matrix(elapsed=2.0), moves[2])
    last = times[39]
    ahead = model.forecast(X[:40], 2, times=times[:40], future_times=[last + 1, last + 2])
    present = model.filter_proba(X[:40], times=times[:40])[-1]
    assert_allclose(ahead.state_probabilities, [present @ moves[1], present @ moves[2]])


def test_fits_with_times_are_saved(fitted, tmp_path):
    model, X, times, lengths = fitted
    model.save(tmp_path / "m.bayesmix")
    loaded = bm.load(tmp_path / "m.bayesmix")
    assert_allclose(
        loaded.predict_proba(X, lengths, times=times), model.predict_proba(X, lengths, times=times)
    )
    assert_allclose(loaded.generator_, model.generator_)
    assert loaded.parameter_table(X).equals(model.parameter_table(X))


def test_tables_have_transitions_over_the_mean_time(fitted):
    model, X, _, _ = fitted
    table = model.transition_matrix(X=X)
    assert_allclose(table["estimate"].to_numpy().reshape(2, 2), model.transmat_)
    profiles = bm.class_profiles(model, X).transitions
    assert_allclose(profiles["estimate"].to_numpy().reshape(2, 2), model.transmat_)


def test_wrong_times_are_named(fitted):
    model, X, times, lengths = fitted
    wrong = times.copy()
    wrong[45] = wrong[44]
    with pytest.raises(InvalidInputError, match=r"row 45 \(row 5 of sequence 1\)"):
        bm.HiddenMarkovModel(2).fit(X, lengths=lengths, times=wrong)
    with pytest.raises(InvalidInputError, match="times of the samples are needed"):
        model.predict_proba(X, lengths)
    with pytest.raises(InvalidInputError, match="future_times"):
        model.forecast(X[:40], 2, times=times[:40])
    with pytest.raises(UnsupportedError, match="maximum likelihood"):
        bm.HiddenMarkovModel(2, inference=bm.VariationalBayes()).fit(X, times=np.arange(len(X)))
    plain = bm.HiddenMarkovModel(2, search="short", n_init=1, random_state=0).fit(X)
    with pytest.raises(InvalidInputError, match="times must be left out"):
        plain.predict(X, times=np.arange(len(X)))
    with pytest.raises(InvalidInputError, match="elapsed must be left out"):
        plain.transition_matrix(elapsed=1.0)
