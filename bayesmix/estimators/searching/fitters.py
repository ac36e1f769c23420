"""Families for the data of a fit, and fitters of candidates to a checked source."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import clone

from bayesmix.core import validation
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.procedures import last_step
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.em.model import Model, check_values, resolve, side_of
from bayesmix.em.result import FitResult
from bayesmix.em.run import Change
from bayesmix.errors import DegenerateFitError
from bayesmix.estimators.inputs import incoming
from bayesmix.families.independent.levels import LevelsFamily
from bayesmix.families.names import AUTO, family_named
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.observation.missing import drawn
from bayesmix.posterior.predictions import in_memory
from bayesmix.search.fit import fit
from bayesmix.selection.merge_tree import (
    PartitionTree,
    cells_of_parts,
    cells_of_tree,
    tree_of,
)
from bayesmix.selection.scores import Fold, rows_of
from bayesmix.selection.tasks import Assignments, Effort, Fitter
from bayesmix.sources.condensed import condensed, is_condensed
from bayesmix.sources.memory import (
    ArraySource,
    coding_of,
    has_sparse_rows,
    in_parts,
    is_collection,
    is_source,
)
from bayesmix.sources.sample_weights import unless_equal
from bayesmix.starts.responsibilities import Given, begun, one_hot, spread_of

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters, UserRows
    from bayesmix.core.sources import Chosen, Source
    from bayesmix.estimators.base import MixtureEstimator
    from bayesmix.families.coding import Coding


def knowing_levels(estimator: Any, source: Source) -> Any:
    """Return an estimator whose family has the levels of all data, so that every part agrees."""
    family = family_named(getattr(estimator, "family", None))
    if family in (None, AUTO):
        return estimator
    if isinstance(family, LevelsFamily) and family.levels is None:
        from bayesmix.data.column_families import family_for

        return clone(estimator).set_params(family=family_for(family, source))
    known = family.knowing(source.summary)
    return estimator if known is family else clone(estimator).set_params(family=known)


def is_mixed_table(X: Any) -> bool:
    """Whether data are, or come from, a frame with columns that are not continuous."""
    coding = coding_of_table(X)
    return coding is not None and coding.is_mixed


def coding_of_table(X: Any, columns: Any = None) -> Coding | None:
    """Return the coding of a table with columns of several kinds; None for other data.

    ``columns`` maps names to kinds.
    """
    if X is None or is_source(X):
        return None if X is None else coding_of(X)
    if isinstance(X, np.ndarray) or is_collection(X):
        return None
    from bayesmix.data.table_columns import coded, declared_kinds, is_frame

    return coded(X, declared_kinds(list(X.columns), columns, {}))[1] if is_frame(X) else None


def of_any_family(estimator: Any) -> Any:
    """Return a ``Mixture`` with the inference and options of an estimator of normal components."""
    options = estimator.get_params(deep=False)
    if "family" in options:
        return estimator
    from bayesmix.estimators.mixture import Mixture as MixtureOfFamily

    inference = estimator._model().inference
    prior = getattr(inference, "prior", None)
    if prior is not None and all(value is None for value in vars(prior).values()):
        inference = replace(inference, prior=None)  # the default, which other families have too
    same = {name: options[name] for name in MixtureOfFamily._get_param_names() if name in options}
    return MixtureOfFamily(inference=inference, **same)


# Gain of a pass in nats, and in nats per observation, below which a fold's fit ends: assignments
# need no precise optimum.
ASSIGNED, ASSIGNED_PER_ROW = 0.05, 1e-5
SEARCH_OF = {Effort.STARTS: "short", Effort.FULL: "auto"}


class Unfitted:
    """Unfitted copies of an estimator, or of a pipeline, with parameters changed."""

    estimator: Any

    @property
    def units(self) -> Integers | None:
        """Units (n,) whose rows are drawn together; None: every row is a unit."""
        return None

    @property
    def searches(self) -> bool:
        """Whether the mixture has a parameter ``search`` that is not None."""
        return getattr(last_step(self.estimator), "search", None) is not None

    def candidate(self, parameters: Parameters, effort: Effort = Effort.AS_ASKED) -> Any:
        """Return an unfitted copy with these parameters and this search."""
        copy = clone(of_any_family(self.estimator) if "family" in parameters else self.estimator)
        mixture = last_step(copy.set_params(**parameters))
        if getattr(mixture, "search", None) is not None and effort in SEARCH_OF:
            mixture.set_params(search=SEARCH_OF[effort])
        return copy

    def roughly(self) -> Self:
        """Return the fitter itself: its fits do not end early."""
        return self

    noun = "observations"

    def of_sample(self) -> Fitter | None:
        """Return None: the data are in memory."""
        return None

    def on_cells(self, n_cells: int, chains: Sequence[Parameters]) -> Fitter | None:
        """Return None: all observations are read."""
        return None

    def tree(self, parameters: Parameters, n_cells: int) -> PartitionTree | None:
        """Return None: there are no sums of cells."""
        return None

    def begun_at(self, parameters: Parameters, labels: Integers) -> Mixture | None:
        """Return None: fits have starts of their own."""
        return None

    def shares(self, candidate: Any) -> Array | None:
        """Return None: the units of regressions are counted by the fit."""
        return None

    def assignments(self, candidate: Any, splits: tuple[Fold, ...]) -> Assignments | None:
        """Return None: regressions are not merged, and tables are transformed in each fold."""
        return None


@dataclass(frozen=True)
class SourceFitter(Unfitted):
    """Fits mixtures to one source, checked once."""

    estimator: MixtureEstimator
    source: Source
    prefix: str = ""
    rough: bool = False  # whether fits end once little is left to gain

    @property
    def table(self) -> UserRows:
        return self.source

    def on(self, rows: Chosen) -> SourceFitter:
        return replace(self, source=part_of(self.source, rows))

    def fit(self, candidate: Any, warm_starts: tuple[Mixture, ...] = ()) -> FitResult:
        rows = partial(incoming.same_rows, candidate, self.source)
        candidate._fit(rows, warm_starts, self.rough)
        return candidate.result_

    def of_sample(self) -> SourceFitter | None:
        """Return the fitter of the sample of data in parts, None for data in memory."""
        parts: Any = in_parts(self.source)
        return None if parts is None else replace(self, source=parts.some)

    def roughly(self) -> SourceFitter:
        return replace(self, source=self.source.in_memory(), rough=True)

    @property
    def noun(self) -> str:  # type: ignore[override]
        """What samples are called, in the plural."""
        return "cells" if is_condensed(self.source) else "observations"

    def on_cells(self, n_cells: int, chains: Sequence[Parameters]) -> SourceFitter | None:
        """Return the fitter of cells, None where not all candidates are linear in features."""
        source: Any = self.source
        if source.summary.n_missing:
            return None
        families = [self._model(parameters).family for parameters in chains]
        if not all(family.linear for family in families):
            return None
        seed = root_seed(self.estimator.random_state)
        if in_parts(source) is not None:
            return replace(self, source=cells_of_parts(source, families, n_cells, seed))
        labels = cells_of_tree(source, families[0], n_cells, seed)
        return replace(self, source=condensed(source, labels))

    def tree(self, parameters: Parameters, n_cells: int) -> PartitionTree | None:
        """Return the tree of merges for a candidate's family, of these cells or of new ones.

        Data in parts without cells have none, nor do sparse rows, and samples with labels,
        covariates, times or measurement errors, by which components differ too.
        """
        source: Any = self.source
        family = self._model(parameters).family
        if is_condensed(source):
            return PartitionTree(tree_of(family, source))
        side = side_of(source)
        beside = (side.labels, side.covariates, side.elapsed, side.measurement)
        if in_parts(source) is not None or has_sparse_rows(source):
            return None
        if any(each is not None for each in beside):
            return None
        seed = root_seed(self.estimator.random_state)
        cells = cells_of_tree(source, family, n_cells, seed)
        return PartitionTree(tree_of(family, condensed(source, cells)), cells)

    def begun_at(self, parameters: Parameters, labels: Integers) -> Mixture | None:
        """Return the mixture after an M-step from labels (n,), None if a component collapses."""
        candidate = self.candidate(parameters)
        model = candidate._model_of(candidate._model(), self.source)
        problem = resolve(model, self.source, candidate._settings(model, self.source).among(()))
        spread, K = spread_of(model.family), model.n_components
        shares = (1.0 - spread) * one_hot(labels, K) + spread / K
        expectation = self.allocated(begun(problem, Given(shares), K).expectation, shares)
        frame, resolution = problem.frame, problem.guard.resolution
        try:
            mixture = problem.objective.update(expectation, None, frame, resolution)
            _ = problem.densities(mixture)
        except DegenerateFitError:
            return None
        return mixture

    def allocated(self, expectation: Expectation, shares: Array) -> Expectation:
        """Return the expectation with what the allocation needs of responsibilities (n, K)."""
        return expectation

    def _model(self, parameters: Parameters) -> Model:
        candidate = self.candidate(parameters)
        return candidate._model_of(candidate._model(), self.source)

    def source_of(self, candidate: Any) -> Source:
        return self.source

    def log_density(self, candidate: Any) -> Array:
        if is_condensed(self.source):
            mixture = candidate.result_.mixture
            means: Array = mixture.responsibilities(self.source.rows)[1]
            return means - mixture.frame.log_volume
        source = self.source.with_jobs(validation.jobs(candidate.n_jobs))
        check_values(candidate.result_.family, source, 1)
        return in_memory(candidate.result_, source, FitResult.log_density)

    def shares(self, candidate: Any) -> Array | None:
        """Return the component probabilities of each observation, for data in memory."""
        if not isinstance(self.source, ArraySource):
            return None
        return in_memory(candidate.result_, self.source, FitResult.shares)

    def assignments(self, candidate: Any, splits: tuple[Fold, ...]) -> Assignments | None:
        """Return held-out assignments, for data in memory.

        Missing cells are drawn from the fit, given the observed ones: what is not seen of
        observations is no overlap of components.
        """
        if not isinstance(self.source, ArraySource):
            return None
        begin: Any = self.shares(candidate)  # the data are in memory
        completed = self._completed(candidate)
        shares = in_memory(candidate.result_, completed, FitResult.shares)
        held_out, stopping = shares.copy(), Change(self._little, per_row=False)
        for split in splits:
            # Where the fold collapses, its observations stay as assigned by the whole fit.
            with suppress(ValueError):
                fold = self.continued(candidate, begin[split.train], split, stopping)
                test = part_of(completed, split.test)
                held_out[split.test] = in_memory(fold, test, FitResult.shares)
        K = candidate.result_.n_components  # noise is no component
        full, held_out = shares[:, :K], held_out[:, :K]
        return Assignments(full, held_out)

    def _completed(self, candidate: Any) -> Source:
        """Return the data with missing cells drawn from a fitted candidate."""
        source: Any = self.source
        if not source.summary.n_missing:
            return self.source
        generator = stream(root_seed(self.estimator.random_state), Purpose.GAPS)
        values = np.asarray(source.values, dtype=np.float64)
        return replace(source, values=drawn(candidate.result_.mixture, values, generator))

    @property
    def _little(self) -> float:
        return max(ASSIGNED, ASSIGNED_PER_ROW * self.source.total_weight)

    def continued(
        self, candidate: Any, shares: Array, split: Fold, stopping: Change | None = None
    ) -> FitResult:
        """Fit a candidate to the training part of a fold, from its responsibilities."""
        train: Any = self.on(split.train).source
        model = candidate._model_of(candidate._model(), train)
        settings = candidate._settings(model, train).continuing(Given(shares))
        if stopping is not None:
            settings = replace(settings, stopping=stopping, accelerate=False)
        result = candidate.result_
        weighted = shares * train.rows.weights_or_ones[:, None]
        family = result.family.refitted(np.asarray(train.values), weighted)
        model = replace(model, n_components=result.n_components, family=family, prune=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fit(model, train, settings)


def part_of(source: Source, rows: Any) -> Source:
    """Return a subset of the data to fit, by index."""
    part: Source = rows_of(source, rows)
    if isinstance(part, ArraySource) and part.weights is not None:
        return replace(part, weights=unless_equal(part.weights))
    return part


def fitter_of(estimator: Any, X: Any, sample_weight: Any, source: Source | None) -> Fitter:
    """Return the fitter of a mixture for data, or for a source of them that was checked before."""
    n_jobs = validation.jobs(estimator.n_jobs)
    if source is None:
        source = incoming.training_rows(estimator, X, sample_weight, n_jobs)
    source = source.with_jobs(n_jobs)
    mixture = knowing_levels(estimator, source)
    if estimator._reads_sources:
        return SourceFitter(mixture, source)
    from bayesmix.estimators.searching.table_fitter import TableFitter

    return TableFitter(mixture, X, sample_weight, source)
