"""Wishart factors in blocks, and the fixed or learned scale of the prior.

Λ_k ~ Wishart(S⁻¹, ν0). A learned scale S ~ Wishart(V, g) has a conjugate factor in q (Richardson &
Green 1997; Huang & Wand 2013). Diagonals are Gamma(ν/2, rate = scale_inverse/2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core import lazy
from bayesmix.families.gaussian.covariance.models import Algebra
from bayesmix.numerics.arrays import LOG_2, Array, align
from bayesmix.numerics.memo import once, record
from bayesmix.numerics.special import multivariate_gammaln, multivariate_gammas

if TYPE_CHECKING:
    from bayesmix.families.gaussian.wishart_draws import (
        FixedScaleOfDraws,
        LearnedScaleOfDraws,
        WishartDraws,
    )
else:
    FixedScaleOfDraws = lazy.methods(
        "bayesmix.families.gaussian.wishart_draws:FixedScaleOfDraws",
        "draw given log_density_of",
    )
    LearnedScaleOfDraws = lazy.methods(
        "bayesmix.families.gaussian.wishart_draws:LearnedScaleOfDraws",
        "given log_density_of",
    )
    WishartDraws = lazy.methods(
        "bayesmix.families.gaussian.wishart_draws:WishartDraws",
        "draw log_densities",
    )


@record
@dataclass(frozen=True)
class Wishart(WishartDraws):
    """Wishart(W, ν) by block: ``degrees_of_freedom`` of block shape, W⁻¹ in blocks."""

    algebra: Algebra
    degrees_of_freedom: Array
    scale_inverse: Array

    @once
    def root(self) -> Array:
        """Root U of W = U Uᵀ."""
        return self.algebra.root(self.scale_inverse)

    @property
    def dimension(self) -> int:
        """Dimension p of the matrices."""
        return self.algebra.block_dimension(self.scale_inverse.shape[-1])

    @once
    def expected_log_det(self) -> Array:
        """E[log |Λ|] (Bishop 2006, eq. B.81)."""
        return self.of_freedom[0] + self.algebra.log_det(self.root)

    @once
    def total_log_det(self) -> float:
        """Σ E[log |Λ|] over blocks."""
        return float(np.add.reduce(self.expected_log_det, axis=None))

    @once
    def of_freedom(self) -> tuple[Array, float]:
        """ψ_p(ν/2) + p log 2 by block, and Σ ν/2 (ψ_p(ν/2) - p) - log Γ_p(ν/2)."""
        half, p = 0.5 * self.degrees_of_freedom, self.dimension
        digammas, log_gammas = multivariate_gammas(half, p)
        return digammas + p * LOG_2, float(np.vdot(half, digammas - p) - log_gammas)

    @once
    def mean_root(self) -> Array:
        """Root U of E[Λ] = ν W = U Uᵀ."""
        return np.sqrt(align(self.degrees_of_freedom, self.root)) * self.root

    @once
    def mean(self) -> Array:
        """E[Λ] = ν W (Bishop 2006, eq. B.80)."""
        return self.algebra.gram(self.mean_root)

    @property
    def mean_inverse(self) -> Array:
        """E[Λ]⁻¹ = W⁻¹ / ν."""
        return self.scale_inverse / align(self.degrees_of_freedom, self.scale_inverse)

    @once
    def log_normaliser(self) -> Array:
        """Log B(W, ν) (Bishop 2006, eq. B.79)."""
        log_det = -self.algebra.log_det(self.root)
        return log_normaliser(self.degrees_of_freedom, log_det, self.dimension)

    def kl_to(self, nu0: float, prior_normaliser: float, scale: Wishart | FixedScale) -> float:
        """Return E_q(S)[KL(q(Λ) || Wishart(S⁻¹, ν0))] over blocks, given Σ E[log B(S⁻¹, ν0)].

        The log determinant of log B(W, ν) cancels that of ν/2 E[log |Λ|].
        """
        leaning = nu0 * self.total_log_det
        return self.of_freedom[1] - prior_normaliser + 0.5 * (scale.trace_with(self) - leaning)

    def trace_with(self, precisions: Wishart) -> float:
        """Return Σ tr(E[S] E[Λ]) from the roots of both, which avoids cancellation."""
        product = self.algebra.product(self.mean_root, precisions.mean_root)
        return float(np.vdot(product, product))


def log_normaliser(degrees_of_freedom: Any, log_det_scale_inverse: Array, p: int) -> Array:
    """Return log B = ν/2 log |W⁻¹| - ν p/2 log 2 - log Γ_p(ν/2)."""
    half = 0.5 * degrees_of_freedom
    return half * (log_det_scale_inverse - p * LOG_2) - multivariate_gammaln(half, p)


@dataclass(frozen=True)
class FixedScale(FixedScaleOfDraws):
    """Fixed scale: ``mean`` is W0⁻¹ as a block."""

    algebra: Algebra
    mean: Array

    @once
    def expected_log_det(self) -> Array:
        """Log |W0⁻¹|."""
        return -self.algebra.log_det(self.algebra.root(self.mean))

    @once
    def total_log_det(self) -> float:
        """Σ log |W0⁻¹| over blocks."""
        return float(np.add.reduce(self.expected_log_det, axis=None))

    def trace_with(self, precisions: Wishart) -> float:
        """Return Σ tr(W0⁻¹ E[Λ])."""
        return float(np.add.reduce(self.mean * precisions.mean, axis=None))

    def initial(self) -> FixedScale:
        return self

    def relearned(self, factor: FixedScale, nu0: float, precisions: Wishart) -> FixedScale:
        return factor

    def kl(self, factor: FixedScale) -> float:
        return 0.0

    learned = False


@dataclass(frozen=True)
class LearnedScale(LearnedScaleOfDraws):
    """Learned scale S ~ Wishart(V, g), shared by all components, with a Wishart posterior.

    All blocks have the same g.
    """

    prior: Wishart

    def initial(self) -> Wishart:
        """Return the prior, the start of coordinate ascent."""
        return self.prior

    def relearned(self, factor: Wishart, nu0: float, precisions: Wishart) -> Wishart:
        """Return q(S), Wishart with g + B ν0 degrees of freedom and V⁻¹ + Σ_b E[Λ_b].

        Terms of the degrees of freedom are taken from the last ``factor``, if it has as many.
        """
        prior, n_blocks = self.prior, len(precisions.scale_inverse)
        freedom = prior.degrees_of_freedom + n_blocks * nu0
        total = np.add.reduce(precisions.mean, axis=0, keepdims=True)
        learned = Wishart(prior.algebra, freedom, prior.scale_inverse + total)
        if freedom.item(0) == factor.degrees_of_freedom.item(0):
            Wishart.of_freedom.given(learned, factor.of_freedom)
        return learned

    def kl(self, factor: Wishart) -> float:
        freedom = self.prior.degrees_of_freedom.item(0)
        return factor.kl_to(freedom, self._normaliser, self._known)

    @once
    def _normaliser(self) -> float:
        return float(self.prior.log_normaliser.sum())

    @once
    def _known(self) -> FixedScale:
        return FixedScale(self.prior.algebra, self.prior.scale_inverse)

    learned = True
