"""Fits to many data sets: each keyed by its number, so that no result depends on who made it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from sklearn.base import clone

from bayesmix.errors import BayesmixWarning, warn
from bayesmix.parallel import SECONDS_ALONE, resolve_jobs
from bayesmix.records import Mixture
from bayesmix.selection.pipelines import fit_weighted, last_step, prefix_of
from bayesmix.workflow.progress import FitProgress
from bayesmix.workflow.result import FitResult

EXPLICIT_STARTS = ("weights_init", "means_init", "precisions_init")

Result = TypeVar("Result")


def repeated(
    task: Callable[[int], Result], n: int, n_jobs: int | None, what: str, progress: bool | None
) -> list[Result]:
    """``[task(0), ..., task(n - 1)]``, or fewer of ``what`` there are, where Ctrl-C came."""
    return collected(_each(task, n, min(resolve_jobs(n_jobs), n)), n, what, progress)


def _each(task: Callable[[int], Result], n: int, workers: int) -> Iterator[Result]:
    """``task(0), ..., task(n - 1)``, by worker processes as well once it takes a while."""
    began = time.perf_counter()
    for number in range(n):
        if workers > 1 and time.perf_counter() - began > SECONDS_ALONE:
            from joblib import Parallel, delayed

            parallel = Parallel(n_jobs=workers, return_as="generator")
            yield from parallel(delayed(task)(left) for left in range(number, n))
            return
        yield task(number)


def collected(
    results: Iterable[Result],
    total: int,
    what: str,
    progress: bool | None,
    label: Callable[[Result], str] = lambda result: "",
) -> list[Result]:
    """What comes, counted by a bar; Ctrl-C ends it with what there is, and a warning says so."""
    done: list[Result] = []
    with FitProgress(total, progress, what) as bar:
        try:
            for result in results:
                done.append(result)
                bar.advance(label(result))
        except KeyboardInterrupt:
            if not done:
                raise
            warn(
                f"interrupted: this rests on the first {len(done)} of {total} {what}",
                BayesmixWarning,
            )
    return done


def to_refit(model: Any, seed: int, n_jobs: int | None, **parameters: Any) -> Any:
    """An unfitted copy for many fits: seeded where it has no seed, silent, one core a worker."""
    copy = clone(model)
    inner = last_step(copy)
    filled = {"random_state": seed, "progress": False}
    if resolve_jobs(n_jobs) > 1:
        filled["n_jobs"] = 1
    known = inner.get_params(deep=False)
    left_open = {name: value for name, value in filled.items() if known.get(name, 0) is None}
    return copy.set_params(**_of_last_step(copy, {**left_open, **parameters}))


def no_starts(estimator: Any) -> dict[str, Any]:
    """Parameters without explicit starts, which belong to one data set and one K."""
    parameters: dict[str, Any] = {
        name: None for name in EXPLICIT_STARTS if hasattr(estimator, name)
    }
    if not isinstance(getattr(estimator, "init_params", ""), str):
        parameters["init_params"] = "kmeans"
    return parameters


def quiet(fit: Callable[..., FitResult]) -> Callable[..., FitResult]:
    """A fit without its warnings; Ctrl-C in one fit ends all of them."""

    def fitted(candidate: Any, near: tuple[Mixture, ...] = ()) -> FitResult:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = fit(candidate, near)
        if result.status == "interrupted":
            raise KeyboardInterrupt
        return result

    return fitted


def fit_quietly(model: Any, X: Any, sample_weight: Any = None, **options: Any) -> Any:
    """``model`` fitted, without its warnings; Ctrl-C in one fit ends all of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit_weighted(model, X, sample_weight, **options)
    inner = last_step(model)
    result = getattr(inner, "result_", None)
    if getattr(inner, "interrupted_", False) or getattr(result, "status", "") == "interrupted":
        raise KeyboardInterrupt
    return model


def _of_last_step(model: Any, parameters: dict[str, Any]) -> dict[str, Any]:
    return {f"{prefix_of(model)}{name}": value for name, value in parameters.items()}
