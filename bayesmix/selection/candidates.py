"""The candidates of a search: combinations of K, covariance structure and other parameters.

With one component, fourteen covariance structures are three models, and with one feature two. Each
model enters once, because duplicates would count twice in averages and probabilities.

Candidates may be pipelines that end in a mixture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from sklearn.model_selection import ParameterGrid

from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.sources import Parameters, Procedure
from bayesmix.em.result import WITHOUT_SEQUENCES, FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.covariance.models import (
    NAMED,
    OF_ONE_COLUMN,
    SCIKIT_LEARNS,
    STRUCTURES,
    contained,
)
from bayesmix.numerics.arrays import Array
from bayesmix.selection.scores import HeldOut, Score, rows_of

# Points at which steps of a pipeline are evaluated, and the allowed deviation from affine maps.
PROBES = 8
AFFINE = 1e-8


def last_step(model: Any) -> Any:
    """Return the mixture: an estimator itself, or the last step of a pipeline."""
    return model.steps[-1][1] if hasattr(model, "steps") else model


def takes_sequences(model: Any) -> bool:
    """Whether the order of samples matters to a model, or to the model of a search."""
    return noun_of(model) == "state"


def noun_of(model: Any) -> str:
    """Return what a component of a model, or of a search, is called: a state in sequences."""
    return getattr(last_step(getattr(model, "estimator", model)), "noun", "component")


def refuse_sequences(model: Any, what: str = "this analysis") -> None:
    """Raise an error for a model of sequences, which cannot be fitted to some of the samples."""
    if takes_sequences(model):
        raise UnsupportedError(WITHOUT_SEQUENCES.format(what))


def steps_before(model: Any) -> Any:
    """Return the steps of a pipeline before the mixture, as a pipeline; None if there are none."""
    return model[:-1] if hasattr(model, "steps") and len(model.steps) > 1 else None


def prefix_of(model: Any) -> str:
    """Return the prefix of the mixture's parameters: the name of the last step of a pipeline."""
    return f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""


def fit_weighted(model: Any, X: Any, sample_weight: Any, **options: Any) -> Any:
    """Fit, with sample weights if given; for a pipeline they go to its last step."""
    refuse_sequences(model)
    if sample_weight is None:
        return model.fit(X, **options)
    return model.fit(X, **{f"{prefix_of(model)}sample_weight": sample_weight}, **options)


def log_density(model: Any, X: Any) -> Array:
    """Return the log density (n,) in nats in the units of the given data, also for pipelines.

    The steps of a pipeline before its mixture must be affine and keep all columns, so that their
    Jacobian determinant is constant and densities are comparable across folds.
    """
    values: Array = model.score_samples(X)
    if (steps := steps_before(model)) is not None:
        values = values + log_stretch(steps, X)
    return values


def log_stretch(steps: Any, X: Any) -> float:
    """Return log |det| of fitted affine steps, from their values at points around the data."""
    rows = np.asarray(rows_of(X, slice(0, PROBES)), dtype=np.float64)
    n_features = rows.shape[1]
    origin = rows.mean(axis=0)
    generator = np.random.default_rng(0)
    reach = 1.0 + np.abs(origin)
    points = np.vstack(
        [
            origin,
            origin + np.diag(reach),
            origin + generator.standard_normal((PROBES, n_features)) * reach,
        ]
    )
    framed = hasattr(X, "columns") and hasattr(X, "iloc")
    given = pd.DataFrame(points, columns=X.columns) if framed else points
    transformed = np.asarray(steps.transform(given), dtype=np.float64)
    if transformed.shape != points.shape:
        raise UnsupportedError(
            f"a pipeline that maps {n_features} columns to {transformed.shape[1]} has no density "
            "in units of the data: keep every column, or transform before the search"
        )
    slope = (transformed[1 : n_features + 1] - transformed[0]) / reach[:, None]
    rest = transformed[n_features + 1 :]
    expected = transformed[0] + (points[n_features + 1 :] - origin) @ slope
    if np.abs(rest - expected).max() > AFFINE * (1.0 + np.abs(rest).max()):
        raise UnsupportedError(
            "a pipeline with steps that are not affine has no comparable density in units of the "
            "data: transform before the search"
        )
    sign, log_det = np.linalg.slogdet(slope)
    return float(log_det) if sign else -math.inf


Contents: TypeAlias = dict[tuple[int, int], list[tuple[int, int]]]


def component_numbers(value: Any, largest: int) -> list[int]:
    """Return K as a list of positive integers; None: up to the largest."""
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


def contents(chains: Sequence[Sequence[Mapping[str, Any]]]) -> Contents:
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


def simplest_first(inside: Contents, n_chains: int) -> list[int]:
    """Sort chains so that each follows the chains of simpler structures."""
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

    @property
    def n_labelled(self) -> int:
        """The number of components that known labels name."""
        return 0 if self.result is None else self.result.side.largest_label + 1

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
        parameters = [
            (key, value)
            for key, value in self.parameters.items()
            if key.split("__")[-1] != "n_components"
        ]
        return repr(sorted(parameters, key=lambda item: item[0]))

    @property
    def result(self) -> FitResult | None:
        """The fit, if there is one."""
        return None if self.estimator is None else last_step(self.estimator).result_

    @property
    def sound(self) -> FitResult | None:
        """The fit, unless its likelihood cannot be compared with others."""
        result = self.result
        return None if result is None or result.degenerate is not None else result


ALL = "all"
ONE = "n_components"
Chains = list[list[dict[str, Any]]]


def structures_asked(asked: Any, n_features: int | None, variational: bool) -> list[Any]:
    """Return the structures to compare, one name per model; [None] if the structure does not vary.

    "all" means the fourteen, or those with a conjugate prior for variational fits. ``n_features``
    is None if unknown.
    """
    if asked is None:
        return [None]
    listed = _listed(asked)
    if not listed:
        raise InvalidInputError("covariance_type must name at least one structure")
    structures: list[Any] = []
    for structure in listed:
        if isinstance(structure, str):
            names = (*NAMED, ALL)
            validation.one_of("covariance_type", structure, names, "or FactorAnalytic(q)")
        structures += every(n_features, variational) if _is(structure, ALL) else [structure]
    return list(
        {_model(structure, n_features): structure for structure in reversed(structures)}.values()
    )[::-1]


def have_posteriors(asked: Any) -> bool:
    """Whether variational fits support all requested structures; "all" means those that do."""
    named = (
        []
        if asked is None
        else [structure for structure in _listed(asked) if not _is(structure, ALL)]
    )
    return not any(without_posterior(structure) for structure in named)


def largest_number(structure: Any, n_rows: int, n_features: int) -> int:
    """Return the largest K whose covariance matrices have more observations than dimensions, or 0.

    Two observations are enough for variances per component; a shared matrix is estimated from all
    data.
    """
    if _is_named(structure):
        orientation = NAMED[structure].letters[2]
        if orientation != "V":
            shared = n_rows - n_features if orientation == "E" else n_rows
            return max(0, min(shared, n_rows // 2))
    n_directions = getattr(structure, "own_directions", None)
    return n_rows // (1 + (n_features if n_directions is None else n_directions))


def every(n_features: int | None, variational: bool) -> list[str]:
    """Return all structures that such fits support, from simple to rich."""
    if n_features == 1:
        return list(reversed(OF_ONE_COLUMN))
    return from_simple_to_rich(
        name
        for name, structure in STRUCTURES.items()
        if not variational or structure.nearest is None
    )


def from_simple_to_rich(structures: Iterable[Any]) -> list[Any]:
    """Sort structures by their number of parameters for K = 2 and D = 3, others last."""
    return sorted(
        structures, key=lambda name: NAMED[name].n_parameters(2, 3) if _is_named(name) else math.inf
    )


def each_once(chains: Chains, prefix: str = "") -> Chains:
    """Drop candidates with one component that are the same model as another.

    Searches over scikit-learn's four structures keep them, so that each structure has K = 1.
    """
    name, number = f"{prefix}covariance_type", f"{prefix}{ONE}"
    structures: list[Any] = [chain[0].get(name) for chain in chains]
    if not any(
        _is_named(structure) and NAMED[structure].name not in SCIKIT_LEARNS
        for structure in structures
    ):
        return chains
    n_contained = [len(contained(one)) if _is_named(one) else 0 for one in structures]
    simple = sorted(range(len(chains)), key=n_contained.__getitem__)
    seen: set[str] = set()
    distinct: Chains = [[] for _ in chains]
    for i in simple:
        for parameters in chains[i]:
            if parameters[number] == 1 and _is_named(structures[i]):
                model = repr(sorted((parameters | {name: _alone(structures[i])}).items()))
                if model in seen:
                    continue
                seen.add(model)
            distinct[i].append(parameters)
    return [chain for chain in distinct if chain]


def alike(structures: Sequence[Any]) -> dict[Any, list[Any]]:
    """Group structures that are the same model for one component."""
    return {
        structure: [
            other for other in structures if _is_named(other) and _alone(other) == _alone(structure)
        ]
        for structure in structures
        if _is_named(structure)
    }


def without_posterior(structure: Any) -> bool:
    """Whether variational fits, and so the evidence, are unavailable for this structure."""
    return not _is_named(structure) or NAMED[structure].nearest is not None


def _listed(asked: Any) -> list[Any]:
    return [asked] if isinstance(asked, str) or not isinstance(asked, Iterable) else list(asked)


def _is(structure: Any, name: str) -> bool:
    return isinstance(structure, str) and structure == name


def _is_named(structure: Any) -> bool:
    return isinstance(structure, str) and structure in NAMED


def _model(structure: Any, n_features: int | None) -> Any:
    """Return a key that is equal for names of the same model for every K."""
    if not _is_named(structure):
        return repr(structure)
    letters = NAMED[structure].letters
    return letters[0] if n_features == 1 else letters


def _alone(structure: str) -> str:
    """Return a key that is equal for structures that are the same model for K = 1."""
    letters = NAMED[structure].letters
    return "XII" if letters[1] == "I" else "XXI" if letters[2] == "I" else "XXX"
