"""The evidence by bridge sampling (Meng & Wong 1996; for mixtures Frühwirth-Schnatter 2004).

Draws from the posterior and draws from a proposal g meet in the bridge that has the least error,

    p(X) = E_g[p(X, θ) h(θ)] / E_post[g(θ) h(θ)],  h = 1 / (s₁ p(X, θ) + s₂ p(X) g(θ)),

an equation for p(X) that is iterated. g is made of conditional posteriors p(π, θ | X, Z) at draws
of Z, averaged over relabellings. Then no function here knows labels, and it is as if every draw had
been relabelled at random: whether chains changed labels does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Posterior, Source
from bayesmix.random import Purpose, stream
from bayesmix.records import Mixture
from bayesmix.sampling.draws.parameters import Draws, draws_of, joined, log_q_symmetrised
from bayesmix.sampling.evidence.importance import MOST_TERMS, log_ratios, without_relabellings
from bayesmix.sampling.gibbs.blocked_sweep import blocked_gibbs, each_repetition
from bayesmix.workflow.result import FitResult

# Streams: others of the posterior have lower numbers.
OF_ASSIGNMENTS, OF_PROPOSAL = 8, 9
# Conditionals in a proposal, and draws of every chain below which halves are too few.
MOST_CONDITIONALS = 100
FEWEST_DRAWS = 20
# Batches of consecutive draws, for the error of a mean of draws that depend on one another.
BATCHES = 20
MOST_ITERATIONS = 1000
CONVERGED = 1e-10


@dataclass(frozen=True)
class Bridge:
    """log p(X) in nats and data units; NaN, with the reason in ``note``, where there is none."""

    estimate: float
    standard_error: float  # relative error of p(X), Monte Carlo of both kinds of draws
    note: str = ""


def bridge_evidence(
    result: FitResult, source: Source, draws: Draws, n_chains: int, seed: int
) -> Bridge:
    """The log evidence of a fit's model, of as many components as draws of its posterior have.

    The first half of every chain makes the proposal, the second half the estimate. It is the
    evidence of what the chains have seen: a mode that all of them missed is missing.

    Parameters
    ----------
    result : FitResult
        With Dirichlet weights.
    source : Source
        The rows of the fit.
    draws : Draws
        From the posterior, chain after chain, all of a length.
    n_chains : int
    seed : int

    Returns
    -------
    Bridge
    """
    n_components = draws.weights.log_weights.shape[1]
    numbers = np.arange(draws.n_draws).reshape(n_chains, -1)
    note = _without_a_bridge(result, n_components, numbers.shape[1])
    if note:
        return Bridge(math.nan, math.nan, note)
    half = numbers.shape[1] // 2
    here = draws.some(numbers[:, half:].ravel())
    n_terms = 2 * here.n_draws * n_components * 2**n_components
    most = int(np.clip(MOST_TERMS // n_terms, 1, MOST_CONDITIONALS))
    spaced = np.linspace(0, numbers[:, :half].size - 1, min(most, numbers[:, :half].size))
    makers = numbers[:, :half].ravel()[spaced.round().astype(np.intp)]
    with single_threaded_blas():
        conditionals = _conditionals(result, source, draws, makers, seed)
    # As many draws of each, and together no fewer than of the posterior.
    each = -(-here.n_draws // len(conditionals))
    parts = [(one, each) for one in conditionals]
    generator = stream(seed, Purpose.DRAW, OF_PROPOSAL)
    there = joined([draws_of(one, n, generator) for one, n in parts])
    of_posterior = log_ratios(result, source, here, parts, log_q_symmetrised)
    of_proposal = log_ratios(result, source, there, parts, log_q_symmetrised)
    estimate, error = bridged(of_posterior.reshape(n_chains, -1), of_proposal)
    return Bridge(estimate, error)


def bridged(of_posterior: Array, of_proposal: Array) -> tuple[float, float]:
    """log ∫ p, and its standard error, from log(p / g) at draws (C, S) of p and (N,) of g.

    Draws of p are chains of dependent draws, those of g independent; g integrates to one. The error
    is the relative mean squared error of Frühwirth-Schnatter 2004, eq. 28, by batch means.

    Examples
    --------
    >>> import numpy as np
    >>> from bayesmix.sampling.evidence.bridge import bridged
    >>> bridged(np.full((2, 50), 3.0), np.full(100, 3.0))
    (3.0, 0.0)
    """
    n_posterior = of_posterior.size * _efficiency(of_posterior)
    share = n_posterior / (n_posterior + of_proposal.size)
    log_p, log_g = math.log(share), math.log1p(-share)
    here = of_posterior.ravel()
    estimate = float(np.median(here))
    for _ in range(MOST_ITERATIONS):
        above = of_proposal - np.logaddexp(log_p + of_proposal, log_g + estimate)
        below = -np.logaddexp(log_p + of_posterior, log_g + estimate)
        last, estimate = estimate, _log_mean(above) - _log_mean(below)
        if abs(estimate - last) <= CONVERGED:
            break
    top, bottom = np.exp(above - above.max()), np.exp(below - below.max())
    error = top.var() / (top.size * top.mean() ** 2) + variance_of_mean(bottom) / bottom.mean() ** 2
    return estimate, math.sqrt(error)


def _log_mean(logs: Array) -> float:
    return float(np.logaddexp.reduce(logs, axis=None)) - math.log(logs.size)


def variance_of_mean(chains: Array) -> float:
    """Of the mean of dependent draws (C, S): by at least 20 means of batches within chains."""
    n_batches = -(-BATCHES // len(chains))
    means = [part.mean(axis=1) for part in np.array_split(chains, n_batches, axis=1)]
    return float(np.var(means, ddof=1)) / np.size(means)


def _efficiency(chains: Array) -> float:
    """How many independent draws one of these (C, S) is worth; at most one."""
    variance = chains.var()
    if variance == 0.0:
        return 1.0
    return float(min(1.0, variance / chains.size / max(variance_of_mean(chains), 1e-300)))


def _without_a_bridge(result: FitResult, n_components: int, n_draws: int) -> str:
    reason = without_relabellings(result, n_components)
    if not reason and n_draws < FEWEST_DRAWS:
        return f"no estimate: chains of {n_draws} draws are too short, take {FEWEST_DRAWS} or more"
    return reason


def _conditionals(
    result: FitResult, source: Source, draws: Draws, makers: Integers, seed: int
) -> list[Mixture[Posterior]]:
    """p(π, θ | X, Z, S) at Z and S drawn given some of the draws."""
    sampler = blocked_gibbs(result, source, each_repetition)
    generator = stream(seed, Purpose.DRAW, OF_PROPOSAL, 1)
    return [
        sampler.sweep(draws.some(np.array([one])), generator, (seed, OF_ASSIGNMENTS, int(one)))[1]
        for one in makers
    ]
