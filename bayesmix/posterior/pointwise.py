"""Log likelihood of every observation, and replicated data, for each posterior draw.

ArviZ reads them for leave-one-out cross-validation and posterior predictive checks (Gelman et al.
2013, ch. 6 and 7). Replicated data keep known labels and the lengths of sequences.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from bayesmix.allocation.point_draws import together
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, stream
from bayesmix.core.sources import InMemory, Source
from bayesmix.em.result import FitResult
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior import MOST_VALUES
from bayesmix.posterior.labels import Group
from bayesmix.posterior.posterior_draws import Draws, log_densities_at, mixtures_of

OF_REPLICATES = 15  # random stream; lower numbers belong to other posterior methods
# Draws are thinned to keep MOST_VALUES numbers, but estimates from fewer draws are too noisy.
FEWEST_DRAWS = 100


def each_observation(source: Source) -> InMemory | None:
    """Return the data with repeated samples written out.

    None if weights are no counts, or if there are too many observations for pointwise values.
    """
    whole = source.in_memory()
    counts = np.rint(whole.rows.weights_or_ones)
    if np.any(counts != whole.rows.weights_or_ones) or counts.sum() * FEWEST_DRAWS > MOST_VALUES:
        return None
    if whole.weights is None:
        return whole
    numbers = np.repeat(np.arange(len(counts)), counts.astype(np.intp))
    return replace(whole.in_memory(numbers), weights=None)  # type: ignore[type-var]  # in memory


def spaced(n_chains: int, n_draws: int, size: int) -> Integers:
    """Return evenly spaced draws of a chain, with ``size`` numbers for each draw."""
    return np.arange(0, n_draws, max(1, math.ceil(n_chains * n_draws * size / MOST_VALUES)))


def pointwise(
    result: FitResult, source: InMemory, groups: Sequence[Group], n_chains: int, n_draws: int
) -> tuple[Array, Integers]:
    """Return log p(x_n | draw) (C, S, n) in nats and data units, and the draws of a chain used."""
    kept = spaced(n_chains, n_draws, source.shape[0])
    values = np.empty((n_chains, len(kept), source.shape[0]))
    for chains, numbers, draws in _thinned(groups, n_draws, kept):
        values[chains, np.searchsorted(kept, numbers)] = log_densities_at(result, draws, source).T
    return values, kept


def replicated(
    result: FitResult,
    source: InMemory,
    groups: Sequence[Group],
    n_chains: int,
    n_draws: int,
    seed: int,
) -> tuple[Array, Integers]:
    """Return data (C, S, n, D) drawn from the model, and the draws of a chain used."""
    kept = spaced(n_chains, n_draws, source.values.size)
    rows = source.rows
    values = np.empty((n_chains, len(kept), *source.shape))
    with single_threaded_blas():
        for chains, numbers, draws in _thinned(groups, n_draws, kept):
            for place, mixture in enumerate(mixtures_of(result, draws)):
                chain, number = int(chains[place]), int(numbers[place])
                generator = stream(seed, Purpose.DRAW, OF_REPLICATES, chain, number)
                # Without densities, assignments are drawn from the prior.
                assigned = np.zeros((len(rows), draws.n_components))
                weights = draws.some(np.array([place])).weights
                weights.assign(assigned, rows, together, generator)
                labels = assigned.argmax(axis=1)
                counts = np.bincount(labels, minlength=draws.n_components)
                drawn = mixture.drawn(counts, generator)
                replicate = values[chain, np.searchsorted(kept, number)]
                replicate[np.argsort(labels, kind="stable")] = drawn
    return values, kept


def _thinned(
    groups: Sequence[Group], n_draws: int, kept: Integers
) -> Iterator[tuple[Integers, Integers, Draws]]:
    """Return chains, numbers in them, and values of the kept draws, group by group."""
    for group in groups:
        chains, numbers = np.divmod(group.places, n_draws)
        chosen = np.flatnonzero(np.isin(numbers, kept))
        if len(chosen):
            yield chains[chosen], numbers[chosen], group.draws.some(chosen)
