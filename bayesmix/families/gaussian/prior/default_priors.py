"""The priors of a Gaussian mixture where none is given (DESIGN section 4)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bayesmix.families.gaussian.collapse.flat_directions import pooled_covariance
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.prior.normal_wishart import NormalWishart
from bayesmix.families.gaussian.prior.wishart_scale import FixedScale, LearnedScale, Wishart
from bayesmix.protocols import Source
from bayesmix.records import Frame, Summary

# A first guess of how much smaller a component is than the whole, as a share of its variance.
SHARE_OF_VARIANCE = 0.1


def reference_prior(structure: Structure, summary: Summary, frame: Frame) -> NormalWishart:
    """The learned prior of DESIGN section 4, in the frame; refused where none is conjugate.

    m0 the medians, ν0 = D + 2 (dense) or 3 (axes), so that a variance has the same marginal in
    every structure; S ~ Wishart with mean 0.1^(1/D) scale² and D degrees of freedom; β0 is
    learned, up to 1.
    """
    n_features = frame.n_directions
    whole = structure.conjugate().block_of(np.diag(summary.scale * summary.scale))
    expected = SHARE_OF_VARIANCE ** (1.0 / n_features) * structure.algebra.project(whole, frame)
    algebra = structure.algebra
    dimension = algebra.block_dimension(n_features)
    inverse = algebra.gram(algebra.root(expected))
    freedom = float(n_features)
    shape = (1,) if inverse.ndim == 3 else inverse.shape
    scale = LearnedScale(Wishart(algebra, np.full(shape, freedom), freedom * inverse))
    return NormalWishart(
        structure,
        mean=frame.apply(summary.centre[None])[0],
        mean_precision=0.1,
        degrees_of_freedom=float(dimension + 2),
        scale=scale,
        learns_mean_precision=True,
    )


def map_prior(
    structure: Structure, source: Source, summary: Summary, frame: Frame, n_components: int
) -> NormalWishart:
    """The fixed prior of ``prior="auto"`` (DESIGN section 4, MAP): never singular.

    W0⁻¹ = S^½ [(1 - a) R + a I] S^½ / K^(2/D) with S the squared robust scales, R the
    correlation of the rows and a = D / (n + D); β0 = 0.01 (Fraley & Raftery 2007).
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
    return NormalWishart(
        structure,
        mean=frame.apply(summary.centre[None])[0],
        mean_precision=0.01,
        degrees_of_freedom=float(structure.algebra.block_dimension(n_features) + 2),
        scale=FixedScale(structure.algebra, block),
    )
