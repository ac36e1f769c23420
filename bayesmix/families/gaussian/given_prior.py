"""Hyperparameters that users give."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.core.rows import Frame
from bayesmix.core.validation import unmasked
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.prior import (
    FixedScale,
    NormalWishart,
)
from bayesmix.numerics.arrays import Array


@dataclass(frozen=True)
class GaussianPrior:
    """Hyperparameters of μ | Λ ~ N(m0, (β0 Λ)⁻¹), Λ ~ Wishart(W0, ν0); None means the default.

    Parameters
    ----------
    mean : array (D,), optional
        Mean m0 in data units.
    mean_precision : float, optional
        β0 > 0.
    degrees_of_freedom : float, optional
        ν0 > D - 1 (full, tied), > 0 (diagonal and spherical ones).
    covariance : array, optional
        Scale W0⁻¹ in data units, fixed: (D, D) for dense structures, (D,) for diagonal ones, a
        number for spherical and EII. The default scale is learned by variational
        Bayes.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.GaussianPrior(mean_precision=0.5).mean_precision
    0.5
    """

    mean: ArrayLike | None = None
    mean_precision: float | None = None
    degrees_of_freedom: float | None = None
    covariance: ArrayLike | None = None

    @property
    def fixes_scale(self) -> bool:
        return self.covariance is not None

    def over(self, default: Any, frame: Frame) -> Any:
        """Replace hyperparameters of the default prior, in the frame.

        Raises ``InvalidInputError`` for values of wrong shape or out of range.
        """
        if not isinstance(default, NormalWishart):
            # Priors over transformed data transform the hyperparameters themselves.
            return default.with_choice(self, frame)
        prior, structure = default, default.structure
        n_features = len(frame.centre)
        if self.mean is not None:
            mean = _numbers("mean_prior", self.mean)
            if mean.shape != (n_features,) or not np.isfinite(mean).all():
                raise InvalidInputError(
                    f"mean_prior must be {n_features} finite numbers, got shape {mean.shape}"
                )
            prior = replace(prior, mean=frame.apply(mean[None])[0])
        if self.mean_precision is not None:
            value = _positive("mean_precision_prior", self.mean_precision, 0.0)
            prior = replace(prior, mean_precision=value, learns_mean_precision=False)
        if self.degrees_of_freedom is not None:
            least = structure.algebra.block_dimension(n_features) - 1.0
            value = _positive("degrees_of_freedom_prior", self.degrees_of_freedom, least)
            prior = replace(prior, degrees_of_freedom=value)
        if self.covariance is not None:
            block = covariance_block(structure, self.covariance, n_features, "covariance_prior")
            framed = structure.algebra.project(block, frame)
            prior = replace(prior, scale=FixedScale(structure.algebra, framed))
        return prior


def _positive(name: str, value: Any, least: float) -> float:
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not number or not least < float(value) < np.inf:
        raise InvalidInputError(f"{name} must be a number greater than {least:g}, got {value!r}")
    return float(value)


def _numbers(name: str, value: Any) -> Array:
    unmasked(name, value)
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} must be numbers, got {value!r:.60}") from None


def covariance_block(structure: Structure, value: Any, n_features: int, name: str) -> Array:
    """Return a block from a covariance in scikit-learn's shape, checked."""
    matrix = _numbers(name, value)
    shape = structure.blocks.one_shape(n_features)
    if matrix.shape != shape:
        raise InvalidInputError(
            f"{name} must have shape {shape} for covariance_type={structure.name!r}, "
            f"got {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        raise InvalidInputError(f"{name} must be finite")
    if matrix.ndim == 2:
        if np.abs(matrix - matrix.T).max() > 1e-8 * np.abs(matrix).max():
            raise InvalidInputError(f"{name} must be symmetric")
        # In columns of unit scale, as different units would hide the smallest eigenvalue.
        unit = np.sqrt(np.abs(np.diagonal(matrix)))
        unit[unit == 0] = 1.0
        if np.linalg.eigvalsh(matrix / np.outer(unit, unit))[0] <= 0:
            raise InvalidInputError(f"{name} must be positive definite")
        return matrix[None]
    if np.min(matrix) <= 0:
        raise InvalidInputError(f"{name} must be positive")
    return matrix.reshape(1, -1)
