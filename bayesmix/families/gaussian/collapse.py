"""Guard against degenerate Gaussian components: narrow ones with few distinct values.

Degenerate: a variance below a floor (1e-6 in columns of unit scale, or gap²/12 for ties) with fewer
than 5 (D + 1) distinct values along it. Such a component is relocated once (maximum likelihood), or
held by adding the floor to its covariance, which keeps the objective a lower bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

import numpy as np
from scipy.linalg.blas import dnrm2

from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event, Frame, Rows, Summary
from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.numerics.arrays import Array, align
from bayesmix.numerics.gaps import has_gaps, without_gaps
from bayesmix.numerics.logsumexp import normalise

if TYPE_CHECKING:
    from bayesmix.core.components import FittedComponents
    from bayesmix.core.engines import Whole
    from bayesmix.core.priors import WeightsAtAPoint
    from bayesmix.core.sources import Source
    from bayesmix.families.gaussian.point import Gaussians
    from bayesmix.families.gaussian.prior import GaussianPosterior

GaussianMixtures: TypeAlias = "Mixture[Gaussians | GaussianPosterior]"

VARIANCE_FLOOR = 1e-6
# Ratio of floor and variance above which a component is examined at once.
DEEP_UNDER_THE_FLOOR = 1e4
# Tolerance for the rounding of variances held at the floor.
AT_THE_FLOOR = 1.0 + 1e-9
# Ratio of observations and required distinct values above which a component is large.
MANY_ROWS = 5
# Times that a component is held; under a prior its variance may stay below the floor anyway.
HELD_IN_VAIN = 16
# Smaller steps between distinct values, relative to the scale, count as continuous data.
SMALLEST_GAP = 1e-6


def variance_floor(unit: Array, tied: Array) -> Array:
    """Return the smallest variances that data can support, by scale, or gap²/12 for ties."""
    return np.maximum(VARIANCE_FLOOR * unit * unit, tied * tied / 12.0)


def held_before(events: tuple[Event, ...]) -> Counter[int]:
    """Count how often each component was held."""
    return Counter(k for event in events if event.kind == "held" for k in event.components)


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
        return variance_floor(self.unit, tied)

    @cached_property
    def _highest_floor(self) -> float:
        return float(self.floor.max())

    @cached_property
    def resolution(self) -> Array | None:
        if not self.ridge:
            return None
        scale = self.frame.directions(np.ones(self.summary.n_features))
        return self.structure.algebra.of_dense(np.diag(self.ridge * scale * scale))[None]

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
        sound = True
        try:
            root = components.precision_root
            norm = dnrm2(root.ravel())
            if norm * norm * self._highest_floor < 1.0:  # sufficient condition for all blocks
                return None
            tightest = algebra.tightest(root, self.floor)
            tight = tightest > AT_THE_FLOOR
            if np.count_nonzero(tight) == 0:
                return None
            tight &= ~self._surely_many(mixture, len(tightest))
            thorough = thorough or bool((tight & (tightest > DEEP_UNDER_THE_FLOOR)).any())
        except DegenerateFitError:
            sound = False
            tight = np.ones(len(components.blocks), dtype=np.bool_)
        if not tight.any() or (sound and not thorough):
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
        return self._judge(mixture, resolution, events, directions, sound)

    def _surely_many(self, mixture: GaussianMixtures, n_blocks: int) -> Any:
        """Return which components are large where columns have no ties: narrow, but not degenerate.

        Ties along other directions soon make a covariance singular, and are examined then.
        """
        ties = self.summary.gap > SMALLEST_GAP * self.summary.scale
        if ties.any() or self.structure.shared:
            return np.zeros(n_blocks, dtype=np.bool_)
        rows = mixture.weights.mean() * self.source.total_weight
        return rows >= MANY_ROWS * self._needed

    def _judge(
        self,
        mixture: GaussianMixtures,
        resolution: Array | None,
        events: tuple[Event, ...],
        directions: list[Array],
        sound: bool,
    ) -> Repair | None:
        """Decide which narrow components have too few distinct values, and repair them."""
        held = self._extended(resolution, mixture.n_components, directions)
        at_resolution = _at_resolution(mixture.components, self.structure, held)
        shown = Mixture(mixture.weights, at_resolution, mixture.frame, mixture.noise)
        shared = self.structure.shared
        n_worst = mixture.n_components if self.repair and not shared else 0
        # A widened component would take observations of its neighbours.
        looked_at = mixture if sound else shown
        holdings = self.source.reduce(
            HoldingStep(looked_at, directions, self.floor, self._needed, n_worst, self.whole),
            mixture.n_components,
        )
        if shared:
            enough = np.any(
                [
                    [count >= self._needed for count in holding.distinct_counts]
                    for holding in holdings.each
                ],
                axis=0,
            )
            degenerate = [
                (k, axes[:, ~enough]) for k, axes in enumerate(directions) if not enough.all()
            ]
        else:
            degenerate = [
                (k, axes[:, [count < self._needed for count in holding.distinct_counts]])
                for k, (axes, holding) in enumerate(zip(directions, holdings.each, strict=True))
            ]
            if self.structure.common_shape:
                degenerate = self._of_common_shape(mixture, directions, degenerate)
        # An empty component under a prior equals the prior; otherwise it is held once.
        held_already = held_before(events)
        degenerate = [
            (k, axes)
            for k, axes in degenerate
            if axes.shape[1]
            and (shared or holdings.each[k].n_rows or (self.repair and k not in held_already))
            and (self.repair or held_already[k] < HELD_IN_VAIN)
        ]
        if not degenerate:
            if sound:
                return None
            # Large components that overflow the precision of doubles contain a distant outlier.
            degenerate = [(k, axes) for k, axes in enumerate(directions) if axes.shape[1]]
        moved = {k for event in events if event.kind == "relocated" for k in event.components}
        free = [k for k, _ in degenerate if k not in moved]
        if self.repair and free and not shared and mixture.n_components > 1:
            return self._relocate(shown, free, holdings, resolution)
        return self._hold(mixture, resolution, dict(degenerate), holdings, shared)

    def _of_common_shape(
        self,
        mixture: GaussianMixtures,
        directions: list[Array],
        degenerate: list[tuple[int, Array]],
    ) -> list[tuple[int, Array]]:
        """Return what components with a common shape have lost: their volume or part of the shape.

        A component with its own volume loses it if all directions collapse. Along r of D directions
        the common shape collapses if the large components have less than r / D of the data; with a
        common volume, any large component prevents it.
        """
        rows = mixture.weights.mean() * self.source.total_weight
        kept = np.array(
            [
                lost.shape[1] == 0 and (axes.shape[1] > 0 or rows[k] >= self._needed)
                for (k, lost), axes in zip(degenerate, directions, strict=True)
            ]
        )
        most_lost = max(lost.shape[1] for _, lost in degenerate) / self.frame.n_directions
        least = most_lost * rows.sum() if self.structure.own_volume else 0.0
        if not kept.any() or rows[kept].sum() < least:
            return degenerate
        whole = self.frame.n_directions if self.structure.own_volume else np.inf
        return [(k, axes if axes.shape[1] == whole else axes[:, :0]) for k, axes in degenerate]

    @property
    def _needed(self) -> int:
        """Number of distinct values at which a narrow component is legitimate.

        With a common volume a single component that spans a volume bounds the likelihood.
        """
        n_features = self.frame.n_directions
        if self.structure.own_volume or self.structure.shared:
            return 5 * (n_features + 1)
        return n_features + 2

    def _resolution_along(self, axes: Array) -> Array:
        """Return the floor along directions in columns of unit floor, unpooled."""
        scaled = np.sqrt(self.floor)[:, None] * axes
        with np.errstate(over="ignore", invalid="ignore"):
            matrix: Array = scaled @ scaled.T
        if not np.isfinite(matrix).all():
            raise DegenerateFitError(
                "columns differ by so many orders of magnitude that a repair would overflow: "
                "rescale them"
            )
        return self.structure.algebra.of_dense(matrix)

    def _extended(
        self, resolution: Array | None, n_components: int, directions: list[Array]
    ) -> Array:
        """Return the resolution of each component, with further directions held."""
        held = np.stack([self._resolution_along(axes) for axes in directions])
        if resolution is not None:
            held = held + np.broadcast_to(resolution, held.shape)
        return held

    def _hold(
        self,
        mixture: GaussianMixtures,
        resolution: Array | None,
        degenerate: dict[int, Array],
        holdings: Holdings,
        shared: bool,
    ) -> Repair:
        none = np.zeros((self.frame.n_directions, 0))
        directions = [degenerate.get(k, none) for k in range(mixture.n_components)]
        events = []
        for k in [0] if shared else degenerate:
            holding = holdings.each[k]
            who = "the shared covariance of {which}" if shared else "{which}"
            events.append(
                Event(
                    "held",
                    who + self._reason(holding, degenerate[k].shape[1]),
                    components=tuple(range(mixture.n_components)) if shared else (k,),
                    rows=holding.rows,
                    n_rows=holding.n_rows,
                )
            )
        held = self._extended(resolution, mixture.n_components, directions)
        return Repair(tuple(events), held)

    def _reason(self, holding: Holding, n_directions: int) -> str:
        """Return the reason why a component is held, and the remedy."""
        if min(holding.distinct_counts) >= self._needed:
            return (
                " has a numerically singular covariance, because its variances differ by many "
                "orders of magnitude. The smallest were increased: check for outliers, or use more "
                "components"
            )
        what = " collapsed onto {rows} with zero variance in "
        what += "one direction" if n_directions == 1 else f"{n_directions} directions"
        if self.repair:
            return (
                f"{what}, so the likelihood has no maximum. The variance was set to a small "
                "positive value: use a prior, fewer components or a simpler covariance"
            )
        return (
            f"{what}. The variance was set to a small positive value: use fewer components or a "
            "simpler covariance"
        )

    def _relocate(
        self,
        shown: Mixture[Gaussians],
        collapsed: list[int],
        holdings: Holdings,
        resolution: Array | None,
    ) -> Repair:
        """Restart collapsed components at the observations with the lowest density."""
        sound = [k for k in range(shown.n_components) if k not in collapsed]
        components = shown.components
        if sound:
            # An entry-wise average need not be a covariance.
            n_features = self.frame.n_directions
            spread = self.structure.algebra.spread(
                components.blocks, shown.n_components, n_features
            ).sum(axis=1)
            block = components.blocks[sorted(sound, key=lambda k: spread[k])[len(sound) // 2]]
        else:
            block = self.structure.blocks.block_of(np.diag(self.unit * self.unit))[0]
        probabilities = shown.weights.mean().copy()
        events = []
        for k, place in zip(collapsed, holdings.worst.values, strict=False):
            components = components.moved(k, place, block)
            probabilities[k] = 1.0 / shown.n_components
            events.append(
                Event(
                    "relocated",
                    "{which} collapsed onto {rows} and was restarted where the density is low",
                    components=(k,),
                    rows=holdings.each[k].rows,
                    n_rows=holdings.each[k].n_rows,
                )
            )
        moved = replace(
            shown,
            components=replace(components, resolution=resolution),  # others stay held
            weights=cast("WeightsAtAPoint", shown.weights).proportional(probabilities),
        )
        return Repair(tuple(events), resolution, moved)


def _at_resolution(
    components: Gaussians | GaussianPosterior, structure: Structure, resolution: Array
) -> Gaussians:
    """Return point components with the resolution added to their covariances."""
    plain = components.plug_in()
    pooled, per_row = structure.blocks.pool(resolution), np.ones(len(resolution))
    pooled = pooled / align(structure.blocks.counts(per_row, plain.n_features), pooled)
    return replace(plain, blocks=plain.blocks + pooled, resolution=None)


ROWS_NAMED = 20
# Observations examined first, in multiples of the required distinct values.
MOSTLY_ENOUGH = 4
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
class Holdings:
    """Observations of each component, and those of lowest density; additive over chunks."""

    each: tuple[Holding, ...]
    needed: int
    worst: Lowest

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
                for a, b in zip(self.each, other.each, strict=True)
            ),
            self.needed,
            self.worst + other.worst,
        )


@dataclass(frozen=True)
class HoldingStep:
    """Observations of each component (by largest responsibility) along given directions.

    Components without directions are skipped. Includes the ``n_worst`` observations of lowest
    density.
    """

    mixture: Mixture
    directions: list[Array]
    floor: Array
    needed: int
    n_worst: int
    whole: Whole | None = None

    def __call__(self, rows: Rows) -> Holdings:
        labels, log_density = self._described(rows)
        if self.whole is not None:
            rows = replace(rows, values=rows.values[:, self.whole.columns])
        if rows.weights is not None:
            absent = rows.weights == 0
            labels, log_density = labels.copy(), log_density.copy()
            labels[absent], log_density[absent] = -1, np.inf
        worst = np.argsort(log_density, kind="stable")[: self.n_worst]
        return Holdings(
            tuple(
                self._holding(k, axes, rows, np.flatnonzero(labels == k))
                if axes.shape[1]
                else NOTHING
                for k, axes in enumerate(self.directions)
            ),
            self.needed,
            Lowest(
                log_density[worst],
                without_gaps(self.mixture.frame.apply(rows.values[worst])),
                self.n_worst,
            ),
        )

    def _holding(self, k: int, axes: Array, rows: Rows, mine: Any) -> Holding:
        """Return the holding of component k from observations ``mine`` of the chunk."""
        values = self.mixture.frame.apply(rows.values[mine])
        away = (values - self.mixture.components.means[k]) / np.sqrt(self.floor)
        distinct = tuple(self._distinct(away, axis) for axis in axes.T)
        first = tuple(int(row) + rows.first for row in mine[:ROWS_NAMED])
        return Holding(len(mine), first, distinct)

    def _distinct(self, away: Array, axis: Array) -> Array:
        """Return distinct values along a direction, at most as many as needed."""
        if has_gaps(away):
            known = ~np.isnan(away[:, np.abs(axis) > NO_PART]).any(axis=1)
            away = without_gaps(away[known])
        first = away[: MOSTLY_ENOUGH * self.needed]
        distinct = np.unique(np.round(first @ axis, 9))
        if len(distinct) < self.needed and len(first) < len(away):
            distinct = np.unique(np.round(away @ axis, 9))
        return distinct[: self.needed]

    def _described(self, rows: Rows) -> tuple[Any, Array]:
        """Return the most responsible component and the framed log density of each observation."""
        if self.whole is not None:
            joint = self.whole.log_joint(rows.values, self.mixture.components)
        else:
            joint = self.mixture.log_joint(rows)
        return joint.argmax(axis=1), normalise(joint)


C = TypeVar("C", bound="FittedComponents")


@dataclass(frozen=True)
class FloorGuard(Generic[C]):
    """Reports components at the floor and changes nothing.

    ``held`` returns events of a mixture for its degenerate components.
    """

    floor: Array  # (D,)
    held: Callable[[Mixture[C], Array], Sequence[Event]]

    @property
    def resolution(self) -> Array:
        return self.floor[None]

    def among(self, whole: Whole) -> FloorGuard[C]:
        return self

    def examine(
        self,
        mixture: Mixture[C],
        resolution: Array | None,
        events: tuple[Event, ...],
        thorough: bool,
    ) -> Repair | None:
        if not thorough:
            return None
        known = set(held_before(events))
        every = self.held(mixture, self.floor)
        found = [event for event in every if known.isdisjoint(event.components)]
        return Repair(tuple(found), resolution) if found else None
