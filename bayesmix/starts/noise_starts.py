"""Noise that a model asks for: its objective, and the starts of its fits.

The starts are fits without the most isolated observations (Byers & Raftery 1998), as EM prefers a
component on a single outlier to noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.allocation.noise import WithNoise, hypervolume
from bayesmix.core.engines import Objective
from bayesmix.core.families import Family
from bayesmix.core.mixture import Mixture
from bayesmix.core.protocols import NoiseDensity
from bayesmix.core.random import Purpose, stream
from bayesmix.core.sources import Source
from bayesmix.em.model import Assign, Attempt
from bayesmix.em.run import Problem
from bayesmix.em.start import Begun
from bayesmix.errors import BayesmixError, InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.starts.labelled_starts import FEW_PASSES, best_start
from bayesmix.starts.responsibilities import OfMixture

# Fractions of observations left out of the first fit.
LEFT_OUT = (0.0, 0.02, 0.1, 0.3)
# Most observations among which neighbours are searched.
MOST_NEIGHBOURS = 20_000
FIRST_WEIGHT = 0.05


@dataclass(frozen=True)
class NoiseOfFit:
    """Noise of a given density; None is 1 / V of a box around the data of the fit."""

    density: NoiseDensity | None = None

    def over(self, objective: Objective, source: Source, family: Family) -> WithNoise:
        density = self.density or _uniform(source, family)
        return WithNoise(objective, density, source.total_weight)

    def check(self, problem: Problem) -> None:
        volume = getattr(_noise_of(problem).density, "log_volume", 0.0)
        if problem.frame.n_flat or not np.isfinite(volume):
            n_rows, n_columns = problem.source.shape
            remedy = "drop constant and linearly dependent columns"
            if n_rows <= n_columns:
                remedy = f"{n_rows} observations need fewer than {n_rows} columns"
            raise InvalidInputError(
                f"noise='uniform' has density 1 / V, but the volume V of the data is 0: {remedy}"
            )

    def added(self, problem: Problem, mixture: Mixture) -> Mixture:
        if mixture.noise is not None:
            return mixture
        return replace(mixture, noise=_noise_of(problem).noise(FIRST_WEIGHT))

    def begun(self, attempt: Attempt) -> Begun:
        """Return the best of fits without noise to central observations, after short runs."""
        best = best_start(attempt.problem, _noisy(attempt), attempt, FEW_PASSES)
        return Begun(best.afresh())


def _uniform(source: Source, family: Family) -> NoiseDensity:
    columns = range(source.shape[1])
    discrete = np.array([not family.marginal(np.array([d])).continuous for d in columns])
    return hypervolume(source.in_memory().values, discrete)


def _noise_of(problem: Problem) -> WithNoise:
    objective: Any = problem.objective
    assert isinstance(objective, WithNoise)
    return objective


def _noisy(attempt: Attempt) -> Iterator[Assign]:
    """Yield fits without the most isolated observations, with noise added."""
    problem, settings = attempt.problem, attempt.settings
    plain = replace(attempt.model, noise=None)
    warm_starts = tuple(replace(mixture, noise=None) for mixture in settings.warm_starts)
    seed = settings.seed + attempt.index
    alone = replace(settings, n_init=1, seed=seed, sort=False, warm_starts=warm_starts)
    generator = stream(settings.seed, Purpose.START, attempt.index)
    sample = problem.source.sample(MOST_NEIGHBOURS, generator)
    distances = loneliness(problem, sample)
    by_distance = np.sort(distances)
    last: BayesmixError | None = None
    mixture: Mixture | None = None
    is_fitted, farthest = False, np.inf
    for share in LEFT_OUT:
        before, farthest = farthest, by_distance[len(distances) - 1 - int(share * len(distances))]
        if farthest < before:  # small samples, and those with ties, have equal subsets
            # Ties stay together, so that the order of the rows changes nothing.
            central = np.flatnonzero(distances <= farthest)
            source = problem.source if share == 0.0 else sample.subset(central)
            try:
                mixture = attempt.fit(plain, source, alone, attempt.monitor.child()).mixture
            except BayesmixError as refused:
                mixture, last = None, refused
        if mixture is not None:
            is_fitted = True
            noise = _noise_of(problem).noise(max(share, FIRST_WEIGHT))
            yield OfMixture(replace(mixture, noise=noise))
    if not is_fitted and last is not None:
        raise last


def loneliness(problem: Problem, source: Source) -> Array:
    """Return the distance (n,) to a near neighbour, in columns of equal scale."""
    from scipy.spatial import cKDTree

    rows = source.in_memory().values
    framed = problem.frame.apply(rows) / problem.frame.directions(problem.source.summary.scale)
    n_rows, n_columns = framed.shape
    neighbours = min(n_rows, max(5, n_columns + 1))
    distances = np.asarray(cKDTree(framed).query(framed, k=[neighbours])[0])
    return distances[:, 0]
