"""What ``covariance_type`` stands for: a family of components."""

from __future__ import annotations

from typing import Any

from bayesmix import validation
from bayesmix.errors import InvalidInputError
from bayesmix.families.factor_analytic import FactorAnalytic
from bayesmix.families.gaussian import Gaussian
from bayesmix.families.gaussian.covariance.models import NAMED
from bayesmix.protocols import Family


def family_of(covariance_type: Any, reg_covar: Any, precisions_init: Any = None) -> Family:
    """The family, with ``reg_covar`` checked, and what only some structures take refused."""
    ridge = validation.auto_or_number("reg_covar", reg_covar, 0.0)
    if not isinstance(covariance_type, FactorAnalytic):
        names = tuple(NAMED)
        validation.one_of("covariance_type", covariance_type, names, "or FactorAnalytic(q)")
        return Gaussian(covariance_type, ridge)
    if ridge is not None:
        raise InvalidInputError(
            f"reg_covar must be 'auto' for factor analysers, got {reg_covar!r}: their noise is "
            "held at the resolution of the data already"
        )
    if precisions_init is not None:
        raise InvalidInputError(
            "precisions_init must be None for factor analysers, which hold no matrices: give "
            "means_init or init_params"
        )
    return covariance_type
