"""Draws of Wishart blocks and of their scale, and log densities of draws."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.prior import FixedScale, Wishart, log_normaliser
from bayesmix.numerics.arrays import Array


class WishartDraws:
    """Methods of ``Wishart`` for draws."""

    def draw(self: Any, n_draws: int, generator: np.random.Generator) -> Array:
        """Return roots (S, B, ...) of S draws of each block: Λ = U Uᵀ."""
        from bayesmix.families.gaussian.covariance.drawing_roots import draw_roots

        return draw_roots(self.algebra, self.root, self.degrees_of_freedom, n_draws, generator)

    def log_densities(self: Any, roots: Array) -> Array:
        """Return log densities (S, J, B) of drawn blocks under factors j (Bishop 2006, B.78).

        The density is over the p (p + 1) / 2 elements of Λ, summed over the columns of a block.
        """
        n_draws, n_blocks = roots.shape[:2]
        flat = roots.reshape(n_draws * n_blocks, *roots.shape[2:])
        log_det = self.algebra.log_det(flat)
        leaning = 0.5 * (self.degrees_of_freedom - self.dimension - 1.0)
        factors = self.algebra.factor(self.scale_inverse)
        densities = np.empty((len(factors), n_draws, n_blocks))
        for j, density in enumerate(densities):
            blocks = self.log_normaliser[j] + leaning[j] * log_det
            blocks -= 0.5 * self.algebra.inner(factors[j : j + 1], flat)
            density[:] = blocks.reshape(n_draws, n_blocks, -1).sum(axis=2)
        return densities.transpose(1, 0, 2)


class FixedScaleOfDraws:
    """Methods of ``FixedScale`` for draws."""

    def draw(self: Any, n_draws: int, generator: np.random.Generator) -> Array:
        root = self.algebra.factor(self.mean)
        return np.broadcast_to(root, (n_draws, *root.shape))

    def given(self: Any, roots: Array, nu0: float, generator: np.random.Generator) -> FixedScale:
        return self

    def log_density_of(self: Any, roots: Array, nu0: float) -> Array:
        """Return log p(Λ_1, ..., Λ_B) (S,) of drawn blocks."""
        freedom = np.full((1,) if self.mean.ndim == 3 else self.mean.shape, nu0)
        blocks = Wishart(self.algebra, freedom, self.mean).log_densities(roots)
        return blocks.sum(axis=(1, 2))


class LearnedScaleOfDraws:
    """Methods of ``LearnedScale`` for draws."""

    def given(self: Any, roots: Array, nu0: float, generator: np.random.Generator) -> FixedScale:
        """Draw S given the blocks (1, B, ...) of a draw, a Wishart as in ``relearned``.

        Raises an error if S vanishes, since ties beyond the prior make the posterior improper.
        """
        algebra, blocks = self.prior.algebra, roots[0]
        conditional = Wishart(
            algebra,
            self.prior.degrees_of_freedom + len(blocks) * nu0,
            self.prior.scale_inverse + algebra.gram(blocks).sum(axis=0, keepdims=True),
        )
        size = conditional.scale_inverse.shape[-1]
        drawn = algebra.spread(conditional.scale_inverse, 1, size)
        expected = algebra.spread(self.prior.scale_inverse, 1, size)
        if not np.all(drawn < MOST_NARROW * expected):
            raise DegenerateFitError(
                "the learned scale of the prior vanishes, because a component has identical "
                "observations: set covariance_prior, or use fewer components"
            )
        return FixedScale(algebra, algebra.gram(conditional.draw(1, generator)[0]))

    def log_density_of(self: Any, roots: Array, nu0: float) -> Array:
        """Return log p(Λ_1, ..., Λ_B) (S,) of drawn blocks, with S integrated out.

        ∫ Wishart(S | V, g) Π_b Wishart(Λ_b | S⁻¹, ν0) dS is a ratio of normalisers: given the
        blocks, S is Wishart with g + B ν0 degrees of freedom and V⁻¹ + Σ_b Λ_b.
        """
        prior, algebra, p = self.prior, self.prior.algebra, self.prior.dimension
        n_draws, n_blocks = roots.shape[:2]
        flat = roots.reshape(n_draws * n_blocks, *roots.shape[2:])
        log_det = algebra.log_det(flat).reshape(n_draws, n_blocks, -1)
        total = algebra.gram(flat).reshape(roots.shape).sum(axis=1)
        given = -algebra.log_det(algebra.root(prior.scale_inverse + total)).reshape(n_draws, -1)
        nu = np.asarray(nu0)
        blocks = (
            0.5 * (nu0 - p - 1.0) * log_det.sum(axis=1)
            + n_blocks * log_normaliser(nu, np.zeros(1), p)
            + prior.log_normaliser
            - log_normaliser(prior.degrees_of_freedom + n_blocks * nu0, given, p)
        )
        return blocks.sum(axis=1)


# Ratio of a precision to its expectation above which its inverse is lost in rounding.
MOST_NARROW = 1e16
