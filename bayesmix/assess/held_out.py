"""Held-out densities by folds that start at a fit to all data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.predictions import in_memory
from bayesmix.selection.scores import Fold


def held_out_densities(candidate: Any, source: Any, splits: Sequence[Fold]) -> Array:
    """Return held-out log densities (n,) of a fitted estimator, for data in memory."""
    fitter = candidate._fitter(source, None, source)
    shares = in_memory(candidate.result_, source, FitResult.shares)
    densities = np.full(len(shares), np.nan)
    for split in splits:
        fold = fitter.continued(candidate, shares[split.train], split)
        test = fitter.on(split.test).source
        densities[split.test] = in_memory(fold, test, FitResult.log_density)
    return densities
