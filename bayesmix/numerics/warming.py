"""How kernels are called: the first call compiles or loads, and is not interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np


def call_kernel(name: str, values: Any, given: tuple[Any, ...], sums: tuple[Any, ...]) -> None:
    """Calls a kernel of ``numerics.compiled``; the first call loads the compiler.

    ``values``, the rows, are read-only. All else that is ``given`` is made contiguous and writable,
    by a copy where it is not, so that there is one kernel for a type of numbers, however arrays
    came about: another would be compiled for as long, and round otherwise.
    """
    kernel = _kernel(name)
    arguments = (values, *(_plain(one) for one in given), *sums)
    if getattr(kernel, "overloads", True):
        kernel(*arguments)
        return
    with _uninterrupted():
        kernel(*arguments)


def _plain(given: Any) -> Any:
    plain = not isinstance(given, np.ndarray) or given.flags.carray
    return given if plain else np.array(given, order="C")


@cache
def _kernel(name: str) -> Any:
    return getattr(import_module("bayesmix.numerics.compiled"), name)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C takes effect at the end: the compiler would swallow it, or break on it."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    heard: list[Any] = []
    signal.signal(signal.SIGINT, lambda *what: heard.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
    if heard:
        handler(*heard[0])
