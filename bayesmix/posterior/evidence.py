"""Log evidence by importance sampling, bridge sampling, and an upper bound from Gibbs draws.

Proposals are averaged over relabellings, so no log K! is added; conditional posteriors p(π, θ | X,
Z) join q, which misses modes without this showing in Pareto k. Bridge sampling uses

    p(X) = E_g[p(X, θ) h(θ)] / E_post[g(θ) h(θ)],  h = 1 / (s₁ p(X, θ) + s₂ p(X) g(θ)),

iterated to a fixed point. The upper bound E_post[log p(X, θ) - log q_sym(θ)] exceeds log p(X) by
KL(p(θ | X) || q_sym). Sources: Meng & Wong (1996), Frühwirth-Schnatter (2004), Lee & Robert (2016).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point_draws import together
from bayesmix.core import validation
from bayesmix.core.components import Posterior
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import Rows
from bayesmix.core.sources import Source
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.result import FitResult
from bayesmix.errors import DegenerateFitError, InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.permanents import LARGEST_BLOCK
from bayesmix.posterior.chains import Plan, blocked_gibbs, each_repetition
from bayesmix.posterior.gibbs import sampled
from bayesmix.posterior.pareto import TRUSTED_UP_TO, pareto_smoothed
from bayesmix.posterior.posterior_draws import (
    Draws,
    draws_of,
    joined,
    log_likelihoods,
    log_prior,
    log_q,
    log_q_symmetrised,
)
from bayesmix.posterior.subject import check_shape

# Every fourth conditional is widened, to cover assignments that no Gibbs run reached: on 48 tiny
# problems of known evidence the largest error fell from 5.5 to 2.7 standard errors.
WIDENED = 4
SHARE_OF_ROWS = 0.3
# Warm-up and kept sweeps of chains for bridge sampling: the second pair if the standard error
# exceeds the first limit (nats). Chains that disagree by half a nat give no estimate.
CHAINS = 4
SWEEPS = ((100, 400), (500, 1000))
SMALL_ERROR = 0.2
LARGEST_ERROR = 0.5


def conditional_posteriors(
    result: FitResult, source: Source, n_chains: int, sweeps: int, seed: int
) -> list[Mixture[Posterior]]:
    """Return p(π, θ | X, Z, S) at the end of short Gibbs runs from draws of q, some widened.

    For Dirichlet weights. Repetitions of a sample share one assignment, which is good enough for a
    proposal.
    """
    posteriors = []
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
                    # The sweep ran into duplicates; the state before it is as good a proposal.
                    break
            posteriors.append(conditional)
    return posteriors


# With fewer draws the proposal is q alone.
FEWEST_DRAWS = 25
# Bound on the terms of the conditionals' permanents if all components are connected.
MOST_TERMS = 2**32
SHARE_OF_CONDITIONALS = 0.8


@dataclass(frozen=True)
class ChainEffort:
    """Largest number of conditionals, fewest draws of each, and Gibbs sweeps."""

    chains: int
    draws_of_chain: int
    sweeps: int


LITTLE = ChainEffort(chains=40, draws_of_chain=25, sweeps=5)
# Takes eight times as long. On 32 fits of 40 samples with vague priors it raised the share with an
# estimate from 47 % to 94 %.
MUCH = ChainEffort(chains=100, draws_of_chain=10, sweeps=20)
# Two of 240 tiny problems of known evidence, with k of 0.30 and 0.37, were low by 0.2 and 3 nats
# with errors of 0.03; bridge sampling was not.
SURE_UP_TO = 0.2


@dataclass(frozen=True, repr=False)
class Evidence:
    """Importance-sampling estimate of log p(X), in nats and data units.

    ``estimate`` is NaN if unreliable, with the reason in ``note``.
    """

    estimate: float
    standard_error: float  # delta method, over smoothed weights
    pareto_k: float
    lower: float  # the ELBO
    n_draws: int
    note: str = ""
    upper: float = math.nan  # from Gibbs draws, if any
    upper_error: float = math.nan

    def summary(self) -> str:
        """Return the estimate with standard error and Pareto k, the two bounds, and the note."""
        finite = not math.isnan(self.estimate)
        lines = []
        if finite:
            k = "" if math.isnan(self.pareto_k) else f" (Pareto k = {self.pareto_k:.2f})"
            lines = [f"Log evidence: {self.estimate:.2f} ± {self.standard_error:.2g} nats{k}."]
        if not math.isnan(self.lower):
            lines.append(f"Lower bound (ELBO): {self.lower:.2f} nats.")
        if not math.isnan(self.upper):
            lines.append(
                f"Upper bound (Gibbs sampling): {self.upper:.2f} ± {self.upper_error:.2g} nats."
            )
        if self.note:
            lines.append(f"{self.note[:1].upper()}{self.note[1:]}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        estimate = f"{self.estimate:.2f} ± {self.standard_error:.2g} nats"
        value = estimate if math.isfinite(self.estimate) else "no estimate"
        upper = "" if math.isnan(self.upper) else f", upper bound {self.upper:.2f}"
        return f"<Evidence: {value}, lower bound {self.lower:.2f}{upper}>"


def importance_evidence(
    result: FitResult,
    source: Source,
    n_draws: int = 1000,
    seed: int = 0,
    efforts: Sequence[ChainEffort] = (LITTLE, MUCH),
) -> Evidence:
    """Return the log evidence of a variational fit by Pareto smoothed importance sampling.

    Converges to the exact value as ``n_draws`` grows: q is averaged over all relabellings. A
    learned scale is integrated out; a learned β0 is treated as known, as in the ELBO. ``efforts``
    are tried in turn until Pareto k is at most 0.2. The estimate is NaN above 0.7 (Vehtari et al.
    2024), with fewer than 25 draws, and for fits without Dirichlet weights, pruned, or of more
    than 20 components. Raises ``InvalidInputError`` if ``n_draws`` is not a positive integer, or
    source is not the data of the fit.
    """
    seed = checked(result, source, n_draws, seed)
    lower = result.objective if result.variational else math.nan
    reason = without_evidence(result)
    if reason:
        return Evidence(math.nan, math.nan, math.nan, lower, n_draws, reason)
    for effort in efforts:
        weighted = weighted_draws(result, source, n_draws, seed, effort)
        smoothed, shape = pareto_smoothed(weighted.log_weights)
        k = float(shape)
        if k <= SURE_UP_TO:
            break
    if not k <= TRUSTED_UP_TO:
        note = f"no estimate: Pareto k is {k:.2f}, above {TRUSTED_UP_TO}"
        return Evidence(math.nan, math.nan, k, lower, n_draws, note)
    largest = smoothed.max()
    weights = np.exp(smoothed - largest)
    mean = float(weights.mean())
    error = float(weights.std(ddof=1)) / (mean * math.sqrt(len(weights)))
    return Evidence(float(largest) + math.log(mean), error, k, lower, len(weights))


def without_evidence(result: FitResult) -> str:
    """Return why the fit has no importance-sampling estimate; empty if it has one."""
    if not result.variational:
        return "no estimate: a point estimate has no posterior, use a variational fit"
    if not result.bayesian.parameters_prior.conjugate:
        return (
            "no estimate: the posterior given assignments has no closed form, use the ELBO or "
            "cross-validation"
        )
    reason = without_relabellings(result, result.n_components)
    pruned = result.n_components != result.requested_components
    if pruned and not isinstance(result.inference.weights_prior, DirichletPrior):
        return f"{reason} and prune=False"
    if reason:
        return reason
    if pruned:
        return (
            f"no estimate: {result.requested_components} components were pruned to "
            f"{result.n_components}, use prune=False"
        )
    return ""


def without_relabellings(result: FitResult, n_components: int) -> str:
    """Return why densities cannot be averaged over relabellings; empty if they can."""
    if result.side.ordered:
        return "no estimate: the evidence of hidden Markov models is not sampled, use elbo_"
    if not isinstance(result.inference.weights_prior, DirichletPrior):
        return (
            "no estimate: the evidence for a number of components needs "
            "weight_concentration_prior_type='dirichlet_distribution'"
        )
    if n_components > LARGEST_BLOCK:
        return f"no estimate: more than {LARGEST_BLOCK} components have too many relabellings"
    return ""


@dataclass(frozen=True)
class Weighted:
    """Draws and their importance log ratios (S,): log p(X, π, θ) - log proposal density."""

    draws: Draws
    log_weights: Array


def weighted_draws(
    result: FitResult, source: Source, n_draws: int, seed: int, effort: ChainEffort = LITTLE
) -> Weighted:
    """Return weighted draws: one in five from q, the others from conditional posteriors.

    All come from q for one component and for weights whose labels matter. Densities are averaged
    over relabellings where the prior is symmetric, which reduces the variance of the weights.
    """
    mixture, K = result.posterior, result.n_components
    symmetric = isinstance(result.inference.weights_prior, DirichletPrior) and K <= LARGEST_BLOCK
    parts = [(mixture, n_draws)]
    if symmetric and K > 1 and n_draws >= FEWEST_DRAWS:
        affordable = max(1, MOST_TERMS // (n_draws * K * 2**K))
        n_chains = max(1, min(effort.chains, n_draws // effort.draws_of_chain, affordable))
        n_each = int(SHARE_OF_CONDITIONALS * n_draws) // n_chains
        parts = [(mixture, n_draws - n_chains * n_each)]
        parts += [
            (one, n_each)
            for one in conditional_posteriors(result, source, n_chains, effort.sweeps, seed)
        ]
    generator = stream(seed, Purpose.DRAW, 0)
    draws = joined([draws_of(one, n, generator) for one, n in parts])
    density = log_q_symmetrised if symmetric else log_q
    return Weighted(draws, log_ratios(result, source, draws, parts, density))


def log_ratios(
    result: FitResult,
    source: Source,
    draws: Draws,
    parts: list[tuple[Mixture[Posterior], int]],
    density: Callable[[Mixture[Posterior], Draws], Array],
) -> Array:
    """Return log p(X, π, θ) (S,) less the log density of a mixture proposal."""
    total = sum(n for _, n in parts)

    def of_batch(batch: Draws) -> Array:
        joint = log_likelihoods(result, batch, source) + log_prior(result.bayesian, batch)
        terms = [density(one, batch) + math.log(n / total) for one, n in parts]
        return joint - np.logaddexp.reduce(terms, axis=0)

    return draws.over_batches(of_batch)


def checked(result: FitResult, source: Source, n_draws: Any, seed: Any) -> int:
    """Return the seed after checking the arguments."""
    validation.integer("n_draws", n_draws, 1)
    check_shape("source", source, result)
    return root_seed(seed)


# Random streams; lower numbers belong to other posterior methods.
OF_ASSIGNMENTS, OF_PROPOSAL = 8, 9
# Conditionals in a proposal, and batches of consecutive draws for the standard error of an
# autocorrelated mean.
MOST_CONDITIONALS = 100
BATCHES = 20
MOST_ITERATIONS = 1000
CONVERGED = 1e-10


@dataclass(frozen=True)
class Bridge:
    """Bridge-sampling estimate of log p(X) in nats and data units; NaN with a ``note`` if none."""

    estimate: float
    standard_error: float  # relative error of p(X), from both kinds of draws
    note: str = ""


def bridge_evidence(
    result: FitResult, source: Source, draws: Draws, n_chains: int, seed: int
) -> Bridge:
    """Return the log evidence by bridge sampling, for the K of the posterior draws.

    ``draws`` are chain after chain, all of equal length. The first half of every chain makes the
    proposal, the second half the estimate. Modes that no chain visited are not included.
    """
    n_components = draws.n_components
    numbers = np.arange(draws.n_draws).reshape(n_chains, -1)
    note, n_draws = without_relabellings(result, n_components), numbers.shape[1]
    if not note and n_draws < BATCHES:
        note = f"no estimate: chains of {n_draws} draws are too short, take {BATCHES} or more"
    if note:
        return Bridge(math.nan, math.nan, note)
    half = n_draws // 2
    here = draws.some(numbers[:, half:].ravel())
    n_terms = 2 * here.n_draws * n_components * 2**n_components
    most = int(np.clip(MOST_TERMS // n_terms, 1, MOST_CONDITIONALS))
    spaced = np.linspace(0, numbers[:, :half].size - 1, min(most, numbers[:, :half].size))
    makers = numbers[:, :half].ravel()[spaced.round().astype(np.intp)]
    with single_threaded_blas():
        # p(π, θ | X, Z, S) at Z and S sampled given some of the draws.
        sampler = blocked_gibbs(result, source, each_repetition)
        generator = stream(seed, Purpose.DRAW, OF_PROPOSAL, 1)
        conditionals = [
            sampler.sweep(draws.some(one[None]), generator, (seed, OF_ASSIGNMENTS, int(one)))[1]
            for one in makers
        ]
    # Equal numbers per conditional, in total at least as many as posterior draws.
    n_each = -(-here.n_draws // len(conditionals))
    parts = [(one, n_each) for one in conditionals]
    generator = stream(seed, Purpose.DRAW, OF_PROPOSAL)
    there = joined([draws_of(one, n, generator) for one, n in parts])
    of_posterior = log_ratios(result, source, here, parts, log_q_symmetrised)
    of_proposal = log_ratios(result, source, there, parts, log_q_symmetrised)
    estimate, error = bridged(of_posterior.reshape(n_chains, -1), of_proposal)
    return Bridge(estimate, error)


def bridged(of_posterior: Array, of_proposal: Array) -> tuple[float, float]:
    """Return log ∫ p and its standard error from log(p / g) at draws (C, S) of p and (N,) of g.

    Draws of p are autocorrelated chains, those of g independent; g integrates to one. The error is
    the relative mean squared error of Frühwirth-Schnatter (2004), eq. 28, by batch means.
    """
    # Effective sample size, at most the number of draws.
    n_posterior, variance = float(of_posterior.size), of_posterior.var()
    if variance > 0.0:
        worth = variance / n_posterior / max(variance_of_mean(of_posterior), 1e-300)
        n_posterior *= float(min(1.0, worth))
    share = n_posterior / (n_posterior + of_proposal.size)
    log_p, log_g = math.log(share), math.log1p(-share)
    here = of_posterior.ravel()
    estimate = float(np.median(here))
    for _ in range(MOST_ITERATIONS):
        above = of_proposal - np.logaddexp(log_p + of_proposal, log_g + estimate)
        below = -np.logaddexp(log_p + of_posterior, log_g + estimate)
        last, estimate = estimate, float(log_mean(above) - log_mean(below))
        if abs(estimate - last) <= CONVERGED:
            break
    top, bottom = np.exp(above - above.max()), np.exp(below - below.max())
    error = top.var() / (top.size * top.mean() ** 2) + variance_of_mean(bottom) / bottom.mean() ** 2
    return estimate, math.sqrt(error)


def log_mean(logs: Array, axis: int | None = None) -> Any:
    """Return the log of the mean of exp(logs)."""
    n = logs.size if axis is None else logs.shape[axis]
    return np.logaddexp.reduce(logs, axis=axis) - math.log(n)


def variance_of_mean(chains: Array, n_batches: int = BATCHES) -> float:
    """Return the variance of the mean of chains (C, S) by at least ``n_batches`` batch means."""
    of_chain = -(-n_batches // len(chains))
    means = [part.mean(axis=1) for part in np.array_split(chains, of_chain, axis=1)]
    return float(np.var(means, ddof=1)) / np.size(means)


# Warm-up sweeps as a share of the sweeps that count.
WARMUP = 0.25


def evidence_of(result: FitResult, source: Source, n_draws: int, seed: int) -> Evidence:
    """Return the importance-sampling estimate, or that of bridge sampling if k is large.

    More importance weights are used if Gibbs sampling is not possible or its chains disagree.
    """
    estimate = importance_evidence(result, source, n_draws, seed, [LITTLE])
    if estimate.pareto_k <= SURE_UP_TO or without_evidence(result):
        return estimate
    bridge = _bridged(result, source, seed)
    if not bridge.standard_error <= LARGEST_ERROR:
        return importance_evidence(result, source, n_draws, seed, [MUCH])
    note = f"by bridge sampling, since Pareto k is {estimate.pareto_k:.2f}"
    return replace(
        estimate, estimate=bridge.estimate, standard_error=bridge.standard_error, note=note
    )


def _n_fractions(rows: Rows) -> int:
    weights = rows.weights_or_ones
    return int(np.count_nonzero(weights != np.rint(weights)))


def _bridged(result: FitResult, source: Source, seed: int) -> Bridge:
    """Return the bridge-sampling estimate from Gibbs chains started at draws from q."""
    # Gibbs sampling cannot repeat samples in parts.
    if source.reduce(_n_fractions, 1):
        return Bridge(math.nan, math.nan, "sample weights are not integers")
    for n_warm, n_draws in SWEEPS:
        plan = Plan(CHAINS, n_warm, n_draws, seed)
        with FitProgress(n_warm + n_draws, False) as silent:
            try:
                chains = sampled(result, source, plan, silent, result.n_components)
            except InvalidInputError as problem:  # too many duplicates for a proper posterior
                return Bridge(math.nan, math.nan, str(problem))
        if chains.status == "interrupted":
            raise KeyboardInterrupt
        bridge = bridge_evidence(result, source, chains.draws, chains.n_chains, seed)
        if bridge.standard_error <= SMALL_ERROR:
            break
    return bridge


def evidence_from_above(
    result: FitResult, source: Source, n_sweeps: int, seed: int
) -> tuple[float, float]:
    """Return an upper bound on log p(X) in nats and its standard error by batch means.

    NaN if duplicates leave the posterior without a density.
    """
    plan = Plan(1, int(WARMUP * n_sweeps), n_sweeps, seed)
    with FitProgress(None, False) as silent:
        try:
            gibbs = sampled(result, source, plan, silent, result.n_components)
        except InvalidInputError:
            return math.nan, math.nan
    if gibbs.status == "interrupted":
        raise KeyboardInterrupt
    return upper_bound(result, gibbs.draws, gibbs.log_joint)


def upper_bound(result: FitResult, draws: Draws, log_joint: Array) -> tuple[float, float]:
    """Return E[log p(X, θ) - log q_sym(θ)] over posterior draws, and its standard error."""
    density = draws.over_batches(lambda batch: log_q_symmetrised(result.posterior, batch))
    gaps = log_joint - density.reshape(log_joint.shape)
    return float(gaps.mean()), math.sqrt(variance_of_mean(gaps))
