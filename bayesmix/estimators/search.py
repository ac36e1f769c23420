"""``MixtureSearch``: selection of the number of components and the covariance structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.feature_selection import SelectorMixin
from sklearn.utils.validation import check_is_fitted

from bayesmix.core import validation
from bayesmix.core.procedures import last_step, noun_of, prefix_of
from bayesmix.core.random import root_seed
from bayesmix.data.coded_frames import typed_for
from bayesmix.em.model import side_of
from bayesmix.em.progress_bar import FitProgress
from bayesmix.errors import (
    BayesmixWarning,
    InvalidInputError,
    SelectionWarning,
    warn,
)
from bayesmix.estimators.base import Transforming
from bayesmix.estimators.inputs.given_trials import in_trials
from bayesmix.estimators.inputs.incoming import store_parameters
from bayesmix.estimators.inputs.numeric_tables import table_of
from bayesmix.estimators.searching import feature_selection, search_checks
from bayesmix.estimators.searching.counts_of_wholes import sentence_on_bursts, sentence_on_totals
from bayesmix.estimators.searching.feature_selection import with_names_of_selected
from bayesmix.estimators.searching.search_design import SearchCriteria, SearchDesign, is_by_tree
from bayesmix.estimators.searching.search_results import SearchFindings, SearchResults
from bayesmix.estimators.searching.search_subjects import (
    SearchArguments,
    SubjectOfSamples,
    subject_of,
)
from bayesmix.estimators.showing import Showing
from bayesmix.numerics.arrays import Booleans
from bayesmix.numerics.device_arrays import like
from bayesmix.observation.instrument import refuse_measured
from bayesmix.selection import criteria, search_tables
from bayesmix.selection.answer_text import AnswerText
from bayesmix.selection.candidates import Candidate, asked
from bayesmix.selection.clusters import (
    COMPONENTS,
    GAPS,
    MERGED,
    ClusterNumbers,
    clusters_of_components,
    n_between_gaps,
)
from bayesmix.selection.data_checks import are_directions, duplicates, log_scale, rounded_features
from bayesmix.selection.full_searches import completed
from bayesmix.selection.scores import weights_of
from bayesmix.selection.summary_text import DataChecks, label
from bayesmix.selection.sweep import Sweep
from bayesmix.selection.tasks import Task
from bayesmix.selection.tree_search import TreeSearch
from bayesmix.sources.dask_workers import collected
from bayesmix.sources.memory import ArraySource, coding_of, is_collection, is_source, processes
from bayesmix.sources.survey_weights import weighted

if TYPE_CHECKING:
    from bayesmix.estimators.searching.subspaces import SubspaceChoice
    from bayesmix.families.coding import Coding
    from bayesmix.relevance.relevance_search import FeatureSelection
    from bayesmix.selection.merge_tree import MergeTree


class MixtureSearch(SearchResults, Transforming, SelectorMixin, Showing):  # type: ignore[misc]  # scikit-learn is untyped
    """Search for the chosen candidate by a criterion.

    Parameters
    ----------
    estimator : estimator, optional
        A bayesmix estimator, or a pipeline that ends in one; default ``GaussianMixture()``.
    n_components : int or sequence of int, default=1..10
        None: fit the tops of trees of merges, then neighbours of the best until none within reach
        is left (at most 1,000). Regressions and pipelines have no trees and begin at one
        component. With cross-validation, also leave-one-out: 1 to 10.
    covariance_type : str or sequence of str, optional
        Structures to compare; None: that of the estimator. "all": the fourteen of mclust, or for
        variational estimators the six with a conjugate prior.
    param_grid : dict or list of dict, optional
        Further parameters to vary, as in scikit-learn's ``GridSearchCV``.
    criterion : str or callable, default="bic"
        "bic", "sabic", "hqc", "aic", "aicc", "icl", "icl_soft"; "cv" (cross-validated log
        density) and "cv_1se" (fewest parameters within one standard error of the best by "cv"); or
        a function (FitResult, Source) -> float or ``bayesmix.Score``. For variational estimators
        also "elbo", "elbo_log_k", "evidence" (importance sampling), "loo" (leave-one-out, or
        cross-validation if Pareto k is large) and "auto", also called "elbo_prior": ELBO + log K! +
        log P(K), where the simplest candidate with the most probable number of clusters is chosen.
        AIC, BIC and ICL have their usual values, smaller is better; others are in nats, greater is
        better.
    cv : int or splitter, default=5
        Number of folds, or a splitter of scikit-learn such as ``RepeatedKFold``, ``GroupKFold`` or
        ``TimeSeriesSplit``. All candidates have the same folds.
    refit : bool, default=True
        Whether to store the fits of all candidates, including ``best_estimator_``.
    n_jobs : int, optional
        Number of parallel workers, which does not change results; None: all available cores.
    random_state : None, int, RandomState or Generator
        Seed of the folds of "cv", and of estimators without a seed. Probabilities of the number of
        clusters have no seed, except that missing cells are drawn with that of the estimator.
    progress : None or bool, default=None
        As in the estimators.
    checkpoint : path, optional
        Folder where finished fits are stored. After an interruption, the same call continues from
        there with identical results.
    also : sequence of str, default=()
        Further criteria to compute for the same fits: "cv", "evidence", "loo".
    prior_over_k : None, dict or callable
        Prior weight of each K, for ``k_probabilities_``. By default it decreases with K
        (beta-negative-binomial) for "auto" or ``n_components=None``, and is uniform otherwise.
    patience : int, optional
        Number of successive K worse than the best after which the search stops; None: fit all K.
        Ignored with cross-validation, and where K is not given.
    polish : float, optional
        With ``search="short"``, candidates within this many nats of the best are fitted again with
        the full search. None: the best one, if K is not given, by "cv", and of large data.
    variable_selection : bool, default=False
        Whether to select the features that distinguish the clusters. Candidates are fitted to
        these features only. See ``get_support`` and ``feature_evidence_``.
    irrelevant : {"independent", "regression"}, default="independent"
        Model of the features that are not selected: independent of the selected ones, or a linear
        regression on them (Gaussian features only).
    clusters : {"merged", "components", "gaps"}, optional
        Whether components that held-out observations cannot tell apart are one cluster. By default
        they are if all columns are continuous; classes of categories and counts, also beside
        measurements, states and regressions are counted as they are. "gaps": components are one
        cluster unless the density falls below a fifth of the lower peak between them, for curved
        groups such as rings (continuous columns only); overlapping groups are then one cluster.
    column_powers : bool, default=False
        Whether to fit candidates with Yeo-Johnson powers of the columns too, at a cost of
        log(n) / 2 for each power (criterion "auto" of variational Gaussian mixtures, without
        cross-validation). They are kept if the best has 15 nats more than that without powers.
    try_noise : bool, default=False
        Whether to fit candidates with uniform noise, and with Student-t components, too, where
        noise beside a fitted candidate gains (criterion "auto" of variational Gaussian mixtures,
        without cross-validation). They are kept if the best of them is the best.
    most_samples : int, optional
        Of larger data in memory, candidates are compared on cells, small groups of observations
        that share their responsibilities, or on a random sample of this size where a family has no
        sums of features. The best few are fitted to all data; the others have no fit and no
        scores. None: all candidates of given numbers are fitted to all data, as always with
        cross-validation.

    Attributes
    ----------
    columns_ : DataFrame
        A row per column of the frame: its kind, the reason, and its family in the chosen candidate.
    results_ : DataFrame
        A row per candidate, the chosen one first, then by the criterion: parameters, the criterion,
        the difference to the best one ("behind"), other criteria, standard errors, seconds,
        warnings, and a note if the candidate failed. Of large data also the criterion on cells or
        on a sample, in nats.
    folds_ : DataFrame
        A row per "candidate", a row of ``results_``, and fold; "rows" are units with groups.
    restarts_ : DataFrame
        A row per start or move of each fit.
    best_index_, best_params_, best_score_, best_estimator_
        The chosen candidate, under scikit-learn's names. It is the best one by the criterion except
        with "auto" and "cv_1se", whose rules may choose a simpler one; ``answer_.choice`` says so.
    estimators_ : list
        The fit of each candidate; None if it failed.
    answer_ : Answer
        The clusters as all tables, figures and files show them: words, sizes, colours, text.
    n_clusters_, clusters_, cluster_probabilities_
        Number of clusters, the cluster of each component, and the probability of each number.
    k_probabilities_ : Series
        P(K | data) of the number of components, summed over structures; ``attrs`` has the prior
        over K.
    averaged_ : AveragedDensity
        Model-averaged density, weighted by probabilities, or by stacking for "cv".
    cautions_ : list of str
        Warnings: K at the limit of the range, small components, rounded columns, ...
    interrupted_ : bool
        Whether Ctrl-C stopped the search before all candidates were fitted.

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
        checkpoint: Any = None,
        also: Sequence[str] = (),
        prior_over_k: Any = None,
        patience: int | None = None,
        polish: float | None = None,
        variable_selection: bool = False,
        irrelevant: str = "independent",
        columns: Any = None,
        clusters: str | None = None,
        column_powers: bool = False,
        try_noise: bool = False,
        most_samples: int | None = None,
    ) -> None:
        store_parameters(self, locals())

    def fit(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        labels: Any = None,
        covariates: Any = None,
        lengths: Any = None,
        times: Any = None,
        exact_times: Any = None,
        weight_type: str | None = None,
        **of_regression: Any,
    ) -> Self:
        """Fit and compare all candidates.

        Parameters
        ----------
        X : array, frame or source (n, D)
        y : array (n,) or str, optional
            Response of a mixture of regressions, or its formula; ignored otherwise.
        sample_weight : array (n,), optional
            Sample weights, used in all criteria and in held-out log densities.
        weight_type : {None, "frequency", "sampling"}, optional
            As in ``GaussianMixture.fit``. For survey weights use the criterion "design_bic".
        groups : array (n,), optional
            Groups that a splitter such as ``GroupKFold`` keeps together; for a hidden Markov model
            the sequence of each sample.
        labels : array (n,) or (n, K), optional
            Known components, as in ``GaussianMixture.fit``; every candidate has at least as many.
        covariates : array or frame (n, P), optional
            Covariates of the mixing weights, as in ``GaussianMixture.fit``, or of a chain, as in
            ``HiddenMarkovModel.fit``, whose ``covariate_effects`` may vary in ``param_grid``.
            Candidates are then maximum likelihood or maximum a posteriori fits.
        lengths : sequence of int, optional
            Lengths of the sequences of a hidden Markov model, as in ``HiddenMarkovModel.fit``, or
            of regressions, as in ``RegressionMixture.fit``.
            Folds are whole sequences. With fewer sequences than folds, folds are blocks of samples,
            and samples next to a held-out block are left out of the fit.
        times, exact_times : arrays (n,), optional
            Times of the samples of a hidden Markov model, as in ``HiddenMarkovModel.fit``.
            Candidates are then maximum likelihood fits.
        **of_regression
            Further arguments of ``RegressionMixture.fit``: gate, offset, trials, sequences.

        Raises
        ------
        ValueError
            For invalid data or parameters, and if no candidate has a value.
        """
        if noun_of(self.estimator) != "regression":
            X = in_trials(self, X, of_regression.pop("trials", None))
        described = X, sample_weight
        X, sample_weight = self._read(X, sample_weight, weight_type)
        asked_for = SearchCriteria.of(self)
        seed, beside = root_seed(self.random_state), groups if lengths is None else lengths
        kept_fits: Any = None
        if self.checkpoint is not None:
            from bayesmix.io.checkpoints import checkpoint_of

            seed, kept_fits = checkpoint_of(self, X, seed, sample_weight, beside)
        estimator = search_checks.estimator_of(self.estimator, seed, X)
        variational = search_checks.is_variational(estimator, asked_for.wanted)
        arguments = SearchArguments(
            self,
            estimator,
            X,
            sample_weight,
            groups,
            asked_for.wanted,
            variational,
            of_regression,
            y=y,
            labels=labels,
            covariates=covariates,
            lengths=lengths,
            times=times,
            exact_times=exact_times,
            weight_type=weight_type,
            seed=seed,
        )
        subject = subject_of(arguments)
        if self.variable_selection or self.column_powers:
            refuse_measured(subject.source, "a search over variables or powers")
        falls = asked_for.is_rule or self.n_components is None
        if self.clusters == GAPS:
            search_checks.refuse_gaps(self._coding, subject.independent)
        subject = self._of_selected_features(subject, falls, seed)
        design = self._designed(subject, asked_for, variational, falls, seed, kept_fits)
        self._trees = {}  # not those of an earlier fit
        sweep = design.begun()
        self._run(sweep)
        if isinstance(sweep, TreeSearch):
            self._trees = sweep.trees_of_structures
        candidates, folds = self._compared(design, sweep)
        self._adopt(design.findings(sweep, candidates, folds, self.interrupted_))
        self._tell_more(subject)
        self.tell_clusters(
            *described,
            covariates=covariates,
            lengths=lengths,
            groups=groups,
            times=times,
            exact_times=exact_times,
        )
        for caution in self.cautions_:
            warn(caution, SelectionWarning)
        return self

    def _read(self, X: Any, sample_weight: Any, weight_type: str | None) -> tuple[Any, Any]:
        """Return the data and weights as they are searched, after a check of some parameters."""
        if not isinstance(X, np.ndarray):
            X = table_of(X)
        if sample_weight is not None or weight_type is not None or hasattr(X, "weights"):
            X, sample_weight = weighted(X, sample_weight, weight_type)
        self._coding = coding_of(X) if is_source(X) else None
        if not is_source(X) and (self.columns or not isinstance(X, np.ndarray)):
            X, sample_weight, self._coding = typed_for(self, X, sample_weight)
        if is_collection(X):
            X, sample_weight = collected(X, sample_weight, validation.jobs(self.n_jobs)), None
        validation.one_of("clusters", self.clusters, (None, MERGED, GAPS, COMPONENTS))
        validation.flag("column_powers", self.column_powers)
        validation.flag("try_noise", self.try_noise)
        return X, sample_weight

    def _of_selected_features(
        self, subject: SubjectOfSamples, falls: bool, seed: int
    ) -> SubjectOfSamples:
        """Return the subject with the features that distinguish clusters, if these are asked."""
        self._selected, self._others = None, None
        if not validation.flag("variable_selection", self.variable_selection):
            return subject
        selected = self._select_features(subject.estimator, subject.source, falls, seed)
        return subject.restricted(*selected)

    def _designed(
        self,
        subject: SubjectOfSamples,
        asked_for: SearchCriteria,
        variational: bool,
        falls: bool,
        seed: int,
        kept_fits: Any,
    ) -> SearchDesign:
        """Return the candidates, and how they are compared; ``falls``: the prior of K falls."""
        by_tree = is_by_tree(self, asked_for)
        chains, checks = self._range(subject, variational, by_tree, seed)
        self._prior_over_k = criteria.prior_asked(checks.numbers, self.prior_over_k, falls)
        distinct = checks.duplicates.distinct
        splits = subject.folds(self.cv, seed, distinct) if asked_for.folded else ()
        n_chains = 1 if by_tree else len(chains) * (1 + len(splits))
        search_checks.share_workers(self, subject.estimator, subject.source, n_chains)
        name = asked_for.name
        watched = "elbo_log_k" if asked_for.is_rule else criteria.record(name).column
        patience = validation.optional_integer("patience", self.patience, 1)
        functions = dict(asked_for.functions)
        task = Task(subject.fitter, splits, functions, kept_fits, patience, watched)
        prior = self._prior_over_k
        return SearchDesign(self, subject, asked_for, chains, checks, prior, task, seed)

    def _compared(
        self, design: SearchDesign, sweep: Sweep | TreeSearch
    ) -> tuple[list[Candidate], list[tuple[int, int, Candidate]]]:
        """Return the candidates with all scores, the best after full searches; and fits to folds.

        Where leave-one-out is unreliable, folds are fitted too.
        """
        subject, name = design.subject, design.criteria.name
        if isinstance(sweep, TreeSearch):
            rows, folds = subject.by_unit(sweep.candidates(), sweep)
        else:
            weights = weights_of(subject.X, subject.sample_weight)
            rows = sweep.candidates(weights)
            if name == "loo" and any(criteria.diagnostic_failed(row, "loo") for row in rows):
                distinct = design.checks.duplicates.distinct
                sweep = sweep.with_folds(subject.folds(self.cv, design.seed, distinct))
                self._run(sweep)
                rows = sweep.candidates(weights)
            rows, folds = subject.by_unit(rows, sweep)
            rows = self._completed(sweep.task, rows, name)
        if design.criteria.is_rule:
            rows = criteria.with_log_posteriors(rows, self._prior_over_k)
        return rows, folds

    def _tell_more(self, subject: SubjectOfSamples) -> None:
        """Add sentences on scales, a common subspace, totals and bursts."""
        self._say_scales()
        if self._subspace is not None:
            self._add(self._subspace.sentence)
        if isinstance(subject.source, ArraySource) and subject.independent and self.refit:
            on_totals = sentence_on_totals(self._fitted().family, subject.source)
            if text := on_totals or sentence_on_bursts(self._fitted(), subject.source):
                self._add(text)

    def _range(
        self,
        subject: SubjectOfSamples,
        variational: bool,
        by_tree: bool,
        seed: int,
    ) -> tuple[list[list[dict[str, Any]]], DataChecks]:
        """Return the candidates in chains over K, and findings about the data and the range."""
        estimator, prefix = subject.estimator, prefix_of(subject.estimator)
        chains, left_out = search_checks.chains_of(self, subject, variational, by_tree)
        subject.check(chains)
        side, grows = side_of(subject.source), self.n_components is None
        if side.labels is not None:
            chains = search_checks.with_room(chains, side.largest_label + 1)
        elif self._selected is not None and not self._selected.relevant.any():
            chains, grows = [[search_checks.one_component(estimator)]], False
        numbers = sorted({asked(parameters) for chain in chains for parameters in chain})
        # The columns that a pipeline makes are unknown here.
        plain = subject.as_given if subject.independent and not prefix else None
        if plain is not None and self._selected is not None:
            plain = with_names_of_selected(self, plain)
        few_features = partial(search_checks.note_on_features, estimator, self.param_grid)
        looks = len(numbers) > 1 and subject.independent and self._selected is None and not side
        return chains, DataChecks(
            numbers,
            max(numbers) if grows else self._limit,
            subject.source.shape,
            left_out,
            rounded_features(plain, [feature.column for feature in subject.spread]),
            duplicates(plain),
            log_scale(plain),
            few_features(subject.source, seed) if looks else "",
            subject.of_features,
            subject.spread,
            subject.copies,
            subject.n_repeated is not None,
            are_directions(plain),
        )

    def _completed(self, task: Task, rows: list[Candidate], criterion: str) -> list[Candidate]:
        """Return candidates after full searches of the best."""
        polish = 0.0 if task.by_folds else self.polish
        if polish is not None and self.refit and not self.interrupted_:
            try:
                rows = completed(task, rows, criterion, polish, self._prior_over_k)
            except KeyboardInterrupt:
                self.interrupted_ = True
        return rows

    # Largest K of the automatic range of another search, of which this one has some numbers.
    _limit: int | None = None
    _selected: FeatureSelection | None = None
    _others: Any = None  # one component of the features that were not selected
    _coding: Coding | None = None  # of the columns of a frame
    interrupted_: bool
    _subspace: SubspaceChoice | None = None  # that select found better than all columns
    _trees: Mapping[str, MergeTree] = {}  # by structure, if the search began at trees
    _answer = "results_"
    _criterion_asked = True  # select, where it was not given a criterion, sets False

    def _run(self, sweep: Sweep | TreeSearch) -> None:
        """Fit all candidates, in workers if it takes long; Ctrl-C keeps those that are finished."""
        with FitProgress(sweep.total, self.progress) as bar:
            try:
                for row in sweep.fit_all(processes(sweep.task.fitter.table, self.n_jobs)):
                    bar.advance(label(row))
                self.interrupted_ = False
            except KeyboardInterrupt:
                if not sweep.n_found:
                    raise
                self.interrupted_ = True
                of = "" if sweep.total is None else f" of {sweep.n_candidates}"
                warn(
                    f"interrupted: compared the first {sweep.n_found}{of} candidates",
                    BayesmixWarning,
                )

    def _adopt(self, findings: SearchFindings) -> None:
        """Rank the candidates, those without a value last, and adopt the clusters of the best."""
        criterion, order = findings.chosen()
        clusters = self._clusters_found(findings, criterion, order)
        # The rule of ``select`` takes the simplest one with the most probable number of clusters.
        by_clusters = clusters is not None and criterion == criteria.RULE
        best, leading = order[0], findings.candidates[order[0]]
        if clusters is not None and by_clusters:
            values = [row.comparable(criterion) for row in findings.candidates]
            best = clusters.simplest(values)
        ranked = findings.ranked([best, *(i for i in order if i != best)])
        rows = [findings.candidates[i] for i in ranked]
        self._name_columns(rows)
        self.folds_ = search_tables.folds(
            sorted((ranked.index(i), part, row) for i, part, row in findings.folds)
        )
        self._show(rows, criterion)
        checks, result = findings.checks, rows[0].result
        assert result is not None  # it has a value
        self._rounded = checks.rounded
        self._hierarchy = None if clusters is None else clusters.clusterings[best].hierarchy
        if clusters is not None:
            labels = clusters.of(best)
        elif noun_of(rows[0].estimator) == "component":
            labels = clusters_of_components(result, checks.rounded, self.clusters)
        else:
            labels = np.arange(result.n_components)
        ended = checks.ended(rows[0], leading)
        noise = findings.noise
        on_noise = "" if noise is None or self.interrupted_ else noise(rows[0])
        self.cautions_ = [*filter(None, [on_noise]), *checks.notes(rows, labels, ended)]
        selected, names = self._selected, self._feature_names
        asked_for = self._criterion_asked and criterion == findings.criterion
        sizes, outlying = findings.sizes(rows[0], labels)
        merged = noun_of(rows[0].estimator) == "component" and self.clusters in (None, MERGED)
        between = n_between_gaps(result, labels) if merged else None
        self._told = AnswerText(
            candidates=rows,
            criterion=criterion,
            n=findings.n,
            probabilities=criteria.posterior_of(rows, self._prior_over_k),
            notes=self.cautions_,
            labels=labels,
            sizes=sizes,
            outlying=outlying,
            cluster_probabilities={} if clusters is None else clusters.probabilities,
            features="" if selected is None else selected.sentence(names(), result.n_components),
            rounding=checks.spread_over_steps,
            compared_on=findings.on_sample,
            unordered=findings.unordered,
            criterion_asked=asked_for and criterion != criteria.RULE,
            n_between_gaps=between,
            by_gaps=self.clusters == GAPS,
            ended=ended,
        )
        if not self.refit:  # fits are not kept
            self.summary()

    def _clusters_found(
        self, findings: SearchFindings, criterion: str, order: list[int]
    ) -> ClusterNumbers | None:
        """Return the clusters of candidates that may win; None if interrupted."""
        if findings.clusters is None:
            return None
        try:
            return findings.clusters(findings.candidates, order, criterion)
        except KeyboardInterrupt:
            self.interrupted_ = True
            return None

    def _name_columns(self, rows: list[Candidate]) -> None:
        """Name selected columns without names by their position in the data of the search."""
        if self._selected is None or self._feature_names_given() is not None:
            return
        columns = tuple(f"x{d}" for d in self._selected.read)
        for mixture in [last_step(row.estimator) for row in rows if row.estimator is not None]:
            mixture.result_ = replace(mixture.result_, columns=columns)

    def _show(self, rows: list[Candidate], criterion: str) -> None:
        scored = criteria.record(criterion).column
        self.criterion_ = criterion
        self.results_ = search_tables.results(rows, scored)
        self.restarts_ = search_tables.restarts(rows)
        self.best_index_ = 0
        self.best_params_ = rows[0].parameters
        self.best_score_ = criteria.record(scored).factor * rows[0].value(scored)
        self._rows = rows if self.refit else []
        self._averaged = None

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the clusters, from the heaviest, for predictions, figures and the report.

        Set them after ``fit``: ``search.names = ("young", "old")``. None, the default: numbers.
        """
        return self.answer_.names

    @names.setter
    def names(self, names: Sequence[str] | None) -> None:
        if names is not None and len(names) != self.n_clusters_:
            raise InvalidInputError(
                f"names must name each of the {self.n_clusters_} clusters, got {len(names)}"
            )
        self._told = self.answer_.named(names)

    def predict(self, X: Any, *given: Any, **beside: Any) -> Any:
        """Return the most probable component of each sample under the chosen candidate.

        Covariates, or lengths or groups of sequences, are passed as in ``fit``.
        """
        return like(self.best_estimator_.predict(self.features_read(X), *given, **beside), X)

    def predict_proba(self, X: Any, *given: Any, **beside: Any) -> Any:
        """Return the component probabilities of each sample under the chosen candidate."""
        shares = self.best_estimator_.predict_proba(self.features_read(X), *given, **beside)
        return like(shares, X)

    def score(self, X: Any, y: Any = None, **beside: Any) -> float:
        """Return the mean log density in nats under the chosen candidate."""
        self._refuse_regression()
        if noun_of(self) == "regression":
            beside["y"] = y
        if self._others is None:
            return float(self.best_estimator_.score(self.features_read(X), **beside))
        return float(np.mean(self.score_samples(X)))

    def transform(self, X: Any) -> Any:
        """Return the selected features, or ``predict_proba`` without variable selection."""
        check_is_fitted(self, "results_")
        if self._selected is None:
            return super().transform(X)
        return feature_selection.picked(self, X, np.flatnonzero(self._selected.relevant))

    def _get_support_mask(self) -> Booleans:
        return self._selection().relevant.copy()
