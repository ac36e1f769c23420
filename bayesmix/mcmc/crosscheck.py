"""Comparison of a variational fit with MCMC: ``crosscheck`` and its result."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.core import validation
from bayesmix.core.deprecated import renamed_keyword
from bayesmix.core.parallel import resolve_jobs
from bayesmix.core.random import root_seed
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.result import FitResult
from bayesmix.errors import MissingExtraError, UnsupportedError
from bayesmix.mcmc import comparison as compare
from bayesmix.mcmc import verdict
from bayesmix.mcmc.along_directions import along_directions
from bayesmix.mcmc.comparison import Distance, FitDraws, Mode, Moved, Quantity
from bayesmix.mcmc.regression_check import regression_check
from bayesmix.mcmc.sampling import nuts
from bayesmix.mcmc.verdict import Finding, Verdict
from bayesmix.posterior.arviz_groups import ToArviz
from bayesmix.posterior.chains import Plan
from bayesmix.posterior.evidence import (
    Evidence,
    bridge_evidence,
    upper_bound,
    without_evidence,
    without_relabellings,
)
from bayesmix.posterior.gibbs import gibbs
from bayesmix.posterior.labels import Alignment, aligned
from bayesmix.posterior.pareto import pareto_smoothed
from bayesmix.posterior.posterior_draws import log_q, log_q_symmetrised
from bayesmix.posterior.subject import fitted_mixture, rows_of_fit, sampled_fit

if TYPE_CHECKING:
    from bayesmix.mcmc.regression_check import RegressionCheck
    from bayesmix.mcmc.sampling import NutsDraws
    from bayesmix.posterior.chains import Gibbs


@dataclass(frozen=True, repr=False, eq=False)
class CrossCheck(Verdict, ToArviz):
    """Comparison of a variational fit with MCMC; see ``crosscheck``.

    Attributes
    ----------
    agrees : bool
        Whether the sampler converged and no difference was found.
    undecided : bool
        Whether the draws are too doubtful to compare the fit with them.
    verdict : str
        "agrees", "differs" or "undecided", followed by the reasons, most serious first.
    findings : tuple of Finding
        The reasons, each with ``kind`` and ``text``.
    parameters : DataFrame
        One line per weight and parameter after relabelling, in data units: mean and standard
        deviation of fit and sampler, ``difference`` of the means in posterior standard deviations,
        ``ratio`` of standard deviations (sampler / fit), ``covered`` (share of posterior draws in
        the fit's 90 % interval), ``rhat``, ``ess``, and the limits of the 90 % intervals.
    invariants : DataFrame
        The same for label-invariant quantities.
    slowest : Quantity
        The quantity with the largest R-hat: its ``name`` and values under fit and sampler.
    overconfidence : float
        Median ratio of standard deviations; above 1 the fit underestimates uncertainty.
    predictive : Distance
        Total variation distance of the predictive densities.
    pareto_k : float
        Pareto k of q; above 0.7 importance sampling is unreliable.
    evidence : Evidence
        ELBO, bridge-sampling estimate and upper bound of the log evidence.
    moved : tuple of Moved
        Mean changes in one Gibbs sweep; zero in expectation for draws from this posterior.
    modes : tuple of Mode
        Modes that restarts from draws reach, the fit's first; empty if nothing differs.
    found : Gibbs or NutsDraws
        The posterior draws.
    own : FitDraws
        Draws from the fit, used in the tables.
    alignment : Alignment
        The labels of every draw after relabelling.
    note : str
        What the sampler has in common with the fit; empty for NUTS.
    seconds : float
        Total run time.
    """

    found: Gibbs | NutsDraws
    own: FitDraws
    alignment: Alignment
    parameters: pd.DataFrame
    invariants: pd.DataFrame
    slowest: Quantity
    predictive: Distance
    pareto_k: float
    evidence: Evidence
    moved: tuple[Moved, ...]
    modes: tuple[Mode, ...]
    findings: tuple[Finding, ...]
    note: str
    seconds: float

    @property
    def sampler(self) -> str:
        """Sampler used: "gibbs" or "nutpie"."""
        return str(getattr(self.found, "sampler", "gibbs"))

    @property
    def n_divergent(self) -> int:
        """Number of divergent draws, 0 for Gibbs sampling."""
        return int(np.sum(getattr(self.found, "diverging", 0)))

    def to_arviz(self) -> Any:
        """Return the draws as ArviZ groups, with the sampler's labels; needs ArviZ."""
        return self.found.to_arviz()

    def summary(self) -> str:
        """Return verdict, convergence, differences and log evidence in a few lines."""
        return verdict.summary(self)

    def plot(self, axes: Any = None) -> Any:
        """Plot posterior densities of parameters under fit and sampler; see ``plot_crosscheck``."""
        from bayesmix.mcmc.crosscheck_plots import plot_crosscheck

        return plot_crosscheck(self, axes=axes)

    def __repr__(self) -> str:
        return verdict.as_text(self)

    def _repr_html_(self) -> str:
        return verdict.as_html(self)


SHARED = 'Gibbs sampling shares the densities of the package; sampler="nuts" does not'
# Fewest draws per chain for R-hat.
FEWEST_DRAWS = 20
MOST_FIT_DRAWS = 4000
WARMUP_OF_NUTS = 1000
STEPS = ("labels", "parameters", "invariants", "prediction", "one sweep", "evidence", "verdict")


@renamed_keyword("draws", "n_draws")
def crosscheck(
    model: Any,
    X: Any = None,
    n_draws: int = 1000,
    chains: int = 4,
    warmup: int | None = None,
    sampler: str = "auto",
    sample_weight: Any = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
    *,
    lengths: Any = None,
    groups: Any = None,
) -> CrossCheck | RegressionCheck:
    """Compare a variational fit with MCMC.

    MCMC uses the prior and likelihood of the fit; β0 is fixed at its learned value. Chains start at
    draws from q, and draws are relabelled by the responsibilities of the fit (Stephens 2000).

    The verdict is undecided unless the sampler converged: R-hat is at most 1.01, the effective
    sample size at least 400, and at most 1 % of the draws diverged. The fit then agrees if all
    conditions hold, up to Monte Carlo error, and differs otherwise:

    - one Gibbs sweep does not move the draws, which are thus from the posterior of the model;
    - means differ by at most half a posterior standard deviation;
    - the median ratio of standard deviations is between 0.8 and 1.25;
    - each 90 % interval of the fit has a posterior probability of at least 75 %;
    - the total variation distance of the predictive densities is at most 0.05.

    In a common subspace the directions and the rest are fixed: parameters are those of the
    coordinates along the directions.

    For a ``RegressionMixture`` with a normal response, estimates and standard errors are compared
    with NUTS for ``pymc_model``, by convergence, means, standard deviations and intervals.

    Parameters
    ----------
    model : fitted variational mixture, hidden Markov model, RegressionMixture or search
        With Dirichlet or stick-breaking weights. For a pruned fit, all requested components are
        sampled, and the remaining ones are compared.
    X : array, frame or source (n, D)
        The data that the model was fitted to; a ``RegressionMixture`` keeps them.
    n_draws : int, default=1000
        Number of draws kept per chain; at least 20.
    chains : int, default=4
        Number of chains; at least 2 to assess convergence.
    warmup : int, optional
        Warm-up draws per chain; None: 1,000 for NUTS, half of ``n_draws`` for Gibbs sampling.
    sampler : {"auto", "nuts", "gibbs"}, default="auto"
        "auto" is the package's Gibbs sampler, which is exact, fast and needs no PyMC, and NUTS for
        regressions, which have none. Gibbs sampling shares the densities of the package; "nuts"
        runs the model of ``pymc_model`` in nutpie and does not.
    sample_weight : array (n,), optional
        Whole numbers, as in the fit.
    random_state : None, int, RandomState or Generator, default=0
    n_jobs : int, optional
        Number of cores; None: all.
    progress : bool, optional
        Whether to show progress bars; None: only in a terminal or notebook.
    lengths, groups : optional
        Sequences of a hidden Markov model; None: those of the fit. Others raise an error.

    Returns
    -------
    CrossCheck
        Ctrl-C while sampling stops early and returns the comparison for the draws so far.

    Raises
    ------
    InvalidInputError
        If the fit has no posterior or its weights no prior, or X is not the data of the fit.
    MissingExtraError
        If PyMC and nutpie (for NUTS) or ArviZ are not installed.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
    >>> c = bm.crosscheck(vb, X, n_draws=500, sampler="gibbs")
    >>> c.agrees
    True
    >>> c.overconfidence < 1.1
    True
    """
    began = time.perf_counter()
    validation.integer("n_draws", n_draws, FEWEST_DRAWS)
    validation.integer("chains", chains, 2)
    validation.optional_integer("warmup", warmup, 0)
    validation.one_of("sampler", sampler, ("auto", "nuts", "gibbs"))
    seed = root_seed(random_state)
    options = {
        "n_draws": n_draws,
        "chains": chains,
        "sample_weight": sample_weight,
        "random_state": seed,
        "n_jobs": n_jobs,
        "progress": progress,
    }
    sequences = {"lengths": lengths, "groups": groups}
    # Checked before hours of sampling.
    compare.required_arviz()
    if (fitted := fitted_mixture(model)).noun == "regression":
        if sampler == "gibbs":
            raise UnsupportedError("regressions have no Gibbs sampler: use sampler='nuts'")
        n_warm = WARMUP_OF_NUTS if warmup is None else warmup
        plan = Plan(chains, n_warm, n_draws, seed)
        return regression_check(fitted, plan, resolve_jobs(n_jobs), progress)
    estimator, X = along_directions(sampled_fit(model), X, sample_weight)
    rows_of_fit(estimator, X, sample_weight, repeated=True, sequences=sequences)
    way = "nuts" if sampler == "nuts" else "gibbs"
    note = SHARED if way == "gibbs" else ""
    sampled_draws = _sampled(way, estimator, X, warmup, options | sequences)
    if sampled_draws.n_draws < FEWEST_DRAWS:
        # Interrupted before the first draw.
        raise KeyboardInterrupt
    with FitProgress(len(STEPS), progress, "comparison") as bar:
        return compared(sampled_draws.result, sampled_draws, seed, note, bar, began)


def compared(
    result: FitResult, sampled_draws: Any, seed: int, note: str, bar: FitProgress, began: float
) -> CrossCheck:
    """Return the comparison of a fit with draws of any sampler."""
    source, draws, n_chains = sampled_draws.source, sampled_draws.draws, sampled_draws.n_chains
    alignment = aligned(result, source, draws)
    of_fit = compare.fit_draws(result, source, min(draws.n_draws, MOST_FIT_DRAWS), seed)
    bar.advance(STEPS[0])
    with_labels = compare.of_parameters(result, of_fit.draws, draws, alignment, n_chains)
    parameters = compare.table(with_labels)
    bar.advance(STEPS[1])
    without_labels = compare.of_all_draws(result, source, of_fit, sampled_draws, alignment)
    invariants = compare.table(without_labels)
    bar.advance(STEPS[2])
    predictive = compare.predictive_distance(result, draws, n_chains, seed)
    bar.advance(STEPS[3])
    moved = compare.moved_by_gibbs(result, source, draws, n_chains, seed)
    bar.advance(STEPS[4])
    # Of p(X, π, θ) / q, with q averaged over relabellings for symmetric priors.
    labelled = bool(without_relabellings(result, result.n_components))
    density = (log_q if labelled else log_q_symmetrised)(result.posterior, of_fit.draws)
    k = float(pareto_smoothed(of_fit.log_joint - density)[1])
    evidence = _evidence(result, sampled_draws, k, seed)
    bar.advance(STEPS[5])
    seen: list[Mode] = []

    def modes() -> list[Mode]:
        seen[:] = compare.modes_of(result, source, draws, n_chains, alignment.rows, seed)
        return seen

    divergent = float(np.mean(getattr(sampled_draws, "diverging", 0.0)))
    seen_by = (parameters, invariants, moved, predictive, divergent)
    different = verdict.findings(*seen_by, modes, result.objective, result.side.ordered)
    bar.advance(STEPS[6])
    return CrossCheck(
        found=sampled_draws,
        own=of_fit,
        alignment=alignment,
        parameters=parameters,
        invariants=invariants,
        slowest=compare.slowest(with_labels + without_labels, parameters, invariants),
        predictive=predictive,
        pareto_k=k,
        evidence=evidence,
        moved=moved,
        modes=tuple(seen),
        findings=different,
        note=note,
        seconds=time.perf_counter() - began,
    )


def _sampled(way: str, estimator: Any, X: Any, warmup: int | None, options: dict[str, Any]) -> Any:
    if way == "gibbs":
        return gibbs(estimator, X, warmup=warmup, **options)
    try:
        return nuts(estimator, X, warmup=WARMUP_OF_NUTS if warmup is None else warmup, **options)
    except MissingExtraError as problem:
        raise MissingExtraError(f"{problem}; sampler='gibbs' does not need it") from problem


def _evidence(result: FitResult, sampler: Any, k: float, seed: int) -> Evidence:
    """Return the bridge-sampling estimate between the ELBO and an upper bound."""
    bridge = bridge_evidence(result, sampler.source, sampler.draws, sampler.n_chains, seed)
    upper, error = math.nan, math.nan
    if not without_evidence(result):
        upper, error = upper_bound(result, sampler.draws, sampler.log_joint)
    estimate, n_draws = (bridge.estimate, bridge.standard_error), sampler.draws.n_draws
    return Evidence(*estimate, k, result.objective, n_draws, bridge.note, upper, error)
