"""What a search is about: samples, sequences or regressions, with their data, folds and fitter."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.core.procedures import noun_of
from bayesmix.core.random import Purpose, stream
from bayesmix.em.model import side_of
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.constraints import refuse_loose_bound
from bayesmix.estimators.searching import search_checks
from bayesmix.estimators.searching.table_fitter import TableFitter
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.regressions.regression_fitter import RegressionFitter
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import RULE
from bayesmix.selection.data_checks import distinct_rows, equal_copies
from bayesmix.selection.scores import Fold, make_splits, weights_of
from bayesmix.selection.spread_values import SpreadFeature, spread_values
from bayesmix.selection.tasks import Fitter
from bayesmix.sources.memory import ArraySource, has_sparse_rows, in_parts
from bayesmix.starts.responsibilities import places_by_values

if TYPE_CHECKING:
    from bayesmix.core.protocols import Procedure, UserRows
    from bayesmix.core.sources import Source

# Observations whose order by values decides folds; of more, chance in the folds does not matter.
MOST_PLACED = 20_000


@dataclass(frozen=True)
class SubjectOfSamples:
    """Independent samples; those of weight zero are left out."""

    estimator: Procedure
    X: UserRows
    sample_weight: ArrayLike | None
    groups: ArrayLike | None
    source: Source
    _: KW_ONLY
    unspread: Source | None = None  # the data before rounded values were spread
    spread: tuple[SpreadFeature, ...] = ()
    copies: str = ""  # a note, if all observations occur several times and are used once
    given: SubjectOfSamples | None = None  # all observations as given, if the search uses others

    # Whether components are distributions of the features, and assignments are independent.
    of_features: ClassVar[bool] = True
    independent: ClassVar[bool] = True

    def training(self) -> Self:
        """Return the subject without samples of weight zero."""
        given = self.source, self.X, self.sample_weight, self.groups
        X, weights, groups = search_checks.of_training(*given)
        return replace(self, X=X, sample_weight=weights, groups=groups)

    def restricted(self, estimator: Any, source: Any) -> Self:
        """Return the subject with some of the features."""
        given = {"X": source, "sample_weight": None, "source": source, "unspread": None}
        return replace(self, estimator=estimator, given=None, **given)

    @property
    def as_given(self) -> Source:
        """Return the data before rounded values were spread."""
        return self.source if self.unspread is None else self.unspread

    @cached_property
    def n_repeated(self) -> int | None:
        """Number of distinct observations if some are repeated, by copies or weights.

        None for others, and for columns that are not continuous, which repeat values by nature.
        """
        source, every = self.source, range(self.source.shape[1])
        if not (self.independent and isinstance(source, ArraySource)):
            return None
        if [*every] != search_checks.real_columns(self.estimator, None, source):
            return None
        n_distinct = distinct_rows(source)
        return n_distinct if source.total_weight > n_distinct else None

    def each_once(self, cv: Any, weight_type: str | None, divided: bool) -> Self:
        """Return the subject with each observation once, if all occur equally often.

        Weights tell how often; ``divided``: they are divided by it, and so is n.
        """
        source = self.source
        if not (self.independent and isinstance(source, ArraySource)) or side_of(source):
            return self
        if not isinstance(cv, Integral):  # other folds are of the given rows
            return self
        rows, copies, weight = equal_copies(source, weight_type)
        if copies * weight == 1 or (copies == 1 and not divided):
            return self
        n, groups = len(rows), None if self.groups is None else np.asarray(self.groups)[rows]
        once = source.numbered(rows)
        once = replace(once, weights=None if divided else np.full(n, copies * weight))
        text = f"Every observation occurs {copies * weight:.0f} times"
        used = f"the search used each once (n = {n:,})"
        counted = f"and n = {once.total_weight:,.0f} counts them all"
        text = f"{text}: {used}." if divided else f"{text}, {counted}."
        changed = replace(self, X=once, sample_weight=None, groups=groups, source=once)
        return replace(changed, copies=text)

    def without_rounding(self, param_grid: Any, seed: int) -> Self:
        """Return the subject with rounded values spread, where they could pass for clusters."""
        source = self.source
        if not (self.independent and isinstance(source, ArraySource)):
            return self
        columns = search_checks.real_columns(self.estimator, param_grid, source)
        values, spread = spread_values(source, columns, seed)
        if not spread:
            return self
        changed = replace(self, X=values, sample_weight=None, source=values)
        return replace(changed, unspread=source, spread=spread)

    @cached_property
    def at_hand(self) -> tuple[Self | None, Array]:
        """Return the subject in memory, and the weights (n,) that its samples stand for.

        Of data in parts it is the sample of their first pass; sequences in parts have none.
        """
        parts: Any = in_parts(self.source)
        if parts is None:
            return self, weights_of(self.X, self.sample_weight)
        if not self.independent:
            return None, np.ones(0)
        some = parts.some
        weights = some.rows.weights_or_ones * (parts.total_weight / some.total_weight)
        return replace(self, X=some, sample_weight=None, groups=None, source=some), weights

    def check(self, chains: list[list[dict[str, Any]]]) -> None:
        """Raise an error if the data suit no candidate."""

    def random_sample(self, most: int, seed: int) -> Integers | None:
        """Return the rows of a random sample, in their order; None if there are no more.

        Samples with labels or covariates are not divided.
        """
        source = self.source
        if not self.independent or side_of(source) or (n := source.shape[0]) <= most:
            return None
        return np.sort(stream(seed, Purpose.SUBSAMPLE).choice(n, most, replace=False))

    @property
    def places(self) -> Integers | None:
        """Places (n,) of independent samples in an order by their values; None if they are many."""
        source = self.source
        plain = isinstance(source, ArraySource) and self.independent and self.groups is None
        if not plain or has_sparse_rows(source) or source.shape[0] > MOST_PLACED:
            return None
        return places_by_values(cast("ArraySource", source))

    def folds(self, cv: Any, seed: int, distinct: Any) -> tuple[Fold, ...]:
        """Return the folds; ``distinct`` (n,): samples of one number stay together."""
        return make_splits(cv, self.X, seed, self.groups, distinct)

    @property
    def fitter(self) -> Fitter:
        """Fitter of the candidates."""
        if hasattr(self.estimator, "steps"):
            return TableFitter(self.estimator, self.X, self.sample_weight, self.source)
        estimator: Any = self.estimator
        return cast("Fitter", estimator._fitter(self.X, self.sample_weight, self.source))

    def by_unit(self, rows: list[Candidate], sweep: Any) -> tuple[list[Candidate], list[Any]]:
        """Return candidates, and fits to folds, with held-out densities of independent units."""
        return rows, sweep.fits_to_folds()

    def unordered(self, search: Any, splits: tuple[Fold, ...]) -> Candidate | None:
        """Return the best mixture that ignores the order of the samples, if they have one."""
        return None


def subject_of(
    search: Any,
    estimator: Any,
    X: Any,
    sample_weight: Any,
    groups: Any,
    wanted: set[str],
    variational: bool,
    of_regression: dict[str, Any],
    *,
    y: Any,
    labels: Any,
    covariates: Any,
    lengths: Any,
    times: Any = None,
    exact_times: Any = None,
    weight_type: str | None = None,
    seed: int = 0,
) -> SubjectOfSamples:
    """Return the subject of a search; raise an error for arguments that do not fit it."""
    noun = noun_of(estimator)
    if noun == "component" and (times is not None or exact_times is not None):
        raise InvalidInputError(
            "times are for HiddenMarkovModel and regressions in sequences only: leave them out"
        )
    if noun != "component":
        from bayesmix.sequences.search_of_sequences import refuse_independent

        unused = {"labels": labels}
        if noun == "regression":
            unused |= {"covariates": covariates, "exact_times": exact_times}
        refuse_independent(search, wanted, unused)
    if noun == "regression":
        from bayesmix.sequences.search_of_sequences import SubjectOfRegressions

        if variational and of_regression.get("gate") is not None:
            refuse_loose_bound("gate")
        of_regression |= {"groups": groups, "sample_weight": sample_weight, "lengths": lengths}
        of_regression |= {"times": times}
        fit = RegressionFitter.of(estimator, X, y, of_regression, weight_type)
        return SubjectOfRegressions(estimator, X, sample_weight, groups, fit.source, fit).training()
    if of_regression:
        raise InvalidInputError(f"{', '.join(of_regression)}: for RegressionMixture only")
    source: Any = incoming.training_rows(search, X, sample_weight, 1)
    if noun == "state" or lengths is not None:
        from bayesmix.sequences.search_of_sequences import (
            SubjectOfSequences,
            at_effects,
            at_times_of,
            in_order,
        )

        source = in_order(search, estimator, source, lengths, groups)
        source = at_times_of(search, source, times, exact_times, variational)
        source = at_effects(search, estimator, source, covariates, variational)
        return SubjectOfSequences(estimator, source, sample_weight, None, source)
    source = search_checks.beside(search, source, labels, covariates, wanted, variational)
    if (parts := in_parts(source)) is not None and parts.is_brought_whole:
        X = source = source.in_memory()
        sample_weight = None
    subject = SubjectOfSamples(estimator, X, sample_weight, groups, source).training()
    used = subject.each_once(search.cv, weight_type, divided=RULE in wanted)
    used = used.without_rounding(search.param_grid, seed)
    return subject if used is subject else replace(used, given=subject)
