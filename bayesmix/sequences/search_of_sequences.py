"""Searches over models of sequences and regressions: checks, order, mixtures that ignore it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.base import clone

from bayesmix.allocation.designs import columns_of
from bayesmix.allocation.gated_chain import identified_at_first
from bayesmix.core.procedures import noun_of, takes_sequences
from bayesmix.core.rows import NO_SIDE_INFORMATION, SideInformation
from bayesmix.em.result import sample_size
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.inputs.constraints import (
    constrained,
    group_codes,
    of_samples,
    refuse_loose_bound,
)
from bayesmix.estimators.searching.search_checks import refuse_all
from bayesmix.estimators.searching.search_subjects import SubjectOfSamples
from bayesmix.numerics.arrays import Integers
from bayesmix.regressions.regression_fitter import RegressionFitter
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import PLUG_IN
from bayesmix.selection.scores import Fold, HeldOut, Score, make_splits
from bayesmix.selection.tasks import Fitter
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


# Models other than mixtures of independent samples, by what their components are called.
DEPENDENT = {"state": "sequences", "regression": "regressions"}


def refuse_independent(search: Any, wanted: set[str], given: dict[str, Any]) -> None:
    """Raise an error for options of independent samples, in a search over another model."""
    what = DEPENDENT[noun_of(search)]
    refuse_all(search, wanted, what, "'auto', 'elbo_log_k', 'bic' or 'cv'")
    for name, value in {"variable_selection": search.variable_selection or None, **given}.items():
        if value is not None:
            raise UnsupportedError(f"{name} does not support {what}: leave it out")


def in_order(search: Any, estimator: Any, source: Source, lengths: Any, groups: Any) -> ArraySource:
    """Return the source in sequences, or raise for a model without order."""
    if not takes_sequences(search):
        raise InvalidInputError(
            "lengths is only for sequences: use bayesmix.select(X, lengths=...) or "
            "MixtureSearch(HiddenMarkovModel())"
        )
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


@dataclass(frozen=True)
class SubjectOfRegressions(SubjectOfSamples):
    """A response and its explanatory variables; folds are of whole units or sequences, if any."""

    regression: RegressionFitter

    of_features = False
    independent = False

    def check(self, chains: list[list[dict[str, Any]]]) -> None:
        self.regression.check(chains)

    def folds(self, cv: Any, seed: int, distinct: Any) -> tuple[Fold, ...]:
        if (sequences := self.regression.beside.get("sequences")) is not None:
            side = SideInformation(begins=np.diff(np.asarray(sequences), prepend=0) > 0)
            return sequence_folds(cv, replace(cast(ArraySource, self.source), side=side), seed)
        if not isinstance(cv, int) or self.groups is None:
            return super().folds(cv, seed, distinct)
        n = self.source.shape[0]
        return make_splits(cv, self.X, seed, None, group_codes(self.groups, n, n))

    def by_unit(self, rows: list[Candidate], sweep: Any) -> tuple[list[Candidate], list[Any]]:
        """Return densities of units, so that standard errors count independent observations.

        Of a candidate they are in the first row of each unit.
        """
        units, folds = self.regression.units, []
        if units is None:
            return rows, sweep.fits_to_folds()
        for number, part, row in sweep.fits_to_folds():
            if row.density is not None:
                tested = np.unique(units[sweep.task.splits[part].test], return_inverse=True)[1]
                row = replace(row, density=np.bincount(tested, row.density))
            folds.append((number, part, row))
        return [_by_unit(row, units) for row in rows], folds

    @property
    def fitter(self) -> Fitter:
        return self.regression


def _by_unit(candidate: Candidate, units: Integers) -> Candidate:
    """Return a candidate with the held-out log density, and the weight, of units in first rows."""
    if candidate.held is None:
        return candidate
    first = np.unique(units, return_index=True)[1][units]
    density, weights = np.zeros(len(units)), np.zeros(len(units))
    np.add.at(density, first, candidate.held.density)
    np.maximum.at(weights, first, candidate.held.weights)
    held = HeldOut(density, weights)
    return replace(candidate, scores=candidate.scores | {"cv": held.score}, held=held)
