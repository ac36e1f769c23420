"""Invariance of measurement over waves, against direct maximisations and exact likelihoods."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp
from scipy.stats import chi2

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError
from laws.cases import generator


def panel(shift=0.0, n=300, seed=650):
    """Return two items and two waves; the second item is less frequent at the second wave."""
    rng = generator(seed)
    states = np.zeros((n, 2), dtype=int)
    states[:, 0] = rng.random(n) < 0.4
    states[:, 1] = np.where(rng.random(n) < 0.8, states[:, 0], 1 - states[:, 0])
    p = np.where(states.ravel() == 1, 0.9, 0.2)[:, None] * np.ones(3)
    p[1::2, 2] -= shift * p[1::2, 2]
    return pd.DataFrame((rng.random((2 * n, 3)) < p) * 1.0, columns=["a", "b", "c"])


@pytest.mark.slow
def test_free_measurement_is_the_direct_maximum_over_all_paths():
    X = panel(shift=0.5)
    hmm = bm.HiddenMarkovModel(2, family="bernoulli", random_state=0)
    table = bm.wave_similarity(hmm, X, lengths=[2] * 300)
    values = X.to_numpy().reshape(300, 2, 3)

    def loss(theta):
        start, moves = expit(theta[0]), expit(theta[1:3])
        log_start = np.log([1.0 - start, start])
        log_moves = np.log(np.column_stack([1.0 - moves, moves]))
        odds = theta[3:].reshape(2, 2, 3)  # state, wave, item
        each = values[:, None] * odds - np.logaddexp(0.0, odds)
        density = each.sum(axis=-1)
        paths = density[:, :, None, 0] + density[:, None, :, 1] + log_moves + log_start[:, None]
        return -logsumexp(paths.reshape(300, 4), axis=1).sum()

    truth = np.repeat([-1.4, 2.2], 6)
    ends = minimize(loss, np.concatenate([[-0.4, -1.4, 1.4], truth]))
    assert table.loc["free", "log_likelihood"] == pytest.approx(-ends.fun, abs=1e-4)
    assert table["n_parameters"].to_dict() == {
        "equal": 9, "free: a": 11, "free: b": 11, "free: c": 11, "free": 15,
    }  # fmt: skip
    assert table["bic"].idxmin() == "free: c"
    assert table.loc["free: c", "p"] < 0.001
    ratio = 2.0 * (table["log_likelihood"]["free"] - table["log_likelihood"]["equal"])
    assert table.loc["free", "p"] == pytest.approx(chi2.sf(ratio, 6))
    rest = table["log_likelihood"][["free: a", "free: b", "free: c"]]
    assert (rest > table["log_likelihood"]["equal"]).all()
    assert (rest < table["log_likelihood"]["free"]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the fit did not converge")  # of overlapping states
def test_free_measurement_is_not_below_the_fit_with_a_column_for_each_wave():
    rng, n = generator(5), 150
    p, states = rng.uniform(0.15, 0.85, (2, 3, 3)), rng.integers(0, 3, (n, 2))
    states[:, 1] = np.where(rng.random(n) < 0.75, states[:, 0], states[:, 1])
    items = np.stack([rng.random((n, 3)) < p[wave, states[:, wave]] for wave in (0, 1)], axis=1)
    hmm = bm.HiddenMarkovModel(3, family="bernoulli", n_init=3, random_state=0)
    table = bm.wave_similarity(hmm, items.reshape(-1, 3) * 1.0, lengths=[2] * n)
    wide = np.full((n, 2, 6), np.nan)
    for wave in (0, 1):
        wide[:, wave, wave::2] = items[:, wave]
    hmm.set_params(missing="use").fit(wide.reshape(-1, 6), lengths=[2] * n)
    likelihoods = table["log_likelihood"]
    assert likelihoods["free"] >= hmm.log_likelihood_ - 1e-9
    assert (likelihoods["free"] >= likelihoods - 1e-9).all()
    assert (likelihoods >= likelihoods["equal"] - 1e-9).all()
    assert (table["chi_squared"].dropna() >= 0.0).all()


@pytest.mark.parametrize("family", ["bernoulli", "categorical", "poisson", "diag"])
def test_one_state_that_is_free_has_the_likelihood_of_each_wave(family):
    X = panel(shift=0.5, n=100)
    X += generator(651).normal(0.0, 0.3, X.shape) if family == "diag" else 0.0
    options = {"covariance_type": "diag"} if family == "diag" else {"family": family}
    hmm = bm.HiddenMarkovModel(1, random_state=0, **options)
    table = bm.wave_similarity(hmm, X, lengths=[2] * 100)
    alone = [bm.Mixture(1, **options).fit(X[wave::2]) for wave in (0, 1)]
    expected = sum(each.log_likelihood_ for each in alone)
    assert table.loc["free", "log_likelihood"] == pytest.approx(expected, abs=1e-6)
    assert table.loc["free", "n_parameters"] == sum(each.n_parameters_ for each in alone)


def test_levels_are_counted_as_they_are():
    rng = generator(652)
    answers = pd.DataFrame({"a": rng.choice([1, 2, 5], 80), "b": rng.choice([0, 7], 80)})
    hmm = bm.HiddenMarkovModel(1, family="categorical", random_state=0)
    table = bm.wave_similarity(hmm, answers, lengths=[2] * 40)
    assert table["n_parameters"].tolist() == [3, 5, 4, 6]


def test_waves_that_are_given_may_be_absent_for_some():
    X = panel(n=60).drop(index=[1, 5])
    wave, person = X.index.to_numpy() % 2, X.index.to_numpy() // 2
    hmm = bm.HiddenMarkovModel(2, family="bernoulli", random_state=0, n_init=2)
    table = bm.wave_similarity(hmm, X, groups=person, waves=np.where(wave, "2025", "2024"))
    assert table.loc["free", "n_parameters"] == 15


@pytest.mark.parametrize(
    ("options", "given", "error", "message"),
    [
        ({}, {}, UnsupportedError, "covariance_type='diag'"),
        ({"family": "bernoulli"}, {"lengths": None}, InvalidInputError, "must give the sequences"),
        ({"family": "bernoulli"}, {"waves": np.zeros(40)}, InvalidInputError, "1 waves"),
        ({"family": "bernoulli"}, {"waves": [0, 1]}, InvalidInputError, "2 values of 2 waves"),
        (
            {"family": "bernoulli", "inference": bm.MaximumAPosteriori()},
            {}, UnsupportedError, "maximum likelihood",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(options, given, error, message):
    hmm = bm.HiddenMarkovModel(1, **options)
    with pytest.raises(error, match=message):
        bm.wave_similarity(hmm, panel(n=20), **{"lengths": [2] * 20} | given)
