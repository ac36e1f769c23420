"""Where a mixture with noise begins: fits to the rows that lie close together, tried in turn.

A far row that a component holds alone looks better than noise to EM, whatever it does next; so some
of the rows with the most distant neighbours are left out first (Byers & Raftery 1998), and the best
of several shares is kept.
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

# Shares of the rows that are left out at first.
LEFT_OUT = (0.0, 0.02, 0.1, 0.3)
# Neighbours are looked for among so many rows at most.
MOST_ROWS = 20_000
FIRST_WEIGHT = 0.05
# Passes after which starts are compared.
FEW_PASSES = 30


def refuse_flat(problem: Problem) -> None:
    """Refuse rows whose hypervolume is zero."""
    volume = getattr(_noise_of(problem).density, "log_volume", 0.0)
    if problem.frame.basis is not None or not np.isfinite(volume):
        raise InvalidInputError(
            "noise='uniform' is 1 / V, V the volume that the rows take, and X takes none: drop "
            "columns that do not vary, or that others determine"
        )


def first_noise(problem: Problem) -> Noise:
    """The noise of a mixture that was given without."""
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
    """The best of fits without noise to all rows but the loneliest, after a few passes with it."""
    plain = replace(model, noise=None)
    near = tuple(replace(one, noise=None) for one in settings.near)
    own = replace(settings, n_init=1, seed=settings.seed + index, sort=False, near=near)
    some = problem.source.sample(MOST_ROWS, stream(settings.seed, Purpose.START, index))
    order = np.argsort(loneliness(problem, some), kind="stable")
    best: State | None = None
    last: BayesmixError | None = None
    mixture: Mixture | None = None
    left_out = -1
    for share in LEFT_OUT:
        before, left_out = left_out, int(share * len(order))
        if left_out != before:  # of few rows several shares leave out the same ones
            kept = np.sort(order[: len(order) - left_out])
            source = problem.source if share == 0.0 else some.subset(kept)
            try:
                mixture = fit(plain, source, own, monitor.child()).mixture
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
    """Distance (n,) of every row to one of its nearest neighbours, in columns of one scale."""
    from scipy.spatial import cKDTree

    rows = source.in_memory().values
    framed = problem.frame.apply(rows) / problem.frame.directions(problem.source.summary.scale)
    n_rows, n_columns = framed.shape
    neighbours = min(n_rows, max(5, n_columns + 1))
    distances = np.asarray(cKDTree(framed).query(framed, k=[neighbours])[0])
    return distances[:, 0]
