"""Nested cross-validation: held-out log density of a whole procedure, its choices included.

The estimand is the mean log density that the procedure reaches with n (1 - 1/k) observations,
averaged over data sets of that size (Bates, Hastie & Tibshirani 2023). The interval uses the spread
over observations and ignores that folds share them; the documentation gives its measured coverage.
"""

from __future__ import annotations

import inspect
import math
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from bayesmix.assess.stability import collected, each_of, fit_quietly, to_refit
from bayesmix.core.procedures import last_step
from bayesmix.core.protocols import Procedure, UserRows
from bayesmix.core.random import root_seed
from bayesmix.em.display import shortened
from bayesmix.em.shown import Shown, ShownTable
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.device_arrays import host
from bayesmix.selection.criteria import record
from bayesmix.selection.pipelines import density_in_data_units
from bayesmix.selection.scores import (
    Fold,
    HeldOut,
    Score,
    combined,
    judged,
    make_splits,
    places_in,
    rows_of,
    weights_of,
)
from bayesmix.sources.dask_workers import collected as partitioned
from bayesmix.sources.memory import is_collection, processes


@dataclass(frozen=True)
class OuterFold:
    """A procedure on one outer fold, with mean log densities in nats per observation.

    ``naive`` is the score that the procedure itself would report: the inner held-out density of its
    winner if it has one, otherwise the density of its training data.
    """

    procedure: str
    fold: int
    n_components: int
    covariance_type: str
    held_out: float
    naive: float
    seconds: float
    note: str = ""
    density: Array | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, repr=False)
class NestedResult:
    """Held-out log densities of procedures, from nested cross-validation.

    ``held`` has the log densities of the observations, in nats, for every procedure.
    """

    folds: tuple[OuterFold, ...]
    held: dict[str, HeldOut]
    n_folds: int

    @property
    def table(self) -> Any:
        """Choice, held-out and naive log density of each procedure in each outer fold."""
        names = ["procedure", "fold", "n_components", "covariance_type", "held_out", "naive"]
        names += ["seconds", "note"]
        return pd.DataFrame([{name: getattr(f, name) for name in names} for f in self.folds])

    @property
    def scores(self) -> Any:
        """Mean held-out log density, standard error, naive score and optimism of each procedure."""
        rows = []
        for name, held in self.held.items():
            n = float(held.weights.sum())
            score = held.score
            naive = float(np.mean([f.naive for f in self.folds if f.procedure == name]))
            mean = score.value / n
            rows.append((name, mean, score.standard_error / n, naive, naive - mean))
        columns = ["procedure", "held_out", "standard_error", "naive", "optimism"]
        return pd.DataFrame(rows, columns=columns).set_index("procedure")

    @property
    def differences(self) -> Any:
        """Mean difference of each pair (first minus second) in nats per observation, and error."""
        rows = []
        for first, second in combinations(self.held, 2):
            n = float(self.held[first].weights.sum())
            score = self.held[first].less(self.held[second])
            rows.append((first, second, score.value / n, score.standard_error / n))
        return pd.DataFrame(rows, columns=["procedure", "than", "difference", "standard_error"])

    def score(self, procedure: str | None = None) -> Score:
        """Return the mean held-out log density in nats per observation, with standard error."""
        name = next(iter(self.held)) if procedure is None else procedure
        if name not in self.held:
            raise InvalidInputError(
                f"procedure must be one of {', '.join(self.held)}, got {procedure!r}"
            )
        row = self.scores.loc[name]
        return Score(float(row["held_out"]), float(row["standard_error"]))

    @property
    def shown(self) -> Shown:
        """What text, notebooks and files show."""
        lines = []
        for name, row in self.scores.iterrows():
            chosen = [f for f in self.folds if f.procedure == name and not f.note]
            lines.append(
                f"{name}: held-out log density {row['held_out']:.4f} ± "
                f"{row['standard_error']:.4f} nats per observation. The score without outer "
                f"folds, {row['naive']:.4f}, is {abs(row['optimism']):.4f} too "
                f"{'high' if row['optimism'] >= 0 else 'low'}. Selected: {_choices(chosen)}."
            )
        for row in self.differences.itertuples():
            if row.difference == 0.0 == row.standard_error:
                lines.append(f"{row.procedure} and {row.than} predict identically.")
                continue
            errors = abs(row.difference) / row.standard_error if row.standard_error else math.inf
            clear = "" if errors > 2.0 else " (less than two standard errors)"
            better, worse = (
                (row.procedure, row.than) if row.difference >= 0 else (row.than, row.procedure)
            )
            lines.append(
                f"{better} is better than {worse} by {abs(row.difference):.4f} ± "
                f"{row.standard_error:.4f} nats per observation{clear}."
            )
        failed = [f for f in self.folds if f.note]
        cautions = (f"{len(failed)} fits failed: {failed[0].note}",) if failed else ()
        table = ShownTable("folds", "Outer folds, in nats per observation", self.table)
        return Shown(lines[0], tuple(lines[1:]), (table,), cautions)

    def summary(self) -> str:
        """Return the score and the choices of each procedure, and their paired differences."""
        return self.shown.text()

    def plot(self, ax: Any = None) -> Any:
        """Plot held-out and naive log density of every fold and procedure; see ``plot_nested``."""
        from bayesmix.plots import plot_nested

        return plot_nested(self, ax=ax)

    def __repr__(self) -> str:
        lines = [f"  {line}" for line in self.summary().splitlines()]
        return shortened([f"<NestedResult: {self.n_folds} outer folds>", *lines])

    def _repr_html_(self) -> str:
        return self.shown.html()


def _choices(folds: list[OuterFold]) -> str:
    """Count the chosen numbers of components and structures over folds."""
    counted = Counter(
        f"{fold.n_components} component{'s' if fold.n_components != 1 else ''}"
        f"{', ' if fold.covariance_type else ''}{fold.covariance_type}"
        for fold in folds
    )
    ranked = counted.most_common()
    return "; ".join(f"{name} in {times} of {len(folds)} folds" for name, times in ranked)


@dataclass(frozen=True)
class Outer:
    """Run a procedure on the training part of an outer fold, and score the held-out part."""

    X: UserRows
    sample_weight: ArrayLike | None
    groups: ArrayLike | None
    splits: tuple[Fold, ...]
    jobs: tuple[tuple[str, Procedure, int], ...]

    def __call__(self, job: int) -> OuterFold:
        name, procedure, number = self.jobs[job]
        began = time.perf_counter()
        split = self.splits[number]
        train = rows_of(self.X, split.train)
        weight = None if self.sample_weight is None else np.asarray(self.sample_weight)[split.train]
        model = clone(procedure)
        options = {}
        if self.groups is not None and "groups" in inspect.signature(model.fit).parameters:
            options["groups"] = np.asarray(self.groups)[split.train]
        try:
            fit_quietly(model, train, weight, **options)
            with warnings.catch_warnings(action="ignore"):
                density = density_in_data_units(model, rows_of(self.X, split.test))
        except ValueError as problem:
            seconds = time.perf_counter() - began
            nan = math.nan
            return OuterFold(name, number, 0, "", nan, nan, seconds, f"failed: {problem}")
        fitted = last_step(getattr(model, "best_estimator_", model))
        return OuterFold(
            procedure=name,
            fold=number,
            n_components=int(getattr(fitted, "n_components_", getattr(fitted, "n_components", 0))),
            covariance_type=str(getattr(fitted, "covariance_type", "")),
            held_out=float(np.average(density, weights=self._weights(split.test))),
            naive=self._naive(model, train, split.train),
            seconds=time.perf_counter() - began,
            density=density,
        )

    def _weights(self, rows: Any) -> Array:
        weights: Array = weights_of(self.X, self.sample_weight)
        return weights[places_in(rows, len(weights))]

    def _naive(self, model: Any, train: Any, rows: Any) -> float:
        if record(getattr(model, "criterion_", "")).folds:
            held = model.held_out_[model.best_index_]
            return float(held.score.value / held.weights.sum())
        seen = judged(rows, self.X)
        data = train if seen is rows else rows_of(self.X, seen)
        return float(np.average(density_in_data_units(model, data), weights=self._weights(seen)))


def nested_cv(
    procedures: Any,
    X: Any,
    cv: Any = 5,
    sample_weight: Any = None,
    groups: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: bool | None = None,
) -> NestedResult:
    """Return the held-out log density of procedures, including their selection and preprocessing.

    The score by which a candidate was chosen is optimistic. Here each procedure is rerun on the
    training part of every outer fold and scored on the held-out part.

    Parameters
    ----------
    procedures : procedure or dict of them
        Anything with fit and score_samples: a ``MixtureSearch``, an estimator, a pipeline. Several
        procedures are compared by paired differences.
    X : array, frame or source (n, D)
    cv : int or splitter, default=5
        Outer folds; a ``MixtureSearch`` makes its inner ones.
    sample_weight : array (n,), optional
        Sample weights.
    groups : array (n,), optional
        For splitters that keep groups together; also passed to procedures that accept them.
    n_jobs : int, optional
        Number of worker processes (results do not depend on it); None: all cores.
    random_state : None, int, RandomState or Generator
        Seed of the outer folds, and of procedures without one.
    progress : None or bool, default=None
        As in the estimators. Ctrl-C returns the result for the folds so far, with a warning.

    Returns
    -------
    NestedResult
        ``scores``, ``table``, ``differences`` (DataFrames), ``summary()``, ``plot()``.

    Raises
    ------
    ValueError
        For invalid procedures or folds, and if a procedure fails in every fold.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.MixtureSearch(n_components=(1, 2, 3))
    >>> found = bm.nested_cv(search, X, cv=3, random_state=0)
    >>> found.table["n_components"].tolist()
    [2, 2, 2]
    """
    named = dict(procedures) if isinstance(procedures, Mapping) else {"procedure": procedures}
    seed = root_seed(random_state)
    X, sample_weight = host(X), host(sample_weight)
    if is_collection(X):
        X, sample_weight = partitioned(X, sample_weight, n_jobs), None
    weights = weights_of(X, sample_weight)
    prepared = {str(name): _prepared(name, member, seed, n_jobs) for name, member in named.items()}
    if not prepared:
        raise InvalidInputError("procedures must contain at least one procedure")
    splits = make_splits(cv, X, seed, groups)
    numbers = range(len(splits))
    jobs = [(name, member, number) for number in numbers for name, member in prepared.items()]
    outer = Outer(X, sample_weight, groups, splits, tuple(jobs))
    outcomes = collected(
        each_of(outer, len(jobs), processes(X, n_jobs)),
        len(jobs),
        "outer folds",
        progress,
        lambda fold: f"{fold.procedure}, fold {fold.fold}",
    )
    # After Ctrl-C, procedures are compared over the folds that all of them have finished.
    n_folds = len(outcomes) // len(prepared)
    if not n_folds:
        raise KeyboardInterrupt
    outcomes = outcomes[: n_folds * len(prepared)]
    held = {}
    for name in prepared:
        outcomes_of_one = [fold for fold in outcomes if fold.procedure == name]
        parts = [(splits[f.fold].test, f.density) for f in outcomes_of_one if f.density is not None]
        if not parts:
            raise InvalidInputError(f"{name} failed in every fold: {outcomes_of_one[0].note}")
        held[name] = combined(parts, weights)
    return NestedResult(tuple(outcomes), held, n_folds)


def _prepared(name: Any, procedure: Any, seed: int, n_jobs: int | None) -> Any:
    """Return a silent copy with a seed."""
    if not (hasattr(procedure, "fit") and hasattr(procedure, "score_samples")):
        raise InvalidInputError(
            f"procedures must have fit and score_samples, got {type(procedure).__name__} for "
            f"{name!r}"
        )
    return to_refit(procedure, seed, n_jobs)
