"""Effects of covariates on a chain lose only columns that the data cannot tell apart."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logsumexp
from scipy.stats import norm

import bayesmix as bm
from bayesmix.allocation.gated_chain import identified, identified_at_first
from bayesmix.errors import BayesmixWarning
from bayesmix.starts.given_starts import StartAt
from laws.cases import generator


class Panel:
    """Two states in a random panel, and columns of every kind that a chain may depend on."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = generator(seed)
        n, waves = int(rng.integers(60, 160)), int(rng.integers(3, 6))
        self.unit, wave = np.repeat(np.arange(n), waves), np.tile(np.arange(waves), n)
        z, v = np.repeat(rng.normal(size=n), waves), rng.normal(size=n * waves)
        first = wave == 0
        columns = {
            "z": z,
            "time": wave,
            "last wave": wave == waves - 1,
            "first wave": first,
            "v": v,
            "z later": np.where(first, 1.0, z),
            "z first": np.where(first, v, z),
            "z by time": z * wave,
            "v at first": np.where(first, v, rng.normal(size=n * waves)),
            "group": np.repeat(rng.choice(["a", "b", "c"], n), waves),
        }
        self.columns = pd.DataFrame(columns)
        state = np.zeros(n * waves, dtype=int)
        for row in range(n * waves):
            odds = z[row] - 0.3 if first[row] else 2.0 * state[row - 1] - 1.0 + 0.7 * v[row]
            state[row] = rng.random() < expit(odds)
        self.X = rng.normal(3.0 * state)[:, None]

    def fits(self) -> tuple[bm.HiddenMarkovModel, bm.HiddenMarkovModel]:
        """Return fits with some columns, and with one more, which starts at the first."""
        names = self.rng.permutation(self.columns.columns)[: self.rng.integers(2, 5)].tolist()
        most = [name for name in self.columns if name in names]
        most = self.rng.permutation(most).tolist()
        options = {
            "covariate_effects": str(self.rng.choice(["all", "all", "transitions"])),
            "covariate_timing": str(self.rng.choice(["entered", "left"])),
        }
        few = [name for name in most if name != names[0]]
        nested = self.fit(few, options)
        return nested, self.fit(most, options, nested)

    def fit(self, names, options, nested=None):
        """Return a fit, which starts at a nested fit if there is one."""
        model = bm.HiddenMarkovModel(2, random_state=0, n_init=2, max_iter=2000, **options)
        given = {"groups": self.unit, "covariates": self.columns[names]}
        if nested is None:
            return model.fit(self.X, **given)
        plain = bm.HiddenMarkovModel(2, random_state=0, n_init=1, max_iter=1, **options)
        mixture = plain.fit(self.X, **given).result_.mixture
        weights = extended(nested, plain.result_.side, mixture.weights, options["covariate_timing"])
        start = replace(nested.result_.mixture, weights=weights)
        model._start = lambda *_: StartAt(start)
        return model.fit(self.X, **given)


def extended(nested, side, chain, timing):
    """Return the chain with the gates of a nested fit, whose covariates it must contain."""
    few, gates = nested.result_.side.covariates, []
    moves = np.roll(~side.begins, -1) if timing == "left" else ~side.begins
    for number, (own, its) in enumerate(
        zip(chain.gates, nested.result_.mixture.weights.gates, strict=True)
    ):
        rows = moves if number else side.begins
        wide = side.covariates[np.ix_(rows, own.places)]
        odds = few[np.ix_(rows, its.places)] @ its.coefficients.T
        coefficients = np.linalg.lstsq(wide, odds)[0].T
        np.testing.assert_allclose(wide @ coefficients.T, odds, atol=1e-8)
        gates.append(replace(own, coefficients=coefficients))
    return replace(chain, gates=tuple(gates))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of columns without an effect, and of few passes
@pytest.mark.parametrize("seed", range(700, 706))
def test_a_column_more_is_never_below_the_nested_fit(seed):
    nested, more = Panel(seed).fits()
    assert more.log_likelihood_ >= nested.log_likelihood_ - 1e-6
    assert more.n_parameters_ >= nested.n_parameters_


def log_likelihood(theta, x, first, moves):
    """Return log p(x) (n, T) of normal states 0 and 1, with design matrices of log odds of 1."""
    own, means, logs = theta[:2], theta[8:10], theta[10:]
    after0, after1 = theta[2:8].reshape(2, 3)
    density = norm.logpdf(x[..., None], means, np.exp(logs))
    odds = first @ own
    alpha = log_softmax(np.stack([0 * odds, odds], axis=1), axis=1) + density[:, 0]
    for t in range(1, x.shape[1]):
        both = np.stack([moves[:, t] @ after0, moves[:, t] @ after1], axis=1)
        log_moves = log_softmax(np.stack([0 * both, both], axis=2), axis=2)
        alpha = logsumexp(alpha[:, :, None] + log_moves, axis=1) + density[:, t]
    return float(logsumexp(alpha, axis=1).sum())


@pytest.mark.slow
def test_first_states_keep_the_columns_that_vary_at_first():
    """Direct maximisation of the likelihood in which first states depend on z alone."""
    rng, n, waves = generator(710), 250, 3
    z = rng.normal(size=n)
    state = np.zeros((n, waves), dtype=int)
    state[:, 0] = rng.random(n) < expit(-0.5 + 1.5 * z)
    for t in range(1, waves):
        odds = -1.0 + 2.2 * state[:, t - 1] + 0.5 * z - 1.0 * (t == 2)
        state[:, t] = rng.random(n) < expit(odds)
    x = rng.normal(3.5 * state)
    columns = {"third": np.tile(np.arange(waves) == 2, n) * 1.0, "z": np.repeat(z, waves)}
    model = bm.HiddenMarkovModel(2, covariate_effects="all", random_state=0, tol=1e-10)
    given = {"lengths": [waves] * n, "covariates": pd.DataFrame(columns)}
    with pytest.warns(BayesmixWarning, match="^first states do not depend on 'third', whose"):
        model.fit(x.reshape(-1, 1), **given)
    assert "first states by z, transitions by third, z" in model.summary()
    assert model.n_parameters_ == 2 + 2 * 3 + 4
    terms = model.gate_coefficients(x.reshape(-1, 1)).loc["first"].index.get_level_values("term")
    assert terms.tolist() == ["intercept", "z"]

    first = np.column_stack([np.ones(n), z])
    time = np.broadcast_to(np.arange(waves) == 2, (n, waves))
    moves = np.stack([np.ones((n, waves)), time, np.broadcast_to(z[:, None], time.shape)], axis=2)
    truth = np.array([-0.5, 1.5, -1.0, -1.0, 0.5, 1.2, -1.0, 0.5, 0.0, 3.5, 0.0, 0.0])
    best = minimize(lambda theta: -log_likelihood(theta, x, first, moves), truth, method="BFGS").fun
    assert model.log_likelihood_ == pytest.approx(-best, abs=1e-4)


def test_only_columns_that_follow_from_those_before_have_no_effect():
    rng = generator(711)
    a, b, begins = rng.normal(size=60), rng.normal(size=60), np.tile([True, False, False], 20)
    wave = np.tile([0.0, 1.0, 2.0], 20)
    covariates = np.column_stack([a, wave, b, a + 1e-9 * b, 2.0 * a - b, wave**2, a * wave])
    assert identified(covariates, begins) == (0, 2)
    assert identified(covariates, ~begins) == (0, 1, 2, 6)  # two waves tell one column of time
    assert identified(covariates, np.ones(60, dtype=bool)) == (0, 1, 2, 5, 6)
    assert identified(1e6 + 1e-3 * covariates, begins) == (0, 2)


@pytest.mark.parametrize(
    ("n_sequences", "kept"), [(1, 0), (3, 0), (4, 0), (5, 1), (6, 1), (7, 2), (9, 3)]
)
def test_first_states_depend_on_a_column_for_more_than_two_sequences_each(n_sequences, kept):
    begins = np.tile([True, False], n_sequences)
    covariates = generator(712).normal(size=(2 * n_sequences, 3))
    assert identified_at_first(covariates, begins) == tuple(range(kept))
