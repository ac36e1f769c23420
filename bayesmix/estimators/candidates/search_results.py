"""What a fitted search found: its candidates, their average, and the best one as a mixture."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from bayesmix.errors import UndefinedError
from bayesmix.estimators.methods.transforming import Transforming
from bayesmix.numerics.arrays import Integers
from bayesmix.selection.averaging import AveragedDensity
from bayesmix.selection.candidates.candidate import Candidate
from bayesmix.selection.choice.probability import (
    Probabilities,
    by_bic,
    over_k,
    probabilities,
    temperature,
)
from bayesmix.selection.choice.ranking import averaged_over
from bayesmix.selection.choice.rule import NAME as RULE
from bayesmix.selection.clustering.clusters import most_probable_clusters
from bayesmix.selection.criteria.held_out import HeldOut
from bayesmix.selection.pipelines import last_step
from bayesmix.workflow.result import FitResult


class SearchResults(Transforming):
    """Candidates, their average, and predictions, densities and draws of ``best_estimator_``."""

    criterion_: str
    best_index_: int
    _rows: list[Candidate]
    _prior_over_k: dict[int, float]
    _averaged: AveragedDensity | None
    _clusters: Integers

    def _posterior(self, rows: list[Candidate]) -> Probabilities | None:
        """Return the posterior of the candidates, where they have an evidence."""
        try:
            return probabilities(rows, self._prior_over_k)
        except UndefinedError:
            return None

    def _probabilities(self, rows: list[Candidate]) -> Probabilities:
        """Return the probabilities of the candidates, calibrated where ``select`` chose itself."""
        divided_by = temperature(rows) if self.criterion_ == RULE else 1.0
        if self.criterion_ == "bic" and (found := by_bic(rows, self._prior_over_k)):
            return found
        return probabilities(rows, self._prior_over_k, divided_by)

    @property
    def k_probabilities_(self) -> Any:
        """P(K | data) as a Series; its ``attrs`` hold the prior over K and the kind of evidence.

        By "evidence_folds", the default of ``select``, the evidence is divided by √n / 4: the
        posterior itself is too sure of K where components are not quite normal. By "evidence" and
        "elbo_log_k" it is the posterior. Where a structure without a posterior wins by BIC the
        probabilities are approximations by it.

        Raises
        ------
        UndefinedError
            Where candidates have no evidence, with what to do.
        """
        self._check_kept()
        return over_k(self._rows, self._probabilities(self._rows))

    @property
    def averaged_(self) -> AveragedDensity:
        """The density averaged over candidates: score_samples, sample, co_clustering, plot."""
        self._check_kept()
        if self._averaged is None:
            self._averaged = averaged_over(self._rows, self.criterion_, self._posterior(self._rows))
        return self._averaged

    @property
    def best_estimator_(self) -> Any:
        """The fit of the best candidate."""
        self._check_kept()
        return self._rows[self.best_index_].estimator

    @property
    def estimators_(self) -> list[Any]:
        """The fit of every candidate, as in ``results_``; None where it failed."""
        self._check_kept()
        return [row.estimator for row in self._rows]

    @property
    def candidates_(self) -> list[Candidate]:
        """What came of every candidate, as in ``results_``: scores, fit, why it was left out."""
        self._check_kept()
        return self._rows

    @property
    def held_out_(self) -> list[HeldOut | None]:
        """Held-out log density by row of every candidate; None where there are no folds."""
        self._check_kept()
        return [row.held for row in self._rows]

    def _fitted(self) -> FitResult:
        result: FitResult = last_step(self.best_estimator_).result_
        return result

    def _check_kept(self) -> None:
        check_is_fitted(self, "results_")
        if not self._rows:
            raise UndefinedError("refit=False kept no fitted model: set refit=True")

    def predict(self, X: Any) -> Any:
        """The most probable component of every row, under the best candidate."""
        return self.best_estimator_.predict(X)

    @property
    def n_components_(self) -> int:
        """The number of components of the best candidate."""
        return self._fitted().n_components

    @property
    def n_clusters_(self) -> int:
        """The number of clusters that these components form; outlying components do not count."""
        return int(self.clusters_.max()) + 1

    @property
    def clusters_(self) -> Integers:
        """The cluster of every component (K,), the heaviest is 0; -1 for outlying components."""
        self._check_kept()
        return self._clusters

    def predict_clusters(self, X: Any) -> Integers:
        """The most probable cluster of every observation; -1 for outlying ones and noise."""
        return most_probable_clusters(self.predict_proba(X), self.clusters_)

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the components, under the best candidate."""
        return self.best_estimator_.predict_proba(X)

    def score_samples(self, X: Any) -> Any:
        """Log density of every row in nats, under the best candidate."""
        return self.best_estimator_.score_samples(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log density in nats, under the best candidate."""
        return float(self.best_estimator_.score(X))

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """Rows and components drawn from the best candidate."""
        return last_step(self.best_estimator_).sample(n_samples, random_state)

    def save(self, path: Any) -> None:
        """Write the search with all its candidates to one file; ``bayesmix.load`` reads it."""
        from bayesmix.io import save

        save(self, path)

    def density_interval(self, X: Any, level: float = 0.9, **options: Any) -> Any:
        """Band (n, 2) of the density that knows that K and structure were chosen.

        As ``averaged_.density_interval``: those of all candidates that the rows do not speak
        against. With ``data``, the rows of the fit, by Gibbs sampling.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> search = bm.select(X, n_components=(2, 3), covariance_type="tied")
        >>> search.density_interval(X[:1], level=0.9).shape
        (1, 2)
        """
        return self.averaged_.density_interval(X, level, **options)
