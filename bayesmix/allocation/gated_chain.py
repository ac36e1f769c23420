"""Markov chains whose first state, or all transitions, depend on covariates by softmax gates.

The statistics are those of the gates, and the expected transitions (Zucchini, MacDonald & Langrock
2016, ch. 10, for covariates of a chain).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any, cast

import numpy as np
from scipy.linalg import block_diag

from bayesmix.allocation.chain import (
    LEAST_MOVE,
    ChainSums,
    DirichletChainPrior,
    MarkovChain,
    allocate_sequences,
    paths,
    stationary_distribution,
)
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.forward_backward import (
    forward_backward,
    logs,
    most_probable_paths,
)
from bayesmix.allocation.gate import WEAK_PRECISION, Gate, GatePrior, GateSums
from bayesmix.allocation.point import PointWeights, add_labels, no_log_weights
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core.mixture import halfway
from bayesmix.core.rows import AddedByField, Allocated, Rows, SideInformation
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers

# Variable whose indicators are those of the waves.
WAVE = "wave"


@dataclass(frozen=True)
class GatedSums(AddedByField):
    """Statistics of the gate at first samples, and expected counts of transitions (K, K)."""

    transitions: Array
    gate: GateSums

    def pack(self) -> Array:
        return np.append(self.transitions, self.gate.pack())

    def unpack(self, vector: Array) -> GatedSums:
        size = self.transitions.size
        transitions = vector[:size].reshape(self.transitions.shape)
        return GatedSums(transitions, self.gate.unpack(vector[size:]))

    def units(self) -> Array:
        """Return 1 / number of transitions, and 1 for coefficients."""
        moves = np.full(self.transitions.size, 1.0 / max(float(self.transitions.sum()), 1.0))
        return np.append(moves, self.gate.units())

    @property
    def feasible(self) -> bool:
        return bool(self.transitions.min() >= 0.0)

    def separation(self, terms: list[str]) -> tuple[str, tuple[int, ...]] | None:
        return certain_states([self.gate], terms)

    @property
    def penalised(self) -> tuple[Array, Array]:
        """Gradient and information of the gate's free coefficients, log prior included."""
        return self.gate.penalised


def certain_states(
    gates: Sequence[GateSums], terms: list[str]
) -> tuple[str, tuple[int, ...]] | None:
    """Return the first gate, of first states or those after a state, that covariates separate."""
    for number, sums in enumerate(gates):
        if sums.separated:
            what = f"state after state {number}" if number else "first state"
            return f"the {what} is certain given covariates ({sums.largest(terms)[1]})", ()
    return None


@dataclass(frozen=True)
class GatedChain:
    """A gate for the first state of each sequence, and transitions (K, K) from row to column."""

    gate: Gate
    transition: Array
    exchangeable = True
    expected_log, path_probabilities = no_log_weights, paths

    @property
    def n_components(self) -> int:
        return len(self.transition)

    @property
    def coefficients(self) -> Array:
        return self.gate.coefficients

    @property
    def free(self) -> Array:
        return self.gate.free

    @property
    def free_rows(self) -> list[tuple[Any, ...]]:
        return self.gate.free_rows

    @property
    def free_terms(self) -> list[list[int]]:
        return self.gate.free_terms

    free_names = ("component",)

    @property
    def effects(self) -> tuple[tuple[str, list[int]], ...]:
        """Names of what depends on covariates, and places of these in the design."""
        return (("first states", self.gate.places),)

    @property
    def initial(self) -> Array:
        """Probabilities (K,) of the first state, averaged over the sequences of the fit."""
        return self.gate.shares

    @property
    def _chain(self) -> MarkovChain:
        return MarkovChain(self.initial, self.transition)

    def mean(self) -> Array:
        return self._chain.mean()

    def averaged(self) -> GatedChain:
        return self

    def log_weights(self, covariates: Array) -> Array:
        return self.gate.log_weights(covariates)

    def expected_logs(self, side: SideInformation) -> tuple[Array, Array]:
        return self.log_weights(self.gate.needed(side)[side.starts]), logs(self.transition)

    def first_states(self, side: SideInformation) -> Array:
        """Return the probabilities (S, K) of the first state of each sequence."""
        return np.asarray(np.exp(self.expected_logs(side)[0]))

    def transitions_at(self, side: SideInformation) -> Array:
        """Return the probabilities (K, K) of all transitions."""
        return self.transition

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        allocated = allocate_sequences(self, joint, rows)
        if rows.side.begins is None:
            return allocated
        starts, sums = rows.side.starts, cast("ChainSums", allocated.statistics)
        covariates = self.gate.needed(rows.side)[starts]
        weights = rows.weights_or_ones[starts, None]
        gate = self.gate.sums(joint[starts], covariates, weights)
        return Allocated(allocated.log_normaliser, GatedSums(sums.transitions, gate))

    def halfway_to(self, other: GatedChain) -> GatedChain:
        return replace(other, gate=self.gate.halfway_to(other.gate))

    def proportional(self, shares: Array) -> GatedChain:
        """Return the chain with first states and transitions changed in proportion to shares."""
        factors = shares / np.maximum(self.mean(), LEAST_MOVE)
        transition = self._chain.proportional(shares).transition
        return GatedChain(self.gate.proportional(self.gate.shares * factors), transition)

    def subset(self, keep: Integers, counts: Array) -> GatedChain:
        transition = self._chain.subset(keep, counts).transition
        return GatedChain(self.gate.subset(keep, counts), transition)


@dataclass(frozen=True)
class GatedChainPrior:
    """Prior of the coefficients of first states, and of each row of the transition matrix."""

    gate: GatePrior
    chain: DirichletChainPrior
    name = "gated_chain"

    def mode(self, statistics: GatedSums | ChainSums) -> GatedChain:
        """Return the gate after a Newton step, and the most probable transitions."""
        first: Any = statistics.gate if isinstance(statistics, GatedSums) else statistics.initial
        gate = self.gate.mode(first)
        sums = ChainSums(gate.shares, statistics.transitions)
        return GatedChain(gate, self.chain.mode(sums).transition)

    def log_density(self, chain: GatedChain) -> float:
        rows = map(PointWeights, chain.transition)
        return self.gate.log_density(chain.gate) + sum(map(self.chain.of_row.log_density, rows))

    def without_effect(self, names: tuple[str, ...]) -> list[str]:
        """Return nothing, as covariates of sequences have an effect on first states."""
        return []

    def n_parameters(self, n_components: int) -> int:
        return self.gate.n_parameters(n_components) + n_components * (n_components - 1)


halfway.register(GatedChain, GatedChain.halfway_to)


@dataclass(frozen=True)
class CovariateChainSums:
    """Statistics of all gates."""

    gates: tuple[GateSums, ...]

    def __add__(self, other: CovariateChainSums) -> CovariateChainSums:
        pairs = zip(self.gates, other.gates, strict=True)
        return CovariateChainSums(tuple(own + more for own, more in pairs))

    def pack(self) -> Array:
        return np.concatenate([own.pack() for own in self.gates])

    def unpack(self, vector: Array) -> CovariateChainSums:
        ends = np.cumsum([own.gradient[1:].size for own in self.gates])
        pairs = zip(self.gates, np.split(vector, ends[:-1]), strict=True)
        return CovariateChainSums(tuple(own.unpack(part) for own, part in pairs))

    def units(self) -> Array:
        return np.concatenate([own.units() for own in self.gates])

    @property
    def feasible(self) -> bool:
        return True

    def separation(self, terms: list[str]) -> tuple[str, tuple[int, ...]] | None:
        return certain_states(self.gates, terms)

    @property
    def penalised(self) -> tuple[Array, Array]:
        """Gradient and information of all free coefficients, log prior included."""
        gradients, blocks = zip(*(own.penalised for own in self.gates), strict=True)
        return np.concatenate(gradients), np.asarray(block_diag(*blocks), dtype=np.float64)


def varying_paths(
    chain: Any, log_density: Array, smoothed: Array, allocated: Allocated, rows: Rows
) -> tuple[float, float]:
    """Return the entropy of the paths of all sequences, and log P of the most probable."""
    side, weights = rows.side, rows.weights_or_ones
    starts, initial, moves = side.starts, chain.first_states(side), chain.transitions_at(side)
    total, counts = float(weights @ allocated.log_normaliser), weights[:, None] * smoothed
    chained = forward_backward(log_density, starts, initial, moves)
    pairs = chained.weighted(starts, rows.weights).transitions
    path = most_probable_paths(log_density, starts, initial, moves)
    log_initial, log_moves = logs(np.atleast_2d(initial)), logs(moves)
    log_initial = np.broadcast_to(log_initial, (len(starts), log_initial.shape[1]))
    expected = float((counts * np.where(smoothed > 0.0, log_density, 0.0)).sum())
    expected += float((counts[starts] * log_initial).sum() + (pairs * log_moves).sum())
    every = np.arange(len(path))
    steps = log_moves[every, np.append(path[:1], path[:-1]), path]
    steps[starts] = log_initial[np.arange(len(starts)), path[starts]]
    return total - expected, float(weights @ (log_density[every, path] + steps)) - total


@dataclass(frozen=True)
class CovariateChain:
    """Gates (K + 1) of the first state, and of the state after each state.

    First states may depend on other covariates than the transitions do, or on none. ``timing``
    tells whose covariates transitions depend on: of the sample that is "entered", or "left".
    """

    gates: tuple[Gate, ...]
    timing: str = "entered"
    exchangeable = True
    expected_log, path_probabilities = no_log_weights, varying_paths

    @property
    def n_components(self) -> int:
        return self.gates[0].n_components

    @property
    def coefficients(self) -> Array:
        """Coefficients (K + 1, K, P), 0 for state 0 and for covariates without an effect."""
        n_terms = 1 + max(max(gate.places) for gate in self.gates)
        every = np.zeros((len(self.gates), self.n_components, n_terms))
        for own, gate in zip(every, self.gates, strict=True):
            own[:, gate.places] = gate.coefficients
        return every

    @property
    def free(self) -> Array:
        """Free coefficients of all gates."""
        return np.concatenate([gate.free for gate in self.gates])

    @property
    def free_rows(self) -> list[tuple[Any, ...]]:
        """State before and state of the free coefficients of each state."""
        before = ["first", *range(self.n_components)]
        return [(i, k) for i in before for k in range(1, self.n_components)]

    @property
    def free_terms(self) -> list[list[int]]:
        """Places in the design of the free coefficients of each row."""
        return [places for gate in self.gates for places in gate.free_terms]

    free_names = ("from", "component")

    @property
    def effects(self) -> tuple[tuple[str, list[int]], ...]:
        """Names of what depends on covariates, and places of these in the design."""
        first, after = self.gates[:2]
        return ("first states", first.places), ("transitions", after.places)

    @property
    def initial(self) -> Array:
        """Probabilities (K,) of the first state, averaged over the sequences of the fit."""
        return self.gates[0].shares

    @property
    def transition(self) -> Array:
        """Transition probabilities (K, K), averaged over the samples of the fit.

        Those from a state are weighted by the probability of having been there.
        """
        return np.array([gate.shares for gate in self.gates[1:]])

    def mean(self) -> Array:
        return stationary_distribution(self.transition)

    def averaged(self) -> CovariateChain:
        return self

    def first_states(self, side: SideInformation) -> Array:
        """Return the probabilities (S, K) of the first state of each sequence."""
        return np.asarray(np.exp(self.gates[0].log_weights(self.covariates_of_first(side))))

    def transitions_at(self, side: SideInformation) -> Array:
        """Return the probabilities (n, K, K) of the transitions to each sample."""
        return self.transitions_of(self.covariates_of_moves(side))

    def transitions_of(self, covariates: Array) -> Array:
        """Return the probabilities (n, K, K) of transitions that depend on covariates (n, P)."""
        K, covariates = self.n_components, covariates[:, self.gates[1].places]
        coefficients = np.concatenate([gate.coefficients for gate in self.gates[1:]])
        odds = (coefficients @ covariates.T).reshape(K, K, -1)
        odds -= odds.max(axis=1, keepdims=True)
        np.exp(odds, out=odds)
        odds /= odds.sum(axis=1, keepdims=True)
        return odds.transpose(2, 0, 1)

    def covariates_of_first(self, side: SideInformation) -> Array:
        """Return the covariates (S, P) of first states; the constant alone without slopes."""
        return Gate.needed(side)[side.starts][:, self.gates[0].places]

    def covariates_of_moves(self, side: SideInformation) -> Array:
        """Return the covariates (n, P) of the transitions to each sample."""
        covariates = Gate.needed(side)
        return np.roll(covariates, 1, axis=0) if self.timing == "left" else covariates

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log densities (n, K) into smoothed probabilities in place."""
        add_labels(joint, rows)
        side = rows.side
        if side.begins is None:
            raise UnsupportedError("this chain needs sequences")
        initial, moves = self.first_states(side), self.transitions_at(side)
        chained = forward_backward(joint, side.starts, initial, moves)
        chained = chained.weighted(side.starts, rows.weights)
        joint[:] = chained.shares
        (first, *after), covariates = self.gates, self.covariates_of_moves(side)
        covariates = covariates[:, self.gates[1].places]
        weights = rows.weights_or_ones[side.starts, None]
        sums = [first.sums(joint[side.starts], self.covariates_of_first(side), weights)]
        for k, gate in enumerate(after):
            sums.append(gate.sums_at(moves[:, k], chained.transitions[:, k], covariates))
        return Allocated(chained.log_predictive, CovariateChainSums(tuple(sums)))

    def halfway_to(self, other: CovariateChain) -> CovariateChain:
        pairs = zip(self.gates, other.gates, strict=True)
        gates = tuple(own.halfway_to(its) for own, its in pairs)
        return replace(other, gates=gates)

    def proportional(self, shares: Array) -> CovariateChain:
        """Return the chain with first states and transitions changed in proportion to shares."""
        factors = shares / np.maximum(self.mean(), LEAST_MOVE)
        gates = tuple(gate.proportional(gate.shares * factors) for gate in self.gates)
        return replace(self, gates=gates)

    def subset(self, keep: Integers, counts: Array) -> CovariateChain:
        gates = (self.gates[0], *(self.gates[1 + k] for k in keep))
        return replace(self, gates=tuple(gate.subset(keep, counts) for gate in gates))


@dataclass(frozen=True)
class CovariateChainPrior:
    """Prior of the coefficients of every gate; None until the covariates are known.

    ``first`` is that of first states, None where it is equal to ``gate``. Each has the covariates
    whose effects the data can tell apart. ``effects``: whether "all" or only "transitions" depend
    on covariates; ``named`` are those of first states and of transitions where each has its own.
    """

    gate: GatePrior | None = None
    first: GatePrior | None = None
    effects: str = "all"
    timing: str = "entered"
    named: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    name = "covariate_chain"

    @property
    def of_gate(self) -> GatePrior:
        if self.gate is None:
            raise UnsupportedError(
                f"covariate_effects={self.effects!r} needs covariates: fit(X, covariates=)"
            )
        return self.gate

    def _of_gates(self, n_components: int) -> list[GatePrior]:
        return [self.first or self.of_gate, *repeat(self.of_gate, n_components)]

    def mode(self, statistics: CovariateChainSums | ChainSums) -> CovariateChain:
        """Return all gates after a Newton step; from counts those with intercepts only."""
        own: Any = getattr(statistics, "gates", None)
        if isinstance(statistics, ChainSums):
            own = (statistics.initial, *statistics.transitions)
        priors = self._of_gates(len(own) - 1)
        gates = tuple(prior.mode(sums) for prior, sums in zip(priors, own, strict=True))
        return CovariateChain(gates, self.timing)

    def log_density(self, chain: CovariateChain) -> float:
        pairs = zip(self._of_gates(chain.n_components), chain.gates, strict=True)
        return sum(prior.log_density(gate) for prior, gate in pairs)

    def without_effect(self, names: tuple[str, ...]) -> list[str]:
        """Return sentences about covariates without the effects that were asked for."""
        first, moves = (self.first or self.of_gate).columns, self.of_gate.columns
        if self.named is None:
            return sentences_without_effect(self.effects, first, moves, names)
        every, parts = range(1, len(names) + 1), []
        for own, asked in zip((first, moves), self.named, strict=True):
            not_lost = (p for p in every if p in own or not is_named(names[p - 1], asked))
            parts.append((0, *not_lost))
        return sentences_without_effect("all", parts[0], parts[1], names)

    def n_parameters(self, n_components: int) -> int:
        return sum(prior.n_parameters(n_components) for prior in self._of_gates(n_components))


halfway.register(CovariateChain, CovariateChain.halfway_to)


def sentences_without_effect(
    effects: str, first: tuple[int, ...], moves: tuple[int, ...], names: tuple[str, ...]
) -> list[str]:
    """Return a sentence for each effect that some covariates do not have, and which.

    ``first`` and ``moves`` are the places in the design of those that have one, () for all.
    """
    asked = []
    if effects == "all":
        asked.append(("first states", first, "first samples, or there are too few sequences"))
    if effects != "first":
        asked.append(("transitions", moves, "the samples of transitions"))
    sentences = []
    for what, places, where in asked:
        lost = [name for place, name in enumerate(names, 1) if places and place not in places]
        if lost:
            sentences.append(
                f"{what} do not depend on {', '.join(map(repr, lost))}, whose effects the data do "
                f"not determine: constant or collinear at {where}"
            )
    return sentences


def identified(covariates: Array, rows: Booleans, most: int | None = None) -> tuple[int, ...]:
    """Return the places of covariates (n, P) whose effects on some rows can be told apart.

    A column that is constant among these rows, such as time at first samples, or that follows from
    the columns before it, has no effect of its own. ``most`` limits the number of columns.
    """
    spread = covariates.std(axis=0)
    chosen = covariates[rows]
    moved = (chosen - chosen.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    basis, places = np.empty((len(moved), 0)), list[int]()
    for place, column in enumerate(moved.T):
        if len(places) == most:
            break
        rest = column - basis @ (basis.T @ column)
        size = float(np.linalg.norm(rest))
        # Sums of squares of smaller parts would have no digits left, as in ``Standardised.of``.
        if size > 1e-6 * np.sqrt(len(moved)):
            rest = rest / size
            rest -= basis @ (basis.T @ rest)
            basis = np.column_stack([basis, rest / np.linalg.norm(rest)])
            places.append(place)
    return tuple(places)


def identified_at_first(covariates: Array, begins: Booleans) -> tuple[int, ...]:
    """Return the places of covariates (n, P) whose effects on first states the data determine.

    Covariates separate half of all assignments of 2 (P + 1) points to two states, and more of fewer
    points (Cover 1965), so that coefficients would not be finite: with few sequences the first
    columns are kept.
    """
    n_sequences = int(begins.sum())
    return identified(covariates, begins, max((n_sequences - 1) // 2 - 1, 0))


def _identified_moves(covariates: Array, begins: Booleans, timing: str) -> tuple[int, ...]:
    """Return the places of covariates whose effects on transitions can be told apart."""
    entered = ~begins
    rows = np.roll(entered, -1) if timing == "left" else entered
    return identified(covariates, rows)


def gated(inference: Any, source: Source, n_components: int) -> Any:
    """Return the inference with a gate, or a chain with gates, as its weights."""
    rows, weights = source.in_memory().rows, inference.weights
    sparse = 1.0 / n_components
    defaults = (None, DirichletPrior(1.0), DirichletPrior(sparse), StickBreakingPrior(sparse))
    chained = isinstance(weights, DirichletChainPrior)
    if chained and (weights.stationary or inference.variational):
        raise UnsupportedError(
            "covariates of the first state need initial='free', and maximum likelihood or "
            "MaximumAPosteriori()"
        )
    whole_chain = isinstance(weights, CovariateChainPrior)
    if whole_chain and inference.variational:
        raise UnsupportedError(
            f"covariate_effects={weights.effects!r} needs maximum likelihood or "
            "MaximumAPosteriori()"
        )
    if not chained and not whole_chain and weights not in defaults:
        raise UnsupportedError(
            "covariates replace the prior of the weights: leave out its concentration"
        )
    P = rows.side.n_covariates
    if inference.variational:
        return replace(inference, weights=GatePrior.variational(rows))
    precision = 0.0 if inference.name == "maximum_likelihood" else WEAK_PRECISION
    gate = GatePrior.normal(P, precision)
    if not chained and not whole_chain:
        return replace(inference, weights=gate)
    if chained:
        return replace(inference, weights=GatedChainPrior(gate, weights))
    side: Any = rows.side
    covariates, begins = side.covariates[:, 1:], side.begins
    timing = weights.timing if side.elapsed is None else "left"
    if weights.named is None:
        moves = _identified_moves(covariates, begins, timing)
        first = identified_at_first(covariates, begins) if weights.effects == "all" else ()
    else:
        of_first, of_moves = (named_places(names, side.design) for names in weights.named)
        own_first = identified_at_first(covariates[:, of_first], begins)
        first = tuple(of_first[place] for place in own_first)
        own_moves = _identified_moves(covariates[:, of_moves], begins, timing)
        moves = tuple(of_moves[place] for place in own_moves)
    own = (_of_columns(gate, moves), _of_columns(gate, first))
    return replace(inference, weights=replace(weights, gate=own[0], first=own[1]))


def is_named(term: str, names: tuple[str, ...]) -> bool:
    """Whether a term is one of the variables; "wave" are the indicators of all waves."""
    return term in names or (WAVE in names and term.startswith(f"{WAVE} "))


def named_places(names: tuple[str, ...], design: Any) -> list[int]:
    """Return the places, from 0, of the covariates that some variables make."""
    found: list[int] = []
    for variable, places in design.variables.items():
        if is_named(variable, names):
            found += [place - 1 for place in places]
    absent = [name for name in names if not any(is_named(v, (name,)) for v in design.variables)]
    if absent:
        raise InvalidInputError(
            f"covariate_effects names {absent[0]!r}, but covariates have the columns "
            f"{', '.join(design.variables)}"
        )
    return found


def _of_columns(gate: GatePrior, places: tuple[int, ...]) -> GatePrior:
    """Return the prior of a gate on the constant and some covariates."""
    columns = (0, *(place + 1 for place in places))
    return replace(gate, precisions=gate.precisions[list(columns)], columns=columns)
