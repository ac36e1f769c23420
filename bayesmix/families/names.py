"""Families by name, as users write them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bayesmix.core.validation import meant
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.registry import BY_NAME, FAMILIES

AUTO = "auto"


def family_named(family: Any) -> Any:
    """Return the family of a name with default parameters; families and "auto" are unchanged."""
    if not isinstance(family, str) or family == AUTO:
        return family
    if family == "gaussian":  # the family of the kernel
        return Gaussian()
    if family not in BY_NAME:
        raise InvalidInputError(
            f"family must be 'auto', one of {', '.join(map(repr, BY_NAME))}, or a family such as "
            f"Gaussian(), got {family!r}{meant(family, list(BY_NAME))}"
        )
    return FAMILIES[family].make()


def families_compared(family: Any) -> list[Any]:
    """Return the families that a search compares for a family, a name, or a sequence of them."""
    named = isinstance(family, str) and family not in ("gaussian", AUTO) and family in BY_NAME
    if named and FAMILIES[family].compared:
        return [FAMILIES[name].make(**given) for name, given in FAMILIES[family].compared]
    if isinstance(family, str) or not isinstance(family, Sequence):
        return [family_named(family)]
    compared: list[Any] = []
    for member in family:
        compared += [one for one in families_compared(member) if one not in compared]
    refuse_unlike(compared)
    return compared


def refuse_unlike(families: Sequence[Any]) -> None:
    """Raise an error for densities of unlike measures, which no criterion compares."""
    apart = [getattr(one, "measure_apart", None) for one in families]
    if len(set(apart)) > 1:
        measure = next(own for own in apart if own is not None)
        place = apart.index(measure)
        other = next(k for k, own in enumerate(apart) if own != measure)
        raise UnsupportedError(
            f"{families[place]!r} has log densities of {measure}, which cannot be compared "
            f"with those of {families[other]!r}: search each family alone"
        )
