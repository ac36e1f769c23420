"""Free parameters of weights, gates and chains, with their scores, and what tables report.

By Fisher's identity the score of the data is that of the expected log probability of the assignment
(Louis 1982), which the statistics of an E-step determine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from scipy.special import softmax

from bayesmix.allocation.chain import (
    LEAST_MOVE,
    ChainSums,
    MarkovChain,
    log_stationary_slopes,
    stationary_distribution,
)
from bayesmix.allocation.gate import Gate
from bayesmix.allocation.gated_chain import CovariateChain, GatedChain
from bayesmix.allocation.point import PointWeights
from bayesmix.allocation.timed_chain import TimedChain, TimedSums, elapsed_of, stationary_slopes
from bayesmix.allocation.timed_covariate_chain import TimedCovariateChain
from bayesmix.core.parameters import NO_COLUMN, NOT_NEGATIVE, SHARE, Domain, Reported
from bayesmix.core.rows import SideInformation
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers

# Expected visits of a state below which its transitions have no average.
NO_VISIT = 1e-300

Weights: TypeAlias = Any
Sums: TypeAlias = Any  # statistics of the allocation


@dataclass(frozen=True)
class FreeAllocation:
    """Free parameters of an allocation at 0, and the allocation at steps from there.

    ``score(weights, sums)`` is the gradient of the log likelihood at moved weights, from the
    statistics of an E-step there.
    """

    size: int
    moved: Callable[[Array], Weights]
    score: Callable[[Weights, Sums], Array]

    @classmethod
    def of(cls, weights: Weights, stationary: bool = False) -> FreeAllocation:
        """Return the free parameters; a chain may have stationary first states."""
        if isinstance(weights, PointWeights):
            free = cls.of_rows(weights.mean()[None], np.zeros(1, dtype=int))
            return cls(
                free.size,
                lambda steps: PointWeights(free.moved(steps)[0]),
                lambda at, counts: free.score(at.mean()[None], counts[None]),
            )
        if isinstance(weights, Gate):
            return cls(weights.free.size, partial(_moved_gate, weights), _score_of_gate)
        if isinstance(weights, MarkovChain):
            moves = cls.of_rows(weights.transition)
            if stationary:
                return cls(
                    moves.size,
                    lambda steps: _stationary(moves.moved(steps)),
                    lambda at, sums: moves.score(at.transition, _with_first_states(at, sums)),
                )
            return _joined(
                [cls.of_rows(weights.initial[None]), moves],
                lambda one, other: MarkovChain(one[0], other),
                lambda at, sums: [
                    (at.initial[None], sums.initial[None]),
                    (at.transition, sums.transitions),
                ],
            )
        if isinstance(weights, GatedChain):
            return _joined(
                [cls.of(weights.gate), cls.of_rows(weights.transition)],
                GatedChain,
                lambda at, sums: [(at.gate, sums.gate), (at.transition, sums.transitions)],
            )
        if isinstance(weights, CovariateChain):
            return _joined(
                [cls.of(gate) for gate in weights.gates],
                lambda *gates: replace(weights, gates=gates),
                lambda at, sums: list(zip(at.gates, sums.gates, strict=True)),
            )
        if isinstance(weights, TimedChain):
            of_rates = cls._of_rates(weights.rates)
            if stationary:
                return cls(
                    of_rates.size,
                    lambda steps: TimedChain.stationary(of_rates.moved(steps)),
                    lambda at, sums: of_rates.score(at.rates, _with_first_states_of(at, sums)),
                )
            return _joined(
                [cls.of_rows(weights.initial[None]), of_rates],
                lambda one, rates: TimedChain.of(one[0], rates),
                lambda at, sums: [(at.initial[None], sums.initial[None]), (at.rates, sums)],
            )
        if isinstance(weights, TimedCovariateChain):
            varying = cls(
                int(weights.allowed.sum()) * weights.log_rates.shape[2],
                weights.moved,
                lambda at, sums: np.asarray(sums.gradient.ravel()),
            )
            return _joined(
                [cls.of(weights.gate), varying],
                lambda gate, chain: replace(chain, gate=gate),
                lambda at, sums: [(at.gate, sums.first), (at, sums.rates)],
            )
        raise UnsupportedError(
            f"standard errors by derivatives do not support {type(weights).__name__}: use "
            "standard_errors='bootstrap'"
        )

    @classmethod
    def of_rows(cls, rows: Array, against: Integers | None = None) -> FreeAllocation:
        """Return log odds of rows of probabilities (R, K), by default against the largest.

        Probabilities of zero remain zero. The statistics are expected counts (R, K).
        """
        free = np.ones(rows.shape, dtype=bool)
        free[np.arange(len(rows)), rows.argmax(axis=1) if against is None else against] = False
        with np.errstate(divide="ignore"):
            logs = np.log(rows)

        def moved(steps: Array) -> Array:
            steps_of_rows = np.zeros_like(rows)
            steps_of_rows[free] = steps
            return np.asarray(softmax(logs + steps_of_rows, axis=1))

        def score(at: Array, counts: Array) -> Array:
            return np.asarray((counts - at * counts.sum(axis=1, keepdims=True))[free])

        return cls(int(free.sum()), moved, score)

    @classmethod
    def _of_rates(cls, rates: Array) -> FreeAllocation:
        """Return logarithms of the rates of jumps; rates of zero remain zero."""
        free = rates > 0.0

        def moved(steps: Array) -> Array:
            factors = np.ones_like(rates)
            factors[free] = np.exp(steps)
            return rates * factors

        def score(at: Array, sums: TimedSums) -> Array:
            return np.asarray((sums.jumps - at * sums.times[:, None])[free])

        return cls(int(free.sum()), moved, score)


def _joined(
    parts: list[FreeAllocation],
    whole: Callable[..., Weights],
    apart: Callable[[Weights, Sums], list[tuple[Weights, Sums]]],
) -> FreeAllocation:
    """Return the parameters of all parts; ``apart`` has the weights and statistics of each."""
    ends = np.cumsum([part.size for part in parts])

    def moved(steps: Array) -> Weights:
        split = np.split(steps, ends[:-1])
        return whole(*(part.moved(step) for part, step in zip(parts, split, strict=True)))

    def score(at: Weights, sums: Sums) -> Array:
        pairs = zip(parts, apart(at, sums), strict=True)
        return np.concatenate([part.score(*of_part) for part, of_part in pairs])

    return FreeAllocation(int(ends[-1]), moved, score)


def _moved_gate(gate: Gate, steps: Array) -> Gate:
    coefficients = gate.coefficients.copy()
    coefficients[1:] += steps.reshape(coefficients[1:].shape)
    return replace(gate, coefficients=coefficients)


def _score_of_gate(gate: Gate, sums: Sums) -> Array:
    return np.asarray(sums.gradient[1:].ravel())


def _stationary(transition: Array) -> MarkovChain:
    return MarkovChain(stationary_distribution(transition), transition)


def _with_first_states(chain: MarkovChain, sums: ChainSums) -> Array:
    """Return the numbers of transitions that would have the score of those and of first states."""
    moves, steady = chain.transition, np.maximum(chain.initial, LEAST_MOVE)
    slopes = log_stationary_slopes(moves, steady, sums.initial)
    return np.asarray(sums.transitions + moves * slopes)


def _with_first_states_of(chain: TimedChain, sums: TimedSums) -> TimedSums:
    """Return the numbers of jumps that would have the score of those and of first states."""
    slopes = stationary_slopes(chain.rates, sums.initial)
    return replace(sums, jumps=sums.jumps + chain.rates * slopes)


def chain_parameters(weights: Weights, side: SideInformation, mass: Array) -> list[Reported]:
    """Return probabilities of first states and transitions, averaged where they vary.

    In continuous time transitions are those over the mean time between samples, and rates of
    transitions follow, on the diagonal those of leaving a state; both are at the means of
    covariates.

    ``mass`` (n, K) are the probabilities of states times sample weights, by which transitions from
    a state are weighted.
    """
    entered = ~np.asarray(side.begins)
    if isinstance(weights, (TimedChain, TimedCovariateChain)):
        moves, rates = weights.transition, np.abs(weights.rates) / elapsed_of(side).unit
        first = _mean_of_sequences(weights.first_states(side), side, mass)
        return [
            Reported("start", NO_COLUMN, None, first, SHARE),
            *_from_each("transition", moves, SHARE),
            *_from_each("transition rate", rates, NOT_NEGATIVE),
        ]
    moves = weights.transitions_at(side)
    if moves.ndim == 3:
        visits = mass[np.flatnonzero(entered) - 1]
        moves = np.einsum("ni,nij->ij", visits, moves[entered])
        moves /= np.maximum(visits.sum(axis=0), NO_VISIT)[:, None]
    first = _mean_of_sequences(weights.first_states(side), side, mass)
    start = Reported("start", NO_COLUMN, None, first, SHARE)
    return [start, *_from_each("transition", moves, SHARE)]


def _from_each(label: str, values: Array, domain: Domain) -> list[Reported]:
    """Return what is reported of the transitions (K, K) from each state."""
    return [
        Reported(label, NO_COLUMN, f"from {j + 1}", row, domain) for j, row in enumerate(values)
    ]


def _mean_of_sequences(first: Array, side: SideInformation, mass: Array) -> Array:
    """Return first states (K,), averaged over the sequences where they differ (S, K)."""
    if first.ndim == 1:
        return first
    return np.asarray(np.average(first, axis=0, weights=mass[side.starts].sum(axis=1)))
