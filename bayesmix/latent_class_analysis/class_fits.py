"""Fits of class enumeration: full searches, alone and from one class less, and random starts.

Random starts run alone, to count how often they reach the best likelihood, or race: all take a few
passes at once, and the best go on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from bayesmix.assess.stability import quiet
from bayesmix.em.expectation import BLOCK_VALUES
from bayesmix.em.model import Assign, Model, Settings, resolve, side_of
from bayesmix.em.result import FitResult
from bayesmix.em.run import AMONG_CANDIDATES, Aitken, Monitor, Problem, State, run
from bayesmix.errors import BayesmixError
from bayesmix.posterior.bootstrap import MOST_PASSES
from bayesmix.search.fit import fit
from bayesmix.search.stacked import SeparatePriors, stackable, stacked_passes
from bayesmix.starts.named_starts import named_start
from bayesmix.starts.responsibilities import OfMixture, begun

# Starts run to convergence to count replications of the best likelihood, as papers report.
STARTS, START_KINDS = 20, ("k-means++", "random_from_data")
# Nats within which a likelihood counts as replicated.
SAME_LIKELIHOOD = 1e-3
# Starts of a race, their passes, and optima that are run to convergence. On 42 samples of 100 x 4
# under one or two classes (three structures) a race and a quick search had the best fit of all
# other searches or a better one in 32, and on average a ratio that is smaller by 0.4, in an eighth
# of their time. Four times as many starts do not gain more.
RACED, RACE_PASSES, FINALISTS = 40, 15, 4
# A likelihood that fewer random starts reach is searched further, by more starts.
REPLICATED, FURTHER = 2, 40

# A fitted estimator, which stands above this part.
Estimator: TypeAlias = Any


@dataclass(frozen=True, eq=False)
class ThoroughFit:
    """The best fit of a search and of random starts, and the starts that did not collapse.

    ``collapsed`` are the others.
    """

    estimator: Estimator
    result: FitResult
    ends: tuple[FitResult, ...]
    collapsed: tuple[FitResult, ...] = ()

    @property
    def n_replicated(self) -> int:
        """Number of random starts that reached the best likelihood."""
        least = self.result.log_likelihood - SAME_LIKELIHOOD
        return sum(end.log_likelihood > least for end in self.ends)

    @property
    def spurious(self) -> str:
        """A larger likelihood that was left out, because a variance collapsed; "" without one."""
        largest = max(self.collapsed, key=lambda end: end.log_likelihood, default=None)
        if largest is None or largest.log_likelihood <= self.result.log_likelihood:
            return ""
        components: Any = largest.plug_in.components.unframed(largest.mixture.frame)
        variance = float(components.deviations.min()) ** 2
        return (
            f"a fit with a variance of {variance:.2g}, which has no maximum, was left out (log "
            f"likelihood {largest.log_likelihood:,.1f} instead of "
            f"{self.result.log_likelihood:,.1f})"
        )


def thorough_fit(fitter: Any, n_components: int, seed: int) -> ThoroughFit:
    """Fit by a full search and by random starts, alone and in a race, and go on from the best.

    Raises ``ValueError`` where the search cannot fit the data.
    """
    estimator = fitter.candidate({"n_components": n_components})
    result = quiet(fitter.fit)(estimator)
    ends: list[FitResult | None] = [result] * STARTS  # with one class all starts are the same
    if n_components > 1:
        ends = [random_end(result, fitter.source, seed, run) for run in range(STARTS)]
    sound = [end for end in ends if end is not None and end.degenerate is None]
    raced = race(result, fitter.source, seed, STARTS) if n_components > 1 else ()
    best = best_of([*sound, *raced]) or result
    if best.log_likelihood > result.log_likelihood + SAME_LIKELIHOOD:
        estimator = fitter.candidate({"n_components": n_components})
        result = quiet(fitter.fit)(estimator, (best.mixture,))
    collapsed = tuple(end for end in ends if end is not None and end.degenerate is not None)
    return ThoroughFit(estimator, result, tuple(sound), collapsed)


def best_of(fits: Iterable[FitResult | None]) -> FitResult | None:
    """Return the fit with the largest likelihood that did not collapse."""
    sound = [one for one in fits if one is not None and one.degenerate is None]
    return max(sound, key=lambda one: one.log_likelihood, default=None)


def grown_fit(fitter: Any, smaller: FitResult, larger: FitResult) -> Estimator | None:
    """Return a better fit that a search from one class less reaches; None if there is none."""
    estimator = fitter.candidate({"n_components": larger.requested_components})
    with suppress(ValueError):
        result = quiet(fitter.fit)(estimator, (smaller.mixture,))
        better = result.log_likelihood > larger.log_likelihood + SAME_LIKELIHOOD
        if better and result.degenerate is None:
            return estimator
    return None


def further_ends(result: FitResult, source: Any, seed: int) -> Iterator[FitResult | None]:
    """Yield the optima that random starts beyond the usual ones reach."""
    first = STARTS + RACED
    return (random_end(result, source, seed, run) for run in range(first, first + FURTHER))


def further_fit(fitter: Any, result: FitResult, seed: int) -> Estimator | None:
    """Return a better fit that further random starts reach; None if there is none."""
    best = best_of(further_ends(result, fitter.source, seed))
    if best is None or best.log_likelihood <= result.log_likelihood + SAME_LIKELIHOOD:
        return None
    estimator = fitter.candidate({"n_components": result.requested_components})
    with suppress(ValueError):
        if quiet(fitter.fit)(estimator, (best.mixture,)).degenerate is None:
            return estimator
    return None


def random_start(result: FitResult, source: Any, seed: int, number: int) -> Assign:
    """Return a random start of the same model, of two kinds in turn."""
    kind, K = START_KINDS[number % len(START_KINDS)], result.n_components
    return named_start(kind, source, source.summary, K, seed, number, result.family)


def random_end(result: FitResult, source: Any, seed: int, number: int) -> FitResult | None:
    """Return the optimum that a random start reaches; None if its fit fails."""
    # A tenth of what tells likelihoods apart may remain: gates without a finite optimum creep.
    remaining = 0.1 * SAME_LIKELIHOOD / source.total_weight
    with suppress(ValueError):
        start = random_start(result, source, seed, number)
        return from_start(result, source, start, Aitken(remaining))
    return None


def race(result: FitResult, source: Any, seed: int, first: int) -> Iterator[FitResult]:
    """Yield the optima of the best of random starts of the same model, which race.

    ``first`` is the number of the first start. Fits that fail or collapse are left out.
    """
    model, settings = _continued(result, source, AMONG_CANDIDATES)
    with suppress(ValueError):
        problem, K = resolve(model, source, settings), result.n_components
        numbers = range(first, first + RACED)
        starts = [random_start(result, source, seed, number) for number in numbers]
        ends = sorted(_after_passes(problem, starts, K), key=lambda end: -end.objective)
        n_apart, last = 0, float("inf")
        for end in ends:
            if end.objective > last - SAME_LIKELIHOOD:
                continue
            last, n_apart = end.objective, n_apart + 1
            with suppress(ValueError):
                start = OfMixture(end.current_mixture())
                fitted = from_start(result, source, start, AMONG_CANDIDATES)
                if fitted.degenerate is None:
                    yield fitted
            if n_apart == FINALISTS:
                return


def _after_passes(problem: Problem, starts: list[Assign], n_components: int) -> Iterator[State]:
    """Yield the states of starts after the passes of a race; those that collapse are left out."""
    apart = _side_by_side(problem, 1)
    first = begun(apart, starts[0], n_components).expectation.statistics
    size = BLOCK_VALUES // (problem.source.shape[0] * n_components)
    plain = problem.form.watched and not side_of(problem.source)
    plain = plain and problem.objective.restriction is None
    if size > 1 and plain and stackable(apart.family, first):
        for place in range(0, len(starts), size):
            states = [begun(apart, start, n_components) for start in starts[place : place + size]]
            yield from _raced(apart, states)
        return
    alone = replace(problem, accelerate=False)
    for start in starts:
        with suppress(BayesmixError):
            state = run(alone, begun(problem, start, n_components), Monitor(), RACE_PASSES)
            if not state.repaired:
                yield state


def _raced(problem: Problem, states: list[State]) -> list[State]:
    """Return states after the passes of a race in one product."""
    left = RACE_PASSES
    while left:
        # A covariance that becomes singular ends the passes of all.
        if not (states := [state for state in states if _goes_on(problem, state)]):
            break
        priors = SeparatePriors(problem.objective.weights_prior, len(states))
        together = _side_by_side(problem, len(states))
        states, left = stacked_passes(together, states, priors, None, Monitor(), left)
    return states


def _side_by_side(problem: Problem, n_mixtures: int) -> Problem:
    """Return the problem of several mixtures of the same model in one product."""
    family: Any = problem.family.side_by_side(n_mixtures)
    objective: Any = replace(problem.objective, family=family)  # type: ignore[type-var]
    return replace(problem, family=family, objective=objective)


def _goes_on(problem: Problem, state: State) -> bool:
    """Whether the next update has no singular covariance."""
    objective, resolution = problem.objective, problem.guard.resolution
    with suppress(BayesmixError):
        problem.densities(
            objective.update(state.expectation, state.mixture, problem.frame, resolution)
        )
        return True
    return False


def from_start(result: FitResult, source: Any, start: Any, stopping: Any) -> FitResult:
    """Return a fit of the same model that runs to convergence from a start."""
    model, settings = _continued(result, source, stopping)
    settings = replace(settings, init=start)
    return quiet(lambda model, _: fit(model, source, settings))(model)


def _continued(result: FitResult, source: Any, stopping: Any) -> tuple[Model, Settings]:
    """Return the model of a fit, and the settings of one run without a search."""
    inference: Any = result.inference
    restriction = inference.restriction
    if restriction is not None:
        inference = inference.inner
    if source.side.covariates is not None:
        inference = replace(inference, weights=None)
    model = Model(result.n_components, result.family, inference, restriction=restriction)
    return model, Settings(stopping, MOST_PASSES, search=False, sort=False)
