"""A fit to rows that go by: it begins with a batch, and goes on with others, or with it again."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import cast

import numpy as np

from bayesmix.engine.streaming import BatchSums, Name, Stream, best_merge, is_sound, visited
from bayesmix.errors import DegenerateFitError, InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Family, Source
from bayesmix.records import Event
from bayesmix.workflow.fit import units_of
from bayesmix.workflow.model import Model, dense_form
from bayesmix.workflow.result import DensitySums, FitResult

STREAMED = "streamed"  # a status


def rows_needed(model: Model, n_features: int) -> int:
    """How many rows the first batch must have."""
    return max(2, model.n_components * (n_features + 1))


def check_first(model: Model, source: Source) -> None:
    """Refuse what no stream can begin with."""
    if model.noise is not None:
        raise UnsupportedError("partial_fit does not know of noise: use fit, or noise=None")
    refuse_family(model.family)
    n_rows, n_features = source.shape
    needed = rows_needed(model, n_features)
    if n_rows < needed:
        raise InvalidInputError(
            f"X must have at least {needed} rows in the first batch of a stream, n_components x "
            f"(columns + 1), got {n_rows}: scales, prior and first mixture are made of that batch "
            "alone and stay, so gather rows until there are some thousands"
        )


def refuse_family(family: Family) -> None:
    """Refuse families whose sums say too little of the rows."""
    if not family.linear:
        raise UnsupportedError(
            f"partial_fit needs a family whose log density is linear in its sums, and "
            f"{family.name!r} has none: use fit"
        )


def begun(first: FitResult, source: Source, name: Name | None, prune: bool) -> FitResult:
    """A stream that has seen the rows that ``first`` is a fit to."""
    if first.mixture.frame.basis is not None:
        told = [event.text for event in first.events if event.kind == "flat"]
        raise InvalidInputError(
            f"X must vary in every direction in the first batch of a stream: {'; '.join(told)}: "
            "begin with a batch in which it does, or leave such columns out"
        )
    # To all but products it is an array.
    stream = Stream(first.mixture, cast("Array | None", first.resolution))
    nothing_yet = replace(first, stream=stream, n_rows=0, trace=np.empty(0))
    return arrived(nothing_yet, source, name, prune)


def arrived(
    result: FitResult,
    source: Source,
    name: Name | None,
    prune: bool,
    forgetting: float | None = None,
) -> FitResult:
    """With one batch more, or one that comes again: its E-step, and the M-step on all sums.

    ``prune``: components of a posterior may be merged where that raises the bound.
    """
    began = time.perf_counter()
    stream = result.stream
    assert stream is not None
    if forgetting is not None:
        stream = stream.each(lambda sums: sums.scaled(1.0 - forgetting))
    before = stream.named.get(name)
    with single_threaded_blas():
        try:
            sums = _visited(result, stream, source)
            stream = stream.arrived(sums, name).updated(result.inference)
            again = before is not None and _alike(before, sums)
            merges: tuple[Event, ...] = ()
            if prune and result.variational:
                stream, merges = _with_fewer(result, stream)
            return _result(result, stream, again, merges, time.perf_counter() - began)
        except DegenerateFitError as problem:
            raise DegenerateFitError(
                f"with this batch {problem}; the stream is as it was before"
            ) from None


def _visited(result: FitResult, stream: Stream, source: Source) -> BatchSums:
    """The sums of a batch at the present mixture."""
    mixture = stream.mixture
    form = dense_form(result.family, source, mixture.frame, mixture.n_components)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = visited(source, mixture, form)
    if not is_sound(sums):
        raise InvalidInputError(
            "X holds a row so far from those of the first batch that its density is no double: "
            "leave it out, or begin anew with a batch of such rows"
        )
    return sums


def _alike(before: BatchSums, sums: BatchSums) -> bool:
    """Whether as many rows came under a name as before."""
    return (before.n_rows, before.weight) == (sums.n_rows, sums.weight)


def _with_fewer(result: FitResult, stream: Stream) -> tuple[Stream, tuple[Event, ...]]:
    """Merges that raise the bound, looked for at visits 1, 2, 4, 8, ..."""
    events: tuple[Event, ...] = ()
    while not stream.n_visits & (stream.n_visits - 1):
        value = stream.bound(result.inference)
        found = best_merge(result.inference, stream)
        if found is None:
            break
        stream, (first, second) = found
        gain = stream.bound(result.inference) - value
        message = f"components {first} and {second} were merged on the sums of all rows"
        events += (Event("merged", message, stream.n_visits, gain=gain),)
    return stream, events


def _result(
    result: FitResult,
    stream: Stream,
    again: bool,
    events: tuple[Event, ...],
    seconds: float,
) -> FitResult:
    """What is known of all rows that were seen: no likelihood, but a bound on it."""
    total = stream.total
    mixture = replace(stream.mixture, components=stream.mixture.components.released())
    shift = units_of(result.family, result.inference, mixture, total.weight)
    bound = stream.bound(result.inference) + shift
    trace: Array = np.append(result.trace if again else (), bound)
    return replace(
        result,
        mixture=mixture,
        stream=stream,
        objective=bound,
        log_likelihood=np.nan,
        trace=trace,
        segments=(0,),
        status=STREAMED,
        events=result.events + events,
        counts=total.statistics.counts,
        hard_counts=total.hard_counts,
        entropy=float(total.entropies.sum()),
        plug_in_sums=DensitySums(np.nan, float(total.entropies.sum()), np.nan, total.weight),
        total_weight=total.weight,
        n_rows=total.n_rows,
        passes=result.passes + 1,
        seconds=result.seconds + seconds,
    )
