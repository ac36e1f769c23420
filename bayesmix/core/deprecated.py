"""Old names that work for two minor versions, with a ``FutureWarning`` for the new name.

They are listed in ``docs/reference/deprecations.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

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


class MovedModules:
    """Finder and loader of modules by their old names, for ``sys.meta_path``.

    ``folders`` maps old names of folders to new ones. A module of an old name has the attributes of
    the module that moved.
    """

    def __init__(self, folders: Mapping[str, str]) -> None:
        self.folders = folders

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the description of a moved module; None for all others."""
        if self._new_name(name) is None:
            return None
        loader: Any = self
        return ModuleSpec(name, loader, is_package=name in self.folders)

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave the creation of the module to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Warn, and let the module look up its attributes in the one that moved."""
        new = str(self._new_name(module.__name__))
        vars(module)["__getattr__"] = partial(getattr, import_module(new))
        warn_renamed(module.__name__, new)

    def _new_name(self, name: str) -> str | None:
        """Return the new name of a module; None for a module that did not move."""
        for old, new in self.folders.items():
            if name == old or name.startswith(f"{old}."):
                return new + name.removeprefix(old)
        return None
