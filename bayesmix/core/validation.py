"""Validation of parameters, with errors that name them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError


def integer(name: str, value: Any, least: int) -> int:
    """Return ``value`` as an integer of at least ``least``."""
    if not isinstance(value, Integral) or _is_flag(value) or int(value) < least:
        raise InvalidInputError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)


def optional_integer(name: str, value: Any, least: int) -> int | None:
    """Return None or an integer of at least ``least``."""
    return None if value is None else integer(name, value, least)


def number(name: str, value: Any, least: float, strict: bool = False) -> float:
    """Return ``value`` as a finite number of at least (or above) ``least``."""
    bound = "greater than" if strict else "at least"
    fine = isinstance(value, Real) and not _is_flag(value) and bool(np.isfinite(float(value)))
    if not fine or value < least or (strict and value == least):
        raise InvalidInputError(f"{name} must be a finite number {bound} {least:g}, got {value!r}")
    return float(value)


def auto_or_number(name: str, value: Any, least: float) -> float | None:
    """Return None for "auto", else a number of at least ``least``."""
    if isinstance(value, str):
        one_of(name, value, ("auto",), "or a number")
        return None
    return number(name, value, least)


def one_of(name: str, value: Any, choices: Sequence[Any], otherwise: str = "") -> Any:
    """Return ``value`` if it is one of the choices."""
    for choice in choices:
        if value is choice or (isinstance(value, str) and value == choice):
            return choice
    listed = ", ".join(map(repr, choices))
    more = f", {otherwise}" if otherwise else ""
    close = meant(value, choices)
    raise InvalidInputError(f"{name} must be one of {listed}{more}, got {value!r}{close}")


def meant(value: Any, choices: Sequence[Any]) -> str:
    """Return a question for the choice that a misspelt name is closest to, or ""."""
    from difflib import get_close_matches

    words = [choice for choice in choices if isinstance(choice, str)]
    close = get_close_matches(str(value).lower(), words, 1)
    return f": did you mean {close[0]!r}?" if close else ""


def in_memory(what: str, n_bytes: float, remedy: str) -> None:
    """Raise an error if an array would exceed the memory of this machine."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if n_bytes > memory:
        raise InvalidInputError(
            f"{what} would take {n_bytes / 1e9:,.1f} GB, and this machine has {memory / 1e9:,.1f}: "
            f"{remedy}"
        )


def written_out(name: str, value: Any) -> None:
    """Raise an error for broadcast arrays that would not fit into memory."""
    if isinstance(value, np.ndarray) and 0 in value.strides:
        in_memory(
            f"{name} of shape {value.shape} contains repeated entries and, in full,",
            8.0 * value.size,
            "pass distinct rows with sample_weight",
        )


def flag(name: str, value: Any) -> bool:
    """Return ``value`` as True or False."""
    if not _is_flag(value):
        raise InvalidInputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def verbosity(value: Any) -> int:
    """Return ``verbose`` as an integer."""
    return int(value) if _is_flag(value) else integer("verbose", value, 0)


def jobs(value: Any) -> int | None:
    """Return ``n_jobs``: None or an integer other than 0."""
    if value is None:
        return None
    if not isinstance(value, Integral) or _is_flag(value) or value == 0:
        raise InvalidInputError(
            f"n_jobs must be None (all cores), a number of threads, or negative as in joblib "
            f"(-1: all cores), got {value!r}"
        )
    return int(value)


def unmasked(name: str, value: Any, remedy: str = "") -> None:
    """Raise an error for masked entries, which would lose their mask; ``remedy`` is one more."""
    if isinstance(value, (list, tuple)) and any(map(np.ma.isMaskedArray, value)):
        value = np.ma.array(value)
    if not np.ma.is_masked(value):
        return
    places = np.argwhere(np.ma.getmaskarray(value))
    first = " and column ".join(map(str, places[0]))
    raise InvalidInputError(
        f"{name} must have no masked values, but {len(places)} are masked, the first in row "
        f"{first}: drop such rows, or fill them in (numpy.ma.filled){remedy}"
    )


def _is_flag(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))
