"""Records of data: how samples were seen, frames, chunks, summaries, events, and faults."""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields, replace
from functools import reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, cast

import numpy as np

from bayesmix.core.nouns import parts_in_words
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers, Stored, has_gaps
from bayesmix.numerics.memo import cached, once
from bayesmix.numerics.sparse import is_sparse

if TYPE_CHECKING:
    from bayesmix.core.components import Additive, Densities
    from bayesmix.core.measurement import Measurement
    from bayesmix.core.missing_cells import Pattern
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.priors import AllocationSums
    from bayesmix.core.protocols import Design, ElapsedTimes


class Observation(Protocol):
    """How the samples of a chunk were seen."""

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return E[log π_k] + E[log p(seen_n | θ_k)] (n, K) in the frame of the mixture."""

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return log densities in the frame minus those in data units (n,)."""


@dataclass(frozen=True)
class Complete:
    """Samples with exact values in all columns."""

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        joint: Array = mixture.components.expected_log_density(rows.framed(mixture.frame))
        joint += mixture.log_weights
        return joint

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        volume = np.full(len(rows), mixture.frame.log_volume)
        if rows.inside is not None:  # the part off the plane is not known
            return volume
        return volume - mixture.frame.log_off_plane(rows.values)


COMPLETE = Complete()


# Smaller counts are treated as 0, as their means would be ratios of underflow.
NO_ROWS = 1e-200
# Values are clipped here, in robust deviations, so that fourth powers are finite.
FARTHEST = 1e70
# Variance in a direction without extent, in columns of unit scale.
FLAT_FLOOR = 1e-6
# Framed distances from the plane of the data are clipped here, so that squares are finite.
FAR_OFF = 1e145
# Finite log weight of a component of weight zero, as 0 times infinity is NaN.
LOWEST_LOG = -1e300
# Added where observed cells do not determine coordinates, which are then 0.
LEAST_SQUARES_RIDGE = 1e-6
# Features with at most this many values are cached between passes.
MOST_KEPT = 2**17
# Data with at most this many values keep their chunks and patterns of missing values.
MOST_INDEXED = 2**21


@dataclass(frozen=True)
class Frame:
    """Coordinates ``(x - centre) / scale`` of computations, with scales that are powers of two.

    Location and units thus do not affect rounding. ``flat`` (D, f) spans directions in which all
    data agree, ``basis`` (D, D') the others, both orthonormal; None if there are none. Along flat
    directions all components have the same narrow normal density. With ``rest`` components differ
    along the basis only, and all share a normal density of this variance along the directions that
    are neither in the basis nor flat.
    """

    centre: Array
    scale: Array
    basis: Array | None = None
    flat: Array | None = None
    rest: float | None = None

    @classmethod
    def identity(cls, n_features: int) -> Frame:
        """Return the frame of data coordinates."""
        return cls(np.zeros(n_features), np.ones(n_features))

    @once
    def inverse_scale(self) -> Array:
        """Exact 1 / scale (D,)."""
        return 1.0 / self.scale

    @property
    def n_directions(self) -> int:
        """Number of directions D' with extent."""
        return len(self.centre) if self.basis is None else int(self.basis.shape[1])

    @property
    def log_volume(self) -> float:
        """Framed log density minus log density in data units, on the plane of the data."""
        volume = np.log(self.scale).sum() + 0.5 * self.n_flat * np.log(2.0 * np.pi * FLAT_FLOOR)
        if self.rest is not None:
            n_rest = len(self.centre) - self.n_directions - self.n_flat
            volume += 0.5 * n_rest * np.log(2.0 * np.pi * self.rest)
        return float(volume)

    @property
    def n_flat(self) -> int:
        """Number of directions in which all data agree."""
        if self.rest is None:
            return len(self.centre) - self.n_directions
        return 0 if self.flat is None else int(self.flat.shape[1])

    @property
    def n_parameters(self) -> int:
        """Number of parameters of the subspace, and of the mean of the rest and its scales."""
        if self.rest is None:
            return 0
        q, D = self.n_directions, len(self.centre) - self.n_flat
        return q * (D - q) + D - q + D

    @property
    def is_whole(self) -> bool:
        """Whether densities depend on framed values alone."""
        return self.flat is None and self.rest is None

    def equals(self, other: Frame) -> bool:
        """Whether two frames have equal coordinates."""
        return self is other or all(
            np.array_equal(getattr(self, part), getattr(other, part))
            for part in ("centre", "scale", "basis", "rest")
        )

    def apply(self, values: Any, room: Array | None = None) -> Array:
        """Transform data (n, D) to float64 in this frame, in ``room`` (D, n) if given.

        Coordinates of samples seen in part in a subspace are those of least squares.
        """
        values = np.asarray(values) if is_sparse(values) else values
        if self.rest is not None and has_gaps(values):
            gram, along = self.seen_along_basis(np.asarray(values))
            gram = gram + LEAST_SQUARES_RIDGE * np.eye(self.n_directions)
            return np.asarray(np.linalg.solve(gram, along[:, :, None])[:, :, 0])
        framed = np.empty(values.shape[::-1], dtype=np.float64) if room is None else room
        np.subtract(values.T, self.centre[:, None], out=framed)
        framed *= self.inverse_scale[:, None]
        if self.basis is not None:
            framed = self.basis.T @ framed
        return framed.T

    def seen_along_basis(self, values: Array) -> tuple[Array, Array]:
        """Return V_oᵀ V_o (n, q, q) and V_oᵀ x_o (n, q) of observed cells, V the basis."""
        assert self.basis is not None
        present, q = ~np.isnan(values), self.n_directions
        away = np.where(present, (values - self.centre) * self.inverse_scale, 0.0)
        products = (self.basis[:, :, None] * self.basis[:, None, :]).reshape(-1, q * q)
        gram = (present.astype(np.float64) @ products).reshape(-1, q, q)
        return gram, away @ self.basis

    def log_off_plane(self, values: Any) -> Array | float:
        """Return the loss of log density (n,) off the plane of the data, 0 on it."""
        if self.is_whole:
            return 0.0
        longest = FAR_OFF * self.scale
        away = np.clip(values - self.centre, -longest, longest) / self.scale
        loss, flat = np.zeros(len(away)), self.flat
        if flat is not None:
            distance = away @ flat
            loss -= 0.5 * (distance * distance).sum(axis=1) / FLAT_FLOOR
        if self.rest is not None and self.basis is not None:
            away = away - (away @ self.basis) @ self.basis.T
            if flat is not None:
                away -= (away @ flat) @ flat.T
            loss -= 0.5 * (away * away).sum(axis=1) / self.rest
        return loss

    def log_volume_of_seen(self, values: Array) -> Array:
        """Return log densities of observed cells in the frame minus those in data units (n,).

        The part of the cells beside the basis and on flat directions is included.
        """
        assert self.basis is not None
        assert self.rest is not None
        present = ~np.isnan(values)
        longest = FAR_OFF * self.scale
        away = np.clip(values - self.centre, -longest, longest) / self.scale
        away = np.where(present, away, 0.0)
        varies = np.ones(len(self.centre), dtype=bool) if self.flat is None else ~self.flat.any(1)
        along, squares = away @ self.basis, away * away
        n_rest = present[:, varies].sum(axis=1) - self.n_directions
        volume = present @ np.log(self.scale) + 0.5 * n_rest * np.log(2.0 * np.pi * self.rest)
        beside = squares[:, varies].sum(axis=1) - (along * along).sum(axis=1)
        volume += 0.5 * beside / self.rest + 0.5 * squares[:, ~varies].sum(axis=1) / FLAT_FLOOR
        volume += 0.5 * np.log(2.0 * np.pi * FLAT_FLOOR) * present[:, ~varies].sum(axis=1)
        return np.asarray(volume)

    def lifted(self, blocks: Array) -> Array:
        """Return covariances (K, D', D') along a basis with the rest in data units (K, D, D)."""
        assert self.basis is not None
        assert self.rest is not None
        others = np.eye(len(self.basis)) - self.basis @ self.basis.T
        whole = self.basis @ blocks @ self.basis.T + self.rest * others
        if self.flat is not None:
            whole = whole + (FLAT_FLOOR - self.rest) * (self.flat @ self.flat.T)
        return whole * np.multiply.outer(self.scale, self.scale)

    def undo(self, values: Array) -> Array:
        """Transform framed data (..., D') to data coordinates."""
        whole = values if self.basis is None else values @ self.basis.T
        return whole * self.scale + self.centre

    def refuse_rest(self) -> None:
        """Raise ``UnsupportedError`` where components have no form in data units by themselves."""
        if self.rest is not None:
            raise UnsupportedError(
                "draws of parameters in data units are not available in a common subspace, whose "
                "directions are not drawn: use intervals of predictions, such as density_interval"
            )

    def drawn_rest(self, n: int, generator: np.random.Generator) -> Array | float:
        """Draw n deviations (n, D) along directions outside the basis, 0 where all is in it."""
        if self.rest is None or self.basis is None:
            return 0.0
        drawn = generator.normal(scale=np.sqrt(self.rest), size=(n, len(self.centre)))
        drawn -= (drawn @ self.basis) @ self.basis.T
        if self.flat is not None:
            drawn -= (drawn @ self.flat) @ self.flat.T
        return drawn * self.scale

    def directions(self, scale: Array) -> Array:
        """Return a scale (D,) of columns along the directions of the frame (D',).

        In a common subspace, that (D',) of coordinates is its own.
        """
        if self.rest is not None and len(scale) == self.n_directions:
            return scale
        framed = scale / self.scale
        if self.basis is None:
            return framed
        return np.sqrt((self.basis**2).T @ (framed * framed))


@dataclass(frozen=True)
class SideInformation:
    """Data about samples besides their values, which allocations and observations read.

    ``labels`` are known components (n,), -1 if unknown, or log factors (n, K) of the weights;
    ``begins`` (n,) marks starts of sequences or groups, which blocks do not divide; samples of a
    group share their component if ``grouped``, and ``order`` (n,) are their places in the user's
    data; ``covariates`` (n, P) are those of the weights, standardised by ``design``;
    ``elapsed`` are times since the sample before, of sequences that are not evenly spaced;
    ``measurement`` tells how the values were measured, None if exactly; ``of_persons``: sequences
    are persons of a panel, whom information criteria count instead of samples.
    """

    labels: Integers | Array | None = None
    begins: Booleans | None = None
    covariates: Array | None = None
    grouped: bool = False
    design: Design | None = None
    order: Integers | None = None
    measurement: Measurement | None = None
    elapsed: ElapsedTimes | None = None
    of_persons: bool = False

    def __getitem__(self, rows: Any) -> SideInformation:
        """Return the side information of some samples, chosen by slice, mask or indices."""
        if not self and self.measurement is None:
            return self
        labels, begins, covariates, order = (
            None if part is None else part[rows]
            for part in (self.labels, self.begins, self.covariates, self.order)
        )
        measurement = None if self.measurement is None else self.measurement[rows]
        elapsed = None if self.elapsed is None else self.elapsed[rows]
        return replace(
            self,
            labels=labels,
            begins=begins,
            covariates=covariates,
            order=order,
            measurement=measurement,
            elapsed=elapsed,
        )

    @property
    def n_covariates(self) -> int:
        """Number of coefficients of each component's weights, 1 without covariates."""
        return 1 if self.covariates is None else int(self.covariates.shape[1])

    @property
    def of_predictions(self) -> SideInformation:
        """The covariates and the measurement, which predictions need."""
        return SideInformation(
            covariates=self.covariates, design=self.design, measurement=self.measurement
        )

    def __bool__(self) -> bool:
        """Whether an allocation reads any of it."""
        parts = (self.labels, self.begins, self.covariates)
        return any(part is not None for part in parts)

    def log_factors(self, n_components: int) -> Array:
        """Return log factors (n, K) of the weights by labels, ``LOWEST_LOG`` if excluded."""
        assert self.labels is not None
        if self.labels.ndim == 2:
            return self.labels.astype(np.float64)
        excluded = self.labels[:, None] != np.arange(n_components)
        return np.where(excluded & (self.labels >= 0)[:, None], LOWEST_LOG, 0.0)

    def named(self, n_components: int) -> Booleans:
        """Return which components (K,) labels name."""
        if self.labels is None or self.labels.ndim == 2:
            return np.full(n_components, self.labels is not None)
        return np.isin(np.arange(n_components), self.labels)

    @property
    def largest_label(self) -> int:
        """Largest component that labels name, -1 if there is none."""
        if self.labels is None:
            return -1
        return self.labels.shape[1] - 1 if self.labels.ndim == 2 else int(self.labels.max())

    @property
    def ordered(self) -> bool:
        """Whether the samples are sequences."""
        return self.begins is not None and not self.grouped

    @property
    def starts(self) -> Integers:
        """Return the first sample (G,) of each sequence or group."""
        assert self.begins is not None
        return np.flatnonzero(self.begins)

    @property
    def waves(self) -> Integers:
        """Return the place (n,) of each sample in its sequence, from 0."""
        assert self.begins is not None
        return np.arange(len(self.begins)) - np.repeat(self.starts, self.group_sizes)

    @property
    def group_sizes(self) -> Integers:
        """Return the size (G,) of each group."""
        assert self.begins is not None
        return np.diff(np.append(self.starts, len(self.begins)))


NO_SIDE_INFORMATION = SideInformation()


@dataclass(frozen=True)
class Rows:
    """Data (n, D) of a chunk, weights (n,) or None, the number of its first sample, and side data.

    Values are in data units, or ``inside`` a frame. Small chunks keep their features between
    passes, by kind, and their patterns of missing values.
    """

    values: Stored
    weights: Array | None = None
    first: int = 0
    side: SideInformation = NO_SIDE_INFORMATION
    inside: Frame | None = None
    _kept: dict[object, tuple[Frame, Array]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    patterns: dict[tuple[bytes | None, int | None], list[Pattern]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def weights_or_ones(self) -> Array:
        """Sample weights (n,), 1 if none are given."""
        return np.ones(len(self)) if self.weights is None else self.weights

    @property
    def observation(self) -> Observation:
        """How the samples were seen."""
        if self.side.measurement is not None:
            return self.side.measurement
        if not has_gaps(self.values):
            return COMPLETE
        from bayesmix.core.missing_cells import INCOMPLETE

        return INCOMPLETE

    @property
    def as_seen(self) -> Rows:
        """The samples without what allocations read, such as labels."""
        if not self.side:
            return self
        return replace(self, side=SideInformation(measurement=self.side.measurement))

    def framed(self, frame: Frame, room: Array | None = None) -> Array:
        """Return the values (n, D') in a frame, in ``room`` (D, n) if given."""
        if is_sparse(self.values):  # families of sparse rows have no other frame
            return cast("Array", self.values)
        if self.inside is not None and self.inside.equals(frame):
            return np.asarray(self.values)
        return frame.apply(self.values, room)

    def keeps_features(self, n_features: int) -> bool:
        """Whether features are cached between passes."""
        return len(self) * n_features <= MOST_KEPT

    def features(self, form: Any, frame: Frame) -> Array:
        """Return features of a linear form in a frame, cached for small data."""
        cached = self._kept.get(form.kind)
        if cached is not None and cached[0] is frame:
            return cached[1]
        features: Array = form.features(self.framed(frame))
        if self.keeps_features(len(features)):
            features.flags.writeable = False
            self._kept[form.kind] = frame, features
        return features

    def statistics(self, family: Any, frame: Frame, shares: Array) -> Additive:
        """Return the statistics of a family under weighted responsibilities (n, K)."""
        return cast("Additive", family.statistics(self.framed(frame), shares))

    def log_base(self, form: Any) -> Array:
        """Return log h(x) (n,) of a linear form over sparse rows, cached."""
        return cached(self, ("log_base", form.kind), lambda: form.reading.log_base(self.values))

    def some(self, chosen: Any) -> Rows:
        return Rows(
            self.values[chosen],
            None if self.weights is None else self.weights[chosen],
            side=self.side[chosen],
            inside=self.inside,
        )

    def blocks(self, size: int) -> list[Rows]:
        """Return the chunk in blocks that fit into the cache; sequences stay whole."""
        if self.side.begins is None:
            return self.cut(size)
        if len(self) <= size:
            return [self]
        cuts = np.arange(0, len(self) + size, size).clip(max=len(self))
        borders = np.append(self.side.starts, len(self))
        cuts = np.unique(borders[np.searchsorted(borders, cuts)])
        return [self._part(slice(start, stop)) for start, stop in pairwise(cuts.tolist())]

    def cut(self, size: int) -> list[Rows]:
        """Return the chunk in blocks that fit into the cache and may divide sequences."""
        if len(self) <= size:
            return [self]
        cuts = np.arange(0, len(self) + size, size).clip(max=len(self))
        return [self._part(slice(start, stop)) for start, stop in pairwise(cuts.tolist())]

    def _part(self, part: slice) -> Rows:
        return Rows(
            self.values[part],
            None if self.weights is None else self.weights[part],
            self.first + part.start,
            self.side[part],
            self.inside,
        )


@dataclass(frozen=True)
class Allocated:
    """Result of an allocation, besides responsibilities."""

    log_normaliser: Array  # (n,), adding up to that of the data
    statistics: AllocationSums | None = None  # None if counts suffice


@dataclass(frozen=True)
class Summary:
    """Summary of the data before a fit, in data units."""

    n_rows: int
    total_weight: float
    centre: Array  # lower median of each column, a value of the data
    scale: Array  # IQR / 1.349; if 0, the standard deviation; 1 for constant columns
    minimum: Array
    maximum: Array
    gap: Array  # smallest difference of distinct values if there are ties, else 0
    constant: Booleans  # (D,) constant columns
    mean: Array
    lower: Array  # quartiles of each column
    upper: Array
    n_missing: int = 0  # number of missing values
    known_errors: Array | None = None  # (D,) smallest variances, see ``Measurement.least_errors``

    @property
    def n_features(self) -> int:
        return len(self.centre)


@dataclass(frozen=True)
class Event:
    """An event of a run to report to the user."""

    kind: str  # "relocated", "held", "fell", "flat", "pruned", "centred form", "split", ...
    message: str
    at_pass: int = 0
    components: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()  # the first of them
    gain: float | None = None
    n_rows: int = 0  # number of observations concerned

    @property
    def text(self) -> str:
        """The message with {which} and {rows} filled in by current numbers."""
        return self.in_words("component")

    def in_words(self, noun: str) -> str:
        """Return the message for a fit whose components have a name."""
        which = f"a {noun} that was removed later"
        if self.components:
            which = parts_in_words(noun, self.components)
        return self.message.replace("{which}", which).replace("{rows}", self._rows_text)

    @property
    def _rows_text(self) -> str:
        named = ", ".join(map(str, self.rows[:5]))
        if self.n_rows <= 1:
            return f"1 observation (row {named})" if self.n_rows else "no observations"
        return f"{self.n_rows} observations (rows {named}{', ...' if self.n_rows > 5 else ''})"


class AddedByField:
    """A record of sums over observations; fields in ``same`` are not added."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    same: ClassVar[tuple[str, ...]] = ()

    def __add__(self, other: Self) -> Self:
        names = [added.name for added in fields(self) if added.name not in self.same]
        return replace(self, **{name: getattr(self, name) + getattr(other, name) for name in names})


# Squares and sums of squares of larger values overflow.
LARGEST_VALUE = 1e150
ROWS_AT_ONCE = 2**18


@dataclass(frozen=True)
class Fault:
    """Number of observations with a fault, and the first faulty value; additive over chunks."""

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
        """Return the fault where ``wrong`` (n, D) is true; ``first`` numbers the observations."""
        n_rows = int(wrong.any(axis=1).sum())
        if not n_rows:
            return NONE
        row, column = np.argwhere(wrong)[0]
        return cls(n_rows, first + int(row), int(column), float(values[row, column]))


NONE = Fault()


@dataclass(frozen=True)
class Faults:
    """Faults of the data by type."""

    not_finite: Fault = NONE
    infinite: Fault = NONE
    empty: Fault = NONE  # observations without any value
    never: Booleans | None = None  # (D,) columns without any value
    too_large: Fault = NONE
    weight: Fault = NONE  # negative or not finite

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


def _both(first: Booleans | None, second: Booleans | None) -> Booleans | None:
    if first is None or second is None:
        return second if first is None else first
    return first & second


def faults_in(rows: Rows) -> Faults:
    """Return faults of a chunk, checked in blocks."""
    pieces = rows.blocks(ROWS_AT_ONCE)
    return reduce(add, [_of_values(piece) + _of_weights(piece) for piece in pieces], Faults())


def _of_values(rows: Rows) -> Faults:
    if is_sparse(rows.values):  # whose entries were checked
        return Faults(never=np.zeros(rows.values.shape[1], dtype=np.bool_))
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
