"""The candidates of a search: mixtures, or pipelines that end in one, in chains over K."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias

from sklearn.model_selection import ParameterGrid

from bayesmix.core.mixture import Mixture
from bayesmix.core.procedures import last_step
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.scores import HeldOut, Score
from bayesmix.selection.structures import contained

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters, Procedure


# Simpler candidates with the same K, as (chain, place), by (chain, place).
SimplerCandidates: TypeAlias = dict[tuple[int, int], list[tuple[int, int]]]


def component_numbers(value: Any, largest: int) -> list[int]:
    """Return K as an increasing list of positive integers; None: up to the largest."""
    if value is None:
        return list(range(1, largest + 1))
    values: list[Any] = [value] if isinstance(value, Integral) else list(value)
    fine = all(isinstance(k, Integral) and int(k) >= 1 for k in values)
    if not values or not fine:
        raise InvalidInputError(
            f"n_components must be a positive integer or a sequence of them, got {value!r}"
        )
    return sorted({int(k) for k in values})


def candidate_chains(
    numbers: Sequence[int], structures: Sequence[Any], param_grid: Any, prefix: str = ""
) -> list[list[dict[str, Any]]]:
    """Return parameter settings in chains over K, in which each fit starts from the previous ones.

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
    """Return K under its parameter name."""
    named = (v for k, v in parameters.items() if k.split("__")[-1] == "n_components")
    return int(next(named, 0))


def simpler_candidates(chains: Sequence[Sequence[Mapping[str, Any]]]) -> SimplerCandidates:
    """Return, for every (chain, place), the candidates with simpler structures and the same K."""
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


def chains_by_level(simpler: SimplerCandidates, n_chains: int) -> list[list[int]]:
    """Return chains in groups, each after the groups of all simpler structures it contains."""
    sizes = [0] * n_chains
    for (number, _), others in simpler.items():
        sizes[number] = max(sizes[number], len(others))
    return [[n for n in range(n_chains) if sizes[n] == size] for size in sorted(set(sizes))]


def _contained(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {**parameters, name: simpler}
        for name, structure in parameters.items()
        if name.split("__")[-1] == "covariance_type"
        for simpler in contained(structure)
    ]


def _name(parameters: Mapping[str, Any]) -> str:
    return repr(sorted(parameters.items()))


@dataclass(frozen=True)
class Candidate:
    """Candidate fitted to all data or to one fold, with its scores.

    Scores are in nats, greater is better, NaN if there is none. ``density`` (m,) is the log density
    of held-out samples; ``begin`` is a start for the next candidate.
    """

    parameters: Parameters
    n_components: int
    scores: dict[str, Score]
    seconds: float
    note: str = ""
    warnings: tuple[str, ...] = ()
    estimator: Procedure | None = field(default=None, compare=False, repr=False)
    begin: Mixture | None = field(default=None, compare=False, repr=False)
    density: Array | None = field(default=None, compare=False, repr=False)
    interrupted: bool = False
    reached: float = math.nan  # the objective
    held: HeldOut | None = field(default=None, compare=False, repr=False)
    unkept: str = ""  # why it was not saved to the checkpoint

    @property
    def asked(self) -> int:
        """K as requested; a pruned fit may have fewer components."""
        return asked(self.parameters)

    def value(self, criterion: str) -> float:
        """Return the value of a score, NaN if there is none."""
        score = self.scores.get(criterion)
        return math.nan if score is None else score.value

    def comparable(self, criterion: str) -> float:
        """Return the value of a score, minus infinity if there is none."""
        value = self.value(criterion)
        return value if math.isfinite(value) else -math.inf

    @property
    def structure(self) -> str:
        """All parameters but the number of components."""
        others = {k: v for k, v in self.parameters.items() if k.split("__")[-1] != "n_components"}
        return repr(sorted(others.items(), key=lambda item: item[0]))

    @property
    def result(self) -> FitResult | None:
        """The fit, if there is one."""
        return None if self.estimator is None else last_step(self.estimator).result_

    @property
    def sound(self) -> FitResult | None:
        """The fit, unless its likelihood cannot be compared with others."""
        result = self.result
        return None if result is None or result.degenerate is not None else result
