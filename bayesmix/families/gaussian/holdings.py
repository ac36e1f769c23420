"""What narrow components hold, and which of them are degenerate."""

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


# Tolerance for the rounding of directions.
WHOLE = 1.0 - 1e-9


def held_before(events: tuple[Event, ...]) -> set[int]:
    """Return which components were held."""
    return {k for event in events if event.kind == "held" for k in event.components}


def not_held(guard: GaussianGuard, axes: Array, resolution: Array) -> Array:
    """Return the directions along which the resolution of a component is below the floor.

    Under a prior a variance may stay below the floor even where its component is held.
    """
    scaled = axes / np.sqrt(guard.floor)[:, None]
    held = np.einsum("dj,de,ej->j", scaled, resolution, scaled)
    kept: Array = axes[:, held < WHOLE]
    return kept


def widened(
    guard: GaussianGuard,
    mixture: GaussianMixtures,
    resolution: Array | None,
    directions: list[Array],
) -> Mixture[Gaussians]:
    """Return a mixture with the resolution added to its covariances."""
    held = extended(guard, resolution, mixture.n_components, directions)
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


def extended(
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
NO_PART = 1e-9


@dataclass(frozen=True)
class Holding:
    """Observations of a component: number, the first few, distinct values by direction."""

    n_rows: int
    rows: tuple[int, ...]
    distinct: tuple[Array, ...]

    @property
    def distinct_counts(self) -> list[int]:
        return [len(values) for values in self.distinct]


NOTHING = Holding(0, (), ())


@dataclass(frozen=True)
class Holdings:
    """Observations of each component; additive over chunks."""

    by_component: tuple[Holding, ...]
    needed: int

    def __add__(self, other: Holdings) -> Holdings:
        return Holdings(
            tuple(
                Holding(
                    a.n_rows + b.n_rows,
                    (a.rows + b.rows)[:ROWS_NAMED],
                    tuple(
                        np.union1d(x, y)[: self.needed]
                        for x, y in zip(a.distinct, b.distinct, strict=True)
                    ),
                )
                for a, b in zip(self.by_component, other.by_component, strict=True)
            ),
            self.needed,
        )


@dataclass(frozen=True)
class HoldingStep:
    """Observations of each component (by largest responsibility) along given directions.

    Components without directions are skipped.
    """

    mixture: Mixture
    directions: list[Array]
    floor: Array
    needed: int
    whole: Whole | None = None

    def __call__(self, rows: Rows) -> Holdings:
        labels = joint_of(self.mixture, self.whole, rows).argmax(axis=1)
        if self.whole is not None:
            rows = replace(rows, values=rows.values[:, self.whole.columns])
        if rows.weights is not None:
            labels = np.where(rows.weights == 0, -1, labels)
        return Holdings(
            tuple(
                self._holding(k, axes, rows, np.flatnonzero(labels == k))
                if axes.shape[1]
                else NOTHING
                for k, axes in enumerate(self.directions)
            ),
            self.needed,
        )

    def _holding(self, k: int, axes: Array, rows: Rows, members: Any) -> Holding:
        """Return the holding of component k from observations ``members`` of the chunk."""
        values = self.mixture.frame.apply(rows.values[members])
        away = (values - self.mixture.components.means[k]) / np.sqrt(self.floor)
        distinct = tuple(self._distinct(away, axis) for axis in axes.T)
        first = tuple(int(row) + rows.first for row in members[:ROWS_NAMED])
        return Holding(len(members), first, distinct)

    def _distinct(self, away: Array, axis: Array) -> Array:
        """Return distinct values along a direction, at most as many as needed."""
        if has_gaps(away):
            observed = ~np.isnan(away[:, np.abs(axis) > NO_PART]).any(axis=1)
            away = without_gaps(away[observed])
        return np.unique(np.round(away @ axis, 9))[: self.needed]


def joint_of(mixture: Mixture[Any], whole: Whole | None, rows: Rows) -> Array:
    """Return the log joint (n, K) of a chunk under a mixture, or under the whole it is part of."""
    if whole is None:
        return mixture.log_joint(rows)
    return whole.log_joint(rows.values, mixture.components)


def judged(
    guard: GaussianGuard,
    mixture: GaussianMixtures,
    resolution: Array | None,
    events: tuple[Event, ...],
    directions: list[Array],
    sound: bool,
) -> Repair | None:
    """Decide which narrow components have too few distinct values, and repair them."""
    shared = guard.structure.shared
    if sound and resolution is not None:
        dense = guard.structure.algebra.dense(resolution, mixture.n_components, len(guard.floor))
        directions = [not_held(guard, *of_one) for of_one in zip(directions, dense, strict=True)]
    # A widened component would take observations of its neighbours.
    looked_at = mixture if sound else widened(guard, mixture, resolution, directions)
    holdings = guard.source.reduce(
        HoldingStep(looked_at, directions, guard.floor, guard.needed, guard.whole),
        mixture.n_components,
    )
    if shared:
        enough = np.any(
            [
                [count >= guard.needed for count in holding.distinct_counts]
                for holding in holdings.by_component
            ],
            axis=0,
        )
        degenerate = [
            (k, axes[:, ~enough]) for k, axes in enumerate(directions) if not enough.all()
        ]
    else:
        degenerate = [
            (k, axes[:, [count < guard.needed for count in holding.distinct_counts]])
            for k, (axes, holding) in enumerate(zip(directions, holdings.by_component, strict=True))
        ]
        if guard.structure.common_shape:
            from bayesmix.families.gaussian.repair import of_common_shape

            degenerate = of_common_shape(guard, mixture, directions, degenerate)
    # An empty component under a prior equals the prior; otherwise it is held once.
    held_already = held_before(events)
    degenerate = [
        (k, axes)
        for k, axes in degenerate
        if axes.shape[1]
        and (shared or holdings.by_component[k].n_rows or (guard.repair and k not in held_already))
    ]
    if not degenerate:
        if sound:
            return None
        # Large components that overflow the precision of doubles contain a distant outlier.
        degenerate = [(k, axes) for k, axes in enumerate(directions) if axes.shape[1]]
    moved = {k for event in events if event.kind == "relocated" for k in event.components}
    free = [k for k, _ in degenerate if k not in moved]
    from bayesmix.families.gaussian.repair import hold, relocate

    lost = dict(degenerate)
    if guard.repair and free and not shared and mixture.n_components > 1:
        # Other components, which may be as narrow with many values, stay as they are.
        collapsed = [lost.get(k, axes[:, :0]) for k, axes in enumerate(directions)]
        shown = widened(guard, mixture, resolution, collapsed)
        return relocate(guard, looked_at, shown, free, holdings, resolution)
    return hold(guard, mixture, resolution, lost, holdings, shared)
