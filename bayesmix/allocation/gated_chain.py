"""A Markov chain whose first state depends on covariates of the sequence, by a softmax gate.

The statistics are those of the gate at the first samples, and the expected transitions (Zucchini,
MacDonald & Langrock 2016, ch. 10, for covariates of a chain).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from bayesmix.allocation.chain import (
    ChainSums,
    DirichletChainPrior,
    MarkovChain,
    allocate_sequences,
    paths,
)
from bayesmix.allocation.forward_backward import logs
from bayesmix.allocation.gate import Gate, GatePrior, GateSums
from bayesmix.allocation.point import PointWeights, no_log_weights
from bayesmix.core.mixture import halfway
from bayesmix.core.rows import AddedByField, Allocated, Rows, SideInformation
from bayesmix.numerics.arrays import Array, Integers


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

    @property
    def separated(self) -> bool:
        """Whether covariates separate first states, so that the likelihood has no maximum."""
        return self.gate.separated

    @property
    def penalised(self) -> tuple[Array, Array]:
        """Gradient and information of the gate's free coefficients, log prior included."""
        return self.gate.penalised


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

    free_names, of_covariates = Gate.free_names, "first states"

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
        gate = self.gate.sums(joint[starts], covariates, np.ones((len(starts), 1)))
        return Allocated(allocated.log_normaliser, GatedSums(sums.transitions, gate))

    def halfway_to(self, other: GatedChain) -> GatedChain:
        return replace(other, gate=self.gate.halfway_to(other.gate))

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

    def n_parameters(self, n_components: int) -> int:
        return self.gate.n_parameters(n_components) + n_components * (n_components - 1)


halfway.register(GatedChain, GatedChain.halfway_to)
