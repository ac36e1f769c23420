"""Threads over chunks, with BLAS limited to one thread, and worker processes over fits.

Results depend on neither number. The BLAS limit is counted for the whole process, as overlapping
limits would not be restored.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

from bayesmix.errors import InvalidInputError

# Processor time after which starting worker processes is worth while; wall time would depend on
# what else the machine does.
SECONDS_ALONE = 2.0
MOST_THREADS = 256  # as there are at most so many chunks

Item = TypeVar("Item")
Result = TypeVar("Result")


class _BlasHold:
    """Counter of users of single-threaded BLAS; the first sets the limit, the last restores it.

    threadpoolctl lets only the first thread set limits; under this lock another may take over.
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
            # Older releases of threadpoolctl have no controlling thread.
            hand_over = getattr(library, "clear_controlling_thread", None)
            if hand_over is not None:
                hand_over(force=True)
            library.set_num_threads(limit)
            if hand_over is not None:
                hand_over(force=True)


_blas = _BlasHold()


def _after_fork() -> None:
    """Reset locks and threads in a forked child, which inherits neither."""
    global _blas, _pool
    _blas = _BlasHold()
    _pool = ThreadPoolExecutor(MOST_THREADS, "bayesmix")


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit BLAS to one thread; may be nested and used by several threads."""
    hold = _blas
    hold.acquire()
    try:
        yield
    finally:
        hold.release()


def usable_cores() -> int:
    """Return the number of usable cores, 1 inside a worker process or thread."""
    if multiprocessing.parent_process() is not None:
        return 1
    # Names of threads of Dask, of pools and of joblib.
    name = threading.current_thread().name
    if name.startswith(("Dask", "ThreadPoolExecutor", "bayesmix")) or name.endswith("(worker)"):
        return 1
    usable = getattr(os, "sched_getaffinity", None)  # on Linux
    return (os.cpu_count() or 1) if usable is None else max(1, len(usable(0)))


def resolve_jobs(n_jobs: int | None) -> int:
    """Return the number of threads for ``n_jobs`` (None: all cores; negative as in joblib)."""
    if n_jobs is None:
        return usable_cores()
    if n_jobs == 0:
        raise InvalidInputError("n_jobs must not be 0: use None for all cores, or 1 for one")
    if n_jobs < 0:
        return max(1, usable_cores() + 1 + n_jobs)
    return int(n_jobs)


# Threads of this process, which wait for work between passes.
_pool = ThreadPoolExecutor(MOST_THREADS, "bayesmix")


def share_out(work: Callable[[int], None], n_items: int, n_jobs: int) -> None:
    """Call ``work(i)`` for each i in the caller and ``n_jobs`` - 1 threads; raise their errors."""
    indices = iter(range(n_items))

    def drain() -> None:
        try:
            for index in indices:
                work(index)
        except BaseException:
            list(indices)  # nothing is left for the others
            raise

    helping = [_pool.submit(drain) for _ in range(min(n_jobs, n_items) - 1)]
    try:
        drain()
    finally:
        started = [helper for helper in helping if not helper.cancel()]
        wait(started)
    for helper in started:
        helper.result()


def threads_for(n_items: int, n_jobs: int) -> int:
    """Return the number of threads, 1 inside a helper, which must not wait for others."""
    nested = threading.current_thread().name.startswith("bayesmix")
    return 1 if nested else min(n_jobs, n_items)


def ordered_map(
    step: Callable[[Item], Result], items: Iterable[Item], n_jobs: int
) -> Iterator[Result]:
    """Yield ``map(step, items)`` on up to ``n_jobs`` threads, in order."""
    items = list(items)
    n_jobs = threads_for(len(items), n_jobs)
    if n_jobs <= 1:
        yield from map(step, items)
        return
    results: list[Any] = [None] * len(items)

    def work(index: int) -> None:
        results[index] = step(items[index])

    share_out(work, len(items), n_jobs)
    yield from results


def in_turn(
    call: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], workers: int, began: float
) -> Iterator[Result]:
    """Yield ``call(*job)`` in order; worker processes help SECONDS_ALONE after ``began``.

    ``began`` is a value of ``time.process_time``.
    """
    for place, job in enumerate(jobs):
        if min(workers, len(jobs) - place) > 1 and time.process_time() - began > SECONDS_ALONE:
            from joblib import Parallel, delayed

            parallel = Parallel(n_jobs=workers, return_as="generator")
            yield from parallel(delayed(call)(*arguments) for arguments in jobs[place:])
            return
        yield call(*job)
