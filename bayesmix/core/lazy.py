"""Names of a package that load on first use (PEP 562)."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return ``__getattr__`` for a package; ``homes`` maps names to submodules.

    ``"module:other"`` maps a second name to ``other`` of the module.
    """

    def named(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, other = homes[name].partition(":")
        value = getattr(import_module(f"{package}.{module}"), other or name)
        setattr(sys.modules[package], name, value)
        return value

    return named
