"""Posterior modes, prior densities at a point, and the prior of prior="auto"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bayesmix.core.rows import Frame, Summary
from bayesmix.families.gaussian.collapse import pooled_covariance
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.prior import (
    FixedScale,
    NormalWishart,
    log_normaliser,
)
from bayesmix.numerics.arrays import LOG_2PI, Array

if TYPE_CHECKING:
    from bayesmix.core.sources import Source

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


def map_prior(
    structure: Structure, source: Source, summary: Summary, frame: Frame, n_components: int
) -> NormalWishart:
    """Return the fixed prior of ``prior="auto"``, which prevents singular covariances.

    W0⁻¹ = S^½ [(1 - a) R + a I] S^½ / K^(2/D) with squared robust scales S, correlations R and a =
    D / (n + D); β0 = 0.01 (Fraley & Raftery 2007).
    """
    unit = summary.scale / frame.scale
    plain = replace(frame, basis=None, flat=None)
    covariance, _ = pooled_covariance(source, plain, unit)
    deviation = np.sqrt(np.diagonal(covariance))
    deviation = np.where(deviation > 0, deviation, 1.0)
    correlation = covariance / np.outer(deviation, deviation)
    np.fill_diagonal(correlation, 1.0)
    n_features = frame.n_directions
    shrink = n_features / (summary.total_weight + n_features)
    dense = (1.0 - shrink) * correlation + shrink * np.eye(len(unit))
    dense *= np.outer(summary.scale, summary.scale) / n_components ** (2.0 / n_features)
    block = structure.algebra.project(structure.blocks.block_of(dense), frame)
    return _fixed(structure, frame.apply(summary.centre[None])[0], block)


def fixed_prior(
    structure: Structure, mean: Array, covariance: Array, n_components: int
) -> NormalWishart:
    """Return such a prior for data (n, D) of this mean and covariance."""
    dense = covariance / n_components ** (2.0 / len(mean))
    return _fixed(structure, mean, structure.blocks.block_of(dense))


def _fixed(structure: Structure, mean: Array, block: Array) -> NormalWishart:
    return NormalWishart(
        structure,
        mean=mean,
        mean_precision=0.01,
        degrees_of_freedom=float(structure.algebra.block_dimension(len(mean)) + 2),
        scale=FixedScale(structure.algebra, block),
    )


class PriorAtAPoint:
    """Methods of ``NormalWishart`` for maximum a posteriori fits."""

    def mode(
        self: Any,
        statistics: Moments,
        previous: Gaussians | None = None,
        resolution: Array | None = None,
    ) -> Gaussians:
        """Return the joint mode in (μ, Σ) (Fraley & Raftery 2007).

        Unconstrained blocks are W⁻¹ / (ν + p + 1 + means per block); see ``mode_rows``
        for mclust's counts.
        """
        means, _, precisions = self.parameters_given(
            statistics, self.scale.initial(), self.mean_precision, resolution
        )
        rows = mode_rows(self.structure, self.degrees_of_freedom, *means.shape)
        counts = precisions.degrees_of_freedom + rows
        earlier = None if previous is None else previous.blocks
        blocks = self.structure.estimate(precisions.scale_inverse, counts, earlier)
        return Gaussians(self.structure, means, blocks, resolution)

    def log_density(self: Any, components: Gaussians) -> float:
        """Return log p(μ, Σ), inverse-Wishart times normal.

        Constrained blocks lack the normalising constant.
        """
        algebra = self.structure.algebra
        n_components, n_features = components.means.shape
        p = algebra.block_dimension(n_features)
        root = components.precision_root
        log_det = algebra.log_det(root)
        scale: Any = self.scale.initial()
        nu0 = self.degrees_of_freedom
        rows = mode_rows(self.structure, nu0, n_components, n_features)
        added_rows = rows - self.structure.blocks.means_per_block(n_components, n_features)
        wisharts = (
            log_normaliser(nu0, scale.expected_log_det, p)
            + 0.5 * (nu0 + added_rows) * log_det
            - 0.5 * algebra.trace(scale.mean, root)
        )
        normals = 0.5 * (
            n_features * (np.log(self.mean_precision) - LOG_2PI)
            + algebra.per_component(log_det, n_components, n_features)
        ) - 0.5 * self.mean_precision * algebra.lengths(components.means - self.mean, root)
        return float(wisharts.sum() + normals.sum())
