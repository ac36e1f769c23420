"""Own covariates of first states and of transitions: direct maximisation, LMest, and checks."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special
from sklearn.base import clone

import bayesmix as bm
from bayesmix.errors import InvalidInputError
from laws.test_panels import panel, psid, weighted_panel


@pytest.mark.slow
def test_wave_among_the_variables_of_transitions_is_the_model_with_indicators():
    X, persons = psid()
    years = np.tile(np.arange(1, 8), 1446)
    later = pd.DataFrame({f"year {k}": 1.0 * (years == k) for k in range(3, 8)})
    indicated = bm.HiddenMarkovModel(
        2, family="bernoulli", covariate_effects="transitions", n_init=2, search="short",
        random_state=0,
    )  # fmt: skip
    indicated.fit(X, groups=persons, covariates=later)
    hmm = clone(indicated).set_params(covariate_effects={"transitions": "wave"})
    hmm.fit(X, groups=persons)
    assert hmm.log_likelihood_ == pytest.approx(-6900.447, abs=1e-3)
    assert hmm.result_.n_parameters == 17
    np.testing.assert_allclose(
        hmm.transition_matrix(pd.DataFrame({"wave": [2, 7]})),
        indicated.transition_matrix(np.eye(6)[[5, 4]][:, :5]),
        atol=1e-3,
    )
    assert hmm.score(X, groups=persons) == pytest.approx(indicated.log_likelihood_ / len(X))
    np.testing.assert_allclose(hmm.predict_proba(X[:14], lengths=[7, 7]).sum(axis=1), 1.0)
    with pytest.raises(InvalidInputError, match="no more waves than those of the fit, got 8"):
        hmm.score_samples(X[:8])


@pytest.mark.slow
def test_own_variables_of_first_states_and_transitions_are_direct_maximisation():
    X, persons, *_ = weighted_panel(150)
    rng = np.random.default_rng(7)
    table = pd.DataFrame({"sex": np.repeat(rng.integers(2, size=150), 3).astype(float),
                          "stress": rng.normal(size=450)})  # fmt: skip
    effects = {"first": ["sex"], "transitions": ["stress", "wave"]}
    hmm = bm.HiddenMarkovModel(
        2, family="bernoulli", covariate_effects=effects, tol=1e-12, random_state=0
    )
    hmm.fit(X, groups=persons, covariates=table)
    assert hmm.result_.n_parameters == 2 + 2 * 3 + 6
    coefficients = hmm.gate_coefficients(X)
    assert coefficients.loc[("first", "state 2")].index.tolist() == ["intercept", "sex"]
    moves = ["intercept", "stress", "wave 3"]
    assert coefficients.loc[("state 1", "state 2")].index.tolist() == moves
    sex, stress = table["sex"].to_numpy()[::3], table["stress"].to_numpy().reshape(-1, 3)
    items = X.reshape(-1, 3, 1, 3)

    def loss(q):
        second = special.expit(q[0] + q[1] * sex)
        alpha = np.column_stack([1.0 - second, second])
        f = special.expit(q[8:].reshape(2, 3))
        f = np.where(items == 1.0, f, 1.0 - f).prod(axis=3)
        alpha = alpha * f[:, 0]
        for t in (1, 2):
            to_second = [
                special.expit(q[2 + 3 * j] + q[3 + 3 * j] * stress[:, t] + q[4 + 3 * j] * (t == 2))
                for j in (0, 1)
            ]
            second = sum(alpha[:, j] * to_second[j] for j in (0, 1))
            alpha = np.column_stack([alpha.sum(axis=1) - second, second]) * f[:, t]
        return -np.log(alpha.sum(axis=1)).sum()

    order = [("first", "state 2"), ("state 1", "state 2"), ("state 2", "state 2")]
    start = np.concatenate([coefficients.loc[row]["estimate"] for row in order])
    items_at = special.logit(hmm.result_.plug_in.components.probabilities).ravel()
    start = np.append(start, items_at)
    assert loss(start) == pytest.approx(-hmm.log_likelihood_, abs=1e-6)
    direct = optimize.minimize(loss, start + 0.05, method="BFGS", options={"gtol": 1e-6})
    assert -direct.fun == pytest.approx(hmm.log_likelihood_, abs=1e-5)


def test_named_effects_are_checked():
    X, persons = panel()
    z = pd.DataFrame({"z": np.random.default_rng(0).normal(size=180)})

    def fit(effects, **given):
        hmm = bm.HiddenMarkovModel(
            2, covariate_effects=effects, n_init=1, search="short", random_state=0
        )
        return hmm.fit(X, groups=persons, **given)

    with pytest.raises(InvalidInputError, match="names 'y', but covariates have the columns z"):
        fit({"transitions": ["y"]}, covariates=z)
    with pytest.raises(
        InvalidInputError, match="variables of 'first' and 'transitions', got 'moves'"
    ):
        fit({"moves": ["z"]}, covariates=z)
    with pytest.raises(InvalidInputError, match="no wave but the first"):
        fit({"first": "wave"}, covariates=z)
    two = bm.HiddenMarkovModel(2, covariate_effects={"transitions": "wave"}, random_state=0)
    with pytest.raises(InvalidInputError, match="three waves or more"):
        two.fit(X[:120], groups=np.repeat(range(60), 2))


def test_fits_with_named_effects_are_saved(tmp_path):
    X, persons = panel()
    hmm = bm.HiddenMarkovModel(
        2, covariate_effects={"transitions": ["wave"]}, n_init=1, search="short", random_state=0
    )
    hmm.fit(X, groups=persons).save(tmp_path / "waves.bayesmix")
    read = bm.load(tmp_path / "waves.bayesmix")
    np.testing.assert_array_equal(
        read.predict_proba(X, groups=persons), hmm.predict_proba(X, groups=persons)
    )


def three_waves(n_persons=60):
    """Return answers (n, 4), persons and covariates of a small panel of three waves."""
    rng = np.random.default_rng(11)
    states = np.repeat(rng.random(n_persons) < 0.5, 3) ^ (rng.random(3 * n_persons) < 0.1)
    answers = (rng.random((3 * n_persons, 4)) < np.where(states, 0.85, 0.15)[:, None]).astype(float)
    sex = np.repeat(rng.integers(2, size=n_persons), 3).astype(float)
    table = pd.DataFrame({"sex": sex, "stress": rng.normal(size=3 * n_persons)})
    return answers, np.repeat(np.arange(n_persons), 3), table


OWN = bm.HiddenMarkovModel(
    2, family="bernoulli", n_init=1, search="short", random_state=0,
    covariate_effects={"first": ["sex"], "transitions": ["stress", "wave"]},
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*certain given covariates")
def test_own_covariates_are_saved_and_loaded(tmp_path):
    answers, persons, table = three_waves()
    hmm = clone(OWN).fit(answers, groups=persons, covariates=table)
    hmm.save(tmp_path / "model")
    loaded = bm.load(tmp_path / "model")
    assert loaded.covariate_effects == OWN.covariate_effects
    given = {"groups": persons, "covariates": table}
    for name in ("predict_proba", "score_samples"):
        ours, theirs = (getattr(each, name)(answers, **given) for each in (hmm, loaded))
        np.testing.assert_array_equal(theirs, ours)
    there = table.assign(wave=3)[:4]
    np.testing.assert_array_equal(loaded.transition_matrix(there), hmm.transition_matrix(there))


def test_weights_that_vary_over_waves_and_missing_covariates_are_named():
    answers, persons, table = three_waves()
    weights = np.random.default_rng(0).uniform(0.5, 1.5, len(answers))
    with pytest.raises(InvalidInputError, match="sample_weight must be equal within a sequence"):
        clone(OWN).fit(answers, groups=persons, covariates=table, sample_weight=weights)
    table.loc[5, "stress"] = np.nan
    with pytest.raises(InvalidInputError, match=r"row 5 .*column 'stress': impute it"):
        clone(OWN).fit(answers, groups=persons, covariates=table)
    with pytest.raises(InvalidInputError, match="covariate_effects names 'stress'"):
        clone(OWN).fit(answers, groups=persons, covariates=table[["sex"]])


def test_a_wave_without_values_is_a_step_without_evidence():
    answers, persons, _ = three_waves()
    answers[1::3] = np.nan
    hmm = bm.HiddenMarkovModel(
        2, family="bernoulli", missing="use", n_init=1, search="short", random_state=0
    )
    hmm.fit(answers, groups=persons)
    joint = np.log(hmm.startprob_)[:, None] + np.log(hmm.transmat_ @ hmm.transmat_)
    p, x = hmm.result_.unframed.probabilities, answers.reshape(-1, 3, 1, 4)[:, [0, 2]]
    logs = (x * np.log(p) + (1.0 - x) * np.log1p(-p)).sum(axis=3)
    total = special.logsumexp(joint + logs[:, 0, :, None] + logs[:, 1, None], axis=(1, 2)).sum()
    assert hmm.log_likelihood_ == pytest.approx(total, rel=1e-9)


def test_an_outcome_that_is_constant_in_a_class_is_named():
    answers, persons, _ = three_waves()
    hmm = bm.HiddenMarkovModel(2, family="bernoulli", n_init=1, search="short", random_state=0)
    hmm.fit(answers, groups=persons)
    outcome = np.random.default_rng(1).normal(size=len(answers))
    outcome[hmm.predict(answers, groups=persons) == 0] = 1.0
    with pytest.raises(InvalidInputError, match="too few distinct values in a class"):
        bm.distal(hmm, answers, outcome)
