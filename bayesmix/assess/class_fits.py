"""Fits of class enumeration: full searches, alone and from one class less, and random starts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from bayesmix.assess.stability import quiet
from bayesmix.em.model import Model, Settings
from bayesmix.em.result import FitResult
from bayesmix.em.run import Aitken
from bayesmix.posterior.bootstrap import MOST_PASSES
from bayesmix.search.fit import fit
from bayesmix.search.named_starts import named_start

# Starts run to convergence to count replications of the best likelihood, as papers report.
STARTS, START_KINDS = 20, ("k-means++", "random_from_data")
# Nats within which a likelihood counts as replicated.
SAME_LIKELIHOOD = 1e-3

# A fitted estimator, which stands above this part.
Estimator: TypeAlias = Any


@dataclass(frozen=True, eq=False)
class ThoroughFit:
    """The best fit of a search and of random starts, and the starts that did not collapse."""

    estimator: Estimator
    result: FitResult
    ends: tuple[FitResult, ...]

    @property
    def n_replicated(self) -> int:
        """Number of random starts that reached the best likelihood."""
        least = self.result.log_likelihood - SAME_LIKELIHOOD
        return sum(end.log_likelihood > least for end in self.ends)


def thorough_fit(fitter: Any, n_components: int, seed: int) -> ThoroughFit:
    """Fit by a full search and by random starts, and continue from the best of both.

    Raises ``ValueError`` where the search cannot fit the data.
    """
    estimator = fitter.candidate({"n_components": n_components})
    result = quiet(fitter.fit)(estimator)
    ends: list[FitResult | None] = [result] * STARTS  # with one class all starts are the same
    if n_components > 1:
        ends = [random_end(result, fitter.source, seed, run) for run in range(STARTS)]
    sound = [end for end in ends if end is not None and end.degenerate is None]
    best = max(sound, key=lambda end: end.log_likelihood, default=result)
    if best.log_likelihood > result.log_likelihood + SAME_LIKELIHOOD:
        estimator = fitter.candidate({"n_components": n_components})
        result = quiet(fitter.fit)(estimator, (best.mixture,))
    return ThoroughFit(estimator, result, tuple(sound))


def grown_fit(fitter: Any, smaller: FitResult, larger: FitResult) -> Estimator | None:
    """Return a better fit that a search from one class less reaches; None if there is none."""
    estimator = fitter.candidate({"n_components": larger.requested_components})
    with suppress(ValueError):
        result = quiet(fitter.fit)(estimator, (smaller.mixture,))
        better = result.log_likelihood > larger.log_likelihood + SAME_LIKELIHOOD
        if better and result.degenerate is None:
            return estimator
    return None


def random_end(result: FitResult, source: Any, seed: int, run: int) -> FitResult | None:
    """Return the optimum that a random start reaches; None if its fit fails."""
    kind, K = START_KINDS[run % len(START_KINDS)], result.n_components
    start = named_start(kind, source, source.summary, K, seed, run, result.family)
    # A tenth of what tells likelihoods apart may remain: gates without a finite optimum creep.
    remaining = 0.1 * SAME_LIKELIHOOD / source.total_weight
    with suppress(ValueError):
        return from_start(result, source, start, Aitken(remaining))
    return None


def from_start(result: FitResult, source: Any, start: Any, stopping: Any) -> FitResult:
    """Return a fit of the same model that runs to convergence from a start."""
    inference: Any = result.inference
    if source.side.covariates is not None:
        inference = replace(inference, weights=None)
    model = Model(result.n_components, result.family, inference)
    settings = Settings(stopping, MOST_PASSES, init=start, search=False, sort=False)
    return quiet(lambda model, _: fit(model, source, settings))(model)
