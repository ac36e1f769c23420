"""What a user says of a Gaussian prior, in data units and scikit-learn's words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.prior.normal_wishart import NormalWishart
from bayesmix.families.gaussian.prior.wishart_scale import FixedScale
from bayesmix.numerics.arrays import Array
from bayesmix.records import Frame
from bayesmix.validation import unmasked


@dataclass(frozen=True)
class GaussianPrior:
    """Hyperparameters of μ | Λ ~ N(m0, (β0 Λ)⁻¹), Λ ~ Wishart(W0, ν0); None leaves the default.

    Parameters
    ----------
    mean : array (D,), optional
        m0, in data units.
    mean_precision : float, optional
        β0 > 0.
    degrees_of_freedom : float, optional
        ν0 > D - 1 (full, tied), > 0 (diagonal and spherical ones).
    covariance : array, optional
        W0⁻¹ in data units: (D, D) for full, tied and what lies between, (D,) for diagonal ones, a
        number for spherical and EII. Taken as fixed; without it the default scale stands, which
        variational Bayes learns.

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
        """Whether the prior alone keeps every variance away from zero."""
        return self.covariance is not None

    def over(self, default: Any, frame: Frame) -> Any:
        """The default prior with what is given here in its place, in the frame.

        Raises ``InvalidInputError`` where a value has the wrong shape or is out of range.
        """
        if not isinstance(default, NormalWishart):
            # A prior over a transform of the data says in which frame the transform is.
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
    """One block from a covariance in scikit-learn's shape for the structure, checked."""
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
        # In columns of unit scale: units far apart would drown the smallest eigenvalue.
        unit = np.sqrt(np.abs(np.diagonal(matrix)))
        unit[unit == 0] = 1.0
        if np.linalg.eigvalsh(matrix / np.outer(unit, unit))[0] <= 0:
            raise InvalidInputError(f"{name} must be positive definite")
        return matrix[None]
    if np.min(matrix) <= 0:
        raise InvalidInputError(f"{name} must be positive")
    return matrix.reshape(1, -1)
