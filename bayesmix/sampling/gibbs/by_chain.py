"""Draws of several chains, arranged as (C, S, ...): what all samplers' results show of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Named, Source
from bayesmix.sampling.density.predictive_average import averaged_density
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.sampling.draws.posterior_sample import parameters_of
from bayesmix.workflow.result import FitResult


def in_chains(values: Array, n_chains: int) -> Array:
    """Values (C S, ...), chain after chain, as (C, S, ...), not to be written."""
    arranged: Array = values.reshape(n_chains, -1, *values.shape[1:])
    arranged.flags.writeable = False
    return arranged


@dataclass(frozen=True, repr=False, eq=False)
class DrawsInChains:
    """Draws from p(π, θ | X) for a known K, whichever sampler they are from."""

    result: FitResult
    source: Source
    draws: Draws
    log_likelihood: Array
    log_joint: Array

    @property
    def n_chains(self) -> int:
        return len(self.log_joint)

    @property
    def n_draws(self) -> int:
        """Of every chain."""
        return int(self.log_joint.shape[1])

    @property
    def n_components(self) -> int:
        """K of the model, occupied or not."""
        return int(self.draws.weights.log_weights.shape[1])

    @cached_property
    def weights(self) -> Array:
        """π (C, S, K)."""
        return in_chains(np.exp(self.draws.weights.log_weights), self.n_chains)

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """θ by name, (C, S, ...) in data units.

        Gaussian: "means" (C, S, K, D), "covariances" in scikit-learn's shape for the structure, and
        "scale" where the prior learns it. Bernoulli: "probabilities", Poisson: "rates", both
        (C, S, K, D).
        """
        return {name: values for name, (_, values) in self.named_parameters.items()}

    @cached_property
    def named_parameters(self) -> Named:
        """``parameters``, with what axes after chain and draw stand for."""
        named = parameters_of(self.result, self.draws)
        return {
            name: (axes, in_chains(values, self.n_chains)) for name, (axes, values) in named.items()
        }

    def score_samples(self, X: Any) -> Array:
        """Log of the posterior mean density (n,) in nats of rows: π and θ averaged over."""
        return averaged_density(self.result, [self.draws], X, self.source.n_jobs)
