"""Forward filtering, backward smoothing and sampling of hidden Markov chains, in segments.

Long sequences are cut into segments. Matrices carry a filtered distribution across each segment;
their products by pairs, and of pairs by pairs, give the distributions at all borders, from which
all segments are passed at once. Smoothing uses filtered distributions only, so that nothing
underflows (Rabiner 1989; Rauch, Tung & Striebel 1965; Särkkä & García-Fernández 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from math import prod
from typing import Any

import numpy as np
from scipy.special import logsumexp, softmax

from bayesmix.numerics.arrays import IMPOSSIBLE, Array, Booleans, Integers

# Sequences are cut unless the products of matrices, sequences times K³, cost more than the steps.
WORTH_CUTTING = 40_000
# Numbers in the matrices of all segments, which fit into a cache; fewest rows of a segment.
CACHED, FEWEST = 2**15, 8
# Segments are checked every so many steps for whether they have forgotten the state before. They
# have if filtered probabilities differ by a few units of rounding, relative to their size.
CHECKED, ROUNDING = 8, 1e-14
# Filtered masses below this are computed again in logarithms.
SMALLEST = 1e-250
# Stands for the logarithm of 0.
LOWEST = -1e300
# Masses below 1e-308 are lost. Unless they grow by more than this three times, they do not matter.
GROWTH = 1e90


@dataclass(frozen=True)
class Chained:
    """Smoothed, or filtered, probabilities (n, K) and one-step predictive log densities (n,).

    ``initial`` (K,) and ``transitions`` (K, K) are expected counts of first states and of pairs of
    consecutive states; where transitions vary, the probabilities (n, K, K) of each pair, at its
    second row. Of C chains side by side, the chain is the first axis: (C, n, K).
    """

    log_predictive: Array
    shares: Array
    initial: Array
    transitions: Array

    def weighted(self, starts: Integers, weights: Array | None) -> Chained:
        """Return the counts of sequences that count by the weights (n,) of their samples.

        Needs transitions that vary. Probabilities of states do not change.
        """
        if weights is None:
            return self
        pairs = weights[:, None, None] * self.transitions
        return replace(self, initial=weights[starts] @ self.shares[starts], transitions=pairs)


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
    def cut(cls, starts: Integers, n_rows: int, n_components: int, n_chains: int = 1) -> Segments:
        """Return sequences, cut into segments where that is faster."""
        longest = int(np.diff(np.append(starts, n_rows)).max())
        size = max(FEWEST, -(-n_chains * n_rows * n_components**2 // CACHED))
        worth = n_chains * n_rows / longest * n_components**3 < WORTH_CUTTING
        return cls.of(starts, n_rows, size if worth and 2 * size < longest else None)

    def steps(self) -> Iterator[tuple[int, Integers]]:
        """Yield each step with the rows of the segments that it reaches."""
        reached = np.searchsorted(-self.length, -np.arange(self.length[0]), side="left")
        for step, stop in enumerate(reached.tolist()):
            yield step, self.first[:stop] + step


def forward_backward(
    log_density: Array, starts: Integers, initial: Array, transition: Array, smooth: bool = True
) -> Chained:
    """Return smoothed probabilities of the states of sequences; without ``smooth`` filtered ones.

    ``log_density`` (n, K) is that of each observation in each state, 0 where it is missing;
    ``starts`` are the first rows of sequences. ``initial`` (K,), or (S, K) of each sequence, and
    the rows of ``transition`` need not sum to 1. ``transition`` (n, K, K) leads to each row.
    """
    log_density, initial = _with_initial(log_density, starts, initial)
    chain, borders = _filtered(log_density, starts, initial, transition)
    lost = chain.lost(starts)
    if lost.any():
        return _partly_in_logs(log_density, starts, initial, transition, smooth, lost)
    if not smooth:
        return chain.chained(starts, np.zeros_like(transition))
    chain.backward(borders)
    return chain.chained(starts, chain.moves.expected())


def forward_backward_of_many(
    log_density: Array, starts: Integers, initial: Array, transition: Array
) -> Chained:
    """Return smoothed probabilities (C, n, K) of C chains that are passed side by side.

    ``log_density`` is (C, n, K), ``initial`` (C, K) and ``transition`` (C, K, K).
    """
    chain, borders = _filtered(log_density, starts, initial, transition)
    lost = chain.lost(starts).any(axis=-1)
    chain.backward(borders)
    chained = chain.chained(starts, chain.moves.expected())
    for number in np.flatnonzero(lost).tolist():
        alone = forward_backward(log_density[number], starts, initial[number], transition[number])
        for all_of, of_one in zip(vars(chained).values(), vars(alone).values(), strict=True):
            all_of[number] = of_one
    return chained


def _filtered(
    log_density: Array, starts: Integers, initial: Array, transition: Array
) -> tuple[_Pass, _Borders | None]:
    """Return recursions of one chain, or of C side by side, after filtering, and the borders."""
    *chains, n, K = log_density.shape
    segments = Segments.cut(starts, n, K, prod(chains))
    chain = _Pass(log_density, initial, transition, segments)
    borders = None if segments.begins.all() else chain.across()
    chain.forward(borders)
    return chain, borders


def _partly_in_logs(
    log_density: Array,
    starts: Integers,
    initial: Array,
    transition: Array,
    smooth: bool,
    lost: Booleans,
) -> Chained:
    """Return ``forward_backward``, in logarithms for the sequences that are ``lost`` (S,)."""
    n, K = log_density.shape
    log_predictive, shares = np.empty(n), np.empty((n, K))
    transitions, varying = np.zeros_like(transition), transition.ndim == 3
    lengths = np.diff(np.append(starts, n))
    rest = np.repeat(~lost, lengths)
    if rest.any():
        first = np.cumsum(np.append(0, lengths[~lost][:-1]))
        own = transition[rest] if varying else transition
        chained = forward_backward(log_density[rest], first, initial, own, smooth)
        log_predictive[rest], shares[rest] = chained.log_predictive, chained.shares
        transitions[rest if varying else ...] += chained.transitions
    alone = ~rest
    own = transition[alone] if varying else transition
    log_predictive[alone], shares[alone], pairs = _in_logs(
        log_density[alone], lengths[lost], logs(initial), logs(own), smooth
    )
    if varying:
        transitions[alone] = pairs
    else:
        transitions += pairs.sum(axis=0)
    return Chained(log_predictive, shares, shares[starts].sum(axis=0), transitions)


def _in_logs(
    log_density: Array, lengths: Integers, log_initial: Array, log_moves: Array, smooth: bool
) -> tuple[Array, Array, Array]:
    """Return one-step densities, probabilities, and those of pairs, of sequences side by side.

    ``log_moves`` (n, K, K) lead to each row, or are (K, K).
    """
    n, K = log_density.shape
    log_density = np.maximum(log_density, LOWEST)
    log_predictive, log_shares = np.empty(n), np.empty((n, K))
    log_moves = np.broadcast_to(log_moves, (n, K, K))
    longest_first = np.argsort(-lengths, kind="stable")
    starts = (np.cumsum(lengths) - lengths)[longest_first]
    # The rows of all sequences that have a row at each step.
    steps = [starts[: (lengths > step).sum()] + step for step in range(int(lengths.max()))]
    for step, rows in enumerate(steps):
        predicted = np.broadcast_to(log_initial, (len(rows), K))
        if step:
            predicted = logsumexp(log_shares[rows - 1][:, :, None] + log_moves[rows], axis=1)
        joint = predicted + log_density[rows]
        log_predictive[rows] = logsumexp(joint, axis=1)
        log_shares[rows] = joint - log_predictive[rows][:, None]
    pairs = np.zeros((n, K, K))
    if smooth:
        log_future = np.zeros((n, K))
        for rows in reversed(steps):
            log_shares[rows] += log_future[rows]
            if rows is steps[0]:
                break
            ahead = log_density[rows] + log_future[rows] - log_predictive[rows][:, None]
            through = log_moves[rows] + ahead[:, None]
            pairs[rows] = softmax(log_shares[rows - 1][:, :, None] + through, axis=(1, 2))
            log_future[rows - 1] = logsumexp(through, axis=2)
    log_predictive[log_predictive < IMPOSSIBLE] = -np.inf
    return log_predictive, softmax(log_shares, axis=1), pairs


@dataclass(frozen=True)
class _Borders:
    """Distributions (..., K, B) before segments, filtered, and at their ends, smoothed."""

    before: Array
    ends: Array


class _EqualMoves:
    """Transitions (..., K, K) that lead to every row, and sums over the rows that they lead to."""

    def __init__(self, transition: Array) -> None:
        self.forth = transition
        self.back = np.ascontiguousarray(transition.swapaxes(-1, -2))
        self.ratios = np.zeros_like(transition)

    def before(self, step: slice) -> Array:
        """Return transitions (state before, ..., state, 1 or B)."""
        return np.moveaxis(self.forth, -2, 0)[..., None]

    def ahead(self, shares: Array, step: slice) -> Array:
        """Return the predictions (..., K, B or more) of a step from the states before it."""
        return self.back @ shares

    def behind(self, ratio: Array, step: slice) -> Array:
        """Return sums over the states at a step of transitions times ``ratio``."""
        return self.forth @ ratio

    def add(self, before: Array, ratio: Array, step: slice, within: Any = slice(None)) -> None:
        """Add pairs of states: ``before`` a step times ``ratio`` at it, times the transition."""
        self.ratios += before[..., within] @ ratio[..., within].swapaxes(-1, -2)

    def expected(self) -> Array:
        """Return the expected counts of transitions (..., K, K)."""
        return self.ratios * self.forth


class _VaryingMoves:
    """Transitions (n, K, K) that lead to each row; the interface is that of ``_EqualMoves``."""

    def __init__(self, transition: Array, rows: Integers) -> None:
        self.forth = transition.transpose(1, 2, 0).take(rows, axis=-1)
        self.pairs, self.rows = np.zeros_like(self.forth), rows

    def before(self, step: slice) -> Array:
        return self.forth[..., step]

    def ahead(self, shares: Array, step: slice) -> Array:
        own = self.forth[..., step]
        return np.einsum("ijb,...ib->...jb", own, shares[..., : own.shape[-1]])

    def behind(self, ratio: Array, step: slice) -> Array:
        return np.einsum("ijb,jb->ib", self.forth[..., step], ratio)

    def add(self, before: Array, ratio: Array, step: slice, within: Any = slice(None)) -> None:
        pairs = before[:, None] * ratio * self.forth[..., step]
        self.pairs[..., step][..., within] = pairs[..., within]

    def expected(self) -> Array:
        """Return the probabilities (n, K, K) of pairs of states, at the second of their rows."""
        pairs = np.empty_like(self.pairs)
        pairs[..., self.rows] = self.pairs
        return pairs.transpose(2, 0, 1)


class _Pass:
    """The recursions over the rows of one array, with what they fill in.

    Arrays have the states first and then the rows step by step, so that operations on all segments
    at a step are on long vectors. Before the states come the chains, if there are several.
    Transitions are (..., K, K), or (n, K, K) of one chain whose transitions vary.
    """

    def __init__(
        self, log_density: Array, initial: Array, transition: Array, segments: Segments
    ) -> None:
        self.segments, self.initial = segments, initial[..., None]
        rows = [rows for _, rows in segments.steps()]
        self.rows = np.concatenate(rows)
        self.moves: _EqualMoves | _VaryingMoves = _EqualMoves(transition)
        if transition.ndim > log_density.ndim:
            self.moves = _VaryingMoves(transition, self.rows)
        ends = np.cumsum([len(some) for some in rows]).tolist()
        self.steps = list(map(slice, [0, *ends[:-1]], ends))
        # Densities, then filtered and then smoothed probabilities take each other's place.
        by_state = log_density.swapaxes(-1, -2).copy()
        self.log_density, self.shares = log_density, np.empty(by_state.shape)
        np.take(by_state, self.rows, axis=-1, out=self.shares, mode="clip")
        self.largest = np.maximum(self.shares.max(axis=-2), LOWEST)
        self.shares -= self.largest[..., None, :]
        # Masses that are lost can matter only where other states cannot follow.
        one_way = transition.min() < 1.0 / GROWTH
        self.relative = self.shares.copy() if one_way else None
        np.exp(self.shares, out=self.shares)
        self.log_predictive = self.largest.copy()
        self.ones = np.ones(transition.shape[-1])
        # Filtered probabilities from this step on do not depend on the state before the segment.
        self.forgotten = len(self.steps)

    def in_order(self, values: Array) -> Array:
        """Return values (..., n) in the order of the rows."""
        places = np.empty_like(self.rows)
        places[self.rows] = np.arange(len(places))
        return values.take(places, axis=-1, mode="clip")

    def chained(self, starts: Integers, transitions: Array) -> Chained:
        """Return what the recursions filled in, in the order of the rows."""
        shares = self.in_order(self.shares).swapaxes(-1, -2)
        shares /= shares.sum(axis=-1, keepdims=True)  # rounding adds up along the chain
        log_predictive = self.in_order(self.log_predictive)
        log_predictive[log_predictive < IMPOSSIBLE] = -np.inf
        initial = shares[..., starts, :].sum(axis=-2)
        return Chained(log_predictive, shares, initial, transitions)

    def _conditioned(self, predicted: Array, step: slice, shares: Array) -> Array:
        """Fill in predictions (..., K, B) given observations, and return log normalisers (..., B).

        Arrays of all segments exceed what is allocated cheaply, so ``shares`` is used again.
        """
        np.multiply(predicted, self.shares[..., step], out=shares)
        total = self.ones @ shares
        if total.min() > SMALLEST:
            shares /= total[..., None, :]
            return np.log(total)
        lost = total <= SMALLEST
        shift = np.zeros(total.shape)
        away = self.log_density[..., self.rows[step], :] - self.largest[..., step, None]
        away = np.broadcast_to(away, (*total.shape, away.shape[-1]))[lost]
        joint = np.maximum(away, LOWEST) + logs(np.moveaxis(predicted, -2, -1)[lost])
        shift[lost] = joint.max(axis=1)
        np.moveaxis(shares, -2, -1)[lost] = np.exp(joint - shift[lost][:, None])
        total = self.ones @ shares
        shares /= total[..., None, :]
        return np.log(total) + shift

    def across(self) -> _Borders:
        """Return the distributions at the borders of segments."""
        segments = self.segments
        # Axes: the state before the segment, the chain, the present state, the segment. A segment
        # that begins a sequence forgets the state before.
        moves = self.moves.before(self.steps[0])
        predicted = np.where(segments.begins, self.initial, moves)
        carried = np.empty_like(predicted)
        scale = np.zeros((*moves.shape[:-2], len(segments.begins)))
        for number, step in enumerate(self.steps):
            size = step.stop - step.start
            if number:
                predicted[..., :size] = self.moves.ahead(carried[..., :size], step)
            before, after = predicted[..., :size], carried[..., :size]
            scale[..., :size] += self._conditioned(before, step, after)
            if number % CHECKED == CHECKED - 1 and _forgotten(after):
                self.forgotten = number + 1
                break
        later = self.steps[self.forgotten :]
        if later:
            self._filter(self.moves.ahead(carried[0], later[0]), later)
            reached = slice(later[0].stop - later[0].start)
            carried[..., reached] = self._at_ends()[..., reached]
        order = segments.in_order
        carried = np.moveaxis(carried, (-1, 0), (0, -2))[order]
        scale = np.moveaxis(scale, (-1, 0), (0, -1))[order]
        filtered = _filtered_borders(carried, scale)
        weights = logs(filtered[:-1]) + scale
        joint = np.exp(weights - weights.max(axis=-1, keepdims=True))[..., None] * carried
        reverse = _ratio(joint, joint.sum(axis=-2, keepdims=True))
        smoothed = _smoothed_borders(reverse, filtered[-1])
        before, ends = np.empty(predicted.shape[1:]), np.empty(predicted.shape[1:])
        before[..., order] = np.moveaxis(filtered[:-1], 0, -1)
        ends[..., order] = np.moveaxis(smoothed[1:], 0, -1)
        return _Borders(before, ends)

    def _first(self, borders: _Borders | None) -> Array:
        """Return the predictions (..., K, B) of the first rows of segments."""
        begins = self.segments.begins
        if borders is None:
            return np.broadcast_to(self.initial, (*self.initial.shape[:-1], len(begins)))
        return np.where(begins, self.initial, self.moves.ahead(borders.before, self.steps[0]))

    def forward(self, borders: _Borders | None) -> None:
        """Filter all segments at once."""
        self._filter(self._first(borders), self.steps[: self.forgotten])

    def _filter(self, predicted: Array, steps: list[slice]) -> None:
        """Filter consecutive steps from the predictions (..., K, B) of the first."""
        for step, following in zip_longest(steps, steps[1:]):
            shares = self.shares[..., step]
            self.log_predictive[..., step] += self._conditioned(
                predicted[..., : step.stop - step.start], step, shares
            )
            if following is not None:
                predicted = self.moves.ahead(shares, following)

    def _at_ends(self) -> Array:
        """Return the probabilities (..., K, B) at the last rows of segments."""
        begins, length = np.array([step.start for step in self.steps]), self.segments.length
        return self.shares[..., begins[length - 1] + np.arange(len(length))]

    def lost(self, starts: Integers) -> Booleans:
        """Return which sequences (..., S) may depend on filtered masses that underflowed.

        Lost mass stays in states of negligible share, as elsewhere it is negligible for good. At a
        row it grows at most by the density of such a state over the normaliser.
        """
        none = np.zeros((*self.largest.shape[:-1], len(starts)), dtype=bool)
        if self.relative is None:
            return none
        limit, fall = np.log(GROWTH), self.log_predictive - self.largest
        growth = np.where(self.shares < 1.0 / GROWTH, self.relative, -np.inf).max(axis=-2)
        growth -= fall
        growth[fall < -limit] = np.inf
        growth = growth.clip(-limit, 2.0 * limit)
        if (growth.sum(axis=-1, where=growth > 0.0) <= limit).all():
            return none
        total = np.cumsum(self.in_order(growth), axis=-1)
        # Each sequence lies below those before it, so that its least total is its own.
        number = np.repeat(np.arange(len(starts)), np.diff([*starts, len(self.rows)]))
        total -= np.ptp(total, axis=-1, keepdims=True) * number
        grown = total - np.minimum.accumulate(total, axis=-1)
        return np.maximum.reduceat(grown, starts, axis=-1) > limit

    def backward(self, borders: _Borders | None) -> None:
        """Smooth all segments at once, and add up expected transitions."""
        last = self._at_ends() if borders is None else borders.ends
        after, later = last[..., :0], self.steps[0]
        for step in reversed(self.steps):
            shares, reached = self.shares[..., step], after.shape[-1]
            shares[..., reached:] = last[..., reached : shares.shape[-1]]
            if reached:
                inner = shares[..., :reached]
                ratio = _ratio(after, self.moves.ahead(inner, later))
                self.moves.add(inner, ratio, later)
                inner *= self.moves.behind(ratio, later)
            after, later = shares, step
        if borders is not None:
            ratio = _ratio(after, self._first(borders))
            self.moves.add(borders.before, ratio, self.steps[0], ~self.segments.begins)


def _forgotten(carried: Array) -> bool:
    """Return whether probabilities do not depend on the first axis, up to rounding."""
    return bool((carried.min(axis=0) >= (1.0 - ROUNDING) * carried.max(axis=0)).all())


def _filtered_borders(carried: Array, scale: Array) -> Array:
    """Return distributions (B + 1, ..., K) before and after segments, the first being even.

    Rows of ``carried`` (B, ..., K, K) times exp(``scale``) (B, ..., K) carry a distribution across
    a segment.
    """
    n, K = len(scale), scale.shape[-1]
    filtered = np.full((n + 1, *scale.shape[1:]), 1.0 / K)
    pairs = n // 2
    if pairs:
        left, right = slice(0, 2 * pairs, 2), slice(1, 2 * pairs, 2)
        weights = logs(carried[left]) + scale[right][..., None, :]
        largest = weights.max(axis=-1, keepdims=True)
        product = np.exp(weights - largest) @ carried[right]
        total = product.sum(axis=-1, keepdims=True)
        product /= total
        filtered[: 2 * pairs + 1 : 2] = _filtered_borders(
            product, scale[left] + (largest + np.log(total))[..., 0]
        )
    weights = logs(filtered[:n:2]) + scale[::2]
    weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
    after = (weights[..., None, :] @ carried[::2])[..., 0, :]
    filtered[1::2] = after / after.sum(axis=-1, keepdims=True)
    return filtered


def _smoothed_borders(reverse: Array, last: Array) -> Array:
    """Return distributions (B + 1, ..., K) before and after segments, the last being given.

    Columns of ``reverse`` (B, ..., K, K) are the states before a segment given that at its end.
    """
    n = len(reverse)
    smoothed = np.empty((n + 1, *last.shape))
    smoothed[n] = last
    pairs = n // 2
    if n % 2:
        smoothed[n - 1] = (reverse[n - 1] @ last[..., None])[..., 0]
    if pairs:
        products = reverse[: 2 * pairs : 2] @ reverse[1 : 2 * pairs : 2]
        smoothed[: 2 * pairs + 1 : 2] = _smoothed_borders(products, smoothed[2 * pairs])
        after = smoothed[2 : 2 * pairs + 1 : 2][..., None]
        smoothed[1 : 2 * pairs : 2] = (reverse[1 : 2 * pairs : 2] @ after)[..., 0]
    return smoothed


def most_probable_paths(
    log_density: Array, starts: Integers, initial: Array, transition: Array
) -> Integers:
    """Return the most probable states (n,) of each sequence together (Viterbi 1967)."""
    log_density, initial = _with_initial(log_density, starts, initial)
    n, K = log_density.shape
    segments = Segments.cut(starts, n, K)
    first, log_moves, begins = logs(initial), logs(transition), segments.begins[:, None]
    best: Integers = np.empty((n, K), dtype=np.intp)  # best state before, for each state
    value = _best_to_borders(log_density, first, log_moves, segments)
    steps = list(segments.steps())
    for step, rows in steps:
        through = value[: len(rows), :, None] + _leading_to(rows, log_moves)
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
    moves = _leading_to(segments.first, log_moves)
    carried = np.where(segments.begins[:, None, None], first, moves)
    for step, rows in segments.steps():
        if step:
            moves = _leading_to(rows, log_moves)[..., None, :, :]
            through = carried[: len(rows), :, :, None] + moves
            carried[: len(rows)] = through.max(axis=2)
        carried[: len(rows)] += log_density[rows][:, None, :]
    after = value[0]
    for segment in segments.in_order.tolist():
        value[segment] = after
        after = (after[:, None] + carried[segment]).max(axis=0)
        after -= after.max()
    return value


def _leading_to(rows: Integers, moves: Array) -> Array:
    """Return the transitions (B, K, K) to some rows; (K, K) where all are equal."""
    return moves if moves.ndim == 2 else moves[rows]


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
    # A state whose mass underflowed may be the only one from which the next can follow.
    filtered = np.maximum(chained.shares, SMALLEST)
    thresholds = filtered @ transition
    thresholds[ends] = 1.0
    thresholds *= 1.0 - generator.random((n, 1))  # in (0, 1], so that no share of 0 is drawn
    reached, before = np.zeros((n, K)), np.zeros((n, K), dtype=np.intp)
    for shares, moves in zip(filtered.T[:-1], transition, strict=False):
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
    if whole.all():
        return part / whole
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0.0)
