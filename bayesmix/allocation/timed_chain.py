"""A Markov chain in continuous time, seen at uneven times.

With generator Q the transitions over a time Δ are exp(QΔ) (Kalbfleisch & Lawless 1985). EM has the
expected numbers of jumps and times in states between samples (Bladt & Sørensen 2005). Where the
time of a sample is that of a jump, such as a death, its density has the rates of that jump (Jackson
2011).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from bayesmix.allocation.chain import (
    LEAST_MOVE,
    ChainSums,
    ascended,
    log_stationary_slopes,
    stationary_distribution,
)
from bayesmix.allocation.forward_backward import Chained, forward_backward
from bayesmix.allocation.gated_chain import varying_paths
from bayesmix.allocation.matrix_exponentials import MatrixExponentials
from bayesmix.allocation.point import PointWeights, add_labels, no_log_weights
from bayesmix.core.restrictions import Restriction
from bayesmix.core.rows import AddedByField, Allocated, Rows, SideInformation
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Booleans, Integers, normalise
from bayesmix.numerics.memo import once

# Transitions of this many samples are added where a chain begins, so that no rate begins at 0.
BEFORE = 0.5
# Smallest time in a state and transition by which counts are divided.
LEAST = 1e-300
# Largest rate per mean time: jumps are instantaneous to the eye, and eigenvalues keep eight digits.
FASTEST = 1e8


@dataclass(frozen=True)
class Elapsed:
    """Times since the sample before, in units of their mean ``unit``; 1 at first samples.

    ``codes`` (n,) are the places of those of the samples among the ``distinct`` times. Times that
    are ``exact`` (n,) are those at which the chain entered an absorbing state.
    """

    distinct: Array
    codes: Integers
    unit: float
    exact: Booleans | None = None

    @classmethod
    def of(
        cls,
        times: Array,
        begins: Booleans,
        unit: float | None = None,
        exact: Booleans | None = None,
    ) -> Self:
        """Return the times since the sample before, from increasing times (n,) of samples."""
        steps = np.diff(times, prepend=times[:1])
        if unit is None:
            unit = float(steps[~begins].mean())
        steps[begins] = unit
        distinct, codes = np.unique(steps / unit, return_inverse=True)
        return cls(distinct, codes, unit, None if exact is None else exact & ~begins)

    def __getitem__(self, rows: Any) -> Self:
        exact = None if self.exact is None else self.exact[rows]
        return replace(self, codes=self.codes[rows], exact=exact)

    @property
    def between(self) -> Array:
        """Times (n,) since the sample before."""
        return self.distinct[self.codes]

    @property
    def inexact(self) -> Self:
        """The times, between which the chain entered all states."""
        return replace(self, exact=None)

    def timed(self, inference: Any) -> Any:
        """Return the inference with a chain in continuous time."""
        from bayesmix.allocation.timed_covariate_chain import timed

        return timed(inference, self.unit)


@dataclass(frozen=True)
class Moves:
    """Transitions to samples, whose ``codes`` (n,) are places among exponentials.

    ``exact`` are the samples that enter an absorbing state at their time, and ``jumps`` (1 or
    len(exact), K, K) the rates of doing so per unit of time.
    """

    exponentials: MatrixExponentials
    codes: Integers
    begins: Booleans | None
    exact: Integers
    jumps: Array

    @once
    def to_samples(self) -> Array:
        """Transitions (n, K, K) to samples, densities where times are exact."""
        over = self.exponentials.matrices[self.codes]
        if len(self.exact):
            over[self.exact] = over[self.exact] @ self.jumps
        return over

    def expected(self, chained: Chained) -> tuple[Array, Array]:
        """Return integrals (m, K, K) by exponential, and jumps at exact times, from smoothed pairs.

        Integrals are expected times in states on the diagonal, and expected jumps per rate.
        """
        ratios = chained.transitions / np.maximum(self.to_samples, LEAST)
        ratios[self.begins] = 0.0
        matrices, (exact, jumps) = self.exponentials.matrices, (self.exact, self.jumps)
        entries = jumps * (np.swapaxes(matrices[self.codes[exact]], 1, 2) @ ratios[exact])
        ratios[exact] = ratios[exact] @ np.swapaxes(jumps, 1, 2)
        sums = np.zeros_like(matrices)
        np.add.at(sums, self.codes, ratios)
        return self.exponentials.integrals(sums), entries


def off_diagonal(rates: Array) -> Array:
    """Return rates (..., K, K) of jumps, 0 on the diagonal."""
    return np.asarray(rates * (1.0 - np.eye(rates.shape[-1])))


def absorbed(rates: Array) -> Array:
    """Return the rates (..., K, K) of jumps to states that are never left, 0 of others.

    Densities of times of other jumps have no bound, as a chain may jump at any rate.
    """
    jumps = off_diagonal(rates)
    left = np.asarray(jumps.any(axis=-1))
    return np.asarray(np.where(left[..., None, :], 0.0, jumps))


def generators(jumps: Array) -> Array:
    """Return generators (..., K, K), whose rows sum to 0, of rates of jumps."""
    rates = off_diagonal(jumps)
    return rates - rates.sum(axis=-1)[..., None] * np.eye(rates.shape[-1])


def begun_rates(transitions: Array) -> Array:
    """Return rates (K, K) per mean time at which a chain begins, from numbers of transitions."""
    visits = transitions.sum(axis=1, keepdims=True) + BEFORE
    return np.asarray((transitions + BEFORE / len(transitions)) / visits)


def rates_of(sums: TimedSums, jumps: Array) -> Array:
    """Return numbers of jumps (K, K) per expected time in each state."""
    least = np.maximum(jumps / FASTEST, LEAST)
    return np.asarray(jumps / np.maximum(sums.times[:, None], least))


def _jumping(rates: Array) -> tuple[Array, float]:
    """Return transitions at the times of a Poisson process, and its rate, the fastest of leaving.

    A chain with these rates (K, K) jumps at some of these times, with the same stationary
    distribution ("uniformisation").
    """
    fastest = max(float(-generators(rates).diagonal().min()), LEAST)
    moves = generators(np.maximum(rates / fastest, LEAST_MOVE))  # every state is reached
    return np.eye(len(rates)) + moves, fastest


def stationary_of_rates(rates: Array) -> Array:
    """Return the distribution (K,) that rates (K, K) preserve."""
    return stationary_distribution(_jumping(rates)[0])


def stationary_slopes(rates: Array, counts: Array) -> Array:
    """Return the derivatives (K, K) of Σ n_k log π_k in the rates of jumps, which preserve π."""
    moves, fastest = _jumping(rates)
    steady = np.maximum(stationary_distribution(moves), LEAST_MOVE)
    slopes = log_stationary_slopes(moves, steady, counts)
    return np.asarray(off_diagonal(slopes - slopes.diagonal()[:, None]) / fastest)


def elapsed_of(side: SideInformation) -> Any:
    """Return the times between samples, or raise an error if there are none."""
    if side.elapsed is None:
        raise InvalidInputError("times of the samples are needed, as the fit had times")
    return side.elapsed


def exact_places(elapsed: Any) -> Integers:
    """Return the samples whose times are exact."""
    return np.flatnonzero(np.zeros(0) if elapsed.exact is None else elapsed.exact)


@dataclass(frozen=True)
class TimedSums(AddedByField):
    """Expected first states (K,), numbers of jumps (K, K), and times in states (K,)."""

    initial: Array
    jumps: Array
    times: Array

    def pack(self) -> Array:
        return np.concatenate([self.initial, self.jumps.ravel(), self.times])

    def unpack(self, vector: Array) -> TimedSums:
        K = len(self.initial)
        initial, jumps, times = np.split(vector, [K, K + K * K])
        return TimedSums(initial, jumps.reshape(K, K), times)

    def units(self) -> Array:
        """Return 1 / total time, which is about the number of samples."""
        return np.full(len(self.pack()), 1.0 / max(float(self.times.sum()), 1.0))

    @property
    def feasible(self) -> bool:
        return bool(self.pack().min() >= 0.0)


@dataclass(frozen=True)
class TimedChain:
    """Probabilities of the first state (K,), and rates (K, K) whose rows sum to 0."""

    initial: Array
    rates: Array
    exchangeable = True
    expected_log, path_probabilities = no_log_weights, varying_paths

    @classmethod
    def of(cls, initial: Array, jumps: Array) -> TimedChain:
        """Return the chain with rates (K, K) of jumps, whose diagonal is not used."""
        return cls(initial, generators(jumps))

    @classmethod
    def stationary(cls, jumps: Array) -> TimedChain:
        """Return the chain with these rates that begins with their stationary distribution."""
        return cls.of(stationary_of_rates(jumps), jumps)

    @property
    def n_components(self) -> int:
        return len(self.initial)

    @property
    def transition(self) -> Array:
        """Transitions (K, K) over the mean time between samples."""
        return self.transitions_over(np.ones(1))[0]

    def transitions_over(self, times: Array) -> Array:
        """Return the transitions (m, K, K) over times (m,), in units of the mean time."""
        return MatrixExponentials(self.rates[None], times).matrices

    def mean(self) -> Array:
        return stationary_distribution(self.transition)

    def averaged(self) -> TimedChain:
        return self

    def first_states(self, side: SideInformation) -> Array:
        """Return the probabilities (K,) of the first state of all sequences."""
        return self.initial

    def transitions_at(self, side: SideInformation) -> Array:
        """Return the probabilities (n, K, K) of the transitions to each sample."""
        return self._moves(side).to_samples

    def _moves(self, side: SideInformation) -> Moves:
        elapsed = elapsed_of(side)
        exponentials = MatrixExponentials(self.rates[None], elapsed.distinct)
        jumps = absorbed(self.rates)[None] / elapsed.unit
        return Moves(exponentials, elapsed.codes, side.begins, exact_places(elapsed), jumps)

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log densities (n, K) into smoothed probabilities in place."""
        add_labels(joint, rows)
        side = rows.side
        if side.begins is None:  # samples are independent, from the stationary distribution
            joint += np.log(np.maximum(self.mean(), LEAST))
            return Allocated(normalise(joint))
        moves = self._moves(side)
        chained = forward_backward(joint, side.starts, self.initial, moves.to_samples)
        chained = chained.weighted(side.starts, rows.weights)
        joint[:] = chained.shares
        integrals, entries = moves.expected(chained)
        integrals = integrals.sum(axis=0)
        jumps = off_diagonal(self.rates) * integrals + entries.sum(axis=0)
        sums = TimedSums(chained.initial, np.maximum(jumps, 0.0), integrals.diagonal().copy())
        return Allocated(chained.log_predictive, sums)

    def restricted(self, restriction: Restriction) -> TimedChain:
        """Return the chain under a restriction, from that which maximises the likelihood."""
        first, rates = (restriction.of(name) for name in ("startprob", "generator"))
        return TimedChain.of(
            self.initial if first is None else first.shared_out(self.initial),
            self.rates if rates is None else rates.imposed(self.rates),
        )

    def proportional(self, shares: Array) -> TimedChain:
        """Return the chain with rates of jumps to each state changed in proportion to shares."""
        factors = shares / np.maximum(self.mean(), LEAST_MOVE)
        initial = np.maximum(self.initial, LEAST_MOVE) * factors
        return TimedChain.of(initial / initial.sum(), np.maximum(self.rates, 0.0) * factors)

    def subset(self, keep: Integers, counts: Array) -> TimedChain:
        initial = PointWeights.shares(self.initial[keep]).probabilities
        return TimedChain.of(initial, self.rates[keep][:, keep])


@dataclass(frozen=True)
class TimedChainPrior:
    """Maximum likelihood of a chain in continuous time.

    ``stationary``: the first state has the stationary distribution of the rates.
    """

    stationary: bool = False
    name = "timed_chain"

    def mode(self, statistics: TimedSums | ChainSums) -> TimedChain:
        """Return jumps per time in each state; from transitions those per sample."""
        if self.stationary:
            return self.stationary_mode(statistics, None)
        initial = PointWeights.shares(statistics.initial).probabilities
        if isinstance(statistics, ChainSums):
            return TimedChain.of(initial, begun_rates(statistics.transitions))
        return TimedChain.of(initial, rates_of(statistics, statistics.jumps))

    def stationary_mode(
        self, statistics: TimedSums | ChainSums, restriction: Restriction | None
    ) -> TimedChain:
        """Return the likeliest chain with a stationary first state; ``restriction`` is of rates."""
        held = None if restriction is None else restriction.of("generator")

        def imposed(rates: Array) -> Array:
            return off_diagonal(rates if held is None else held.imposed(rates))

        if isinstance(statistics, ChainSums):
            return TimedChain.stationary(imposed(begun_rates(statistics.transitions)))
        counts, times = off_diagonal(statistics.jumps), statistics.times[:, None]

        def value(rates: Array) -> float:
            steady = np.maximum(stationary_of_rates(rates), LEAST_MOVE)
            first = (statistics.initial * np.log(steady)).sum()
            return float(first + (counts * np.log(np.maximum(rates, LEAST)) - rates * times).sum())

        def further(rates: Array) -> Array:
            more = rates * stationary_slopes(rates, statistics.initial)
            return imposed(rates_of(statistics, np.maximum(counts + more, 0.0)))

        return TimedChain.stationary(
            ascended(imposed(rates_of(statistics, counts)), value, further)
        )

    def log_density(self, chain: TimedChain) -> float:
        return 0.0

    def n_parameters(self, n_components: int) -> int:
        return (n_components - 1) * (n_components + (not self.stationary))
