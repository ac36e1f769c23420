"""A Markov chain in continuous time whose first states, or rates, depend on covariates.

Logarithms of rates are linear in covariates, which keep the values of a sample until the next
(Jackson 2011). Given expected jumps and times in states, rates are Poisson regressions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from bayesmix.allocation.chain import (
    LEAST_MOVE,
    ChainSums,
    DirichletChainPrior,
    stationary_distribution,
)
from bayesmix.allocation.forward_backward import forward_backward
from bayesmix.allocation.gate import LONGEST_STEP, UNINFORMED, Gate, GatePrior, GateSums
from bayesmix.allocation.gated_chain import (
    CovariateChainPrior,
    GatedChainPrior,
    certain_states,
    sentences_without_effect,
    varying_paths,
)
from bayesmix.allocation.matrix_exponentials import MatrixExponentials
from bayesmix.allocation.point import add_labels, no_log_weights
from bayesmix.allocation.timed_chain import (
    FASTEST,
    LEAST,
    Moves,
    TimedChainPrior,
    absorbed,
    begun_rates,
    elapsed_of,
    exact_places,
    generators,
)
from bayesmix.core.mixture import halfway
from bayesmix.core.restrictions import Restriction
from bayesmix.core.rows import AddedByField, Allocated, Rows, SideInformation
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.memo import once


@dataclass(frozen=True)
class RateSums(AddedByField):
    """Gradient (R, P) and information (R, P, P) of expected log densities of jumps, by rate.

    The log density of N jumps at rate q in a time T is N log q - T q, as of a Poisson regression
    with exposure T. ``coefficients`` (R, P) are those of the E-step, ``target`` those that
    extrapolation proposes.
    """

    coefficients: Array
    gradient: Array
    information: Array
    target: Array | None = None
    same = ("coefficients", "target")

    @once
    def next_coefficients(self) -> Array:
        """Coefficients (R, P) after the best intercepts, and a Newton step from there."""
        if self.target is not None:
            return self.target
        out, longest = self.coefficients.copy(), LONGEST_STEP
        for rate, (gradient, information) in enumerate(
            zip(self.gradient, self.information, strict=True)
        ):
            expected = information[0]  # jumps times covariates, which begin with a constant
            if not expected[0] > UNINFORMED:
                continue
            ratio = max((gradient[0] + expected[0]) / expected[0], LEAST)
            shift = float(np.clip(np.log(ratio), -longest, longest))
            factor = np.exp(shift)
            step = np.linalg.pinv(factor * information, hermitian=True) @ (
                gradient + (1.0 - factor) * expected
            )
            step *= min(1.0, longest / max(float(np.abs(step).max()), LEAST))
            out[rate] += step
            out[rate, 0] += shift
        return out


@dataclass(frozen=True)
class TimedCovariateSums:
    """Statistics of first states and of rates at a ``chain``."""

    chain: TimedCovariateChain
    first: GateSums
    rates: RateSums

    def __add__(self, other: TimedCovariateSums) -> TimedCovariateSums:
        return replace(self, first=self.first + other.first, rates=self.rates + other.rates)

    def pack(self) -> Array:
        return np.append(self.first.pack(), self.rates.next_coefficients)

    def unpack(self, vector: Array) -> TimedCovariateSums:
        size = self.first.gradient[1:].size
        target = vector[size:].reshape(self.rates.coefficients.shape)
        rates = replace(self.rates, target=target)
        return replace(self, first=self.first.unpack(vector[:size]), rates=rates)

    def units(self) -> Array:
        return np.append(self.first.units(), np.ones(self.rates.coefficients.size))

    feasible = True

    def separation(self, terms: list[str]) -> tuple[str, tuple[int, ...]] | None:
        return certain_states([self.first], terms)

    @property
    def penalised(self) -> tuple[Array, Array]:
        """Gradient and information of all free coefficients, log prior included."""
        gradient, information = self.first.penalised
        whole = block_diag(information, *self.rates.information)
        return np.append(gradient, self.rates.gradient), np.asarray(whole, dtype=np.float64)


@dataclass(frozen=True)
class TimedCovariateChain:
    """A gate of the first state, and coefficients (K, K, P) of log rates per ``unit`` of time.

    Rates of jumps that are not ``allowed`` (K, K) are 0. Rates are constant where P is 1. The
    ``unit`` is the mean time between samples, in which ``rates`` and times are measured.
    ``columns`` are the places in the design of the covariates of rates, () for the first P.
    """

    gate: Gate
    log_rates: Array
    allowed: Booleans
    unit: float
    columns: tuple[int, ...] = ()
    exchangeable = True
    expected_log, path_probabilities = no_log_weights, varying_paths

    @property
    def n_components(self) -> int:
        return len(self.allowed)

    @property
    def coefficients(self) -> Array:
        """Coefficients (K + 1, K, P) of first states, and of log rates from each state.

        Those of first states are log odds, and 0 without covariates. Those of rates that are 0 are
        NaN.
        """
        K, n_terms = self.n_components, 1 + max(*self.gate.places, *self.places)
        every = np.zeros((K + 1, K, n_terms))
        every[0][:, self.gate.places] = self.gate.coefficients
        every[1:, :, self.places] = self.log_rates
        every[1:][~self.allowed] = np.nan
        return every

    @property
    def places(self) -> list[int]:
        """Places in the design of the covariates of rates, that of the constant first."""
        return list(self.columns or range(self.log_rates.shape[2]))

    @property
    def free(self) -> Array:
        """Free coefficients of first states and of rates."""
        return np.append(self.gate.free, self.log_rates[self.allowed])

    @property
    def free_rows(self) -> list[tuple[Any, ...]]:
        """State before and state of the free coefficients of each state."""
        first = [("first", k) for k in range(1, self.n_components)]
        return [*first, *map(tuple, np.argwhere(self.allowed).tolist())]

    @property
    def free_terms(self) -> list[list[int]]:
        """Places in the design of the free coefficients of each row."""
        return self.gate.free_terms + [self.places] * int(self.allowed.sum())

    free_names = ("from", "component")

    @property
    def effects(self) -> tuple[tuple[str, list[int]], ...]:
        """Names of what depends on covariates, and places of these in the design."""
        return ("first states", self.gate.places), ("rates of transitions", self.places)

    @property
    def initial(self) -> Array:
        """Probabilities (K,) of the first state, averaged over the sequences of the fit."""
        return self.gate.shares

    @property
    def rates(self) -> Array:
        """Generator (K, K) at the means of covariates."""
        return self.rates_of(np.eye(1, 1 + self.places[-1]))[0]

    @property
    def transition(self) -> Array:
        """Transitions (K, K) over the mean time, at the means of covariates."""
        return self.transitions_over(np.ones(1))[0]

    def rates_of(self, covariates: Array) -> Array:
        """Return generators (n, K, K) at covariates (n, P), whose first column is constant."""
        logs = covariates[:, self.places] @ np.swapaxes(self.log_rates, 1, 2)
        logs = np.minimum(np.swapaxes(logs, 0, 1) + np.log(self.unit), np.log(FASTEST))
        jumps = np.where(self.allowed, np.exp(logs), 0.0)
        return generators(jumps)

    def transitions_of(self, covariates: Array) -> Array:
        """Return the transitions (n, K, K) over the mean time at covariates (n, P)."""
        return MatrixExponentials(self.rates_of(covariates), np.ones(len(covariates))).matrices

    def transitions_over(self, times: Array, covariates: Array | None = None) -> Array:
        """Return transitions (m, K, K) over times (m,), by default at the means of covariates."""
        rates = self.rates[None] if covariates is None else self.rates_of(covariates)
        return MatrixExponentials(rates, times).matrices

    def mean(self) -> Array:
        return stationary_distribution(self.transition)

    def averaged(self) -> TimedCovariateChain:
        return self

    def first_states(self, side: SideInformation) -> Array:
        """Return the probabilities (S, K) of the first state of each sequence."""
        return np.asarray(np.exp(self.gate.log_weights(self._of_first(side))))

    def _of_first(self, side: SideInformation) -> Array:
        return Gate.needed(side)[side.starts][:, self.gate.places]

    def transitions_at(self, side: SideInformation) -> Array:
        """Return the probabilities (n, K, K) of the transitions to each sample."""
        return self._moves(side)[0].to_samples

    def _moves(self, side: SideInformation) -> tuple[Moves, Array]:
        """Return transitions to samples, and the covariates (n, P) of the samples before."""
        elapsed, covariates = elapsed_of(side), np.roll(Gate.needed(side), 1, axis=0)
        rates, exact = self.rates_of(covariates), exact_places(elapsed)
        exponentials = MatrixExponentials(rates, elapsed.between)
        jumps = absorbed(rates[exact]) / elapsed.unit
        every = np.arange(len(covariates))
        moves = Moves(exponentials, every, side.begins, exact, jumps)
        return moves, covariates[:, self.places]

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log densities (n, K) into smoothed probabilities in place."""
        add_labels(joint, rows)
        side = rows.side
        if side.begins is None:
            raise UnsupportedError("this chain needs sequences")
        moves, covariates = self._moves(side)
        chained = forward_backward(joint, side.starts, self.first_states(side), moves.to_samples)
        chained = chained.weighted(side.starts, rows.weights)
        joint[:] = chained.shares
        integrals, entries = moves.expected(chained)
        rates, (before, after) = moves.exponentials.rates, np.nonzero(self.allowed)
        jumps = rates * integrals
        jumps[moves.exact] += entries
        exposed = integrals[:, before, before] * rates[:, before, after]
        gradient = (jumps[:, before, after] - exposed).T @ covariates
        weighted = exposed.T[:, :, None] * covariates
        information = np.swapaxes(weighted, 1, 2) @ covariates
        of_rates = RateSums(self.log_rates[self.allowed], gradient, information)
        weights = rows.weights_or_ones[side.starts, None]
        first = self.gate.sums(joint[side.starts], self._of_first(side), weights)
        return Allocated(chained.log_predictive, TimedCovariateSums(self, first, of_rates))

    def restricted(self, restriction: Restriction) -> TimedCovariateChain:
        """Return the chain without the jumps that are held at 0."""
        held = restriction.of("generator")
        return self if held is None else self._with(self.allowed & ~held.held)

    def _with(self, allowed: Booleans) -> TimedCovariateChain:
        rates = np.where(allowed[..., None], self.log_rates, 0.0)
        return replace(self, log_rates=rates, allowed=allowed)

    def moved(self, steps: Array) -> TimedCovariateChain:
        """Return the chain with steps added to the coefficients of rates."""
        rates = self.log_rates.copy()
        rates[self.allowed] += steps.reshape(-1, rates.shape[2])
        return replace(self, log_rates=rates)

    def halfway_to(self, other: TimedCovariateChain) -> TimedCovariateChain:
        rates = 0.5 * (self.log_rates + other.log_rates)
        return replace(other, gate=self.gate.halfway_to(other.gate), log_rates=rates)

    def proportional(self, shares: Array) -> TimedCovariateChain:
        """Return the chain with rates of jumps to each state changed in proportion to shares."""
        factors = shares / np.maximum(self.mean(), LEAST_MOVE)
        rates = self.log_rates.copy()
        rates[..., 0] += np.log(np.maximum(factors, LEAST_MOVE))
        gate = self.gate.proportional(self.gate.shares * factors)
        return replace(self, gate=gate, log_rates=rates)._with(self.allowed)

    def subset(self, keep: Integers, counts: Array) -> TimedCovariateChain:
        rates, allowed = self.log_rates[keep][:, keep], self.allowed[keep][:, keep]
        return replace(self, gate=self.gate.subset(keep, counts), log_rates=rates, allowed=allowed)


halfway.register(TimedCovariateChain, TimedCovariateChain.halfway_to)


@dataclass(frozen=True)
class TimedCovariateChainPrior:
    """Maximum likelihood of a gate of first states, and of ``n_columns`` coefficients of rates.

    ``columns`` are those of the chain, and ``asked`` names the effects that the data may not tell.
    """

    gate: GatePrior
    n_columns: int
    unit: float
    columns: tuple[int, ...] = ()
    asked: str = "first"
    name = "timed_covariate_chain"

    def mode(self, statistics: TimedCovariateSums | ChainSums) -> TimedCovariateChain:
        """Return the chain after a step of its regressions; from counts one of constant rates."""
        if isinstance(statistics, ChainSums):
            rates = begun_rates(statistics.transitions)
            allowed = ~np.eye(len(rates), dtype=bool)
            begun = np.zeros((*rates.shape, self.n_columns))
            begun[..., 0] = np.log(rates / self.unit)
            gate = self.gate.mode(statistics.initial)
            chain = TimedCovariateChain(gate, begun, allowed, self.unit, self.columns)
            return chain._with(allowed)
        chain, rates = statistics.chain, statistics.chain.log_rates.copy()
        rates[chain.allowed] = statistics.rates.next_coefficients
        return replace(chain, gate=self.gate.mode(statistics.first), log_rates=rates)

    def log_density(self, chain: TimedCovariateChain) -> float:
        return 0.0

    def without_effect(self, names: tuple[str, ...]) -> list[str]:
        """Return sentences about covariates without the effects that were asked for."""
        return sentences_without_effect(self.asked, self.gate.columns, self.columns, names)

    def n_parameters(self, n_components: int) -> int:
        rates = n_components * (n_components - 1) * self.n_columns
        return self.gate.n_parameters(n_components) + rates


def timed(inference: Any, unit: float) -> Any:
    """Return the inference with a chain in continuous time as its weights."""
    prior = inference.weights
    if inference.name != "maximum_likelihood":
        raise UnsupportedError(
            "times need maximum likelihood, as rates of transitions have no prior: leave out times "
            "or inference"
        )
    if isinstance(prior, DirichletChainPrior):
        return replace(inference, weights=TimedChainPrior(prior.stationary))
    if isinstance(prior, GatedChainPrior):
        return replace(inference, weights=TimedCovariateChainPrior(prior.gate, 1, unit))
    assert isinstance(prior, CovariateChainPrior)
    gate, effects = prior.of_gate, prior.effects
    size, first = len(gate.precisions), prior.first or gate
    chain = TimedCovariateChainPrior(first, size, unit, gate.columns, effects)
    return replace(inference, weights=chain)
