"""Level 6: figures of fits, searches and comparisons; Matplotlib is imported when one is drawn.

They load on first use; ``__init__.pyi`` lists them with types.
"""

from __future__ import annotations

from bayesmix.core import lazy

_HOMES = lazy.homes(__file__)

__all__ = sorted(_HOMES)

__getattr__ = lazy.names(__name__, _HOMES)


def __dir__() -> list[str]:
    return __all__
