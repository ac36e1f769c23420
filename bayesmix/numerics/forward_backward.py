"""Forward filtering, backward smoothing and sampling of hidden Markov chains, in segments.

Long sequences are cut into segments. Matrices carry a filtered distribution across each segment;
their products by pairs, and of pairs by pairs, give the distributions at all borders, from which
all segments are passed at once. Smoothing uses filtered distributions only, so that nothing
underflows (Rabiner 1989; Rauch, Tung & Striebel 1965; Särkkä & García-Fernández 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Integers

# Sequences are cut unless the products of matrices, sequences times K³, cost more than the steps.
WORTH_CUTTING = 40_000
# Numbers in the matrices of all segments, which fit into a cache; fewest rows of a segment.
CACHED, FEWEST = 2**15, 8
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
    """Parts of sequences by first row, length, and whether a sequence begins, longest first.

    ``in_order`` are their indices in the order of the rows.
    """

    first: Integers
    length: Integers
    begins: Booleans
    in_order: Integers

    @classmethod
    def of(cls, starts: Integers, n_rows: int, size: int | None = None) -> Segments:
        """Return sequences that begin at ``starts``, cut into segments of ``size`` rows."""
        lengths = np.diff(np.append(starts, n_rows))
        size = size or int(lengths.max())
        parts = -(-lengths // size)
        ends = np.cumsum(parts)
        position = np.arange(ends[-1]) - np.repeat(ends - parts, parts)
        first = np.repeat(starts, parts) + size * position
        length = np.minimum(np.repeat(lengths, parts) - size * position, size)
        order = np.argsort(-length, kind="stable")
        return cls(first[order], length[order], position[order] == 0, np.argsort(order))

    @classmethod
    def cut(cls, starts: Integers, n_rows: int, n_components: int) -> Segments:
        """Return sequences, cut into segments where that is faster."""
        longest = int(np.diff(np.append(starts, n_rows)).max())
        size = max(FEWEST, -(-n_rows * n_components**2 // CACHED))
        worth = n_rows / longest * n_components**3 < WORTH_CUTTING
        return cls.of(starts, n_rows, size if worth and 2 * size < longest else None)

    def steps(self) -> Iterator[tuple[int, Integers]]:
        """Yield each step with the rows of the segments that it reaches."""
        reached = np.searchsorted(-self.length, -np.arange(self.length[0]), side="left")
        for step, stop in enumerate(reached.tolist()):
            yield step, self.first[:stop] + step


def forward_backward(
    log_density: Array, starts: Integers, initial: Array, transition: Array, smooth: bool = True
) -> Chained:
    """Return filtered and smoothed probabilities of the states of sequences.

    ``log_density`` (n, K) is that of each observation in each state, 0 where it is missing;
    ``starts`` are the first rows of sequences. ``initial`` (K,), or (S, K) of each sequence, and
    the rows of ``transition`` need not sum to 1. Without ``smooth`` the smoothed probabilities are
    the filtered ones.
    """
    log_density, initial = _with_initial(log_density, starts, initial)
    segments = Segments.cut(starts, *log_density.shape)
    chain = _Pass(log_density, initial, transition, segments)
    borders = None if segments.begins.all() else chain.across()
    chain.forward(borders)
    smoothed, transitions = chain.filtered, np.zeros_like(transition)
    if smooth:
        smoothed, transitions = chain.backward(borders)
    return Chained(
        chain.log_predictive,
        chain.filtered,
        smoothed,
        smoothed[starts].sum(axis=0),
        transitions * transition,
    )


@dataclass(frozen=True)
class _Borders:
    """Distributions (B, K) before segments, filtered, and at their ends, smoothed."""

    before: Array
    ends: Array


class _Pass:
    """The recursions over the rows of one array, with what they fill in."""

    def __init__(
        self, log_density: Array, initial: Array, transition: Array, segments: Segments
    ) -> None:
        self.log_density, self.segments = log_density, segments
        self.initial, self.transition = initial, transition
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
        if total.min() > SMALLEST:
            shares /= total[..., None]
            return shares, np.log(total)
        lost = total <= SMALLEST
        shift = np.zeros(total.shape)
        rows = np.broadcast_to(rows, total.shape)[lost]
        away = self.log_density[rows] - self.largest[rows, None]
        joint = np.maximum(away, LOWEST) + logs(predicted[lost])
        shift[lost] = joint.max(axis=1)
        shares[lost] = np.exp(joint - shift[lost][:, None])
        total = shares @ self.ones
        shares /= total[..., None]
        return shares, np.log(total) + shift

    def across(self) -> _Borders:
        """Return the distributions at the borders of segments."""
        segments = self.segments
        # Axes: the state before the segment, the segment, the present state. A segment that begins
        # a sequence forgets the state before.
        begins = segments.begins[:, None]
        carried = np.where(begins, self.initial, self.transition[:, None, :])
        scale = np.zeros(carried.shape[:2])
        for step, rows in segments.steps():
            predicted = carried[:, : len(rows)]
            if step:
                predicted = predicted @ self.transition
            carried[:, : len(rows)], log_total = self._conditioned(predicted, rows)
            scale[:, : len(rows)] += log_total
        order = segments.in_order
        carried, scale = carried.transpose(1, 0, 2)[order], scale.T[order]
        filtered = _filtered_borders(carried, scale)
        weights = logs(filtered[:-1]) + scale
        joint = np.exp(weights - weights.max(axis=1, keepdims=True))[:, :, None] * carried
        reverse = _ratio(joint, joint.sum(axis=1, keepdims=True))
        smoothed = _smoothed_borders(reverse, filtered[-1])
        before, ends = np.empty_like(scale), np.empty_like(scale)
        before[order], ends[order] = filtered[:-1], smoothed[1:]
        return _Borders(before, ends)

    def _first(self, borders: _Borders | None) -> Array:
        """Return the predictions (B, K) of the first rows of segments."""
        begins = self.segments.begins[:, None]
        if borders is None:
            return np.broadcast_to(self.initial, (len(begins), len(self.initial)))
        return np.where(begins, self.initial, borders.before @ self.transition)

    def forward(self, borders: _Borders | None) -> None:
        """Filter all segments at once."""
        predicted = self._first(borders)
        shares = predicted
        for step, rows in self.segments.steps():
            if step:
                predicted = shares[: len(rows)] @ self.transition
            shares, log_total = self._conditioned(predicted, rows)
            self.filtered[rows] = shares
            self.log_predictive[rows] += log_total

    def backward(self, borders: _Borders | None) -> tuple[Array, Array]:
        """Return smoothed probabilities (n, K), and expected transitions over their probability."""
        segments = self.segments
        last = self.filtered[segments.first + segments.length - 1]
        if borders is not None:
            last = borders.ends
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
        if borders is not None:
            inner = ~segments.begins
            ratio = _ratio(after[inner], self._first(borders)[inner])
            transitions += borders.before[inner].T @ ratio
        return smoothed, transitions


def _filtered_borders(carried: Array, scale: Array) -> Array:
    """Return distributions (B + 1, K) before and after segments, the first being even.

    Rows of ``carried`` (B, K, K) times exp(``scale``) (B, K) carry a distribution across a segment.
    """
    n, K = scale.shape
    filtered = np.full((n + 1, K), 1.0 / K)
    pairs = n // 2
    if pairs:
        left, right = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
        weights = logs(carried[left]) + scale[right, None, :]
        largest = weights.max(axis=2, keepdims=True)
        product = np.exp(weights - largest) @ carried[right]
        total = product.sum(axis=2, keepdims=True)
        product /= total
        filtered[: 2 * pairs + 1 : 2] = _filtered_borders(
            product, scale[left] + (largest + np.log(total))[:, :, 0]
        )
    weights = logs(filtered[:n:2]) + scale[::2]
    weights = np.exp(weights - weights.max(axis=1, keepdims=True))
    after = (weights[:, None, :] @ carried[::2])[:, 0]
    filtered[1::2] = after / after.sum(axis=1, keepdims=True)
    return filtered


def _smoothed_borders(reverse: Array, last: Array) -> Array:
    """Return distributions (B + 1, K) before and after segments, the last being given.

    Columns of ``reverse`` (B, K, K) are the states before a segment given the state at its end.
    """
    n = len(reverse)
    smoothed = np.empty((n + 1, len(last)))
    smoothed[n] = last
    pairs = n // 2
    if n % 2:
        smoothed[n - 1] = reverse[n - 1] @ last
    if pairs:
        products = reverse[: 2 * pairs : 2] @ reverse[1 : 2 * pairs : 2]
        smoothed[: 2 * pairs + 1 : 2] = _smoothed_borders(products, smoothed[2 * pairs])
        after = smoothed[2 : 2 * pairs + 1 : 2, :, None]
        smoothed[1 : 2 * pairs : 2] = (reverse[1 : 2 * pairs : 2] @ after)[:, :, 0]
    return smoothed


def most_probable_paths(
    log_density: Array, starts: Integers, initial: Array, transition: Array
) -> Integers:
    """Return the most probable states (n,) of each sequence together (Viterbi 1967).

    Sequences are cut into segments as in ``forward_backward``.
    """
    log_density, initial = _with_initial(log_density, starts, initial)
    n, K = log_density.shape
    segments = Segments.cut(starts, n, K)
    first, log_moves, begins = logs(initial), logs(transition), segments.begins[:, None]
    best: Integers = np.empty((n, K), dtype=np.intp)  # best state before, for each state
    value = _best_to_borders(log_density, first, log_moves, segments)
    steps = list(segments.steps())
    for step, rows in steps:
        through = value[: len(rows), :, None] + log_moves
        best[rows] = through.argmax(axis=1)
        moved = through.max(axis=1)
        value[: len(rows)] = moved if step else np.where(begins, first, moved)
        value[: len(rows)] += log_density[rows]
    states = np.empty(n, dtype=np.intp)
    states[segments.first + segments.length - 1] = _last_states(value, best, segments)
    for step, rows in reversed(steps):
        if step:
            states[rows - 1] = best[rows, states[rows]]
    return states


def _best_to_borders(
    log_density: Array, first: Array, log_moves: Array, segments: Segments
) -> Array:
    """Return log probabilities (B, K) of the best paths to each state before a segment."""
    value = np.zeros((len(segments.begins), len(first)))
    if segments.begins.all():
        return value
    # Axes: the segment, the state before it, the present state.
    carried = np.where(segments.begins[:, None, None], first, log_moves)
    for step, rows in segments.steps():
        if step:
            through = carried[: len(rows), :, :, None] + log_moves
            carried[: len(rows)] = through.max(axis=2)
        carried[: len(rows)] += log_density[rows][:, None, :]
    after = value[0]
    for segment in segments.in_order.tolist():
        value[segment] = after
        after = (after[:, None] + carried[segment]).max(axis=0)
        after -= after.max()
    return value


def _last_states(value: Array, best: Integers, segments: Segments) -> Integers:
    """Return the last state (B,) of each segment on the best path of its sequence."""
    last: Integers = value.argmax(axis=1)
    if segments.begins.all():
        return last
    # The last state of the segment before, for each last state of a segment.
    earlier = np.tile(np.arange(value.shape[1]), (len(last), 1))
    for _, rows in reversed(list(segments.steps())):
        earlier[: len(rows)] = np.take_along_axis(best[rows], earlier[: len(rows)], axis=1)
    for before, segment in reversed(list(pairwise(segments.in_order.tolist()))):
        if not segments.begins[segment]:
            last[before] = earlier[segment, last[segment]]
    return last


def drawn_paths(
    log_density: Array,
    starts: Integers,
    initial: Array,
    transition: Array,
    generator: np.random.Generator,
) -> tuple[Array, Integers]:
    """Return one-step predictive log densities (n,), and states (n,) drawn given all observations.

    Forward filtering and backward sampling (Chib 1996): a state is drawn for each possible next
    state, for all observations at once; then the paths are followed from their ends.
    """
    n, K = log_density.shape
    chained = forward_backward(log_density, starts, initial, transition, smooth=False)
    ends = np.append(starts[1:], n) - 1
    thresholds = chained.filtered @ transition
    thresholds[ends] = 1.0
    thresholds *= 1.0 - generator.random((n, 1))  # in (0, 1], so that no share of 0 is drawn
    reached, before = np.zeros((n, K)), np.zeros((n, K), dtype=np.intp)
    for shares, moves in zip(chained.filtered.T[:-1], transition, strict=False):
        joint = np.outer(shares, moves)
        joint[ends] = shares[ends, None]
        reached += joint
        before += reached < thresholds
    state, path = 0, []
    for choices in reversed(before.tolist()):
        state = choices[state]
        path.append(state)
    return chained.log_predictive, np.array(path[::-1], dtype=np.intp)


def _with_initial(log_density: Array, starts: Integers, initial: Array) -> tuple[Array, Array]:
    """Move the initial distributions (S, K) of sequences, if they differ, into the densities."""
    if initial.ndim == 1:
        return log_density, initial
    log_density = log_density.copy()
    log_density[starts] += logs(initial)
    return log_density, np.ones(initial.shape[1])


def logs(values: Array) -> Array:
    """Return logarithms, ``LOWEST`` of 0."""
    logs: Array = np.full(values.shape, LOWEST)
    return np.log(values, out=logs, where=values > 0.0)


def _ratio(part: Array, whole: Array) -> Array:
    """Return part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
