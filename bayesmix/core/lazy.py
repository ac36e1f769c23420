"""Names of a package, and methods of a class, that load on first use."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any


def homes(file: str) -> dict[str, str]:
    """Return the modules of the names in the stub beside a file, ``"module:other"`` if renamed."""
    text = Path(file).with_suffix(".pyi").read_text("utf-8")
    imports = re.findall(r"^from (\S+) import \(?\s*(\w+) as \w+", text, re.MULTILINE)
    named = {name: module for module, name in imports}
    renamed = re.findall(r"^(\w+) = (\w+)$", text, re.MULTILINE)
    return named | {name: f"{named[first]}:{first}" for name, first in renamed}


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return ``__getattr__`` for a module; ``homes`` maps its names to modules."""

    def named(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, other = homes[name].partition(":")
        value = getattr(import_module(module), other or name)
        setattr(sys.modules[package], name, value)
        return value

    return named


class Deferred:
    """A method that loads on first use, from a class of another module."""

    def __init__(self, home: str) -> None:
        self.home = home

    def __set_name__(self, owner: type, name: str) -> None:
        self.owner, self.name = owner, name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        module, _, name = self.home.partition(":")
        method = vars(getattr(import_module(module), name))[self.name]
        setattr(self.owner, self.name, method)
        return method.__get__(instance, owner)


def methods(home: str, names: str) -> type:
    """Return a base class with methods of a class, ``"module:Class"``, that load on first use.

    Type checkers see the class itself, under ``TYPE_CHECKING``.
    """
    return type(home.partition(":")[2], (), {name: Deferred(home) for name in names.split()})
