"""Posterior modes, prior densities at a point, and the prior of prior="auto"."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.core.rows import Frame, Summary
from bayesmix.families.gaussian.collapse import pooled_covariance
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.prior import (
    FixedScale,
    NormalWishart,
)
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


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
