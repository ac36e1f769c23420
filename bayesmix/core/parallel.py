"""Threads over chunks, with BLAS held to one thread while they run.

Chunks are mapped in order and results come back in order, so that the number of threads changes
no bit of an answer. The hold on BLAS is one for the whole process and counted: overlapping limits
set from two threads would otherwise restore each other's values and leave BLAS at one thread.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar

from bayesmix.errors import InvalidInputError

# Of serial work before worker processes are worth their own beginning.
SECONDS_ALONE = 2.0

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
    """A child starts with a hold and threads of its own: those of the parent are not there."""
    global _blas, _helpers
    _blas = _BlasHold()
    _helpers = _Helpers()


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


class _Helpers:
    """The threads of this process: begun when first needed, dropped at a fork, never nested."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._size = 0
        self._tasks: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def ask(self, task: Callable[[], None], n: int) -> None:
        """Have ``task`` called n times, by threads that have nothing else to do."""
        with self._lock:
            for number in range(self._size, n):
                name = f"bayesmix-{number}"
                threading.Thread(target=self._serve, name=name, daemon=True).start()
            self._size = max(self._size, n)
        for _ in range(n):
            self._tasks.put(task)

    def _serve(self) -> None:
        while True:
            self._tasks.get()()


_helpers = _Helpers()


class _Shared:
    """Items that a caller and its helpers take in turn, until none is left or one has failed.

    Futures would do, at several times the cost: a pass over few rows takes no longer than they.
    """

    def __init__(self, work: Callable[[int], None], n_items: int) -> None:
        self.work = work
        self.indices = iter(range(n_items))
        self.lock = threading.Lock()
        self.open = True
        self.helping = 0
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()

    def drain(self) -> None:
        """Take items while there are any."""
        while True:
            with self.lock:
                index = next(self.indices, None) if self.open else None
            if index is None:
                return
            try:
                self.work(index)
            except BaseException:
                self.open = False
                raise

    def help(self) -> None:
        """``drain`` in another thread, unless the caller is through already."""
        with self.lock:
            if not self.open:
                return
            self.helping += 1
        raised: BaseException | None = None
        try:
            self.drain()
        except BaseException as error:
            raised = error
        self.ended.put(raised)

    def close(self) -> list[BaseException]:
        """What helpers raised, once all have stopped."""
        with self.lock:
            self.open = False
        ended = [self.ended.get() for _ in range(self.helping)]
        return [error for error in ended if error is not None]


def _share_out(work: Callable[[int], None], n_items: int, n_jobs: int) -> None:
    """``work(i)`` for every i, taken in order by the caller and ``n_jobs`` - 1 threads.

    What a thread raised is raised here once all have stopped; after that nothing more is begun.
    """
    shared = _Shared(work, n_items)
    _helpers.ask(shared.help, min(n_jobs, n_items) - 1)
    try:
        shared.drain()
    finally:
        raised = shared.close()
    if raised:
        raise raised[0]


def _threads(n_items: int, n_jobs: int) -> int:
    """How many threads to use: one within a thread of our own, which must not wait for others."""
    nested = threading.current_thread().name.startswith("bayesmix")
    return 1 if nested else min(n_jobs, n_items)


def ordered_map(
    step: Callable[[Item], Result], items: Iterable[Item], n_jobs: int
) -> Iterator[Result]:
    """``map(step, items)`` on up to ``n_jobs`` threads, results in order."""
    items = list(items)
    n_jobs = _threads(len(items), n_jobs)
    if n_jobs <= 1:
        yield from map(step, items)
        return
    results: list[Any] = [None] * len(items)

    def work(index: int) -> None:
        results[index] = step(items[index])

    _share_out(work, len(items), n_jobs)
    yield from results


def reduced(step: Callable[[Item], Result], items: Sequence[Item], n_jobs: int) -> Result:
    """Σ of ``step(item)`` in a fixed binary tree, each pair added as soon as both are there.

    The tree is that of neighbours, then of neighbouring pairs, and so on, whoever comes first; no
    more sums are kept than the tree is high, and one for each thread.
    """
    n_items = len(items)
    n_jobs = _threads(n_items, n_jobs)
    waiting: dict[tuple[int, int], Any] = {}
    lock = threading.Lock()

    def work(index: int) -> None:
        total = step(items[index])
        level, width = 0, n_items
        while width > 1:
            if index ^ 1 < width:
                with lock:
                    other = waiting.pop((level, index ^ 1), None)
                    if other is None:
                        waiting[level, index] = total
                        return
                total = other + total if index % 2 else total + other
            level, index, width = level + 1, index // 2, (width + 1) // 2
        waiting[level, 0] = total

    if n_jobs <= 1:
        for index in range(n_items):
            work(index)
    else:
        _share_out(work, n_items, n_jobs)
    total: Result
    (total,) = waiting.values()
    return total
