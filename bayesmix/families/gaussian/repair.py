"""Repair of degenerate Gaussian components: one is relocated once, or held at a floor.

Holding adds the floor to the covariance, which keeps the objective a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np

from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event, Rows
from bayesmix.families.gaussian.collapse import GaussianGuard, GaussianMixtures
from bayesmix.families.gaussian.degenerate import (
    Members,
    Memberships,
    extended_resolution,
    joint_of,
)
from bayesmix.numerics.arrays import Array, normalise, without_gaps

if TYPE_CHECKING:
    from bayesmix.core.engines import Whole
    from bayesmix.core.priors import WeightsAtAPoint
    from bayesmix.families.gaussian.family import Gaussians


@dataclass(frozen=True)
class Lowest:
    """Observations with the lowest log density so far."""

    log_density: Array
    values: Array
    n: int

    def __add__(self, other: Lowest) -> Lowest:
        log_density = np.concatenate([self.log_density, other.log_density])
        order = np.argsort(log_density, kind="stable")[: self.n]
        return Lowest(
            log_density[order], np.concatenate([self.values, other.values])[order], self.n
        )


@dataclass(frozen=True)
class LowestStep:
    """The ``n`` observations with the lowest density under a mixture."""

    mixture: GaussianMixtures
    whole: Whole | None
    n: int

    def __call__(self, rows: Rows) -> Lowest:
        log_density = normalise(joint_of(self.mixture, self.whole, rows))
        if rows.weights is not None:
            log_density = np.where(rows.weights == 0, np.inf, log_density)
        worst = np.argsort(log_density, kind="stable")[: self.n]
        values = rows.values if self.whole is None else rows.values[:, self.whole.columns]
        framed = self.mixture.frame.apply(values[worst])
        return Lowest(log_density[worst], without_gaps(framed), self.n)


def of_common_shape(
    guard: GaussianGuard,
    mixture: GaussianMixtures,
    directions: list[Array],
    degenerate: list[tuple[int, Array]],
) -> list[tuple[int, Array]]:
    """Return what components with a common shape have lost: their volume or part of the shape.

    A component with its own volume loses it if all directions collapse. Along r of D directions
    the common shape collapses if the large components have less than r / D of the data; with a
    common volume, any large component prevents it.
    """
    rows = mixture.weights.mean() * guard.source.total_weight
    sound = np.array(
        [
            lost.shape[1] == 0 and (axes.shape[1] > 0 or rows[k] >= guard.n_distinct_needed)
            for (k, lost), axes in zip(degenerate, directions, strict=True)
        ]
    )
    most_lost = max(lost.shape[1] for _, lost in degenerate) / guard.frame.n_directions
    least = most_lost * rows.sum() if guard.structure.volumes_differ else 0.0
    if not sound.any() or rows[sound].sum() < least:
        return degenerate
    whole = guard.frame.n_directions if guard.structure.volumes_differ else np.inf
    return [(k, axes if axes.shape[1] == whole else axes[:, :0]) for k, axes in degenerate]


def hold(
    guard: GaussianGuard,
    mixture: GaussianMixtures,
    resolution: Array | None,
    degenerate: dict[int, Array],
    memberships: Memberships,
    shared: bool,
) -> Repair:
    """Return the repair that adds the floor to degenerate components along their directions."""
    none = np.zeros((guard.frame.n_directions, 0))
    directions = [degenerate.get(k, none) for k in range(mixture.n_components)]
    events = []
    for k in [0] if shared else degenerate:
        members = memberships.by_component[k]
        who = "the shared covariance of {which}" if shared else "{which}"
        events.append(
            Event(
                "held",
                who + reason(guard, members, degenerate[k].shape[1]),
                components=tuple(range(mixture.n_components)) if shared else (k,),
                rows=members.rows,
                n_rows=members.n_rows,
            )
        )
    held = extended_resolution(guard, resolution, mixture.n_components, directions)
    return Repair(tuple(events), held)


def reason(guard: GaussianGuard, members: Members, n_directions: int) -> str:
    """Return the reason why a component is held, and the remedy."""
    if min(members.distinct_counts) >= guard.n_distinct_needed:
        return (
            " has a numerically singular covariance, because its variances differ by many "
            "orders of magnitude. The smallest were increased: check for outliers, or use more "
            "components"
        )
    what = " collapsed onto {rows} with zero variance in "
    what += "one direction" if n_directions == 1 else f"{n_directions} directions"
    if guard.repair:
        return (
            f"{what}, so the likelihood has no maximum. The variance was set to a small "
            "positive value: use a prior, fewer components or a simpler covariance"
        )
    return (
        f"{what}. The variance was set to a small positive value: use fewer components or a "
        "simpler covariance"
    )


def relocate(
    guard: GaussianGuard,
    assigning: GaussianMixtures,
    start: Mixture[Gaussians],
    collapsed: list[int],
    memberships: Memberships,
    resolution: Array | None,
) -> Repair:
    """Restart collapsed components at the observations with the lowest density.

    The density is that of the mixture ``assigning``, which assigned the observations; ``start`` is
    the mixture with collapsed components widened, of which the others are kept.
    """
    sound = [k for k in range(start.n_components) if k not in collapsed]
    components = start.components
    if sound:
        # An entry-wise average need not be a covariance.
        n_features = guard.frame.n_directions
        spread = guard.structure.algebra.spread(
            components.blocks, start.n_components, n_features
        ).sum(axis=1)
        block = components.blocks[sorted(sound, key=lambda k: spread[k])[len(sound) // 2]]
    else:
        block = guard.structure.blocks.block_of(np.diag(guard.unit * guard.unit))[0]
    probabilities = start.weights.mean().copy()
    step = LowestStep(assigning, guard.whole, len(collapsed))
    lowest = guard.source.reduce(step, start.n_components)
    events = []
    for k, place in zip(collapsed, lowest.values, strict=False):
        components = components.moved(k, place, block)
        probabilities[k] = 1.0 / start.n_components
        events.append(
            Event(
                "relocated",
                "{which} collapsed onto {rows} and was restarted where the density is low",
                components=(k,),
                rows=memberships.by_component[k].rows,
                n_rows=memberships.by_component[k].n_rows,
            )
        )
    moved = replace(
        start,
        components=replace(components, resolution=resolution),  # others stay held
        weights=cast("WeightsAtAPoint", start.weights).proportional(probabilities),
    )
    return Repair(tuple(events), resolution, moved)
