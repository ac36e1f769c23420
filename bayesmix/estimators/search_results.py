"""Results of a ``MixtureSearch``, and predictions of its best candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted

from bayesmix.core import validation
from bayesmix.core.procedures import last_step, noun_of
from bayesmix.core.rows import NO_SIDE_INFORMATION
from bayesmix.em.model import side_of
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UndefinedError, UnsupportedError
from bayesmix.estimators.base import Transforming
from bayesmix.estimators.coded_frames import as_coded, knowing_levels, typed_rows
from bayesmix.estimators.search_checks import DEPENDENT, with_room
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.selection import probability
from bayesmix.selection import sweep as growth
from bayesmix.selection.candidates import Candidate, asked, component_numbers
from bayesmix.selection.clusters import Hierarchy, most_probable_clusters, number_of
from bayesmix.selection.data_checks import column_names
from bayesmix.selection.probability import Probabilities
from bayesmix.selection.scores import HeldOut
from bayesmix.sources.border import coding_of, is_source
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.assess.averaging import AveragedDensity
    from bayesmix.core.coding import Coding
    from bayesmix.core.sources import Source
    from bayesmix.selection.relevance_search import FeatureSelection


class SearchResults(Transforming, SelectorMixin):  # type: ignore[misc]  # scikit-learn is untyped
    """Results of a search, and predictions of ``best_estimator_``."""

    criterion_: str
    best_index_: int
    _rows: list[Candidate]
    _prior_over_k: dict[int, float]
    _averaged: AveragedDensity | None
    _selected: FeatureSelection | None = None
    _others: Any = None  # one component of the features that were not selected
    _clusters: Integers
    _cluster_probabilities: dict[int, float]
    _hierarchy: Hierarchy | None
    _names: tuple[str, ...] | None
    _coding: Coding | None = None  # of the columns of a frame

    def _look_at(self, X: Any, sample_weight: Any) -> tuple[Any, Any]:
        """Return a frame as numbers with its weights, if the search decides what columns are."""
        self._coding = None
        if is_source(X):
            self._coding = coding_of(X)
            return X, sample_weight
        regression = self.estimator is not None and noun_of(self.estimator) == "regression"
        if regression or not (self.estimator is None or self.columns):
            return X, sample_weight
        X, sample_weight, coding = typed_rows(X, sample_weight, self.columns)
        self._coding = coding or self._coding
        return X, sample_weight

    def _as_fitted(self, X: Any) -> Any:
        """Return a frame at predict time as numbers; other data are unchanged."""
        return as_coded(X, self._coding)

    @property
    def columns_(self) -> pd.DataFrame:
        """The kind of each column, and the reason where it follows from names and values."""
        names: Any = getattr(self, "feature_names_in_", range(getattr(self, "n_features_in_", 0)))
        plain = [(str(name), "continuous", "") for name in names]
        decisions = plain if self._coding is None else self._coding.decisions or plain
        table = pd.DataFrame(decisions, columns=["column", "kind", "reason"])
        return table.set_index("column")

    def _posterior(self, rows: list[Candidate]) -> Probabilities | None:
        try:
            return probability.probabilities(rows, self._prior_over_k)
        except UndefinedError:
            return None

    @property
    def k_probabilities_(self) -> Any:
        """P(K | data) of the number of components, under exactly normal components.

        ``attrs`` has the prior over K and the kind of evidence. It is the posterior under the
        model, which needs several components for a cluster that is not normal;
        ``cluster_probabilities_`` answers how many clusters there are.

        Raises
        ------
        UndefinedError
            If candidates have no evidence; the message says what to do.
        """
        self._check_kept()
        return probability.over_k(
            self._rows, probability.probabilities(self._rows, self._prior_over_k)
        )

    @property
    def averaged_(self) -> AveragedDensity:
        """Averaged density with ``score_samples``, ``sample``, ``co_clustering`` and ``plot``.

        With ``variable_selection`` it is the density of the selected features, ``transform(X)``.
        """
        self._check_kept()
        if what := DEPENDENT.get(noun_of(self)):
            raise UndefinedError(f"averaged_ does not support {what}: use best_estimator_")
        if self._averaged is None:
            from bayesmix.assess.averaging import averaged_over

            self._averaged = averaged_over(self._rows, self.criterion_, self._posterior(self._rows))
        return self._averaged

    @property
    def best_estimator_(self) -> Any:
        """Fit of the best candidate; with ``variable_selection``, the fit to ``transform(X)``."""
        self._check_kept()
        return self._rows[self.best_index_].estimator

    @property
    def estimators_(self) -> list[Any]:
        """The fits of all candidates, as in ``results_``; None if one failed."""
        self._check_kept()
        return [row.estimator for row in self._rows]

    @property
    def candidates_(self) -> list[Candidate]:
        """Scores, fit and note of each candidate, as in ``results_``."""
        self._check_kept()
        return self._rows

    @property
    def held_out_(self) -> list[HeldOut | None]:
        """Held-out log densities of the samples for each candidate; None without folds."""
        self._check_kept()
        return [row.held for row in self._rows]

    def _forget_features(self) -> None:
        self._selected, self._others = None, None

    def _select_features(
        self, estimator: Any, source: Source, falls: bool, seed: int
    ) -> tuple[Any, Source]:
        """Select features, model the others, and return estimator and data of the selected."""
        from bayesmix.estimators import feature_selection

        validation.one_of("irrelevant", self.irrelevant, ("independent", "regression"))
        feature_selection.refuse_unsupported(estimator, self.param_grid)
        estimator = knowing_levels(estimator, source)
        chain = [{"n_components": k} for k in component_numbers(self.n_components, growth.LARGEST)]
        (chain,) = with_room([chain], side_of(source).largest_label + 1)
        numbers = [asked(candidate) for candidate in chain]
        prior = probability.prior_asked(numbers, self.prior_over_k, falls)
        self._selected = feature_selection.features_of_search(self, estimator, source, prior, seed)
        if len(self._selected.rest) and self.irrelevant == "independent":
            self._others, rest = feature_selection.restricted(
                estimator, source, self._selected.rest
            )
            self._others.set_params(n_components=1, covariance_type="diag")
            rest = replace(rest, side=NO_SIDE_INFORMATION)
            self._others._fitter(None, None, rest).fit(self._others)
        return feature_selection.restricted(estimator, source, self._selected.read)

    def _refuse_regression(self) -> None:
        """Raise an error for densities of all features if some depend on others."""
        if self._selected is not None and len(self._selected.rest) and self._others is None:
            raise UnsupportedError(
                "irrelevant='regression' has no density of all features: use best_estimator_ with "
                "transform(X), or irrelevant='independent'"
            )

    def _restore_features(
        self, selection: FeatureSelection, others: Any, names: tuple[str, ...] | None
    ) -> None:
        self._selected, self._others = selection, others
        self.n_features_in_ = len(selection.relevant)
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)

    def _named(self, source: Any) -> Any:
        if self._selected is None or not isinstance(source, ArraySource):
            return source
        names = column_names(self._feature_names_given(), len(self._selected.relevant))
        return replace(source, columns=tuple(names[d] for d in self._selected.read))

    def _feature_names_given(self) -> tuple[str, ...] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else tuple(map(str, names))

    def _feature_names(self) -> list[str]:
        n_features = len(self._selection().relevant)
        return [*(self._feature_names_given() or (f"x{d}" for d in range(n_features)))]

    def features_read(self, X: Any) -> Any:
        """Return the features that candidates were fitted to; all of them if none was selected."""
        from bayesmix.estimators import feature_selection

        self._check_kept()
        X = self._as_fitted(X)
        return (
            X if self._selected is None else feature_selection.picked(self, X, self._selected.read)
        )

    def _selection(self) -> FeatureSelection:
        check_is_fitted(self, "results_")
        if self._selected is None:
            raise UndefinedError(
                "no features were selected: set variable_selection=True and fit again"
            )
        return self._selected

    def _get_support_mask(self) -> Booleans:
        return self._selection().relevant.copy()

    @property
    def feature_evidence_(self) -> Any:
        """Evidence in nats and P(relevant | data) of each feature, a frame.

        The evidence is the log Bayes factor of a distribution for each component against one
        distribution for all. Both columns are averaged over K.
        """
        selection = self._selection()
        columns = {"evidence": selection.evidence, "probability": selection.probability}
        return pd.DataFrame(columns, index=pd.Index(self._feature_names(), name="feature"))

    def transform(self, X: Any) -> Any:
        """Return the selected features, or ``predict_proba`` without variable selection."""
        from bayesmix.estimators import feature_selection

        check_is_fitted(self, "results_")
        if self._selected is None:
            return super().transform(X)
        return feature_selection.picked(self, X, np.flatnonzero(self._selected.relevant))

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Return the names of the columns that ``transform`` returns."""
        selects = self._selected is not None
        of_columns = SelectorMixin if selects else ClassNamePrefixFeaturesOutMixin
        return of_columns.get_feature_names_out(self, input_features)

    def _fitted(self) -> FitResult:
        return last_step(self.best_estimator_).result_

    def _check_kept(self) -> None:
        check_is_fitted(self, "results_")
        if not self._rows:
            raise UndefinedError("refit=False kept no fitted model: set refit=True")

    def predict(self, X: Any, *given: Any, **beside: Any) -> Any:
        """Return the most probable component of each sample under the best candidate.

        Covariates, or lengths or groups of sequences, are passed as in ``fit``.
        """
        return self.best_estimator_.predict(self.features_read(X), *given, **beside)

    @property
    def n_components_(self) -> int:
        """Number of components of the best candidate."""
        return self._fitted().n_components

    @property
    def n_clusters_(self) -> int:
        """Number of clusters of the best candidate, without outlying components."""
        return number_of(self.clusters_)

    @property
    def cluster_probabilities_(self) -> Any:
        """Probability that other data of the same source give this number of clusters, a Series.

        By a Bayesian bootstrap of the criterion and of the held-out assignments. Classes, states
        and regressions are counted as they are.

        Raises
        ------
        UndefinedError
            For data in parts, interrupted searches, and files of versions before 0.3.0.
        """
        check_is_fitted(self, "results_")
        if not self._cluster_probabilities:
            raise UndefinedError(
                "cluster_probabilities_ needs data in memory and a search that was not "
                "interrupted: fit again to a sample of the data"
            )
        index = pd.Index(sorted(self._cluster_probabilities), name="n_clusters")
        return pd.Series(self._cluster_probabilities, name="probability").reindex(index)

    @property
    def clusters_(self) -> Integers:
        """Cluster of each component (K,), 0 being the heaviest; -1 for outlying components."""
        self._check_kept()
        return self._clusters

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the clusters, from the heaviest, for predictions and the report.

        Set them after ``fit``: ``search.names = ("young", "old")``. None, the default: numbers.
        """
        return self._names

    @names.setter
    def names(self, names: Sequence[str] | None) -> None:
        if names is not None and len(names) != self.n_clusters_:
            raise InvalidInputError(
                f"names must name each of the {self.n_clusters_} clusters, got {len(names)}"
            )
        self._names = None if names is None else tuple(map(str, names))

    def predict_clusters(self, X: Any) -> Any:
        """Return the most probable cluster of each sample; -1 for outlying components and noise.

        With ``names``, the name of the cluster, or "outlying".
        """
        return self.clusters_by(self.predict_proba(X))

    def clusters_by(self, probabilities: Array) -> Any:
        """Return the most probable cluster (n,) by probabilities of components (n, K)."""
        clusters = most_probable_clusters(probabilities, self.clusters_)
        if self._names is None:
            return clusters
        return np.array([*self._names, "outlying"], dtype=object)[clusters]

    def predict_proba(self, X: Any, *given: Any, **beside: Any) -> Any:
        """Return the component probabilities of each sample under the best candidate."""
        return self.best_estimator_.predict_proba(self.features_read(X), *given, **beside)

    def score_samples(self, X: Any, **beside: Any) -> Any:
        """Return the log density of each sample in nats under the best candidate."""
        from bayesmix.estimators import feature_selection

        self._refuse_regression()
        X = self._as_fitted(X)
        density = self.best_estimator_.score_samples(self.features_read(X), **beside)
        if self._others is None or self._selected is None:
            return density
        return density + self._others.score_samples(
            feature_selection.picked(self, X, self._selected.rest)
        )

    def true_values(self, X: Any) -> Any:
        """Return the posterior of true values of ``Measured`` data under the best candidate."""
        return self.best_estimator_.true_values(self.features_read(X))

    def score(self, X: Any, y: Any = None, **beside: Any) -> float:
        """Return the mean log density in nats under the best candidate."""
        self._refuse_regression()
        if noun_of(self) == "regression":
            beside["y"] = y
        if self._others is None:
            return float(self.best_estimator_.score(self.features_read(X), **beside))
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: Any = None, **options: Any) -> Any:
        """Draw samples and their components from the best candidate."""
        from bayesmix.estimators import feature_selection

        self._refuse_regression()
        best = last_step(self.best_estimator_)
        from bayesmix.em.refusals import refuse_regressions

        refuse_regressions(best, "sample")
        rows, components = best.sample(n_samples, random_state, **options)
        if self._others is None or self._selected is None:
            return rows, components
        irrelevant, _ = self._others.sample(n_samples, random_state)
        return feature_selection.rejoined(rows, irrelevant, self._selected), components

    def density_interval(self, X: Any, level: float = 0.9, **options: Any) -> Any:
        """Return a band (n, 2) of the density that includes the uncertainty of K and structure.

        The same as ``averaged_.density_interval``: a mixture over all candidates. With ``data``,
        the data of the fit, draws come from Gibbs sampling.

        Raises
        ------
        UnsupportedError
            With ``variable_selection``, unless all features were selected.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> search = bm.select(X, n_components=(2, 3), covariance_type="tied")
        >>> search.density_interval(X[:1], level=0.9).shape
        (1, 2)
        """
        if self._selected is not None and len(self._selected.rest):
            raise UnsupportedError(
                "density_interval has no band for features that were not selected: use "
                "averaged_.density_interval(transform(X)) for the selected features"
            )
        return self.averaged_.density_interval(X, level, **options)
