"""Blocked Gibbs sampling of a variational fit's model: draws from the posterior itself.

The prior is the fit's, with the number of components that it was asked for: in an overfitted
mixture the number of occupied ones is what is learned (Rousseau & Mengersen 2011; Malsiner-Walli,
Frühwirth-Schnatter & Grün 2016). Where K itself is unknown, ``telescoping`` samples.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.core import validation
from bayesmix.core.components import Posterior
from bayesmix.core.deprecated import renamed_keyword
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import resolve_jobs, single_threaded_blas
from bayesmix.core.random import root_seed
from bayesmix.core.sources import Source
from bayesmix.em.display import FitProgress
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.numerics.arrays import frozen
from bayesmix.posterior.chains import Gibbs, Plan, run_in_rounds
from bayesmix.posterior.gibbs_sweep import BlockedGibbs, blocked_gibbs, each_repetition
from bayesmix.posterior.posterior_draws import Draws, joined, log_prior, refuse_many
from bayesmix.posterior.subject import log_volume, rows_of_fit, sampled_fit
from bayesmix.posterior.telescoping import GibbsOverK, sampled_over_k

SHARE_OF_WARMUP = 0.5


@renamed_keyword("draws", "n_draws")
def gibbs(
    model: Any,
    X: Any,
    n_draws: int = 1000,
    chains: int = 4,
    warmup: int | None = None,
    sample_weight: Any = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    *,
    n_components: Any = "fit",
    prior_over_k: Any = None,
    concentration: str = "static",
) -> Gibbs | GibbsOverK:
    """Draw from the posterior of a variational fit's model by blocked Gibbs sampling.

    Rows are assigned given weights and parameters, then these are drawn given the assignments, from
    the conjugate posteriors that the fit is made of. A scale that the prior learns is drawn too;
    β0, which a fit learns by type-II maximum likelihood, stays at its value. No row is known to a
    resolution here, as it is in fits that held a component.

    Parameters
    ----------
    model : fitted variational mixture or search
        With Dirichlet or stick-breaking weights.
    X : array, frame or source (n, D)
        The rows that it was fitted to.
    n_draws : int, default=1000
        Kept of every chain.
    chains : int, default=4
        Each begins at a draw from q: chains agree where q has found the mode that matters, and need
        not show it where it has not.
    warmup : int, optional
        Sweeps of every chain that are left out; None: half as many as draws.
    sample_weight : array (n,), optional
        Whole numbers, as in the fit: a row of weight 2 is two rows, each with its own component.
    random_state : None, int, RandomState or Generator, default=0
    n_jobs : int, optional
        Threads; None: all cores. Changes no number.
    progress : bool, optional
        Whether to show a bar; None: where somebody looks.
    n_components : "fit", int or None, default="fit"
        "fit": as many as the fit was asked for, pruned ones included. None: K is unknown as well,
        and its posterior is drawn from by the telescoping sampler; for Dirichlet weights.
    prior_over_k : None, dict or callable
        p(K) where K is unknown: K -> weight, a mapping or a function; no need to sum to 1. None:
        K - 1 ~ beta-negative-binomial (1, 4, 3), with mean K = 2 and a heavy tail.
    concentration : {"static", "dynamic"}, default="static"
        Of the Dirichlet prior of K weights where K is unknown: the fit's for every K, or such that
        the sum over components is the fit's for every K. With "dynamic" more of many components
        are empty.

    Returns
    -------
    Gibbs or, where K is unknown, GibbsOverK
        Ctrl-C ends it early with the draws so far, and a warning.

    Raises
    ------
    InvalidInputError
        For a fit without a posterior or with weights that have no prior, other rows than those of
        the fit, and weights that are not whole.
    UnsupportedError
        For stick-breaking weights where K is unknown.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> found = bm.gibbs(vb, X, n_draws=50, chains=2)
    >>> found.weights.shape
    (2, 50, 2)
    >>> found.occupied.to_dict()
    {2: 1.0}

    With a prior over K, the posterior of K itself:

    >>> vb = bm.BayesianGaussianMixture(
    ...     3, weight_concentration_prior_type="dirichlet_distribution",
    ...     weight_concentration_prior=1.0, random_state=0,
    ... ).fit(X)
    >>> found = bm.gibbs(vb, X, n_draws=200, chains=2, n_components=None, prior_over_k={2: 1, 3: 1})
    >>> found.k_probabilities.index.to_list()
    [1, 2, 3]
    """
    estimator = sampled_fit(model)
    result: FitResult = estimator.result_
    n_draws, n_chains = (
        validation.integer("n_draws", n_draws, 1),
        validation.integer("chains", chains, 1),
    )
    refuse_many(result, n_draws * n_chains)
    n_warm = (
        int(SHARE_OF_WARMUP * n_draws)
        if warmup is None
        else validation.integer("warmup", warmup, 0)
    )
    K = _number_of_components(result, n_components, prior_over_k, concentration)
    source = rows_of_fit(
        estimator, X, sample_weight, resolve_jobs(validation.jobs(n_jobs)), repeated=True, gaps=True
    )
    plan = Plan(n_chains, n_warm, n_draws, root_seed(random_state))
    found: Gibbs | GibbsOverK
    with FitProgress(n_warm + n_draws, progress, "sweeps") as bar:
        if K is None:
            found = sampled_over_k(result, source, plan, bar, prior_over_k, concentration)
        else:
            found = sampled(result, source, plan, bar, K)
    if found.status == "interrupted":
        kept = f"{found.n_draws} of {n_draws} draws of every chain"
        warn(f"interrupted: these are the first {kept}", BayesmixWarning)
    return found


@dataclass(frozen=True)
class KeptDraw:
    """One draw of one chain: (π, θ), Σ w log p(x | π, θ) framed, and how many components had rows.

    Rows were assigned at this very draw.
    """

    draw: Draws
    log_likelihood: float
    n_occupied: int


@dataclass(frozen=True)
class SweepStep:
    """Rows assigned at a draw of (π, θ), and where the next comes from: K stays as it is."""

    sampler: BlockedGibbs

    def __call__(
        self, state: Mixture[Posterior], generator: np.random.Generator, key: tuple[int, ...]
    ) -> tuple[KeptDraw, Mixture[Posterior]]:
        draw = self.sampler.drawn(state, generator)
        assigned, following = self.sampler.sweep(draw, generator, key)
        n_occupied = int(np.count_nonzero(assigned.statistics.counts))
        return KeptDraw(draw.bare, assigned.log_likelihood, n_occupied), following


def sampled(
    result: FitResult, source: Source, plan: Plan, bar: FitProgress, n_components: int
) -> Gibbs:
    """All chains with a number of components that is known."""
    began = time.perf_counter()
    with single_threaded_blas():
        sampler = blocked_gibbs(result, source, each_repetition)
        generators = plan.generators()
        states = [sampler.beginning(n_components, one) for one in generators]
        chains, status = run_in_rounds(SweepStep(sampler), states, generators, plan, bar)
    return _arranged(result, source, plan, chains, status, time.perf_counter() - began)


def _arranged(
    result: FitResult,
    source: Source,
    plan: Plan,
    chains: list[list[KeptDraw]],
    status: str,
    seconds: float,
) -> Gibbs:
    kept = [one for chain in chains for one in chain]
    shape = (plan.n_chains, len(chains[0]))
    draws = joined([one.draw for one in kept])
    density = np.concatenate([log_prior(result.bayesian, batch) for batch in draws.batches()])
    log_likelihood = np.array([one.log_likelihood for one in kept])
    log_likelihood -= log_volume(result, source)
    return Gibbs(
        result=result,
        source=source,
        draws=frozen(draws),
        log_likelihood=frozen(log_likelihood.reshape(shape)),
        log_joint=frozen((log_likelihood + density).reshape(shape)),
        n_occupied=frozen(np.array([one.n_occupied for one in kept]).reshape(shape)),
        warmup=plan.n_warm,
        status=status,
        seed=plan.seed,
        seconds=seconds,
    )


def _number_of_components(
    result: FitResult, n_components: Any, prior_over_k: Any, concentration: Any
) -> int | None:
    """How many, or None where that is unknown; refused where a prior over it is given otherwise."""
    if n_components is None:
        return None
    if prior_over_k is not None or concentration != "static":
        name = "concentration" if prior_over_k is None else "prior_over_k"
        raise InvalidInputError(
            f"{name} is for an unknown number of components, got n_components={n_components!r}: "
            "give n_components=None"
        )
    if isinstance(n_components, str) and n_components == "fit":
        return result.requested_components
    if isinstance(n_components, str):
        raise InvalidInputError(
            f"n_components must be 'fit', a number or None, got {n_components!r}"
        )
    return validation.integer("n_components", n_components, 1)
