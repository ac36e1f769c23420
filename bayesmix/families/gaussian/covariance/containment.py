"""Which covariance structures are special cases of others."""

from __future__ import annotations

from bayesmix.families.gaussian.covariance.models import NAMED


def label(structure: object) -> str:
    """Return a structure's letters; other values are unchanged."""
    named = NAMED.get(structure) if isinstance(structure, str) else None
    return str(structure) if named is None else named.letters


def contained(name: str) -> list[str]:
    """Return the structures that are special cases of one, in any units of columns."""
    structure = NAMED.get(name)
    return [] if structure is None else [other for other in NAMED if structure.contains(other)]
