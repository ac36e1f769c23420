"""What a search is about, with its data, folds and fitter: here independent samples.

Those of dependent data, such as sequences, are additions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.core.entries import entry
from bayesmix.core.procedures import dependent_data_of, noun_of
from bayesmix.core.random import Purpose, stream
from bayesmix.em.model import side_of
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.searching import search_checks
from bayesmix.estimators.searching.table_fitter import TableFitter
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import RULE
from bayesmix.selection.data_checks import distinct_rows, equal_copies
from bayesmix.selection.scores import Fold, make_splits, weights_of
from bayesmix.selection.spread_values import SpreadFeature, spread_values
from bayesmix.selection.tasks import Fitter
from bayesmix.sources.memory import ArraySource, has_sparse_rows, in_parts
from bayesmix.starts.responsibilities import places_by_values

if TYPE_CHECKING:
    from bayesmix.core.protocols import Parameters, Procedure, UserRows
    from bayesmix.core.sources import Source
    from bayesmix.estimators.search import MixtureSearch

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


@dataclass(frozen=True)
class SearchArguments:
    """What the user gave to a search, and what follows from its criteria."""

    search: MixtureSearch
    estimator: Procedure
    X: UserRows
    sample_weight: ArrayLike | None
    groups: ArrayLike | None
    wanted: set[str]  # criteria
    variational: bool
    of_regression: Parameters
    _: KW_ONLY
    y: ArrayLike | str | None  # a formula
    labels: ArrayLike | None
    covariates: UserRows
    lengths: ArrayLike | None
    times: ArrayLike | None = None
    exact_times: ArrayLike | None = None
    weight_type: str | None = None
    seed: int = 0

    def refuse_independent(self, unused: Parameters) -> None:
        """Raise an error for options of independent samples, in a search over another model."""
        what = str(dependent_data_of(self.search))
        remedy = "'auto', 'elbo_log_k', 'bic' or 'cv'"
        search_checks.refuse_all(self.search, self.wanted, what, remedy)
        unused = {"variable_selection": self.search.variable_selection or None, **unused}
        for name, value in unused.items():
            if value is not None:
                raise UnsupportedError(f"{name} does not support {what}: leave it out")

    def refuse_of_regression(self) -> None:
        """Raise an error for arguments of regressions only."""
        if self.of_regression:
            raise InvalidInputError(f"{', '.join(self.of_regression)}: for RegressionMixture only")


def subject_maker(noun: str) -> Callable[[SearchArguments], SubjectOfSamples]:
    """Return the function that makes subjects of models whose components are called so."""
    maker: Callable[[SearchArguments], SubjectOfSamples] = entry("subject", noun)
    return maker


def subject_of(given: SearchArguments) -> SubjectOfSamples:
    """Return the subject of a search; raise an error for arguments that do not fit it."""
    noun = noun_of(given.estimator)
    return subject_of_samples(given) if noun == "component" else subject_maker(noun)(given)


def subject_of_samples(given: SearchArguments) -> SubjectOfSamples:
    """Return the subject of a search over mixtures of independent samples."""
    search, estimator = given.search, given.estimator
    X, sample_weight = given.X, given.sample_weight
    if given.times is not None or given.exact_times is not None:
        raise InvalidInputError(
            "times are for HiddenMarkovModel and regressions in sequences only: leave them out"
        )
    given.refuse_of_regression()
    source: Any = incoming.training_rows(search, X, sample_weight, 1)
    if given.lengths is not None:
        raise InvalidInputError(
            "lengths is only for sequences: use bayesmix.select(X, lengths=...) or "
            "MixtureSearch(HiddenMarkovModel())"
        )
    own = given.labels, given.covariates, given.wanted, given.variational
    source = search_checks.beside(search, source, *own)
    if (parts := in_parts(source)) is not None and parts.is_brought_whole:
        X = source = source.in_memory()
        sample_weight = None
    subject = SubjectOfSamples(estimator, X, sample_weight, given.groups, source).training()
    used = subject.each_once(search.cv, given.weight_type, divided=RULE in given.wanted)
    used = used.without_rounding(search.param_grid, given.seed)
    return subject if used is subject else replace(used, given=subject)
