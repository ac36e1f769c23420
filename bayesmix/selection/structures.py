"""Covariance structures to compare: which were asked, which are one model, which can be estimated.

With one component, fourteen covariance structures are three models, and with one feature two. Each
model enters once, because duplicates would count twice in averages and probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from bayesmix.core import validation
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.covariance.models import (
    NAMED,
    OF_ONE_COLUMN,
    SCIKIT_LEARNS,
    STRUCTURES,
    Structure,
)

ALL = "all"
OTHERS = "or FactorAnalytic(q) or CommonSubspace(q)"
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
            validation.one_of("covariance_type", structure, names, OTHERS)
        structures += (
            all_structures(n_features, variational) if _is(structure, ALL) else [structure]
        )
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
    n_directions = getattr(structure, "n_extended_directions", None)
    return n_rows // (1 + (n_features if n_directions is None else n_directions))


def all_structures(n_features: int | None, variational: bool) -> list[str]:
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
    subspaces = any(structure is not along_directions(structure) for structure in structures)
    if not subspaces and not any(
        _is_named(structure) and NAMED[structure].name not in SCIKIT_LEARNS
        for structure in structures
    ):
        return chains
    n_contained = [
        len(contained(inside)) if _is_named(inside) else 0
        for inside in map(along_directions, structures)
    ]
    simple = sorted(range(len(chains)), key=n_contained.__getitem__)
    seen: set[str] = set()
    distinct: Chains = [[] for _ in chains]
    for i in simple:
        for parameters in chains[i]:
            inside = along_directions(structures[i])
            if parameters[number] == 1 and _is_named(inside):
                model = repr(sorted((parameters | {name: _alone(inside)}).items()))
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
    if not _is_named(structure):
        return not getattr(structure, "has_posterior", False)
    return NAMED[structure].nearest is not None


def _listed(asked: Any) -> list[Any]:
    return [asked] if isinstance(asked, str) or not isinstance(asked, Iterable) else list(asked)


def _is(structure: Any, name: str) -> bool:
    return isinstance(structure, str) and structure == name


def along_directions(structure: Any) -> Any:
    """Return the structure along the directions of a common subspace, others unchanged."""
    return getattr(structure, "covariance", structure)


def in_words(structure: Any) -> str:
    """Return "full covariance", or "full covariance in 8 directions" of a common subspace."""
    inside = along_directions(structure)
    if inside is structure:
        return f"{structure} covariance"
    n = structure.n_directions
    return f"{inside} covariance in {n} direction{'s' * (n > 1)}"


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


# In order of generality: I is a special case of E, and E of V.
RICHER = "IEV"


def labels_beside(structures: Sequence[Any]) -> dict[Any, str]:
    """Return the name of each structure, beside structures of mclust with letters: "tied (EEE)"."""
    letters = {each: NAMED[each].letters for each in structures if _is_named(each)}
    of_mclust = any(name == code for name, code in letters.items())
    return {
        each: f"{each} ({letters[each]})"
        if of_mclust and letters.get(each, each) != each
        else str(each)
        for each in structures
    }


def contained(name: str) -> list[str]:
    """Return the structures that are special cases of one, in any units of columns."""
    structure = NAMED.get(name)
    return [] if structure is None else [other for other in NAMED if contains(structure, other)]


def contains(structure: Structure, other: str) -> bool:
    """Whether the named structure is a special case, in any units of columns."""
    other_structure = NAMED.get(other)
    if other_structure is None or other_structure.name == structure.name:
        return False
    if other_structure.common_scale and not structure.common_scale:
        return False
    pairs = zip(structure.letters, other_structure.letters, strict=True)
    return all(RICHER.index(letter) >= RICHER.index(other_letter) for letter, other_letter in pairs)
