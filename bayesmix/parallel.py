"""Threads over chunks, with BLAS held to one thread while they run.

Chunks are mapped in order and results come back in order, so that the number of threads changes
no bit of an answer. The hold on BLAS is one for the whole process and counted: overlapping limits
set from two threads would otherwise restore each other's values and leave BLAS at one thread.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from bayesmix.errors import InvalidInputError

Item = TypeVar("Item")
Result = TypeVar("Result")


class _BlasHold:
    """Counts who needs BLAS on one thread; the first sets the limit, the last restores it.

    Who comes first and who goes last may be different threads. threadpoolctl lets only one thread
    set limits, the first that did; under this lock it is safe to hand that role over.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders = 0
        self._libraries: list[Any] | None = None
        self._limits: list[int] = []

    def acquire(self) -> None:
        with self._lock:
            if self._holders == 0:
                if self._libraries is None:
                    from threadpoolctl import ThreadpoolController

                    controller = ThreadpoolController().select(user_api="blas")
                    self._libraries = list(controller.lib_controllers)
                self._limits = [library.num_threads for library in self._libraries]
                self._set([1] * len(self._libraries))
            self._holders += 1

    def release(self) -> None:
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._set(self._limits)

    def _set(self, limits: list[int]) -> None:
        for library, limit in zip(self._libraries or [], limits, strict=True):
            # Older releases of threadpoolctl know of no such role.
            hand_over = getattr(library, "clear_controlling_thread", None)
            if hand_over is not None:
                hand_over(force=True)
            library.set_num_threads(limit)
            if hand_over is not None:
                hand_over(force=True)


_blas = _BlasHold()


def _after_fork() -> None:
    """A child starts with a hold of its own: the parent's lock may have been taken at the fork."""
    global _blas
    _blas = _BlasHold()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread, nested and from several threads alike."""
    hold = _blas
    hold.acquire()
    try:
        yield
    finally:
        hold.release()


def usable_cores() -> int:
    """How many cores this process may use; one inside a worker, be it a process or a thread."""
    if multiprocessing.parent_process() is not None:
        return 1
    # Threads of Dask, of pools and of joblib, by the names that they are given.
    name = threading.current_thread().name
    if name.startswith(("Dask", "ThreadPoolExecutor", "bayesmix")) or name.endswith("(worker)"):
        return 1
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def resolve_jobs(n_jobs: int | None) -> int:
    """Number of threads for ``n_jobs`` (None: all usable cores; negative as in joblib)."""
    if n_jobs is None:
        return usable_cores()
    if n_jobs == 0:
        raise InvalidInputError("n_jobs must not be 0: use None for all cores, or 1 for one")
    if n_jobs < 0:
        return max(1, usable_cores() + 1 + n_jobs)
    return int(n_jobs)


def ordered_map(
    step: Callable[[Item], Result], items: Iterable[Item], n_jobs: int
) -> Iterator[Result]:
    """``map(step, items)`` on up to ``n_jobs`` threads, results in order.

    The pool lives for one call only: a pool kept across a ``fork`` would hang the child.
    """
    items = list(items)
    if n_jobs <= 1 or len(items) <= 1:
        yield from map(step, items)
        return
    with ThreadPoolExecutor(min(n_jobs, len(items)), thread_name_prefix="bayesmix") as pool:
        try:
            yield from pool.map(step, items)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
