"""q(μ, Λ) q(S) in coordinates z of unit variance and without correlation: all that an E-step sees.

With R Rᵀ = E[Λ], y = Rᵀ(x - m), u = Rᵀ(μ - m), and Λ = R M Rᵀ, so that M ~ Wishart(I/ν, ν),
log N(x | μ, Λ⁻¹) varies with q as ½ log|M| - ½ uᵀMu + (Mu)ᵀy - ½ yᵀMy. Under q Mu has covariance
I/β, β uᵀMu is chi-squared with D degrees of freedom whatever M, and the elements of M are
uncorrelated. What log|M| has beside its regression on M is the last coordinate. In the rows' y the
slopes are Hermite polynomials: well conditioned wherever the data lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesmix.families.gaussian.prior.normal_wishart import GaussianPosterior

import numpy as np
from scipy.linalg import block_diag

from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.families.gaussian.uncertainty.whitened_wishart import Whitened, mapped, whitened
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.records import Frame, Spread


@dataclass(frozen=True)
class GaussianCoordinates:
    """Coordinates in this order: S, blocks (elements, then what is left of log|M|), components."""

    q: GaussianPosterior
    learned: bool  # whether S has a factor in q

    @cached_property
    def blocks(self) -> Whitened:
        return whitened(self.q.precisions, self.q.n_features)

    @cached_property
    def scale(self) -> Whitened:
        return whitened(self.q.scale, self.q.n_features)

    @property
    def _n_scale(self) -> int:
        return self.scale.n_elements if self.learned else 0

    @property
    def size(self) -> int:
        n_blocks, (K, D) = len(self.blocks.root), self.q.means.shape
        return int(self._n_scale + n_blocks * (self.blocks.n_elements + 1) + K * (D + 1))

    def _block(self, k: int) -> int:
        """The block of component k."""
        return 0 if self.q.structure.shared else k

    def _of_block(self, b: int) -> Integers:
        """Places of the elements of block b, and of what is left of log|M|."""
        step = self.blocks.n_elements + 1
        first = self._n_scale + b * step
        return np.arange(first, first + step)

    def _of_mean(self, k: int) -> Integers:
        """Places of M u, and of uᵀMu, of component k."""
        K, D = self.q.means.shape
        first = self.size - int(K - k) * int(D + 1)
        return np.arange(first, first + int(D + 1))

    def places(self, k: int) -> Integers:
        """What the log density of component k depends on."""
        return np.concatenate([self._of_block(self._block(k)), self._of_mean(k)])

    def slopes(self, values: Array, k: int) -> Array:
        """d E[log N(x | μ_k, Λ_k⁻¹)] / d E[z] (n, p) over ``places(k)``, for framed rows."""
        b = self._block(k)
        y = self.blocks.whitened(values - self.q.means[k], b)
        beta, n_features = self.q.mean_precision[k], y.shape[1]
        constants = np.array([self.blocks.left[b], np.sqrt(0.5 * n_features) / beta])
        ones = np.ones((len(y), 1))
        return np.hstack(
            [self.blocks.slopes(y, b), constants[0] * ones, y / np.sqrt(beta), constants[1] * ones]
        )

    def coupling(self) -> Array:
        """Second derivatives (P, P) of E[log p(Λ | S)]: those of -½ Σ_b tr(S Λ_b)."""
        out = np.zeros((self.size, self.size))
        for b in range(len(self.blocks.root)) if self.learned else ():
            own = self._of_block(b)[:-1]
            across = self.scale.across(self.blocks, b)
            out[: self._n_scale, own] = across
            out[own, : self._n_scale] = across.T
        return out

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Means, covariances and S in data units: their covariances with z, and their own."""
        q, structure = self.q, self.q.structure
        found = {"means": self._means(frame)}
        shape = structure.blocks.as_covariances(structure.algebra.lift(q.blocks, frame, 0.0)).shape
        inverses = [self.blocks.of_inverse(b) for b in range(len(self.blocks.root))]
        places = [self._of_block(b) for b in range(len(inverses))]
        found["covariances"] = self._lifted(inverses, places, frame, shape)
        if self.learned:
            shape = structure.blocks.one_shape(len(frame.centre))
            found["scale"] = self._lifted(
                [self.scale.of_itself()], [np.arange(self._n_scale)], frame, shape
            )
        return found

    def _means(self, frame: Frame) -> Spread:
        q = self.q
        K, D = q.means.shape
        lift = np.diag(frame.scale) @ (np.eye(D) if frame.basis is None else frame.basis)
        across, own = np.zeros((K, len(lift), self.size)), []
        for k in range(K):
            b = self._block(k)
            away = lift @ self.blocks.coloured(np.eye(D), b).T / np.sqrt(q.mean_precision[k])
            across[k][:, self._of_mean(k)[:-1]] = away
            own.append(mapped(away, np.diag(self.blocks.mean_of_inverse(b))))
        return Spread((K, len(lift)), across.reshape(-1, self.size), block_diag(*own))

    def _lifted(
        self,
        each: list[tuple[Array, Array]],
        places: list[Integers],
        frame: Frame,
        shape: tuple[int, ...],
    ) -> Spread:
        """Covariances of blocks with their coordinates, and with one another, in data units."""
        algebra, block = self.q.structure.algebra, self.q.precisions.scale_inverse[0]
        units = np.eye(block.size).reshape(block.size, *block.shape)
        if block.ndim == 1:  # rows of one array
            lift = algebra.lift(units, frame, 0.0).reshape(block.size, -1).T
        else:
            lift = np.stack([algebra.lift(unit[None], frame, 0.0).ravel() for unit in units], 1)
        across = np.zeros((len(each), len(lift), self.size))
        for one, (with_own, _), mine in zip(across, each, places, strict=True):
            one[:, mine[: with_own.shape[1]]] = lift @ with_own
        own = block_diag(*(mapped(lift, covariance) for _, covariance in each))
        return Spread(shape, across.reshape(-1, self.size), own)

    @property
    def moved(self) -> Integers:
        """Coordinates that ``standardised`` has: the others vary as 1/n², and nothing else."""
        n_blocks, K = len(self.blocks.root), self.q.n_components
        own = [self._of_block(b)[:-1] for b in range(n_blocks)]
        means = [self._of_mean(k)[:-1] for k in range(K)]
        return np.concatenate([np.arange(self._n_scale), *own, *means])

    def standardised(self, draws: GaussianDraws) -> Array:
        """Draws of q in unconstrained coordinates (S, ...) that are z to first order.

        Logarithms of M, and U'ᵀ(μ - m) sqrt(β) with U' U'ᵀ the drawn Λ.
        """
        n_draws, K = draws.means.shape[:2]
        away = (draws.means - self.q.means) * np.sqrt(self.q.mean_precision)[:, None]
        roots = np.broadcast_to(draws.roots, (n_draws, K, *draws.roots.shape[2:]))
        dense = roots.ndim == 4
        normal = np.einsum("skij,ski->skj", roots, away) if dense else away * roots
        parts = [self.scale.logs(draws.scale_roots)] if self.learned else []
        parts += [self.blocks.logs(draws.roots), normal]
        return np.concatenate([part.reshape(n_draws, -1) for part in parts], axis=1)

    def drawn(self, standardised: Array) -> GaussianDraws:
        """The draws that have these unconstrained coordinates."""
        n_draws, n_scale, (K, D) = len(standardised), self._n_scale, self.q.means.shape
        elements, normal = standardised[:, n_scale : -K * D], standardised[:, -K * D :]
        roots = self.blocks.from_logs(elements.reshape(n_draws, len(self.blocks.root), -1))
        if self.learned:
            scale_roots = self.scale.from_logs(standardised[:, :n_scale].reshape(n_draws, 1, -1))
        else:
            root = self.q.structure.algebra.factor(self.q.scale.mean)
            scale_roots = np.broadcast_to(root, (n_draws, *root.shape))
        away = self.q.structure.algebra.coloured(normal.reshape(n_draws, K, D), roots)
        means = self.q.means + away / np.sqrt(self.q.mean_precision)[:, None]
        return GaussianDraws(
            self.q.structure, means, roots, scale_roots, self.q.prior_mean_precision
        )
