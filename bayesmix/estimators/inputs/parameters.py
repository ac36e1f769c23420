"""Parameters of estimators: ``covariance_type`` and ``noise`` as objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bayesmix.core import validation
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.covariance.models import NAMED
from bayesmix.families.gaussian.family import Gaussian

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.em.given_noise import GivenNoise


def store_parameters(estimator: Any, given: Mapping[str, Any]) -> None:
    """Store the arguments of ``__init__``, its ``locals()``, unchanged as attributes."""
    vars(estimator).update((name, value) for name, value in given.items() if name != "self")


def one_number(estimator: Any) -> None:
    """Raise an error for several numbers of components, which a search compares."""
    value = estimator.n_components
    if isinstance(value, Iterable) and not isinstance(value, str):
        raise InvalidInputError(
            f"n_components must be one number, got {value!r}: to choose among several, use "
            f"bayesmix.MixtureSearch({type(estimator).__name__}(), n_components={[*value]})"
        )


def family_of(covariance_type: Any, reg_covar: Any, precisions_init: Any = None) -> Family:
    """Return the family, after a check of ``reg_covar`` and options of certain structures."""
    ridge = validation.auto_or_number("reg_covar", reg_covar, 0.0)
    if getattr(covariance_type, "name", None) != "factor_analytic":
        names = tuple(NAMED)
        validation.one_of("covariance_type", covariance_type, names, "or FactorAnalytic(q)")
        return Gaussian(covariance_type, ridge)
    if ridge is not None:
        raise InvalidInputError(
            f"reg_covar must be 'auto' for factor analysers, got {reg_covar!r}: their noise "
            "variances have a floor already"
        )
    if precisions_init is not None:
        raise InvalidInputError(
            "precisions_init must be None for factor analysers, which have no such matrices: use "
            "means_init or init_params"
        )
    return covariance_type


def noise_density(value: Any) -> GivenNoise | None:
    """Return the noise; that of "uniform" is determined from the data of the fit."""
    if value is None or value is False:
        return None
    from bayesmix.allocation.noise import given_noise
    from bayesmix.starts.noise_starts import NoiseOfFit

    uniform = value is True or (isinstance(value, str) and value == "uniform")
    return NoiseOfFit(None if uniform else given_noise(value))
