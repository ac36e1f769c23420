"""The candidates of a search: every combination of K, covariance and whatever else is varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from sklearn.model_selection import ParameterGrid

from bayesmix.errors import InvalidInputError


def component_numbers(value: Any) -> list[int]:
    """K as a list of positive integers, from a number or a sequence."""
    values: list[Any] = [value] if isinstance(value, Integral) else list(value)
    fine = all(isinstance(k, Integral) and int(k) >= 1 for k in values)
    if not values or not fine:
        raise InvalidInputError(
            f"n_components must be a positive integer or a sequence of them, got {value!r}"
        )
    return [int(k) for k in values]


def candidate_parameters(
    n_components: Any,
    covariance_type: str | Sequence[str] | None,
    param_grid: Any,
    prefix: str = "",
) -> list[dict[str, Any]]:
    """Parameter settings in a fixed order: structures outermost, K innermost, as warm starts need.

    ``prefix`` ("step__") addresses the last step of a pipeline.
    """
    grids: list[Mapping[str, Any]] = list(ParameterGrid(param_grid)) if param_grid else [{}]
    structures: list[Any] = (
        [None]
        if covariance_type is None
        else [covariance_type]
        if isinstance(covariance_type, str)
        else list(covariance_type)
    )
    if not structures:
        raise InvalidInputError("covariance_type must name at least one structure")
    candidates = []
    for extra in grids:
        for structure in structures:
            for k in component_numbers(n_components):
                parameters: dict[str, Any] = dict(extra)
                if structure is not None:
                    parameters[f"{prefix}covariance_type"] = structure
                parameters[f"{prefix}n_components"] = k
                candidates.append(parameters)
    return candidates
