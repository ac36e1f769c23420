"""How samples were seen; the kernel asks an observation for the log joint of what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.components import Densities
    from bayesmix.core.mixture import Mixture
    from bayesmix.core.rows import Rows


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
        return np.full(len(rows), mixture.frame.log_volume) - mixture.frame.log_flat(rows.values)


COMPLETE = Complete()
