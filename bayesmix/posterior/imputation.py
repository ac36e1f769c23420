"""Missing values filled in: predictive means and levels, or draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import patterns
from bayesmix.observation.missing import drawn
from bayesmix.posterior.bands import conditional_means
from bayesmix.posterior.posterior_draws import Draws, mixtures_of

if TYPE_CHECKING:
    from bayesmix.core.components import InSubspace


def expected(result: FitResult, values: Array) -> Array:
    """Fill missing values with their predictive mean, or most probable level."""
    if result.mixture.frame.rest is not None:
        return _expected_in_subspace(result, values)
    out = values.copy()
    for columns, rows in patterns(values):
        hidden = np.setdiff1d(np.arange(values.shape[1]), columns)
        if len(hidden):
            observed = values[np.ix_(rows, columns)]
            means = conditional_means(result.density, hidden, columns, observed)
            if not np.isfinite(means).all():  # of tails so heavy that the mean does not exist
                means = conditional_means(result.plug_in, hidden, columns, observed)
            out[np.ix_(rows, hidden)] = means
    shares = result.probabilities(values)
    for column, of_levels in result.family.level_probabilities(result.density.components).items():
        gaps = np.isnan(values[:, column])
        out[gaps, column] = (shares[gaps] @ of_levels).argmax(axis=1)
    return out


def _expected_in_subspace(result: FitResult, values: Array) -> Array:
    """Return the mean over components of what they expect, given the observed cells."""
    density, shares = result.density, result.probabilities(values)
    forms = cast("InSubspace", density.components).of_coordinates
    out = np.zeros(values.shape)
    for k, share in enumerate(shares.T):
        labels = np.full(len(values), k)
        out += share[:, None] * forms.filled_along(density.frame, values, labels, None)
    return np.where(np.isnan(values), out, values)


def imputations(
    result: FitResult, values: Array, n_draws: int, generator: np.random.Generator
) -> list[Array]:
    """Draw tables with missing values filled in, each under different posterior parameters."""
    if not result.variational:
        return [drawn(result.plug_in, values, generator) for _ in range(n_draws)]
    q = result.posterior
    draws = Draws(q.weights.draws(n_draws, generator), q.components.draws(n_draws, generator))
    return [drawn(mixture, values, generator) for mixture in mixtures_of(result, draws)]
