"""Structures that are special cases of others, and their letters."""

from __future__ import annotations

from bayesmix.families.gaussian.covariance.models import NAMED, Structure

# In order of generality: I is a special case of E, and E of V.
RICHER = "IEV"


def label(structure: object) -> str:
    """Return a structure's letters; other values are unchanged."""
    named = NAMED.get(structure) if isinstance(structure, str) else None
    return str(structure) if named is None else named.letters


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
