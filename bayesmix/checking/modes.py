"""Which optima of the bound the draws of a sampler lead to: the modes that it has been in.

Assignments drawn at some draws of every chain are the starts of fits of the same model. Where these
end does not depend on labels; chains that end in different places have not mixed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesmix.engine.expectation import CENTRED, LINEAR
from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import Problem, begin, run
from bayesmix.engine.stopping import Aitken
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Source
from bayesmix.records import Expectation, Mixture
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.sampling.gibbs.blocked_sweep import blocked_gibbs, each_repetition
from bayesmix.workflow.result import FitResult

OF_ASSIGNMENTS = 13  # stream; others of the posterior have lower numbers
# Starts of every chain: so many, or fewer where rows are many; and passes of each at most.
MOST_STARTS, LEAST_STARTS, MOST_WORK = 10, 2, 4e7
MOST_PASSES = 500
# Share of the rows in other components up to which two optima are one: fits end short of them.
SAME = 0.05


@dataclass(frozen=True)
class Mode:
    """An optimum: the first of all modes is the fit's own.

    ``init_params=mode.responsibilities`` begins a fit there.

    Attributes
    ----------
    share : float
        Of the fits begun at draws, those that end here.
    by_chain : tuple of float
        The same of every chain's draws.
    elbo : float
        In nats and data units.
    away : float
        Share of the rows that are in other components than in the fit.
    weights : tuple of float
        Largest first.
    responsibilities : array (n, K)
    """

    share: float
    by_chain: tuple[float, ...]
    elbo: float
    away: float
    weights: tuple[float, ...]
    responsibilities: Array = field(repr=False, compare=False)


def modes_of(
    result: FitResult, source: Source, draws: Draws, n_chains: int, rows: Integers, seed: int
) -> tuple[Mode, ...]:
    """The fit's own optimum, and others by the share of the starts that end in them."""
    numbers = np.arange(draws.n_draws).reshape(n_chains, -1)
    n_components = draws.weights.log_weights.shape[1]
    work = source.shape[0] * source.shape[1] * n_components * n_chains
    each = int(np.clip(MOST_WORK / work, LEAST_STARTS, MOST_STARTS))
    # The end of a chain counts, its beginning is the fit's.
    chosen = np.array([part[-1] for part in np.array_split(np.arange(numbers.shape[1]), each)])
    whole = source.in_memory().rows
    every = result.mixture.frame.apply(whole.values)
    framed = every[rows]
    counted = whole.weights_or_ones[rows]
    counted = counted / counted.sum()
    with single_threaded_blas():
        own = np.zeros((len(rows), n_components))
        own[:, : result.n_components] = result.mixture.responsibilities(framed)[0]
        fits = _fits(result, source, draws, numbers[:, chosen].ravel(), seed)
    leaders, optima = [own], [(result.mixture, result.objective)]
    which = []
    for mixture, elbo in fits:
        responsibilities = mixture.responsibilities(framed)[0]
        distances = [apart(responsibilities, one, counted) for one in leaders]
        if min(distances) > SAME:
            leaders.append(responsibilities)
            optima.append((mixture, elbo))
            distances.append(0.0)
        which.append(int(np.argmin(distances)))
    by_chain = np.array(which).reshape(n_chains, -1)
    found = [
        Mode(
            share=float((by_chain == mode).mean()),
            by_chain=tuple(float(share) for share in (by_chain == mode).mean(axis=1)),
            elbo=elbo,
            away=apart(leaders[mode], own, counted),
            weights=tuple((-np.sort(-mixture.weights.mean())).tolist()),
            responsibilities=frozen(mixture.responsibilities(every)[0]),
        )
        for mode, (mixture, elbo) in enumerate(optima)
    ]
    return (found[0], *sorted(found[1:], key=lambda mode: -mode.share))


def _fits(
    result: FitResult, source: Source, draws: Draws, chosen: Integers, seed: int
) -> list[tuple[Mixture, float]]:
    """Where the fit from each start ends, and its ELBO."""
    sampler = blocked_gibbs(result, source, each_repetition)
    problem = Problem(
        source=source,
        family=result.family,
        objective=result.inference,
        frame=result.mixture.frame,
        guard=result.family.guard(source, result.mixture.frame, source.summary, False),
        stopping=Aitken(),
        accelerate=True,
        form=LINEAR if result.form == "linear" else CENTRED,
    )
    found = []
    for number in chosen:
        draw = draws.some(np.array([number]))
        statistics = sampler.assigned(draw, (seed, OF_ASSIGNMENTS, int(number))).statistics
        start = Expectation(0.0, 1.0, statistics.counts, statistics)
        state = run(problem, begin(problem, start, result.mixture), Monitor(), MOST_PASSES)
        found.append((state.at(), state.objective - source.total_weight * result.log_volume))
    return found


def apart(first: Array, second: Array, counted: Array) -> float:
    """Share of the rows that two responsibilities (n, K) put elsewhere, labels as they fit best.

    The mean over rows, counted (n,) with a sum of one, of the total variation distance.
    """
    overlap = np.array(
        [[counted @ np.minimum(mine, theirs) for theirs in second.T] for mine in first.T]
    )
    matched = linear_sum_assignment(overlap, maximize=True)
    return max(0.0, 1.0 - float(overlap[matched].sum()))
