"""L1: what rows are, and what is said of them: frames, chunks, summaries, events.

L1: what is wrong with rows: values and weights that cannot be used, and where they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Any, Protocol, Self

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Indices, Integers, Stored
from bayesmix.numerics.gaps import patterns
from bayesmix.numerics.memo import once

# Variance that a direction without extent is given, in columns of unit scale.
FLAT_FLOOR = 1e-6
# Framed distances from the plane of the rows whose squares are doubles over the floor.
FAR_OFF = 1e145
# A weight of zero has log weight minus infinity, which would meet features of zero.
LOWEST_LOG = -1e300
# Features of so many values, or fewer, stay with their rows from one pass to the next.
MOST_KEPT = 2**17


@dataclass(frozen=True)
class Frame:
    """Coordinates of the computation: ``(x - centre) / scale``, scale a power of two.

    Everything inside the engine happens here, so that data far from the origin or in other units
    give the same bits. Directions in which no row differs from another are left out: ``basis``
    (D, D') spans the others and ``flat`` (D, f) them, both orthonormal; None where there are none.
    Along each of them every component has the same density, a narrow normal at the centre.
    """

    centre: Array
    scale: Array
    basis: Array | None = None
    flat: Array | None = None

    @classmethod
    def identity(cls, n_features: int) -> Frame:
        """The frame of the data's own coordinates."""
        return cls(np.zeros(n_features), np.ones(n_features))

    @once
    def inverse_scale(self) -> Array:
        """1 / scale (D,), exact."""
        return 1.0 / self.scale

    @property
    def n_directions(self) -> int:
        """D': how many directions the rows have an extent in."""
        return len(self.centre) if self.basis is None else int(self.basis.shape[1])

    @property
    def log_volume(self) -> float:
        """What to take from a framed log density of rows of the fit for that in data units."""
        n_flat = len(self.centre) - self.n_directions
        return float(np.log(self.scale).sum() + 0.5 * n_flat * np.log(2.0 * np.pi * FLAT_FLOOR))

    def of_columns(self, columns: Integers) -> tuple[Frame, Integers]:
        """The frame of some columns, and which of the framed columns they are.

        Constant columns have no framed column: they are independent of all others. Rows on a
        slanted plane have no framed columns at all.
        """
        if np.array_equal(columns, np.arange(len(self.centre))):
            return self, np.arange(self.n_directions)
        centre, scale = self.centre[columns], self.scale[columns]
        if self.basis is None:
            return Frame(centre, scale), columns
        if not np.array_equal(self.basis, self.basis.astype(bool)):
            raise UnsupportedError(
                "all rows of the fit lie on a plane between the columns, where rows with missing "
                "values have no place: leave out columns that follow from others"
            )
        varies = self.basis[columns].any(axis=1)
        places = self.basis[columns[varies]].argmax(axis=1)
        if varies.all():
            return Frame(centre, scale), places
        identity = np.eye(len(columns))
        return Frame(centre, scale, identity[:, varies], identity[:, ~varies]), places

    def equals(self, other: Frame) -> bool:
        """Whether a mixture in the one frame is the same mixture in the other."""
        return all(
            np.array_equal(getattr(self, part), getattr(other, part))
            for part in ("centre", "scale", "basis")
        )

    def apply(self, values: Any, room: Array | None = None) -> Array:
        """Rows (n, D) of any real type as float64 in this frame (n, D'), columns contiguous.

        ``room`` (D, n) may be where they are made.
        """
        framed = np.empty(values.shape[::-1], dtype=np.float64) if room is None else room
        np.subtract(values.T, self.centre[:, None], out=framed)
        framed *= self.inverse_scale[:, None]
        if self.basis is not None:
            framed = self.basis.T @ framed
        return framed.T

    def log_flat(self, values: Any) -> Array | float:
        """Log density (n,) that rows lose by leaving the plane of the fit; 0 on it."""
        if self.flat is None:
            return 0.0
        longest = FAR_OFF * self.scale
        away = np.clip(values - self.centre, -longest, longest) / self.scale @ self.flat
        lost: Array = -0.5 * (away * away).sum(axis=1) / FLAT_FLOOR
        return lost

    def undo(self, values: Array) -> Array:
        """Framed rows or points (..., D') in the data's coordinates."""
        whole = values if self.basis is None else values @ self.basis.T
        return whole * self.scale + self.centre

    def directions(self, scale: Array) -> Array:
        """A scale (D,) of columns as one of the frame's directions (D',)."""
        framed = scale / self.scale
        if self.basis is None:
            return framed
        along: Array = np.sqrt((self.basis**2).T @ (framed * framed))
        return along


@dataclass(frozen=True)
class Rows:
    """Values (n, D) of one chunk as stored, their weights, and the index of the first.

    ``earlier`` (n,) is what an earlier pass kept of them, where that is asked for. ``labels`` are
    known components (n,), -1 where unknown, or logarithms (n, K) of factors of the weights.
    ``begins`` (n,) says where a sequence of rows begins that stay together: blocks end there only.
    """

    values: Stored
    weights: Array | None = None
    first: int = 0
    earlier: Indices | None = None
    labels: Integers | Array | None = None
    begins: Booleans | None = None
    _kept: dict[int, tuple[Frame, Array]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _patterns: dict[tuple[bytes | None, int | None], list[tuple[Integers, Rows]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def weights_or_ones(self) -> Array:
        """Weights (n,) of the rows, 1 where none are given."""
        return np.ones(len(self)) if self.weights is None else self.weights

    def keeps_features(self, n_features: int) -> bool:
        """Whether so many features of each row stay from one pass to the next."""
        return len(self) * n_features <= MOST_KEPT

    def features(self, form: Any, frame: Frame) -> Array:
        """What a linear form reads of the rows in a frame; made once where the rows are few."""
        kept = self._kept.get(form.kind)
        if kept is not None and kept[0] is frame:
            return kept[1]
        features: Array = form.features(frame.apply(self.values))
        if self.keeps_features(len(features)):
            features.flags.writeable = False
            self._kept[form.kind] = frame, features
        return features

    def by_pattern(
        self, among: Booleans | None = None, at_least: int | None = 1
    ) -> list[tuple[Integers, Rows]]:
        """The rows of every pattern of gaps in some columns, without those that they lack.

        Rows with gaps of which fewer than ``at_least`` have the pattern (None: all that have gaps)
        come together, with all columns.
        """
        key = (None if among is None else among.tobytes(), at_least)
        if key in self._patterns:
            return self._patterns[key]
        values, every = np.asarray(self.values), np.arange(self.values.shape[1])
        found, rest = [], []
        for columns, rows in patterns(values, among):
            if len(columns) == len(every) or (at_least is not None and len(rows) >= at_least):
                own = None if self.weights is None else self.weights[rows]
                labels = None if self.labels is None else self.labels[rows]
                seen = values[np.ix_(rows, columns)]
                found.append((columns, Rows(seen, own, labels=labels)))
            else:
                rest.append(rows)
        if rest:
            found.append((every, self.some(np.concatenate(rest))))
        if values.size <= MOST_KEPT:
            self._patterns[key] = found
        return found

    def some(self, mine: Any) -> Rows:
        """Some of the rows, as rows of their own."""
        return Rows(
            self.values[mine],
            None if self.weights is None else self.weights[mine],
            labels=None if self.labels is None else self.labels[mine],
        )

    def blocks(self, size: int) -> list[Rows]:
        """The chunk in cache-sized pieces; sequences stay whole."""
        if len(self) <= size:
            return [self]
        cuts = np.arange(0, len(self) + size, size).clip(max=len(self))
        if self.begins is not None:
            borders = np.append(np.flatnonzero(self.begins), len(self))
            cuts = np.unique(borders[np.searchsorted(borders, cuts)])
        return [self._part(slice(start, stop)) for start, stop in pairwise(cuts.tolist())]

    def _part(self, part: slice) -> Rows:
        return Rows(
            self.values[part],
            None if self.weights is None else self.weights[part],
            self.first + part.start,
            None if self.earlier is None else self.earlier[part],
            None if self.labels is None else self.labels[part],
            None if self.begins is None else self.begins[part],
        )

    def recalling(self, earlier: Indices) -> Rows:
        """The same rows, with all that is known of them, and what an earlier pass kept."""
        rows = replace(self, earlier=earlier)
        object.__setattr__(rows, "_kept", self._kept)
        return rows


class AllocationSums(Protocol):
    """Statistics of an allocation beside counts, additive over rows; packed, they are sums."""

    def __add__(self, other: Self, /) -> Self: ...

    def pack(self) -> Array: ...

    def unpack(self, vector: Array, /) -> Self: ...


@dataclass(frozen=True)
class Allocated:
    """What an allocation makes of log joints, beside responsibilities in their place."""

    log_normaliser: Array  # (n,): they add up to that of all rows
    statistics: AllocationSums | None = None  # None where the counts of the components suffice


@dataclass(frozen=True)
class Summary:
    """What is known of all rows before any fit, in data units (weights are repetition counts)."""

    n_rows: int
    total_weight: float
    centre: Array  # lower median of each column, an element of the data
    scale: Array  # IQR / 1.349, the standard deviation where that is 0, 1 where all rows agree
    minimum: Array
    maximum: Array
    gap: Array  # smallest step between distinct values where values tie, else 0
    constant: Booleans  # (D,): all rows agree
    mean: Array
    lower: Array  # quartiles of each column
    upper: Array
    n_missing: int = 0  # how many values

    @property
    def n_features(self) -> int:
        return len(self.centre)


@dataclass(frozen=True)
class Event:
    """Something that happened in a run and that a person may want to know."""

    kind: str  # "relocated", "held", "flat", "pruned", "centred form", "split", "merged", ...
    message: str
    at_pass: int = 0
    components: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()  # the first of them
    gain: float | None = None
    n_rows: int = 0  # how many rows are concerned

    @property
    def text(self) -> str:
        """The message, with the components by their present numbers for ``{which}``, and {rows}."""
        if len(self.components) == 1:
            which = f"component {self.components[0]}"
        elif self.components:
            which = f"components {', '.join(map(str, self.components))}"
        else:
            which = "a component that is no longer there"
        return self.message.replace("{which}", which).replace("{rows}", self._rows_text)

    @property
    def _rows_text(self) -> str:
        named = ", ".join(map(str, self.rows[:5]))
        if self.n_rows <= 1:
            return f"row {named}" if self.n_rows else "no rows"
        return f"{self.n_rows} rows ({named}{', ...' if self.n_rows > 5 else ''})"


@dataclass(frozen=True)
class Spread:
    """How m parameters vary under q; ``shape`` (m in all) is what a user has them in."""

    shape: tuple[int, ...]
    across: Array  # (m, P) covariances with P standardised coordinates of q
    own: Array  # (m, m), infinite where q has no variance


@dataclass(frozen=True)
class WeightSpread:
    """How weights vary under q: covariances (K, K)."""

    of_logs: Array  # Cov(log π)
    across: Array  # Cov(π, log π)
    of_weights: Array  # Cov(π)


# Squares of larger values, and sums of them, are no doubles.
LARGEST_VALUE = 1e150
ROWS_AT_ONCE = 2**18


@dataclass(frozen=True)
class Fault:
    """In how many rows something is wrong, and the first of such values; additive over chunks."""

    n_rows: int = 0
    row: int = 0
    column: int = 0
    value: float = 0.0

    def __bool__(self) -> bool:
        return self.n_rows > 0

    def __add__(self, other: Fault) -> Fault:
        return replace(self if self else other, n_rows=self.n_rows + other.n_rows)

    @classmethod
    def of(cls, values: Any, wrong: Any, first: int = 0) -> Fault:
        """Where ``wrong`` (n, D) is true of values (n, D), the first row being this number."""
        n_rows = int(wrong.any(axis=1).sum())
        if not n_rows:
            return NONE
        row, column = np.argwhere(wrong)[0]
        return cls(n_rows, first + int(row), int(column), float(values[row, column]))


NONE = Fault()


@dataclass(frozen=True)
class Faults:
    """What is wrong with some rows, by kind."""

    not_finite: Fault = NONE
    infinite: Fault = NONE
    empty: Fault = NONE  # rows without any value
    never: Booleans | None = None  # (D,) columns without any value
    too_large: Fault = NONE
    weight: Fault = NONE  # neither finite nor at least 0

    def __bool__(self) -> bool:
        return bool(self.not_finite or self.too_large or self.weight)

    def __add__(self, other: Faults) -> Faults:
        return Faults(
            self.not_finite + other.not_finite,
            self.infinite + other.infinite,
            self.empty + other.empty,
            _both(self.never, other.never),
            self.too_large + other.too_large,
            self.weight + other.weight,
        )


def _both(one: Booleans | None, other: Booleans | None) -> Booleans | None:
    """Where both are true; None says nothing."""
    if one is None or other is None:
        return other if one is None else one
    return one & other


def faults_in(rows: Rows) -> Faults:
    """What is wrong with the rows of a chunk, read in pieces."""
    pieces = rows.blocks(ROWS_AT_ONCE)
    return reduce(add, [_of_values(piece) + _of_weights(piece) for piece in pieces], Faults())


def _of_values(rows: Rows) -> Faults:
    values = np.asarray(rows.values)
    if not values.size:
        return Faults()
    if max(float(values.max()), -float(values.min())) <= LARGEST_VALUE:
        return Faults(never=np.zeros(values.shape[1], dtype=np.bool_))
    values = values.astype(np.float64, copy=False)
    finite, missing = np.isfinite(values), np.isnan(values)
    nothing = np.broadcast_to(missing.all(axis=1, keepdims=True), values.shape)
    return Faults(
        not_finite=Fault.of(values, ~finite, rows.first),
        infinite=Fault.of(values, np.isinf(values), rows.first),
        empty=Fault.of(values, nothing, rows.first),
        never=missing.all(axis=0),
        too_large=Fault.of(values, finite & (np.abs(values) > LARGEST_VALUE), rows.first),
    )


def _of_weights(rows: Rows) -> Faults:
    if rows.weights is None:
        return Faults()
    weights = np.asarray(rows.weights)[:, None]
    return Faults(weight=Fault.of(weights, ~(np.isfinite(weights) & (weights >= 0.0)), rows.first))
