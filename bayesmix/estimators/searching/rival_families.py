"""Rivals of normal and log-normal columns, by held-out density: Yeo-Johnson powers.

Skewed groups of observations need several normal components each, which then overlap with those of
others. On transformed columns they need one. Bounds of the two are not compared: the powers win if
their held-out log density, with powers learned anew in each fold, is better by two standard errors.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.assess.held_out import held_out_densities
from bayesmix.em.under_a_prior import VariationalBayes
from bayesmix.errors import BayesmixError
from bayesmix.estimators.mixture import Mixture
from bayesmix.families.amounts import logs_of
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.monotone import gain_of, powers_of
from bayesmix.families.transformed import Transformed
from bayesmix.selection.candidates import Candidate
from bayesmix.selection.criteria import RULE
from bayesmix.selection.data_checks import duplicates
from bayesmix.selection.scores import HeldOut, make_splits
from bayesmix.sources.memory import ArraySource

# Observations from which powers are learned before a second search, of larger data evenly spaced.
MOST_ROWS = 3000
STANDARD_ERRORS = 2.0


def leading(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the best fitted candidate of each structure."""
    best: dict[str, Candidate] = {}
    for row in candidates:
        value = row.comparable(RULE) if row.sound is not None else -np.inf
        known = best.get(row.structure)
        if np.isfinite(value) and (known is None or value > known.comparable(RULE)):
            best[row.structure] = row
    return list(best.values())


def better_by_powers(search: Any, source: ArraySource, limit: int | None) -> dict[str, Any] | None:
    """Return the fitted attributes of a second search over transformed columns, if it is better.

    It starts from the simplest candidate with the chosen number of clusters, if powers that are
    learned on its responsibilities gain more than half of the logarithm of n for each column (BIC).
    Otherwise it starts from the best candidate of the structure whose evidence is largest with
    powers, and is not made where none gain so much. It has the structure of that candidate, and at
    most one component more; its automatic limit of K is that of the first, None where K was given.
    """
    chosen = search.best_estimator_
    result = chosen.result_
    logs = logs_of(result.family)
    plain = isinstance(result.family, Gaussian) or logs is not None
    plain = plain and search._simplest is not None
    plain = plain and result.variational and not (source.side or search.variable_selection)
    if not plain or result.mixture.noise is not None or np.isnan(source.values).any():
        return None
    some = source if source.shape[0] <= MOST_ROWS else source.spread(MOST_ROWS)
    n, n_features = some.shape
    scale = source.total_weight / some.total_weight
    trials: list[Any] = []
    for place, row in enumerate([search._simplest, *leading(search.candidates_)]):
        estimator: Any = row.estimator
        shares = estimator.predict_proba(some) * some.rows.weights_or_ones[:, None]
        learned, gain = powers_of(np.asarray(some.values), shares)
        if logs is not None:
            gain -= gain_of(logs, np.asarray(some.values), shares)
        if gain > 0.5 * n_features * np.log(n):
            trials.append((row.value(RULE) + scale * gain, -place, estimator, learned))
            if place == 0:
                break
    if not trials:
        return None
    *_, best, function = max(trials)
    result = best.result_
    structure = best.covariance_type
    numbers = [*range(1, result.n_components + 2)]
    if search.n_components is not None:
        numbers = sorted({row.asked for row in search.candidates_} & set(numbers))
    mixture = Mixture(
        family=Transformed(Gaussian(structure), function),
        inference=VariationalBayes(weights=DirichletPrior(1.0)),
        prune=False,
        search="short",
    )
    other = clone(search).set_params(
        estimator=mixture,
        n_components=numbers,
        covariance_type=structure,
        column_powers=False,
        checkpoint=None,
    )
    other._limit = limit
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other.fit(source)
        splits = make_splits(search.cv, source, 0, None, duplicates(source).distinct)
        weights = source.rows.weights_or_ones
        powers, normal = (
            HeldOut(held_out_densities(one, source, splits), weights)
            for one in (other.best_estimator_, chosen)
        )
    # Columns that are constant, components that collapse in a fold, a splitter that needs groups, a
    # grid of parameters of another estimator, an interruption.
    except (BayesmixError, ValueError, KeyboardInterrupt):
        return None
    better = powers.less(normal)
    if other.interrupted_ or not better.value > STANDARD_ERRORS * better.standard_error:
        return None
    other._add(
        f"Columns transformed by Yeo-Johnson powers: held-out log density {better.value:,.0f} nats "
        f"higher than of {'normal' if logs is None else 'log-normal'} components "
        f"(standard error {better.standard_error:,.0f})."
    )
    kept = {*other.get_params(deep=False), "_limit"}
    return {name: value for name, value in vars(other).items() if name not in kept}
