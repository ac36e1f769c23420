"""Starts of mixtures with noise: fits without the most isolated observations.

Source: Byers & Raftery 1998. Several fractions are tried, as EM prefers a component on a single
outlier to noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bayesmix.core.mixture import Mixture
from bayesmix.core.noise import Noise
from bayesmix.core.random import Purpose, stream
from bayesmix.core.sources import Source
from bayesmix.em.model import Model, Settings, rank
from bayesmix.em.objectives import WithNoise
from bayesmix.em.result import FitResult
from bayesmix.em.run import Monitor, Problem, State, run
from bayesmix.errors import BayesmixError, InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.search.starts import OfMixture, begun

# Fractions of observations left out of the first fit.
LEFT_OUT = (0.0, 0.02, 0.1, 0.3)
# Most observations among which neighbours are searched.
MOST_ROWS = 20_000
FIRST_WEIGHT = 0.05
# Passes after which the starts are compared.
FEW_PASSES = 30


def refuse_flat(problem: Problem) -> None:
    """Raise an error if the hypervolume of the data is zero."""
    volume = getattr(_noise_of(problem).density, "log_volume", 0.0)
    if problem.frame.basis is not None or not np.isfinite(volume):
        raise InvalidInputError(
            "noise='uniform' is 1 / V, but the volume V of the data is 0: drop constant and "
            "linearly dependent columns"
        )


def first_noise(problem: Problem) -> Noise:
    """Return the noise to add to a mixture without noise."""
    return _noise_of(problem).noise(FIRST_WEIGHT)


def _noise_of(problem: Problem) -> WithNoise:
    objective: Any = problem.objective
    assert isinstance(objective, WithNoise)
    return objective


def begun_with_noise(
    fit: Callable[[Model, Source, Settings, Monitor], FitResult],
    problem: Problem,
    model: Model,
    settings: Settings,
    monitor: Monitor,
    index: int,
) -> State:
    """Return the best start: a fit without noise to the central observations, then short runs."""
    plain = replace(model, noise=None)
    near = tuple(replace(candidate, noise=None) for candidate in settings.near)
    plain_settings = replace(settings, n_init=1, seed=settings.seed + index, sort=False, near=near)
    sample = problem.source.sample(MOST_ROWS, stream(settings.seed, Purpose.START, index))
    order = np.argsort(loneliness(problem, sample), kind="stable")
    best: State | None = None
    last: BayesmixError | None = None
    mixture: Mixture | None = None
    left_out = -1
    for share in LEFT_OUT:
        before, left_out = left_out, int(share * len(order))
        if left_out != before:  # small samples have equal subsets
            central = np.sort(order[: len(order) - left_out])
            source = problem.source if share == 0.0 else sample.subset(central)
            try:
                mixture = fit(plain, source, plain_settings, monitor.child()).mixture
            except BayesmixError as refused:
                mixture, last = None, refused
        if mixture is None:
            continue
        noise = _noise_of(problem).noise(max(share, FIRST_WEIGHT))
        start = OfMixture(replace(mixture, noise=noise))
        state = run(problem, begun(problem, start, mixture.n_components), monitor, FEW_PASSES)
        if best is None or rank(problem, state) > rank(problem, best):
            best = state
        if monitor.stopped is not None:
            break
    if best is None:
        assert last is not None
        raise last
    return best.afresh()


def loneliness(problem: Problem, source: Source) -> Array:
    """Return the distance (n,) to a near neighbour, in columns of equal scale."""
    from scipy.spatial import cKDTree

    rows = source.in_memory().values
    framed = problem.frame.apply(rows) / problem.frame.directions(problem.source.summary.scale)
    n_rows, n_columns = framed.shape
    neighbours = min(n_rows, max(5, n_columns + 1))
    distances = np.asarray(cKDTree(framed).query(framed, k=[neighbours])[0])
    return distances[:, 0]
