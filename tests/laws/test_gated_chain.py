"""Covariates of the first state of a hidden Markov model, against sums over all paths."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, log_softmax, logit
from scipy.stats import norm

import bayesmix as bm
from bayesmix.allocation.gate import Gate
from bayesmix.allocation.gated_chain import GatedChain
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.errors import InvalidInputError, UnsupportedError
from laws.cases import generator
from laws.test_chain import by_paths, log_paths, parts_of, starts_of

LENGTHS = (1, 4, 6, 2, 3, 6)


@pytest.fixture(scope="module")
def sequences():
    """Two states, and whether a sequence begins in the second by its z."""
    rng = generator(471)
    lengths, z = rng.integers(2, 7, 150), rng.normal(2.0, 1.0, 150)
    states = []
    for length, second in zip(lengths, rng.random(150) < expit(1.5 * (z - 2.0)), strict=True):
        states.append(int(second))
        for _ in range(length - 1):
            states.append(int(rng.random() < (0.2, 0.7)[states[-1]]))
    X = rng.normal(3.0 * np.array(states))[:, None]
    Z = pd.DataFrame({"z": z})
    model = bm.HiddenMarkovModel(2, random_state=0).fit(X, lengths=lengths, covariates=Z)
    return X, lengths, Z, model


def test_the_e_step_is_the_sum_over_all_paths():
    rng = generator(472)
    covariates = np.column_stack([np.ones(6), rng.normal(size=(6, 2))])
    coefficients = np.vstack([np.zeros(3), rng.normal(size=3)])
    chain = GatedChain(Gate(coefficients, np.ones(2), np.zeros(3)), rng.dirichlet(np.ones(2), 2))
    initial = np.exp(log_softmax(covariates @ coefficients.T, axis=1))
    n = sum(LENGTHS)
    log_density, joint = 2.0 * rng.normal(size=(2, n, 2))
    joint[:] = log_density
    begins = np.isin(np.arange(n), starts_of(LENGTHS))
    side = SideInformation(begins=begins, covariates=covariates.repeat(LENGTHS, axis=0))
    allocated = chain.allocate(joint, Rows(np.zeros((n, 1)), side=side))
    moves, gradient = np.zeros((2, 2)), np.zeros((2, 3))
    for s, part in enumerate(parts_of(LENGTHS)):
        total, smoothed, own, _ = by_paths(log_density[part], initial[s], chain.transition)
        assert allocated.log_normaliser[part].sum() == pytest.approx(total, abs=1e-12)
        np.testing.assert_allclose(joint[part], smoothed, atol=1e-12)
        moves += own
        gradient += np.outer(smoothed[0] - initial[s], covariates[s])
    np.testing.assert_allclose(allocated.statistics.transitions, moves, atol=1e-12)
    np.testing.assert_allclose(allocated.statistics.gate.gradient, gradient, atol=1e-12)


def test_the_fit_is_stationary_and_predicts_by_all_paths(sequences):
    X, lengths, Z, model = sequences
    gate = np.column_stack([model.gate_intercept_, model.gate_coef_])
    logs = log_softmax(np.column_stack([np.ones(150), Z]) @ gate.T, axis=1)
    log_density = norm.logpdf(X, model.means_[:, 0], np.sqrt(model.covariances_[:, 0, 0]))
    log_likelihood, smoothed, first, entropy, best = 0.0, [], np.zeros(2), 0.0, 0.0
    for s, part in enumerate(parts_of(tuple(lengths))):
        initial = np.exp(logs[s])
        total, shares, _, _ = by_paths(log_density[part], initial, model.transmat_)
        log_shares = log_paths(log_density[part], initial, model.transmat_) - total
        entropy -= (np.exp(log_shares) * log_shares).sum()
        best += log_shares.max()
        log_likelihood, first = log_likelihood + total, first + shares[0] - initial
        smoothed.append(shares)
    assert model.log_likelihood_ == pytest.approx(log_likelihood, rel=1e-10)
    np.testing.assert_allclose(first, 0.0, atol=1e-3)
    smoothed = np.concatenate(smoothed)
    np.testing.assert_allclose(model.predict_proba(X, lengths, covariates=Z), smoothed, atol=1e-9)
    assert model.result_.entropy == pytest.approx(entropy, rel=1e-8)
    icl = model.bic(X, lengths, covariates=Z) - 2.0 * best
    assert model.icl() == pytest.approx(icl, rel=1e-10)
    np.testing.assert_allclose(model.startprob_, np.exp(logs).mean(axis=0), atol=1e-4)
    assert model.n_parameters_ == 2 + 2 + 4
    assert "first states by z" in model.summary()


def test_standard_errors_are_those_of_the_whole_hessian(sequences):
    X, lengths, Z, model = sequences
    starts, last = starts_of(tuple(lengths)), max(lengths)

    def value(theta):
        odds = theta[0] + theta[1] * Z["z"].to_numpy()
        moves = np.log([[expit(-t), expit(t)] for t in theta[2:4]])
        log_density = norm.logpdf(X, theta[4:6], np.exp(theta[6:8]))
        joint = -np.logaddexp(0.0, np.column_stack([odds, -odds])) + log_density[starts]
        for step in range(1, last):
            on = lengths > step
            after = np.logaddexp(*(joint[on, k, None] + moves[k] for k in range(2)))
            joint[on] = after + log_density[starts[on] + step]
        return np.logaddexp(*joint.T).sum()

    scales = 0.5 * np.log(model.covariances_[:, 0, 0])
    theta = np.concatenate(
        [
            *(model.gate_intercept_[1:], model.gate_coef_[1]),
            *(logit(model.transmat_[:, 1]), model.means_[:, 0], scales),
        ]
    )
    assert value(theta) == pytest.approx(model.log_likelihood_, rel=1e-10)
    steps, size = 1e-4 * np.eye(8), 8
    hessian = np.empty((size, size))
    for i, a in enumerate(steps):
        for j, b in enumerate(steps):
            rise = value(theta + a + b) - value(theta + a - b)
            fall = value(theta - a + b) - value(theta - a - b)
            hessian[i, j] = (rise - fall) / 4e-8
    expected = np.sqrt(np.linalg.inv(-hessian).diagonal()[:2])
    table = model.gate_coefficients(X)
    np.testing.assert_allclose(table["standard_error"], expected, rtol=2e-3)
    assert abs(table.loc[("state 2", "z"), "estimate"] - 1.5) < 3.0 * expected[1]


def test_a_gate_with_an_intercept_is_the_chain(sequences):
    X, lengths, _, _ = sequences
    plain = bm.HiddenMarkovModel(2, random_state=0).fit(X, lengths=lengths)
    gated = bm.HiddenMarkovModel(2, random_state=0)
    gated.fit(X, lengths=lengths, covariates=np.empty((len(lengths), 0)))
    assert gated.log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-5)
    np.testing.assert_allclose(gated.transmat_, plain.transmat_, atol=1e-3)
    np.testing.assert_allclose(gated.startprob_, plain.startprob_, atol=1e-3)
    assert gated.n_parameters_ == plain.n_parameters_


def test_covariates_of_sequences_are_repeated_for_samples_and_saved(sequences, tmp_path):
    X, lengths, Z, model = sequences
    rows = Z.loc[Z.index.repeat(lengths)]
    other = bm.HiddenMarkovModel(2, random_state=0).fit(X, lengths=lengths, covariates=rows)
    np.testing.assert_array_equal(other.gate_coef_, model.gate_coef_)
    model.save(tmp_path / "model.bayesmix")
    loaded = bm.load(tmp_path / "model.bayesmix")
    for path in ("smoothing", "viterbi"):
        states = loaded.predict(X, lengths, covariates=rows, algorithm=path)
        np.testing.assert_array_equal(
            states, model.predict(X, lengths, covariates=Z, algorithm=path)
        )
    with pytest.raises(
        InvalidInputError, match="equal within a sequence, but column 'z' of sample"
    ):
        other.fit(X, lengths=lengths, covariates=rows.assign(z=np.arange(len(X)) ** 2.0))
    with pytest.raises(InvalidInputError, match="give covariates= with the columns z"):
        model.predict(X, lengths)


def test_a_prior_keeps_coefficients_finite_where_covariates_separate_first_states():
    starts = np.repeat([0.0, 1.0], 20)
    X = (8.0 * starts[:, None] * [1.0, 1.0] + generator(473).normal(size=(40, 2))).reshape(-1, 1)
    X[1::4] = 8.0 - X[1::4]  # transitions
    model = bm.HiddenMarkovModel(2, inference=bm.MaximumAPosteriori(), random_state=0)
    model.fit(X, lengths=[2] * 40, covariates=starts)
    assert 1.0 < abs(model.gate_coef_[1, 0]) < 20.0
    objective = model.objective_trace_
    assert (np.diff(objective) >= -1e-9).all()


@pytest.mark.parametrize(
    "option", [{"inference": bm.VariationalBayes()}, {"initial": "stationary"}]
)
def test_unsupported_chains_are_refused(sequences, option):
    X, lengths, Z, _ = sequences
    with pytest.raises(UnsupportedError, match="covariates of the first state need initial='free'"):
        bm.HiddenMarkovModel(2, **option).fit(X, lengths=lengths, covariates=Z)
