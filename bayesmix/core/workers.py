"""Worker processes for independent fits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from joblib import Parallel, delayed

from bayesmix.core.parallel import SECONDS_ALONE

Result = TypeVar("Result")


def in_turn(
    call: Callable[..., Result], jobs: Sequence[tuple[Any, ...]], workers: int, began: float
) -> Iterator[Result]:
    """Yield ``call(*job)`` in order; worker processes help SECONDS_ALONE after ``began``.

    ``began`` is a value of ``time.process_time``.
    """
    for place, job in enumerate(jobs):
        if min(workers, len(jobs) - place) > 1 and time.process_time() - began > SECONDS_ALONE:
            parallel = Parallel(n_jobs=workers, return_as="generator")
            yield from parallel(delayed(call)(*arguments) for arguments in jobs[place:])
            return
        yield call(*job)
