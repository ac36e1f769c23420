"""Gaussian components in PyMC under a Normal-Wishart prior.

Wishart precisions by their triangular factor Λ = U Uᵀ (density: Bishop 2006, eq. B.78, times the
Jacobian; diagonals are gamma variables). U is that of Λ and not of a standard Wishart, which
samples better (7 against 28 NUTS steps per draw on Old Faithful, K = 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.rows import FLAT_FLOOR, Frame
from bayesmix.families.gaussian.covariance.models import Algebra, Structure
from bayesmix.families.gaussian.draws import GaussianDraws, axes_of
from bayesmix.families.gaussian.prior import NormalWishart, log_normaliser
from bayesmix.families.transformed import TransformedPrior, TransformedTwin
from bayesmix.numerics.arrays import LOG_2, LOG_2PI, Array

if TYPE_CHECKING:
    from bayesmix.core.priors import NamedTensors, Pymc, Tensor


@dataclass(frozen=True)
class Roots:
    """Roots U of precisions or of S in blocks, and log |U Uᵀ| of each, as tensors."""

    values: Tensor
    log_det: Tensor


class DenseTwin:
    """Full matrices: U is upper triangular, with the logarithms of its diagonal as variables."""

    def wishart(
        self, pm: Pymc, name: str, freedom: float, inverse: Roots, shape: tuple[int, ...]
    ) -> Roots:
        """Return roots of B blocks of Wishart(W, ν), where ``inverse`` is the root of W⁻¹."""
        from pytensor import tensor as pt

        (n_blocks,), size = shape, inverse.values.type.shape[-1]
        logs = pm.Flat(f"{name}_log_diagonal", shape=(n_blocks, size))
        entries = [pt.exp(logs)]
        if size > 1:
            above = size * (size - 1) // 2
            entries.append(pm.Flat(f"{name}_above_diagonal", shape=(n_blocks, above)))
        # A product with zeros and ones compiles faster than assignments.
        packed = pt.concatenate(entries, axis=1) @ _places(size)
        roots = Roots(packed.reshape((n_blocks, size, size)), 2.0 * logs.sum(axis=1))
        traces = (self.products(inverse.values[0].T, roots.values) ** 2).sum()
        normaliser = log_normaliser(np.asarray(freedom), inverse.log_det.sum(), size)
        leaning = 0.5 * (freedom - size - 1.0) * roots.log_det.sum()
        # |dΛ / dU| = 2^p Π u_ii^i, i from 1, and |dU / d log u_ii| = u_ii.
        jacobian = n_blocks * size * LOG_2 + (logs * np.arange(2.0, size + 2.0)).sum()
        pm.Potential(f"{name}_density", n_blocks * normaliser + leaning - 0.5 * traces + jacobian)
        return roots

    def point(self, name: str, roots: Array) -> dict[str, Array]:
        size = roots.shape[-1]
        upper = np.triu_indices(size, 1)
        found = {f"{name}_log_diagonal": np.log(np.diagonal(roots, axis1=-2, axis2=-1))}
        if size > 1:
            found[f"{name}_above_diagonal"] = roots[..., upper[0], upper[1]]
        return found

    def triangular(self, roots: Array) -> Array:
        """Return upper triangular roots (..., p, p) of the same matrices."""
        # The Cholesky factor of a matrix with both axes reversed is the upper one, reversed.
        whole = roots @ np.swapaxes(roots, -1, -2)
        reversed_ = np.linalg.cholesky(whole[..., ::-1, ::-1])
        return np.ascontiguousarray(reversed_[..., ::-1, ::-1])

    def products(self, left: Tensor, roots: Tensor) -> Tensor:
        """Multiply ``left`` (m, p) by each root: (m, B p)."""
        n_blocks, size, _ = roots.type.shape
        return left @ roots.transpose(1, 0, 2).reshape((size, n_blocks * size))

    def squared(self, values: Tensor, means: Tensor, roots: Roots) -> Tensor:
        """Return |Uᵀ(x_n - m_k)|² (n, K)."""
        n_blocks, size, _ = roots.values.type.shape
        whitened = self.products(values, roots.values).reshape((-1, n_blocks, size))
        centres = (means[:, :, None] * roots.values).sum(axis=1)
        return ((whitened - centres) ** 2).sum(axis=2)

    def log_det(self, roots: Roots, n_components: int, n_features: int) -> Tensor:
        """Return log |Λ_k| (K,)."""
        return roots.log_det + np.zeros(n_components)

    def inverse(self, roots: Roots) -> Tensor:
        """Return (U Uᵀ)⁻¹ in blocks."""
        from pytensor import tensor as pt

        return pt.linalg.inv(roots.values @ roots.values.transpose(0, 2, 1))

    def lifted(self, algebra: Algebra, blocks: Tensor, frame: Frame) -> Tensor:
        """Transform covariance blocks from a frame to data coordinates."""
        return algebra.lift(blocks, frame, FLAT_FLOOR)


class AxesTwin:
    """Diagonals: one variable Gamma(ν/2, rate S/2) per precision."""

    def wishart(
        self, pm: Pymc, name: str, freedom: float, inverse: Roots, shape: tuple[int, ...]
    ) -> Roots:
        """Return roots of precisions of a shape, which share S or have one per column."""
        from pytensor import tensor as pt

        # As an array, since PyTensor computes log Γ of scalars in float32 if they fit.
        half = np.full(shape, 0.5 * freedom)
        drawn = pm.Gamma(name, alpha=half, beta=0.5 * inverse.values**2, shape=shape)
        return Roots(pt.sqrt(drawn), pt.log(drawn))

    def point(self, name: str, roots: Array) -> dict[str, Array]:
        return {name: roots * roots}

    def triangular(self, roots: Array) -> Array:
        return roots

    def squared(self, values: Tensor, means: Tensor, roots: Roots) -> Tensor:
        return (((values[:, None, :] - means) * roots.values) ** 2).sum(axis=2)

    def log_det(self, roots: Roots, n_components: int, n_features: int) -> Tensor:
        return (roots.log_det + np.zeros((n_components, n_features))).sum(axis=1)

    def inverse(self, roots: Roots) -> Tensor:
        return 1.0 / (roots.values * roots.values)

    def lifted(self, algebra: Algebra, blocks: Tensor, frame: Frame) -> Tensor:
        """Transform variances to data coordinates by an affine map, evaluated at unit vectors."""
        size = blocks.type.shape[-1]
        offset = algebra.lift(np.zeros((1, size)), frame, FLAT_FLOOR)
        return blocks @ (algebra.lift(np.eye(size), frame, FLAT_FLOOR) - offset) + offset


def _places(size: int) -> Array:
    """Return the positions (F, p²) of packed entries in a flattened upper triangular matrix."""
    upper = np.triu_indices(size, 1)
    rows = np.concatenate([np.arange(size), upper[0]])
    columns = np.concatenate([np.arange(size), upper[1]])
    places = np.zeros((len(rows), size * size))
    places[np.arange(len(rows)), rows * size + columns] = 1.0
    return places


def twin_of(structure: Structure) -> DenseTwin | AxesTwin:
    """Return the operations on precisions in PyMC."""
    return DenseTwin() if structure.blocks.dense else AxesTwin()


MEANS, PRECISIONS, SCALE = "framed_means", "precision_root", "scale_root"


@dataclass(frozen=True)
class GaussianTwin:
    """K Gaussians of a draw, in PyMC: means (K, D), roots of Λ in blocks and of S."""

    structure: Structure
    means: Tensor
    roots: Roots
    scale: Roots
    learned: bool
    prior_mean_precision: float

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        rows = pm.Data("rows", values, dims=("row", "direction"))
        return _log_normal(self.structure, rows, self.means, self.roots, 1.0)

    def named(self, frame: Frame) -> NamedTensors:
        structure, algebra, twin = self.structure, self.structure.algebra, twin_of(self.structure)
        blocks = twin.lifted(algebra, twin.inverse(self.roots), frame)
        covariances = structure.blocks.as_covariances(blocks)
        scale = twin.lifted(algebra, algebra.gram(self.scale.values), frame)[0]
        if structure.isotropic:
            scale = scale[0]
        axes, columns = axes_of(covariances.ndim, scale.ndim)
        learned = {"scale": (columns, scale)} if self.learned else {}
        return {
            "means": (("component", "feature"), frame.undo(self.means)),
            "covariances": (axes, covariances),
        } | learned

    @property
    def drawn(self) -> dict[str, Tensor]:
        learned = {"scale_roots": self.scale.values} if self.learned else {}
        return {"means": self.means, "roots": self.roots.values} | learned

    def draws(self, values: Mapping[str, Array]) -> GaussianDraws:
        means = values["means"]
        if self.learned:
            scale = values["scale_roots"]
        else:
            known = self.scale.values.data
            scale = np.broadcast_to(known, (len(means), *known.shape))
        return GaussianDraws(
            self.structure, means, values["roots"], scale, self.prior_mean_precision
        )

    def point(self, draws: GaussianDraws) -> dict[str, Array]:
        twin = twin_of(self.structure)
        scale = twin.point(SCALE, twin.triangular(draws.scale_roots)) if self.learned else {}
        roots = twin.point(PRECISIONS, twin.triangular(draws.roots))
        return {MEANS: draws.means, **roots, **scale}


@singledispatch
def declared_components(prior: Any, pm: Pymc, q: Any, n_components: int) -> Any:
    """Declare K components in a PyMC model; what is not random is taken from ``q``."""
    return prior.pymc_distribution(pm, q, n_components)


@declared_components.register
def _(prior: NormalWishart, pm: Any, q: Any, n_components: int) -> GaussianTwin:
    return gaussian_twin(pm, prior, q.prior_mean_precision, n_components)


@declared_components.register
def _(prior: TransformedPrior, pm: Any, q: Any, n_components: int) -> TransformedTwin:
    normals = declared_components(prior.normals, pm, q.normals, n_components)
    return TransformedTwin(prior.function, normals)


def gaussian_twin(pm: Pymc, prior: Any, mean_precision: float, n_components: int) -> GaussianTwin:
    """Declare the parameters of K Gaussians under a Normal-Wishart prior."""
    structure, size = prior.structure, len(prior.mean)
    twin = twin_of(structure)
    shape = structure.blocks.counts(np.ones(n_components), size).shape
    scale = _scale(pm, prior)
    roots = twin.wishart(pm, PRECISIONS, prior.degrees_of_freedom, scale, shape)
    axes = ("component", "direction")
    means = pm.Flat(MEANS, shape=(n_components, size), dims=axes)
    density = _log_normal(structure, prior.mean[None], means, roots, mean_precision)
    pm.Potential(f"{MEANS}_density", density.sum())
    return GaussianTwin(structure, means, roots, scale, prior.scale.learned, mean_precision)


def _scale(pm: Pymc, prior: Any) -> Roots:
    """Return the root of S, a variable if it is learned."""
    from pytensor.tensor import as_tensor

    algebra, scale = prior.structure.algebra, prior.scale
    if not scale.learned:
        return Roots(as_tensor(algebra.factor(scale.mean)), as_tensor(scale.expected_log_det))
    inverse = algebra.factor(scale.prior.scale_inverse)
    known = Roots(as_tensor(inverse), as_tensor(-scale.prior.algebra.log_det(scale.prior.root)))
    freedom = scale.prior.degrees_of_freedom
    twin = twin_of(prior.structure)
    return twin.wishart(pm, SCALE, float(freedom.flat[0]), known, freedom.shape)


def _log_normal(
    structure: Structure, values: Any, means: Any, roots: Roots, mean_precision: float
) -> Any:
    """Return log N(x_n | μ_k, (β Λ_k)⁻¹) (n, K)."""
    twin, (n_components, size) = twin_of(structure), means.type.shape
    log_det = twin.log_det(roots, n_components, size)
    constant = 0.5 * (log_det + size * (np.log(mean_precision) - LOG_2PI))
    return constant - 0.5 * mean_precision * twin.squared(values, means, roots)
