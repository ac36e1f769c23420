"""Scores and information of hidden Markov chains by Louis's identity, in one pass over the waves.

The information is that of known paths less the variance of their score S, a sum of steps u_t of
the path. Given the data, a path is a Markov chain backwards in time, in which the conditional
means M_t = E[S | z_t, z_t+1, ...] are a martingale, so that

    Var(S) = Σ_t E[(M_t-1 - M_t)²] + Var(M_T),   M_t-1 - M_t = u_t + a_t-1(z_t-1) - a_t(z_t),

where a_t(z) = E[u_1 + ... + u_t | z_t = z] follows forwards (cf. Cappé, Moulines & Rydén 2005, ch.
10). A pass thus gives exact derivatives, where differences need a pass for each pair of parameters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.allocation.chain import MarkovChain
from bayesmix.allocation.forward_backward import Segments, forward_backward
from bayesmix.allocation.gated_chain import CovariateChain, GatedChain
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior.component_scores import ComponentScores
from bayesmix.posterior.free_allocation import NO_VISIT

# Derivatives of the steps of a block of sequences, which stay in the cache: 2 MB.
MOST_STEPS = 2**18


def has_chain_scores(result: FitResult) -> bool:
    """Whether the chain of a fit has softmax rows, in which all its parameters are log odds."""
    side, weights = result.side, result.mixture.weights
    stationary = getattr(result.inference.weights_prior, "stationary", False)
    known = isinstance(weights, MarkovChain | GatedChain | CovariateChain)
    return known and side.ordered and not stationary and side.labels is None


@dataclass(frozen=True)
class SoftmaxRow:
    """Probabilities (n or 1, K) of the states after one state, or of first states.

    ``free`` (K - 1,) are the states that have coefficients of the ``design`` (n or 1, P), whose
    places among all parameters begin at ``place``.
    """

    shares: Array
    free: Integers
    design: Array
    place: int

    @property
    def size(self) -> int:
        return len(self.free) * self.design.shape[1]

    @property
    def own(self) -> slice:
        """Places of the coefficients."""
        return slice(self.place, self.place + self.size)

    def at(self, rows: Integers) -> SoftmaxRow:
        """Return the row at some samples."""
        shares = self.shares if len(self.shares) == 1 else self.shares[rows]
        design = self.design if len(self.design) == 1 else self.design[rows]
        return SoftmaxRow(shares, self.free, design, self.place)

    def scores(self) -> Array:
        """Return the derivatives (n or 1, K, size) of log probabilities."""
        K = self.shares.shape[1]
        slopes = np.eye(K)[:, self.free] - self.shares[:, None, self.free]
        products = slopes[..., None] * self.design[:, None, None, :]
        return np.asarray(products.reshape(len(products), K, -1))

    def slopes(self) -> Array:
        """Return the derivatives (n or 1, K, size) of the probabilities."""
        return np.asarray(self.shares[..., None] * self.scores())

    def information(self, counts: Array) -> Array:
        """Return Σ n (diag p - p p') ⊗ x x' (size, size), with the numbers (n,) of visits."""
        p, m = self.shares[:, self.free], len(self.free)
        counts = counts if max(len(p), len(self.design)) > 1 else counts.sum(keepdims=True)
        spread = p[:, :, None] * (np.eye(m) - p[:, None, :])
        x = self.design[:, :, None] * self.design[:, None, :]
        P = x.shape[1]
        total = (counts[:, None] * spread.reshape(len(p), -1)).T @ np.broadcast_to(
            x.reshape(len(x), -1), (len(counts), P * P)
        )
        return np.asarray(
            total.reshape(m, m, P, P).transpose(0, 2, 1, 3).reshape(self.size, self.size)
        )


def softmax_rows(chain: Any, side: Any) -> tuple[SoftmaxRow, list[SoftmaxRow]]:
    """Return the rows of first states, at the first samples, and of those after each state.

    Parameters are in the order of ``FreeAllocation``.
    """
    K = chain.n_components
    every, one, rows, place = np.arange(K), np.ones((1, 1)), [], 0
    gates: tuple[Any, ...] = getattr(chain, "gates", ())
    initial, moves = np.atleast_2d(chain.first_states(side)), chain.transitions_at(side)
    moves = moves if moves.ndim == 3 else moves[None]
    designs = [one] * (K + 1)
    if gates:
        of_moves = chain.covariates_of_moves(side)[:, gates[1].places]
        designs = [chain.covariates_of_first(side), *([of_moves] * K)]
    if isinstance(chain, GatedChain):
        designs[0] = chain.gate.needed(side)[side.starts]
    for number, design in enumerate(designs):
        shares = moves[:, number - 1] if number else initial
        gated = bool(gates) or (isinstance(chain, GatedChain) and not number)
        free = every[1:] if gated else np.delete(every, shares[0].argmax())
        rows.append(SoftmaxRow(shares, free, design, place))
        place += rows[-1].size
    return rows[0], rows[1:]


@dataclass(frozen=True, eq=False)
class ChainScores(ComponentScores):
    """Scores and information of a chain in discrete time; units are sequences."""

    @cached_property
    def softmax(self) -> tuple[SoftmaxRow, list[SoftmaxRow]]:
        return softmax_rows(self.point.weights, self.rows.side)

    @cached_property
    def smoothed(self) -> tuple[Array, Array]:
        """Probabilities of states (n, K) and of pairs of states (n, K, K) at the second of them."""
        first, after = self.softmax
        K, n = self.result.n_components, len(self.rows)
        moves = np.stack([np.broadcast_to(row.shares, (n, K)) for row in after], axis=1)
        initial = np.broadcast_to(first.shares, (len(self.starts), K))
        logs = self.log_densities(self.components)
        chained = forward_backward(logs, self.starts, initial, moves)
        return chained.shares, chained.transitions

    @property
    def responsibilities(self) -> Array:
        return self.smoothed[0]

    def _blocks(self) -> Iterator[tuple[slice, slice]]:
        """Yield blocks of sequences, and their samples, whose steps have room."""
        K, size = self.result.n_components, self.places[0]
        lengths = self.rows.side.group_sizes
        most = max(1, MOST_STEPS // (K * K * size))
        n, ends = len(lengths), np.cumsum(lengths)
        for start in range(0, n, most):
            stop = min(start + most, n)
            yield slice(start, stop), slice(ends[start] - lengths[start], ends[stop - 1])

    @cached_property
    def _derivatives(self) -> tuple[Array, Array]:
        """Scores (units, p), and the sum (p, p) of the variances of the scores of paths."""
        size = self.places[0]
        scores, variance = np.empty((len(self.starts), size)), np.zeros((size, size))
        for units, samples in self._blocks():
            scores[units], more = self._of_block(units, samples)
            variance += more
        return scores, variance

    def _of_block(self, units: slice, samples: slice) -> tuple[Array, Array]:
        """Return scores and variances of a block of sequences, wave by wave."""
        (shares, pairs), K, size = self.smoothed, self.result.n_components, self.places[0]
        first, after = self.softmax
        starts, weights = self.starts[units], self.weights[units]
        segments = Segments.of(starts - samples.start, samples.stop - samples.start)
        order = np.searchsorted(starts - samples.start, segments.first)  # longest first
        weights, scores = weights[order], np.empty((len(starts), size))
        variance, means = np.zeros((size, size)), np.zeros((len(starts), K, size))
        every = np.arange(K)
        for step, reached in segments.steps():
            rows, S = reached + samples.start, len(reached)
            if step:
                before, joint = means[:S], pairs[rows]
                moved = np.repeat(before[:, :, None, :], K, axis=2)
                for state, row in enumerate(after):
                    moved[:, state, :, row.own] += row.at(rows).scores()
                into = joint.sum(axis=1)
                back = np.divide(
                    joint, into[:, None], out=np.zeros_like(joint), where=into[:, None] > 0.0
                )
                now = np.einsum("sij,sijp->sjp", back, moved)
                moved -= now[:, None]
                flat = moved.reshape(-1, size)
                counts = (weights[:S, None, None] * joint).reshape(-1, 1)
                variance += (flat * counts).T @ flat
                means[:S] = now
            else:
                means[:, :, first.own] = first.at(order + units.start).scores()
            for gradient, at in zip(self.gradients, self.places[1], strict=True):
                means[:S, every, at] += gradient[rows]
        ends = starts + self.rows.side.group_sizes[units] - 1
        last = shares[ends[order]]
        scores[order] = np.einsum("sk,skp->sp", last, means)
        flat = (means - scores[order][:, None]).reshape(-1, size)
        variance += (flat * (weights[:, None] * last).reshape(-1, 1)).T @ flat
        return scores, variance

    @property
    def allocation_slopes(self) -> Array:
        """Derivatives of first states and of transitions, averaged as ``chain_parameters`` does."""
        first, size, K = self.softmax[0], self.allocation.size, self.result.n_components
        slopes = np.zeros((K + 1, K, size))
        of_first = np.broadcast_to(first.slopes(), (len(self.starts), K, first.size))
        slopes[0, :, first.own] = np.average(of_first, axis=0, weights=self.weights)
        slopes[1:] = self.mean_moves(np.flatnonzero(~self.rows.side.begins))[1]
        return slopes.reshape((K + 1) * K, size)

    def mean_moves(self, entered: Integers) -> tuple[Array, Array]:
        """Return transitions (K, K) to some samples, averaged over visits before, and slopes.

        Slopes (K, K, a) are those in the free parameters of the chain.
        """
        K, visits = self.result.n_components, self.mass[entered - 1]
        moves, slopes = np.zeros((K, K)), np.zeros((K, K, self.allocation.size))
        for state, every in enumerate(self.softmax[1]):
            row = every.at(entered)
            counts = visits[:, state] / max(float(visits[:, state].sum()), NO_VISIT)
            if len(row.shares) == 1:  # the same at all samples
                moves[state], slopes[state, :, row.own] = row.shares[0], row.slopes()[0]
            else:
                moves[state] = counts @ row.shares
                slopes[state, :, row.own] = np.tensordot(counts, row.slopes(), 1)
        return moves, slopes

    @property
    def moves_vary(self) -> bool:
        """Whether transitions depend on covariates."""
        return max(len(row.shares) for row in self.softmax[1]) > 1

    @cached_property
    def shares_by_wave(self) -> tuple[Array, Array]:
        """Shares (W, K) of sequences in each state before data are known, and slopes (W, K, p)."""
        (first, after), size, K = self.softmax, self.allocation.size, self.result.n_components
        totals = np.bincount(self.rows.side.waves, self.row_weights)
        shares, slopes = np.zeros((len(totals), K)), np.zeros((len(totals), K, self.places[0]))
        for units, samples in self._blocks():
            starts, weights = self.starts[units], self.weights[units]
            segments = Segments.of(starts - samples.start, samples.stop - samples.start)
            order = np.searchsorted(starts - samples.start, segments.first)
            row = first.at(order + units.start)
            reached = np.array(np.broadcast_to(row.shares, (len(starts), K)))
            moved = np.zeros((len(starts), K, size))
            moved[:, :, row.own] = row.slopes()
            for step, at in segments.steps():
                S, rows = len(at), at + samples.start
                if step:
                    before, reached, slope = reached[:S], np.zeros((S, K)), np.zeros((S, K, size))
                    for state, every in enumerate(after):
                        row, own = every.at(rows), before[:, state, None]
                        reached += own * row.shares
                        slope += row.shares[..., None] * moved[:S, state, None]
                        slope[:, :, row.own] += own[..., None] * row.slopes()
                    moved = slope
                shares[step] += weights[order[:S]] @ reached
                slopes[step, :, :size] += np.tensordot(weights[order[:S]], moved, 1)
        return shares / totals[:, None], slopes / totals[:, None, None]

    @property
    def scores(self) -> Array:
        return self._derivatives[0]

    @cached_property
    def information(self) -> Array:
        """Minus the Hessian (p, p) of the log likelihood (Louis 1982)."""
        (first, after), (_, pairs), places = self.softmax, self.smoothed, self.places[1]
        total: Array = -self._derivatives[1]
        total[first.own, first.own] += first.information(self.weights)
        visits = self.row_weights[:, None] * pairs.sum(axis=2)
        for row, counts in zip(after, visits.T, strict=True):
            total[row.own, row.own] += row.information(counts)
        for one, other, curvature in self.curvatures():
            for i, j, value in zip(places[one], places[other], curvature, strict=True):
                total[i, j] -= value
                if one != other:
                    total[j, i] -= value
        return total
