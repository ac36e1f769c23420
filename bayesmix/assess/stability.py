"""Stability of the clustering under half-sampling.

Clusterings from random halves are compared by the adjusted Rand index (Hubert & Arabie 1985; Hennig
2007).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone

from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import in_turn, resolve_jobs
from bayesmix.core.procedures import last_step, prefix_of
from bayesmix.core.protocols import Procedure, UserRows
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.refusals import refuse_covariates
from bayesmix.em.result import FitResult
from bayesmix.em.shown import Shown, ShownTable
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.device_arrays import host
from bayesmix.selection.pipelines import fit_weighted, refuse_sequences
from bayesmix.selection.scores import rows_of, weights_of
from bayesmix.sources.dask_workers import collected as partitioned
from bayesmix.sources.memory import is_collection, is_source

EXPLICIT_STARTS = ("weights_init", "means_init", "precisions_init")

Result = TypeVar("Result")


def repeated(
    task: Callable[[int], Result], n: int, n_jobs: int | None, what: str, progress: bool | None
) -> list[Result]:
    """Return ``[task(0), ..., task(n - 1)]``, shortened by Ctrl-C; ``what`` names the tasks."""
    return collected(each_of(task, n, min(resolve_jobs(n_jobs), n)), n, what, progress)


def each_of(task: Callable[[int], Result], n: int, workers: int) -> Iterator[Result]:
    """Yield ``task(0), ..., task(n - 1)``, from worker processes once it takes long."""
    return in_turn(task, [(number,) for number in range(n)], workers, time.process_time())


def collected(
    results: Iterable[Result],
    total: int,
    what: str,
    progress: bool | None,
    label: Callable[[Result], str] = lambda result: "",
) -> list[Result]:
    """Collect results with a progress bar; Ctrl-C returns those so far, with a warning."""
    done: list[Result] = []
    with FitProgress(total, progress, what) as bar:
        try:
            for result in results:
                done.append(result)
                bar.advance(label(result))
        except KeyboardInterrupt:
            if not done:
                raise
            warn(
                f"interrupted: the result uses the first {len(done)} of {total} {what}",
                BayesmixWarning,
            )
    return done


def to_refit(model: Any, seed: int, n_jobs: int | None, **parameters: Any) -> Any:
    """Return an unfitted copy for many fits: with a seed, silent, one core per worker."""
    refuse_sequences(model)
    if isinstance(fitted := getattr(_chosen(model), "result_", None), FitResult):
        refuse_covariates(fitted, "refitting")
    copy = clone(model)
    inner = last_step(copy)
    filled = {"random_state": seed, "progress": False}
    if resolve_jobs(n_jobs) > 1:
        filled["n_jobs"] = 1
    present = inner.get_params(deep=False)
    left_open = {name: value for name, value in filled.items() if present.get(name, 0) is None}
    return copy.set_params(
        **{prefix_of(copy) + name: value for name, value in {**left_open, **parameters}.items()}
    )


def no_starts(estimator: Any) -> dict[str, Any]:
    """Return parameters without explicit starts, which belong to one data set and one K."""
    parameters: dict[str, Any] = {
        name: None for name in EXPLICIT_STARTS if hasattr(estimator, name)
    }
    if not isinstance(getattr(estimator, "init_params", ""), str):
        parameters["init_params"] = "kmeans"
    return parameters


def quiet(fit: Callable[..., FitResult]) -> Callable[..., FitResult]:
    """Suppress warnings of a fit; Ctrl-C in one fit ends all of them."""

    def fitted(candidate: Any, near: tuple[Mixture, ...] = ()) -> FitResult:
        with warnings.catch_warnings(action="ignore"):
            result = fit(candidate, near)
        if result.status == "interrupted":
            raise KeyboardInterrupt
        return result

    return fitted


def fit_quietly(model: Any, X: Any, sample_weight: Any = None, **options: Any) -> Any:
    """Fit ``model`` without its warnings; Ctrl-C in one fit ends all of them."""
    with warnings.catch_warnings(action="ignore"):
        fit_weighted(model, X, sample_weight, **options)
    inner = last_step(model)
    result = getattr(inner, "result_", None)
    if getattr(inner, "interrupted_", False) or getattr(result, "status", "") == "interrupted":
        raise KeyboardInterrupt
    return model


METHODS = {"half": "half-samples", "bootstrap": "bootstrap samples"}
SPREAD = (0.1, 0.9)
COLUMNS = ("split", "n_components", "covariance_type", "adjusted_rand", "between_halves", "note")


@dataclass(frozen=True, repr=False, eq=False)
class Stability:
    """Stability of the clustering under resampling; see ``stability``.

    Attributes
    ----------
    table : DataFrame
        One line per resample: ``split``, ``n_components`` and ``covariance_type`` selected,
        ``adjusted_rand`` with the clustering of all data, ``between_halves`` (adjusted Rand index
        of the two halves, once per split), and ``note`` with the reason of a failed fit.
    n_components : int
        Number of components selected from all data.
    covariance_type : str or None
    method : str
    """

    table: pd.DataFrame
    n_components: int
    covariance_type: str | None
    method: str

    @property
    def fitted(self) -> pd.DataFrame:
        """The resamples that could be fitted."""
        return self.table[self.table["adjusted_rand"].notna()]

    @property
    def n_failed(self) -> int:
        """Number of resamples that could not be fitted."""
        return len(self.table) - len(self.fitted)

    @cached_property
    def k_shares(self) -> pd.Series[float]:
        """Share of the resamples that select each number of components."""
        selected = self.fitted["n_components"].astype(int)
        return selected.value_counts(normalize=True).sort_index().rename("share")

    @cached_property
    def adjusted_rand(self) -> pd.Series[float]:
        """Mean, median and quantiles of the agreement with the clustering of all data."""
        return _described(self.fitted["adjusted_rand"])

    @cached_property
    def between_halves(self) -> pd.Series[float]:
        """Mean, median and quantiles of the agreement between complementary halves."""
        return _described(self.table["between_halves"].dropna())

    @property
    def shown(self) -> Shown:
        """What text, notebooks and files show."""
        name, n = METHODS[self.method], len(self.table)
        tables = (ShownTable("fits", "", self.table),)
        if not len(self.fitted):
            none = f"None of {n} {name} could be fitted; the column note of table has the reasons."
            return Shown(none, (), tables)
        same = int((self.fitted["n_components"] == self.n_components).sum())
        title = (
            f"K={self.n_components} in {same} of {n} {name}; adjusted Rand index with the "
            f"clustering of all data: {_words(self.adjusted_rand)}."
        )
        lines, cautions = [], []
        other_shares = self.k_shares.drop(self.n_components, errors="ignore")
        if len(other_shares):
            counts = (other_shares * len(self.fitted)).round().astype(int)
            listed = ", ".join(f"K={k} in {count}" for k, count in counts.items())
            lines.append(f"Otherwise {listed}.")
        if len(self.table["between_halves"].dropna()):
            lines.append(f"Between complementary halves: {_words(self.between_halves)}.")
        if self.covariance_type is not None:
            alike = int((self.fitted["covariance_type"] == self.covariance_type).sum())
            lines.append(f"Covariance {self.covariance_type!r} in {alike} of {n}.")
        if self.n_failed:
            cautions.append(f"{self.n_failed} of {n} could not be fitted (see the column note).")
        return Shown(title, tuple(lines), tables, tuple(cautions))

    def summary(self) -> str:
        """Return how often K is selected again and how similar the clusterings are."""
        return self.shown.text()

    def plot(self, ax: Any = None) -> Any:
        """Plot agreement by the number of components selected; see ``plot_stability``."""
        from bayesmix.plots.assess import plot_stability

        return plot_stability(self, ax=ax)

    def __repr__(self) -> str:
        return f"<Stability: {self.shown.title}>"

    def _repr_html_(self) -> str:
        return self.shown.html()


def stability(
    procedure: Any,
    X: Any,
    n_resamples: int = 20,
    method: str = "half",
    sample_weight: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: bool | None = None,
) -> Stability:
    """Assess the stability of a clustering under half-sampling.

    Parameters
    ----------
    procedure : estimator, search or pipeline
        Anything with fit and predict. Each resample refits a copy, including the choice of K and
        structure.
    X : array, frame or source (n, D)
    n_resamples : int, default=20
        Number of resamples.
    method : {"half", "bootstrap"}, default="half"
        "half" splits the data at random into two halves and fits both. "bootstrap" draws n
        observations with replacement; its duplicates look like tight clusters and inflate K, so
        prefer "half".
    sample_weight : array (n,), optional
        Sample weights. All repetitions of an observation are in the same half.
    n_jobs : int, optional
        Number of worker processes (results do not depend on it); None: all cores.
    random_state : None, int, RandomState or Generator
        Seed of the resamples, and of a procedure without one.
    progress : None or bool, default=None
        As in the estimators. Ctrl-C returns the result for the resamples so far, with a warning.

    Returns
    -------
    Stability

    Raises
    ------
    ValueError
        For invalid parameters, and if the procedure cannot be fitted to all data.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> found = bm.stability(bm.GaussianMixture(2), X, n_resamples=6, random_state=0)
    >>> found.k_shares.to_dict()
    {2: 1.0}
    """
    for needed in ("fit", "predict"):
        if not hasattr(procedure, needed):
            raise InvalidInputError(
                f"procedure must have fit and predict, got {type(procedure).__name__} without "
                f"{needed}: give an estimator, a search or a pipeline"
            )
    validation.one_of("method", method, tuple(METHODS))
    n_resamples = validation.integer("n_resamples", n_resamples, 1)
    seed = root_seed(random_state)
    X, sample_weight, weights = _counted(X, sample_weight)
    if len(weights) < 4:
        raise InvalidInputError(f"X must have at least 4 rows to split, got {len(weights)}")
    prepared = to_refit(procedure, seed, n_jobs)
    whole = fit_quietly(to_refit(procedure, seed, 1), X, sample_weight)
    labels = np.asarray(whole.predict(X))
    task = SplitTask(prepared, X, sample_weight, weights, labels, n_resamples, method, seed)
    n_splits = -(-n_resamples // task.fits_a_split)
    splits = repeated(task, n_splits, n_jobs, "splits", progress)
    table = pd.DataFrame([row for split in splits for row in split], columns=COLUMNS)
    structure = _structure(whole)
    if structure is None:
        table = table.drop(columns="covariance_type")
    return Stability(table, _n_components(whole, labels), structure, method)


@dataclass(frozen=True, eq=False)
class SplitTask:
    """Fit to the parts of a split, and compare the clusterings of all observations."""

    procedure: Procedure
    X: UserRows
    sample_weight: ArrayLike | None
    weights: Array
    labels: Integers
    n_resamples: int
    method: str
    seed: int

    @property
    def fits_a_split(self) -> int:
        return 2 if self.method == "half" else 1

    def __call__(self, split: int) -> list[dict[str, Any]]:
        first = split * self.fits_a_split
        parts = self.parts(split)[: self.n_resamples - first]
        outcomes = [self._outcome(split, part) for part in parts]
        labellings = [labels for _, labels in outcomes if labels is not None]
        rows = [row for row, _ in outcomes]
        if len(labellings) == 2:
            rows[0]["between_halves"] = adjusted_rand(labellings[0], labellings[1], self.weights)
        return rows

    def parts(self, split: int) -> list[Integers]:
        """Return the training indices of every part of a split."""
        generator = stream(self.seed, Purpose.RESAMPLE, split)
        n = len(self.weights)
        if self.method == "bootstrap":
            return [np.sort(generator.integers(n, size=n))]
        mixed = generator.permutation(n)
        return [np.sort(mixed[: n // 2]), np.sort(mixed[n // 2 :])]

    def _outcome(self, split: int, part: Integers) -> tuple[dict[str, Any], Integers | None]:
        model = to_refit(self.procedure, self.seed, 1)
        given = None if self.sample_weight is None else np.asarray(self.sample_weight)[part]
        try:
            fit_quietly(model, rows_of(self.X, part), given)
            labels = np.asarray(model.predict(self.X))
        except ValueError as problem:
            return {"split": split, "n_components": pd.NA, "note": f"failed: {problem}"}, None
        reason = getattr(getattr(_chosen(model), "result_", None), "degenerate", None)
        return {
            "split": split,
            "n_components": _n_components(model, labels),
            "covariance_type": _structure(model),
            "adjusted_rand": adjusted_rand(self.labels, labels, self.weights),
            "note": "" if reason is None else f"degenerate: {reason}",
        }, labels


def adjusted_rand(first: Any, second: Any, weights: Array) -> float:
    """Return the adjusted Rand index of two weighted labellings (Hubert & Arabie 1985, eq. 5)."""
    _, rows = np.unique(first, return_inverse=True)
    _, columns = np.unique(second, return_inverse=True)
    together = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(together, (rows, columns), weights)
    pairs = _pairs(together)
    of_first, of_second = _pairs(together.sum(axis=1)), _pairs(together.sum(axis=0))
    by_chance = of_first * of_second / _pairs(weights.sum())
    most = 0.5 * (of_first + of_second)
    # Both labellings are one cluster, or all singletons.
    return 1.0 if most == by_chance else (pairs - by_chance) / (most - by_chance)


def _pairs(counts: Any) -> float:
    return float(np.sum(0.5 * counts * (counts - 1.0)))


def _counted(X: Any, sample_weight: Any) -> tuple[Any, Any, Array]:
    """Return the data of positive weight, weights for the fit (or None) and for comparison."""
    validation.unmasked("sample_weight", sample_weight)
    X, sample_weight = host(X), host(sample_weight)
    if is_collection(X):
        X, sample_weight = partitioned(X, sample_weight, 1), None
    if is_source(X):
        X = X.in_memory()
    weights = weights_of(X, sample_weight)
    counted = np.flatnonzero(weights)
    if sample_weight is None:
        return (X if len(counted) == len(weights) else rows_of(X, counted)), None, weights[counted]
    return rows_of(X, counted), weights[counted], weights[counted]


def _chosen(model: Any) -> Any:
    """Return the mixture: the best of a search, the last step of a pipeline."""
    inner = last_step(model)
    return last_step(getattr(inner, "best_estimator_", inner))


def _n_components(model: Any, labels: Integers) -> int:
    return int(getattr(_chosen(model), "n_components_", len(np.unique(labels))))


def _structure(model: Any) -> str | None:
    structure = getattr(_chosen(model), "covariance_type", None)
    return None if structure is None else str(structure)


def _described(values: pd.Series[float]) -> pd.Series[float]:
    low, high = SPREAD
    return pd.Series(
        {
            "mean": values.mean(),
            "median": values.median(),
            f"{low:.0%}": values.quantile(low),
            f"{high:.0%}": values.quantile(high),
        },
        name=values.name,
    )


def _words(described: pd.Series[float]) -> str:
    low, high = (described[f"{share:.0%}"] for share in SPREAD)
    return f"{described['median']:.2f} (80 % interval [{low:.2f}, {high:.2f}])"
