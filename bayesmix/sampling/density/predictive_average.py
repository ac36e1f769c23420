"""The predictive density of a sampler: the average of the densities of its draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import logsumexp

from bayesmix.numerics.arrays import Array
from bayesmix.sampling.density.checked_values import checked_values
from bayesmix.sampling.density.credible_bands import BLOCK_VALUES
from bayesmix.sampling.draws.mixtures import DrawnMixtures
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.sources import as_source
from bayesmix.workflow.result import FitResult


def averaged_density(
    result: FitResult, parts: Sequence[Draws], X: Any, n_jobs: int | None
) -> Array:
    """log (1/S) Σ_s p(x_n | draw s) (n,) in nats and data units, of rows that are checked here."""
    columns = result.columns
    values = checked_values("X", X, range(result.n_features) if columns is None else columns)
    result.family.check(values)
    source = as_source(values, n_jobs=n_jobs)
    drawn = DrawnMixtures(result, tuple(parts))
    size = max(1, BLOCK_VALUES // drawn.n_draws)
    starts = range(0, len(values), size)
    blocks = (drawn.log_densities(source.subset(slice(at, at + size))) for at in starts)
    averaged: Array = np.concatenate([logsumexp(block, axis=1) for block in blocks])
    averaged -= np.log(drawn.n_draws)
    return averaged
