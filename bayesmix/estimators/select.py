"""``select``: the number of components and the covariance structure in one call."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core import validation
from bayesmix.core.procedures import last_step
from bayesmix.core.random import root_seed
from bayesmix.em.model import side_of
from bayesmix.em.under_a_prior import VariationalBayes
from bayesmix.errors import InvalidInputError, InvalidTypeError, UnsupportedError
from bayesmix.estimators.bayesian import BayesianGaussianMixture
from bayesmix.estimators.gaussian import GaussianMixture
from bayesmix.estimators.hidden_markov_model import HiddenMarkovModel
from bayesmix.estimators.inputs.incoming import training_rows
from bayesmix.estimators.mixture import Mixture
from bayesmix.estimators.regression.coded_frames import typed_rows
from bayesmix.estimators.search import MixtureSearch
from bayesmix.estimators.searching.fitters import coding_of_table, is_mixed_table
from bayesmix.estimators.searching.search_checks import MOST_SAMPLES, shape_of
from bayesmix.estimators.searching.search_of_sequences import effects_compared
from bayesmix.estimators.searching.subspaces import better_subspace, worth_trying
from bayesmix.families.amounts import BESIDE_POWERS, log_scale_of
from bayesmix.families.gaussian.covariance.models import OF_ONE_COLUMN, SCIKIT_LEARNS
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.names import families_compared
from bayesmix.families.successes import Binomial
from bayesmix.families.transformed import Transformed
from bayesmix.observation.measured import Measured
from bayesmix.observation.trials import SuccessesInTrials
from bayesmix.selection.criteria import POSTERIOR, RULE
from bayesmix.selection.structures import have_posteriors
from bayesmix.sources.containers import one_column, tabular
from bayesmix.sources.memory import (
    ArraySource,
    coding_of,
    is_collection,
    is_source,
    with_sparse_rows,
)

if TYPE_CHECKING:
    from bayesmix.estimators.searching.subspaces import SubspaceChoice

# Nats behind the best within which a candidate is searched fully, by a likelihood criterion.
POLISH = 6.0


def select(
    X: Any,
    n_components: Any = None,
    covariance_type: str | Sequence[str] | None = None,
    criterion: Any = "auto",
    sample_weight: Any = None,
    random_state: Any = 0,
    noise: Any = False,
    missing: str = "error",
    family: Any = None,
    variable_selection: bool = False,
    *,
    labels: Any = None,
    covariates: Any = None,
    lengths: Any = None,
    groups: Any = None,
    trials: Any = None,
    continuous: Sequence[str] = (),
    counts: Sequence[str] = (),
    ratings: Sequence[str] = (),
    categorical: Sequence[str] = (),
    exclude: Sequence[str] = (),
    columns: Any = None,
    weight_type: str | None = None,
    hold: Any = None,
    equal: Any = None,
    **options: Any,
) -> MixtureSearch:
    """Select the number of components and the covariance structure.

    By default, variational fits are compared by their approximate log evidence. Components that
    held-out observations cannot tell apart are one cluster, and a bootstrap gives the probability
    of each number of clusters. The simplest candidate with the most probable number is chosen.

    Parameters
    ----------
    X : array, frame or source (n, D), or vector or series (n,)
        A vector is one column. Columns of frames are continuous, counts, ratings or categorical, by
        name, dtype and values. Counts are Poisson, or negative binomial where their variance
        exceeds their mean by more than chance. Amounts, which are positive and skewed, are on the
        log scale where that describes them better (not with ``column_powers=False``). Dates,
        identifiers and constant columns are left out. A warning and ``columns_`` say so.
    n_components : int or sequence of int, optional
        Numbers of components to compare. None: increase K from 1 until the log evidence is clearly
        worse (at most 30), with a prior that decreases with K (beta-negative-binomial).
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
    noise : bool or as in ``GaussianMixture``, default=False
        Whether to add a noise component; True is "uniform". Only Gaussian families and products can
        have noise.
    missing : {"error", "use", "drop"}, default="error"
        Treatment of missing values, as in ``GaussianMixture``.
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
    trials : int or array, optional
        Numbers of trials of ``family=bm.Binomial()``, as in ``Mixture.fit``.
    continuous, counts, ratings, categorical, exclude : sequence of str, optional
        Columns of a frame that are of this kind, or to leave out.
    columns : mapping of name to kind, optional
        The same as a mapping, such as ``{"age": "continuous"}``.
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
    coding = None
    if family is None and "estimator" not in options:
        X, sample_weight, coding = typed_rows(X, sample_weight, columns, **named)
    elif columns or any(named.values()):
        raise InvalidInputError("a family decides what columns are: leave out family, or columns")
    if coding is not None and not coding.is_plain:
        options["columns"] = {name: kind for name, kind, *_ in coding.decisions}
    ordered = lengths is not None or groups is not None
    default = criterion == "auto" and covariates is None and weight_type is None and not ordered
    default = default and not noise and not variable_selection and "estimator" not in options
    if default and family is None and options.get("column_powers", True):
        X, family = on_log_scale(X)
    if ordered and covariates is not None:
        effects = effects_compared(covariates, lengths, groups, shape_of(X)[0])
        options["param_grid"] = with_effects(options.get("param_grid"), effects)
    search = procedure(
        X,
        n_components,
        covariance_type,
        default_criterion(criterion, covariates is not None, weight_type),
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
    return search.fit(
        X,
        sample_weight=sample_weight,
        groups=groups,
        labels=labels,
        covariates=covariates,
        lengths=lengths,
        weight_type=weight_type,
    )


def on_log_scale(X: Any) -> tuple[Any, Any]:
    """Return data whose amounts are described on the log scale, and the family of all columns.

    The family is None for mixed tables, whose coding has the logarithms, and without amounts.
    """
    coding = coding_of(X) if is_source(X) else None
    if isinstance(X, ArraySource) and not side_of(X) and coding is not None:
        places = [coding.names.index(name) for name in coding.continuous]
        logs = log_scale_of(np.asarray(X.values)[:, places]) if places else None
        return replace(X, coding=replace(coding, logs=logs)), None
    if is_source(X) or is_collection(X):
        return X, None
    validation.written_out("X", X)
    try:
        if np.ndim(X) != 2 or np.iscomplexobj(X):
            return X, None
        frame = isinstance(X, pd.DataFrame)
        values = X.to_numpy(np.float64, na_value=np.nan) if frame else np.asarray(X, np.float64)
    except (AttributeError, TypeError, ValueError):  # the search refuses these data, with advice
        return X, None
    logs = log_scale_of(values, BESIDE_POWERS)
    if logs is None:
        return X, None
    return X, Transformed(Gaussian(), logs)


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
    noise: Any = False,
    missing: str = "error",
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
    if isinstance(noise, bool):
        noise = "uniform" if noise else None
    measurement = side_of(X).measurement if is_source(X) else None
    if family is None and estimator is None and isinstance(measurement, SuccessesInTrials):
        family = Binomial()
    families = families_compared(family)
    compared = noise is None and all(getattr(member, "has_posterior", True) for member in families)
    restricted = hold is not None or equal is not None
    # Held parameters and most measured data need point estimates.
    measured = measurement is not None and not measurement.has_posterior
    compared = compared and not restricted and not measured
    if criterion == "auto" and not (compared and have_posteriors(covariance_type)):
        criterion = "bic"
    default = family is None and estimator is None and not ordered
    default = default and (criterion == "auto" or criterion not in POSTERIOR)
    if family is not None and estimator is not None:
        raise InvalidInputError("family cannot be combined with estimator: set it in the estimator")
    with_noise = [member for member in families if noise is not None and _takes_noise(member)]
    if ordered and noise is not None:
        raise UnsupportedError("noise does not support sequences: set noise=False")
    if family is not None and noise is not None and not with_noise:
        raise UnsupportedError(
            "noise needs Gaussian() or a Product: set noise=False, or include one in family"
        )
    if ordered and estimator is None:
        estimator = chain(X, family and families[0], criterion in POSTERIOR)
    elif family is not None:
        inference = VariationalBayes(weights=DirichletPrior(1.0))
        estimator = Mixture(
            family=families[0] if noise is None else with_noise[0],
            inference=inference if criterion in POSTERIOR else None,
            prune=False,
            search="short",
            noise=noise,
        )
    elif estimator is None:
        estimator = comparable(X) if criterion in POSTERIOR else likely(X)
        options.setdefault("column_powers", criterion in ("auto", RULE))
        # Many candidates each start where the one before ended, so moves would add little.
        estimator.set_params(search="short", **({} if noise is None else {"noise": noise}))
    if len(families) > 1:
        more = options.get("param_grid", {})
        options["param_grid"] = [{"family": [member]} | more for member in families]
        for grid, member in zip(options["param_grid"], families, strict=True):
            if noise is not None:
                grid.setdefault("noise", [noise if member in with_noise else None])
    if missing != "error":
        estimator = clone(estimator)
        last_step(estimator).set_params(missing=missing)
    if restricted:
        estimator = clone(estimator)
        last_step(estimator).set_params(hold=hold, equal=equal)
    default = default and not restricted
    structured = all(member is None or hasattr(member, "covariance") for member in families)
    one_column = getattr(X, "ndim", 2) == 2 and getattr(X, "shape", (0, 2))[1:] == (1,)
    numbers = 1 if one_column else 2  # of numeric columns, 2 for several
    if (coding := coding_of_table(X)) is not None:
        numbers = len(coding.numbers) - len(coding.counts)
    structures: Any = covariance_type
    subspace = None
    if covariance_type is None and numbers != 0 and structured:
        structures = OF_ONE_COLUMN if numbers == 1 else SCIKIT_LEARNS
        if default and family is None and noise is None and missing != "drop":
            subspace = subspace_of(X, estimator, random_state, options)
        if subspace is not None:
            structures = subspace.structures(SCIKIT_LEARNS)
    search = MixtureSearch(
        estimator,
        n_components,
        structures,
        criterion=criterion,
        random_state=random_state,
        **({} if criterion in ("auto", RULE) else {"polish": POLISH})
        | {"most_samples": MOST_SAMPLES}
        | options,
    )
    search._subspace = subspace
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
    if is_collection(X) or len(shape) != 2:
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


def _takes_noise(family: Any) -> bool:
    return family is not None and family.takes_noise


def chain(X: Any, family: Any, variational: bool) -> Any:
    """Return a hidden Markov model for such columns."""
    family = "auto" if family is None and is_mixed_table(X) else family
    inference = VariationalBayes() if variational else None
    # Fits also start from those with one state less, so a few starts without moves are enough.
    return HiddenMarkovModel(family=family, inference=inference, n_init=4, search="short")


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
