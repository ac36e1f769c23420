"""A word to whoever waits for the compiler, which is once on a machine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECONDS_BEFORE_A_WORD = 2.0


@contextmanager
def told_when_long(kernel: Any) -> Iterator[None]:
    """Says so where the first call of a kernel in this process has to compile it for long."""
    if getattr(kernel, "overloads", True):
        yield
        return
    timer = threading.Timer(SECONDS_BEFORE_A_WORD, _say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _say() -> None:
    logging.getLogger("bayesmix").warning(
        "bayesmix compiles its kernels for this machine; later runs find them in a cache"
    )
