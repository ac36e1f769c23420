"""What a search is about: samples, sequences or regressions, with their data, folds and fitter."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.core.procedures import noun_of
from bayesmix.core.random import Purpose, stream
from bayesmix.em.model import side_of
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.searching import search_checks
from bayesmix.numerics.arrays import Integers
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.scores import Fold, make_splits
from bayesmix.selection.tasks import Fitter
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.core.protocols import Procedure, UserRows
    from bayesmix.core.sources import Source


@dataclass(frozen=True)
class SubjectOfSamples:
    """Independent samples; those of weight zero are left out."""

    estimator: Procedure
    X: UserRows
    sample_weight: ArrayLike | None
    groups: ArrayLike | None
    source: Source

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
        return replace(self, estimator=estimator, X=source, sample_weight=None, source=source)

    def check(self, chains: list[list[dict[str, Any]]]) -> None:
        """Raise an error if the data suit no candidate."""

    def random_sample(self, most: int, seed: int) -> Integers | None:
        """Return the rows of a random sample, in their order; None if there are no more.

        Data in parts, and samples with labels or covariates, are not divided.
        """
        source = self.source
        plain = isinstance(source, ArraySource) and not side_of(source)
        if not self.independent or not plain or (n := source.shape[0]) <= most:
            return None
        return np.sort(stream(seed, Purpose.SUBSAMPLE).choice(n, most, replace=False))

    def folds(self, cv: Any, seed: int, distinct: Any) -> tuple[Fold, ...]:
        """Return the folds; ``distinct`` (n,): samples of one number stay together."""
        return make_splits(cv, self.X, seed, self.groups, distinct)

    @property
    def fitter(self) -> Fitter:
        """Fitter of the candidates."""
        if hasattr(self.estimator, "steps"):
            from bayesmix.estimators.searching.table_fitter import TableFitter

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
    weight_type: str | None = None,
) -> SubjectOfSamples:
    """Return the subject of a search; raise an error for arguments that do not fit it."""
    noun = noun_of(estimator)
    if noun != "component":
        from bayesmix.estimators.searching.search_of_sequences import refuse_independent

        refuse_independent(search, wanted, {"labels": labels, "covariates": covariates})
    if noun == "regression":
        from bayesmix.estimators.inputs.constraints import refuse_loose_bound
        from bayesmix.estimators.regression.regression_fitter import RegressionFitter
        from bayesmix.estimators.searching.search_of_sequences import SubjectOfRegressions

        if variational and of_regression.get("gate") is not None:
            refuse_loose_bound("gate")
        of_regression |= {"groups": groups, "sample_weight": sample_weight}
        fit = RegressionFitter.of(estimator, X, y, of_regression, weight_type)
        return SubjectOfRegressions(estimator, X, sample_weight, groups, fit.source, fit).training()
    if of_regression:
        raise InvalidInputError(f"{', '.join(of_regression)}: for RegressionMixture only")
    source: Any = incoming.training_rows(search, X, sample_weight, 1)
    if noun == "state" or lengths is not None:
        from bayesmix.estimators.searching.search_of_sequences import SubjectOfSequences, in_order

        source = in_order(search, source, lengths, groups)
        return SubjectOfSequences(estimator, source, sample_weight, None, source)
    source = search_checks.beside(search, source, labels, covariates, wanted, variational)
    return SubjectOfSamples(estimator, X, sample_weight, groups, source).training()
