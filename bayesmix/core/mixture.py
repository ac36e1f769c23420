"""L1: mixtures, and what passes over rows make of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, cast

import numpy as np

from bayesmix.core.noise import Noise
from bayesmix.core.rows import LOWEST_LOG, Allocated, AllocationSums, Event, Frame, Rows
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.gaps import has_gaps, patterns
from bayesmix.numerics.memo import filled_at_once, once

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    from bayesmix.core.components import (
        Additive,
        Components,
        Densities,
        FittedComponents,
        Incomplete,
        Linear,
        LinearComponents,
        Statistics,
    )
    from bayesmix.core.priors import Weights

    # What a fit works on, unless something else is said.
    C = TypeVar("C", bound=Densities, default=FittedComponents, covariant=True)
    W = TypeVar("W", bound=Weights, default=Weights, covariant=True)
    M = TypeVar("M", bound="Mixture[Components, Weights]")
else:
    from typing import TypeVar

    C, W = TypeVar("C"), TypeVar("W")


@filled_at_once
@dataclass(frozen=True)
class Mixture(Generic[C, W]):
    """Weights and components, in a frame: all that the E-step needs."""

    weights: W
    components: C
    frame: Frame
    noise: Noise | None = None

    @property
    def n_components(self) -> int:
        return int(self.components.n_components)

    def subset(self: M, keep: Integers, counts: Array) -> M:
        """The mixture of some components, in the order given."""
        return replace(
            self,
            weights=self.weights.subset(keep, counts[keep]),
            components=self.components.subset(keep),
        )

    def marginal(self, columns: Integers) -> Mixture[Any]:
        """As rows see it that have only these columns."""
        if self.noise is not None:
            raise UnsupportedError(
                "noise beside a mixture has no density of some columns alone: leave out rows with "
                "missing values, or fit without noise"
            )
        frame, places = self.frame.of_columns(columns)
        return Mixture(self.weights, cast("Incomplete", self.components).seen_in(places), frame)

    @property
    def patterned(self) -> Booleans:
        """The columns (D,) of which rows are looked at by patterns of gaps.

        All of them where framed rows have no columns.
        """
        if self.frame.basis is not None:
            return np.ones(len(self.frame.centre), dtype=bool)
        return cast("Incomplete", self.components).patterned

    def log_joint(self, values: Array) -> Array:
        """E[log π_k] + E[log p(x | θ_k)] (n, K) of framed rows, centred form.

        Of a row with gaps: log ∫ exp(.) over what it does not have.
        """
        joint: Array
        if has_gaps(values):
            components = cast("Incomplete", self.components)
            joint = np.empty((len(values), self.n_components))
            for columns, rows in patterns(values, components.patterned):
                seen = components.seen_in(columns)
                joint[rows] = seen.expected_log_density(values[np.ix_(rows, columns)])
        else:
            joint = self.components.expected_log_density(values)
        joint += self.log_weights
        return joint

    @property
    def log_weights(self) -> Array:
        """E[log (1 - ε) π_k] (K,): ε is the weight of the noise."""
        logs: Array = self.weights.expected_log()
        return logs if self.noise is None else logs + self.noise.log_rest

    @property
    def mean_weights(self) -> Array:
        """E[(1 - ε) π_k] (K,)."""
        shares: Array = self.weights.mean()
        return shares if self.noise is None else shares * (1.0 - self.noise.weight)

    def responsibilities(self, values: Array, rows: Rows | None = None) -> tuple[Array, Array]:
        """Responsibilities (n, K) and log normaliser (n,) of framed rows.

        (n, K + 1) with noise, which is last. ``rows`` are the same as stored, with what is known of
        them; without, they are rows of which nothing is known.
        """
        joint = self.log_joint(values)
        stored = rows or Rows(values if self.noise is None else self.frame.undo(values))
        log_normaliser = self.weights.allocate(joint, stored).log_normaliser
        if self.noise is None:
            return joint, log_normaliser
        return self.with_noise(joint, log_normaliser, stored.values)

    def allocate(self, joint: Array, rows: Rows) -> Allocated:
        """Turn log joints (n, K) of rows into responsibilities in place; every E-step does so.

        Noise takes its share of each row.
        """
        allocated = self.weights.allocate(joint, rows)
        if self.noise is None:
            return allocated
        volume = self.frame.log_volume
        total, _ = self.noise.joined(joint, allocated.log_normaliser, rows.values, volume)
        return replace(allocated, log_normaliser=total)

    def with_noise(
        self, shares: Array, log_normaliser: Array, values: Array
    ) -> tuple[Array, Array]:
        """The same (n, K + 1) and (n,) of rows in data units, from those of the components."""
        assert self.noise is not None
        log_volume = self.frame.log_volume
        total, own = self.noise.joined(shares, log_normaliser, values, log_volume)
        return np.column_stack([shares, own]), total

    @property
    def linear(self: Mixture[Components]) -> Linear:
        """Linear forms of the components, of families that have them."""
        return cast("LinearComponents", self.components).linear

    @once
    def finite_log_weights(self) -> Array:
        """E[log π_k] (K,)."""
        logs: Array = np.maximum(self.log_weights, LOWEST_LOG)
        return logs

    @once
    def coefficients(self: Mixture[Components]) -> Array:
        """Θ (K, F) with Θ φ(x) = E[log π_k] + E[log p(x | θ_k)]."""
        coefficients: Array = self.linear.coefficients.copy()
        coefficients[:, 0] += self.finite_log_weights
        return coefficients


@filled_at_once
@dataclass(frozen=True)
class FeatureSums:
    """Σ w r φ (K, F) of a linear form: added up as they are, statistics are made of the total."""

    form: Linear
    sums: Array

    @property
    def counts(self) -> Array:
        """Σ w r (K,): the first feature is 1."""
        return self.sums[:, 0]

    def __add__(self, other: FeatureSums) -> FeatureSums:
        return FeatureSums(self.form, self.sums + other.sums)


def finished(statistics: Additive) -> Statistics:
    """The statistics, made of sums of features where that is what they are so far."""
    if isinstance(statistics, FeatureSums):
        return statistics.form.from_sums(statistics.sums)
    return cast("Statistics", statistics)


@filled_at_once
@dataclass(frozen=True)
class Expectation:
    """The sums of one E-step: all that an update may see."""

    log_normaliser: float  # Σ w l, framed
    magnitude: float  # Σ w (1 + |l|): the unit of rounding
    counts: Array  # (K,) Σ w r
    statistics: Statistics
    allocation: AllocationSums | None = None

    @property
    def of_allocation(self) -> Any:
        """What an update of the allocation reads: its own statistics, or the counts (K,)."""
        return self.counts if self.allocation is None else self.allocation

    def pack(self) -> Array:
        """All statistics in one vector: what acceleration extrapolates."""
        packed = self.statistics.pack()
        return packed if self.allocation is None else np.append(packed, self.allocation.pack())

    def units(self) -> Array:
        """Scales of the entries of ``pack``."""
        units: Array = np.asarray(self.statistics.units())
        if self.allocation is None:
            return units
        return np.append(units, np.full(len(self.allocation.pack()), 1.0 / self.counts.sum()))

    def unpacked(self, vector: Array) -> Expectation:
        """The expectation whose statistics pack to ``vector``."""
        size = len(self.statistics.pack()) if self.allocation else len(vector)
        statistics = self.statistics.unpack(vector[:size])
        allocation = self.allocation and self.allocation.unpack(vector[size:])
        return replace(self, counts=statistics.counts, statistics=statistics, allocation=allocation)


@filled_at_once
@dataclass(frozen=True)
class ChunkSums:
    """What a pass adds up over chunks, and an ``Expectation`` in the end."""

    log_normaliser: float
    magnitude: float
    statistics: Additive
    allocation: AllocationSums | None = None

    @property
    def counts(self) -> Array:
        """Σ w r (K,)."""
        return self.statistics.counts

    def __add__(self, other: ChunkSums) -> ChunkSums:
        return ChunkSums(
            self.log_normaliser + other.log_normaliser,
            self.magnitude + other.magnitude,
            self.statistics + other.statistics,
            self.allocation + other.allocation if self.allocation and other.allocation else None,
        )

    def finished(self) -> Expectation:
        """With the statistics that an update reads."""
        statistics = finished(self.statistics)
        return Expectation(
            self.log_normaliser, self.magnitude, statistics.counts, statistics, self.allocation
        )


@dataclass(frozen=True)
class Repair:
    """What a guard asks for: an update at another resolution, or another mixture altogether."""

    events: tuple[Event, ...]
    resolution: Array | None
    mixture: Mixture | None = None
