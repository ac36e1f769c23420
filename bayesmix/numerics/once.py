"""Properties of frozen records that are computed once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

Value = TypeVar("Value")


class once(Generic[Value]):
    """``functools.cached_property`` without its lock, which before Python 3.12 all records share.

    Small fits spend more time on the lock than on what it guards, and threads wait for one another
    there. Two that come at once compute the same value twice.
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
        """Take as computed what was known already."""
        record.__dict__[self.name] = value
