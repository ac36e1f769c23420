"""What a search is asked for: its parameters, checked and filled in."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from bayesmix import validation
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.candidates.fitters import TableFitter
from bayesmix.protocols import Source
from bayesmix.selection.candidates import growth
from bayesmix.selection.candidates.combinations import candidate_chains, component_numbers
from bayesmix.selection.candidates.fitter import Fitter
from bayesmix.selection.candidates.structures_asked import (
    each_once,
    largest_number,
    structures_asked,
)
from bayesmix.selection.candidates.task import KeptFits
from bayesmix.selection.choice.rule import NAME as RULE
from bayesmix.selection.criteria.folds import rows_of
from bayesmix.selection.criteria.registry import NAMES, POSTERIOR
from bayesmix.selection.pipelines import last_step

STRUCTURE = "covariance_type"
# With folds every candidate is fitted to each: a range that takes care of itself ends here.
MOST_BY_FOLDS = 10
KNOW_NO_NOISE = {"auto", RULE, "evidence", "loo"}
CHANGE_NO_NUMBER = ("checkpoint", "n_jobs", "progress", "random_state", "refit")


def criterion_of(criterion: Any) -> tuple[str, dict[str, Any]]:
    """The name of a criterion, and the function where it is one's own."""
    if callable(criterion):
        name = getattr(criterion, "__name__", "criterion")
        return name, {name: criterion}
    validation.one_of("criterion", criterion, NAMES, "or a callable")
    return RULE if criterion == "auto" else criterion, {}


def names_of(also: Any) -> list[str]:
    """Further criteria, by name."""
    named = [also] if isinstance(also, str) else list(also)
    for name in named:
        validation.one_of("also", name, NAMES)
    return named


def estimator_of(estimator: Any, seed: int) -> Any:
    """The estimator of all candidates: its seed, and no bar of its own."""
    if estimator is None:
        from bayesmix.estimators.gaussian import GaussianMixture

        made: Any = GaussianMixture()
    else:
        made = clone(estimator)
    inner = last_step(made)
    if not hasattr(inner, "n_components"):
        raise InvalidInputError(
            "estimator must be a mixture of bayesmix, or a pipeline that ends in one, "
            f"got {type(inner).__name__}"
        )
    if getattr(inner, "checkpoint", None) is not None:
        raise InvalidInputError(
            "the estimator of a search keeps no checkpoint of its own: give checkpoint= to the "
            "search"
        )
    if getattr(inner, "random_state", None) is None:
        inner.set_params(random_state=seed)
    if getattr(inner, "progress", 0) is None:
        inner.set_params(progress=False)
    return made


def kept_in(
    search: Any, X: Any, sample_weight: Any, groups: Any, seed: int
) -> tuple[int, KeptFits | None]:
    """The seed to go on with, and where finished fits of a search are kept, if anywhere."""
    if search.checkpoint is None:
        return seed, None
    from bayesmix.io.saved.checkpoint import open_checkpoint, search_identity

    settings = {
        name: value
        for name, value in search.get_params(deep=False).items()
        if name not in CHANGE_NO_NUMBER
    }
    identity = search_identity(settings, X, sample_weight, groups)
    seeded = search.random_state is not None
    kept, seed = open_checkpoint(search.checkpoint, identity, seed, seeded)
    return seed, kept


def share_threads(estimator: Any, n_jobs: int | None, n_chains: int) -> None:
    """Fits of one chain come one after the other and may use all cores; of several, one."""
    inner = last_step(estimator)
    if getattr(inner, "n_jobs", 0) is None:
        inner.set_params(n_jobs=n_jobs if n_chains == 1 else 1)


def is_variational(estimator: Any, wanted: set[str]) -> bool:
    """Whether the estimator is variational; refuses criteria that need it where it is not."""
    model = last_step(estimator)._model()
    variational = bool(model.inference.variational)
    if model.noise is not None and (refused := sorted(wanted & KNOW_NO_NOISE)):
        raise InvalidInputError(
            f"criterion={refused[0]!r} does not know of noise: use 'bic', 'icl', 'cv', or 'elbo' "
            "of a variational fit"
        )
    for name in sorted(wanted & set(POSTERIOR)):
        if not variational:
            raise InvalidInputError(
                f"criterion={name!r} needs a variational estimator, such as "
                "BayesianGaussianMixture: a maximum likelihood fit has no posterior"
            )
    return variational


def fitter_of(estimator: Any, X: Any, sample_weight: Any, source: Source) -> Fitter:
    """What fits candidates: a mixture to the source, a pipeline to the rows as they came."""
    if hasattr(estimator, "steps"):
        return TableFitter(estimator, X, sample_weight, source)
    fitter: Fitter = estimator._fitter(X, sample_weight, source)
    return fitter


def chains_of(
    search: Any, X: Any, estimator: Any, folded: bool, prefix: str, variational: bool
) -> tuple[list[list[dict[str, Any]]], tuple[str, ...]]:
    """The candidates in chains that differ in K alone, each model once, and what was left out.

    Where K grows by itself a chain ends at the K that so many observations can estimate; structures
    that they cannot estimate at all are left out, unless all are: then K is 1.
    """
    n_rows, n_columns = shape_of(X)
    most = min(growth.LARGEST, MOST_BY_FOLDS) if folded else growth.LARGEST
    numbers = component_numbers(search.n_components, most)
    structures = structures_asked(
        search.covariance_type, None if prefix else n_columns, variational
    )
    chains = candidate_chains(numbers, structures, search.param_grid, prefix)
    if search.n_components is not None:
        return each_once(chains, prefix), ()
    own = getattr(last_step(estimator), STRUCTURE, None)
    named = [chain[0].get(f"{prefix}{STRUCTURE}", own) for chain in chains]
    largest = [largest_number(each, n_rows, n_columns) for each in named]
    if not any(largest):
        return each_once([chain[:1] for chain in chains], prefix), ()
    left_out = [str(each) for each, k in zip(named, largest, strict=True) if not k]
    chains = [chain[:k] for chain, k in zip(chains, largest, strict=True) if k]
    return each_once(chains, prefix), tuple(dict.fromkeys(left_out))


def of_training(source: Source, X: Any, sample_weight: Any, groups: Any) -> tuple[Any, Any, Any]:
    """Rows, weights and groups without what training leaves out: rows of weight zero."""
    if source.shape[0] == shape_of(X)[0]:
        return X, sample_weight, groups
    kept = source.numbers
    weights, groups = (
        None if each is None else np.asarray(each)[kept] for each in (sample_weight, groups)
    )
    return source if kept is None else rows_of(X, kept), weights, groups


def shape_of(X: Any) -> tuple[int, int]:
    """Rows and columns, as far as they can be told before anything is checked."""
    try:
        shape = tuple(X.shape if hasattr(X, "shape") else np.shape(X))
    except ValueError:  # a ragged list
        shape = (len(X),)
    n_rows, n_columns, *_ = (*shape, 1, 1)
    return int(n_rows), int(n_columns)
