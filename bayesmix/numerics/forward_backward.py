"""Forward filtering, backward smoothing and sampling of hidden Markov chains, in segments.

Long sequences are cut into segments. Matrices carry a distribution across each segment; they give
the distributions at all borders, from which all segments are passed at once. Probabilities are
logarithms, so that nothing underflows (Rabiner 1989; Särkkä & García-Fernández 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Integers

# Sequences are cut unless the products of matrices, sequences times K³, cost more than the steps.
WORTH_CUTTING = 40_000
# Segments are checked every so many steps for whether they have forgotten the state before: if
# logarithms of filtered probabilities differ by rounding.
CHECKED, ROUNDING = 8, 1e-14
# Smaller sums of probabilities are computed again from their logarithms.
SMALLEST = 1e-250
# Products of smaller exponentials with probabilities neither overflow nor lose what matters.
LARGEST = 300.0
# Stands for the logarithm of 0.
LOWEST = -1e300


@dataclass(frozen=True)
class Chained:
    """Smoothed, or filtered, probabilities (n, K) and one-step predictive log densities (n,).

    ``initial`` (K,) and ``transitions`` (K, K) are expected counts of first states and of pairs of
    consecutive states.
    """

    log_predictive: Array
    shares: Array
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
        longest, size = int(np.diff(np.append(starts, n_rows)).max()), isqrt(n_rows)
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
    """Return smoothed probabilities of the states of sequences; without ``smooth`` filtered ones.

    ``log_density`` (n, K) is that of each observation in each state, 0 where it is missing;
    ``starts`` are the first rows of sequences. ``initial`` (K,), or (S, K) of each sequence, and
    the rows of ``transition`` need not sum to 1.
    """
    log_density, initial = _with_initial(log_density, starts, initial)
    chain = _Pass(log_density, initial, transition, Segments.cut(starts, *log_density.shape))
    before, ends = chain.borders()
    chain.forward(before)
    transitions = chain.backward(before, ends) if smooth else np.zeros_like(transition)
    shares = chain.in_order(np.exp(chain.shares))
    shares /= shares.sum(axis=1, keepdims=True)
    log_predictive = chain.in_order(chain.log_predictive)
    return Chained(log_predictive, shares, shares[starts].sum(axis=0), transitions)


class _Pass:
    """The recursions over the rows of one array, with what they fill in.

    Arrays have the states first and then the rows step by step, so that operations on all segments
    at a step are on long vectors.
    """

    def __init__(
        self, log_density: Array, initial: Array, transition: Array, segments: Segments
    ) -> None:
        self.segments, self.transition, self.moves = segments, transition, logs(transition)
        self.initial = logs(initial)[:, None]
        rows = [rows for _, rows in segments.steps()]
        self.rows = np.concatenate(rows)
        ends = np.cumsum([len(some) for some in rows]).tolist()
        self.steps = list(map(slice, [0, *ends[:-1]], ends))
        self.log_density = np.maximum(log_density[self.rows].T, LOWEST)
        # Logarithms of filtered probabilities, then of smoothed ones.
        self.shares = np.empty(self.log_density.shape)
        self.log_predictive = np.empty(len(self.rows))
        # Filtered probabilities from this step on do not depend on the state before the segment.
        self.forgotten = len(self.steps)

    def in_order(self, values: Array) -> Array:
        """Return values (..., n) as (n, ...) in the order of the rows."""
        out = np.empty(values.shape[::-1])
        out[self.rows] = values.T
        return out

    def borders(self) -> tuple[Array, Array]:
        """Return log distributions (K, B) before segments, and log weights of their last states.

        Weights are the densities of what follows, so that they turn filtered into smoothed ones.
        """
        segments, size = self.segments, (len(self.initial), len(self.segments.begins))
        before, after, ends = np.zeros(size), np.zeros(size), np.zeros(size)
        if segments.begins.all():
            return before, ends
        # Axes: the state before the segment, the present state, the segment. A segment that begins
        # a sequence forgets the state before.
        carried = np.where(segments.begins, self.initial, self.moves[:, :, None])
        scale = np.zeros(size)
        for number, step in enumerate(self.steps):
            present = carried[..., : step.stop - step.start]
            if number:
                present[:] = _moved(present, self.transition, self.moves)
            present += self.log_density[:, step]
            total = _log_sum(present, 1)
            present -= total[:, None]
            scale[:, : total.shape[1]] += total
            if number % CHECKED == CHECKED - 1 and np.ptp(present, axis=0).max() < ROUNDING:
                self._filter_forgotten(carried, number + 1)
                break
        carried += scale[:, None]
        each = np.ascontiguousarray(carried.transpose(2, 0, 1))
        value = future = np.zeros(len(before))
        for segment in segments.in_order.tolist():
            before[:, segment] = value
            value = np.logaddexp.reduce(value[:, None] + each[segment], axis=0)
            value -= np.logaddexp.reduce(value)
            after[:, segment] = value
        for segment in reversed(segments.in_order.tolist()):
            ends[:, segment] = future
            future = np.logaddexp.reduce(each[segment] + future, axis=1)
            future = np.zeros_like(future) if segments.begins[segment] else future - future.max()
        return before, ends - _log_sum(after + ends, 0)

    def _filter_forgotten(self, carried: Array, number: int) -> None:
        """Filter from a step on where the state before a segment has no effect, to its end."""
        self.forgotten, later = number, self.steps[number:]
        if later:
            longer = later[0].stop - later[0].start
            self._filter(_moved(carried[0, :, :longer], self.transition, self.moves), later)
            begins = np.array([step.start for step in self.steps])
            last = begins[self.segments.length[:longer] - 1] + np.arange(longer)
            carried[..., :longer] = self.shares[:, last]

    def forward(self, before: Array) -> None:
        """Filter all segments at once."""
        moved = _moved(before, self.transition, self.moves)
        predicted = np.where(self.segments.begins, self.initial, moved)
        self._filter(predicted, self.steps[: self.forgotten])

    def _filter(self, predicted: Array, steps: list[slice]) -> None:
        """Filter consecutive steps from the predictions (K, B) of the first."""
        for step in steps:
            joint = predicted[:, : step.stop - step.start] + self.log_density[:, step]
            self.log_predictive[step] = _log_sum(joint, 0)
            self.shares[:, step] = joint - self.log_predictive[step]
            predicted = _moved(self.shares[:, step], self.transition, self.moves)

    def backward(self, before: Array, ends: Array) -> Array:
        """Smooth all segments at once, and return expected transitions."""
        transitions = np.zeros_like(self.transition)
        later = ends[:, :0]  # log density of what follows by state, relative to the prediction
        for step in reversed(self.steps):
            filtered, reached = self.shares[:, step], later.shape[1]
            weights = ends[:, : filtered.shape[1]].copy()
            if reached:
                largest = later.max(axis=0)
                moved = _moved(later - largest, self.transition.T, self.moves.T)
                weights[:, :reached] = moved + largest
                transitions += self._pairs(filtered[:, :reached], later)
            later = self.log_density[:, step] + weights - self.log_predictive[step]
            filtered += weights
        within = ~self.segments.begins
        return transitions + self._pairs(before[:, within], later[:, within])

    def _pairs(self, filtered: Array, later: Array) -> Array:
        """Return expected transitions (K, K) from states to those of the next step."""
        if later.max(initial=0.0) < LARGEST:
            return self.transition * (np.exp(filtered) @ np.exp(later).T)
        return np.exp(filtered[:, None] + self.moves[:, :, None] + later).sum(axis=2)


def _log_sum(values: Array, axis: int) -> Array:
    """Return log Σ exp of finite values along an axis."""
    largest = values.max(axis=axis, keepdims=True)
    total: Array = np.log(np.exp(values - largest).sum(axis=axis, keepdims=True)) + largest
    return total.squeeze(axis)


def _moved(log_shares: Array, transition: Array, moves: Array) -> Array:
    """Return log probabilities (..., K, B) after a transition; the largest before is near 0."""
    total = transition.T @ np.exp(log_shares)
    low = total < SMALLEST
    if not low.any():
        return np.log(total)
    *others, states, segments = np.nonzero(low)
    before = np.moveaxis(log_shares, -2, -1)[(*others, segments)]
    total[low] = 1.0
    moved: Array = np.log(total)
    moved[low] = _log_sum(before + moves[:, states].T, 1)
    return moved


def most_probable_paths(
    log_density: Array, starts: Integers, initial: Array, transition: Array
) -> Integers:
    """Return the most probable states (n,) of each sequence together (Viterbi 1967)."""
    log_density, initial = _with_initial(log_density, starts, initial)
    n, K = log_density.shape
    segments, log_moves = Segments.of(starts, n), logs(transition)
    best: Integers = np.empty((n, K), dtype=np.intp)  # best state before, for each state
    value = np.tile(logs(initial), (len(starts), 1))
    steps = list(segments.steps())
    for step, rows in steps:
        if step:
            through = value[: len(rows), :, None] + log_moves
            best[rows] = through.argmax(axis=1)
            value[: len(rows)] = through.max(axis=1)
        value[: len(rows)] += log_density[rows]
    states = np.empty(n, dtype=np.intp)
    states[segments.first + segments.length - 1] = value.argmax(axis=1)
    for step, rows in reversed(steps):
        if step:
            states[rows - 1] = best[rows, states[rows]]
    return states


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
