"""The evidence from above: the posterior average of log p(X, θ) - log q_sym(θ).

It exceeds log p(X) by KL(p(θ | X) || q_sym), as the bound falls short of it by the divergence the
other way round (DESIGN section 5). Draws are those of Gibbs sampling.
"""

from __future__ import annotations

import math

import numpy as np

from bayesmix.errors import DegenerateFitError
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Source
from bayesmix.random import Purpose, stream
from bayesmix.sampling.draws.likelihood import log_likelihoods
from bayesmix.sampling.draws.parameters import joined, log_prior, log_q_symmetrised
from bayesmix.sampling.evidence.bridge import variance_of_mean
from bayesmix.sampling.gibbs.blocked_sweep import blocked_gibbs, each_repetition
from bayesmix.workflow.result import FitResult

# Sweeps before the first that counts, as a share of those that do.
WARMUP = 0.25


def evidence_from_above(
    result: FitResult, source: Source, n_sweeps: int, seed: int
) -> tuple[float, float]:
    """An upper end of log p(X), and its Monte Carlo error by batch means; in nats.

    NaN where tied rows leave the posterior without a density.
    """
    generator = stream(seed, Purpose.DRAW, 6)
    kept = []
    with single_threaded_blas():
        sampler = blocked_gibbs(result, source, each_repetition)
        conditional = sampler.beginning(result.n_components, generator)
        try:
            for sweep in range(-int(WARMUP * n_sweeps), n_sweeps):
                draw = sampler.drawn(conditional, generator)
                if sweep >= 0:
                    kept.append(draw)
                key = (seed, 7, sweep + n_sweeps)
                _, conditional = sampler.sweep(draw, generator, key)
        except DegenerateFitError:
            return math.nan, math.nan
    values = np.concatenate(
        [
            log_likelihoods(result, batch, source)
            + log_prior(result.bayesian, batch)
            - log_q_symmetrised(result.posterior, batch)
            for batch in joined(kept).batches()
        ]
    )
    return float(values.mean()), math.sqrt(variance_of_mean(values[None]))
