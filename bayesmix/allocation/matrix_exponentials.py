"""MatrixExponentials of generators over times, and the integrals of products that EM needs.

They follow from the eigenvectors of a generator, or, where these are nearly dependent, are blocks
of one exponential (Van Loan 1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import expm

from bayesmix.numerics.arrays import Array, Booleans

# Condition of the eigenvectors above which exponentials would lose more than six digits.
DEPENDENT = 1e6
# Difference of eigenvalues times Δ below which (exp(x) - 1) / x is 1 to rounding.
CLOSE = 1e-15


@dataclass(frozen=True)
class MatrixExponentials:
    """exp(QΔ) for generators (m, K, K), or one generator (1, K, K), and times (m,)."""

    rates: Array
    times: Array

    @cached_property
    def _eigen(self) -> tuple[Array, Array, Array, Booleans]:
        """Eigenvalues (m, K), eigenvectors and inverses, and which generators lack a basis."""
        values, vectors = np.linalg.eig(self.rates)
        sizes = np.linalg.svd(vectors, compute_uv=False)
        dependent: Booleans = ~(sizes[:, 0] < DEPENDENT * sizes[:, -1])
        vectors[dependent] = np.eye(self.rates.shape[-1])
        return values, vectors, np.linalg.inv(vectors), dependent

    @cached_property
    def _by_blocks(self) -> Booleans:
        """Which of the times (m,) need exponentials without eigenvectors."""
        out: Booleans = np.broadcast_to(self._eigen[3], len(self.times))
        return out

    @property
    def _rates_by_blocks(self) -> Array:
        every = np.broadcast_to(self.rates, (len(self.times), *self.rates.shape[1:]))
        return every[self._by_blocks]

    @cached_property
    def matrices(self) -> Array:
        """Transitions (m, K, K)."""
        values, vectors, inverse, _ = self._eigen
        powers = np.exp(self.times[:, None] * values)
        out: Array = ((vectors * powers[:, None]) @ inverse).real
        if self._by_blocks.any():
            spans = self.times[self._by_blocks, None, None]
            out[self._by_blocks] = expm(self._rates_by_blocks * spans)
        return np.maximum(out, 0.0)

    def integrals(self, ratios: Array) -> Array:
        """Return ∫ P_ik(s) ratio_ij P_lj(Δ - s) ds, summed over i and j, for all k and l.

        ``ratios`` are (m, K, K), as are the integrals.
        """
        (values, vectors, inverse, _), K = self._eigen, self.rates.shape[-1]
        spans, one, other = self.times[:, None, None], values[:, :, None], values[:, None, :]
        # ∫ exp(d_a s + d_b (Δ - s)) ds, from the slower of both so that nothing overflows.
        slower = np.where(one.real > other.real, one, other)
        apart = spans * (one + other - 2.0 * slower)
        close = np.abs(apart) < CLOSE
        means = np.where(close, 1.0, np.expm1(apart) / np.where(close, 1.0, apart))
        between = spans * np.exp(spans * slower) * means
        turned = between * (np.swapaxes(vectors, 1, 2) @ ratios @ np.swapaxes(inverse, 1, 2))
        out: Array = (np.swapaxes(inverse, 1, 2) @ turned @ np.swapaxes(vectors, 1, 2)).real
        if self._by_blocks.any():
            spans = spans[self._by_blocks]
            blocks = np.zeros((len(spans), 2 * K, 2 * K))
            turning = np.swapaxes(self._rates_by_blocks, 1, 2) * spans
            blocks[:, :K, :K] = blocks[:, K:, K:] = turning
            blocks[:, :K, K:] = ratios[self._by_blocks] * spans
            out[self._by_blocks] = expm(blocks)[:, :K, K:]
        return out
