"""``MixtureSearch`` and ``select``: how many components, and of what kind."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils.validation import check_is_fitted

from bayesmix.errors import BayesmixError, InvalidInputError
from bayesmix.estimators import incoming, validation
from bayesmix.estimators.progress import SearchReporter
from bayesmix.parallel import resolve_jobs
from bayesmix.random import root_seed
from bayesmix.selection import words
from bayesmix.selection.candidates import candidate_parameters, component_numbers
from bayesmix.selection.criteria import PLUG_IN
from bayesmix.selection.folds import last_step, make_splits, rows_of
from bayesmix.selection.sweep import Row, Task

CRITERIA = (*PLUG_IN, "elbo", "elbo_log_k", "cv")
SECONDS_ALONE = 2.0


class MixtureSearch(BaseEstimator):  # type: ignore[misc]  # scikit-learn is untyped
    """Fit every candidate, compare them on one scale (nats, greater is better), keep the best.

    Parameters
    ----------
    estimator : estimator, optional
        A bayesmix estimator, or a pipeline that ends in one; None: ``GaussianMixture()``.
    n_components : int or sequence of int, default=1..10
    covariance_type : str or sequence of str, optional
        Structures to compare; None leaves the estimator's own.
    param_grid : dict or list of dict, optional
        Further parameters to vary, as in scikit-learn's ``GridSearchCV``.
    criterion : str or callable, default="bic"
        "bic", "aic", "aicc", "icl", "icl_soft", "elbo", "elbo_log_k" (variational estimators),
        "cv", or a function (FitResult, Source) -> float or ``bayesmix.Score``.
    cv : int or splitter, default=5
        Folds for "cv"; the same rows for every candidate.
    refit : bool, default=True
        Keep the best candidate's fit as ``best_estimator_``.
    n_jobs : int, optional
        Worker processes once a search has taken two seconds, each with candidates that differ in
        K alone; threads where there is one such chain. None: all cores. Changes no number.
    random_state : None, int, RandomState or Generator
        Given to every candidate whose estimator has none of its own; also shuffles the folds.
    progress : None or bool, default=None
        As in the estimators.

    Attributes
    ----------
    results_ : DataFrame
        A row per candidate, a column per criterion (with its standard error where it has one),
        seconds, warnings, and a note where there is no value.
    best_index_, best_params_, best_score_, best_estimator_
    interrupted_ : bool
        Whether Ctrl-C came: then only the first candidates were compared.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> search = bm.MixtureSearch(n_components=(1, 2, 3), random_state=0).fit(X)
    >>> search.best_params_
    {'n_components': 2}
    """

    def __init__(
        self,
        estimator: Any = None,
        n_components: Any = tuple(range(1, 11)),
        covariance_type: str | Sequence[str] | None = None,
        param_grid: Any = None,
        criterion: Any = "bic",
        cv: Any = 5,
        refit: bool = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        progress: bool | None = None,
    ) -> None:
        self.estimator = estimator
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.param_grid = param_grid
        self.criterion = criterion
        self.cv = cv
        self.refit = refit
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, groups: Any = None) -> Self:
        """Fit and compare all candidates.

        Raises
        ------
        ValueError
            For bad rows or parameters, and where no candidate has a value.
        """
        criterion, callables = self._criterion()
        seed = root_seed(self.random_state)
        estimator = self._estimator(seed)
        candidates = candidate_parameters(
            self.n_components, self.covariance_type, self.param_grid, _prefix(estimator)
        )
        self._share_threads(estimator, candidates)
        self._check(estimator, criterion)
        source, kept = incoming.training_rows(self, X, sample_weight, 1)
        if kept is not None:
            X = rows_of(X, kept)
            sample_weight = None if sample_weight is None else np.asarray(sample_weight)[kept]
        splits = make_splits(self.cv, X, seed, groups) if criterion == "cv" else ()
        task = Task(estimator, X, sample_weight, splits, callables, source)
        rows = self._sweep(task, candidates)
        self._adopt(rows, criterion, source.total_weight)
        return self

    def _criterion(self) -> tuple[str, dict[str, Any]]:
        if callable(self.criterion):
            name = getattr(self.criterion, "__name__", "criterion")
            return name, {name: self.criterion}
        validation.one_of("criterion", self.criterion, CRITERIA, "or a callable")
        return self.criterion, {}

    def _estimator(self, seed: int) -> Any:
        if self.estimator is None:
            from bayesmix.estimators.gaussian import GaussianMixture

            estimator: Any = GaussianMixture()
        else:
            estimator = clone(self.estimator)
        inner = last_step(estimator)
        if not hasattr(inner, "n_components"):
            raise InvalidInputError(
                "estimator must be a mixture of bayesmix, or a pipeline that ends in one, "
                f"got {type(inner).__name__}"
            )
        if getattr(inner, "random_state", None) is None:
            inner.set_params(random_state=seed)
        if getattr(inner, "progress", 0) is None:
            inner.set_params(progress=False)
        return estimator

    def _share_threads(self, estimator: Any, candidates: list[dict[str, Any]]) -> None:
        """Fits of one chain come one after the other and may use all cores; of several, one."""
        inner = last_step(estimator)
        if getattr(inner, "n_jobs", 0) is None:
            alone = len(candidates) == len(component_numbers(self.n_components))
            inner.set_params(n_jobs=self.n_jobs if alone else 1)

    def _check(self, estimator: Any, criterion: str) -> None:
        variational = last_step(estimator)._model().inference.variational
        if criterion in ("elbo", "elbo_log_k") and not variational:
            raise InvalidInputError(
                f"criterion={criterion!r} needs a variational estimator, such as "
                "BayesianGaussianMixture: a maximum likelihood fit has no evidence bound"
            )

    def _sweep(self, task: Task, candidates: list[dict[str, Any]]) -> list[Row]:
        """Rows in the order of the candidates; workers join in once it takes a while."""
        rows: list[Row] = []
        began = time.perf_counter()
        length = len(component_numbers(self.n_components))
        with SearchReporter(len(candidates), self.progress) as reporter:
            try:
                while len(rows) < len(candidates):
                    workers = resolve_jobs(self.n_jobs)
                    place = len(rows)
                    # A candidate begins near the one before, unless that is of another structure.
                    before = rows[-1] if place % length else None
                    chains = [
                        candidates[max(place, first) : first + length]
                        for first in range(place // length * length, len(candidates), length)
                    ]
                    busy = time.perf_counter() - began > SECONDS_ALONE
                    if busy and workers > 1 and len(chains) > 1:
                        for done in _in_workers(task, chains, before, workers):
                            rows += done
                            for row in done:
                                reporter.advance(words.label(row))
                    else:
                        rows.append(task(candidates[place], before))
                        reporter.advance(words.label(rows[-1]))
                        if rows[-1].interrupted:
                            raise KeyboardInterrupt
                self.interrupted_ = False
            except KeyboardInterrupt:
                if not rows:
                    raise
                self.interrupted_ = True
                reporter.interrupted(len(rows))
        return rows

    def _adopt(self, rows: list[Row], criterion: str, n: float) -> None:
        values = np.array([row.value(criterion) for row in rows])
        if not np.isfinite(values).any():
            reasons = "; ".join(dict.fromkeys(row.note for row in rows if row.note))
            raise BayesmixError(f"no candidate has a value of {criterion}: {reasons}")
        order = sorted(np.flatnonzero(np.isfinite(values)), key=lambda i: (-values[i], i))
        best = int(order[0])
        self.criterion_ = criterion
        self.results_ = _table(rows, criterion)
        self.best_index_ = best
        self.best_params_ = rows[best].parameters
        self.best_score_ = float(values[best])
        self._summary = words.summary(rows, [int(i) for i in order], criterion, n)
        if self.refit:
            self.best_estimator_ = rows[best].estimator

    def summary(self) -> str:
        """The answer in a sentence, how close the runners-up are, what others would choose."""
        check_is_fitted(self, "results_")
        return self._summary

    def _best(self) -> Any:
        check_is_fitted(self, "results_")
        if not self.refit:
            raise InvalidInputError("refit=False kept no fitted model: set refit=True")
        return self.best_estimator_

    def predict(self, X: Any) -> Any:
        """The most probable component of every row, under the best candidate."""
        return self._best().predict(X)

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the components, under the best candidate."""
        return self._best().predict_proba(X)

    def score_samples(self, X: Any) -> Any:
        """Log density of every row in nats, under the best candidate."""
        return self._best().score_samples(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density in nats, under the best candidate."""
        return float(self._best().score(X))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Rows and components drawn from the best candidate."""
        return last_step(self._best()).sample(n_samples, random_state)

    def plot(self, ax: Any = None, **options: Any) -> Any:
        """The criterion over K for every structure; see ``plot_selection``."""
        from bayesmix.plots import plot_selection

        return plot_selection(self, ax=ax, **options)


def _prefix(estimator: Any) -> str:
    return f"{estimator.steps[-1][0]}__" if hasattr(estimator, "steps") else ""


def _in_workers(
    task: Task, chains: list[list[dict[str, Any]]], before: Row | None, workers: int
) -> Any:
    """Rows of every chain, in order, from worker processes; ``before`` is that of the first."""
    from joblib import Parallel, delayed

    return Parallel(n_jobs=workers, return_as="generator")(
        delayed(task.chain)(chain, None if number else before)
        for number, chain in enumerate(chains)
    )


def _table(rows: list[Row], criterion: str) -> Any:
    """The rows as a DataFrame."""
    import pandas as pd

    columns: list[dict[str, Any]] = []
    names = list(dict.fromkeys(name for row in rows for name in row.scores))
    for row in rows:
        entry: dict[str, Any] = {
            key.split("__")[-1]: value for key, value in row.parameters.items()
        }
        entry["found_components"] = row.n_components
        for name in names:
            entry[name] = row.value(name)
            error = row.scores[name].standard_error if name in row.scores else math.nan
            if name in ("cv", criterion) and math.isfinite(error):
                entry[f"{name}_se"] = error
        entry["seconds"] = row.seconds
        entry["note"] = row.note
        entry["warnings"] = "; ".join(row.warnings)
        columns.append(entry)
    return pd.DataFrame(columns)


def select(
    X: Any,
    n_components: Any = tuple(range(1, 11)),
    covariance_type: str | Sequence[str] = ("full", "tied", "diag", "spherical"),
    criterion: Any = "bic",
    sample_weight: Any = None,
    random_state: Any = 0,
    **options: Any,
) -> MixtureSearch:
    """How many components, and of what kind: sensible candidates, fitted and compared.

    A variational estimator where the criterion is a bound, maximum likelihood otherwise. Further
    options are those of ``MixtureSearch``.

    Examples
    --------
    >>> import bayesmix as bm
    >>> search = bm.select(bm.datasets.load_faithful(), n_components=(1, 2, 3, 4))
    >>> search.best_params_
    {'covariance_type': 'tied', 'n_components': 3}
    """
    estimator: Any = options.pop("estimator", None)
    if estimator is None and criterion in ("elbo", "elbo_log_k"):
        from bayesmix.estimators.bayesian import BayesianGaussianMixture

        # The same symmetric prior for every K and no pruning, so that bounds are about K.
        estimator = BayesianGaussianMixture(
            weight_concentration_prior_type="dirichlet_distribution",
            weight_concentration_prior=1.0,
            prune=False,
        )
    search = MixtureSearch(
        estimator,
        n_components,
        covariance_type,
        criterion=criterion,
        random_state=random_state,
        **options,
    )
    return search.fit(X, sample_weight=sample_weight)
