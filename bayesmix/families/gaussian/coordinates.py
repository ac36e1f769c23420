"""Wishart factors Λ = R M Rᵀ, E[M] = I, in uncorrelated coordinates of unit variance.

M = I + Σ_p z_p B_p / sqrt(ν), with a further coordinate for the residual of log|M| on M (moments:
Gupta & Nagar 2000, ch. 3). Diagonal structures have gamma factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from scipy.linalg import block_diag
from scipy.special import digamma, polygamma

from bayesmix.core.rows import Frame, Spread
from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.special import LOG_2, multivariate_digamma
from bayesmix.numerics.triangular import inverse_root

if TYPE_CHECKING:
    from bayesmix.families.gaussian.prior import GaussianPosterior


def mapped(matrix: Array, covariance: Array) -> Array:
    """Return A C Aᵀ, infinite if C is."""
    if not np.isfinite(covariance).all():
        return np.full((len(matrix), len(matrix)), np.inf)
    return matrix @ covariance @ matrix.T


@dataclass(frozen=True)
class WhitenedMatrices:
    """Coordinates of B full matrices with p elements: R (B, D, D), ν (B,)."""

    root: Array
    freedom: Array
    n_features: int

    @property
    def n_elements(self) -> int:
        return self.n_features * (self.n_features + 1) // 2

    @cached_property
    def basis(self) -> Array:
        """Basis B_p (p, D, D)."""
        upper, right = np.triu_indices(self.n_features)
        out = np.zeros((len(upper), self.n_features, self.n_features))
        out[np.arange(len(upper)), upper, right] = 1.0
        out[np.arange(len(upper)), right, upper] = 1.0
        out[upper == right] *= np.sqrt(2.0)
        return out

    @cached_property
    def left(self) -> Array:
        """Standard deviation (B,) of the residual of ½ log|M| on M."""
        steps = np.arange(self.n_features)
        each = polygamma(1, 0.5 * (self.freedom[:, None] - steps)).sum(axis=1)
        return np.sqrt(0.25 * each - 0.5 * self.n_features / self.freedom)

    def whitened(self, away: Array, b: int) -> Array:
        """Return Rᵀ a for rows a (n, D)."""
        return away @ self.root[b]

    def coloured(self, normal: Array, b: int) -> Array:
        """Return R⁻ᵀ u for rows u (n, D)."""
        return np.linalg.solve(self.root[b].T, normal.T).T

    def slopes(self, y: Array, b: int) -> Array:
        """Return d (½ log|M| - ½ yᵀMy) / dz (n, p)."""
        upper, right = np.triu_indices(self.n_features)
        same = upper == right
        out: Array = y[:, upper] * y[:, right]
        out[:, same] = (out[:, same] - 1.0) / np.sqrt(2.0)
        out /= -np.sqrt(self.freedom[b])
        return out

    def mean_of_inverse(self, b: int) -> Array:
        """Return the diagonal (D,) of E[M⁻¹], infinite where undefined."""
        nu, p = self.freedom[b], self.n_features
        return np.full(p, nu / (nu - p - 1.0) if nu > p + 1.0 else np.inf)

    def of_inverse(self, b: int) -> tuple[Array, Array]:
        """Return covariances of the elements of Λ⁻¹ with the coordinates, and with each other."""
        nu, p = float(self.freedom[b]), self.n_features
        size = p * p
        if nu <= p + 1.0:
            return np.zeros((size, self.n_elements + 1)), np.full((size, size), np.inf)
        away = self.coloured(np.eye(p), b).T
        elements = away @ self.basis @ away.T / -((nu - p - 1.0) / np.sqrt(nu))
        inverse = away @ away.T
        rest = inverse * -(p + 1.0) / ((nu - p - 1.0) ** 2 * self.left[b])
        with_own = np.vstack([elements.reshape(-1, size), rest.reshape(1, size)]).T
        if nu <= p + 3.0:
            return with_own, np.full((size, size), np.inf)
        # Covariances of an inverse Wishart with ν degrees of freedom and scale ν (R Rᵀ)⁻¹.
        own = 2.0 * np.einsum("ij,kl->ijkl", inverse, inverse)
        own += (nu - p - 1.0) * _pairs(inverse)
        own *= nu * nu / ((nu - p) * (nu - p - 1.0) ** 2 * (nu - p - 3.0))
        return with_own, own.reshape(size, size)

    def of_itself(self) -> tuple[Array, Array]:
        """Return covariances of the elements of the block with z, and with each other."""
        root, nu, p = self.root[0], float(self.freedom[0]), self.n_features
        with_own = (root @ self.basis @ root.T).reshape(-1, p * p).T / np.sqrt(nu)
        return with_own, _pairs(root @ root.T).reshape(p * p, p * p) / nu

    def across(self, blocks: Any, b: int) -> Array:
        """Return second derivatives (p, p) of -½ tr(S Λ_b), where S is the block of ``self``."""
        between = self.root[0].T @ blocks.root[b]
        turned = between @ self.basis @ between.T
        product: Array = np.einsum("pij,qij->pq", self.basis, turned)
        product *= -0.5 / np.sqrt(self.freedom[0] * blocks.freedom[b])
        return product

    @property
    def _expected_log(self) -> Array:
        """Factor (B,) of I in E[log M]."""
        nu, p = self.freedom, self.n_features
        return multivariate_digamma(0.5 * nu, p) / p + LOG_2 - np.log(nu)

    def logs(self, roots: Array) -> Array:
        """Return log M (S, B, p) of drawn roots (S, B, ...), centred, equal to z to first order."""
        relative = np.linalg.solve(self.root, roots)
        # M = L Lᵀ: log M from the squared singular values of L.
        axes, sizes, _ = np.linalg.svd(relative)
        away = 2.0 * np.log(sizes) - self._expected_log[:, None]
        logarithm = (axes * away[..., None, :]) @ np.swapaxes(axes, -1, -2)
        found: Array = np.einsum("pij,sbij->sbp", self.basis, logarithm)
        found *= 0.5 * np.sqrt(self.freedom)[:, None]
        return found

    def from_logs(self, logs: Array) -> Array:
        """Return roots (S, B, ...) of Λ."""
        away = np.einsum("sbp,pij->sbij", logs / np.sqrt(self.freedom)[:, None], self.basis)
        sizes, axes = np.linalg.eigh(away)
        sizes = np.exp(-(sizes + self._expected_log[:, None]))
        inverse = (axes * sizes[..., None, :]) @ np.swapaxes(axes, -1, -2)
        upper = inverse_root(inverse.reshape(-1, self.n_features, self.n_features))
        return self.root @ upper.reshape(inverse.shape)


def _pairs(matrix: Array) -> Array:
    """Return A_ik A_jl + A_il A_jk (p, p, p, p)."""
    straight: Array = np.einsum("ik,jl->ijkl", matrix, matrix)
    return straight + np.swapaxes(straight, 2, 3)


@dataclass(frozen=True)
class WhitenedAxes:
    """Coordinates of diagonals: R and ν (B, C), C = D, or 1 for a shared factor."""

    root: Array
    freedom: Array
    n_features: int

    @property
    def n_elements(self) -> int:
        return int(self.root.shape[1])

    @property
    def shared(self) -> float:
        """Number of columns per factor."""
        return self.n_features / self.n_elements

    @cached_property
    def left(self) -> Array:
        # The residual variance of ½ log M on M, in one dimension.
        left = 0.25 * polygamma(1, 0.5 * self.freedom) - 0.5 / self.freedom
        variance: Array = (self.shared**2 * left).sum(axis=1)
        return np.sqrt(variance)

    def whitened(self, away: Array, b: int) -> Array:
        return away * self.root[b]

    def coloured(self, normal: Array, b: int) -> Array:
        return normal / self.root[b]

    def slopes(self, y: Array, b: int) -> Array:
        lengths = (y * y).reshape(len(y), self.n_elements, -1).sum(axis=2)
        return (self.shared - lengths) / np.sqrt(2.0 * self.freedom[b])

    def mean_of_inverse(self, b: int) -> Array:
        nu = self.freedom[b]
        found = np.full(len(nu), np.inf)
        np.divide(nu, nu - 2.0, out=found, where=nu > 2.0)
        return np.broadcast_to(found, (self.n_features,))

    def of_inverse(self, b: int) -> tuple[Array, Array]:
        nu, variance = self.freedom[b], 1.0 / self.root[b] ** 2
        if nu.min() <= 2.0:
            shape = (len(nu), len(nu) + 1)
            return np.zeros(shape), np.full(shape[:1] * 2, np.inf)
        elements = np.diag(-variance * np.sqrt(2.0 * nu) / (nu - 2.0))
        rest = -2.0 * self.shared * variance / ((nu - 2.0) ** 2 * self.left[b])
        with_own = np.hstack([elements, rest[:, None]])
        if nu.min() <= 4.0:
            return with_own, np.full((len(nu), len(nu)), np.inf)
        own = 2.0 * (variance * nu / (nu - 2.0)) ** 2 / (nu - 4.0)
        return with_own, np.diag(own)

    def of_itself(self) -> tuple[Array, Array]:
        expected, nu = self.root[0] ** 2, self.freedom[0]
        return np.diag(expected * np.sqrt(2.0 / nu)), np.diag(expected**2 * 2.0 / nu)

    def across(self, blocks: Any, b: int) -> Array:
        between = (self.root[0] * blocks.root[b]) ** 2
        return np.diag(-between / np.sqrt(self.freedom[0] * blocks.freedom[b]))

    @property
    def _expected_log(self) -> Array:
        return digamma(0.5 * self.freedom) + LOG_2 - np.log(self.freedom)

    def logs(self, roots: Array) -> Array:
        away = 2.0 * np.log(roots / self.root) - self._expected_log
        return away / np.sqrt(polygamma(1, 0.5 * self.freedom))

    def from_logs(self, logs: Array) -> Array:
        away = logs * np.sqrt(polygamma(1, 0.5 * self.freedom)) + self._expected_log
        return self.root * np.exp(0.5 * away)


Whitened: TypeAlias = WhitenedMatrices | WhitenedAxes


def whitened(wishart: Any, n_features: int) -> Whitened:
    """Return the coordinates of a Wishart factor in its algebra."""
    kind = WhitenedMatrices if wishart.scale_inverse.ndim == 3 else WhitenedAxes
    return kind(wishart.mean_root, wishart.degrees_of_freedom, n_features)


@dataclass(frozen=True)
class GaussianCoordinates:
    """Coordinates in the order: S, blocks (elements, then the residual of log|M|), means."""

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
        return 0 if self.q.structure.shared else k

    def _of_block(self, b: int) -> Integers:
        """Return positions of the elements of block b and of the residual of log|M|."""
        step = self.blocks.n_elements + 1
        first = self._n_scale + b * step
        return np.arange(first, first + step)

    def _of_mean(self, k: int) -> Integers:
        """Return positions of M u and uᵀMu of component k."""
        K, D = self.q.means.shape
        first = self.size - int(K - k) * int(D + 1)
        return np.arange(first, first + int(D + 1))

    def places(self, k: int) -> Integers:
        return np.concatenate([self._of_block(self._block(k)), self._of_mean(k)])

    def slopes(self, values: Array, k: int) -> Array:
        b = self._block(k)
        y = self.blocks.whitened(values - self.q.means[k], b)
        beta, n_features = self.q.mean_precision[k], y.shape[1]
        constants = np.array([self.blocks.left[b], np.sqrt(0.5 * n_features) / beta])
        ones = np.ones((len(y), 1))
        return np.hstack(
            [self.blocks.slopes(y, b), constants[0] * ones, y / np.sqrt(beta), constants[1] * ones]
        )

    def coupling(self) -> Array:
        """Return second derivatives (P, P) of -½ Σ_b tr(S Λ_b) in E[log p(Λ | S)]."""
        out = np.zeros((self.size, self.size))
        for b in range(len(self.blocks.root)) if self.learned else ():
            own = self._of_block(b)[:-1]
            across = self.scale.across(self.blocks, b)
            out[: self._n_scale, own] = across
            out[own, : self._n_scale] = across.T
        return out

    def parameters(self, frame: Frame) -> dict[str, Spread]:
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
        """Return covariances of blocks with coordinates and with each other, in data units."""
        algebra, block = self.q.structure.algebra, self.q.precisions.scale_inverse[0]
        units = np.eye(block.size).reshape(block.size, *block.shape)
        if block.ndim == 1:  # diagonal blocks
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
        n_blocks, K = len(self.blocks.root), self.q.n_components
        own = [self._of_block(b)[:-1] for b in range(n_blocks)]
        means = [self._of_mean(k)[:-1] for k in range(K)]
        return np.concatenate([np.arange(self._n_scale), *own, *means])

    def standardised(self, draws: GaussianDraws) -> Array:
        """Return draws of q in unconstrained coordinates (S, ...) equal to z to first order.

        These are log M, and U'ᵀ(μ - m) sqrt(β) with U' U'ᵀ the drawn Λ.
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
