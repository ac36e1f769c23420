"""bayesmix: mixture models for clustering and density estimation.

Names load on first use (PEP 562), so that importing the package is fast. ``__init__.pyi`` lists
them with types.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from bayesmix.additions import HOMES
from bayesmix.core import entries, lazy
from bayesmix.core.deprecated import MovedModules, warn_renamed

entries.declare(HOMES)
# First, as an earlier version may have left empty folders of the old names.
sys.meta_path.insert(
    0, MovedModules({"bayesmix.checking": "bayesmix.mcmc", "bayesmix.cli": "bayesmix.shell"})
)

_HOMES = lazy.homes(__file__)
_MODULES = tuple(name for name, home in _HOMES.items() if home == __name__)

__all__ = sorted(name for name in _HOMES if not name.startswith("_"))

_named = lazy.names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name in _MODULES or name == "io":  # the reference has ``bayesmix.io.save``
        return import_module(f"bayesmix.{name}")
    old = name not in _HOMES and not name.startswith("_")
    for module in ("plots", "results") if old else ():
        if name in (home := import_module(f"bayesmix.{module}")).__all__:
            warn_renamed(f"bayesmix.{name}", f"bayesmix.{module}.{name}")
            return getattr(home, name)
    return _named(name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
