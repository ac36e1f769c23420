"""The candidates of a search: every combination of K, covariance and whatever else is varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, TypeAlias

from sklearn.model_selection import ParameterGrid

from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.covariance.models import contained

Contents: TypeAlias = dict[tuple[int, int], list[tuple[int, int]]]


def component_numbers(value: Any, largest: int) -> list[int]:
    """K as a list of positive integers, from a number or a sequence; None: up to the largest."""
    if value is None:
        return list(range(1, largest + 1))
    values: list[Any] = [value] if isinstance(value, Integral) else list(value)
    fine = all(isinstance(k, Integral) and int(k) >= 1 for k in values)
    if not values or not fine:
        raise InvalidInputError(
            f"n_components must be a positive integer or a sequence of them, got {value!r}"
        )
    return [int(k) for k in values]


def candidate_chains(
    numbers: Sequence[int],
    structures: Sequence[Any],
    param_grid: Any,
    prefix: str = "",
) -> list[list[dict[str, Any]]]:
    """Parameter settings in chains that differ in K alone, as warm starts need.

    ``prefix`` ("step__") addresses the last step of a pipeline.
    """
    grids: list[Mapping[str, Any]] = list(ParameterGrid(param_grid)) if param_grid else [{}]
    chains = []
    for extra in grids:
        for structure in structures:
            fixed = dict(extra)
            if structure is not None:
                fixed[f"{prefix}covariance_type"] = structure
            chains.append([fixed | {f"{prefix}n_components": k} for k in numbers])
    return chains


def asked(parameters: Mapping[str, Any]) -> int:
    """K as a candidate names it."""
    named = (v for k, v in parameters.items() if k.split("__")[-1] == "n_components")
    return int(next(named, 0))


def contents(chains: Sequence[Sequence[Mapping[str, Any]]]) -> Contents:
    """Of every candidate, as (chain, place), those of simpler structures and otherwise the same."""
    places = {
        _name(parameters): (number, place)
        for number, chain in enumerate(chains)
        for place, parameters in enumerate(chain)
    }
    return {
        (number, place): [
            places[simpler] for simpler in map(_name, _contained(parameters)) if simpler in places
        ]
        for number, chain in enumerate(chains)
        for place, parameters in enumerate(chain)
    }


def simplest_first(inside: Contents, n_chains: int) -> list[int]:
    """Chains in an order in which each follows those of the candidates that its own contain."""
    sizes = [0] * n_chains
    for (number, _), simpler in inside.items():
        sizes[number] += len(simpler)
    return sorted(range(n_chains), key=sizes.__getitem__)


def _contained(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {**parameters, name: simpler}
        for name, structure in parameters.items()
        if name.split("__")[-1] == "covariance_type"
        for simpler in contained(structure)
    ]


def _name(parameters: Mapping[str, Any]) -> str:
    return repr(sorted(parameters.items()))
