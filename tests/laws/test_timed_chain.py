"""Hidden Markov chains in continuous time, at uneven times."""

from datetime import date
from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad_vec
from scipy.linalg import expm
from scipy.optimize import approx_fprime

import bayesmix as bm
from bayesmix.allocation.gate import Gate
from bayesmix.allocation.matrix_exponentials import MatrixExponentials
from bayesmix.allocation.timed_chain import Elapsed, TimedChain
from bayesmix.allocation.timed_covariate_chain import TimedCovariateChain
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
    integrals = MatrixExponentials(chain.rates[None], times).integrals(ratios)
    assert_allclose(integrals.sum(axis=0), expected, rtol=1e-10)
    one_each = np.repeat(chain.rates[None], 3, axis=0)
    assert_allclose(MatrixExponentials(one_each, times).integrals(ratios), integrals, rtol=1e-12)


def test_integrals_of_fast_jumps_do_not_overflow():
    rates = np.array([[[-2000.0, 2000.0], [0.1, -0.1]]])
    integrals = MatrixExponentials(rates, np.array([3.0])).integrals(np.ones((1, 2, 2)))
    assert np.isfinite(integrals).all()
    # All pairs sum to the time, whatever the path.
    shares = expm(3.0 * rates[0])
    pairs = MatrixExponentials(rates, np.array([3.0])).integrals(np.eye(2)[None] / shares)
    assert_allclose(np.trace(pairs[0]) / 2.0, 3.0, rtol=1e-6)


def brute_force(chain, joint, rows):
    """Return the log likelihood by all paths, from exponentials of generators."""
    side, K = rows.side, chain.n_components
    elapsed = side.elapsed
    spans = elapsed.distinct[elapsed.codes] * elapsed.unit
    ends = [*np.flatnonzero(side.begins), len(spans)]
    total = 0.0
    for start, end in pairwise(ends):
        moves = []
        for t in range(start + 1, end):
            rates = np.where(chain.allowed, np.exp(chain.log_rates @ side.covariates[t - 1]), 0.0)
            over = expm((rates - np.diag(rates.sum(axis=1))) * spans[t])
            if elapsed.exact[t]:  # state 2 is never left
                over = over @ (rates * np.array([0.0, 0.0, 1.0]))
            moves.append(over)
        first, values = chain.first_states(side)[0], []
        for path in product(range(K), repeat=end - start):
            value = first[path[0]] * np.exp(joint[np.arange(start, end), path].sum())
            for own, (before, after) in zip(moves, pairwise(path), strict=True):
                value *= own[before, after]
            values.append(value)
        total += np.log(np.sum(values))
    return total


@pytest.fixture(scope="module")
def with_covariates():
    """Return a chain of three states whose last is never left, and rows with exact times."""
    rng = np.random.default_rng(0)
    n, begins, exact = 12, np.arange(12) % 6 == 0, np.isin(np.arange(12), [5, 9])
    elapsed = Elapsed.of(np.cumsum(rng.exponential(size=n)), begins, None, exact)
    covariates = np.column_stack([np.ones(n), rng.normal(size=n)])
    allowed = np.array([[False, True, True], [True, False, True], [False, False, False]])
    log_rates = np.where(allowed[..., None], 0.5 * rng.normal(size=(3, 3, 2)), 0.0)
    gate = Gate(np.array([[0.0], [0.7], [-0.4]]), np.full(3, 1 / 3), np.zeros(1))
    side = SideInformation(begins=begins, elapsed=elapsed, covariates=covariates)
    joint = np.log(rng.random((n, 3)))
    chain = TimedCovariateChain(gate, log_rates, allowed, elapsed.unit)
    return chain, joint, Rows(np.zeros((n, 1)), side=side)


def test_likelihood_with_covariates_and_exact_times_is_the_sum_over_all_paths(with_covariates):
    chain, joint, rows = with_covariates
    total = chain.allocate(joint.copy(), rows).log_normaliser.sum()
    assert_allclose(total, brute_force(chain, joint, rows), rtol=1e-10)


@pytest.mark.parametrize("constant", [False, True])
def test_score_with_exact_times_is_the_gradient(with_covariates, constant):
    chain, joint, rows = with_covariates
    if constant:
        rates = np.where(chain.allowed, np.exp(chain.log_rates[..., 0]), 0.0)
        chain = TimedChain.of(np.array([0.5, 0.3, 0.2]), rates)
    free = FreeAllocation.of(chain)
    away = 0.1 * np.random.default_rng(3).normal(size=free.size)

    def log_likelihood(steps):
        return free.moved(steps).allocate(joint.copy(), rows).log_normaliser.sum()

    at = free.moved(away)
    exact = free.score(at, at.allocate(joint.copy(), rows).statistics)
    assert_allclose(approx_fprime(away, log_likelihood, 1e-7), exact, atol=1e-5)


# Rates that Jackson (2011) estimated for the heart transplants of msm's data cav.
CAV = np.array(
    [[0, 0.12787, 0, 0.0425], [0.22512, 0, 0.34261, 0.04021], [0, 0.13062, 0, 0.30648], [0] * 4]
)


def transplants(n_patients=60, seed=0):
    """Return patients, years, states and deaths by the rates of cav, with a covariate."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(n_patients):
        year, state, path, end = 0.0, 0, [(0.0, 0)], rng.uniform(5, 15)
        male = float(rng.random() < 0.5)
        while state != 3 and year < end:
            rates = CAV[state] * np.exp(0.5 * male)
            year += rng.exponential(1 / rates.sum())
            state = int(rng.choice(4, p=rates / rates.sum()))
            path.append((year, state))
        death = year if state == 3 else np.inf
        visits = np.r_[0.0, np.cumsum(rng.uniform(0.8, 2.5, 12))]
        for visit in visits[visits < min(end, death)]:
            rows.append((patient, visit, [s for t, s in path if t <= visit][-1], False, male))
        if death < end:
            rows.append((patient, death, 3, True, male))
    table = pd.DataFrame(rows, columns=["patient", "year", "state", "dead", "male"])
    return table[table.groupby("patient")["year"].transform("size") > 1]


def observed_log_likelihood(table, jumps):
    """Return msm's log likelihood of observed states, from rates (n, 4, 4) of jumps."""
    rates = jumps - jumps.sum(axis=2)[..., None] * np.eye(4)
    follows = (table["patient"].diff() == 0).to_numpy()
    states, spans = table["state"].to_numpy(), table["year"].diff().to_numpy()
    total = 0.0
    for n in np.flatnonzero(follows):
        over = expm(rates[n - 1] * spans[n])
        if table["dead"].iloc[n]:
            over = over @ jumps[n - 1]
        total += np.log(over[states[n - 1], states[n]])
    return total


@pytest.mark.parametrize("covariate", [False, True])
def test_observed_states_with_deaths_are_the_model_of_msm(covariate):
    table, nan = transplants(), np.nan
    pattern = np.where(CAV > 0.0, nan, 0.0)
    hold = {"probabilities": [np.eye(4)], "generator": pattern}
    model = bm.HiddenMarkovModel(4, family=bm.Categorical(), hold=hold, random_state=0)
    Z = table[["male"]] if covariate else None
    model.set_params(covariate_effects="transitions" if covariate else "none")
    model.set_params(hold=hold if covariate else hold | {"startprob": [1.0, 0.0, 0.0, 0.0]})
    given = {"times": table["year"], "exact_times": table["dead"], "covariates": Z}
    model.fit(table[["state"]], groups=table["patient"], **given)
    allowed = CAV > 0.0
    # Each patient has another covariate, which is constant.
    male = table["male"].to_numpy() if covariate else np.zeros(len(table))

    def jumps(x):
        rates = np.zeros((len(table), 4, 4))
        rates[:, allowed] = np.exp(x[:7] + male[:, None] * x[7:])
        return rates

    slopes = np.zeros(7)
    if covariate:
        slopes = model.gate_coef_[1:, :, 0][allowed]
        logs = model.gate_intercept_[1:][allowed]
    else:
        logs = np.log(model.generator_[allowed])
    at = np.append(logs, slopes)
    exact = observed_log_likelihood(table, jumps(at))
    assert_allclose(model.log_likelihood_, exact, rtol=1e-9)
    size = 14 if covariate else 7
    slope = approx_fprime(
        at[:size], lambda x: observed_log_likelihood(table, jumps(np.append(x, at[size:]))), 1e-6
    )
    assert_allclose(slope, 0.0, atol=0.05)
    assert model.n_parameters_ == size + 3 * covariate
    assert (model.generator_[~allowed & ~np.eye(4, dtype=bool)] == 0.0).all()
    assert model.expected_durations_[3] == np.inf


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


@pytest.mark.parametrize(
    "times",
    [
        pd.date_range("2020-01-01", periods=4, tz="Europe/Berlin"),
        [date(2020, 1, day) for day in (1, 2, 3, 4)],
        pd.Series(pd.timedelta_range("1D", periods=4)),
        pd.Series(range(4), dtype="Int64"),
    ],
)
def test_dates_of_any_kind_are_days(times):
    X = [[0.0], [1.0], [2.5], [0.5]]
    assert bm.HiddenMarkovModel(1).fit(X, times=times).result_.side.elapsed.unit == 1.0


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (["2020-01-01", "2020-01-02", "2020-01-03"], "numbers or dates, got '2020-01-01'"),
        ([1.0, None, 3.0], r"no missing values, got one for row 1 \(row 1 of sequence 0\)"),
        (pd.to_datetime(["2020-01-01", "2020-01-02", None]), "got one for row 2"),
        (pd.period_range("2020-01", periods=3, freq="M"), "numbers or dates, got '2020-01'"),
        (np.ma.masked_equal([1.0, 2.0, 3.0], 2.0), "masked"),
        ([1.0, 2.0], r"shape \(3,\)"),
    ],
)
def test_times_that_are_no_times_are_named(times, message):
    with pytest.raises(InvalidInputError, match=message):
        bm.HiddenMarkovModel(1).fit([[0.0], [1.0], [2.5]], times=times)


def test_tables_take_the_sequences_and_times_of_the_fit(fitted):
    model, X, times, lengths = fitted
    table = model.parameter_table(X, lengths=lengths, times=times)
    assert table.equals(model.parameter_table(X))
    with pytest.raises(InvalidInputError, match="lengths must be those of the fit"):
        model.parameter_table(X, lengths=[len(X)])
    with pytest.raises(InvalidInputError, match="times must be those of the fit"):
        model.parameter_table(X, lengths=lengths, times=times**2)
    with pytest.raises(InvalidInputError, match="covariates must be left out"):
        model.parameter_table(X, covariates=X)


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


def test_wrong_exact_times_and_rates_are_named():
    table = transplants(10)
    X, given = table[["state"]], {"groups": table["patient"], "times": table["year"]}
    hmm = bm.HiddenMarkovModel(2, family=bm.Categorical())
    with pytest.raises(InvalidInputError, match="exact_times needs times"):
        hmm.fit(X, groups=table["patient"], exact_times=table["dead"])
    with pytest.raises(InvalidInputError, match="exact_times needs absorbing states"):
        hmm.fit(X, **given, exact_times=table["dead"])
    with pytest.raises(InvalidInputError, match="True or False"):
        hmm.fit(X, **given, exact_times=[1.0])
    hmm.set_params(hold={"generator": [[np.nan, -1.0], [0.0, 0.0]]})
    with pytest.raises(InvalidInputError, match=r"hold\['generator'\]\[0, 1\] must be at least 0"):
        hmm.fit(X, **given, exact_times=table["dead"])


def test_searches_with_times_compare_fits_with_times(fitted):
    model, X, times, lengths = fitted
    Z = np.random.default_rng(5).normal(size=len(X))
    given = {"lengths": lengths, "times": times}
    quick = bm.HiddenMarkovModel(covariance_type="diag", search="short", n_init=2, random_state=0)
    search = bm.MixtureSearch(quick, [1, 2], criterion="bic").fit(X, **given)
    assert search.best_params_["n_components"] == 2
    best = search.best_estimator_
    assert_allclose(best.log_likelihood_, model.log_likelihood_, rtol=1e-7)
    assert_allclose(np.sort(best.generator_.diagonal()), np.sort(model.generator_.diagonal()), 1e-3)
    effects = {"covariate_effects": ["none", "transitions"]}
    again = bm.MixtureSearch(quick, [2], criterion="bic", param_grid=effects)
    again.fit(X, **given, covariates=Z)
    # Without effects of covariates the times remain.
    without = again.results_.set_index("covariate_effects").loc["none", "bic"]
    assert_allclose(without, model.bic(), rtol=1e-7)
    with pytest.raises(UnsupportedError, match="times need maximum likelihood"):
        bm.select(X, [2], criterion="elbo_log_k", **given)
    with pytest.raises(InvalidInputError, match="times are for HiddenMarkovModel"):
        bm.MixtureSearch(n_components=[1, 2]).fit(X, times=times)


@pytest.mark.slow
def test_regressions_in_states_take_uneven_times():
    _, times, lengths = simulated(4, 40, seed=2)
    rng = np.random.default_rng(2)
    x, states, starts = rng.normal(size=160), [], np.arange(160) % 40 == 0
    for n in range(160):
        stay = 0 if starts[n] else states[-1]
        moves = np.eye(2) if starts[n] else expm(RATES * (times[n] - times[n - 1]))
        states.append(int(rng.random() < moves[stay, 1]))
    y = np.where(states, -1 - x, 1 + 2 * x) + 0.5 * rng.normal(size=160)
    model = bm.RegressionMixture(2, n_init=4, random_state=0)
    model.fit(x[:, None], y, lengths=lengths, times=times)
    logs = -0.5 * ((y[:, None] - model.intercept_ - x[:, None] * model.coef_.T) / model.scale_) ** 2
    logs -= np.log(np.sqrt(2 * np.pi) * model.scale_)
    total = 0.0
    for n, own in enumerate(np.exp(logs)):
        if starts[n]:
            share = model.startprob_
        else:
            share = share @ expm(model.generator_ * (times[n] - times[n - 1]))
        total += np.log((share * own).sum())
        share = share * own / (share * own).sum()
    assert_allclose(model.log_likelihood_, total, rtol=1e-9)
    scores = model.score_samples(x[:, None], y, lengths=lengths, times=times)
    assert_allclose(scores.sum(), total, rtol=1e-9)
    rates = model.coefficients().loc["transition rate"]
    # |z| < 4: 1 false alarm in 16,000 for each of 2 rates.
    order = np.argsort(-model.coef_[:, 0])
    estimates = rates["estimate"].to_numpy().reshape(2, 2)[np.ix_(order, order)]
    errors = rates["standard_error"].to_numpy().reshape(2, 2)[np.ix_(order, order)]
    assert (np.abs(estimates - np.abs(RATES)) < 4 * errors).all()
    search = bm.MixtureSearch(bm.RegressionMixture(n_init=2), [1, 2], criterion="cv")
    search.fit(x[:, None], y, lengths=lengths, times=times)
    assert search.best_params_["n_components"] == 2
    with pytest.raises(InvalidInputError, match="times of the samples are needed"):
        model.predict_proba(x[:, None], y, lengths=lengths)
    with pytest.raises(InvalidInputError, match="times need lengths or sequences"):
        bm.RegressionMixture(2).fit(x[:, None], y, times=times)
