"""Entropy of the assignment of rows to clusters of components, and what merging takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr

from bayesmix.engine.expectation import sum_of_blocks
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.logsumexp import normalise
from bayesmix.records import Mixture, Rows


def membership(groups: Any, n_components: int) -> Array:
    """Components (K) by clusters (C): 1 where a component belongs to a cluster."""
    members = np.zeros((n_components, len(groups)))
    for cluster, group in enumerate(groups):
        members[list(group), cluster] = 1.0
    return members


@dataclass(frozen=True)
class Overlap:
    """Sums over rows: entropy, expected rows of every cluster (C,), gains of merges (new, C)."""

    entropy: float
    sizes: Array
    gains: Array

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(
            self.entropy + other.entropy, self.sizes + other.sizes, self.gains + other.gains
        )


@dataclass(frozen=True)
class OverlapStep:
    """Rows to the entropy of their assignment, and to what merging would take from it.

    Gains are those of the clusters ``newest`` with all; those of other pairs are known from before.
    """

    density: Mixture
    members: Array  # (K, C)
    newest: tuple[int, ...]

    def __call__(self, rows: Rows) -> Overlap:
        return sum_of_blocks(rows, self.density.n_components, self._block)

    def _block(self, rows: Rows) -> Overlap:
        joint = self.density.log_joint(self.density.frame.apply(rows.values))
        normalise(joint)
        shares = joint @ self.members
        weights = rows.weights_or_ones
        apart = weights @ entr(shares)
        gains = np.empty((len(self.newest), shares.shape[1]))
        for place, cluster in enumerate(self.newest):
            together = weights @ entr(shares + shares[:, [cluster]])
            gains[place] = apart + apart[cluster] - together
        return Overlap(float(apart.sum()), weights @ shares, gains)
