"""Old names that work for two minor versions, with a ``FutureWarning`` for the new name.

They are listed in ``docs/reference/deprecations.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from bayesmix.errors import InvalidInputError, warn

REMOVED_IN = "0.5"

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")


def warn_renamed(old: str, new: str) -> None:
    """Warn that ``old`` is now called ``new``."""
    warn(f"{old} is now {new}; the old name will be removed in version {REMOVED_IN}", FutureWarning)


def renamed_keyword(
    old: str, new: str
) -> Callable[[Callable[Arguments, Returned]], Callable[Arguments, Returned]]:
    """Let a function accept a keyword by its old name."""

    def decorated(function: Callable[Arguments, Returned]) -> Callable[Arguments, Returned]:
        @wraps(function)
        def called(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Returned:
            if old in kwargs:
                if new in kwargs:
                    raise InvalidInputError(f"{old} is the old name of {new}: use {new} only")
                warn_renamed(f"{function.__name__}({old}=...)", f"{new}=...")
                kwargs[new] = kwargs.pop(old)
            return function(*args, **kwargs)

        return called

    return decorated
