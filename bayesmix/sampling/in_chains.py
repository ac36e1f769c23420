"""Draws of several chains, arranged as (C, S, ...): what all samplers' results show of them."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.sampling.draws import Draws
from bayesmix.sampling.posterior import Named, parameters_of
from bayesmix.workflow.result import FitResult


def in_chains(values: Array, n_chains: int) -> Array:
    """Values (C S, ...), chain after chain, as (C, S, ...), not to be written."""
    arranged: Array = values.reshape(n_chains, -1, *values.shape[1:])
    arranged.flags.writeable = False
    return arranged


def weights_in_chains(draws: Draws, n_chains: int) -> Array:
    """π (C, S, K)."""
    return in_chains(np.exp(draws.weights.log_weights), n_chains)


def parameters_in_chains(result: FitResult, draws: Draws, n_chains: int) -> Named:
    """θ in data units by name (C, S, ...), with what axes after chain and draw stand for."""
    named = parameters_of(result, draws)
    return {name: (axes, in_chains(values, n_chains)) for name, (axes, values) in named.items()}
