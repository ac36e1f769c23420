"""Results of a ``MixtureSearch``, and predictions of its chosen candidate."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted

from bayesmix.core import validation
from bayesmix.core.entries import report_writer
from bayesmix.core.nouns import counted, part_names
from bayesmix.core.procedures import dependent_data_of, last_step, noun_of
from bayesmix.core.rows import NO_SIDE_INFORMATION
from bayesmix.data.coded_frames import as_coded
from bayesmix.em.display import summary_html
from bayesmix.em.model import side_of
from bayesmix.em.result import FitResult
from bayesmix.errors import (
    BayesmixError,
    BayesmixWarning,
    InvalidInputError,
    UndefinedError,
    UnsupportedError,
    warn,
)
from bayesmix.estimators.inputs import described_columns as columns
from bayesmix.estimators.inputs.given_sources import in_order_of_fit
from bayesmix.estimators.searching import feature_selection
from bayesmix.estimators.searching.fitters import knowing_levels
from bayesmix.estimators.searching.search_checks import with_room
from bayesmix.families.amounts import logged_names, parts_of
from bayesmix.families.coding import brief
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.device_arrays import host, like
from bayesmix.selection import criteria, search_tables
from bayesmix.selection.answer import Answer
from bayesmix.selection.answer_text import AnswerText
from bayesmix.selection.candidates import Candidate, asked, component_numbers
from bayesmix.selection.clusters import (
    COMPONENTS,
    ClusterNumbers,
    Hierarchy,
    clustering_of,
    most_probable_clusters,
    number_of,
    shares_of_clusters,
    sizes_by_counts,
)
from bayesmix.selection.criteria import posterior_of, record
from bayesmix.selection.scores import HeldOut
from bayesmix.selection.search_tables import comparing, leading, over_structures
from bayesmix.selection.summary_text import DataChecks
from bayesmix.sources.memory import ArraySource, in_parts, is_collection, is_source

if TYPE_CHECKING:
    from bayesmix.assess.averaging import AveragedDensity
    from bayesmix.assess.description import Description
    from bayesmix.core.sources import Source
    from bayesmix.families.coding import Coding
    from bayesmix.relevance.relevance_search import FeatureSelection
    from bayesmix.selection.data_checks import RoundedFeature


SMALL = (7.6, 3.2)  # inches of the figure in a notebook
# Number of candidates in the table of a notebook.
MOST_SHOWN = 6
# Largest K by which columns are selected, as each subset of them is fitted with every K.
MOST_SELECTED = 30
LOG_NORMAL = "log-normal"


def families_of(candidate: Candidate, names: Iterable[Any]) -> dict[str, str]:
    """Return the family of each column of a candidate in words; nothing for regressions."""
    result = candidate.result
    family: Any = None if result is None else result.family
    if family is None or noun_of(candidate.estimator) == "regression":
        return {}
    parts = parts_of(family, names)
    words = {str(name): own.adjective for columns, own in parts for name in columns}
    return words | dict.fromkeys(logged_names(family, names), LOG_NORMAL)


@dataclass(frozen=True)
class SearchFindings:
    """What a search found, before its candidates are ranked."""

    candidates: list[Candidate]
    criterion: str  # that was asked for
    n: float  # observations, or the sum of their weights
    checks: DataChecks
    folds: list[tuple[int, int, Candidate]]  # number of the candidate, of the fold, and its fit
    # From the candidates, those with a value in order, and the criterion.
    clusters: Callable[[list[Candidate], list[int], str], ClusterNumbers] | None
    # Sizes of the clusters (C,) of the chosen candidate, and the number of observations in none.
    sizes: Callable[[Candidate, Integers], tuple[Array, float]]
    noise: Callable[[Candidate], str] | None  # a note on uniform noise
    unordered: Candidate | None  # the best mixture without the order of the samples
    compared_on: str  # on what candidates were compared, if not on all observations

    def chosen(self) -> tuple[str, list[int]]:
        """Return the criterion, and the candidates with a value, best first.

        Warns if another criterion than the one asked for is used; raises ``BayesmixError`` if no
        candidate has a value.
        """
        criterion = criteria.criterion_with_values(self.candidates, self.criterion)
        if criterion != self.criterion:
            warn(
                f"some of the best candidates have no reliable {self.criterion} (see the column "
                f"note of results_), so {criterion} was used",
                BayesmixWarning,
            )
        order = criteria.chosen(self.candidates, criterion)
        if not order:
            raise BayesmixError(criteria.why_none(self.candidates, criterion))
        return criterion, order

    def ranked(self, order: list[int]) -> list[int]:
        """Return all candidates, those without a value last."""
        rest = [i for i in range(len(self.candidates)) if i not in order]
        rest.sort(key=lambda i: -self.candidates[i].comparable(criteria.ON_SAMPLE))
        return [*order, *rest]

    @property
    def on_sample(self) -> str:
        """On how many observations candidates were compared, if not on all."""
        if not self.compared_on:
            return ""
        n_fits = sum(row.result is not None for row in self.candidates)
        return f" on {self.compared_on}, of which {n_fits} were fitted to all"


@dataclass(frozen=True)
class _OfClusters:
    """Clusters of observations, a prediction of a fit; ``words`` are of clusters with names."""

    clusters: Integers
    words: Callable[[Integers], object] | None

    def __call__(self, result: FitResult, values: Array) -> Any:
        found = most_probable_clusters(result.probabilities(values), self.clusters)
        return found if self.words is None else self.words(found)


def learns(row: Candidate) -> bool:
    """Whether a candidate's family has values that were learned from the data before the fit."""
    return row.sound is not None and row.sound.family.n_learned > 0


class SearchResults:
    """Results and chosen candidate of a search; ``MixtureSearch`` defers to them."""

    criterion_: str
    best_index_: int
    _rows: list[Candidate]
    _prior_over_k: dict[int, float]
    _averaged: AveragedDensity | None
    _selected: FeatureSelection | None
    _others: Any
    _told: Answer | AnswerText  # the answer, or what its text is made from
    _hierarchy: Hierarchy | None
    _rounded: Sequence[RoundedFeature] = ()
    clusters: str | None
    cautions_: list[str]
    _coding: Coding | None
    interrupted_: bool
    irrelevant: str
    n_components: Any
    param_grid: Any
    prior_over_k: Any
    progress: bool | None
    results_: Any
    _show: Callable[[list[Candidate], str], None]
    predict_proba: Callable[..., Any]

    def _as_fitted(self, X: Any) -> Any:
        """Return a frame at predict time as numbers; other data are unchanged."""
        return as_coded(X, self._coding)

    @property
    def columns_(self) -> pd.DataFrame:
        """Kind and family of each column, and the reason where they follow from names and values.

        The family is that of the chosen candidate.
        """
        names: Any = getattr(self, "feature_names_in_", range(getattr(self, "n_features_in_", 0)))
        plain = [(str(name), "continuous", "") for name in names]
        decisions = plain if self._coding is None else self._coding.decisions or plain
        families = families_of(self._rows[0], names) if self._rows else {}
        rows = [
            (name, kind, "; ".join(why).strip("; "), families.get(name, ""))
            for name, kind, *why in decisions
        ]
        heads = ["column", "kind", "reason", "family"]
        return pd.DataFrame(rows, columns=heads).set_index("column")

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
        return criteria.over_k(self._rows, criteria.probabilities(self._rows, self._prior_over_k))

    @property
    def averaged_(self) -> AveragedDensity:
        """Averaged density with ``score_samples``, ``sample``, ``co_clustering`` and ``plot``.

        With ``variable_selection`` it is the density of the selected features, ``transform(X)``.
        """
        self._check_kept()
        if what := dependent_data_of(self):
            raise UndefinedError(f"averaged_ does not support {what}: use best_estimator_")
        if self._averaged is None:
            from bayesmix.assess.averaging import averaged_over

            self._averaged = averaged_over(
                self._rows,
                self.criterion_,
                posterior_of(self._rows, self._prior_over_k),
                self._read_by_candidates,
            )
        return self._averaged

    def _read_by_candidates(self, X: Any) -> Any:
        """Return data as ``features_read`` does; with selected features these are given alone."""
        return self.features_read(X) if self._selected is None else self._as_fitted(X)

    @property
    def best_estimator_(self) -> Any:
        """Fit of the chosen candidate; with ``variable_selection``, the fit to ``transform(X)``."""
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

    def _select_features(
        self, estimator: Any, source: Source, falls: bool, seed: int
    ) -> tuple[Any, Source]:
        """Select features, model the others, and return estimator and data of the selected."""
        validation.one_of("irrelevant", self.irrelevant, ("independent", "regression"))
        feature_selection.refuse_unsupported(estimator, self.param_grid)
        estimator = knowing_levels(estimator, source)
        chain = [{"n_components": k} for k in component_numbers(self.n_components, MOST_SELECTED)]
        (chain,) = with_room([chain], side_of(source).largest_label + 1)
        numbers = [asked(candidate) for candidate in chain]
        prior = criteria.prior_asked(numbers, self.prior_over_k, falls)
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

    def _feature_names_given(self) -> tuple[str, ...] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else tuple(map(str, names))

    def _feature_names(self) -> list[str]:
        n_features = len(self._selection().relevant)
        return [*(self._feature_names_given() or (f"x{d}" for d in range(n_features)))]

    def features_read(self, X: Any) -> Any:
        """Return the features that candidates were fitted to; all of them if none was selected."""
        self._check_kept()
        X = self._as_fitted(X)
        if self._selected is None:
            return in_order_of_fit(self, X)
        return feature_selection.picked(self, X, self._selected.read)

    def _selection(self) -> FeatureSelection:
        check_is_fitted(self, "results_")
        if self._selected is None:
            raise UndefinedError(
                "no features were selected: set variable_selection=True and fit again"
            )
        return self._selected

    @property
    def feature_evidence_(self) -> Any:
        """Evidence in nats and P(relevant | data) of each feature, a frame.

        The evidence is the log Bayes factor of a distribution for each component against one
        distribution for all. Both columns are averaged over K.
        """
        selection = self._selection()
        columns = {"evidence": selection.evidence, "probability": selection.probability}
        return pd.DataFrame(columns, index=pd.Index(self._feature_names(), name="feature"))

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

    @property
    def n_components_(self) -> int:
        """Number of components of the chosen candidate."""
        return self._fitted().n_components

    @property
    def answer_(self) -> Answer:
        """The clusters: words, sizes, colours, probabilities and text, read by all that shows them.

        Examples
        --------
        >>> import bayesmix as bm
        >>> search = bm.select(bm.datasets.load_faithful())
        >>> search.answer_.words, search.answer_.sizes.tolist()
        (('cluster 1', 'cluster 2'), [175.0, 97.0])
        """
        check_is_fitted(self, "results_")
        if not isinstance(self._told, Answer):
            self._told = self._told.answer()
        return self._told

    @property
    def n_clusters_(self) -> int:
        """Number of clusters of the chosen candidate, without outlying components."""
        self._check_kept()
        return self.answer_.number

    @property
    def cluster_probabilities_(self) -> Any:
        """Probability that other data of the same source give this number of clusters, a Series.

        By a Bayesian bootstrap of the criterion and of the held-out assignments. Classes, states
        and regressions are counted as they are.

        Raises
        ------
        UndefinedError
            For sequences in parts, interrupted searches, and files of versions before 0.3.0.
        """
        check_is_fitted(self, "results_")
        probabilities = dict(self.answer_.probabilities)
        if not probabilities:
            raise UndefinedError(
                "cluster_probabilities_ needs data in memory and a search that was not "
                "interrupted: fit again to a sample of the data"
            )
        index = pd.Index(sorted(probabilities), name="n_clusters")
        return pd.Series(probabilities, name="probability").reindex(index)

    @property
    def clusters_(self) -> Integers:
        """Cluster of each component (K,), 0 being the heaviest; -1 for outlying components."""
        self._check_kept()
        return self.answer_.labels

    def predict_clusters(self, X: Any, **beside: Any) -> Any:
        """Return the most probable cluster of each sample; -1 for outlying components and noise.

        With ``names``, the name of the cluster, or "outlying". Those of a Dask collection are lazy.
        """
        best = self.best_estimator_
        if (is_collection(X) or in_parts(X)) and not beside and hasattr(best, "_map"):
            words = self.answer_.in_words if self.answer_.names else None
            return best._map(X, _OfClusters(self.clusters_, words))
        return self.clusters_by(self.predict_proba(X, **beside))

    def predict_proba_clusters(self, X: Any, **beside: Any) -> Any:
        """Return the probability (n, C) of each cluster for each sample.

        It is the sum over the components of the cluster. A row sums to less than 1 by the
        probability of outlying components and noise.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> search = bm.select(X, n_components=(1, 2, 3))
        >>> search.predict_proba_clusters(X)[:2].round(2)
        array([[1., 0.],
               [0., 1.]])
        """
        shares = shares_of_clusters(self.predict_proba(X, **beside), self.clusters_)
        return like(np.minimum(host(shares)[:, 1:], 1.0), X)  # rounding may exceed 1

    def clusters_by(self, probabilities: Array) -> Any:
        """Return the most probable cluster (n,) by probabilities of components (n, K)."""
        clusters = most_probable_clusters(probabilities, self.clusters_)
        return clusters if self.answer_.names is None else self.answer_.in_words(host(clusters))

    def describe(
        self,
        X: Any = None,
        by: str = "clusters",
        level: float = 0.9,
        *,
        sample_weight: Any = None,
        **beside: Any,
    ) -> Description:
        r"""Describe the clusters by the columns of a table: sizes, means, shares, what is typical.

        Parameters
        ----------
        X : array or frame (n, D), optional
            The data of the fit, or others. Columns that were not used in the fit are described
            too and marked. None: draws from the chosen candidate, with the sizes of the fit.
        by : {"clusters", "components"}, default="clusters"
        level : float, default=0.9
            Level of the intervals of effect sizes.
        sample_weight : array (n,), optional
        **beside
            Further arguments of ``predict``, such as ``lengths`` of sequences, or the response
            ``y`` of regressions.

        Returns
        -------
        Description
            With ``table``, ``typical``, ``certainty``, ``sentences``, ``plot()`` and writers of
            Markdown, LaTeX and Excel.

        Raises
        ------
        InvalidInputError
            If columns of the fit are missing from X, or X has one row.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> search = bm.select(X, n_components=(1, 2, 3))
        >>> print(*search.describe(X).sentences[0].split(", "), sep=",\n")
        Cluster 1 (64 %,
        n = 175): "eruptions" higher (mean 4.29 against 2.04),
        "waiting" higher (mean 80.0 against 54.5).
        """
        validation.one_of("by", by, ("clusters", "components"))
        if noun_of(self) == "regression":
            if X is None or beside.get("y") is None:
                raise InvalidInputError(
                    "a description of regressions needs the data: pass X and y, as in "
                    "describe(X, y=y)"
                )
            described: Description = self.best_estimator_.describe(
                X, level=level, sample_weight=sample_weight, **beside
            )
            return described
        answer = self.answer_
        noun, of_components, names = answer.noun, np.asarray(self.clusters_), answer.words
        sizes = np.append(answer.sizes, answer.outlying)
        if by == "components":
            noun, of_components = self._fitted().noun, np.arange(self.n_components_)
            names = tuple(part_names(noun, self.n_components_))
            sizes = columns.sizes_of_groups(np.asarray(self._fitted().counts), of_components)
        return columns.describe_fit(
            self,
            X,
            sizes=sizes,
            groups=of_components,
            beside=beside,
            names=names,
            noun=noun,
            level=level,
            sample_weight=sample_weight,
        )

    def score_samples(self, X: Any, **beside: Any) -> Any:
        """Return the log density of each sample in nats under the chosen candidate."""
        self._refuse_regression()
        values = self._as_fitted(X)
        density = self.best_estimator_.score_samples(self.features_read(values), **beside)
        if self._others is not None and self._selected is not None:
            density = density + self._others.score_samples(
                feature_selection.picked(self, values, self._selected.rest)
            )
        return like(density, X)

    def true_values(self, X: Any, **options: Any) -> Any:
        """Return the posterior of true values of ``Measured`` data under the chosen candidate."""
        return self.best_estimator_.true_values(self.features_read(X), **options)

    def sample(self, n_samples: int = 1, random_state: Any = None, **options: Any) -> Any:
        """Draw samples and their components from the chosen candidate."""
        self._refuse_regression()
        best = last_step(self.best_estimator_)
        from bayesmix.posterior.subject import refuse_regressions

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

    def _restore(self, rows: list[Candidate], attributes: dict[str, Any], folds: list[Any]) -> None:
        self._told = attributes.pop("answer_")
        for name, value in attributes.items():
            setattr(self, name, value)
        self.folds_ = search_tables.of_folds(folds)
        self._show(rows, self.criterion_)

    def summary(self, verbose: bool = False) -> str:
        """Return the clusters in words, then the model, the choice, other criteria and notes.

        ``verbose=True`` adds all clusters, all notes, the next candidates and the prior over K.
        """
        return self.answer_.summary(verbose)

    def _answer_html(self) -> str:
        table = leading(self.results_, record(self.criterion_).column, MOST_SHOWN)
        answer = self.answer_
        if not answer.sentences:
            with suppress(UndefinedError, UnsupportedError, InvalidInputError):
                drawn = self.describe()
                text = f"{answer.text}\n{columns.FROM_MODEL}"
                answer = replace(answer, sentences=drawn.sentences, text=text)
        return summary_html(answer.summary(), *table, len(self.results_))

    def matrix(self, criterion: str | None = None) -> Any:
        """Return a criterion as a table, K by structure; ``attrs["best"]`` has the best three.

        By default it is that which chose, or its values on a sample (see ``most_samples``).

        Examples
        --------
        >>> import bayesmix as bm
        >>> search = bm.select(bm.datasets.load_faithful(), (2, 3), "all", criterion="bic")
        >>> search.matrix().attrs["best"][0][:2]
        ('tied', 3)
        """
        check_is_fitted(self, "results_")
        default = comparing(self.results_, self.criterion_)
        return over_structures(self.results_, record(criterion or default).column)

    def plot(
        self, X: Any = None, ax: Any = None, *, kind: str | None = None, **options: Any
    ) -> Any:
        """Plot the probability of each number of clusters, and the clusters; see ``plot_answer``.

        ``kind="criterion"``, the default on given axes: the criterion over K for each structure,
        see ``plot_selection``. ``X`` are data to show beside the clusters.
        """
        from bayesmix import plots

        validation.one_of("kind", kind, (None, "answer", "criterion"))
        if hasattr(X, "get_figure"):  # axes came first in version 0.2.0
            X, ax = None, X
        alone = ax is not None and not np.ndim(ax)
        if kind == "criterion" or (kind is None and (alone or "criterion" in options)):
            return plots.plot_selection(self, ax=ax, **options)
        return plots.plot_answer(self, X, ax, **options)

    def with_clusters(self, n_clusters: int) -> Self:
        """Return the search with another number of clusters, as one of its candidates forms them.

        It is the fitted candidate with most of the criterion whose components form so many
        clusters, or can be cut into them. Predictions, tables, figures and reports of the result
        are those of that candidate; this search is unchanged.

        Parameters
        ----------
        n_clusters : int

        Raises
        ------
        ValueError
            If no fitted candidate has so many components.

        Examples
        --------
        >>> import bayesmix as bm
        >>> search = bm.select(bm.datasets.load_faithful())
        >>> search.n_clusters_, search.with_clusters(3).n_clusters_
        (2, 3)
        """
        self._check_kept()
        number = validation.integer("n_clusters", n_clusters, 1)
        column = record(self.criterion_).column
        rows = sorted(self._rows, key=lambda row: -row.comparable(column))
        fitted = [row for row in rows if row.sound is not None]
        merged = self.clusters if noun_of(self) == "component" else COMPONENTS
        pairs = [
            (row, clustering_of(own, self._rounded, merged))
            for row in fitted
            if (own := row.sound) is not None
        ]
        forming = [pair for pair in pairs if number_of(pair[1].clusters) == number]
        cut = [pair for pair in pairs if pair[1].into(number) is not None]
        if not (forming or cut):
            most = max((own.n_components for row in fitted if (own := row.sound)), default=1)
            raise InvalidInputError(
                f"no fitted candidate forms n_clusters={number}, the largest has {most} "
                f"components: use bm.select(X, n_components={number})"
            )
        row, clustering = (forming or cut)[0]
        labels, result = clustering.into(number), row.result
        assert labels is not None
        assert result is not None  # sound candidates are fitted
        ranked = [row, *(other for other in self._rows if other is not row)]
        search = copy(self)
        search._show(ranked, self.criterion_)
        found = f"The search found {self.n_clusters_}; {number} was asked for."
        search._hierarchy, search.cautions_ = clustering.hierarchy, [found]
        sizes, outlying = sizes_by_counts(result.counts, labels, result.total_weight)
        text = AnswerText(
            candidates=ranked,
            criterion=self.criterion_,
            n=result.total_weight,
            probabilities=posterior_of(ranked, self._prior_over_k),
            notes=[found],
            labels=labels,
            sizes=sizes,
            outlying=outlying,
            cluster_probabilities={},
            reason=f"the best with {counted(number, self.answer_.noun)}",
        )
        search._told = replace(text.answer(), probabilities=self.answer_.probabilities)
        return search

    def plot_tree(self, ax: Any = None) -> Any:
        """Plot the merges from which the search began, with what each loses; see ``plot_tree``."""
        from bayesmix import plots

        check_is_fitted(self, "results_")
        return plots.plot_tree(self, ax)

    def _draw_small(self, figure: Any) -> None:
        from bayesmix.plots.answer import PANELS, plot_answer

        self._check_kept()
        figure.set_size_inches(*SMALL)
        plot_answer(self, axes=figure.subplots(**PANELS))

    def report(
        self, path: Any, X: Any = None, title: str | None = None, interactive: bool = True
    ) -> Any:
        """Write the search as one HTML page, and return its path; see ``write_report``."""
        return report_writer()(self, path, X, title, interactive=interactive)

    def _say_scales(self) -> None:
        """Add to the summary the columns on the log scale, or what powers of columns gained."""
        result = self._rows[0].result if self._rows else None
        if result is None:
            return
        names = self._feature_names_given() or range(getattr(self, "n_features_in_", 0))
        if logged := logged_names(result.family, names):
            self._add(f"Log scale: {brief(logged)}.")
        if self._coding is not None and self._coding.masses:
            self._add(
                f"Values that many share: {self._coding.told_masses}. Each has a probability of "
                "its own in every component."
            )
        plain, powers = (
            [row.comparable(self.criterion_) for row in self._rows if learns(row) == learned]
            for learned in (False, True)
        )
        if learns(self._rows[0]) and plain:
            self._add(
                "Columns transformed by Yeo-Johnson powers: log evidence "
                f"{max(powers) - max(plain):,.0f} nats higher than without powers."
            )

    def tell_clusters(self, X: Any, sample_weight: Any, **beside: Any) -> None:
        """Keep the sentences of ``describe`` on the data of the fit, for notebooks.

        There are none for regressions, and for data that are not in memory or cannot be described.
        """
        in_memory = isinstance(X, ArraySource) or not (is_source(X) or is_collection(X))
        if noun_of(self) == "regression" or not in_memory:
            return
        # Groups of other samples belong to folds.
        of_folds = set() if noun_of(self) == "state" else {"groups"}
        given = {k: v for k, v in beside.items() if v is not None and k not in of_folds}
        answer = self.answer_
        # A search does not fail for want of sentences, whatever its data are.
        with suppress(BayesmixError, TypeError, ValueError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sentences = columns.sentences_of_fit(
                self, X, self.clusters_, answer.words, answer.noun, sample_weight, **given
            )
            self._told = replace(answer, sentences=sentences)

    def _add(self, sentence: str) -> None:
        """Add a line to the summary, below that of the model."""
        texts = self.answer_.text, self.answer_.details
        parts = [text.split("\n", 3) for text in texts]
        text, details = (
            "\n".join([first, blank, model, sentence, *rest])
            for first, blank, model, *rest in parts
        )
        self._told = replace(self.answer_, text=text, details=details)
