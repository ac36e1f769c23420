"""What a part of the package looks up by name, because it stands in a higher part.

The door of the package declares the one table, ``bayesmix.additions.HOMES``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

_HOMES: dict[tuple[str, str], str] = {}


def declare(homes: Mapping[tuple[str, str], str]) -> None:
    """Declare where to find entries, ``"folder.module:name"`` by kind and key."""
    _HOMES.update(homes)


def entry(kind: str, key: str) -> Any:
    """Import and return the class or function of a kind under a key.

    Raises
    ------
    LookupError
        If no part of the package declared it.
    """
    if (kind, key) not in _HOMES:
        keys = ", ".join(repr(other) for of, other in sorted(_HOMES) if of == kind)
        raise LookupError(
            f"no {kind} is declared for {key!r}, only for {keys or 'nothing'}: add "
            f"({kind!r}, {key!r}) to HOMES in bayesmix/additions.py"
        )
    module, _, name = _HOMES[kind, key].partition(":")
    return getattr(import_module(f"bayesmix.{module}"), name)


def estimator_class(name: str) -> type[Any]:
    """Return the class of an estimator that can be saved."""
    found: type[Any] = entry("estimator", name)
    return found


def report_writer() -> Callable[..., Path]:
    """Return the function that writes the report of a search."""
    writer: Callable[..., Path] = entry("report", "search")
    return writer


def compared_effects(noun: str) -> Callable[..., list[str]]:
    """Return the function that names the effects of covariates which a search compares.

    ``noun`` is what a component of the model is called.
    """
    compared: Callable[..., list[str]] = entry("effects", noun)
    return compared


def page_maker(noun: str) -> Callable[[Any, str], str]:
    """Return the function that makes the page of a search over models of such components."""
    maker: Callable[[Any, str], str] = entry("page", noun)
    return maker
