"""Directions without extent, and the guard against degenerate Gaussian components.

Degenerate: a variance below a floor (1e-6 in columns of unit scale, or gap²/12 for ties) with fewer
than 5 (D + 1) distinct values along it. Such a component is repaired, see ``repair``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.linalg.blas import dnrm2

from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event, Frame, Rows, Summary
from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.covariance.models import STRUCTURES, Structure
from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.numerics.arrays import Array, Booleans, Integers, without_gaps
from bayesmix.numerics.memo import cached

if TYPE_CHECKING:
    from bayesmix.core.engines import Whole
    from bayesmix.core.sources import Source
    from bayesmix.families.gaussian.family import Gaussians
    from bayesmix.families.gaussian.prior import GaussianPosterior

DRAWN_IN_AT = 10.0
# Largest distance from the plane, in unit scales, that counts as on it: the density there differs
# by 5e-5 nats.
OFF_PLANE = 1e-5
# Size of the subsample checked first, as most data have full extent.
SOME_ROWS = 1000


@dataclass(frozen=True)
class FrameOfColumns:
    """The frame of some columns, for observations of all columns."""

    frame: Frame
    columns: Integers

    def apply(self, values: Any) -> Array:
        return self.frame.apply(values[:, self.columns])


def pooled_covariance(
    source: Source, frame: Frame | FrameOfColumns, unit: Array, structure: str = "full"
) -> tuple[Array, Array]:
    """Return the covariance in columns of unit scale, with outliers shrunk, and an anchor.

    It is a matrix (D, D), or variances (D,) if the structure is "diag".

    Outliers are shrunk towards the anchor, an observation near the centre, which preserves linear
    relations between columns.
    """
    anchor = source.reduce(partial(_nearest, frame, unit), 1).values
    drawn_in = source.reduce(partial(_drawn_in, frame, unit, anchor, structure), 1)
    covariance: Array = drawn_in.scatter[0] / drawn_in.counts[0]
    return covariance, anchor


def without_flat_directions(
    structure: Structure, frame: Frame, source: Source
) -> tuple[Frame, tuple[Event, ...]]:
    """Return the frame without directions of no extent, and an event that names them.

    Raises ``InvalidInputError`` if all observations are equal.
    """
    summary = source.summary
    if structure.isotropic and not summary.constant.all():
        # With one variance for all columns, a constant column is informative.
        return frame, ()
    unit = summary.scale / frame.scale
    if _some_rows_suffice(structure, frame, source, unit):
        return frame, ()
    covariance, anchor = pooled_covariance(source, frame, unit, _dense_or_diag(structure))
    basis, flat = structure.algebra.flat(covariance)
    if flat.shape[1] == 0:
        return frame, ()
    from bayesmix.families.gaussian.plane import on_plane

    return on_plane(frame, source, basis, flat, anchor)


def _some_rows_suffice(structure: Structure, frame: Frame, source: Source, unit: Array) -> bool:
    """Whether a subsample has full extent, to which further data can only add."""
    if source.shape[0] < 2 * SOME_ROWS:
        return False
    sample = source.spread(SOME_ROWS)
    share = sample.total_weight / source.total_weight
    if share == 0.0:
        return False
    covariance, _ = pooled_covariance(sample, frame, unit, _dense_or_diag(structure))
    _, flat = structure.algebra.flat(share * covariance)
    return len(flat.T) == 0


def _dense_or_diag(structure: Structure) -> str:
    return "full" if structure.blocks.dense else "diag"


@dataclass(frozen=True)
class _NearestRow:
    """The framed observation nearest to the centre so far."""

    distance: float
    values: Array

    def __add__(self, other: _NearestRow) -> _NearestRow:
        return other if other.distance < self.distance else self


def _nearest(frame: Frame | FrameOfColumns, unit: Array, rows: Rows) -> _NearestRow:
    values = without_gaps(frame.apply(rows.values)) / unit
    distances = (values * values).sum(axis=1)
    nearest = int(distances.argmin())
    return _NearestRow(float(distances[nearest]), values[nearest].copy())


def _drawn_in(
    frame: Frame | FrameOfColumns, unit: Array, anchor: Array, structure: str, rows: Rows
) -> Moments:
    """Return moments about the anchor, with outliers shrunk."""
    away, lengths, radius = seen_from(anchor, frame, unit, rows)
    away *= np.minimum(1.0, radius / np.maximum(lengths, radius))[:, None]
    return moments(STRUCTURES[structure], away, rows.weights_or_ones[:, None])


def seen_from(
    anchor: Array, frame: Frame | FrameOfColumns, unit: Array, rows: Rows
) -> tuple[Array, Array, float]:
    """Return differences from the anchor in unit scale, their lengths, and the shrinkage radius."""
    away = without_gaps(frame.apply(rows.values)) / unit - anchor
    return away, np.sqrt((away * away).sum(axis=1)), DRAWN_IN_AT * float(np.sqrt(len(unit)))


GaussianMixtures: TypeAlias = "Mixture[Gaussians | GaussianPosterior]"

VARIANCE_FLOOR = 1e-6
# Ratio of floor and variance above which a component is examined at once.
DEEP_UNDER_THE_FLOOR = 1e4
# Tolerance for the rounding of variances held at the floor.
AT_THE_FLOOR = 1.0 + 1e-9


# Variance of a component that is held, in units of its floor, up to which it is at the floor: under
# a prior of the variances it is several times the floor.
NEAR_THE_FLOOR = 10.0


def at_floor(components: Gaussians, resolution: Array | None) -> Booleans:
    """Return which components (K,) are held at a floor in every direction."""
    if resolution is None:
        return np.zeros(components.n_components, dtype=np.bool_)
    floors = components.structure.algebra.dense(resolution, *components.means.shape)
    variances = np.diagonal(components.covariances, axis1=1, axis2=2)
    near = variances < NEAR_THE_FLOOR * np.diagonal(floors, axis1=1, axis2=2)
    return np.asarray(near.all(axis=1))


def variance_floor(unit: Array, tied: Array) -> Array:
    """Return the smallest variances that data can support, by scale, or gap²/12 for ties."""
    return np.maximum(VARIANCE_FLOOR * unit * unit, tied * tied / 12.0)


@dataclass(frozen=True)
class GaussianGuard:
    """Guard of Gaussian mixtures fitted to the data of ``source`` in ``frame``."""

    structure: Structure
    source: Source
    frame: Frame
    summary: Summary
    repair: bool
    ridge: float | None = None  # variance of measurement, in data units
    whole: Whole | None = None  # the full mixture, if these are some of its columns
    bounded: bool = False  # whether a ridge of the user bounds the likelihood

    def among(self, whole: Whole) -> GaussianGuard:
        return replace(self, whole=whole)

    @property
    def unit(self) -> Array:
        """Robust scale (D',) of the frame's directions."""
        return self.frame.directions(self.summary.scale)

    @cached_property
    def floor(self) -> Array:
        """Smallest variance (D',) that the data can support, in the frame."""
        tied = self.frame.directions(self.summary.gap)
        negligible = self._negligible_variances
        return np.where(negligible > 0.0, negligible, variance_floor(self.unit, tied))

    @cached_property
    def _negligible_variances(self) -> Array:
        """Variances (D',) that are negligible beside known errors, which bound the likelihood."""
        variances = self.summary.known_errors
        if variances is None or not self.repair:
            return np.zeros(self.frame.n_directions)
        errors = VARIANCE_FLOOR * self.frame.directions(np.sqrt(variances))
        return errors * errors

    @cached_property
    def _highest_floor(self) -> float:
        return float(self.floor.max())

    @cached_property
    def resolution(self) -> Array | None:
        variances = self._negligible_variances
        if self.ridge:
            scale = self.frame.directions(np.ones(self.summary.n_features))
            variances = self.ridge * scale * scale
        if not variances.any():
            return None
        return self.structure.algebra.of_dense(np.diag(variances))[None]

    def examine(
        self,
        mixture: GaussianMixtures,
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        """Return a repair for degenerate components, or None; cheap if all variances are large."""
        components = mixture.components
        algebra = self.structure.algebra
        factorised = True
        try:
            root = components.precision_root
            norm = dnrm2(root.ravel())
            if norm * norm * self._highest_floor < 1.0:  # sufficient condition for all blocks
                return None
            tightest = algebra.tightest(root, self.floor)
            tight = tightest > AT_THE_FLOOR
            if np.count_nonzero(tight) == 0:
                return None
            thorough = thorough or bool((tight & (tightest > DEEP_UNDER_THE_FLOOR)).any())
        except DegenerateFitError:
            factorised = False
            tight = np.ones(len(components.blocks), dtype=np.bool_)
        if factorised and (not thorough or self._has_closed_form(mixture)):
            return None
        directions = [
            axes if suspect else axes[:, :0]
            for axes, suspect in zip(
                algebra.narrow(components.blocks, self.floor), tight, strict=True
            )
        ]
        if not any(axes.shape[1] for axes in directions):
            return None
        if self.structure.shared:
            directions = directions * mixture.n_components
        from bayesmix.families.gaussian.degenerate import repair_of_degenerate

        return repair_of_degenerate(self, mixture, resolution, events, directions, factorised)

    def spurious(self, mixture: GaussianMixtures) -> tuple[int, ...]:
        """Return spurious components; only a likelihood of values without errors has any."""
        if not self.repair or self.bounded or self.summary.known_errors is not None:
            return ()
        from bayesmix.families.gaussian.spurious import spurious_components

        at_a_point: Any = mixture  # a likelihood has no other
        return spurious_components(self, at_a_point)

    @property
    def covariance_of_data(self) -> Array:
        """Covariance (D', D') of the data in the frame, with outliers shrunk."""
        unit, structure = self.unit, _dense_or_diag(self.structure)
        columns = None if self.whole is None else self.whole.columns

        def found() -> Array:
            frame = self.frame if columns is None else FrameOfColumns(self.frame, columns)
            covariance, _ = pooled_covariance(self.source, frame, unit, structure)
            dense = covariance if covariance.ndim == 2 else np.diag(covariance)
            return np.asarray(dense * np.outer(unit, unit))

        of_columns = None if columns is None else columns.tobytes()
        return cached(self.frame, ("covariance", structure, id(self.source), of_columns), found)

    def _has_closed_form(self, mixture: GaussianMixtures) -> bool:
        """Whether a mixture is the one component of all complete data, which cannot collapse.

        Directions of no extent are not in the frame, so that its likelihood has a maximum.
        """
        complete = not self.summary.n_missing and self.summary.known_errors is None
        return mixture.n_components == 1 and mixture.noise is None and complete

    @property
    def n_distinct_needed(self) -> int:
        """Number of distinct values at which a narrow component is legitimate.

        With a common volume a single component that spans a volume bounds the likelihood.
        """
        n_features = self.frame.n_directions
        if self.structure.volumes_differ or self.structure.shared:
            return 5 * (n_features + 1)
        return n_features + 2
