"""Cached properties and fast construction of frozen dataclasses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class once(Generic[Value]):
    """``functools.cached_property`` without its lock, which slows small fits before Python 3.12.

    Concurrent threads may compute the same value twice.
    """

    def __init__(self, compute: Callable[[Any], Value]) -> None:
        self.compute = compute
        self.name = compute.__name__
        self.__doc__ = compute.__doc__

    @overload
    def __get__(self, record: None, owner: Any) -> once[Value]: ...

    @overload
    def __get__(self, record: object, owner: Any) -> Value: ...

    def __get__(self, record: object | None, owner: Any) -> once[Value] | Value:
        if record is None:
            return self
        value = record.__dict__[self.name] = self.compute(record)
        return value

    def given(self, record: object, value: Value) -> None:
        """Store a known value."""
        record.__dict__[self.name] = value


Record = TypeVar("Record")


def filled_at_once(record: type[Record]) -> type[Record]:
    """Give a frozen dataclass an ``__init__`` that fills ``__dict__`` directly.

    The default one takes a twentieth of a pass over small data. Default factories are not
    supported.
    """
    made: Any = record
    own = fields(made)
    defaults = {f"of_{field.name}": field.default for field in own if field.default is not MISSING}
    arguments = [
        field.name if field.default is MISSING else f"{field.name}=of_{field.name}" for field in own
    ]
    lines = [f"def __init__(self, {', '.join(arguments)}):", "    values = self.__dict__"]
    lines += [f"    values[{field.name!r}] = {field.name}" for field in own]
    found: dict[str, Any] = {}
    exec("\n".join(lines), defaults, found)
    found["__init__"].__qualname__ = f"{record.__qualname__}.__init__"
    made.__init__ = found["__init__"]
    return record
