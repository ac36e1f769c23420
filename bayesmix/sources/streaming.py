"""Incremental fits in batches: memoised variational inference (Hughes & Sudderth 2013).

Σ_b H_b + <Σ_b S_b, Θ> + regulariser, with entropy H_b and sums S_b of the responsibilities at the
last visit of batch b, is a lower bound on the objective that no visit lowers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import add
from typing import cast

import numpy as np
from scipy.special import entr

from bayesmix.core.components import Components, Statistics
from bayesmix.core.engines import Objective
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.rows import AddedByField, Rows
from bayesmix.core.sources import Source
from bayesmix.em.expectation import Form, block_rows
from bayesmix.em.model import Model, complete_form
from bayesmix.em.result import DensitySums, FitResult, units_of
from bayesmix.em.run import e_step
from bayesmix.errors import DegenerateFitError, InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array

# Name of a batch that may be visited again.
Name = str | int


@dataclass(frozen=True)
class BatchSums(AddedByField):
    """Sums of a batch, additive over batches."""

    statistics: Statistics
    free: float  # Σ w l - <statistics, Θ>: the entropy of q(Z) and constants
    entropies: Array  # (K,) -Σ w r log r
    hard_counts: Array  # (K,) weights by most responsible component
    n_rows: int
    weight: float

    def scaled(self, factor: float) -> BatchSums:
        return BatchSums(
            self.statistics.scaled(factor),
            factor * self.free,
            factor * self.entropies,
            factor * self.hard_counts,
            self.n_rows,
            factor * self.weight,
        )


@dataclass(frozen=True)
class NamedBatches:
    """Named batches as leaves, ``levels[0]``, of a binary tree of sums.

    Replacing a leaf costs one addition per level, and the root does not depend on the order of
    visits.
    """

    names: tuple[Name, ...] = ()
    levels: tuple[tuple[BatchSums, ...], ...] = ()

    @property
    def total(self) -> tuple[BatchSums, ...]:
        return self.levels[-1] if self.levels else ()

    def get(self, name: Name | None) -> BatchSums | None:
        return self.levels[0][self.names.index(name)] if name in self.names else None

    def put(self, name: Name, sums: BatchSums) -> NamedBatches:
        """Add or replace the sums of a batch."""
        names = self.names if name in self.names else (*self.names, name)
        place, sums_of_level = names.index(name), sums
        levels = []
        for height in range((len(names) - 1).bit_length() + 1):
            before = self.levels[height] if height < len(self.levels) else ()
            level = (*before[:place], sums_of_level, *before[place + 1 :])
            levels.append(level)
            pair = level[place - place % 2 :][:2]
            sums_of_level = pair[0] + pair[1] if len(pair) == 2 else pair[0]
            place //= 2
        return NamedBatches(names, tuple(levels))

    def mapped(self, change: Callable[[BatchSums], BatchSums]) -> NamedBatches:
        changed = NamedBatches()
        for name, sums in zip(self.names, self.levels[0] if self.levels else (), strict=True):
            changed = changed.put(name, change(sums))
        return changed


@dataclass(frozen=True)
class Stream:
    """State of a stream: the mixture and the sums of all observations.

    Batches without a name are added up in groups of powers of two, ``unnamed``.
    """

    mixture: Mixture
    resolution: Array | None = None
    named: NamedBatches = field(default_factory=NamedBatches)
    unnamed: tuple[BatchSums, ...] = ()
    n_unnamed: int = 0
    n_visits: int = 0

    @property
    def total(self) -> BatchSums:
        return reduce(add, (*self.named.total, *self.unnamed))

    @property
    def n_batches(self) -> int:
        return len(self.named.names) + self.n_unnamed

    def arrived(self, sums: BatchSums, name: Name | None) -> Stream:
        """Add a batch, or replace the sums of a named one."""
        more = replace(self, n_visits=self.n_visits + 1)
        if name is not None:
            return replace(more, named=self.named.put(name, sums))
        runs, number = self.unnamed, self.n_unnamed
        while number % 2:
            runs, sums, number = runs[:-1], runs[-1] + sums, number // 2
        return replace(more, unnamed=(*runs, sums), n_unnamed=self.n_unnamed + 1)

    def mapped(self, change: Callable[[BatchSums], BatchSums]) -> Stream:
        unnamed = tuple(change(sums) for sums in self.unnamed)
        return replace(self, named=self.named.mapped(change), unnamed=unnamed)

    def updated(self, objective: Objective) -> Stream:
        """Return the stream after an M-step on all sums."""
        statistics = self.total.statistics
        expectation = Expectation(0.0, 0.0, statistics.counts, statistics)
        mixture = objective.update(expectation, self.mixture, self.mixture.frame, self.resolution)
        return replace(self, mixture=mixture)

    def bound(self, objective: Objective) -> float:
        """Return Σ_b H_b + <Σ_b S_b, Θ> + regulariser, in the frame."""
        mixture = replace(self.mixture, components=self.mixture.components.released())
        total = self.total
        joint = mixture.expected_log_joint(total.statistics)
        return total.free + joint + objective.regulariser(mixture)


def visited(source: Source, mixture: Mixture, form: Form) -> BatchSums:
    """Run the E-step on a batch and return its sums."""
    expectation, _ = e_step(source, mixture, form)
    entropies, hard_counts = source.reduce(partial(_entropies, mixture), mixture.n_components)
    statistics = expectation.statistics
    return BatchSums(
        statistics,
        expectation.log_normaliser - mixture.expected_log_joint(statistics),
        entropies,
        hard_counts,
        source.shape[0],
        source.total_weight,
    )


def _entropies(mixture: Mixture[Components], rows: Rows) -> Array:
    """Return entropies -Σ w r log r and hard counts of the components (2, K)."""
    total = np.zeros((2, mixture.n_components))
    for block in rows.blocks(block_rows(rows.values.shape[1], mixture.n_components)):
        responsibilities, _ = mixture.responsibilities(block.as_seen)
        weights = block.weights_or_ones
        labels = responsibilities.argmax(axis=1)
        total[0] += weights @ entr(responsibilities)
        total[1] += np.bincount(labels, weights, mixture.n_components)
    return total


STREAMED = "streamed"  # status of a fit


def check_first(model: Model, source: Source) -> None:
    """Raise an error if no stream can begin with this batch."""
    if model.noise is not None:
        raise UnsupportedError("partial_fit does not support noise: use fit, or noise=None")
    if not model.family.linear:
        raise UnsupportedError(
            f"partial_fit does not support the family {model.family.name!r}, whose updates need "
            "all samples: use fit"
        )
    n_rows, n_features = source.shape
    needed = max(2, model.n_components * (n_features + 1))
    if n_rows < needed:
        raise InvalidInputError(
            f"X must have at least {needed} rows, n_components x (columns + 1), in the first "
            f"batch, got {n_rows}: it sets scales and prior, so it should be large"
        )


def begun(first: FitResult, source: Source, name: Name | None) -> FitResult:
    """Return a stream that begins with the fit ``first``."""
    if first.mixture.frame.rest is not None:
        raise UnsupportedError(
            "a common subspace has no incremental fits, as its directions are those of all data: "
            "use fit on a file or a sample, or covariance_type='diag'"
        )
    if first.mixture.frame.basis is not None:
        told = [event.text for event in first.events if event.kind == "flat"]
        raise InvalidInputError(
            f"X must vary in every direction in the first batch of a stream: {'; '.join(told)}: "
            "begin with a larger batch, or leave out such columns"
        )
    # Only product families hold something other than an array.
    stream = Stream(first.mixture, cast("Array | None", first.resolution))
    nothing_yet = replace(first, stream=stream, n_rows=0, trace=np.empty(0))
    return arrived(nothing_yet, source, name)


def arrived(
    result: FitResult, source: Source, name: Name | None, forgetting: float | None = None
) -> FitResult:
    """Add or revisit a batch: its E-step, then the M-step on all sums."""
    began = time.perf_counter()
    stream = result.stream
    assert isinstance(stream, Stream)
    if forgetting is not None:
        stream = stream.mapped(lambda sums: sums.scaled(1.0 - forgetting))
    before = stream.named.get(name)
    with single_threaded_blas():
        try:
            sums = _visited(result, stream, source)
            stream = stream.arrived(sums, name).updated(result.inference)
            size = None if before is None else (before.n_rows, before.weight)
            revisited = size == (sums.n_rows, sums.weight)
            return _result(result, stream, revisited, time.perf_counter() - began)
        except DegenerateFitError as problem:
            raise DegenerateFitError(
                f"with this batch {problem}; the stream is unchanged"
            ) from None


def _visited(result: FitResult, stream: Stream, source: Source) -> BatchSums:
    """Return the sums of a batch at the present mixture."""
    mixture = stream.mixture
    form = complete_form(result.family, source, mixture.frame, mixture.n_components)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = visited(source, mixture, form)
    if not (np.isfinite(sums.free) and np.isfinite(sums.statistics.pack()).all()):
        raise InvalidInputError(
            "X has a row so far from the first batch that its density underflows: drop it, or "
            "include such rows in the first batch"
        )
    return sums


def _result(result: FitResult, stream: Stream, revisited: bool, seconds: float) -> FitResult:
    """Return the fit to all batches, with a bound in place of the likelihood."""
    total = stream.total
    mixture = replace(stream.mixture, components=stream.mixture.components.released())
    shift = units_of(result.family, result.inference, mixture, total.weight)
    bound = stream.bound(result.inference) + shift
    trace: Array = np.append(result.trace if revisited else (), bound)
    return replace(
        result,
        mixture=mixture,
        stream=stream,
        objective=bound,
        log_likelihood=np.nan,
        trace=trace,
        segments=(0,),
        status=STREAMED,
        counts=total.statistics.counts,
        hard_counts=total.hard_counts,
        entropy=float(total.entropies.sum()),
        plug_in_sums=DensitySums(np.nan, float(total.entropies.sum()), np.nan, total.weight),
        total_weight=total.weight,
        n_rows=total.n_rows,
        passes=result.passes + 1,
        seconds=result.seconds + seconds,
    )
