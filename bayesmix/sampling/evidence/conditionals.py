"""Conditional posteriors p(π, θ | X, Z) at assignments Z that short Gibbs runs from q reach.

q is too narrow and holds one mode of several. Their mixture is the better proposal: it is nearly
the posterior, which is the average of p(π, θ | X, Z) over p(Z | X) (Frühwirth-Schnatter 2004; Lee &
Robert 2016).
"""

from __future__ import annotations

from bayesmix.errors import DegenerateFitError
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Posterior, Source
from bayesmix.random import Purpose, stream
from bayesmix.records import Mixture
from bayesmix.sampling.gibbs.blocked_sweep import blocked_gibbs, together
from bayesmix.workflow.result import FitResult

# Every fourth is as wide as fewer rows would leave it: assignments that no run reached lie between.
# On 48 tiny problems of known evidence the largest error in standard errors fell from 5.5 to 2.7.
WIDENED = 4
SHARE_OF_ROWS = 0.3


def conditional_posteriors(
    result: FitResult, source: Source, n_chains: int, sweeps: int, seed: int
) -> list[Mixture[Posterior]]:
    """p(π, θ | X, Z, S) at the end of Gibbs runs of some sweeps from draws of q, some wider.

    For Dirichlet weights. All repetitions of a row go together: as a proposal that does as well.
    """
    found = []
    with single_threaded_blas():
        sampler = blocked_gibbs(result, source, together)
        for chain in range(n_chains):
            generator = stream(seed, Purpose.DRAW, 1, chain)
            conditional = result.posterior
            for sweep in range(sweeps):
                widened = sweep == sweeps - 1 and chain % WIDENED == WIDENED - 1
                draw = sampler.drawn(conditional, generator)
                key = (seed, 2, chain, sweep)
                share = SHARE_OF_ROWS if widened else 1.0
                try:
                    _, conditional = sampler.sweep(draw, generator, key, share)
                except DegenerateFitError:
                    # Towards tied rows; where it was is as good a proposal as another.
                    break
            found.append(conditional)
    return found
