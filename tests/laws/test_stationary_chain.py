"""Chains that begin with their stationary distribution, and which combinations there are."""

import itertools

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.optimize import minimize
from scipy.stats import norm

import bayesmix as bm
from bayesmix.errors import InvalidInputError, UnsupportedError

LENGTH, SEQUENCES = 5, 24


def steady(generator):
    """Return the distribution that a generator (K, K) preserves."""
    K = len(generator)
    system = np.vstack([generator.T, np.ones(K)])
    return np.linalg.lstsq(system, np.append(np.zeros(K), 1.0), rcond=None)[0]


@pytest.fixture(scope="module")
def seen():
    """Two states in continuous time: responses (S, n) and times (S, n)."""
    rng = np.random.default_rng(1201)
    rates = np.array([[-0.5, 0.5], [0.9, -0.9]])
    times = np.cumsum(rng.uniform(0.3, 2.0, (SEQUENCES, LENGTH)), axis=1)
    states = np.empty((SEQUENCES, LENGTH), dtype=int)
    for s, n in itertools.product(range(SEQUENCES), range(LENGTH)):
        moves = expm(rates * (times[s, n] - times[s, n - 1])) if n else None
        shares = steady(rates) if moves is None else moves[states[s, n - 1]]
        states[s, n] = rng.choice(2, p=shares)
    return rng.normal(3.0 * states, 1.0), times


def log_likelihood(x, parameters, moves_of, first_of):
    """Return the log likelihood of normal responses by the forward recursion, in plain steps."""
    means, deviations = parameters
    total = 0.0
    for s, row in enumerate(x):
        shares = first_of() * norm.pdf(row[0], means, deviations)
        for n in range(1, len(row)):
            total += np.log(shares.sum())
            shares = shares / shares.sum() @ moves_of(s, n) * norm.pdf(row[n], means, deviations)
        total += np.log(shares.sum())
    return total


def in_time(x, times):
    """Return the log likelihood of log rates (2), means (2) and log deviations (2)."""

    def value(p):
        rates = np.array([[-np.exp(p[0]), np.exp(p[0])], [np.exp(p[1]), -np.exp(p[1])]])
        step = {(s, n): times[s, n] - times[s, n - 1] for s, n in np.ndindex(x.shape) if n}
        return log_likelihood(
            x, (p[2:4], np.exp(p[4:])), lambda s, n: expm(rates * step[s, n]), lambda: steady(rates)
        )

    return value


def fitted(x, times=None, **options):
    model = bm.HiddenMarkovModel(2, initial="stationary", random_state=0, tol=1e-12, **options)
    further = {} if times is None else {"times": times.ravel()}
    return model.fit(x.reshape(-1, 1), lengths=[LENGTH] * SEQUENCES, **further)


@pytest.fixture(scope="module")
def timed(seen):
    return fitted(*seen)


def free_values(model):
    rates, deviations = model.generator_, np.sqrt(model.covariances_.ravel())
    return np.r_[np.log([rates[0, 1], rates[1, 0]]), model.means_[:, 0], np.log(deviations)]


def test_rates_and_first_states_are_the_joint_maximum(seen, timed):
    value = in_time(*seen)
    at_fit = value(free_values(timed))
    assert timed.log_likelihood_ == pytest.approx(at_fit, abs=1e-8)
    best = minimize(lambda p: -value(p), free_values(timed) + 0.05, method="BFGS")
    assert at_fit >= -best.fun - 1e-7
    np.testing.assert_allclose(timed.startprob_, steady(timed.generator_), atol=1e-12)
    assert timed.n_parameters_ == 2 + 2 + 2


def test_standard_errors_of_rates_are_those_of_the_numerical_information(seen, timed):
    value, at = in_time(*seen), free_values(timed)
    step = 1e-3 * np.eye(len(at))
    information = [
        [
            -(value(at + a + b) - value(at + a - b) - value(at - a + b) + value(at - a - b)) / 4e-6
            for b in step
        ]
        for a in step
    ]
    errors = np.sqrt(np.diag(np.linalg.inv(information)))[:2]
    X, times = seen[0].reshape(-1, 1), seen[1].ravel()
    table = timed.parameter_table(X, lengths=[LENGTH] * SEQUENCES, times=times)
    rates = table.xs("transition rate", level="parameter")["standard_error"].to_numpy()
    expected = np.exp(at[:2]) * errors
    np.testing.assert_allclose([rates[1], rates[2]], expected, rtol=2e-3)


def test_a_held_rate_keeps_the_first_state_stationary(seen):
    x, times = seen
    model = fitted(x, times, hold={"generator": [[np.nan, 0.4]]})
    assert model.generator_[0, 1] == pytest.approx(0.4, abs=1e-12)
    np.testing.assert_allclose(model.startprob_, steady(model.generator_), atol=1e-12)
    value, at = in_time(x, times), free_values(model)
    free = np.arange(1, len(at))

    def loss(p):
        moved = at.copy()
        moved[free] = p
        return -value(moved)

    assert value(at) >= -minimize(loss, at[free] + 0.05, method="BFGS").fun - 1e-7


def test_a_held_row_of_transitions_keeps_the_first_state_stationary(seen):
    x, _ = seen
    model = fitted(x, hold={"transmat": [[0.6, 0.4]]})
    moves = model.transmat_
    np.testing.assert_allclose(moves[0], [0.6, 0.4], atol=1e-12)
    np.testing.assert_allclose(model.startprob_ @ moves, model.startprob_, atol=1e-12)

    def loss(p):
        back = 1.0 / (1.0 + np.exp(-p[0]))
        chain = np.array([[0.6, 0.4], [back, 1.0 - back]])
        first = np.array([back, 0.4]) / (back + 0.4)
        shown = p[1:3], np.exp(p[3:])
        return -log_likelihood(x, shown, lambda s, n: chain, lambda: first)

    deviations = np.sqrt(model.covariances_.ravel())
    odds = np.log(moves[1, 0] / moves[1, 1])
    at = np.r_[odds, model.means_[:, 0], np.log(deviations)]
    assert -loss(at) == pytest.approx(model.log_likelihood_, abs=1e-8)
    assert -loss(at) >= -minimize(loss, at + 0.05, method="BFGS").fun - 1e-7


@pytest.mark.parametrize("hold", [{"transmat": [[1.0, 0.0]]}, {"generator": [[0.0, 0.0]]}])
def test_states_that_are_never_left_have_no_stationary_start(seen, hold):
    times = seen[1] if "generator" in hold else None
    with pytest.raises(UnsupportedError, match="initial='stationary' needs states that are left"):
        fitted(seen[0], times, hold=hold)


def test_a_rate_held_at_zero_is_no_obstacle(seen):
    x, times = seen
    model = bm.HiddenMarkovModel(
        3,
        initial="stationary",
        random_state=0,
        n_init=2,
        hold={"generator": [[np.nan, np.nan, 0.0]]},
    )
    model.fit(x.reshape(-1, 1), lengths=[LENGTH] * SEQUENCES, times=times.ravel())
    assert model.generator_[0, 2] == 0.0
    np.testing.assert_allclose(model.startprob_, steady(model.generator_), atol=1e-9)


def test_a_stationary_chain_in_time_is_saved_and_sampled(timed, seen, tmp_path):
    timed.save(tmp_path / "chain.bayesmix")
    loaded = bm.load(tmp_path / "chain.bayesmix")
    assert loaded.n_parameters_ == timed.n_parameters_
    X, lengths = seen[0].reshape(-1, 1), [LENGTH] * SEQUENCES
    shown = {"lengths": lengths, "times": seen[1].ravel()}
    assert np.array_equal(loaded.predict_proba(X, **shown), timed.predict_proba(X, **shown))


# Moves by first states, as docs/how-to/sequences.md lists them, and the reason of a refusal.
MOVES = {
    "rows": {},
    "gates": {"covariate_effects": "transitions"},
    "rates": {"times": True},
    "rates by covariates": {"covariate_effects": "transitions", "times": True},
}
METHODS = {"ml": None, "map": bm.MaximumAPosteriori(), "vb": bm.VariationalBayes()}
REFUSED = {
    ("free", "gates", "vb"): "needs maximum likelihood or MaximumAPosteriori",
    ("free", "rates", "map"): "rates of transitions have no prior",
    ("free", "rates", "vb"): "rates of transitions have no prior",
    ("free", "rates by covariates", "map"): "rates of transitions have no prior",
    ("free", "rates by covariates", "vb"): "needs maximum likelihood or MaximumAPosteriori",
    ("stationary", "rows", "vb"): "no conjugate prior",
    ("stationary", "gates", "ml"): "replaces initial='stationary'",
    ("stationary", "gates", "map"): "replaces initial='stationary'",
    ("stationary", "gates", "vb"): "no conjugate prior",
    ("stationary", "rates", "map"): "rates of transitions have no prior",
    ("stationary", "rates", "vb"): "no conjugate prior",
    ("stationary", "rates by covariates", "ml"): "replaces initial='stationary'",
    ("stationary", "rates by covariates", "map"): "replaces initial='stationary'",
    ("stationary", "rates by covariates", "vb"): "no conjugate prior",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("moves", MOVES)
@pytest.mark.parametrize("first", ["free", "stationary"])
def test_every_combination_is_built_or_refused_with_its_reason(seen, first, moves, method):
    x, times = seen
    options = dict(MOVES[moves])
    given = {"times": times.ravel()} if options.pop("times", False) else {}
    if options:
        given["covariates"] = np.random.default_rng(3).normal(size=(x.size, 1))
    model = bm.HiddenMarkovModel(
        2, initial=first, inference=METHODS[method], n_init=2, random_state=0, **options
    )

    def fit():
        model.fit(x.reshape(-1, 1), lengths=[LENGTH] * SEQUENCES, **given)

    if (reason := REFUSED.get((first, moves, method))) is not None:
        with pytest.raises((InvalidInputError, UnsupportedError), match=reason):
            fit()
        return
    fit()
    assert np.isfinite(model.startprob_).all()
