"""Observations that a prior counts for at its mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bayesmix.families.gaussian.covariance.models import Structure

# Number of observations that a prior with ν0 counts for at its mode, per component, for K
# components and D columns, as in mclust's MAP.
PriorRows: TypeAlias = Callable[[float, int, int], float]

MCLUSTS: dict[str, PriorRows] = {
    "VEI": lambda nu, K, D: (nu + 3.0) / D,
    "EVI": lambda nu, K, D: (nu + 2.0) / K,
    "EEV": lambda nu, K, D: (nu + D + 2.0) / K,
    # Practically none; just enough to give an empty component a covariance.
    "VEV": lambda nu, K, D: 1e-9,
}


def mode_rows(
    structure: Structure, degrees_of_freedom: float, n_components: int, n_features: int
) -> float:
    """Return the term added to ν0 + n_k of each block at the joint mode."""
    if structure.letters in MCLUSTS:
        rows = MCLUSTS[structure.letters](degrees_of_freedom, n_components, n_features)
        return rows - degrees_of_freedom
    leaning = structure.blocks.means_per_block(n_components, n_features)
    return structure.algebra.block_dimension(n_features) + 1.0 + leaning
