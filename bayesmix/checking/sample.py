"""NUTS on the model of a variational fit, chains begun at draws from q."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np

from bayesmix import validation
from bayesmix.checking.nuts_draws import NutsDraws
from bayesmix.checking.pymc_model import OF_BEGINNINGS, Twin, beginnings, twin
from bayesmix.checking.samplers import Job, by_nutpie, by_pymc
from bayesmix.errors import (
    BayesmixWarning,
    InvalidInputError,
    missing_extra,
    warn,
)
from bayesmix.numerics.arrays import frozen
from bayesmix.parallel import resolve_jobs, single_threaded_blas
from bayesmix.protocols import Source
from bayesmix.random import Purpose, root_seed, stream
from bayesmix.sampling.draws.likelihood import log_likelihoods
from bayesmix.sampling.draws.parameters import log_prior
from bayesmix.sampling.gibbs.rounds import Plan
from bayesmix.sampling.subject import rows_of_fit, variational_fit
from bayesmix.workflow.progress import console_for
from bayesmix.workflow.result import FitResult

SAMPLERS = {"nutpie": by_nutpie, "pymc": by_pymc}


def nuts(
    model: Any,
    X: Any,
    draws: int = 1000,
    chains: int = 4,
    warmup: int = 1000,
    sample_weight: Any = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    sampler: str | None = None,
) -> NutsDraws:
    """Draw from the posterior of a variational fit's model with NUTS, in PyMC's words.

    The model is that of ``pymc_model``. Chains begin at draws from q, or nearly: from the
    conditional posterior at its expected statistics.

    Parameters
    ----------
    model : fitted variational mixture or search
    X : array, frame or source (n, D)
        The rows that it was fitted to.
    draws, chains : int, default=1000 and 4
    warmup : int, default=1000
        Draws of every chain that are left out, in which the sampler adapts.
    sample_weight : array (n,), optional
        As in the fit.
    random_state : None, int, RandomState or Generator, default=0
    n_jobs : int, optional
        Chains at a time; None: all cores. Changes no number.
    progress : bool, optional
        Whether to show the sampler's bar; None: where somebody looks.
    sampler : {None, "nutpie", "pymc"}, optional
        None: nutpie where it is installed.

    Returns
    -------
    NutsDraws
        Ctrl-C ends it early with the draws so far, and a warning: of the chains that had begun, as
        many draws of each.

    Raises
    ------
    InvalidInputError
        For a fit without a posterior, and other rows than those of the fit.
    MissingExtraError
        Where PyMC, or the sampler that was asked for, is not installed.
    """
    plan = Plan(
        validation.integer("chains", chains, 1),
        validation.integer("warmup", warmup, 0),
        validation.integer("draws", draws, 1),
        root_seed(random_state),
    )
    estimator = variational_fit(model)
    source = rows_of_fit(estimator, X, sample_weight)
    return sampled(estimator.result_, source, plan, resolve_jobs(n_jobs), progress, sampler)


def sampled(
    result: FitResult,
    source: Source,
    plan: Plan,
    cores: int = 2,
    progress: bool | None = None,
    sampler: str | None = None,
) -> NutsDraws:
    """All chains of a plan, converted to the frame of the fit.

    Raises ``InvalidInputError`` where tied rows make the posterior improper under a learned scale.
    """
    name = _which(sampler)
    found = twin(result, source)
    with found.model:
        names = tuple(f"drawn_{part}" for part in found.drawn)
        _declare(found, names)
    shown = console_for(progress) is not None
    job = Job(
        found.model,
        names,
        beginnings(found, source, plan.seed),
        n_chains=plan.n_chains,
        n_warm=plan.n_warm,
        n_draws=plan.n_draws,
        # Of 32 bits, as both samplers take it.
        seed=int(stream(plan.seed, Purpose.DRAW, OF_BEGINNINGS).integers(2**32)),
        cores=cores,
        shown=shown,
    )
    run = SAMPLERS[name](job)
    n_chains, n_draws = run.diverging.shape
    complete = (n_chains, n_draws) == (plan.n_chains, plan.n_draws)
    if not complete:
        warn(
            f"interrupted: these are {n_draws} draws of {n_chains} chains, of {plan.n_draws} and "
            f"{plan.n_chains}",
            BayesmixWarning,
        )
    values = {
        name.removeprefix("drawn_"): value.reshape(-1, *value.shape[2:])
        for name, value in run.values.items()
    }
    draws = frozen(found.draws(values, n_chains * n_draws))
    with single_threaded_blas():
        likelihood = np.concatenate(
            [log_likelihoods(result, batch, source) for batch in draws.batches()]
        ).reshape(n_chains, n_draws)
        density = np.concatenate(
            [log_prior(result.bayesian, batch) for batch in draws.batches()]
        ).reshape(n_chains, n_draws)
    return NutsDraws(
        result=result,
        source=source,
        draws=draws,
        log_likelihood=frozen(likelihood),
        log_joint=frozen(likelihood + density),
        diverging=frozen(run.diverging),
        warmup=plan.n_warm,
        sampler=name,
        status="finished" if complete else "interrupted",
        seed=plan.seed,
        seconds=run.seconds,
        compile_seconds=run.compile_seconds,
    )


def _which(sampler: str | None) -> str:
    if sampler not in (None, *SAMPLERS):
        raise InvalidInputError(f"sampler must be None, 'nutpie' or 'pymc', got {sampler!r}")
    installed = find_spec("nutpie") is not None
    if sampler == "nutpie" and not installed:
        raise missing_extra("nutpie", "pymc")
    return sampler or ("nutpie" if installed else "pymc")


def _declare(found: Twin, names: tuple[str, ...]) -> None:
    import pymc as pm

    for name, tensor in zip(names, found.drawn.values(), strict=True):
        pm.Deterministic(name, tensor)
