"""Independent draws of (π, θ) from q, with their densities under q and under the prior.

All densities are over the same coordinates of the fit's frame: π_1, ..., π_{K-1} (sticks: v), μ,
the elements of Λ, probabilities, rates. Where S is learned it is drawn too, and integrated out of
the densities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from operator import itemgetter
from typing import Any, cast

import numpy as np
from scipy.special import gammaln

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import (
    Bayesian,
    DrawnComponents,
    DrawnWeights,
    FactorisedWeights,
    Posterior,
)
from bayesmix.records import Mixture
from bayesmix.sampling.evidence.permanent import log_permanents

BATCH_VALUES = 2**22


@dataclass(frozen=True)
class Draws:
    """S draws of K weights (``log_weights`` (S, K)) and of the family's parameters."""

    weights: DrawnWeights
    components: DrawnComponents

    @property
    def n_draws(self) -> int:
        return len(self.weights.log_weights)

    @property
    def bare(self) -> Draws:
        """Without what has been derived of them, which is much larger."""
        return Draws(replace(self.weights), replace(self.components))

    def batches(self) -> list[Draws]:
        """All draws in their order, some at a time, so that what is made for them stays small."""
        K = self.weights.log_weights.shape[1]
        largest = max(array[0].size for array in _arrays(self.components))
        size = max(1, BATCH_VALUES // (K * max(K, largest)))
        starts = range(0, self.n_draws, size)
        return [_each(self, itemgetter(slice(start, start + size))) for start in starts]

    def some(self, numbers: Integers) -> Draws:
        """Some of the draws, in the order given."""
        chosen: Draws = _each(self, itemgetter(numbers))
        return chosen


def joined(parts: Sequence[Draws]) -> Draws:
    """The draws of all parts, one after the other."""
    queues = [iter(list(_arrays(part))) for part in parts]
    every: Draws = _each(parts[0], lambda _: np.concatenate([next(queue) for queue in queues]))
    return every


def _arrays(record: Any) -> Iterator[Array]:
    """The arrays of a record, at any depth."""
    for value in (getattr(record, field.name) for field in fields(record)):
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, tuple):
            for each in filter(is_dataclass, value):
                yield from _arrays(each)
        elif is_dataclass(value):
            yield from _arrays(value)


def _each(record: Any, change: Callable[[Array], Array]) -> Any:
    """The record with every array in it changed, in the order of ``_arrays``."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    changed: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            changed[name] = change(value)
        elif isinstance(value, tuple):
            changed[name] = tuple(_each(x, change) if is_dataclass(x) else x for x in value)
        elif is_dataclass(value):
            changed[name] = _each(value, change)
    return replace(record, **changed)


def draws_of(mixture: Mixture[Posterior], n_draws: int, generator: np.random.Generator) -> Draws:
    """S independent draws from q."""
    return Draws(
        mixture.weights.draws(n_draws, generator), mixture.components.draws(n_draws, generator)
    )


def log_prior(inference: Bayesian, draws: Draws) -> Array:
    """log p(π) + log p(θ) (S,)."""
    density: Array = inference.weights_prior.log_density_of(draws.weights)
    density = density + inference.parameters_prior.log_density_of(draws.components)
    return density


def log_q(mixture: Mixture[Posterior], draws: Draws) -> Array:
    """log q(π, θ) (S,)."""
    shared, pairs = mixture.components.log_factors(draws.components)
    own = np.trace(pairs, axis1=1, axis2=2)
    density: Array = mixture.weights.log_density_of(draws.weights) + shared + own
    return density


def log_q_symmetrised(mixture: Mixture[Posterior], draws: Draws) -> Array:
    """log of the average (S,) of q(π, θ) over the K! relabellings of the components.

    For Dirichlet weights: there q is a product over components, but for what all share.
    """
    weights = cast("FactorisedWeights", mixture.weights)
    shared, pairs = mixture.components.log_factors(draws.components)
    permanents = log_permanents(pairs + weights.log_factors(draws.weights))
    n_relabellings = gammaln(mixture.n_components + 1.0)
    density: Array = weights.log_normaliser() + shared + permanents - n_relabellings
    return density
