"""Cached properties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast, overload

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
        """Set the value of a record, known from elsewhere."""
        record.__dict__[self.name] = value


def cached(owner: object, key: tuple[Any, ...], compute: Callable[[], Value]) -> Value:
    """Return a value that depends on a record and a key, computed once."""
    values = owner.__dict__.setdefault("cached", {})
    if key not in values:
        values[key] = compute()
    return cast(Value, values[key])
