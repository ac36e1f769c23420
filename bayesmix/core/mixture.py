"""Mixtures, and the sums of an E-step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Generic, cast

import numpy as np

from bayesmix.core.group_counts import GroupCounts
from bayesmix.core.missing_cells import frame_of_columns
from bayesmix.core.rows import LOWEST_LOG, AddedByField, Allocated, Event, Frame, Rows
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from bayesmix.core.components import (
        Additive,
        Components,
        Densities,
        FittedComponents,
        Incomplete,
        Linear,
        Predictive,
        Statistics,
    )
    from bayesmix.core.priors import AllocationSums, Weights
    from bayesmix.core.protocols import MixtureNoise

    C = TypeVar("C", bound=Densities, default=FittedComponents, covariant=True)
    W = TypeVar("W", bound=Weights, default=Weights, covariant=True)
    M = TypeVar("M", bound="Mixture[Components, Weights]")
else:
    from typing import TypeVar

    C, W = TypeVar("C"), TypeVar("W")


@singledispatch
def halfway(part: Any, other: Any) -> Any:
    """Return ``other`` with an inexact step from ``part`` shortened; exact ones are unchanged."""
    return other


@dataclass(frozen=True)
class Mixture(Generic[C, W]):
    """Allocation and components in a frame."""

    weights: W
    components: C
    frame: Frame
    noise: MixtureNoise | None = None

    @property
    def n_components(self) -> int:
        return int(self.components.n_components)

    def subset(self: M, keep: Integers, counts: Array) -> M:
        return replace(
            self,
            weights=self.weights.subset(keep, counts[keep]),
            components=self.components.subset(keep),
        )

    def halfway_to(self: M, other: M) -> M | None:
        """Return ``other`` with its inexact steps from here shortened, or None if it has none."""
        weights = halfway(self.weights, other.weights)
        components = halfway(self.components, other.components)
        if weights is other.weights and components is other.components:
            return None
        return replace(other, weights=weights, components=components)

    def marginal(self, columns: Integers) -> Mixture[Any]:
        self.refuse_noise()
        frame, places = frame_of_columns(self.frame, columns)
        return Mixture(self.weights, cast("Incomplete", self.components).seen_in(places), frame)

    def refuse_noise(self) -> None:
        """Raise ``UnsupportedError`` for noise, which has no density of some columns."""
        if self.noise is not None:
            raise UnsupportedError(
                "a mixture with noise has no marginal density: drop samples with missing values, "
                "or set noise=None"
            )

    @property
    def patterned(self) -> Booleans:
        """Columns (D,) whose patterns of missing values are treated one by one.

        They are dependent, or scaled by the frame, so that the units of the density change; all
        columns if framed directions mix them.
        """
        if self.frame.basis is not None:
            return np.ones(len(self.frame.centre), dtype=bool)
        return cast("Incomplete", self.components).patterned | (self.frame.scale != 1.0)

    def log_joint(self, rows: Rows) -> Array:
        """Return E[log π_k] + E[log p(x_n | θ_k)] (n, K) of what was seen, in the frame."""
        return rows.observation.log_joint(self, rows)

    def drawn(self: Mixture[Predictive], counts: Integers, generator: np.random.Generator) -> Array:
        """Draw counts_k observations (n, D) of each component in data units, in their order."""
        values: Array = self.frame.undo(self.components.draw(counts, generator))
        return values + self.frame.drawn_rest(len(values), generator)

    @property
    def log_weights(self) -> Array:
        """E[log (1 - ε) π_k] (K,), where ε is the weight of the noise."""
        logs: Array = self.weights.expected_log()
        return logs if self.noise is None else logs + self.noise.log_rest

    @property
    def mean_weights(self) -> Array:
        """E[(1 - ε) π_k] (K,)."""
        shares: Array = self.weights.mean()
        return shares if self.noise is None else shares * (1.0 - self.noise.weight)

    def responsibilities(self, rows: Rows) -> tuple[Array, Array]:
        """Return responsibilities (n, K) and log normaliser (n,), in the frame.

        Noise, if any, is the last column of (n, K + 1).
        """
        joint = self.log_joint(rows)
        log_normaliser = self.weights.allocate(joint, rows).log_normaliser
        if self.noise is None:
            return joint, log_normaliser
        log_volume = self._log_volume_of_noise(rows)
        total, share = self.noise.joined(joint, log_normaliser, rows.values, log_volume)
        return np.column_stack([joint, share]), total

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        allocated = self.weights.allocate(joint, rows)
        if self.noise is None:
            return allocated
        volume = self._log_volume_of_noise(rows)
        total, _ = self.noise.joined(joint, allocated.log_normaliser, rows.values, volume)
        return replace(allocated, log_normaliser=total)

    def _log_volume_of_noise(self, rows: Rows) -> Array | float:
        """Return what turns densities in data units into those of components in the frame."""
        log_volume = self.frame.log_volume
        if self.frame.rest is None:
            return log_volume
        return log_volume - self.frame.log_off_plane(rows.values)

    @property
    def linear(self: Mixture[Components]) -> Linear:
        return self.components.linear  # type: ignore[attr-defined]

    @once
    def finite_log_weights(self) -> Array:
        """E[log π_k] (K,), finite."""
        return np.maximum(self.log_weights, LOWEST_LOG)

    @once
    def coefficients(self: Mixture[Components]) -> Array:
        """Coefficients Θ (K, F) with Θ φ(x) = E[log π_k] + E[log p(x | θ_k)]."""
        coefficients: Array = self.linear.coefficients.copy()
        coefficients[:, 0] += self.finite_log_weights
        return coefficients

    def expected_log_joint(self: Mixture[Components], statistics: Statistics) -> float:
        """Return <S, Θ> = Σ_k Σ_n w r (E[log π_k] + E[log p(x_n | θ_k)]) without constants."""
        of_rows = self.linear.expected_log_likelihood(statistics)
        return of_rows + float(statistics.counts @ self.finite_log_weights)


@dataclass(frozen=True)
class FeatureSums(AddedByField):
    """Sums Σ w r φ (K, F) of a linear form, converted to statistics at the end of a pass."""

    form: Linear
    sums: Array
    same = ("form",)

    @property
    def counts(self) -> Array:
        return self.sums[:, 0]


def finished(statistics: Additive) -> Statistics:
    """Return statistics, converted from sums of features if need be."""
    if isinstance(statistics, FeatureSums):
        return statistics.form.from_sums(statistics.sums)
    return cast("Statistics", statistics)


@dataclass(frozen=True)
class Expectation:
    """Sums of an E-step, the input of an M-step."""

    log_normaliser: float  # Σ w l, in the frame
    magnitude: float  # Σ w (1 + |l|), the scale of rounding errors
    counts: Array  # (K,) Σ w r
    statistics: Statistics
    allocation: AllocationSums | None = None

    @property
    def of_allocation(self) -> Any:
        """Statistics of the allocation: counts (K,) of samples or groups for mixing weights."""
        if self.allocation is None:
            return self.counts
        sums = self.allocation
        return sums.counts if isinstance(sums, GroupCounts) else sums

    def pack(self) -> Array:
        packed = self.statistics.pack()
        return packed if self.allocation is None else np.append(packed, self.allocation.pack())

    def units(self) -> Array:
        units: Array = np.asarray(self.statistics.units())
        if self.allocation is None:
            return units
        units = np.broadcast_to(units, self.statistics.pack().shape)
        return np.append(units, self.allocation.units())

    def unpacked(self, vector: Array) -> Expectation:
        """Return the expectation whose statistics pack to ``vector``."""
        size = len(self.statistics.pack()) if self.allocation else len(vector)
        statistics = self.statistics.unpack(vector[:size])
        allocation = self.allocation and self.allocation.unpack(vector[size:])
        return replace(self, counts=statistics.counts, statistics=statistics, allocation=allocation)


@dataclass(frozen=True)
class ChunkSums:
    """Sums over chunks, which become an ``Expectation``."""

    log_normaliser: float
    magnitude: float
    statistics: Additive
    allocation: AllocationSums | None = None

    @property
    def counts(self) -> Array:
        return self.statistics.counts

    def __add__(self, other: ChunkSums) -> ChunkSums:
        return ChunkSums(
            self.log_normaliser + other.log_normaliser,
            self.magnitude + other.magnitude,
            self.statistics + other.statistics,
            self.allocation + other.allocation if self.allocation and other.allocation else None,
        )

    def finished(self) -> Expectation:
        """Return the expectation of the completed sums."""
        statistics = finished(self.statistics)
        return Expectation(
            self.log_normaliser, self.magnitude, statistics.counts, statistics, self.allocation
        )


@dataclass(frozen=True)
class Repair:
    """Repair of a guard: a new resolution, or another mixture."""

    events: tuple[Event, ...]
    resolution: Array | None
    mixture: Mixture | None = None
