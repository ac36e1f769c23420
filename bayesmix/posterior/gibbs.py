"""Blocked Gibbs sampling from the posterior of a variational fit's model.

It keeps the fit's prior and requested K, so that an overfitted mixture learns the number of
occupied components (Rousseau & Mengersen 2011; Malsiner-Walli et al. 2016). ``telescoping`` treats
K as unknown.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bayesmix.core import validation
from bayesmix.core.deprecated import renamed_keyword
from bayesmix.core.parallel import resolve_jobs
from bayesmix.core.random import root_seed
from bayesmix.core.sources import Source
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.result import FitResult
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError, warn
from bayesmix.numerics.arrays import frozen
from bayesmix.posterior.chains import BlockedGibbs, Gibbs, KeptDraw, Plan, State, run_chains
from bayesmix.posterior.posterior_draws import joined, log_prior, refuse_many
from bayesmix.posterior.subject import rows_of_fit, sampled_fit
from bayesmix.posterior.telescoping import GibbsOverK, sampled_over_k


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
    lengths: Any = None,
    groups: Any = None,
) -> Gibbs | GibbsOverK:
    """Sample the posterior of the model of a variational fit by blocked Gibbs sampling.

    Each sweep draws assignments given weights and parameters, and then weights and parameters given
    the assignments. The assignments of a hidden Markov model are whole paths (forward filtering,
    backward sampling). A learned scale of the prior is drawn too; a learned β0 is fixed.

    Parameters
    ----------
    model : fitted variational mixture, hidden Markov model or search
        With Dirichlet or stick-breaking weights.
    X : array, frame or source (n, D)
        The data that the model was fitted to.
    n_draws : int, default=1000
        Number of draws kept per chain.
    chains : int, default=4
        Number of chains. All start at draws from q, so they may miss a mode that q missed.
    warmup : int, optional
        Discarded sweeps per chain; None: half as many as draws.
    sample_weight : array (n,), optional
        Whole numbers, as in the fit; the w repetitions of a sample are assigned separately.
    random_state : None, int, RandomState or Generator, default=0
    n_jobs : int, optional
        Number of threads, which does not change results; None: all cores.
    progress : bool, optional
        Whether to show a progress bar; None: only in a terminal or notebook.
    n_components : "fit", int or None, default="fit"
        "fit": the n_components of the fit, before pruning. None: K is sampled too, by the
        telescoping sampler, for Dirichlet weights.
    prior_over_k : None, dict or callable
        p(K) for unknown K, as a mapping or function from K to an unnormalised weight. None: K - 1 ~
        beta-negative-binomial (1, 4, 3), with mean K = 2 and a heavy tail.
    concentration : {"static", "dynamic"}, default="static"
        Dirichlet concentration for unknown K: that of the fit for every K ("static"), or the total
        concentration of the fit divided by K ("dynamic"; more components are empty at large K).
    lengths, groups : optional
        Sequences of a hidden Markov model; None: those of the fit. Others raise an error.

    Returns
    -------
    Gibbs, or GibbsOverK if K is unknown
        Ctrl-C stops early and returns the draws so far, with a warning.

    Raises
    ------
    InvalidInputError
        If the fit has no posterior or its weights no prior, if X is not the data of the fit, or if
        sample weights are not whole numbers.
    UnsupportedError
        If K is unknown and the weights are stick-breaking, or if K differs from that of a hidden
        Markov model.

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

    With a prior over K, K is sampled too:

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
    n_draws = validation.integer("n_draws", n_draws, 1)
    n_chains = validation.integer("chains", chains, 1)
    refuse_many(result, n_draws * n_chains)
    n_warm = n_draws // 2 if warmup is None else validation.integer("warmup", warmup, 0)
    K = _number_of_components(result, n_components, prior_over_k, concentration)
    same = result.n_components == K and result.mixture.weights.exchangeable
    source = rows_of_fit(
        estimator,
        X,
        sample_weight,
        resolve_jobs(validation.jobs(n_jobs)),
        repeated=True,
        gaps=True,
        labels=same,
        sequences={"lengths": lengths, "groups": groups},
    )
    plan = Plan(n_chains, n_warm, n_draws, root_seed(random_state))
    draws: Gibbs | GibbsOverK
    with FitProgress(n_warm + n_draws, progress, "sweeps") as bar:
        if K is None:
            draws = sampled_over_k(result, source, plan, bar, prior_over_k, concentration)
        else:
            draws = sampled(result, source, plan, bar, K)
    if draws.status == "interrupted":
        kept = f"{draws.n_draws} of {n_draws} draws of every chain"
        warn(f"interrupted: these are the first {kept}", BayesmixWarning)
    return draws


def _sweep(
    sampler: BlockedGibbs, state: State, generator: np.random.Generator, key: tuple[int, ...]
) -> tuple[KeptDraw, State]:
    """Draw assignments at the current draw, then the next conditional."""
    draw = sampler.relabelled(state, generator)
    assigned, following = sampler.sweep(draw, generator, key)
    n_occupied = int(np.count_nonzero(assigned.counts))
    return KeptDraw(draw.bare, assigned.log_normaliser, n_occupied), following


def sampled(
    result: FitResult, source: Source, plan: Plan, bar: FitProgress, n_components: int
) -> Gibbs:
    """Return all chains for known K."""
    kept, common = run_chains(
        result, source, plan, bar, n_components, lambda sampler: partial(_sweep, sampler)
    )
    draws = joined([one.draw for one in kept])
    density = draws.over_batches(lambda batch: log_prior(result.bayesian, batch))
    log_joint = common["log_likelihood"] + density.reshape(plan.n_chains, -1)
    return Gibbs(draws=frozen(draws), log_joint=frozen(log_joint), **common)


def _number_of_components(
    result: FitResult, n_components: Any, prior_over_k: Any, concentration: Any
) -> int | None:
    """Return K, or None if unknown; raise if a prior over K is given for known K."""
    if result.side.ordered and n_components not in ("fit", result.requested_components):
        raise UnsupportedError(
            "sequences are sampled with the number of states of the fit: leave out n_components, "
            "or fit again with another number"
        )
    if n_components is None:
        return None
    if prior_over_k is not None or concentration != "static":
        name = "concentration" if prior_over_k is None else "prior_over_k"
        raise InvalidInputError(
            f"{name} applies only to an unknown number of components, got "
            f"n_components={n_components!r}: give n_components=None"
        )
    if isinstance(n_components, str) and n_components == "fit":
        return result.requested_components
    if isinstance(n_components, str):
        raise InvalidInputError(
            f"n_components must be 'fit', a number or None, got {n_components!r}"
        )
    return validation.integer("n_components", n_components, 1)
