"""Draws of a variational fit for ArviZ.

With the data of the fit, draws of q are resampled by importance weights, so that they follow the
posterior: q is narrower, and ``az.loo`` of its draws too high.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.core.random import Purpose, stream
from bayesmix.core.sources import Source
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Integers
from bayesmix.posterior.arviz_groups import (
    Named,
    axes_of,
    marked,
    of_observations,
    prior_arrays,
    tree,
)
from bayesmix.posterior.evidence import log_ratios
from bayesmix.posterior.labels import Group
from bayesmix.posterior.pareto import TRUSTED_UP_TO, pareto_smoothed
from bayesmix.posterior.posterior_draws import Draws, log_q, parameters_of, posterior_draws

# Draws of q for each that is kept: enough to resample without replacement (Gelman et al. 2013,
# sec. 10.4).
CANDIDATES = 4
OF_RESAMPLING = 16  # random stream; lower numbers belong to other posterior methods


def variational_tree(
    result: FitResult, source: Source | None, of_fit: bool, n_draws: int, seed: int
) -> Any:
    """Return draws with trace and prior; with data also log likelihoods and replicated data.

    ``of_fit``: whether the data are those of the fit.
    """
    draws, note = posterior_draws(result, n_draws, seed), "of a variational approximation"
    # Importance weights need the density of the prior.
    if source is not None and of_fit and result.bayesian.parameters_prior.conjugate:
        draws, note = resampled(result, source, draws, seed)
    weights = (("component",), np.exp(draws.weights.log_weights))
    posterior = {"weights": weights} | parameters_of(result, draws)
    groups: dict[str, Named] = {
        "posterior": {
            name: (("chain", "draw", *dims), values[None])
            for name, (dims, values) in posterior.items()
        },
        "sample_stats": {"objective": (("iteration",), result.trace)},
        "constant_data": prior_arrays(result),
    }
    kept: dict[str, Integers] = {}
    if source is not None:
        one_chain = (Group(np.arange(n_draws), draws),)
        pointwise, kept = of_observations(result, source, one_chain, 1, n_draws, seed)
        groups |= pointwise
    coords = {"component": np.arange(result.n_components)} | axes_of(result, 1, n_draws)
    words = f"independent draws {note}, in one chain: R-hat does not measure their accuracy"
    return tree(groups, coords, marked("variational", words), kept)


def resampled(result: FitResult, source: Source, drawn: Draws, seed: int) -> tuple[Draws, str]:
    """Return draws that follow the posterior, and a note; those given if q misses too much of it.

    Draws of q are resampled without replacement by Pareto smoothed importance weights.
    """
    candidates = posterior_draws(result, CANDIDATES * drawn.n_draws, seed)
    of_q = [(result.posterior, candidates.n_draws)]
    smoothed, shape = pareto_smoothed(log_ratios(result, source, candidates, of_q, log_q))
    told = f"of a variational approximation (Pareto k = {float(shape):.2f})"
    if not float(shape) <= TRUSTED_UP_TO:
        return drawn, f"{told}, which is far from the posterior"
    # The largest of log weights plus Gumbel numbers are a sample without replacement.
    generator = stream(seed, Purpose.DRAW, OF_RESAMPLING)
    keys = smoothed + generator.gumbel(size=len(smoothed))
    chosen = np.sort(np.argsort(-keys, kind="stable")[: drawn.n_draws])
    return candidates.some(chosen), f"{told}, resampled by importance weights"
