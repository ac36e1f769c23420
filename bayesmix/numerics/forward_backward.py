"""Forward filtering and backward smoothing of hidden Markov chains, vectorised over segments.

Long sequences are cut into segments. The matrices that carry a filtered distribution across each
segment give the distributions at all borders, from which all segments are passed at once: about
3 √T vectorised steps for T observations. Smoothing uses filtered distributions only, so nothing
underflows (Rabiner 1989; Rauch, Tung & Striebel 1965; Särkkä & García-Fernández 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bayesmix.numerics.arrays import Array, Integers

# Sequences are cut unless the products of matrices, sequences times K³, cost more than the steps.
WORTH_CUTTING = 40_000
# Filtered masses below this are computed again in logarithms.
SMALLEST = 1e-250
# Stands for the logarithm of 0.
LOWEST = -1e300


@dataclass(frozen=True)
class Chained:
    """Filtered and smoothed probabilities (n, K) and one-step predictive log densities (n,).

    ``initial`` (K,) and ``transitions`` (K, K) are expected counts of first states and of pairs of
    consecutive states.
    """

    log_predictive: Array
    filtered: Array
    smoothed: Array
    initial: Array
    transitions: Array


@dataclass(frozen=True)
class Segments:
    """Parts of sequences by first row and length, longest first; ``previous`` is -1 at a start."""

    first: Integers
    length: Integers
    previous: Integers

    @classmethod
    def of(cls, starts: Integers, n_rows: int, n_components: int) -> Segments:
        """Cut sequences that begin at ``starts`` into segments of about √T rows if worthwhile."""
        lengths = np.diff(np.append(starts, n_rows))
        longest = int(lengths.max())
        size = longest
        if n_rows / longest * n_components**3 < WORTH_CUTTING:
            size = int(np.ceil(np.sqrt(longest)))
        parts = -(-lengths // size)
        ends = np.cumsum(parts)
        position = np.arange(ends[-1]) - np.repeat(ends - parts, parts)
        first = np.repeat(starts, parts) + size * position
        length = np.minimum(np.repeat(lengths, parts) - size * position, size)
        order = np.argsort(-length, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        previous = np.where(position > 0, np.append(-1, place[:-1]), -1)
        return cls(first[order], length[order], previous[order])

    @classmethod
    def whole(cls, starts: Integers, n_rows: int) -> Segments:
        """Return whole sequences, longest first."""
        lengths = np.diff(np.append(starts, n_rows))
        order = np.argsort(-lengths, kind="stable")
        return cls(starts[order], lengths[order], np.full(len(starts), -1))

    @cached_property
    def active(self) -> Integers:
        """Number of segments with more than t rows, for each step t."""
        return np.searchsorted(-self.length, -np.arange(self.length[0]), side="left")

    @cached_property
    def cut(self) -> Integers:
        """Indices of segments of sequences that have several, longest first."""
        several = self.previous >= 0
        several[self.previous[several]] = True
        return np.flatnonzero(several)

    @cached_property
    def levels(self) -> list[Integers]:
        """Indices of first segments of sequences, of second segments, and so on, of ``cut``."""
        level = self.cut[self.previous[self.cut] < 0]
        followed = np.full(len(self.first), -1)
        later = np.flatnonzero(self.previous >= 0)
        followed[self.previous[later]] = later
        levels = []
        while len(level):
            levels.append(level)
            level = followed[level]
            level = level[level >= 0]
        return levels

    def steps(self) -> Iterator[tuple[int, Integers]]:
        """Yield each step with the rows of the segments that it reaches."""
        for step, reached in enumerate(self.active):
            yield step, self.first[:reached] + step


def forward_backward(
    log_density: Array, starts: Integers, initial: Array, transition: Array, smooth: bool = True
) -> Chained:
    """Return filtered and smoothed probabilities of the states of sequences.

    ``log_density`` (n, K) is that of each observation in each state, 0 where it is missing;
    ``starts`` are the first rows of sequences. ``initial`` and the rows of ``transition`` need not
    sum to 1. Without ``smooth`` the smoothed probabilities are the filtered ones.
    """
    chain = _Pass(log_density, transition)
    segments = Segments.of(starts, *log_density.shape)
    incoming = np.tile(initial, (len(segments.first), 1))
    borders = chain.across(segments, incoming)
    first = np.where((segments.previous >= 0)[:, None], incoming @ transition, incoming)
    chain.forward(segments, first)
    smoothed, transitions = chain.filtered, np.zeros_like(transition)
    if smooth:
        smoothed, transitions = chain.backward(segments, borders, incoming, first)
    return Chained(
        chain.log_predictive,
        chain.filtered,
        smoothed,
        smoothed[starts].sum(axis=0),
        transitions * transition,
    )


class _Pass:
    """The recursions over the rows of one array, with what they fill in."""

    def __init__(self, log_density: Array, transition: Array) -> None:
        self.log_density, self.transition = log_density, transition
        self.largest = np.maximum(log_density.max(axis=1), LOWEST)
        # Filtered probabilities take the place of the densities, row by row.
        self.filtered = np.subtract(log_density, self.largest[:, None], order="C")
        np.exp(self.filtered, out=self.filtered)
        self.log_predictive = self.largest.copy()
        self.ones = np.ones(len(transition))

    def _conditioned(self, predicted: Array, rows: Integers) -> tuple[Array, Array]:
        """Return predictions (..., B, K) given the observations, and log normalisers (..., B)."""
        shares = predicted * self.filtered[rows]
        total = shares @ self.ones
        lost = total < SMALLEST
        shift = np.zeros(total.shape)
        if lost.any():
            rows = np.broadcast_to(rows, total.shape)[lost]
            away = self.log_density[rows] - self.largest[rows, None]
            logs = np.maximum(away, LOWEST) + _log(predicted[lost])
            shift[lost] = logs.max(axis=1)
            shares[lost] = np.exp(logs - shift[lost][:, None])
            total = shares @ self.ones
        shares /= total[..., None]
        return shares, np.log(total) + shift

    def across(self, segments: Segments, incoming: Array) -> Array:
        """Fill in the filtered distributions (B, K) before all segments but the first.

        Return joint probabilities (B, K, K) of the states before and at the end of segments.
        """
        cut = segments.cut
        joint = np.empty((len(segments.first), *self.transition.shape))
        if not len(cut):
            return joint
        # Axes: the state before the segment, the segment, the present state.
        begins = (segments.previous[cut] < 0)[:, None]
        identity = np.eye(len(self.transition))[:, None, :]
        carried = np.where(begins, identity, self.transition[:, None, :])
        scale = np.zeros(carried.shape[:2])
        for step in range(int(segments.length[0])):
            reached = int(np.searchsorted(-segments.length[cut], -step))
            predicted = carried[:, :reached]
            if step:
                predicted = predicted @ self.transition
            shares, log_total = self._conditioned(predicted, segments.first[cut[:reached]] + step)
            carried[:, :reached] = shares
            scale[:, :reached] += log_total
        joint[cut] = carried.transpose(1, 0, 2)
        logs = np.empty_like(incoming)
        logs[cut] = scale.T
        for level in segments.levels:
            previous = segments.previous[level]
            if previous[0] >= 0:
                incoming[level] = joint[previous].sum(axis=1)
            weights = logs[level] + _log(incoming[level])
            weights -= weights.max(axis=1, keepdims=True)
            joint[level] *= np.exp(weights)[:, :, None]
            joint[level] /= joint[level].sum(axis=(1, 2), keepdims=True)
        return joint

    def forward(self, segments: Segments, first: Array) -> None:
        """Filter all segments, which begin with the predictions ``first`` (B, K)."""
        predicted = first
        for step, rows in segments.steps():
            if step:
                predicted = self.filtered[rows - 1] @ self.transition
            shares, log_total = self._conditioned(predicted, rows)
            self.filtered[rows] = shares
            self.log_predictive[rows] += log_total

    def backward(
        self, segments: Segments, borders: Array, incoming: Array, first: Array
    ) -> tuple[Array, Array]:
        """Return smoothed probabilities (n, K), and expected transitions over their probability."""
        last = self.filtered[segments.first + segments.length - 1]
        for level in reversed(segments.levels[1:]):
            joint = borders[level]
            ratio = _ratio(last[level], joint.sum(axis=1))
            last[segments.previous[level]] = (joint @ ratio[:, :, None])[:, :, 0]
        smoothed = np.empty_like(self.filtered)
        transitions = np.zeros_like(self.transition)
        after = last[:0]
        for _, rows in reversed(list(segments.steps())):
            shares = last[: len(rows)].copy()
            if len(after):
                earlier = self.filtered[rows[: len(after)]]
                ratio = _ratio(after, earlier @ self.transition)
                transitions += earlier.T @ ratio
                shares[: len(after)] = earlier * (ratio @ self.transition.T)
            smoothed[rows] = after = shares
        inner = segments.previous >= 0
        transitions += incoming[inner].T @ _ratio(after[inner], first[inner])
        return smoothed, transitions


def most_probable_paths(
    log_density: Array, starts: Integers, initial: Array, transition: Array
) -> Integers:
    """Return the most probable states (n,) of each sequence together (Viterbi 1967)."""
    n, K = log_density.shape
    segments = Segments.whole(starts, n)
    log_moves = _log(transition)
    best = np.empty((n, K), dtype=np.intp)  # best state before, for each state
    value = np.tile(_log(initial), (len(starts), 1))
    for step, rows in segments.steps():
        if step:
            through = value[: len(rows), :, None] + log_moves
            best[rows] = through.argmax(axis=1)
            value[: len(rows)] = through.max(axis=1)
        value[: len(rows)] += log_density[rows]
    states = np.empty(n, dtype=np.intp)
    states[segments.first + segments.length - 1] = value.argmax(axis=1)
    for step, rows in reversed(list(segments.steps())):
        if step:
            states[rows - 1] = best[rows, states[rows]]
    return states


def _log(values: Array) -> Array:
    """Return logarithms, ``LOWEST`` of 0."""
    logs: Array = np.full(values.shape, LOWEST)
    return np.log(values, out=logs, where=values > 0.0)


def _ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
