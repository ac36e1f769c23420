"""Frozen dataclasses that are filled at once."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

Record = TypeVar("Record")


def filled_at_once(record: type[Record]) -> type[Record]:
    """A frozen dataclass whose ``__init__`` does not set field after field past its own guard.

    Those calls are a twentieth of a pass over few rows. Fields have no default factories.
    """
    made: Any = record
    own = fields(made)
    defaults = {f"of_{one.name}": one.default for one in own if one.default is not MISSING}
    arguments = [one.name if one.default is MISSING else f"{one.name}=of_{one.name}" for one in own]
    lines = [f"def __init__(self, {', '.join(arguments)}):", "    values = self.__dict__"]
    lines += [f"    values[{one.name!r}] = {one.name}" for one in own]
    found: dict[str, Any] = {}
    exec("\n".join(lines), defaults, found)
    found["__init__"].__qualname__ = f"{record.__qualname__}.__init__"
    made.__init__ = found["__init__"]
    return record
