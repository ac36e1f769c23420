"""Blocked Gibbs sampling of a variational fit's model: draws from the posterior itself.

The prior is the fit's, with the number of components that it was asked for: in an overfitted
mixture the number of occupied ones is what is learned (Rousseau & Mengersen 2011; Malsiner-Walli,
Frühwirth-Schnatter & Grün 2016). The telescoping sampler, over K itself, is another one.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np

from bayesmix.errors import BayesmixWarning, DegenerateFitError, InvalidInputError, warn
from bayesmix.numerics.arrays import frozen
from bayesmix.parallel import resolve_jobs, single_threaded_blas
from bayesmix.random import Purpose, root_seed, stream
from bayesmix.records import Mixture
from bayesmix.sampling.chains import Gibbs
from bayesmix.sampling.draws import Draws, joined, log_prior
from bayesmix.sampling.sweep import BlockedGibbs, blocked_gibbs, each_repetition
from bayesmix.weights import FreeWeights
from bayesmix.workflow.progress import FitProgress
from bayesmix.workflow.result import FitResult

# Streams of parameters and of assignments; what else draws from posteriors has lower numbers.
OF_PARAMETERS, OF_ASSIGNMENTS = 4, 5
SHARE_OF_WARMUP = 0.5
# A weight this far from a whole number, as a share of itself, was meant to be one.
WHOLE = 1e-9


def gibbs(
    model: Any,
    X: Any,
    draws: int = 1000,
    chains: int = 4,
    warmup: int | None = None,
    sample_weight: Any = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> Gibbs:
    """Draw from the posterior of a variational fit's model by blocked Gibbs sampling.

    Rows are assigned given weights and parameters, then these are drawn given the assignments, from
    the conjugate posteriors that the fit is made of. A scale that the prior learns is drawn too;
    β0, which a fit learns by type-II maximum likelihood, stays at its value. The model has as many
    components as the fit was asked for, pruned ones included. No row is known to a resolution here,
    as it is in fits that held a component.

    Parameters
    ----------
    model : fitted variational mixture or search
        With Dirichlet or stick-breaking weights.
    X : array, frame or source (n, D)
        The rows that it was fitted to.
    draws : int, default=1000
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

    Returns
    -------
    Gibbs
        Ctrl-C ends it early with the draws so far, and a warning.

    Raises
    ------
    InvalidInputError
        For a fit without a posterior or with weights that have no prior, other rows than those of
        the fit, and weights that are not whole.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> found = bm.gibbs(vb, X, draws=50, chains=2)
    >>> found.weights.shape
    (2, 50, 2)
    >>> found.occupied.to_dict()
    {2: 1.0}
    """
    estimator = _fitted(model)
    result: FitResult = estimator.result_
    n_draws, n_chains = _at_least("draws", draws, 1), _at_least("chains", chains, 1)
    n_warm = int(SHARE_OF_WARMUP * n_draws) if warmup is None else _at_least("warmup", warmup, 0)
    source = _rows_of_fit(estimator, X, sample_weight, _threads(n_jobs))
    plan = Plan(n_chains, n_warm, n_draws, root_seed(random_state))
    with FitProgress(n_warm + n_draws, progress, "sweeps") as bar:
        found = sampled(result, source, plan, bar)
    if found.status == "interrupted":
        kept = f"{found.n_draws} of {n_draws} draws of every chain"
        warn(f"interrupted: these are the first {kept}", BayesmixWarning)
    return found


@dataclass(frozen=True)
class Plan:
    """How many chains, sweeps left out and draws kept; and the seed of them all."""

    n_chains: int
    n_warm: int
    n_draws: int
    seed: int


@dataclass(frozen=True)
class Kept:
    """One draw of one chain: (π, θ), Σ w log p(x | π, θ) framed, and how many components had rows.

    Rows were assigned at this very draw.
    """

    draw: Draws
    log_likelihood: float
    n_occupied: int


def sampled(result: FitResult, source: Any, plan: Plan, bar: FitProgress) -> Gibbs:
    """All chains, a sweep of each in turn, so that an interrupt leaves all with as many draws."""
    began, status = time.perf_counter(), "finished"
    rounds: list[list[Kept]] = []
    with single_threaded_blas():
        sampler = blocked_gibbs(result, source, each_repetition)
        generators = [
            stream(plan.seed, Purpose.DRAW, OF_PARAMETERS, chain) for chain in range(plan.n_chains)
        ]
        states = [sampler.beginning(result.requested_components, one) for one in generators]
        try:
            for sweep in range(plan.n_warm + plan.n_draws):
                steps = [
                    _step(sampler, state, generator, (plan.seed, OF_ASSIGNMENTS, chain, sweep))
                    for chain, (state, generator) in enumerate(zip(states, generators, strict=True))
                ]
                states = [state for _, state in steps]
                if sweep >= plan.n_warm:
                    rounds.append([kept for kept, _ in steps])
                bar.advance("")
        except KeyboardInterrupt:
            if not rounds:
                raise
            status = "interrupted"
    return _arranged(result, source, plan, rounds, status, time.perf_counter() - began)


def _step(
    sampler: BlockedGibbs, state: Mixture, generator: np.random.Generator, key: tuple[int, ...]
) -> tuple[Kept, Mixture]:
    try:
        draw = sampler.drawn(state, generator)
        assigned, following = sampler.sweep(draw, generator, key)
    except DegenerateFitError as problem:
        raise InvalidInputError(
            f"the posterior of model cannot be sampled where X has so many tied rows: {problem}"
        ) from problem
    # Without what the draw has derived, which is much larger than itself.
    bare = Draws(replace(draw.weights), replace(draw.components))
    n_occupied = int(np.count_nonzero(assigned.statistics.counts))
    return Kept(bare, assigned.log_likelihood, n_occupied), following


def _arranged(
    result: FitResult,
    source: Any,
    plan: Plan,
    rounds: list[list[Kept]],
    status: str,
    seconds: float,
) -> Gibbs:
    kept = [one for chain in zip(*rounds, strict=True) for one in chain]
    shape = (plan.n_chains, len(rounds))
    draws = joined([one.draw for one in kept])
    density = np.concatenate([log_prior(result.inference, batch) for batch in draws.batches()])
    log_likelihood = np.array([one.log_likelihood for one in kept])
    log_likelihood -= source.total_weight * result.log_volume
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


def _fitted(model: Any) -> Any:
    """The fitted estimator (of a search the best), whose model can be sampled."""
    estimator = getattr(model, "best_estimator_", model)
    result = getattr(estimator, "result_", None)
    if getattr(estimator, "n_components", 0) is None:
        raise InvalidInputError(
            "model must have a number of components, got n_components=None: give one that is "
            "large enough, and read how many are occupied"
        )
    if not isinstance(result, FitResult):
        raise InvalidInputError(
            "model must be a fitted mixture of bayesmix or a fitted search, got "
            f"{type(model).__name__}: call fit first; of a pipeline give the last step and "
            "transformed rows"
        )
    if not result.variational:
        raise InvalidInputError(
            "model must be a variational fit, which has a prior, got one by "
            f"{result.inference.name.replace('_', ' ')}: use BayesianGaussianMixture, or Mixture "
            "with inference=VariationalBayes()"
        )
    if isinstance(result.inference.weights, FreeWeights):
        raise InvalidInputError(
            "model must have weights with a prior, got type-II maximum likelihood: use "
            "weight_concentration_prior_type='dirichlet_distribution' or 'dirichlet_process'"
        )
    return estimator


def _rows_of_fit(estimator: Any, X: Any, sample_weight: Any, n_jobs: int) -> Any:
    result = estimator.result_
    source = replace(estimator._rows(X, sample_weight), n_jobs=n_jobs)
    if source.weights is not None:
        if not source.weights.all():
            source = source.subset(np.flatnonzero(source.weights))
        away = np.abs(source.weights - np.rint(source.weights))
        wrong = np.flatnonzero(away > WHOLE * source.weights)
        if len(wrong):
            raise InvalidInputError(
                "sample_weight must be whole numbers here, since every repetition of a row has a "
                f"component of its own, got {source.weights[wrong[0]]:g}: sample without weights, "
                "or with rows resampled by them"
            )
    expected = (result.n_rows, result.n_features)
    if source.shape != expected or not math.isclose(
        source.total_weight, result.total_weight, rel_tol=1e-9
    ):
        raise InvalidInputError(
            f"X must hold the rows of the fit, {expected} with a total weight of "
            f"{result.total_weight:g}, got {source.shape} with {source.total_weight:g}"
        )
    return source


def _threads(n_jobs: Any) -> int:
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral)):
        raise InvalidInputError(f"n_jobs must be None or an integer, got {n_jobs!r}")
    return resolve_jobs(None if n_jobs is None else int(n_jobs))


def _at_least(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise InvalidInputError(f"{name} must be an integer of at least {least}, got {value!r}")
    return int(value)
