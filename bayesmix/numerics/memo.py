"""Properties of frozen records that are computed once.

Frozen dataclasses that are filled at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
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
