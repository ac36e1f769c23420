"""Runs of a fit in worker processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from joblib import Parallel, delayed

from bayesmix.core.parallel import single_threaded_blas
from bayesmix.em.model import Attempt
from bayesmix.em.run import Monitor
from bayesmix.search.fit import Outcome, one_run


def in_workers(attempt: Attempt, first: int, workers: int) -> Iterator[Outcome]:
    """Yield the runs from ``first`` on, with the same results as in this process."""
    monitor, runs = attempt.monitor, attempt.settings.n_init
    jobs = (
        delayed(_alone)(replace(attempt, monitor=Monitor(), index=index))
        for index in range(first, runs)
    )
    outcomes = Parallel(n_jobs=workers, return_as="generator")(jobs)
    for index, (outcome, apart) in enumerate(outcomes, first):
        monitor.stage = f"run {index + 1} of {runs}"
        monitor.counted(apart)
        yield outcome


def _alone(attempt: Attempt) -> tuple[Outcome, Monitor]:
    with single_threaded_blas():
        return one_run(attempt), attempt.monitor
