"""Versions of the package and its dependencies."""

from __future__ import annotations

import platform
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version

__version__ = "0.3.0"
CORE_PACKAGES = ("numpy", "scipy", "scikit-learn", "pandas", "rich", "typer")
OPTIONAL_PACKAGES = ("matplotlib", "pyarrow", "arviz", "pymc", "nutpie")


def versions(packages: tuple[str, ...] = ("numpy", "scipy")) -> dict[str, str]:
    """Return versions of bayesmix, Python and installed dependencies."""
    numbers = {"bayesmix": __version__, "python": platform.python_version()}
    for package in packages:
        number = _installed(package)
        if number is not None:
            numbers[package] = number
    return numbers


@cache
def _installed(package: str) -> str | None:
    """Return the version from the loaded module, or from its metadata, which takes longer."""
    loaded: str | None = getattr(sys.modules.get(package), "__version__", None)
    if loaded is not None:
        return loaded
    try:
        return version(package)
    except PackageNotFoundError:
        return None
