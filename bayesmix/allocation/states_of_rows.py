"""Probabilities of the states of sequences, and one-step log densities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from bayesmix.allocation.chain import MarkovChain
from bayesmix.allocation.forward_backward import forward_backward
from bayesmix.core.mixture import Mixture as FittedMixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.core.sources import Source
from bayesmix.numerics.arrays import Array


def shares_before_data(chain: MarkovChain, side: SideInformation) -> Array:
    """Return the probabilities (n, K) of the states of samples before any value is known."""
    if side.elapsed is not None:
        side = replace(side, elapsed=side.elapsed.inexact)
    first, moves = chain.first_states(side), chain.transitions_at(side)
    starts = side.starts
    nothing = np.zeros((len(cast("Array", side.begins)), moves.shape[-1]))
    return forward_backward(nothing, starts, first, moves, smooth=False).shares


def flows_before_data(chain: MarkovChain, side: SideInformation) -> Array:
    """Return the probabilities (n, K, K) of the states before and at each sample, without data.

    Those of first samples are 0.
    """
    shares, moves = shares_before_data(chain, side), chain.transitions_at(side)
    flows = np.roll(shares, 1, axis=0)[:, :, None] * moves
    flows[side.starts] = 0.0
    return np.asarray(flows)


def means_by_wave(values: Array, side: SideInformation, weights: Array) -> Array:
    """Return weighted means (W, K) of values (n, K) of the samples at each place in sequences."""
    waves = side.waves
    sums = np.zeros((int(waves.max()) + 1, values.shape[1]))
    np.add.at(sums, waves, weights[:, None] * values)
    return sums / np.bincount(waves, weights)[:, None]


@dataclass(frozen=True)
class StatesOfRows:
    """Computation on a chunk of sequences: probabilities of states, and one-step log densities.

    ``initial`` replaces the distribution of the first states.
    """

    states: FittedMixture
    continuous: bool
    smooth: bool = False
    initial: Array | None = None

    def log_densities(self, rows: Rows) -> Array:
        """Return the log density (n, K) of each sample in each state, in data units."""
        with np.errstate(over="ignore"):  # far samples have a density of 0
            joint = self.states.log_joint(rows)
        if self.continuous:
            joint -= rows.observation.log_volume(self.states, rows)[:, None]
        return joint

    def __call__(self, rows: Rows) -> Array:
        """Return smoothed or filtered probabilities, and log densities last (n, K + 1)."""
        chain = cast("MarkovChain", self.states.weights)
        initial = chain.first_states(rows.side) if self.initial is None else self.initial
        joint, starts = self.log_densities(rows), rows.side.starts
        chained = forward_backward(
            joint, starts, initial, chain.transitions_at(rows.side), self.smooth
        )
        return np.column_stack([chained.shares, chained.log_predictive])

    def predicted(self, filtered: Array, rows: Rows) -> Array:
        """Return the probabilities of states (n, K) given the samples before each.

        ``filtered`` (n, K) are those given the samples up to each.
        """
        chain, side = cast("MarkovChain", self.states.weights), rows.side
        moves = np.broadcast_to(chain.transitions_at(side), (*filtered.shape, filtered.shape[1]))
        ahead = np.einsum("ni,nij->nj", filtered[:-1], moves[1:])
        predicted = np.concatenate([np.empty_like(filtered[:1]), ahead])
        predicted[side.starts] = chain.first_states(side)
        return predicted

    def mean_log_density(self, source: Source) -> float:
        """Return the mean log density of the samples of a source, in nats."""
        with single_threaded_blas():
            total = source.reduce(self._total, self.states.n_components)
        return total / source.shape[0]

    def _total(self, rows: Rows) -> float:
        return float(self(rows)[:, -1].sum())
