"""Which narrow components are degenerate: those whose members have too few distinct values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event, Rows
from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.collapse import GaussianGuard, GaussianMixtures
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.numerics.arrays import Array, align, has_gaps, without_gaps

if TYPE_CHECKING:
    from bayesmix.core.engines import Whole
    from bayesmix.families.gaussian.family import Gaussians
    from bayesmix.families.gaussian.prior import GaussianPosterior


# Share of the floor that counts as all of it, by the rounding of directions.
FULLY_HELD = 1.0 - 1e-9


def components_of(events: tuple[Event, ...], kind: str) -> set[int]:
    """Return the components that events of a kind name, such as "held"."""
    return {k for event in events if event.kind == kind for k in event.components}


def not_held(guard: GaussianGuard, axes: Array, resolution: Array) -> Array:
    """Return the directions along which the resolution of a component is below the floor.

    Under a prior a variance may stay below the floor even where its component is held.
    """
    scaled = axes / np.sqrt(guard.floor)[:, None]
    held = np.einsum("dj,de,ej->j", scaled, resolution, scaled)
    kept: Array = axes[:, held < FULLY_HELD]
    return kept


def widened(
    guard: GaussianGuard,
    mixture: GaussianMixtures,
    resolution: Array | None,
    directions: list[Array],
) -> Mixture[Gaussians]:
    """Return a mixture with the resolution added to its covariances."""
    held = extended_resolution(guard, resolution, mixture.n_components, directions)
    components = at_resolution(mixture.components, guard.structure, held)
    return Mixture(mixture.weights, components, mixture.frame, mixture.noise)


def resolution_along(guard: GaussianGuard, axes: Array) -> Array:
    """Return the floor along directions in columns of unit floor, unpooled."""
    scaled = np.sqrt(guard.floor)[:, None] * axes
    with np.errstate(over="ignore", invalid="ignore"):
        matrix: Array = scaled @ scaled.T
    if not np.isfinite(matrix).all():
        raise DegenerateFitError(
            "columns differ by so many orders of magnitude that a repair would overflow: "
            "rescale them"
        )
    return guard.structure.algebra.of_dense(matrix)


def extended_resolution(
    guard: GaussianGuard, resolution: Array | None, n_components: int, directions: list[Array]
) -> Array:
    """Return the resolution of each component, with further directions held."""
    held = np.stack([resolution_along(guard, axes) for axes in directions])
    if resolution is not None:
        held = held + np.broadcast_to(resolution, held.shape)
    return held


def at_resolution(
    components: Gaussians | GaussianPosterior, structure: Structure, resolution: Array
) -> Gaussians:
    """Return point components with the resolution added to their covariances."""
    plain = components.plug_in()
    pooled, per_row = structure.blocks.pool(resolution), np.ones(len(resolution))
    pooled = pooled / align(structure.blocks.counts(per_row, plain.n_features), pooled)
    return replace(plain, blocks=plain.blocks + pooled, resolution=None)


ROWS_NAMED = 20

# Smaller coefficients of a direction count as zero.
NEGLIGIBLE_ENTRY = 1e-9


@dataclass(frozen=True)
class Members:
    """Observations of a component: number, the first few, distinct values by narrow direction."""

    n_rows: int
    rows: tuple[int, ...]
    distinct: tuple[Array, ...]

    @property
    def distinct_counts(self) -> list[int]:
        return [len(values) for values in self.distinct]


NO_MEMBERS = Members(0, (), ())


@dataclass(frozen=True)
class Memberships:
    """Observations of each component; additive over chunks."""

    by_component: tuple[Members, ...]
    n_needed: int  # distinct values that suffice, of which no more are kept

    def __add__(self, other: Memberships) -> Memberships:
        return Memberships(
            tuple(
                Members(
                    a.n_rows + b.n_rows,
                    (a.rows + b.rows)[:ROWS_NAMED],
                    tuple(
                        np.union1d(x, y)[: self.n_needed]
                        for x, y in zip(a.distinct, b.distinct, strict=True)
                    ),
                )
                for a, b in zip(self.by_component, other.by_component, strict=True)
            ),
            self.n_needed,
        )


@dataclass(frozen=True)
class MembershipStep:
    """Observations of each component (by largest responsibility) along given directions.

    Components without directions are skipped.
    """

    mixture: Mixture
    directions: list[Array]
    floor: Array
    n_needed: int
    whole: Whole | None = None

    def __call__(self, rows: Rows) -> Memberships:
        labels = joint_of(self.mixture, self.whole, rows).argmax(axis=1)
        if self.whole is not None:
            rows = replace(rows, values=rows.values[:, self.whole.columns])
        if rows.weights is not None:
            labels = np.where(rows.weights == 0, -1, labels)
        return Memberships(
            tuple(
                self._members(k, axes, rows, np.flatnonzero(labels == k))
                if axes.shape[1]
                else NO_MEMBERS
                for k, axes in enumerate(self.directions)
            ),
            self.n_needed,
        )

    def _members(self, k: int, axes: Array, rows: Rows, members: Any) -> Members:
        """Return the members of component k from observations ``members`` of the chunk."""
        values = self.mixture.frame.apply(rows.values[members])
        away = (values - self.mixture.components.means[k]) / np.sqrt(self.floor)
        distinct = tuple(self._distinct(away, axis) for axis in axes.T)
        first = tuple(int(row) + rows.first for row in members[:ROWS_NAMED])
        return Members(len(members), first, distinct)

    def _distinct(self, away: Array, axis: Array) -> Array:
        """Return distinct values along a direction, at most as many as needed."""
        if has_gaps(away):
            observed = ~np.isnan(away[:, np.abs(axis) > NEGLIGIBLE_ENTRY]).any(axis=1)
            away = without_gaps(away[observed])
        return np.unique(np.round(away @ axis, 9))[: self.n_needed]


def joint_of(mixture: Mixture[Any], whole: Whole | None, rows: Rows) -> Array:
    """Return the log joint (n, K) of a chunk under a mixture, or under the whole it is part of."""
    if whole is None:
        return mixture.log_joint(rows)
    return whole.log_joint(rows.values, mixture.components)


def repair_of_degenerate(
    guard: GaussianGuard,
    mixture: GaussianMixtures,
    resolution: Array | None,
    events: tuple[Event, ...],
    directions: list[Array],
    factorised: bool,
) -> Repair | None:
    """Return the repair of narrow components with too few distinct values, None if all have enough.

    ``directions`` (D, f) of each component are those along which it is narrow; ``factorised`` is
    false if a covariance is singular in rounding.
    """
    shared, K = guard.structure.shared, mixture.n_components
    if factorised and resolution is not None:
        dense = guard.structure.algebra.dense(resolution, K, len(guard.floor))
        directions = [not_held(guard, *of_one) for of_one in zip(directions, dense, strict=True)]
    # A widened component would take observations of its neighbours.
    assigning = mixture if factorised else widened(guard, mixture, resolution, directions)
    step = MembershipStep(assigning, directions, guard.floor, guard.n_distinct_needed, guard.whole)
    memberships = guard.source.reduce(step, K)
    degenerate = _degenerate(guard, mixture, events, directions, memberships)
    if not degenerate:
        if factorised:
            return None
        # Large components that overflow the precision of doubles contain a distant outlier.
        degenerate = {k: axes for k, axes in enumerate(directions) if axes.shape[1]}
    moved = components_of(events, "relocated")
    collapsed = [k for k in degenerate if k not in moved]
    from bayesmix.families.gaussian.repair import hold, relocate

    at_points = [memberships.by_component[k] for k in degenerate]
    elsewhere = guard.source.shape[0] - sum(
        members.n_rows for members in at_points if max(members.distinct_counts, default=0) == 1
    )
    # Where all observations are copies of a few, there is no other place to restart.
    if guard.repair and collapsed and not shared and K > 1 and elsewhere:
        # Other components, which may be as narrow with many values, stay as they are.
        axes_held = [degenerate.get(k, axes[:, :0]) for k, axes in enumerate(directions)]
        start = widened(guard, mixture, resolution, axes_held)
        return relocate(guard, assigning, start, collapsed, memberships, resolution)
    return hold(guard, mixture, resolution, degenerate, memberships, shared)


def _degenerate(
    guard: GaussianGuard,
    mixture: GaussianMixtures,
    events: tuple[Event, ...],
    directions: list[Array],
    memberships: Memberships,
) -> dict[int, Array]:
    """Return degenerate components, with their directions (D, f) of too few distinct values."""
    shared, needed = guard.structure.shared, guard.n_distinct_needed
    too_few = [
        np.array([count < needed for count in members.distinct_counts], dtype=np.bool_)
        for members in memberships.by_component
    ]
    if shared:  # values of any component support the common covariance
        too_few = [np.all(too_few, axis=0)] * len(directions)
    lost = [
        (k, axes[:, few]) for k, (axes, few) in enumerate(zip(directions, too_few, strict=True))
    ]
    if guard.structure.common_shape:
        from bayesmix.families.gaussian.repair import of_common_shape

        lost = of_common_shape(guard, mixture, directions, lost)
    # An empty component under a prior equals the prior; otherwise it is held once.
    held = components_of(events, "held")
    return {
        k: axes
        for k, axes in lost
        if axes.shape[1]
        and (shared or memberships.by_component[k].n_rows or (guard.repair and k not in held))
    }
