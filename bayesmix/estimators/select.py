"""``select``: the number of components and the covariance structure in one call."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core import validation
from bayesmix.core.entries import compared_effects, estimator_class
from bayesmix.core.nouns import counted
from bayesmix.core.procedures import last_step
from bayesmix.core.random import root_seed
from bayesmix.data.coded_frames import typed_rows
from bayesmix.em.model import side_of
from bayesmix.em.under_a_prior import VariationalBayes
from bayesmix.errors import InvalidInputError, InvalidTypeError, UnsupportedError
from bayesmix.estimators.bayesian import BayesianGaussianMixture
from bayesmix.estimators.gaussian import GaussianMixture
from bayesmix.estimators.inputs.data_errors import integrates_out_missing
from bayesmix.estimators.inputs.incoming import training_rows
from bayesmix.estimators.inputs.missing_rows import rows_with_missing
from bayesmix.estimators.mixture import Mixture
from bayesmix.estimators.search import MixtureSearch
from bayesmix.estimators.searching.column_masses import with_masses
from bayesmix.estimators.searching.fitters import coding_of_table, is_mixed_table
from bayesmix.estimators.searching.search_checks import MOST_SAMPLES, shape_of
from bayesmix.estimators.searching.subspaces import better_subspace, worth_trying
from bayesmix.families.amounts import BESIDE_POWERS, ONE_AMOUNT, log_scale_of
from bayesmix.families.gaussian.covariance.models import OF_ONE_COLUMN, SCIKIT_LEARNS
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.names import families_compared
from bayesmix.families.successes import Binomial
from bayesmix.families.transformed import Transformed
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.device_arrays import host
from bayesmix.observation.measured import Measured
from bayesmix.observation.trials import SuccessesInTrials
from bayesmix.selection.criteria import POSTERIOR, RULE
from bayesmix.selection.structures import have_posteriors
from bayesmix.sources.containers import one_column, tabular
from bayesmix.sources.dask_workers import collected
from bayesmix.sources.memory import (
    ArraySource,
    coding_of,
    in_parts,
    is_collection,
    is_source,
    with_sparse_rows,
)

if TYPE_CHECKING:
    from bayesmix.core.measurement import Measurement
    from bayesmix.core.protocols import Parameters, UserRows
    from bayesmix.estimators.searching.subspaces import SubspaceChoice
    from bayesmix.families.coding import Coding
    from bayesmix.selection.scores import ScoreFunction

# Nats behind the best within which a candidate is searched fully, by a likelihood criterion.
POLISH = 6.0
DIAGONAL_OF_ONE_COLUMN = ("diag", "EEI")


def select(
    X: Any,
    n_components: Any = None,
    covariance_type: str | Sequence[str] | None = None,
    criterion: Any = "auto",
    sample_weight: Any = None,
    random_state: Any = 0,
    noise: Any = "auto",
    missing: str | None = None,
    family: Any = None,
    variable_selection: bool = False,
    *,
    labels: Any = None,
    covariates: Any = None,
    lengths: Any = None,
    groups: Any = None,
    times: Any = None,
    exact_times: Any = None,
    trials: Any = None,
    continuous: Sequence[str] = (),
    counts: Sequence[str] = (),
    ratings: Sequence[str] = (),
    categorical: Sequence[str] = (),
    exclude: Sequence[str] = (),
    columns: Any = None,
    masses: Any = "auto",
    periods: Any = None,
    weight_type: str | None = None,
    hold: Any = None,
    equal: Any = None,
    **options: Any,
) -> MixtureSearch:
    """Select the number of components and the covariance structure.

    By default, variational fits are compared by their approximate log evidence. Components that
    held-out observations cannot tell apart are one cluster, and a bootstrap gives the probability
    of each number of clusters. Of the candidates with the most probable number, the simplest within
    ten nats of the best is chosen.

    Parameters
    ----------
    X : array, frame or source (n, D), or vector or series (n,)
        A vector is one column. Columns of frames are continuous, counts, ratings or categorical, by
        name, dtype and values. Counts are Poisson, or negative binomial where their variance
        exceeds their mean by more than chance. Amounts, which are positive and skewed, are on the
        log scale where that describes them better (not with ``column_powers=False``). Dates,
        identifiers and constant columns are left out. A warning and ``columns_`` say so.
    n_components : int or sequence of int, optional
        Numbers of components to compare. None: fit the tops of trees of merges, then neighbours of
        the best until none within reach is left, with a prior that decreases with K
        (beta-negative-binomial). K is at most 1,000.
    covariance_type : str or sequence of str, optional
        Structures to compare. None: "full", "tied", "diag" and "spherical"; for one feature "full"
        and "tied". "all": the fourteen of mclust for likelihood criteria such as "bic", or the six
        with a conjugate prior for variational criteria.
    criterion : str or callable, default="auto"
        As in ``MixtureSearch``. If it needs a posterior, fits are variational, otherwise maximum
        likelihood. "auto" becomes "bic" if a model has no variational fit: noise, covariates, some
        structures ("VVE", ``FactorAnalytic(2)``) and some families (``Gamma()``).
    sample_weight : array (n,), optional
    weight_type : {None, "frequency", "sampling"}, optional
        As in ``GaussianMixture.fit``. For survey weights ("sampling") "auto" becomes "design_bic".
    random_state : default=0
    noise : "auto", bool or as in ``GaussianMixture``, default="auto"
        Whether to add a noise component; True is "uniform", and False none. "auto" compares
        candidates with and without uniform noise where the criterion is "auto" and observations
        lie scattered. Only Gaussian families and products can have noise.
    missing : {None, "error", "use", "drop"}, default=None
        Treatment of missing values, as in ``GaussianMixture``. None: "use", which integrates them
        out, where the model can, as the summary says; "error" otherwise.
    family : Family or sequence of them, optional
        One family, or several to compare, such as ``[bm.Gaussian(), bm.StudentT()]``. None:
        Gaussian, or chosen by the type of each column of a frame. "ordinal" compares ratings of
        both degrees and free probabilities of the levels.
    variable_selection : bool, default=False
        Whether to select the features that distinguish the clusters, as in ``MixtureSearch``.
    labels : array (n,) or (n, K), optional
        Known components, -1 where unknown. K starts at the number of labelled components.
    covariates : array or frame (n, P), optional
        Covariates of the mixing weights, as in ``GaussianMixture.fit``. Of sequences, as in
        ``HiddenMarkovModel.fit``: models without effects are compared with effects on first
        states and on transitions.
    lengths : sequence of int, optional
        Lengths of sequences, as in ``HiddenMarkovModel.fit``; ``[len(X)]`` for one sequence. Hidden
        Markov models are then compared with each other and with mixtures.
    groups : array (n,), optional
        Sequence of each sample, instead of ``lengths``.
    times, exact_times : arrays (n,), optional
        Times of the samples of sequences, as in ``HiddenMarkovModel.fit``; "auto" becomes "bic".
    trials : int or array, optional
        Numbers of trials of ``family=bm.Binomial()``, as in ``Mixture.fit``.
    continuous, counts, ratings, categorical, exclude : sequence of str, optional
        Columns of a frame that are of this kind, or to leave out.
    columns : mapping of name to kind, optional
        The same as a mapping, such as ``{"age": "continuous"}``.
    masses : "auto", None or mapping, default="auto"
        Values that many observations of a continuous column share exactly, such as zeros and
        limits: each component then has a share of the value beside the density of the rest.
        "auto": values of 3 % of the observations that are ten times as frequent as the next ones;
        a column that is declared continuous has none. A mapping names them, such as
        ``{"amount": 0, "mark": [0, 100]}``. The summary and ``columns_`` say so.
    periods : mapping of name to number, optional
        Columns on a circle with the length of a turn in their units, such as ``{"hour": 24}``. By
        default hours, months, weekdays, bearings and angles are, where name and range say so.
    hold, equal : mapping, optional
        Parameters of the first components that are held or equal, as in ``GaussianMixture``. Fits
        are then maximum likelihood, and "auto" becomes "bic".
    **options
        Further options of ``MixtureSearch``.

    Returns
    -------
    MixtureSearch
        The fitted search.

    Examples
    --------
    >>> import bayesmix as bm
    >>> search = bm.select(bm.datasets.load_faithful())
    >>> search.best_params_
    {'covariance_type': 'full', 'n_components': 2}
    """
    X = one_column(tabular(with_sparse_rows(X)))
    if trials is not None:
        X = Measured(X, trials=trials)
    named = {"continuous": continuous, "counts": counts, "ratings": ratings}
    named |= {"categorical": categorical, "exclude": exclude}
    coding, given = None, (X, sample_weight)
    if family is None and "estimator" not in options:
        columns = with_periods(columns, periods)
        X, sample_weight, coding = typed_rows(X, sample_weight, columns, **named)
    elif columns or periods or any(named.values()):
        raise InvalidInputError("a family decides what columns are: leave out family, or columns")
    if coding is not None and not coding.is_plain:
        options["columns"] = coding.declared
    ordered = lengths is not None or groups is not None or times is not None
    if is_collection(X):
        X, sample_weight = collected(X, sample_weight, 1), None
    default = criterion == "auto" and covariates is None and weight_type is None and not ordered
    default = (
        default
        and noise_of_all(noise) is None
        and not variable_selection
        and "estimator" not in options
    )
    n_used = 0 if missing is not None else rows_with_missing(X, in_part=not ordered)
    if default and family is None:
        X, sample_weight = with_masses(X, sample_weight, masses, missing)
        divided = coding_of(X) if is_source(X) else None
        coding = divided if divided is not None else coding
    elif masses not in ("auto", None):
        raise InvalidInputError(
            "masses needs the default criterion and families: leave out masses, or criterion, "
            "family, noise, estimator, variable_selection, sequences and covariates"
        )
    if default and family is None and options.get("column_powers", True):
        X, family = on_log_scale(X)
    if ordered and covariates is not None:
        effects = compared_effects("state")(covariates, lengths, groups, shape_of(X)[0])
        options["param_grid"] = with_effects(options.get("param_grid"), effects)
    search = procedure(
        X,
        n_components,
        covariance_type,
        default_criterion(criterion, covariates is not None or times is not None, weight_type),
        random_state,
        noise=noise,
        missing=missing,
        family=family,
        variable_selection=variable_selection,
        ordered=ordered,
        hold=hold,
        equal=equal,
        **options,
    )
    search._criterion_asked = criterion != "auto"
    beside = {"covariates": covariates, "lengths": lengths, "groups": groups}
    beside |= {"times": times, "exact_times": exact_times}
    search.fit(X, sample_weight=sample_weight, labels=labels, weight_type=weight_type, **beside)
    if n_used and getattr(last_step(search.estimator), "missing", None) == "use":
        search._add(f"{counted(n_used, 'observation')} with missing values: integrated out.")
    if coding is not None:
        # The frame may have further columns.
        search.tell_clusters(*given, **beside)
    return search


def with_periods(columns: Any, periods: Any) -> Any:
    """Return declared kinds of columns with those on circles."""
    if not periods:
        return columns
    from bayesmix.data.circles import checked_periods

    circles = checked_periods(periods)
    for name, kind in dict(columns or {}).items():
        if str(name) in circles and not str(kind).startswith("circular"):
            raise InvalidInputError(f"periods names {name!r}, which columns says is {kind!r}")
    return {**dict(columns or {}), **circles}


def on_log_scale(X: Any) -> tuple[Any, Any]:
    """Return data whose amounts are described on the log scale, and the family of all columns.

    The family is None for mixed tables, whose coding has the logarithms, and without amounts.
    """
    coding = coding_of(X) if is_source(X) else None
    if isinstance(X, ArraySource) and not side_of(X) and coding is not None:
        if len(coding.continuous) == len(coding.names):
            return X, logarithms_of(np.asarray(X.values))
        places = [coding.names.index(name) for name in coding.continuous]
        logs = log_scale_of(np.asarray(X.values)[:, places]) if places else None
        return replace(X, coding=replace(coding, logs=logs)), None
    if is_source(X):
        return X, logarithms_of_parts(X)
    validation.written_out("X", X)
    values = host(X)
    try:
        if np.ndim(values) != 2 or np.iscomplexobj(values):
            return X, None
        frame = isinstance(X, pd.DataFrame)
        values = X.to_numpy(np.float64, na_value=np.nan) if frame else np.asarray(values, float)
    except (AttributeError, TypeError, ValueError):  # the search refuses these data, with advice
        return X, None
    return X, logarithms_of(values)


def logarithms_of(values: Array) -> Transformed | None:
    """Return the family of continuous columns (n, D) of which some are amounts, or None.

    A constant column, which normals leave out, has no logarithm beside others.
    """
    if (values == values[:1]).all(axis=0).any():
        return None
    logs = log_scale_of(values, ONE_AMOUNT if values.shape[1] == 1 else BESIDE_POWERS)
    return None if logs is None else Transformed(Gaussian(), logs)


def logarithms_of_parts(X: Any) -> Transformed | None:
    """Return the same of a sample of data in parts, if all values of its amounts are positive."""
    parts = in_parts(X)
    if parts is None or parts.faults:
        return None
    values = np.asarray(parts.some.values, dtype=np.float64)
    of_sample = values[parts.some.rows.weights_or_ones > 0.0].min(axis=0)
    if ((of_sample > 0.0) & (parts.summary.minimum <= 0.0)).any():
        return None
    return logarithms_of(values)


def with_effects(param_grid: Any, effects: list[str]) -> Any:
    """Return a grid of parameters that also varies the effects of covariates on a chain."""
    own = {"covariate_effects": effects}
    if param_grid is None or isinstance(param_grid, dict):
        return own | (param_grid or {})
    return [own | grid for grid in param_grid]


def default_criterion(criterion: Any, gated: bool, weight_type: str | None) -> Any:
    """Return the criterion that "auto" stands for with covariates and with survey weights."""
    if criterion != "auto":
        return criterion
    return "design_bic" if weight_type == "sampling" else "bic" if gated else "auto"


def procedure(
    X: Any,
    n_components: Any = None,
    covariance_type: str | Sequence[str] | None = None,
    criterion: Any = "auto",
    random_state: Any = 0,
    estimator: Any = None,
    noise: Any = "auto",
    missing: str | None = None,
    family: Any = None,
    ordered: bool = False,
    hold: Any = None,
    equal: Any = None,
    **options: Any,
) -> MixtureSearch:
    """Return the unfitted search that ``select`` uses for such data; ``ordered``: sequences."""
    allowed = MixtureSearch._get_param_names()
    if "y" in options:
        raise InvalidTypeError(
            "select has no response y: fit MixtureSearch(RegressionMixture()) to X and y"
        )
    if unknown := [name for name in options if name not in allowed]:
        names = [*list(signature(select).parameters)[1:-1], *allowed]
        raise InvalidTypeError(
            f"select has no argument {unknown[0]!r}, it has {', '.join(dict.fromkeys(names))}"
        )
    plan = SearchPlan(
        X,
        covariance_type,
        criterion,
        random_state,
        estimator,
        noise,
        missing,
        family,
        ordered,
        {} if hold is None and equal is None else {"hold": hold, "equal": equal},
        options,
    )
    return plan.search(n_components)


def noise_of_all(asked: Any) -> Any:
    """Return the noise of every candidate; "auto" is none, as a search compares both."""
    if isinstance(asked, bool):
        return "uniform" if asked else None
    return None if isinstance(asked, str) and asked == "auto" else asked


@dataclass(frozen=True)
class SearchPlan:
    """What ``select`` compares for given data, decided once from its arguments.

    Arguments that are None, or a criterion "auto", stand for a choice that a property makes.
    """

    X: UserRows
    structures_given: str | Sequence[str] | None
    criterion_given: str | ScoreFunction
    random_state: object
    estimator_given: object
    noise_given: object
    missing_given: str | None
    family_given: object
    ordered: bool  # whether samples are sequences
    held: Parameters  # that are held or equal
    options: Parameters  # of ``MixtureSearch``

    @cached_property
    def measurement(self) -> Measurement | None:
        return side_of(self.X).measurement if is_source(self.X) else None

    @cached_property
    def family(self) -> Any:
        """The family or families that are compared; None: those of the estimator."""
        of_trials = isinstance(self.measurement, SuccessesInTrials)
        if self.family_given is None and self.estimator_given is None and of_trials:
            return Binomial()
        return self.family_given

    @cached_property
    def noise(self) -> Any:
        """Noise of every candidate, None for none."""
        return noise_of_all(self.noise_given)

    @cached_property
    def missing(self) -> str:
        """Treatment of missing values; by default they are used where the model can."""
        if self.missing_given is not None:
            return self.missing_given
        ours = self.estimator_given is None and self.noise is None
        able = ours and rows_with_missing(self.X) and integrates_out_missing(self._plain_estimator)
        return "use" if able else "error"

    @cached_property
    def families(self) -> list[Any]:
        return families_compared(self.family)

    @cached_property
    def families_with_noise(self) -> list[Any]:
        named = [member for member in self.families if member is not None]
        return [member for member in named if self.noise is not None and member.takes_noise]

    @cached_property
    def criterion(self) -> Any:
        """The criterion; "auto" is "bic" where some model has point estimates only."""
        measured = self.measurement is not None and not self.measurement.has_posterior
        posteriors = all(getattr(member, "has_posterior", True) for member in self.families)
        of_points = self.noise is not None or bool(self.held) or measured or not posteriors
        if self.criterion_given == "auto" and (
            of_points or not have_posteriors(self.structures_given)
        ):
            return "bic"
        return self.criterion_given

    @property
    def variational(self) -> bool:
        return self.criterion in POSTERIOR

    def check(self) -> None:
        """Raise an error for arguments that exclude one another."""
        if self.family is not None and self.estimator_given is not None:
            raise InvalidInputError(
                "family cannot be combined with estimator: set it in the estimator"
            )
        if self.held and self.variational and self.estimator_given is None:
            raise UnsupportedError(
                f"hold and equal need maximum likelihood fits, got criterion={self.criterion!r}: "
                "use criterion='bic' or 'icl'"
            )
        if self.ordered and self.noise is not None:
            raise UnsupportedError("noise does not support sequences: set noise=False")
        if self.family is not None and self.noise is not None and not self.families_with_noise:
            raise UnsupportedError(
                "noise needs Gaussian() or a Product: set noise=False, or include one in family"
            )

    @cached_property
    def estimator(self) -> Any:
        """The estimator of the candidates."""
        added = self.held | ({} if self.missing == "error" else {"missing": self.missing})
        if not added:
            return self._plain_estimator
        estimator = clone(self._plain_estimator)
        last_step(estimator).set_params(**added)
        return estimator

    @cached_property
    def _plain_estimator(self) -> Any:
        if self.estimator_given is not None:
            return self.estimator_given
        if self.ordered:
            return chain(self.X, self.family and self.families[0], self.variational)
        if self.family is None:
            estimator = comparable(self.X) if self.variational else likely(self.X)
            # Many candidates each start where the one before ended, so moves would add little.
            noise = {} if self.noise is None else {"noise": self.noise}
            return estimator.set_params(search="short", **noise)
        inference = VariationalBayes(weights=DirichletPrior(1.0))
        first = self.families if self.noise is None else self.families_with_noise
        return Mixture(
            family=first[0],
            inference=inference if self.variational else None,
            prune=False,
            search="short",
            noise=self.noise,
        )

    @cached_property
    def search_options(self) -> dict[str, Any]:
        """Options of the search, of which the user's are first."""
        chosen: dict[str, Any] = {"most_samples": MOST_SAMPLES}
        if self.criterion not in ("auto", RULE):
            chosen["polish"] = POLISH
        if self.estimator_given is None and self.family is None and not self.ordered:
            chosen["column_powers"] = self.criterion in ("auto", RULE)
            chosen["try_noise"] = chosen["column_powers"] and self.noise_given == "auto"
        chosen |= self.options
        if len(self.families) > 1:
            chosen["param_grid"] = [self._grid_of(member) for member in self.families]
        return chosen

    @cached_property
    def coding(self) -> Coding | None:
        """The coding of a table with columns of several kinds; None for other data."""
        return coding_of_table(self.X)

    def _grid_of(self, family: Any) -> dict[str, Any]:
        more: Any = self.options.get("param_grid", {})
        grid: dict[str, Any] = {"family": [family]} | more
        if self.noise is not None:
            grid.setdefault("noise", [self.noise if family in self.families_with_noise else None])
        return grid

    @cached_property
    def n_numeric(self) -> int:
        """Number of numeric columns that may depend on each other, 2 for several."""
        coding = self.coding
        if coding is not None:
            return len(coding.continuous)
        shape: Any = getattr(self.X, "shape", ())
        return 1 if len(shape) == 2 and shape[1] == 1 else 2

    @cached_property
    def has_structures(self) -> bool:
        """Whether covariance structures are compared that the user did not name."""
        structured = all(own is None or hasattr(own, "covariance") for own in self.families)
        return self.structures_given is None and self.n_numeric != 0 and structured

    @cached_property
    def subspace(self) -> SubspaceChoice | None:
        """The common subspace that describes many columns better than they do."""
        plain = self.family is None and self.estimator_given is None and not self.ordered
        plain = plain and self.noise is None and not self.held and self.missing != "drop"
        if not (plain and self.has_structures):
            return None
        if self.criterion in POSTERIOR and self.criterion != "auto":
            return None
        return subspace_of(self.X, self.estimator, self.random_state, self.search_options)

    @property
    def structures(self) -> Any:
        if not self.has_structures:
            return self.structures_given
        if self.subspace is not None:
            return self.subspace.structures(SCIKIT_LEARNS)
        if self.n_numeric != 1:
            return SCIKIT_LEARNS
        # The same models; diagonal ones count cells by column, so that those at a mass add nothing.
        divided = self.coding is not None and bool(self.coding.masses)
        return DIAGONAL_OF_ONE_COLUMN if divided else OF_ONE_COLUMN

    def search(self, n_components: Any) -> MixtureSearch:
        """Return the unfitted search."""
        self.check()
        search = MixtureSearch(
            self.estimator,
            n_components,
            self.structures,
            criterion=self.criterion,
            random_state=self.random_state,
            **self.search_options,
        )
        search._subspace = self.subspace
        return search


def subspace_of(
    X: Any, estimator: Any, random_state: Any, options: Mapping[str, Any]
) -> SubspaceChoice | None:
    """Return a common subspace that describes many columns better than they do, or None."""
    if options.get("variable_selection") or is_mixed_table(X):
        return None
    source = X if is_source(X) else None
    if source is not None and not (isinstance(source, ArraySource) and not side_of(source)):
        return None
    shape = getattr(X, "shape", ())
    if len(shape) != 2:
        return None
    if not worth_trying(*shape):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read: Any = training_rows(clone(estimator), X, None, 1)
    except (AttributeError, TypeError, ValueError):  # the search refuses these data, with advice
        return None
    values = np.asarray(read.values, dtype=np.float64)
    return better_subspace(values, estimator, root_seed(random_state))


def chain(X: Any, family: Any, variational: bool) -> Any:
    """Return a hidden Markov model for such columns."""
    family = "auto" if family is None and is_mixed_table(X) else family
    inference = VariationalBayes() if variational else None
    # Fits also start from those with one state less, so a few starts without moves are enough.
    hidden_markov_model = estimator_class("HiddenMarkovModel")
    return hidden_markov_model(family=family, inference=inference, n_init=4, search="short")


def comparable(X: Any = None) -> Any:
    """Return a variational estimator with comparable bounds: a symmetric prior and no pruning."""
    if is_mixed_table(X):
        prior = VariationalBayes(weights=DirichletPrior(1.0))
        return Mixture(family="auto", inference=prior, prune=False)
    return BayesianGaussianMixture(
        weight_concentration_prior_type="dirichlet_distribution",
        weight_concentration_prior=1.0,
        prune=False,
    )


def likely(X: Any = None) -> Any:
    """Return a maximum likelihood estimator for such columns."""
    if is_mixed_table(X):
        return Mixture(family="auto")
    return GaussianMixture()
