"""Regressions as the states of a Markov chain: switching regressions and autoregressions."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime, minimize
from scipy.special import log_softmax, logsumexp
from scipy.stats import norm

import bayesmix as bm
from bayesmix.allocation.chain import MarkovChain, stationary_distribution
from bayesmix.allocation.gate import Gate
from bayesmix.allocation.gated_chain import CovariateChain
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.regressions.regression_vector import ParameterVector


@pytest.fixture(scope="module")
def rates():
    """Federal funds rate from its fifth quarter, with its lag, output gap and inflation."""
    table = pd.read_csv("tests/data/fedfunds.csv")
    table.insert(1, "lag", table["rate"].shift())
    return table.iloc[4:]


@pytest.fixture(scope="module")
def returns():
    return bm.lagged(pd.read_csv("tests/data/areturns.csv")["absolute_return"])


def simulated(response="normal", n=120, seed=0):
    """Return columns, responses and states of a chain of two states that last."""
    rng = np.random.default_rng(seed)
    states = np.arange(n) // 20 % 2
    X = rng.normal(size=(n, 1))
    eta = np.where(states == 0, -0.5 + X[:, 0], 1.2 - 0.7 * X[:, 0])
    y = {
        "normal": lambda: rng.normal(eta, 0.4),
        "poisson": lambda: rng.poisson(np.exp(eta)),
        "binomial": lambda: rng.binomial(1, 1 / (1 + np.exp(-3 * eta))),
        "gamma": lambda: rng.gamma(3, np.exp(eta) / 3),
        "negative_binomial": lambda: rng.negative_binomial(3, 3 / (3 + np.exp(eta))),
        "zero_inflated_poisson": lambda: rng.poisson(np.exp(eta)) * (rng.random(n) < 0.7),
        "censored_normal": lambda: np.clip(rng.normal(eta, 0.4), -1, 2),
        "ordinal": lambda: rng.binomial(3, 1 / (1 + np.exp(-2 * eta))),
    }[response]()
    return X, y, states


def with_parameters(model, chain, coefficients, dispersion):
    """Return a fit at other parameters, whose coefficients are in units of the data."""
    inside = np.linalg.solve(model._data.design.back, np.transpose(coefficients)).T
    components = replace(
        model._mixture.components, coefficients=inside, dispersion=np.array(dispersion)
    )
    model._mixture = replace(model._mixture, weights=chain, components=components)
    return model


RESPONSES = (
    *("normal", "poisson", "binomial", "gamma", "negative_binomial", "zero_inflated_poisson"),
    *("censored_normal", "ordinal"),
)


@pytest.mark.parametrize("timing", ["entered", "left", None])
@pytest.mark.parametrize("response", RESPONSES)
def test_likelihood_is_the_sum_over_all_paths(response, timing):
    X, y, _ = simulated(response)
    options = {"limits": (-1, 2)} if response == "censored_normal" else {}
    options |= {"limits": (0, 3)} if response == "ordinal" else {}
    z = np.linspace(-1, 1, len(y)) ** 3
    if timing is not None:
        options["covariate_timing"] = timing
    model = bm.RegressionMixture(2, response=response, n_init=4, random_state=0, **options)
    gate = None if timing is None else z
    model.fit(X, y, lengths=[60, 60], gate=gate)
    chosen = np.r_[18:23, 57:60]  # two sequences
    given = {"lengths": [5, 3]} | ({} if timing is None else {"gate": z[chosen]})
    logs = model._regressions.expected_log_density(model._data.values[chosen])
    moves = np.broadcast_to(np.log(model.transmat_), (8, 2, 2))
    if timing is not None:
        of_row = model.transition_matrix(z[chosen])
        moves = np.log(of_row if timing == "entered" else np.roll(of_row, 1, axis=0))
    side = replace(model._data.rows.side, begins=model._data.begins)
    with np.errstate(divide="ignore"):
        first = np.log(np.atleast_2d(model._mixture.weights.first_states(side))[0])
    total = 0.0
    for start, size in ((0, 5), (5, 3)):
        paths = [
            first[path[0]]
            + sum(moves[start + t, path[t - 1], path[t]] for t in range(1, size))
            + sum(logs[start + t, path[t]] for t in range(size))
            for path in product(range(2), repeat=size)
        ]
        total += np.logaddexp.reduce(paths)
    scores = model.score_samples(X[chosen], y[chosen], **given)
    assert_allclose(scores.sum(), total, rtol=1e-10)


def test_likelihood_at_the_parameters_of_stata_is_that_of_statsmodels(rates, returns):
    X, y = rates[["lag", "output_gap", "inflation"]], rates["rate"]
    model = bm.RegressionMixture(
        2, initial="stationary", residual_variance="shared", n_init=1, random_state=0
    ).fit(X, y, lengths=len(y))
    moves = np.array([[0.7279288, 1 - 0.7279288], [0.2114578, 1 - 0.2114578]])
    rows = [
        [0.6554954, 0.8314458, 0.1355425, -0.0273928],
        [-0.0944924, 0.9292574, 0.0343072, 0.2125275],
    ]
    chain = MarkovChain(stationary_distribution(moves), moves)
    model = with_parameters(model, chain, rows, [0.5764495**2] * 2)
    assert abs(model.score_samples(X, y).sum() + 229.25614433542597) < 1e-6

    X, y, lengths = returns
    model = bm.RegressionMixture(2, initial="stationary", n_init=1, random_state=0)
    model.fit(X, y, lengths=lengths)
    moves = np.array([[0.7530865, 1 - 0.7530865], [0.6825357, 1 - 0.6825357]])
    chain = MarkovChain(stationary_distribution(moves), moves)
    rows = [[0.7641424, 0.0790744], [1.972771, 0.527953]]
    model = with_parameters(model, chain, rows, [0.5895792**2, 1.605333**2])
    assert abs(model.score_samples(X, y).sum() + 745.7976973947547) < 1e-6


def test_likelihood_with_time_varying_transitions_is_that_of_statsmodels(returns):
    X, y, lengths = returns
    model = bm.RegressionMixture(2, n_init=1, random_state=0)
    model.fit(np.empty((len(y), 0)), y, lengths=lengths, gate=X)
    # statsmodels starts from what the transition to the first row preserves.
    first = np.log(0.36140928829 / 0.63859071171)
    odds = [[-1.0, 0.4], [-0.5, -0.3]]  # of state 2: minus those of "p[i->0]"
    free = np.linalg.solve(model._data.gate.back, np.transpose(odds)).T
    none = np.zeros(2)
    gates = [Gate(np.array([[0.0], [first]]), np.full(2, 0.5), none[:1])]
    gates += [Gate(np.array([none, row]), np.full(2, 0.5), none) for row in free]
    chain = CovariateChain(tuple(gates))
    model = with_parameters(model, chain, [[0.7], [2.0]], [0.4, 2.2])
    scores = model.score_samples(np.empty((len(y), 0)), y, gate=X)
    assert abs(scores.sum() + 823.0072284159027) < 1e-6


def test_maxima_and_standard_errors_are_those_of_stata(rates, returns):
    shared = {"initial": "stationary", "residual_variance": "shared", "random_state": 0}
    y = rates["rate"]
    n = len(y)
    assert_allclose(
        bm.RegressionMixture(2, **shared).fit(rates[["lag"]], y, lengths=n).log_likelihood_,
        bm.RegressionMixture(2, **shared, n_init=60)
        .fit(rates[["lag"]], y, lengths=n)
        .log_likelihood_,
        atol=1e-4,
    )
    X = rates[["lag", "output_gap", "inflation"]]
    model = bm.RegressionMixture(2, **shared).fit(X, y, lengths=n)
    assert abs(model.log_likelihood_ + 229.25614) < 1e-4
    table = model.coefficients()
    first = "state 1" if model.coef_[0, 0] > model.coef_[1, 0] else "state 2"
    other = {"state 1": "state 2", "state 2": "state 1"}[first]
    # Stata's second regime is ``first``: p11 and p21, and coefficients with their errors.
    moves = table.loc["transition", "standard_error"]
    assert_allclose(moves[other, f"to {other[-1]}"], 0.0929915, rtol=0.01)
    assert_allclose(moves[first, f"to {other[-1]}"], 0.0641179, rtol=0.01)
    errors = {
        other: [0.1373889, 0.0333236, 0.0294113, 0.0408057],
        first: [0.1279231, 0.0270852, 0.0240138, 0.0297351],
    }
    for state, expected in errors.items():
        own = table.loc[("coefficient", state), "standard_error"]
        assert_allclose(own, expected, rtol=0.01)
    # statsmodels reports the variance.
    scale = table.loc[("scale", "all", "")]
    variance_error = 2 * scale["estimate"] * scale["standard_error"]
    assert_allclose(variance_error, 0.03488232637756, rtol=0.01)

    X, y, lengths = returns
    model = bm.RegressionMixture(2, initial="stationary", random_state=0)
    model.fit(X, y, lengths=lengths)
    assert abs(model.log_likelihood_ + 745.7977) < 1e-4
    table = model.coefficients()
    expected = [0.0782852, 0.0301862, 0.2784204, 0.0857841]
    assert_allclose(table.loc["coefficient", "standard_error"], expected, rtol=0.01)
    variances = 2 * model.scale_ * table.loc["scale", "standard_error"]
    assert_allclose(variances, [0.0610527060, 0.405421179], rtol=0.01)


@pytest.mark.slow
def test_maximum_of_three_regimes_is_above_that_of_stata(rates):
    X, y = rates[["lag", "output_gap", "inflation"]], rates["rate"]
    model = bm.RegressionMixture(
        3, initial="stationary", residual_variance="shared", random_state=0
    ).fit(X, y, lengths=len(y))
    assert model.log_likelihood_ > -180.80562 - 1e-4  # statsmodels with 20 random starts


def test_components_without_coefficients_differ_by_their_dispersions():
    """Direct maximisation; states of mean 0 have the variances of a Markov chain."""
    rng = np.random.default_rng(7)
    calm = np.arange(300) // 50 % 2 == 0
    y = np.where(calm, rng.normal(0, 0.5, 300), rng.normal(0, 3.0, 300))

    def mixture(theta):
        densities = norm.logpdf(y[:, None], 0.0, np.exp(theta[1:]))
        return -logsumexp(densities + log_softmax([0.0, theta[0]]), axis=1).sum()

    def chain(theta):
        moves = log_softmax(np.stack([[0.0, theta[0]], [0.0, theta[1]]]), axis=1)
        densities = norm.logpdf(y[:, None], 0.0, np.exp(theta[3:]))
        forward = log_softmax([0.0, theta[2]]) + densities[0]
        for row in densities[1:]:
            forward = logsumexp(forward[:, None] + moves, axis=0) + row
        return -logsumexp(forward)

    for start, value, given in (
        ([0.0, -0.7, 1.1], mixture, {}),
        ([-4.0, 4.0, -4.0, -0.7, 1.1], chain, {"lengths": [300]}),
    ):
        model = bm.RegressionMixture(2, fit_intercept=False, random_state=0)
        model.fit(np.empty((300, 0)), y, **given)
        best = -minimize(value, start, method="BFGS").fun
        assert_allclose(model.log_likelihood_, best, atol=1e-3)
        assert model.n_parameters_ == len(start)
        table = model.coefficients()
        assert set(table.index.get_level_values("part")) <= {
            "share",
            "start",
            "transition",
            "scale",
        }
        assert_allclose(model.predict(np.empty((2, 0))), 0.0)
    with pytest.raises(InvalidInputError, match="minimum of 1"):
        bm.RegressionMixture(2, response="poisson", fit_intercept=False).fit(
            np.empty((300, 0)), np.abs(y).round()
        )


def test_autoregression_without_intercept_has_the_maximum_and_errors_of_statsmodels():
    every = pd.read_csv("tests/data/fedfunds.csv")["rate"]
    X, y, lengths = bm.lagged(every - every.mean())
    model = bm.RegressionMixture(2, initial="stationary", fit_intercept=False, random_state=0)
    model.fit(X, y, lengths=lengths)
    # ``MarkovAutoregression(order=1, trend="n", switching_variance=True)``
    assert_allclose(model.log_likelihood_, -227.932007944, atol=1e-4)
    errors = model.coefficients()["standard_error"]
    assert_allclose(errors["coefficient"], [0.01400177, 0.03811340], rtol=0.01)
    assert_allclose(errors["transition"].iloc[[0, 2]], [0.02723250, 0.04989132], rtol=0.01)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"initial": "stationary"},
        {"residual_variance": "shared"},
        {"gate": "sample"},
        {"gate": "sample", "covariate_timing": "left"},
        {"gate": "sample", "covariate_effects": "all"},
        {"gate": "sequence", "covariate_effects": "first"},
    ],
    ids=str,
)
def test_scores_are_the_gradient_of_the_log_likelihood(options):
    X, y, _ = simulated(n=240)
    options = dict(options)
    gate = {
        None: None,
        "sample": np.sin(np.arange(240.0)),
        "sequence": np.cos(np.arange(10.0))[:, None],
    }[options.pop("gate", None)]
    model = bm.RegressionMixture(2, n_init=4, random_state=0, **options)
    model.fit(X, y, lengths=[24] * 10, gate=gate)
    layout = ParameterVector(model._data, model._mixture)
    away = layout.theta + 0.01 * layout.scale

    def log_likelihood(theta):
        (rows,) = model._data.blocks()
        return layout._allocated(theta, rows)[2].log_normaliser.sum()

    exact = layout.score(away)
    numeric = approx_fprime(away, log_likelihood, 1e-7)
    assert_allclose(numeric, exact, atol=1e-4 * np.abs(exact).max())
    units = layout.unit_scores()
    assert units.shape[0] == 10
    assert_allclose(units.sum(axis=0), layout.score(layout.theta) * layout.scale, atol=1e-4)


def test_table_has_transitions_and_coefficients_of_the_gate():
    X, y, _ = simulated(n=240)
    z = pd.DataFrame({"season": np.sin(np.arange(240.0))})
    model = bm.RegressionMixture(2, n_init=4, random_state=0).fit(X, y, lengths=240, gate=z)
    table = model.coefficients()
    parts = table.index.get_level_values("part").unique().tolist()
    assert parts == ["start", "transition", "gate", "coefficient", "scale"]
    assert ("gate", "state 1", "to 2: season") in table.index
    gate = table.loc["gate", "estimate"]
    at = model.transition_matrix(pd.DataFrame({"season": [0.5]}))[0]
    for state in (1, 2):
        odds = (
            gate[(f"state {state}", "to 2: intercept")]
            + 0.5 * gate[(f"state {state}", "to 2: season")]
        )
        assert_allclose(np.exp(log_softmax([0.0, odds])), at[state - 1], rtol=1e-10)
    assert np.isnan(table.loc[("start", "state 1", ""), "standard_error"])  # at its boundary


def test_shared_variance_of_one_component_is_its_own():
    X, y, _ = simulated()
    for response in ("normal", "gamma", "negative_binomial"):
        y = simulated(response)[1]
        fits = [
            bm.RegressionMixture(1, response=response, residual_variance=variance).fit(X, y)
            for variance in ("shared", "free")
        ]
        assert_allclose(fits[0].log_likelihood_, fits[1].log_likelihood_, atol=1e-8)
        assert fits[0].n_parameters_ == fits[1].n_parameters_


def test_one_step_predictions_mix_states_by_their_predicted_probabilities():
    X, y, _ = simulated()
    model = bm.RegressionMixture(2, n_init=4, random_state=0).fit(X, y, lengths=len(y))
    filtered = model.filter_proba(X, y)
    ahead = np.vstack([model.startprob_, filtered[:-1] @ model.transmat_])
    means = model.predict_components(X)
    assert_allclose(model.predict(X, y=y), (ahead * means).sum(axis=1))
    assert_allclose(model.predict(X), means @ model.stationary_distribution_)
    forecast = model.forecast(X[:-1], y[:-1], X[-1:])
    assert_allclose(forecast.mean[0, 0], model.predict(X, y=y)[-1])
    low, high = model.predict_interval(X, y=y)[-1]
    assert_allclose([forecast.lower[0, 0], forecast.upper[0, 0]], [low, high], rtol=1e-8)


def test_residuals_given_the_past_are_standard_normal():
    X, y, states = simulated(n=2000)
    model = bm.RegressionMixture(2, n_init=4, random_state=0).fit(X, y, lengths=[1000, 1000])
    residuals = model.residuals(X, y, lengths=[1000, 1000])
    # z < 4 of mean and variance: 1 false alarm in 10,000.
    assert abs(residuals.mean()) < 4 / np.sqrt(2000)
    assert abs(residuals.var() - 1) < 4 * np.sqrt(2 / 2000)
    path = model.decode(X, y, lengths=[1000, 1000])
    assert max((path == states).mean(), (path != states).mean()) > 0.97


@pytest.mark.parametrize("response", ["poisson", "normal"])
def test_states_of_a_saved_fit_are_the_same(response, tmp_path):
    X, y, _ = simulated(response)
    gate = np.linspace(-1, 1, len(y)) ** 3
    model = bm.RegressionMixture(2, response=response, n_init=2, random_state=0)
    model.fit(X, y, lengths=[60, 60], gate=gate)
    model.save(tmp_path / "m.bayesmix")
    loaded = bm.load(tmp_path / "m.bayesmix")
    given = {"lengths": [60, 60], "gate": gate}
    assert_allclose(loaded.predict_proba(X, y, **given), model.predict_proba(X, y, **given))
    assert loaded.coefficients().equals(model.coefficients())


def test_bound_of_a_variational_chain_never_falls():
    X, y, _ = simulated()
    model = bm.RegressionMixture(2, inference=bm.VariationalBayes(), n_init=2, random_state=0)
    model.fit(X, y, lengths=[60, 60])
    assert (np.diff(model.objective_trace_) > -1e-8).all()
    alone = bm.RegressionMixture(inference=bm.VariationalBayes()).fit(X, y, lengths=[60, 60])
    independent = bm.RegressionMixture(inference=bm.VariationalBayes()).fit(X, y)
    assert_allclose(alone.elbo_, independent.elbo_, rtol=1e-12)


def test_lags_begin_anew_in_every_sequence():
    y = pd.Series(np.arange(7.0), index=list("abcdefg"), name="rate")
    X, left, lengths = bm.lagged(y, 2, np.arange(7.0) ** 2, sequences=[0, 0, 0, 1, 1, 1, 1])
    assert lengths == [1, 2]
    assert left.index.tolist() == ["c", "f", "g"]
    assert list(X) == ["rate_lag1", "rate_lag2", "X0"]
    assert X.to_numpy().tolist() == [[1, 0, 4], [4, 3, 25], [5, 4, 36]]
    with pytest.raises(InvalidInputError, match=r"sequence 0 has 3 samples"):
        bm.lagged(y, 3, lengths=[3, 4])


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"lengths": [100, 19]}, InvalidInputError, "sum to the number of samples, 120"),
        ({"sequences": [0, 1] * 60}, InvalidInputError, "sequences must be contiguous"),
        ({"lengths": 120, "groups": np.arange(120)}, InvalidInputError, "groups, leave it out"),
        ({"lengths": 120, "sample_weight": np.ones(120)}, InvalidInputError, "sample_weight"),
        ({"lengths": [1] * 120}, InvalidInputError, "one sample, so there are no transitions"),
        ({"lengths": 120, "gate": np.r_[np.nan, np.ones(119)]}, InvalidInputError, "sequence 0"),
        ({"lengths": 120, "gate": np.ones(100)}, InvalidInputError, "row 100 of sequence 0"),
    ],
)
def test_wrong_sequences_are_named(given, error, text):
    X, y, _ = simulated()
    with pytest.raises(error, match=text):
        bm.RegressionMixture(2).fit(X, y, **given)


def test_what_chains_do_not_support_is_said():
    X, y, _ = simulated()
    with pytest.raises(UnsupportedError, match="random=None"):
        bm.RegressionMixture(2, random=()).fit(X, y, lengths=120)
    model = bm.RegressionMixture(2, n_init=2, random_state=0).fit(X, y, lengths=120)
    with pytest.raises(UnsupportedError, match="two sequences or more"):
        model.coefficients(robust=True)
    with pytest.raises(UnsupportedError, match="bootstrap does not support sequences"):
        model.parameter_table("bootstrap")
    with pytest.raises(InvalidInputError, match="groups must be left out"):
        model.predict_proba(X, y, groups=np.arange(120))
    with pytest.raises(InvalidInputError, match="needs responses y"):
        model.predict(X, lengths=120)
    plain = bm.RegressionMixture(2, n_init=2, random_state=0).fit(X, y)
    with pytest.raises(InvalidInputError, match="needs a fit with lengths"):
        plain.decode(X, y)
    with pytest.raises(InvalidInputError, match="lengths must be left out"):
        plain.predict_proba(X, y, lengths=120)


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["bic", "cv", "elbo_log_k"])
def test_search_finds_the_number_of_states(criterion):
    X, y, _ = simulated(n=300)
    inference = bm.VariationalBayes() if criterion == "elbo_log_k" else None
    regressions = bm.RegressionMixture(inference=inference, n_init=6)
    search = bm.MixtureSearch(regressions, [1, 2, 3], criterion=criterion, random_state=0)
    search.fit(X, y, lengths=300)
    assert search.n_components_ == 2
    assert search.summary().startswith("2 states")


def test_folds_of_sequences_condition_on_the_past_alone():
    X, y, _ = simulated(n=240)
    regressions = bm.RegressionMixture(n_init=2)
    cv = [(np.arange(120), np.arange(120, 240)), (np.arange(120, 240), np.arange(120))]
    search = bm.MixtureSearch(regressions, [2], criterion="cv", cv=cv, random_state=0)
    search.fit(X, y, lengths=[120, 120])
    halves = [slice(0, 120), slice(120, 240)]
    expected = 0.0
    for train, test in (halves, halves[::-1]):
        model = bm.RegressionMixture(2, n_init=2, random_state=search.best_estimator_.random_state)
        model.fit(X[train], y[train], lengths=120)
        expected += model.score_samples(X[test], y[test]).sum()
    assert_allclose(search.results_["cv"][0], expected, rtol=1e-6)


def test_search_compares_effects_of_covariates_on_transitions():
    X, y, _ = simulated(n=240)
    grid = {"covariate_effects": ["none", "transitions"]}
    regressions = bm.RegressionMixture(n_init=2)
    search = bm.MixtureSearch(regressions, [2], param_grid=grid, criterion="bic", random_state=0)
    noise = np.random.default_rng(0).normal(size=240)
    search.fit(X, y, sequences=np.repeat([3, 1], 120), gate=noise)
    assert search.best_params_["covariate_effects"] == "none"
