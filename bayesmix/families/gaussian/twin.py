"""Gaussian components in PyMC under a Normal-Wishart prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import Frame
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.draws import GaussianDraws, axes_of
from bayesmix.families.gaussian.twin_blocks import Roots
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.special import LOG_2PI

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
        """Return log N(x_n | μ_k, Λ_k⁻¹) (n, K) of framed data."""
        rows = pm.Data("rows", values, dims=("row", "direction"))
        return _log_normal(self.structure, rows, self.means, self.roots, 1.0)

    def named(self, frame: Frame) -> NamedTensors:
        """Return means, covariances and a learned S in data units, with their axes."""
        structure, algebra = self.structure, self.structure.algebra
        blocks = algebra.twin.lifted(algebra, algebra.twin.inverse(self.roots), frame)
        covariances = structure.blocks.as_covariances(blocks)
        scale = algebra.twin.lifted(algebra, algebra.gram(self.scale.values), frame)[0]
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
        """Fields of ``GaussianDraws``."""
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
        twin = self.structure.algebra.twin
        scale = twin.point(SCALE, twin.triangular(draws.scale_roots)) if self.learned else {}
        roots = twin.point(PRECISIONS, twin.triangular(draws.roots))
        return {MEANS: draws.means, **roots, **scale}


def gaussian_twin(pm: Pymc, prior: Any, mean_precision: float, n_components: int) -> GaussianTwin:
    """Declare the parameters of K Gaussians under a Normal-Wishart prior."""
    structure, size = prior.structure, len(prior.mean)
    twin = structure.algebra.twin
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
    known = Roots(as_tensor(inverse), as_tensor(-scale.prior.log_det_scale))
    freedom = scale.prior.degrees_of_freedom
    roots: Roots = algebra.twin.wishart(pm, SCALE, float(freedom.flat[0]), known, freedom.shape)
    return roots


def _log_normal(
    structure: Structure, values: Any, means: Any, roots: Roots, mean_precision: float
) -> Any:
    """Return log N(x_n | μ_k, (β Λ_k)⁻¹) (n, K)."""
    twin, (n_components, size) = structure.algebra.twin, means.type.shape
    log_det = twin.log_det(roots, n_components, size)
    constant = 0.5 * (log_det + size * (np.log(mean_precision) - LOG_2PI))
    return constant - 0.5 * mean_precision * twin.squared(values, means, roots)
