"""Covariates of all transitions of a chain, against sums over paths and simulated truth."""

import itertools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

import bayesmix as bm
from bayesmix.allocation.forward_backward import forward_backward, most_probable_paths
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from laws.cases import generator

LENGTHS = (4, 1, 3)
# Log odds of state 1: of first states, after state 0, after state 1; intercepts and slopes.
TRUTH = np.array([[-0.3, 0.8], [-1.0, 1.2], [1.2, -0.5]])


@pytest.fixture(scope="module")
def panel():
    """Five hundred persons, three waves, and a covariate that varies over time."""
    rng = generator(631)
    z = rng.normal(size=(500, 3))
    states = np.zeros((500, 3), dtype=int)
    for wave in range(3):
        gate = TRUTH[0] if not wave else TRUTH[1 + states[:, wave - 1]]
        odds = gate[..., 0] + gate[..., 1] * z[:, wave]
        states[:, wave] = rng.random(500) < 1.0 / (1.0 + np.exp(-odds))
    X = rng.normal(4.0 * states.ravel())[:, None]
    Z = pd.DataFrame({"z": z.ravel()})
    m = bm.HiddenMarkovModel(2, covariate_effects="all", random_state=0)
    return X, [3] * 500, Z, m.fit(X, lengths=[3] * 500, covariates=Z)


def test_the_recursions_are_sums_over_all_paths():
    rng, n, K = generator(632), sum(LENGTHS), 3
    log_density = 2.0 * rng.normal(size=(n, K))
    log_initial = log_softmax(rng.normal(size=(len(LENGTHS), K)), axis=1)
    log_moves = log_softmax(rng.normal(size=(n, K, K)), axis=2)
    starts = np.cumsum((0, *LENGTHS[:-1]))
    initial, moves = np.exp(log_initial), np.exp(log_moves)
    chained = forward_backward(log_density, starts, initial, moves)
    log_predictive, shares, pairs = (
        chained.log_predictive,
        chained.shares,
        chained.transitions,
    )
    best = most_probable_paths(log_density, starts, initial, moves)
    for s, (start, length) in enumerate(zip(starts, LENGTHS, strict=True)):
        paths = np.array(list(itertools.product(range(K), repeat=length)))
        logs = log_initial[s, paths[:, 0]] + log_density[start, paths[:, 0]]
        for t in range(1, length):
            logs += log_moves[start + t, paths[:, t - 1], paths[:, t]]
            logs += log_density[start + t, paths[:, t]]
        own = slice(start, start + length)
        assert log_predictive[own].sum() == pytest.approx(logsumexp(logs))
        np.testing.assert_array_equal(best[own], paths[logs.argmax()])
        p = np.exp(logs - logsumexp(logs))
        for t in range(length):
            expected = [p[paths[:, t] == k].sum() for k in range(K)]
            np.testing.assert_allclose(shares[start + t], expected, atol=1e-12)
            if t:
                joint = [
                    [p[(paths[:, t - 1] == i) & (paths[:, t] == j)].sum() for j in range(K)]
                    for i in range(K)
                ]
                np.testing.assert_allclose(pairs[start + t], joint, atol=1e-12)


def step_by_step(log_density, starts, log_initial, log_moves):
    """Return one-step log densities, smoothed probabilities and pairs by sums of logarithms."""
    n, K = log_density.shape
    forward, back = np.empty((n, K)), np.zeros((n, K))
    log_predictive, pairs = np.empty(n), np.zeros((n, K, K))
    number = np.cumsum(np.isin(np.arange(n), starts)) - 1
    for t in range(n):
        before = log_initial[number[t]]
        if t not in starts:
            before = logsumexp(forward[t - 1][:, None] + log_moves[t], axis=0)
        forward[t] = before + log_density[t]
        log_predictive[t] = logsumexp(forward[t])
        forward[t] -= log_predictive[t]
    for t in range(n - 1, 0, -1):
        if t not in starts:
            ahead = log_moves[t] + log_density[t] + back[t] - log_predictive[t]
            pairs[t] = np.exp(forward[t - 1][:, None] + ahead)
            back[t - 1] = logsumexp(ahead, axis=1)
    return log_predictive, np.exp(forward + back), pairs


@pytest.mark.parametrize("spread", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("lengths", [(700,), (1, 400, 2, 297), (3,) * 200])
def test_segments_of_sequences_with_varying_transitions_are_sums_step_by_step(spread, lengths):
    """Also where densities of states differ by hundreds of nats, and transitions by dozens."""
    rng, n, K = generator(633), sum(lengths), 3
    log_density = spread * rng.normal(size=(n, K))
    log_initial = log_softmax(rng.normal(size=(len(lengths), K)), axis=1)
    log_moves = log_softmax(min(spread, 30.0) * rng.normal(size=(n, K, K)), axis=2)
    starts = np.cumsum((0, *lengths[:-1]))
    expected = step_by_step(log_density, starts, log_initial, log_moves)
    initial, moves = np.exp(log_initial), np.exp(log_moves)
    chained = forward_backward(log_density, starts, initial, moves)
    np.testing.assert_allclose(chained.log_predictive, expected[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(chained.shares, expected[1], atol=1e-10)
    np.testing.assert_allclose(chained.transitions, expected[2], atol=1e-10)
    filtered = forward_backward(log_density, starts, initial, moves, smooth=False)
    np.testing.assert_allclose(filtered.log_predictive, expected[0], rtol=1e-10, atol=1e-10)


SPEED = pd.read_csv(Path(__file__).parents[1] / "data" / "speed.csv")


@pytest.mark.parametrize(("timing", "expected"), [("left", -38.1219), ("entered", -36.9781)])
def test_fits_to_response_times_are_those_of_depmixs4_and_of_a_direct_maximisation(
    timing, expected
):
    m = bm.HiddenMarkovModel(
        2, covariate_effects="transitions", covariate_timing=timing, random_state=0
    )
    m.fit(SPEED[["rt"]], lengths=[168, 134, 137], covariates=SPEED[["Pacc"]])
    assert m.log_likelihood_ == pytest.approx(expected, abs=1e-4)
    assert m.n_parameters_ == 9


def test_few_first_states_do_not_depend_on_covariates_and_are_not_called_separated():
    """Three points are almost always separated by a line, one always is."""
    for lengths in ([439], [168, 134, 137]):
        m = bm.HiddenMarkovModel(2, covariate_effects="all", random_state=0, n_init=2)
        with pytest.warns(BayesmixWarning, match="first states do not depend on 'Pacc'"):
            m.fit(SPEED[["rt"]], lengths=lengths, covariates=SPEED[["Pacc"]])
        assert (m.gate_coef_[0] == 0.0).all()
        assert ", transitions by Pacc" in m.summary()
        index = m.gate_coefficients(SPEED[["rt"]]).index
        assert list(index) == [
            ("first", "state 2", "intercept"),
            *((f"state {i}", "state 2", term) for i in (1, 2) for term in ("intercept", "Pacc")),
        ]


def test_time_that_begins_at_the_same_value_does_not_affect_first_states():
    rng = generator(642)
    Z = pd.DataFrame({"wave": np.tile([0.0, 1.0, 2.0], 60)})
    X = rng.normal(np.where(rng.random(180) < 0.5, 0.0, 4.0))[:, None]
    m = bm.HiddenMarkovModel(2, covariate_effects="all", random_state=0, n_init=2)
    with pytest.warns(BayesmixWarning, match="first states do not depend on 'wave'"):
        m.fit(X, lengths=[3] * 60, covariates=Z)
    assert (m.gate_coef_[0] == 0.0).all()
    assert ", transitions by wave" in m.summary()


def test_equal_transitions_of_every_sample_are_those_of_a_plain_chain():
    rng, lengths = generator(634), (250, 1, 149)
    log_density, transition = rng.normal(size=(400, 4)), rng.dirichlet(np.ones(4), 4)
    starts, initial = np.cumsum((0, *lengths[:-1])), rng.dirichlet(np.ones(4))
    plain = forward_backward(log_density, starts, initial, transition)
    moves = np.broadcast_to(transition, (400, 4, 4))
    varying = forward_backward(log_density, starts, initial, moves)
    np.testing.assert_allclose(varying.shares, plain.shares, atol=1e-12)
    np.testing.assert_allclose(varying.transitions.sum(axis=0), plain.transitions, atol=1e-10)
    np.testing.assert_array_equal(
        most_probable_paths(log_density, starts, initial, moves),
        most_probable_paths(log_density, starts, initial, transition),
    )


def log_likelihood(theta, panel):
    """Return the log likelihood of gates (3, 2), means (2,) and log deviations (2,)."""
    X, _, Z, _ = panel
    gates, means, scales = theta[:6].reshape(3, 2), theta[6:8], np.exp(theta[8:])
    density = norm.logpdf(X, means, scales).reshape(500, 3, 2)
    odds = gates[:, 0] + gates[:, 1] * Z["z"].to_numpy().reshape(500, 3, 1)
    logs = np.stack([-np.logaddexp(0.0, odds), -np.logaddexp(0.0, -odds)], axis=-1)
    joint = logs[:, 0, 0] + density[:, 0]
    for wave in (1, 2):
        joint = logsumexp(joint[:, :, None] + logs[:, wave, 1:], axis=1) + density[:, wave]
    return logsumexp(joint, axis=1).sum()


@pytest.fixture(scope="module")
def optimum(panel):
    m = panel[3]
    gates = np.stack([m.gate_intercept_[:, 1], m.gate_coef_[:, 1, 0]], axis=1)
    scales = 0.5 * np.log(m.covariances_[:, 0, 0])
    theta = np.concatenate([gates.ravel(), m.means_[:, 0], scales])
    steps = 1e-4 * np.eye(10)
    f = lambda *moves: log_likelihood(theta + sum(moves), panel)  # noqa: E731
    gradient = np.array([f(a) - f(-a) for a in steps]) / 2e-4
    hessian = np.array([[f(a, b) - f(a, -b) - f(-a, b) + f(-a, -b) for b in steps] for a in steps])
    return f(), gradient, hessian / 4e-8


@pytest.mark.slow
def test_the_fit_is_a_maximum_of_the_likelihood_with_its_standard_errors(panel, optimum):
    X, _, _, m = panel
    value, gradient, hessian = optimum
    assert m.log_likelihood_ == pytest.approx(value, rel=1e-10)
    assert np.abs(gradient).max() < 0.05
    assert m.n_parameters_ == 10
    table = m.gate_coefficients(X)
    assert table.index.names == ["from", "state", "term"]
    errors = np.sqrt(np.linalg.inv(-hessian).diagonal()[:6])
    np.testing.assert_allclose(table["standard_error"], errors, rtol=2e-3)
    truth = TRUTH
    if m.means_[0, 0] > m.means_[1, 0]:  # states are sorted by their probability
        truth = -TRUTH[[0, 2, 1]]
    assert (np.abs(table["estimate"] - truth.ravel()) < 4.0 * table["standard_error"]).all()


@pytest.mark.slow
def test_predictions_use_the_transitions_of_every_sample(panel, tmp_path):
    X, lengths, Z, m = panel
    m.save(tmp_path / "m.bayesmix")
    loaded = bm.load(tmp_path / "m.bayesmix")
    for name in ("predict_proba", "predict", "score_samples"):
        own = getattr(m, name)(X, lengths=lengths, covariates=Z)
        np.testing.assert_array_equal(getattr(loaded, name)(X, lengths=lengths, covariates=Z), own)
    assert m.score_samples(X, lengths=lengths, covariates=Z).sum() == pytest.approx(
        m.log_likelihood_
    )
    np.testing.assert_allclose(m.transmat_.sum(axis=1), 1.0)
    residuals = m.pseudo_residuals(X, lengths=lengths, covariates=Z)[:, 0]
    assert abs(residuals.std() - 1.0) < 4.0 / np.sqrt(2 * 1500)
    assert "first states and transitions by z" in m.summary()
    path = m.predict(X, lengths=lengths, covariates=Z, algorithm="viterbi")
    assert (path == m.predict(X, lengths=lengths, covariates=Z)).mean() > 0.9


@pytest.mark.slow
def test_without_slopes_it_is_the_plain_chain(panel):
    X, lengths, _, _ = panel
    plain = bm.HiddenMarkovModel(2, random_state=0).fit(X, lengths=lengths)
    same = bm.HiddenMarkovModel(2, covariate_effects="all", random_state=0)
    same.fit(X, lengths=lengths, covariates=np.empty((len(X), 0)))
    assert same.log_likelihood_ == pytest.approx(plain.log_likelihood_, abs=1e-4)
    np.testing.assert_allclose(same.transmat_, plain.transmat_, atol=1e-3)
    assert same.n_parameters_ == plain.n_parameters_


@pytest.mark.slow
def test_refusals(panel):
    X, lengths, Z, m = panel
    model = bm.HiddenMarkovModel(2, covariate_effects="all")
    with pytest.raises(UnsupportedError, match="needs covariates"):
        model.fit(X, lengths=lengths)
    with pytest.raises(InvalidInputError, match="replaces initial"):
        bm.HiddenMarkovModel(2, covariate_effects="all", initial="stationary").fit(
            X, lengths=lengths, covariates=Z
        )
    with pytest.raises(UnsupportedError, match="maximum likelihood"):
        bm.HiddenMarkovModel(2, covariate_effects="all", inference=bm.VariationalBayes()).fit(
            X, lengths=lengths, covariates=Z
        )
    with pytest.raises(InvalidInputError, match="future_covariates must have a row for each of"):
        m.forecast(X[:3], covariates=Z[:3])
    with pytest.raises(InvalidInputError, match=r"row 1497 \(row 0 of sequence 499\) has none"):
        m.predict(X, lengths=lengths, covariates=Z[:-3])
    with pytest.raises(InvalidInputError, match=r"got nan for row 7 \(row 1 of sequence 2\)"):
        m.predict(X, lengths=lengths, covariates=Z.mask(Z.index.to_frame().to_numpy() == 7))
    with pytest.raises(InvalidInputError, match="covariate_effects='transitions' or 'all'"):
        bm.HiddenMarkovModel(2).fit(X, lengths=lengths, covariates=Z)


@pytest.mark.slow
def test_standard_errors_of_transitions_are_those_of_the_whole_hessian(panel, optimum):
    """By the delta method, at given covariates and averaged by where the states have been."""
    X, lengths, Z, m = panel
    covariance = np.linalg.inv(-optimum[2])
    gates = np.stack([m.gate_intercept_[:, 1], m.gate_coef_[:, 1, 0]], axis=1)
    entered = np.arange(1500) % 3 > 0
    visits = m.predict_proba(X, lengths=lengths, covariates=Z)[np.flatnonzero(entered) - 1]

    def second(gates, z):
        return 1.0 / (1.0 + np.exp(-gates[1:, 0] - gates[1:, 1] * np.asarray(z)[:, None]))

    def averaged(theta):
        moves = second(theta.reshape(3, 2), Z["z"][entered])
        return (visits * moves).sum(axis=0) / visits.sum(axis=0)

    def given(theta):
        return second(theta.reshape(3, 2), [-1.0, 2.0]).ravel()

    steps, theta = 1e-5 * np.eye(6), gates.ravel()
    np.testing.assert_allclose(m.transmat_[:, 1], averaged(theta), atol=1e-4)
    np.testing.assert_allclose(
        m.transition_matrix([[-1.0], [2.0]])[:, :, 1].ravel(), given(theta), atol=1e-10
    )
    for f, covariates in ((averaged, None), (given, [[-1.0], [2.0]])):
        slopes = np.array([f(theta + step) - f(theta - step) for step in steps]).T / 2e-5
        errors = np.sqrt(np.einsum("mp,pq,mq->m", slopes, covariance[:6, :6], slopes))
        table = m.transition_matrix(covariates, X)
        np.testing.assert_allclose(table["standard_error"].to_numpy()[1::2], errors, rtol=5e-3)
        np.testing.assert_allclose(table["estimate"].to_numpy()[1::2], f(theta), atol=1e-4)
    transitions = m.parameter_table(X).loc["transition"]["estimate"].to_numpy().reshape(2, 2)
    np.testing.assert_allclose(transitions, m.transmat_, atol=1e-4)


@pytest.mark.slow
def test_forecasts_are_products_of_the_transitions_ahead(panel):
    X, _, Z, m = panel
    ahead = pd.DataFrame({"z": [0.5, -1.0, 2.0]})
    shares = m.filter_proba(X[:3], covariates=Z[:3])[-1]
    forecast = m.forecast(X[:3], 3, covariates=Z[:3], future_covariates=ahead)
    for step, moves in enumerate(m.transition_matrix(ahead)):
        shares = shares @ moves
        np.testing.assert_allclose(forecast.state_probabilities[step], shares, atol=1e-12)
    left = bm.HiddenMarkovModel(
        2, covariate_effects="all", covariate_timing="left", random_state=0, n_init=2
    )
    left.fit(X, lengths=[3] * 500, covariates=Z)
    shares = left.filter_proba(X[:3], covariates=Z[:3])[-1]
    forecast = left.forecast(X[:3], 3, covariates=Z[:3], future_covariates=ahead)
    for step, moves in enumerate(left.transition_matrix(np.array([[Z["z"][2]], [0.5], [-1.0]]))):
        shares = shares @ moves
        np.testing.assert_allclose(forecast.state_probabilities[step], shares, atol=1e-12)


@pytest.mark.slow
def test_drawn_states_follow_the_transitions_at_their_covariates(panel):
    """Frequencies are within four standard errors, a false alarm in 16,000."""
    *_, m = panel
    z = np.where(np.arange(20_000) % 2, 2.0, -1.0)
    _, states = m.sample(20_000, random_state=5, covariates=pd.DataFrame({"z": z}))
    for value, moves in zip((-1.0, 2.0), m.transition_matrix([[-1.0], [2.0]]), strict=True):
        entered = np.flatnonzero(z[1:] == value) + 1
        for state in (0, 1):
            after = states[entered[states[entered - 1] == state]]
            error = np.sqrt(moves[state, 1] * moves[state, 0] / len(after))
            assert abs(after.mean() - moves[state, 1]) < 4.0 * error


@pytest.mark.slow
def test_profiles_of_states_have_shares_transitions_and_odds_ratios(panel):
    X, _, Z, m = panel
    profiles = bm.class_profiles(m, X)
    # Marginal probabilities of the states of every wave, before any value is known.
    side = [m.result_.mixture.weights.first_states(m.result_.side)]
    moves = m.transition_matrix(Z)
    for wave in (1, 2):
        side.append(np.einsum("ni,nij->nj", side[-1], moves[wave::3]))
    np.testing.assert_allclose(profiles.sizes["share"], np.mean(side, axis=(0, 1)), atol=1e-10)
    assert (profiles.sizes["standard_error"] > 0.0).all()
    np.testing.assert_allclose(profiles.transitions["estimate"], m.transmat_.ravel(), atol=1e-4)
    table = m.gate_coefficients(X)
    odds = profiles.contrasts.xs(("state 2", "state 1"), level=("state", "reference"))
    np.testing.assert_allclose(odds["estimate"], table["estimate"], rtol=1e-6)
    np.testing.assert_allclose(odds["standard_error"], table["standard_error"], rtol=2e-3)
    assert "From State 2" in profiles.to_apa("transitions").to_markdown()


@pytest.mark.slow
def test_a_search_finds_the_effects_of_covariates_and_predicts_with_them(panel, tmp_path):
    X, lengths, Z, m = panel
    options = {"random_state": 0, "n_init": 2, "search": "short"}
    search = bm.MixtureSearch(
        bm.HiddenMarkovModel(**options),
        n_components=[1, 2],
        param_grid={"covariate_effects": ["none", "transitions", "all"]},
    )
    search.fit(X, lengths=lengths, covariates=Z)
    assert search.best_params_ == {"covariate_effects": "all", "n_components": 2}
    assert search.best_score_ == pytest.approx(m.bic(X, lengths=lengths, covariates=Z), abs=1e-3)
    assert "normal states with covariates of first states and transitions" in search.summary()
    assert "The order of samples matters" in search.summary()
    search.save(tmp_path / "s.bayesmix")
    loaded = bm.load(tmp_path / "s.bayesmix")
    np.testing.assert_array_equal(
        loaded.predict(X, lengths=lengths, covariates=Z),
        m.predict(X, lengths=lengths, covariates=Z),
    )
    plain = search.estimators_[
        next(i for i, row in enumerate(search._rows) if "none" in row.parameters.values())
    ]
    alone = plain.score(X, lengths=lengths, covariates=Z)  # ignores them
    assert alone == plain.score(X, lengths=lengths)


@pytest.mark.slow
def test_held_out_sequences_have_their_covariates(panel):
    X, lengths, Z, _ = panel
    search = bm.MixtureSearch(
        bm.HiddenMarkovModel(covariate_effects="all", random_state=0, n_init=1, search="short"),
        n_components=[2],
        criterion="cv",
        cv=2,
    )
    search.fit(X, lengths=lengths, covariates=Z)
    # Fits to half of the sequences predict the others nearly as well as the fit to all.
    gap = search.best_estimator_.log_likelihood_ - search.best_score_
    assert 0.0 < gap < 4.0 * search.best_estimator_.n_parameters_


@pytest.mark.slow
def test_select_compares_no_effects_with_those_that_the_data_determine(panel):
    X, lengths, Z, _ = panel
    varying = bm.select(X, [1, 2], lengths=lengths, covariates=Z)
    assert varying.best_params_["covariate_effects"] == "all"
    constant = bm.select(X, [1, 2], lengths=lengths, covariates=Z[::3])
    assert set(constant.results_["covariate_effects"]) == {"none", "first", "all"}
    with pytest.raises(UnsupportedError, match="use criterion='bic' or 'cv'"):
        bm.select(X, [2], lengths=lengths, covariates=Z, criterion="elbo_log_k")


@pytest.mark.parametrize("effects", ["first", "transitions", "all"])
def test_a_state_that_collapses_is_moved(effects):
    """Identical values in one sequence are no state."""
    rng = generator(635)
    X = np.round(rng.normal(np.repeat([0.0, 4.0, 0.0, 4.0], 50)), 6)[:, None]
    X[10:16] = 1.234567
    Z = np.repeat(rng.normal(size=20), 10) if effects == "first" else rng.normal(size=200)
    m = bm.HiddenMarkovModel(3, covariate_effects=effects, random_state=0, n_init=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BayesmixWarning)
        m.fit(X, lengths=[10] * 20, covariates=Z)
    assert m.covariances_.min() > 1e-4


def test_tables_take_the_data_of_the_fit_as_predictions_do(panel):
    X, lengths, Z, model = panel
    given = {"lengths": lengths, "covariates": Z}
    assert model.parameter_table(X, **given).equals(model.parameter_table(X))
    assert model.gate_coefficients(X, **given).equals(model.gate_coefficients(X))
    with pytest.raises(InvalidInputError, match="covariates must be those of the fit"):
        model.gate_coefficients(X, covariates=Z[::-1])
    with pytest.raises(InvalidInputError, match="lengths must be those of the fit"):
        model.transition_matrix([[0.0]], X, lengths=[len(X)])


def test_the_column_that_makes_a_state_certain_is_named():
    rng = generator(640)
    treated = np.repeat(rng.random(150) < 0.5, 4)
    states = np.zeros(600, dtype=int)
    for row in range(600):  # only the treated leave state 0
        last = states[row - 1] if row % 4 else 0
        states[row] = rng.random() < (0.8 if last else 0.4 * treated[row]) and row % 4 > 0
    X, Z = rng.normal(6.0 * states)[:, None], pd.DataFrame({"treated": treated * 1.0})
    model = bm.HiddenMarkovModel(2, covariate_effects="transitions", random_state=0, n_init=2)
    with pytest.warns(BayesmixWarning, match=r"certain given covariates \(most: treated\)"):
        model.fit(X, lengths=[4] * 150, covariates=Z)
