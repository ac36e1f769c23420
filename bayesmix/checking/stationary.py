"""Whether draws are from the posterior of this very model: whether a step of Gibbs moves them.

A sweep of blocked Gibbs sampling under the fit's prior leaves its posterior as it is. Draws of
another posterior (another prior, a wrong density) are moved towards it, which a mean over draws
shows whatever q is worth. Draws that are stuck in one of its modes are not moved.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from bayesmix.checking.quantities import entropies
from bayesmix.numerics.arrays import Array
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Source
from bayesmix.random import Purpose, stream
from bayesmix.sampling.draws.likelihood import log_likelihoods
from bayesmix.sampling.draws.parameters import Draws, joined, log_prior
from bayesmix.sampling.evidence.bridge import BATCHES, variance_of_mean
from bayesmix.sampling.gibbs.blocked_sweep import blocked_gibbs, each_repetition
from bayesmix.workflow.result import FitResult

# Streams; others of the posterior have lower numbers.
OF_STEPS, OF_ASSIGNMENTS = 11, 12
# Draws that take a step: so many, or fewer where rows are many (values of rows and components).
MOST_STEPS, LEAST_STEPS, MOST_WORK = 400, 40, 2e9
# Chance that a mean is called moved where it is not.
FALSE_ALARM = 1e-5


@dataclass(frozen=True)
class Moved:
    """The mean change of one function of the draws, and how probable one as large is by chance."""

    name: str
    change: float
    standard_error: float
    p_value: float

    @property
    def for_certain(self) -> bool:
        return self.p_value < FALSE_ALARM


def moved_by_gibbs(
    result: FitResult, source: Source, draws: Draws, n_chains: int, seed: int
) -> tuple[Moved, ...]:
    """What one sweep changes on average: log prior, log likelihood, entropy of the weights."""
    numbers = np.arange(draws.n_draws).reshape(n_chains, -1)
    work = source.shape[0] * source.shape[1] * draws.weights.log_weights.shape[1]
    wanted = int(np.clip(MOST_WORK / work, LEAST_STEPS, MOST_STEPS)) // n_chains
    each = max(1, min(wanted, numbers.shape[1]))
    spaced = np.linspace(0, numbers.shape[1] - 1, each).round().astype(np.intp)
    chosen = numbers[:, spaced].ravel()
    generator = stream(seed, Purpose.DRAW, OF_STEPS)
    with single_threaded_blas():
        sampler = blocked_gibbs(result, source, each_repetition)
        after = []
        for number in chosen:
            key = (seed, OF_ASSIGNMENTS, int(number))
            _, conditional = sampler.sweep(draws.some(np.array([number])), generator, key)
            after.append(sampler.drawn(conditional, generator))
    here, there = draws.some(chosen), joined(after)
    functions = {
        "log prior density": lambda some: log_prior(result.bayesian, some),
        "log likelihood": lambda some: log_likelihoods(result, some, source),
        "entropy of weights": entropies,
    }
    return tuple(
        _moved(name, (function(there) - function(here)).reshape(n_chains, -1))
        for name, function in functions.items()
    )


def _moved(name: str, changes: Array) -> Moved:
    if changes.shape[1] * len(changes) < 2 * BATCHES or np.ptp(changes) == 0.0:
        return Moved(name, float(changes.mean()), 0.0, 1.0)
    error = variance_of_mean(changes) ** 0.5
    change = float(changes.mean())
    p_value = 2.0 * float(stats.t.sf(abs(change) / error, BATCHES - 1))
    return Moved(name, change, error, p_value)
