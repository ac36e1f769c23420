"""Gaussian mixtures that each share a covariance, side by side as one mixture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bayesmix.families.gaussian.covariance.models import NAMED, Structure
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.numerics.arrays import Array, align


@dataclass(frozen=True)
class SideBySide(Gaussian):
    """Components of ``n_mixtures`` mixtures with shared covariances, component 0 of each first."""

    n_mixtures: int = 1

    def side_by_side(self, n_mixtures: int) -> SideBySide:
        return replace(self, n_mixtures=n_mixtures)

    @property
    def structure(self) -> Structure:
        """Covariances of all components, which each mixture shares."""
        shared = NAMED[self.covariance]
        blocks = replace(shared.blocks, shared=False)
        return Structure(shared.name, shared.letters, blocks, SharedWithin(self.n_mixtures))


@dataclass(frozen=True)
class SharedWithin:
    """Estimate of the covariance that the components of each of several mixtures share."""

    n_mixtures: int

    def __call__(self, scatter: Array, counts: Array, previous: Array | None) -> Array:
        sums, totals = (
            values.reshape(-1, self.n_mixtures, *values.shape[1:]).sum(axis=0)
            for values in (scatter, counts)
        )
        K = len(scatter) // self.n_mixtures
        shared = sums / align(totals, sums)
        return np.tile(shared, (K, *[1] * (shared.ndim - 1)))
