"""How sure the assignment of a row is: its probabilities at every draw of the parameters."""

from __future__ import annotations

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import Source
from bayesmix.sampling.density.credible_bands import BLOCK_VALUES, check_draws, tails
from bayesmix.sampling.draws.likelihood import shares_of
from bayesmix.sampling.draws.mixtures import DrawnMixtures
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.sampling.labels.alignment import aligned


def assignment_band(drawn: DrawnMixtures, source: Source, level: float) -> Array:
    """Quantiles (n, K, 2) over draws of the probability of each component, row by row.

    Draws whose labels change are relabelled to the fit first (Stephens 2000); of a pruned fit the
    components that it does not have are then left out.
    """
    check_draws(drawn.n_draws, level)
    if len(drawn.parts) > 1:
        raise UnsupportedError(
            "where the number of components is drawn too they are not those of the fit: give draws "
            "with its number of components, or ask co_clustering"
        )
    draws = drawn.parts[0]
    n_draws, every = draws.weights.log_weights.shape
    n_components = drawn.result.n_components
    order = _labels(drawn, draws)
    band = np.empty((source.shape[0], n_components, 2))
    size = max(1, BLOCK_VALUES // (n_draws * every))
    for start in range(0, source.shape[0], size):
        rows = slice(start, start + size)
        framed = drawn.result.mixture.frame.apply(source.in_memory(rows).values)
        shares = shares_of(draws, framed)
        if order is not None:
            shares = np.take_along_axis(shares, order[None, :, :n_components], axis=2)
        band[rows] = np.moveaxis(np.quantile(shares, tails(level), axis=1), 0, -1)
    return band


def _labels(drawn: DrawnMixtures, draws: Draws) -> Integers | None:
    """Which component of every draw (S, K) is which of the fit, where that is not the same one."""
    if drawn.align_by is None:
        return None
    return aligned(drawn.result, drawn.align_by, draws).order
