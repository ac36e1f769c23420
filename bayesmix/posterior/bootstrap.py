"""Weighted-likelihood bootstrap: refits to randomly weighted samples (Newton & Raftery 1994).

Sample weights are n times a Dirichlet(1, ..., 1) draw. If the model is correct, refits vary as the
posterior does, to first order; otherwise as estimates do over data sets (Lyddon, Holmes & Walker
2019).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.allocation.point_draws import WeightDraws
from bayesmix.core import validation
from bayesmix.core.deprecated import renamed_keyword
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import ordered_map, resolve_jobs, single_threaded_blas
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import SideInformation
from bayesmix.core.sources import InMemory, Source
from bayesmix.em.model import Model, Settings, posed, side_of
from bayesmix.em.progress_bar import FitProgress
from bayesmix.em.result import FitResult, plug_in_density
from bayesmix.em.run import Aitken, Monitor, begin_at, run
from bayesmix.errors import BayesmixWarning, DegenerateFitError, UnsupportedError, warn
from bayesmix.numerics.arrays import Array, Booleans, Integers, frozen
from bayesmix.posterior.posterior_draws import (
    Draws,
    OfParameters,
    PosteriorSample,
    as_sample,
    of_parameters,
    refuse_many,
)
from bayesmix.posterior.subject import fitted_mixture, rows_of_fit
from bayesmix.posterior.survey_design import SurveyDesign

MOST_PASSES = 2_000
# Convergence tolerance in nats, small compared with the differences between refits.
REMAINING = 1e-4
# Refits per thread in each round.
HANDED_OUT = 8
# Below this many values per pass, threads cost more time than they save.
WORTH_THREADS = 2**15


@dataclass(frozen=True, repr=False, eq=False)
class WeightedBootstrap:
    """Refits of a fitted mixture to randomly weighted samples; see ``weighted_bootstrap``.

    Attributes
    ----------
    result : FitResult
        The fit from which every refit started.
    draws : Draws
        The refits, in the frame of the fit.
    converged : array (S,) of bool
    n_failed : int
        Number of refits left out because a component became degenerate.
    status : {"finished", "interrupted"}
    seed : int
    seconds : float
    """

    result: FitResult
    draws: Draws
    converged: Booleans
    n_failed: int
    status: str
    seed: int
    seconds: float

    def __len__(self) -> int:
        return self.draws.n_draws

    @cached_property
    def sample(self) -> PosteriorSample:
        """Return the refits in data units, with the labels of the fit."""
        named = self.draws.components.parameters(self.result.mixture.frame)
        # Refits carry no information about the prior.
        named.pop("covariance_prior", None)
        return as_sample(self.draws, named)

    @cached_property
    def standard_deviations(self) -> OfParameters:
        """Standard deviation of every parameter over the refits, in data units."""
        values = self.sample.items()
        return of_parameters({name: draws.std(axis=0, ddof=1) for name, draws in values})

    def summary(self) -> str:
        """Return the number of refits and the spread of the parameters."""
        lines = [
            f"{len(self)} refits to reweighted samples in {self.seconds:.1f} s.",
            "Standard deviations over the refits, in data units:",
        ]
        lines += [
            f"  {name}: {values.min():.2g} to {values.max():.2g}, median {np.median(values):.2g}"
            for name, values in self.standard_deviations.distinct()
        ]
        if self.n_failed:
            lines.append(
                f"{self.n_failed} refits had a degenerate component and are left out; a prior "
                "(prior='auto') prevents this."
            )
        late = int((~self.converged).sum())
        if late:
            lines.append(f"{late} did not converge within {MOST_PASSES:,} passes.")
        if self.status != "finished":
            lines.append(f"The run was {self.status}: these are the refits so far.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<WeightedBootstrap: {len(self)} refits, K={self.result.n_components}>"


@renamed_keyword("draws", "n_draws")
def weighted_bootstrap(
    model: Any,
    X: Any,
    n_draws: int = 1000,
    sample_weight: Any = None,
    random_state: Any = 0,
    n_jobs: int | None = None,
    progress: bool | None = None,
) -> WeightedBootstrap:
    """Refit a mixture to randomly weighted samples to assess parameter uncertainty.

    Every refit starts at the fit and converges to the nearest optimum, so components keep their
    labels and only one mode is covered. Priors are those of the fit. Maximum likelihood and maximum
    a posteriori fits are supported too; variational refits are summarised by E[π], m and E[Λ]⁻¹.

    Parameters
    ----------
    model : fitted mixture or search
    X : array, frame or source (n, D)
        The data that the model was fitted to.
    n_draws : int, default=1000
        Number of refits.
    sample_weight : array (n,), optional
        As in the fit; a weight of 2 is equivalent to two identical samples.
    random_state : None, int, RandomState or Generator, default=0
    n_jobs : int, optional
        Number of threads (results do not depend on it); None: all cores.
    progress : bool, optional
        Whether to show a progress bar; None: only in a terminal or notebook.

    Returns
    -------
    WeightedBootstrap
        Ctrl-C stops early and returns the refits so far, with a warning.

    Raises
    ------
    InvalidInputError
        If X is not the data of the fit.
    UnsupportedError
        If a component of the fit, or of all refits, is degenerate.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(2, random_state=0).fit(X)
    >>> found = bm.weighted_bootstrap(gm, X, n_draws=200)
    >>> found.standard_deviations.weights.round(2).tolist()
    [0.03, 0.03]
    """
    estimator = fitted_mixture(model)
    result: FitResult = estimator.result_
    n_draws = validation.integer("n_draws", n_draws, 2)
    refuse_many(result, n_draws)
    if result.degenerate is not None:
        raise UnsupportedError(
            f"refits would inherit a degenerate component ({result.degenerate}): use a "
            "prior (prior='auto'), or fewer components"
        )
    source = rows_of_fit(estimator, X, sample_weight, 1, measured=True).in_memory()
    task = RefitTask(result, source, root_seed(random_state))
    with FitProgress(n_draws, progress, "refits") as bar:
        large = source.shape[0] * result.n_components * source.shape[1] >= WORTH_THREADS
        found = _refitted(task, n_draws, resolve_jobs(n_jobs) if large else 1, bar)
    if found.status == "interrupted":
        warn(f"interrupted: these are the first {len(found)} of {n_draws} refits", BayesmixWarning)
    return found


@dataclass(frozen=True)
class Refit:
    """Mixture at the optimum that one refit reached."""

    point: Mixture
    converged: bool


@dataclass(frozen=True)
class RefitTask:
    """One refit by number; its sample weights depend only on seed and number."""

    result: FitResult
    source: InMemory
    seed: int
    survey: SurveyDesign | None = None

    def __call__(self, number: int) -> Refit | None:
        """Return the refit, or None if a component became degenerate."""
        try:
            if self.result.side.ordered:
                return refit(self.result, self.sequences(number))
            return refit(self.result, self.source.reweighted(self.factors(number)))
        except DegenerateFitError:
            return None

    def sequences(self, number: int) -> InMemory:
        """Return as many sequences as there are, drawn with replacement."""
        starts, n = side_of(self.source).starts, self.source.shape[0]
        ends = np.append(starts[1:], n)
        drawn = self._drawn(number)
        rows = np.concatenate([np.arange(starts[one], ends[one]) for one in drawn])
        return self.source.in_memory(rows)

    def _drawn(self, number: int) -> Integers:
        """Return the sequences of a refit."""
        n = len(side_of(self.source).starts)
        return stream(self.seed, Purpose.RESAMPLE, number).integers(0, n, n)

    def weights(self, number: int) -> Array:
        """Return how often each sample counts (n,), beside its own weight."""
        side = side_of(self.source)
        if not side.ordered:
            return self.factors(number)
        times = np.bincount(self._drawn(number), minlength=len(side.starts))
        return np.repeat(times, side.group_sizes).astype(np.float64)

    def factors(self, number: int) -> Array:
        """Return the factors of the sample weights (n,); weight w is treated as w samples."""
        generator = stream(self.seed, Purpose.RESAMPLE, number)
        if self.survey is not None:
            return self.survey.factors(generator)
        weights = self.source.weights
        if weights is None:
            drawn: Array = generator.standard_exponential(self.source.shape[0])
            drawn /= drawn.mean()
            return drawn
        drawn = generator.standard_gamma(weights)
        drawn *= self.source.total_weight / drawn.sum()
        drawn /= weights
        return drawn


def refit(result: FitResult, source: Source) -> Refit | None:
    """Return the optimum nearest to a fit for other sample weights, under the same objective."""
    model = Model(result.n_components, result.family, result.inference)
    settings = Settings(Aitken(REMAINING / source.total_weight))
    problem = posed(model, source, settings, result.mixture.frame, result.inference)
    state = run(problem, begin_at(problem, result.mixture), Monitor(), MOST_PASSES)
    if state.status == "interrupted":
        raise KeyboardInterrupt
    if state.repaired:
        return None
    return Refit(point_of(state.current_mixture(), result.side), state.status == "converged")


def point_of(mixture: Any, side: SideInformation) -> Mixture:
    """Return a mixture at a point, with its chain or gate if it has one."""
    point = plug_in_density(mixture)
    if side.ordered or side.covariates is not None:
        point = replace(point, weights=mixture.weights.averaged())
    return point


def _refitted(task: RefitTask, n_draws: int, n_jobs: int, bar: FitProgress) -> WeightedBootstrap:
    began, status = time.perf_counter(), "finished"
    refits: list[Refit | None] = []
    with single_threaded_blas():
        try:
            while len(refits) < n_draws:
                last = min(n_draws, len(refits) + HANDED_OUT * n_jobs)
                for refit in ordered_map(task, range(len(refits), last), n_jobs):
                    refits.append(refit)
                    bar.advance("")
        except KeyboardInterrupt:
            if sum(refit is not None for refit in refits) < 2:
                raise
            status = "interrupted"
    sound = [refit for refit in refits if refit is not None]
    if len(sound) < 2:
        raise UnsupportedError(
            f"only {len(sound)} of {len(refits)} refits had no degenerate component, too few to "
            "estimate a spread: use a prior (prior='auto'), or fewer components"
        )
    points = [refit.point for refit in sound]
    with np.errstate(divide="ignore"):
        log_weights = np.log([point.weights.mean() for point in points])
    components = task.result.family.as_draws([point.components for point in points])
    return WeightedBootstrap(
        result=task.result,
        draws=frozen(Draws(WeightDraws(log_weights), components)),
        converged=np.array([refit.converged for refit in sound]),
        n_failed=len(refits) - len(sound),
        status=status,
        seed=task.seed,
        seconds=time.perf_counter() - began,
    )
