"""Searches over hidden Markov models: checks, order, and mixtures that ignore it."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.base import clone

from bayesmix.allocation.designs import columns_of
from bayesmix.allocation.gated_chain import identified_at_first
from bayesmix.core.rows import NO_SIDE_INFORMATION, SideInformation
from bayesmix.em.result import sample_size
from bayesmix.errors import UnsupportedError
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.constraints import (
    constrained,
    of_samples,
    refuse_loose_bound,
)
from bayesmix.estimators.searching.search_subjects import SearchArguments, SubjectOfSamples
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import PLUG_IN
from bayesmix.selection.scores import Fold, HeldOut, Score
from bayesmix.sequences.sequence_data import (
    at_times,
    sequence_folds,
    sequences_to_fit,
    starts_of_sequences,
    with_waves,
    without_times,
)
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


def subject_of_sequences(given: SearchArguments) -> SubjectOfSequences:
    """Return the subject of a search over hidden Markov models."""
    search, estimator = given.search, given.estimator
    given.refuse_independent({"labels": given.labels})
    given.refuse_of_regression()
    source: Any = incoming.training_rows(search, given.X, given.sample_weight, 1)
    source = in_order(estimator, source, given.lengths, given.groups)
    source = at_times_of(search, source, given.times, given.exact_times, given.variational)
    source = at_effects(search, estimator, source, given.covariates, given.variational)
    return SubjectOfSequences(estimator, source, given.sample_weight, None, source)


def in_order(estimator: Any, source: Source, lengths: Any, groups: Any) -> ArraySource:
    """Return the source in sequences."""
    if not isinstance(source, ArraySource):
        raise UnsupportedError(
            "a search over hidden Markov models needs X in memory, got X in parts or on a device: "
            "pass an array, or fit HiddenMarkovModel with one number of states"
        )
    return cast("ArraySource", sequences_to_fit(source, lengths, groups, estimator.n))


def at_effects(
    search: Any, estimator: Any, source: ArraySource, covariates: Any, variational: bool
) -> ArraySource:
    """Return sequences with covariates, which candidates use by their ``covariate_effects``."""
    effects, timing = estimator.covariate_effects, estimator.covariate_timing
    covariates = with_waves(covariates, effects, timing, source.side)
    if covariates is None:
        return source
    if variational:
        refuse_loose_bound("covariates")
    if search.checkpoint is not None:
        raise UnsupportedError("checkpoint does not support covariates: use checkpoint=None")
    grids, own = search.param_grid or {}, [estimator.covariate_effects]
    grids = [grids] if isinstance(grids, dict) else grids
    varying = not any("first" in grid.get("covariate_effects", own) for grid in grids)
    return cast("ArraySource", constrained(source, None, None, covariates, varying))


def at_times_of(
    search: Any, source: ArraySource, times: Any, exact_times: Any, variational: bool
) -> ArraySource:
    """Return sequences with the times of their samples, if any are given."""
    if times is None:
        return cast("ArraySource", without_times(source, exact_times))
    if variational:
        raise UnsupportedError(
            "times need maximum likelihood: use criterion='bic', 'aic', 'icl' or 'cv', and leave "
            "out inference"
        )
    if search.checkpoint is not None:
        raise UnsupportedError("checkpoint does not support times: use checkpoint=None")
    return cast("ArraySource", at_times(source, times, exact_times))


def effects_compared(covariates: Any, lengths: Any, groups: Any, n_rows: int) -> list[str]:
    """Return the effects of covariates that ``select`` compares.

    Covariates that vary within sequences affect transitions only, unless there are many sequences;
    few sequences do not determine effects on first states.
    """
    begins = starts_of_sequences(lengths, groups, n_rows)
    side = SideInformation(begins=begins)
    table, *_ = columns_of("covariates", of_samples(covariates, side), n_rows)
    varying = bool((table[1:] != table[:-1])[~begins[1:]].any())
    first = identified_at_first(table, begins)
    if varying and first:
        return ["none", "transitions", "all"]
    every = len(first) == table.shape[1]
    return ["none", "first", "all"] if every and not varying else ["none", "transitions"]


def best_unordered(
    search: Any, estimator: Any, source: ArraySource, folds: tuple[Fold, ...]
) -> Candidate | None:
    """Return the best mixture of the same samples without their order; None if none fits."""
    present = ~np.isnan(np.asarray(source.values)).all(axis=1)
    samples, places = (
        replace(source, side=NO_SIDE_INFORMATION).subset(present),
        present.cumsum() - 1,
    )
    parts = ((fold.train, fold.test) for fold in folds)
    cv = [tuple(places[rows[present[rows]]] for rows in part) for part in parts]
    mixtures = clone(search).set_params(
        estimator=estimator._without_transitions,
        param_grid=_without_effects(search.param_grid),
        cv=cv or search.cv,
        refit=True,
        checkpoint=None,
        progress=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            best: Candidate = mixtures.fit(samples).candidates_[0]
        except ValueError:
            return None
    if source.side.of_persons and best.result is not None:  # criteria count as those of chains do
        sums = replace(best.result.plug_in_sums, n=sample_size(source))
        p = best.result.n_parameters
        of_persons = {name: Score(of_sums(sums, p)) for name, of_sums in PLUG_IN.items()}
        best = replace(best, scores=best.scores | of_persons)
    if best.held is None:
        return best
    density = np.zeros(len(present))  # samples without a value have log density 0
    density[present] = best.held.density
    return replace(best, held=HeldOut(density, np.ones(len(density))))


def _without_effects(param_grid: Any) -> Any:
    """Return a grid of parameters without effects of covariates, which mixtures do not have."""
    if param_grid is None:
        return None
    grids = [param_grid] if isinstance(param_grid, dict) else param_grid
    return [
        {name: values for name, values in grid.items() if name != "covariate_effects"}
        for grid in grids
    ]


class SubjectOfSequences(SubjectOfSamples):
    """Samples in sequences; folds are whole sequences, or blocks of one."""

    independent = False

    def folds(self, cv: Any, seed: int, distinct: Any) -> tuple[Fold, ...]:
        return sequence_folds(cv, cast(ArraySource, self.source), seed)

    def unordered(self, search: Any, splits: tuple[Fold, ...]) -> Candidate | None:
        source = cast(ArraySource, self.source)
        return best_unordered(search, self.estimator, source, splits)
