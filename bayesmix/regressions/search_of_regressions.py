"""Searches over mixtures of regressions: whole units or sequences in folds, densities of units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from bayesmix.core.rows import SideInformation
from bayesmix.estimators.inputs.constraints import group_codes, refuse_loose_bound
from bayesmix.estimators.searching.search_subjects import SearchArguments, SubjectOfSamples
from bayesmix.numerics.arrays import Integers
from bayesmix.regressions.regression_fitter import RegressionFitter
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.scores import Fold, HeldOut, make_splits
from bayesmix.selection.tasks import Fitter
from bayesmix.sequences.sequence_data import sequence_folds
from bayesmix.sources.memory import ArraySource


def subject_of_regressions(given: SearchArguments) -> SubjectOfRegressions:
    """Return the subject of a search over mixtures of regressions."""
    unused = {"labels": given.labels, "covariates": given.covariates}
    given.refuse_independent(unused | {"exact_times": given.exact_times})
    if given.variational and given.of_regression.get("gate") is not None:
        refuse_loose_bound("gate")
    estimator, X, groups, weights = given.estimator, given.X, given.groups, given.sample_weight
    beside: dict[str, Any] = {"groups": groups, "sample_weight": weights}
    beside = given.of_regression | beside | {"lengths": given.lengths, "times": given.times}
    fit = RegressionFitter.of(estimator, X, given.y, beside, given.weight_type)
    return SubjectOfRegressions(estimator, X, weights, groups, fit.source, fit).training()


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
