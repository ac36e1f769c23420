"""Reading tables, and saving fitted models without pickle; names load on first use."""

from __future__ import annotations

from bayesmix.core import lazy

_HOMES = lazy.homes(__file__)

__all__ = sorted(_HOMES)

__getattr__ = lazy.names(__name__, _HOMES)
