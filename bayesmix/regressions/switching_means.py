"""Autoregressions around a mean that switches with the state (Hamilton 1989).

y_t - μ(s_t) = Σ_j φ_j (y_t-j - μ(s_t-j)) + ε_t. The density of y_t depends on the states at t and
at its p lags, so filtering and smoothing run over tuples of p + 1 states (Hamilton 1994, section
22.4). All parameters move together by BFGS, with the exact score by Fisher's identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import optimize
from scipy.special import softmax

from bayesmix.allocation.chain import (
    LEAST_MOVE,
    log_stationary_slopes,
    stationary_distribution,
)
from bayesmix.core import validation
from bayesmix.core.nouns import counted, ordered_index, part_names
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.printed_numbers import percent, significant
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.em.shown import Shown, ShownTable
from bayesmix.errors import DegenerateFitError, InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers, frozen
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.parameter_errors import bounded_intervals, normal_quantile
from bayesmix.regressions.lags import lagged
from bayesmix.regressions.regression_vector import domains_of

if TYPE_CHECKING:
    import pandas as pd

VARIANCES = ("shared", "free")
# Numbers in the probabilities of all tuples: half a gigabyte.
MOST_NUMBERS = 2**26
# Gradient per observation, in standardised units, at which a run ends.
GRADIENT = 1e-7
# Step of differences of the score.
STEP = 1e-5
# Log odds of transitions, beyond which chains have no stationary distribution to rounding.
MOST_ODDS = -float(np.log(LEAST_MOVE))
# Standard deviation of a state, relative to that of the series, that is a collapsed one.
COLLAPSED = 1e-3
# Runs within this distance, in nats, have reached the same optimum.
SAME = 1e-3
# Probability of staying, of starts.
STAYS = 0.8
# Information per observation below which a parameter is at its boundary.
FLAT = 1e-7


@dataclass(frozen=True)
class Parameters:
    """Transitions (K, K), means (K,), coefficients of the lags (p,), and variances (K,)."""

    transitions: Array
    means: Array
    lags: Array
    variances: Array


@dataclass(frozen=True)
class LaggedSeries:
    """Responses (n,) with their lags (n, p); ``begins`` (n,) marks the first of each sequence."""

    responses: Array
    lags: Array
    begins: Booleans
    n_states: int
    shared: bool  # whether all states have the same variance

    @cached_property
    def states(self) -> Integers:
        """States (p + 1, K^(p + 1)) of the tuples, at t, t - 1, ..., t - p."""
        p = self.lags.shape[1]
        return np.indices((self.n_states,) * (p + 1)).reshape(p + 1, -1)

    @property
    def places(self) -> tuple[slice, slice, slice]:
        """Places of means, lags and log deviations; log odds of transitions come first."""
        K, p = self.n_states, self.lags.shape[1]
        first = K * (K - 1)
        return slice(first, first + K), slice(first + K, first + K + p), slice(first + K + p, None)

    @property
    def n_parameters(self) -> int:
        K = self.n_states
        return K * (K - 1) + K + self.lags.shape[1] + (1 if self.shared else K)

    @property
    def changes(self) -> Booleans:
        """Which transitions (K, K) are to another state."""
        return ~np.eye(self.n_states, dtype=bool)

    def log_odds(self, theta: Array) -> Array:
        """Return log odds (K, K) of transitions, 0 for staying."""
        odds = np.zeros_like(self.changes, dtype=np.float64)
        odds[self.changes] = theta[: self.places[0].start]
        return odds

    def at(self, theta: Array) -> Parameters:
        """Return the parameters at unknowns."""
        means, lags, deviations = self.places
        variances = np.broadcast_to(np.exp(2.0 * theta[deviations]), self.n_states)
        transitions = softmax(self.log_odds(theta), axis=1)
        return Parameters(transitions, theta[means], theta[lags], variances)

    def residuals(self, at: Parameters) -> tuple[Array, Array]:
        """Return residuals (n, E) given tuples, and minus their slopes (E, K) in the means."""
        own = np.eye(self.n_states)[self.states]  # (p + 1, E, K)
        slopes = own[0] - np.tensordot(at.lags, own[1:], 1)
        return (self.responses - self.lags @ at.lags)[:, None] - slopes @ at.means, slopes

    def filtered(self, at: Parameters) -> tuple[float, Array, Array]:
        """Return the log likelihood, and filtered and predicted probabilities (n, E) of tuples.

        Predicted ones are given the past, filtered ones given the present response too.
        """
        K, P = self.n_states, at.transitions
        residuals, _ = self.residuals(at)
        variances = at.variances[self.states[0]]
        logs = -0.5 * (residuals**2 / variances + np.log(2.0 * np.pi * variances))
        most = logs.max(axis=1)
        densities = np.exp(logs - most[:, None])
        first = stationary_distribution(P)[self.states[-1]]
        for later, earlier in pairwise(self.states):
            first = first * P[earlier, later]
        # From the state at t, the first of a tuple, to the next.
        moves = P[self.states[0][::K]].T
        filtered, predicted = np.empty((2, *densities.shape))
        total = 0.0
        for t, begins in enumerate(self.begins):
            predicted[t] = first
            if not begins:
                kept = filtered[t - 1].reshape(-1, K).sum(axis=1)
                predicted[t] = (moves * kept).ravel()
            filtered[t] = predicted[t] * densities[t]
            mass = filtered[t].sum()
            if not mass > 0.0:  # impossible to rounding, far from any optimum
                return -np.inf, filtered, predicted
            filtered[t] /= mass
            total += np.log(mass)
        return float(total + most.sum()), filtered, predicted

    def smoothed(self, at: Parameters, filtered: Array, predicted: Array) -> Array:
        """Return probabilities (n, E) of tuples given the whole sequence."""
        K = self.n_states
        moves, out = at.transitions[self.states[0][::K]].T, filtered.copy()
        for t in range(len(out) - 2, -1, -1):
            if not self.begins[t + 1]:
                ratio = np.divide(
                    out[t + 1], predicted[t + 1], out=np.zeros(out.shape[1]),
                    where=predicted[t + 1] > 0.0,
                )  # fmt: skip
                after = (moves * ratio.reshape(K, -1)).sum(axis=0)
                out[t] = filtered[t] * np.repeat(after, K)
        return out

    def log_likelihood_and_score(self, theta: Array) -> tuple[float, Array]:
        """Return the log likelihood and its gradient."""
        at = self.at(theta)
        value, filtered, predicted = self.filtered(at)
        if value == -np.inf:
            return value, np.zeros(len(theta))
        shares = self.smoothed(at, filtered, predicted)
        K, P, states = self.n_states, at.transitions, self.states
        score = np.empty(len(theta))
        counts, sums = np.zeros((K, K)), shares[~self.begins].sum(axis=0)
        np.add.at(counts, (states[1], states[0]), sums)
        sums = shares[self.begins].sum(axis=0)  # with the moves before the first response
        for later, earlier in pairwise(states):
            np.add.at(counts, (earlier, later), sums)
        initial: Array = np.asarray(np.bincount(states[-1], sums, K), dtype=np.float64)
        steady = np.maximum(stationary_distribution(P), LEAST_MOVE)
        slopes = log_stationary_slopes(P, steady, initial)
        of_odds = counts - counts.sum(axis=1, keepdims=True) * P
        of_odds += P * (slopes - (P * slopes).sum(axis=1, keepdims=True))
        residuals, of_means = self.residuals(at)
        means, lags, deviations = self.places
        score[: means.start] = of_odds[self.changes]
        variances = at.variances[states[0]]
        weighted = shares * residuals / variances
        score[means] = weighted.sum(axis=0) @ of_means
        score[lags] = weighted.sum(axis=1) @ self.lags
        score[lags] -= at.means[states[1:]] @ weighted.sum(axis=0)
        by_tuple = (weighted * residuals - shares).sum(axis=0)
        by_state = np.bincount(states[0], by_tuple, K)
        score[deviations] = by_state.sum(keepdims=True) if self.shared else by_state
        return value, score

    def start(self, generator: np.random.Generator) -> Array:
        """Return unknowns of a random start, for a series of variance 1."""
        K, p, theta = self.n_states, self.lags.shape[1], np.empty(self.n_parameters)
        means, lags, deviations = self.places
        theta[: means.start] = np.log((1.0 - STAYS) / STAYS / max(K - 1, 1))
        quantiles = np.quantile(self.responses, (np.arange(K) + 0.5) / K)
        theta[means] = quantiles + generator.normal(0.0, 0.5, K)
        theta[lags] = generator.normal(0.0, 0.2, p)
        theta[deviations] = np.log(generator.uniform(0.3, 1.0))
        return theta

    def information(self, theta: Array) -> Array:
        """Return the observed information, by differences of the exact score."""
        rows = [
            self.log_likelihood_and_score(theta + step)[1]
            - self.log_likelihood_and_score(theta - step)[1]
            for step in STEP * np.eye(len(theta))
        ]
        hessian = np.array(rows) / (2.0 * STEP)
        return -0.5 * (hessian + hessian.T)


@dataclass(frozen=True, repr=False, eq=False)
class SwitchingAutoregression:
    """An autoregression around a switching mean; see ``switching_autoregression``.

    Attributes
    ----------
    means : array (K,)
        Mean of each state; states are sorted by their long-run shares.
    lag_coefficients : array (p,)
    variances : array (K,)
        Of the innovations; equal unless ``residual_variance="free"``.
    transmat : array (K, K)
    stationary_distribution : array (K,)
    log_likelihood : float
        Given the first p responses of each sequence.
    n_parameters, n_samples : int
        Numbers of free parameters, and of responses that have lags.
    coefficients : DataFrame
        Estimates by part, state and term, with standard errors by the observed information; NaN
        at a boundary.
    state_probabilities, filtered_probabilities : DataFrame (n, K)
        Probabilities of the states given the whole sequence, and given the past and present.
    n_reached, n_init : int
        Number of starts that reached the best optimum, of all.
    responses : Series (n,)
        The responses that have lags.
    starts : array (m,)
        Places of the first of them of each sequence.
    """

    means: Array
    lag_coefficients: Array
    variances: Array
    transmat: Array
    stationary_distribution: Array
    log_likelihood: float
    n_parameters: int
    n_samples: int
    coefficients: pd.DataFrame
    state_probabilities: pd.DataFrame
    filtered_probabilities: pd.DataFrame
    n_reached: int
    n_init: int
    responses: pd.Series[float]
    starts: Integers

    @property
    def aic(self) -> float:
        """Akaike's information criterion; smaller is better."""
        return 2.0 * (self.n_parameters - self.log_likelihood)

    @property
    def bic(self) -> float:
        """Bayesian information criterion; smaller is better."""
        return float(np.log(self.n_samples) * self.n_parameters - 2.0 * self.log_likelihood)

    @property
    def expected_durations(self) -> Array:
        """Expected number of samples in a row (K,) in each state."""
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / (1.0 - self.transmat.diagonal()))

    @property
    def shown(self) -> Shown:
        """What text, notebooks and files show."""
        K, p = len(self.means), len(self.lag_coefficients)
        parts = zip(self.means, self.stationary_distribution, self.expected_durations, strict=True)
        states = [
            f"State {k}: mean {significant(mean)}, {percent(share)} in the long run, "
            f"{significant(length)} samples in a row."
            for k, (mean, share, length) in enumerate(parts, start=1)
        ]
        title = (
            f"Autoregression of order {p} around the means of {counted(K, 'state')} "
            f"(n = {self.n_samples:,}): log likelihood {self.log_likelihood:.3f}."
        )
        reached = f"{self.n_reached} of {self.n_init} starts reached the best optimum."
        table = self.coefficients.reset_index()
        tables = (ShownTable("coefficients", "Coefficients", table),)
        return Shown(title, (*states, reached), tables)

    def summary(self) -> str:
        """Return the fit, its states and the number of starts that reached it."""
        return self.shown.text()

    def plot(self, ax: Any = None) -> Any:
        """Plot the responses by their most probable states, with the probabilities as a strip.

        Returns
        -------
        matplotlib Axes
        """
        from bayesmix.sequences.state_plots import drawn_states, times_of

        time, unit = times_of(self.responses)
        shares, name = self.state_probabilities.to_numpy(), str(self.responses.name)
        values = self.responses.to_numpy()
        return drawn_states(values, shares, time, self.starts, xlabel=unit, ylabel=name, ax=ax)

    def __repr__(self) -> str:
        return f"<SwitchingAutoregression: {self.shown.title}>"

    def _repr_html_(self) -> str:
        return self.shown.html()


def switching_autoregression(
    y: Any,
    n_components: int = 2,
    n_lags: int = 1,
    residual_variance: str = "shared",
    *,
    lengths: Any = None,
    sequences: Any = None,
    n_init: int = 10,
    level: float = 0.95,
    random_state: Any = None,
) -> SwitchingAutoregression:
    """Fit Hamilton's autoregression, in which the mean switches with the state.

    y_t - μ(s_t) = Σ_j φ_j (y_t-j - μ(s_t-j)) + ε_t: after a change of the state the series is at
    the new mean at once. Of a ``RegressionMixture`` with ``lagged`` columns the intercepts switch,
    and the series approaches the new mean over time. By maximum likelihood, given the first
    ``n_lags`` responses of each sequence; the first state has the stationary distribution.

    Parameters
    ----------
    y : array or Series (n,)
        Response in order of time; a series keeps its index.
    n_components : int, default=2
        Number of states.
    n_lags : int, default=1
        Order of the autoregression. Time and memory grow with
        ``n_components ** (n_lags + 1)``.
    residual_variance : {"shared", "free"}, default="shared"
        Whether states share the variance of the innovations.
    lengths, sequences : optional
        Sequences as in ``RegressionMixture.fit``; by default y is one.
    n_init : int, default=10
        Number of random starts.
    level : float, default=0.95
        Level of the intervals.
    random_state : None, int, RandomState or Generator
        Seed of the starts.

    Returns
    -------
    SwitchingAutoregression

    Raises
    ------
    InvalidInputError
        For missing values, a constant series, and sequences that are not longer than ``n_lags``.
    UnsupportedError
        If the states of all lags have too many combinations.
    DegenerateFitError
        If the variance of a state goes to 0 from every start.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> level, noise = np.repeat([0.0, 4.0, 0.0, 4.0], 50), np.zeros(200)
    >>> for t in range(1, 200):
    ...     noise[t] = 0.5 * noise[t - 1] + rng.normal(0, 0.7)
    >>> model = bm.switching_autoregression(level + noise, random_state=0)
    >>> np.sort(model.means).round(1)
    array([-0.1,  4.1])
    >>> model.lag_coefficients.round(1)
    array([0.5])
    """
    validation.one_of("residual_variance", residual_variance, VARIANCES)
    K = validation.integer("n_components", n_components, 1)
    n_init, level = validation.integer("n_init", n_init, 1), checked_level(level)
    X, kept, sizes = lagged(y, n_lags, lengths=lengths, sequences=sequences)
    responses, lags = (np.asarray(part, dtype=np.float64) for part in (kept, X))
    if not (np.isfinite(responses).all() and np.isfinite(lags).all()):
        raise InvalidInputError(
            "y must have no missing or infinite values: give sequences that end where values are "
            "missing"
        )
    n, p = lags.shape
    if n * K ** (p + 1) > MOST_NUMBERS:
        raise UnsupportedError(
            f"{K} states at a sample and its {counted(p, 'lag')} have {K ** (p + 1):,} "
            "combinations, too many for memory: use fewer states or lags"
        )
    centre, scale = float(responses.mean()), float(responses.std())
    if not scale > 0.0:
        raise InvalidInputError("y must not be constant")
    begins = np.zeros(n, dtype=bool)
    begins[np.cumsum([0, *sizes[:-1]])] = True
    scaled = (responses - centre) / scale, (lags - centre) / scale
    data = LaggedSeries(*scaled, begins, K, residual_variance == "shared" or K == 1)
    if n <= data.n_parameters:
        raise InvalidInputError(
            f"y has {n} responses with lags for {data.n_parameters} parameters: use fewer states "
            "or lags"
        )
    with single_threaded_blas():
        ends = _optima(data, n_init if K > 1 else 1, root_seed(random_state))
        value, theta = max(ends, key=lambda end: end[0])
        theta = _sorted(data, theta)
        at = data.at(theta)
        _, filtered, predicted = data.filtered(at)
        smoothed = data.smoothed(at, filtered, predicted)
        table = _table(data, theta, centre, scale, level)
    import pandas as pd

    names, index = part_names("state", K), getattr(kept, "index", None)
    return SwitchingAutoregression(
        means=frozen(centre + scale * at.means),
        lag_coefficients=frozen(at.lags),
        variances=frozen(scale**2 * at.variances),
        transmat=frozen(at.transitions),
        stationary_distribution=frozen(stationary_distribution(at.transitions)),
        log_likelihood=value - n * float(np.log(scale)),
        n_parameters=data.n_parameters,
        n_samples=n,
        coefficients=table,
        state_probabilities=_of_states(data, smoothed, names, index),
        filtered_probabilities=_of_states(data, filtered, names, index),
        n_reached=sum(end[0] > value - SAME for end in ends),
        n_init=len(ends),
        responses=pd.Series(responses, index, name=getattr(kept, "name", None) or "response"),
        starts=np.flatnonzero(begins),
    )


def _optima(data: LaggedSeries, n_init: int, seed: int) -> list[tuple[float, Array]]:
    """Return the log likelihoods and unknowns at the ends of runs; none of a collapsed state."""
    n, ends = len(data.responses), []

    def loss(theta: Array) -> tuple[float, Array]:
        odds, deviations = theta[: data.places[0].start], theta[data.places[2]]
        if (np.abs(odds) > MOST_ODDS).any() or (deviations < np.log(COLLAPSED) - 1.0).any():
            return np.inf, np.zeros(len(theta))  # a step of a line search that is too long
        value, score = data.log_likelihood_and_score(theta)
        return -value / n, -score / n

    for number in range(n_init):
        start = data.start(stream(seed, Purpose.START, number))
        found = optimize.minimize(loss, start, jac=True, method="BFGS", options={"gtol": GRADIENT})
        deviations = found.x[data.places[2]]
        if np.isfinite(found.fun) and (deviations > np.log(COLLAPSED)).all():
            ends.append((-n * float(found.fun), found.x))
    if not ends:
        raise DegenerateFitError(
            "the variance of a state goes to 0 from every start, so the likelihood has no maximum: "
            "use residual_variance='shared', or fewer states"
        )
    return ends


def _sorted(data: LaggedSeries, theta: Array) -> Array:
    """Return the unknowns with states sorted by their long-run shares."""
    out, (means, _, deviations) = theta.copy(), data.places
    steady = stationary_distribution(data.at(theta).transitions)
    order = np.argsort(-steady, kind="stable")
    odds = data.log_odds(theta)[order][:, order]
    out[: means.start] = (odds - odds.diagonal()[:, None])[data.changes]
    out[means] = theta[means][order]
    out[deviations] = theta[deviations] if data.shared else theta[deviations][order]
    return out


def _of_states(data: LaggedSeries, shares: Array, names: list[str], index: Any) -> pd.DataFrame:
    """Return the probabilities of the present states, the first of the tuples."""
    import pandas as pd

    by_state = shares.reshape(len(shares), data.n_states, -1).sum(axis=2)
    return pd.DataFrame(by_state, index=index, columns=pd.Index(names))


def _table(
    data: LaggedSeries, theta: Array, centre: float, scale: float, level: float
) -> pd.DataFrame:
    """Return estimates in data units with standard errors by the delta method."""
    K, p, states = data.n_states, data.lags.shape[1], part_names("state", data.n_states)
    at, first = data.at(theta), data.places[0].start
    scales = np.sqrt(at.variances[:1] if data.shared else at.variances)
    rows = [("mean", state, "") for state in states]
    rows += [("lag", "all", f"lag {lag}") for lag in range(1, p + 1)]
    rows += [("scale", state, "") for state in (["all"] if data.shared else states)]
    rows += [("transition", a, f"to {b}") for a in states for b in states] if K > 1 else []
    moves = at.transitions.ravel() if K > 1 else np.empty(0)
    estimates = np.concatenate([centre + scale * at.means, at.lags, scale * scales, moves])
    back = np.zeros((len(rows), len(theta)))
    located = np.concatenate([np.full(K, scale), np.ones(p), scale * scales])
    back[np.arange(len(located)), first + np.arange(len(located))] = located
    for place, (a, b) in enumerate(np.argwhere(data.changes)):  # log odds of a change
        own = len(located) + a * K + np.arange(K)
        back[own, place] = at.transitions[a] * ((np.arange(K) == b) - at.transitions[a, b])
    information = data.information(theta)
    free = information.diagonal() > FLAT * len(data.responses)
    inverse = np.zeros_like(information)
    inverse[np.ix_(free, free)] = np.linalg.pinv(information[np.ix_(free, free)], hermitian=True)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", back, inverse, back), 0.0))
    own_moves = len(located) + np.flatnonzero(data.changes)
    errors[own_moves[~free[:first]]] = np.nan  # probabilities of 0
    errors[errors == 0.0] = np.nan
    index = ordered_index(rows, ["part", "state", "term"])
    domains = domains_of(part for part, *_ in rows)
    return bounded_intervals(index, estimates, errors, normal_quantile(level), domains)
