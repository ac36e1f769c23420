"""Parameters of a ``MixtureSearch``: checks, candidates, criteria, data beside the samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from bayesmix.core import validation
from bayesmix.core.procedures import last_step, noun_of, prefix_of
from bayesmix.em.model import side_of
from bayesmix.errors import BayesmixError, InvalidInputError, UnsupportedError
from bayesmix.estimators.inputs.constraints import constrained, refuse_loose_bound
from bayesmix.estimators.searching.feature_selection import few_features
from bayesmix.families.coding import Coding
from bayesmix.families.names import refuse_unlike
from bayesmix.selection import tree_search
from bayesmix.selection.answer_text import difference
from bayesmix.selection.candidates import Candidate, asked, candidate_chains, component_numbers
from bayesmix.selection.clusters import NO_GAPS
from bayesmix.selection.criteria import NAMES, OF_SOURCE, POSTERIOR, RULE, RULE_BEFORE
from bayesmix.selection.data_checks import duplicates
from bayesmix.selection.scores import Score, make_splits, rows_of
from bayesmix.selection.structures import each_once, largest_number, structures_asked
from bayesmix.sources.memory import ArraySource, processes

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.estimators.searching.search_subjects import SubjectOfSamples


STRUCTURE = "covariance_type"
# With folds, which leave-one-out may need too, every candidate is fitted to each fold, so an open
# range ends here.
MOST_BY_FOLDS = 10
# Samples on which ``select`` compares families without sums of features.
MOST_SAMPLES = 5_000
KNOW_NO_NOISE = {"auto", RULE_BEFORE, RULE, "evidence", "loo"}
# Observations on which a fit with noise is compared, and features of large data; standard errors by
# which noise is better.
MOST_SCATTERED, STANDARD_ERRORS = 3000, 2.0
# Tables with at least so many features may get a note in the summary; where observations are
# repeated, components need no more distinct ones than for so many.
MANY_FEATURES = 20


def one_component(estimator: Any) -> dict[str, Any]:
    """Return the parameters of the candidate when no feature is relevant."""
    structure = getattr(estimator, "covariance_type", None)
    return {"n_components": 1} | ({} if structure is None else {"covariance_type": "diag"})


def note_on_features(estimator: Any, param_grid: Any, source: Source, seed: int) -> str:
    """Return a note if few of many features distinguish clusters, or "".

    Of larger data, evenly spaced observations are used, as the note does not need all.
    """
    if source.shape[1] < MANY_FEATURES:
        return ""
    if source.shape[0] > MOST_SCATTERED:
        source = source.spread(MOST_SCATTERED)
    return few_features(estimator, param_grid, source, seed)


def note_on_noise(cv: Any, source: Source, candidate: Candidate) -> str:
    """Return a note if uniform noise predicts held-out observations better, or "".

    Of larger data, evenly spaced observations are used. With many features, a wide component makes
    up for covariances of few observations, so there is no note.
    """
    estimator, result = candidate.estimator, candidate.sound
    if result is None or not isinstance(source, ArraySource) or source.side:
        return ""
    taken = getattr(estimator, "noise", "") is None and result.family.takes_noise
    if not taken or not result.family.continuous or source.summary.n_missing:
        return ""
    if source.shape[1] >= MANY_FEATURES:
        return ""
    from bayesmix.assess.uniform_noise import gain_of_noise

    some = source if source.shape[0] <= MOST_SCATTERED else source.spread(MOST_SCATTERED)
    try:
        splits = make_splits(cv, some, 0, None, duplicates(some).distinct)
        gain = gain_of_noise(estimator, some, splits)
    # A splitter that needs groups, too few observations for folds, components that collapse in one.
    except (BayesmixError, ValueError):
        return ""
    if not gain.value > STANDARD_ERRORS * gain.standard_error:
        return ""
    nats = difference(Score(-gain.value, gain.standard_error))
    return f"With uniform noise, the held-out log density is higher (+{nats} nats): set noise=True."


def criteria_of(criterion: Any, also: Any) -> tuple[str, set[str], dict[str, Any]]:
    """Return the criterion by name, all criteria, and the function if it is user-defined."""
    functions = {}
    if callable(criterion):
        name = getattr(criterion, "__name__", "criterion")
        functions[name] = criterion
    else:
        name = validation.one_of("criterion", criterion, NAMES, "or a callable")
        name = RULE if name in ("auto", RULE_BEFORE) else name
    further = [also] if isinstance(also, str) else also
    return name, {name, *(validation.one_of("also", each, NAMES) for each in further)}, functions


def real_columns(estimator: Any, param_grid: Any, source: Source) -> list[int]:
    """Return the columns that all candidates model by densities of all real numbers.

    There are none in pipelines, whose mixture reads other columns, and in measured data.
    """
    if hasattr(estimator, "steps") or side_of(source).measurement is not None:
        return []
    grids = param_grid if isinstance(param_grid, list) else [param_grid or {}]
    families = [family for grid in grids for family in grid.get("family", ())]
    known: list[Any] = [
        one.knowing(source.summary) if hasattr(one, "knowing") else one for one in families
    ]
    refuse_unlike(known)
    # Families without noise are compared beside those with it.
    plain = {"noise": None} if hasattr(estimator, "noise") else {}
    estimators = [clone(estimator).set_params(family=family, **plain) for family in families]
    models = [other._model_of(other._model(), source) for other in estimators or [estimator]]
    marginals = [
        [model.family.marginal(np.array([d])) for model in models] for d in range(source.shape[1])
    ]
    return [d for d, parts in enumerate(marginals) if all(part.any_real for part in parts)]


def functions_of(wanted: set[str]) -> dict[str, Any]:
    """Return the functions of those criteria that need the data."""
    functions = {name: OF_SOURCE[name] for name in wanted & OF_SOURCE.keys()}
    if wanted & {"evidence", "loo"}:
        from bayesmix.assess.fit_evidence import OF_DRAWS

        functions |= {name: OF_DRAWS[name] for name in wanted & OF_DRAWS.keys()}
    return functions


def estimator_of(estimator: Any, seed: int, X: Any = None) -> Any:
    """Return the estimator of all candidates: with the seed, without a progress bar."""
    if estimator is None:
        from bayesmix.estimators.select import likely

        copy: Any = likely(X)
    else:
        copy = clone(estimator)
    inner = last_step(copy)
    if not hasattr(inner, "n_components"):
        raise InvalidInputError(
            "estimator must be a mixture of bayesmix, or a pipeline that ends in one, "
            f"got {type(inner).__name__}"
        )
    if getattr(inner, "random_state", None) is None:
        inner.set_params(random_state=seed)
    if getattr(inner, "progress", 0) is None:
        inner.set_params(progress=False)
    return copy


def is_variational(estimator: Any, wanted: set[str]) -> bool:
    """Whether the estimator is variational; raises an error for criteria that need it."""
    model = last_step(estimator)._model()
    variational = bool(model.inference.variational)
    if model.noise is not None and (refused := sorted(wanted & KNOW_NO_NOISE)):
        raise InvalidInputError(
            f"criterion={refused[0]!r} does not support noise: use 'bic', 'icl', 'cv', or 'elbo' "
            "of a variational fit"
        )
    for name in sorted(wanted & set(POSTERIOR)):
        if not variational:
            raise InvalidInputError(
                f"criterion={name!r} needs a variational estimator, such as "
                "BayesianGaussianMixture: a maximum likelihood fit has no posterior"
            )
    return variational


def chains_of(
    search: Any, subject: SubjectOfSamples, variational: bool, by_tree: bool = False
) -> tuple[list[list[dict[str, Any]]], tuple[str, ...]]:
    """Return the candidates in chains over K, each model once, and those left out.

    If K grows by itself, a chain ends at the largest K whose covariances n observations can
    estimate. Structures that they cannot estimate are left out, unless all are: then K is 1. Where
    observations are repeated, components have more than D + 1 distinct ones on average.
    """
    estimator, prefix = subject.estimator, prefix_of(subject.estimator)
    n_rows, n_columns = shape_of(subject.X)
    most = tree_search.LARGEST if by_tree else MOST_BY_FOLDS
    numbers = component_numbers(search.n_components, most)
    structures = structures_asked(
        search.covariance_type, None if prefix else n_columns, variational
    )
    chains = candidate_chains(numbers, structures, search.param_grid, prefix)
    if search.n_components is not None:
        return each_once(chains, prefix), ()
    default = getattr(last_step(estimator), STRUCTURE, None)
    named = [chain[0].get(f"{prefix}{STRUCTURE}", default) for chain in chains]
    given = subject.source, n_rows, n_columns
    largest = [_largest(estimator, chain[0], *given) for chain in chains]
    if (n_distinct := subject.n_repeated) is not None:
        widths = [getattr(each, "n_directions", min(n_columns, MANY_FEATURES)) for each in named]
        rooms = [max(1, n_distinct // (width + 2)) for width in widths]
        largest = [min(k, room) for k, room in zip(largest, rooms, strict=True)]
    if not any(largest):
        return each_once([chain[:1] for chain in chains], prefix), ()
    left_out = [str(structure) for structure, k in zip(named, largest, strict=True) if not k]
    chains = [chain[:k] for chain, k in zip(chains, largest, strict=True) if k]
    return each_once(chains, prefix), tuple(dict.fromkeys(left_out))


def _largest(
    estimator: Any, parameters: dict[str, Any], source: Source, n_rows: int, n_columns: int
) -> int:
    """Return the largest K whose covariances so many observations can estimate, or 0."""
    if noun_of(estimator) == "regression":
        return largest_number(None, n_rows, n_columns)
    mixture = last_step(clone(estimator).set_params(**parameters))
    model = mixture._model()
    if not prefix_of(estimator):  # a pipeline changes the columns
        model = mixture._model_of(model, source)
    sizes = (
        largest_number(structure, n_rows, n) for structure, n in model.family.structures(n_columns)
    )
    return min(sizes, default=n_rows // 2)


def beside(
    search: Any, source: Source, labels: Any, covariates: Any, wanted: set[str], variational: bool
) -> Source:
    """Return the source with labels and covariates; raise an error if they are not supported."""
    if labels is None and covariates is None:
        return source
    if covariates is not None and variational:
        refuse_loose_bound("covariates")
    what, remedy = ("labels", "'auto'") if covariates is None else ("covariates", "'bic'")
    refuse_all(search, wanted, what, remedy)
    if search.variable_selection and (covariates is not None or np.ndim(labels) == 2):
        raise UnsupportedError(
            "variable_selection supports labels (n,), but no labels (n, K) and no covariates, got "
            f"{what}{'' if covariates is not None else ' (n, K)'}: leave out one of the two"
        )
    if search.variable_selection and search.irrelevant == "regression":
        raise UnsupportedError("labels need irrelevant='independent', got 'regression'")
    if search.checkpoint is not None:
        raise UnsupportedError(f"checkpoint does not support {what}: use checkpoint=None")
    return constrained(source, labels, None, covariates)


def with_room(chains: list[list[dict[str, Any]]], n_labelled: int) -> list[list[dict[str, Any]]]:
    """Return the candidates with a component for every label; at least one of each chain."""
    roomy = [
        [candidate for candidate in chain if asked(candidate) >= n_labelled] for chain in chains
    ]
    if any(roomy):
        return [chain for chain in roomy if chain]
    largest = max(asked(candidate) for chain in chains for candidate in chain)
    raise InvalidInputError(
        f"labels name {n_labelled} components, but the search compares at most "
        f"n_components={largest}: use n_components={n_labelled} or more"
    )


def of_training(source: Source, X: Any, sample_weight: Any, groups: Any) -> tuple[Any, Any, Any]:
    """Return data, weights and groups without samples of weight zero."""
    if source.shape[0] == shape_of(X)[0]:
        return X, sample_weight, groups
    numbers = source.numbers
    weights, groups = (
        None if values is None else np.asarray(values)[numbers]
        for values in (sample_weight, groups)
    )
    return source if numbers is None else rows_of(X, numbers), weights, groups


def shape_of(X: Any) -> tuple[int, int]:
    """Return the number of rows and columns, as far as known before any check."""
    try:
        shape = tuple(X.shape if hasattr(X, "shape") else np.shape(X))
    except ValueError:  # a ragged list
        shape = (len(X),)
    n_rows, n_columns, *_ = (*shape, 1, 1)
    return int(n_rows), int(n_columns)


def share_workers(search: Any, estimator: Any, source: Source, side_by_side: int) -> None:
    """Let single fits use several workers only if candidates are not fitted side by side."""
    mixture = last_step(estimator)
    if getattr(mixture, "n_jobs", 0) is None:
        alone = processes(source, search.n_jobs) == 1 or side_by_side == 1
        mixture.set_params(n_jobs=search.n_jobs if alone else 1)


def refuse_gaps(coding: Coding | None, independent: bool) -> None:
    """Refuse states, regressions, and columns of which there is no density, before the fits."""
    discrete = coding is not None and (
        bool(coding.counts) or any(levels is not None for levels in coding.levels)
    )
    if discrete or not independent:
        raise UnsupportedError(NO_GAPS)


def refuse_all(search: Any, wanted: set[str], what: str, remedy: str) -> None:
    """Refuse pipelines, and criteria that need independent samples."""
    if hasattr(search.estimator, "steps"):
        raise UnsupportedError(f"a pipeline does not support {what}: transform X before")
    if refused := sorted(wanted & {"evidence", "loo"}):
        raise UnsupportedError(f"criterion={refused[0]!r} does not support {what}: use {remedy}")
