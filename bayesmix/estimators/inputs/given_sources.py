"""Sources, Dask collections and arrays on devices as data of a fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bayesmix.core.rows import SideInformation
from bayesmix.errors import InvalidInputError
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.incoming import weights_of_fit
from bayesmix.estimators.inputs.sample_weights import refuse_weights, row_weights, unless_equal
from bayesmix.numerics.arrays import is_elsewhere
from bayesmix.sources.memory import ArraySource, coding_of, is_collection

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


def dask_or_device(X: Any, sample_weight: Any, n_jobs: int | None) -> tuple[Any, Any]:
    """Return a Dask collection, or an array on a device, as a source with its weights."""
    if is_collection(X):
        from bayesmix.sources.dask_workers import collected

        return collected(X, sample_weight, n_jobs), None
    if not is_elsewhere(X):
        return X, sample_weight
    from bayesmix.sources.devices import on_device

    return on_device(X, weights_of_fit(sample_weight, X.shape[0]), n_jobs), None


def given_source(X: Source, n_jobs: int | None, everything_once: bool = False) -> Source:
    """Return a source with checked weights; ``everything_once`` drops weights that are all 1."""
    if not isinstance(X, ArraySource):
        return X.with_jobs(n_jobs)
    weights = None if X.weights is None else row_weights(X.weights, len(X.values))
    return ArraySource(
        X.values,
        unless_equal(weights) if everything_once else weights,
        n_jobs,
        X.columns,
        coding=X.coding,
        side=SideInformation(measurement=X.side.measurement),
    )


def training_source(
    estimator: Any, X: Any, sample_weight: Any, n_jobs: int | None, mixed: bool
) -> Source:
    """Return a source, collection or array on a device as the data of a fit.

    ``mixed``: the family takes columns of levels.
    """
    X, sample_weight = dask_or_device(X, sample_weight, n_jobs)
    if isinstance(X, ArraySource) and X.weights is None and sample_weight is not None:
        X = replace(X, weights=row_weights(sample_weight, X.shape[0]))
        sample_weight = None
    refuse_weights(sample_weight)
    held = coding_of(X)
    if not mixed and held is not None and held.has_levels:
        pairs = zip(held.names, held.levels, strict=True)
        named = ", ".join(repr(name) for name, levels in pairs if levels is not None)
        raise InvalidInputError(
            f"X must be numeric, but these columns are not: {named}: leave them out, or use "
            'Mixture(family="auto")'
        )
    incoming.adopt_columns(estimator, X)
    return given_source(X, n_jobs, everything_once=True)
