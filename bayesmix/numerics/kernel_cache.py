"""Compiled kernels on disk: what cannot be read is compiled anew, what cannot be written is not.

A file for every kernel and signature, named by both, so that two processes never write different
things to one place. It begins with a digest of its content, of the source and of the compiler: a
torn or damaged file, or one of an older source, is as good as none. Processes that need the same
kernel at once wait for the first of them, which says that it compiles.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.serialize import dumps

from bayesmix.writing import write

DIGEST_BYTES = 32
COMPILER = logging.getLogger("bayesmix.compiler")


class KernelFiles:
    """The files of one kernel, in the place of Numba's index and data files."""

    def __init__(self, folder: str, name: str, source: bytes) -> None:
        self._folder, self._name = Path(folder), name
        self._stamp = hashlib.sha256(source).digest() + numba.__version__.encode()

    def load(self, key: Any) -> Any:
        """What was saved for the key, or None."""
        content = self._path(key).read_bytes()
        digest, data = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        return pickle.loads(data) if digest == self._digest(data) else None

    def save(self, key: Any, kernel: Any) -> None:
        """Written whole or not at all."""
        data = dumps(kernel)
        write(self._path(key), self._digest(data) + data)

    def turn(self, key: Any) -> ExitStack:
        """Begins when no other process compiles the kernel; to be closed at the end."""
        held = ExitStack()
        with suppress(ImportError, OSError):
            import fcntl

            lock = held.enter_context(self._path(key).with_suffix(".lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        return held

    def _path(self, key: Any) -> Path:
        named = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        return self._folder / f"{self._name}.{named}.kernel"

    def _digest(self, data: bytes) -> bytes:
        return hashlib.sha256(self._stamp + data).digest()


class KernelCache(FunctionCache):  # type: ignore[misc]
    """Numba's cache of one function, which never ends a fit."""

    def __init__(self, function: Any) -> None:
        super().__init__(function)
        # Not its time, which a checkout changes.
        source = Path(function.__code__.co_filename).read_bytes()
        self._cache_file = KernelFiles(self._cache_path, self._impl.filename_base, source)
        self._turn = ExitStack()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled function, or None where it is for this process to compile it."""
        found = self._found(sig, target_context)
        if found is None:
            self._turn = self._cache_file.turn(self._index_key(sig, target_context.codegen()))
            found = self._found(sig, target_context)
            if found is None:
                _say_compiling()
            else:
                self._turn.close()
        return found

    def _found(self, sig: Any, target_context: Any) -> Any:
        # Whatever goes wrong in a file that somebody else wrote, compiling is the way out.
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, if that can be done."""
        try:
            super().save_overload(sig, data)
        except Exception:
            _say_not_kept(self._cache_path)
        self._turn.close()


def with_cache(kernel: Any) -> Any:
    """A function that Numba compiles, cached on disk where there is a place for it."""
    try:
        kernel._cache = KernelCache(kernel.py_func)
    except (RuntimeError, OSError):
        _say_not_kept("any folder")
    return kernel


@cache
def _say_compiling() -> None:
    COMPILER.warning(
        "bayesmix compiles its kernels for this machine, for half a minute; later runs find them "
        "in a cache"
    )


@cache
def _say_not_kept(folder: str) -> None:
    logging.getLogger("bayesmix").warning(
        "compiled kernels cannot be kept in %s: every process compiles them anew; "
        "make room there, or name another folder in NUMBA_CACHE_DIR",
        folder,
    )
