"""Names of a package that load on first use."""

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
