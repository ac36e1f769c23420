"""How samples were seen; the kernel asks an observation for the log joint of what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesmix.numerics.arrays import Array, Booleans, Indices

if TYPE_CHECKING:
    from bayesmix.core.components import Densities
    from bayesmix.core.families import Family
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.rows import Event, Rows
    from bayesmix.core.sources import Source


class Observation(Protocol):
    """How the samples of a chunk were seen."""

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return E[log π_k] + E[log p(seen_n | θ_k)] (n, K) in the frame of the mixture."""

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return log densities in the frame minus those in data units (n,)."""


class Measurement(Observation, Protocol):
    """An observation that holds data of its own for each sample."""

    def __getitem__(self, rows: Indices | Booleans | slice, /) -> Measurement:
        """Return the measurement of some samples, chosen by slice, mask or indices."""

    def notes(self, family: Family, columns: Sequence[str] | None) -> tuple[Event, ...]:
        """Return events that tell how the samples of a fit were measured."""

    def check(self, family: Family, columns: Sequence[str] | None) -> None:
        """Raise ``InvalidInputError`` for what no value of the family can be."""

    def spans(self, rows: Rows) -> tuple[Array, Array]:
        """Return values (n, D) and ends of error bars (2, n, D) for figures, infinite if open."""

    def undetermined(self, mixture: Mixture[Densities], source: Source) -> tuple[Event, ...]:
        """Return events for components that hold too little for an estimate."""

    def form(self, family: Family, variational: bool, seed: int) -> object:
        """Return the E-step, an ``em.expectation.Form``; raise ``UnsupportedError`` if none."""


@dataclass(frozen=True)
class Complete:
    """Samples with exact values in all columns."""

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        joint: Array = mixture.components.expected_log_density(rows.framed(mixture.frame))
        joint += mixture.log_weights
        return joint

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        return np.full(len(rows), mixture.frame.log_volume) - mixture.frame.log_flat(rows.values)


COMPLETE = Complete()
