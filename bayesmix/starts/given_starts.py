"""Starts at given responsibilities, at a given mixture, and at the last fit of an estimator."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.model import Assign, Attempt, is_valueless
from bayesmix.em.pruning import without_empty
from bayesmix.em.run import AMONG_CANDIDATES, State, begin_at, run
from bayesmix.em.start import Begun, Start
from bayesmix.errors import BayesmixError
from bayesmix.numerics.arrays import Array
from bayesmix.starts.responsibilities import OfMixture, begun, given_to
from bayesmix.starts.restricted_starts import begun_from


@dataclass(frozen=True)
class StartFrom:
    """A start from responsibilities."""

    assign: Assign

    def begun(self, attempt: Attempt) -> Begun:
        """Begin with an M-step."""
        assign = given_to(attempt.problem, attempt.source, self.assign)
        return Begun(begun(attempt.problem, assign, attempt.model.n_components))


@dataclass(frozen=True)
class StartAt:
    """A start at a mixture, in any frame."""

    mixture: Mixture

    def begun(self, attempt: Attempt) -> Begun:
        """Begin with an E-step at the mixture, with its components where held values belong."""
        problem, model, mixture = attempt.problem, attempt.model, self.mixture
        if model.noise is not None:
            mixture = model.noise.added(problem, mixture)
        has_coordinates = problem.source is not attempt.source
        if has_coordinates and not mixture.frame.equals(problem.frame):
            # mixtures of other frames cannot read the coordinates
            return StartFrom(OfMixture(mixture)).begun(attempt)
        if model.restriction is not None:
            return Begun(begun_from(attempt, mixture))
        return Begun(begin_at(problem, mixture))


# A fresh start that gains less, in nats, would only exchange the order of components.
GAIN = 1.0
# Samples on which components of the two fits are compared.
SAMPLES_COMPARED = 2000


@dataclass(frozen=True)
class WarmStart:
    """A start at the last fit of an estimator, unless one fresh quick start is better."""

    last: Start

    def begun(self, attempt: Attempt) -> Begun:
        """Continue the last fit to its end, and return it or a better fresh start.

        Fits of few iterations are not compared, as they are parts of a longer one.
        """
        first = self.last.begun(attempt).state
        if attempt.few:
            return Begun(first)
        with attempt.monitor.search(False):  # the user sees these passes as those of the fit
            passes = attempt.settings.max_iter - first.iterations
            state = without_empty(attempt, run(attempt.problem, first, attempt.monitor, passes))
        fresh = None if attempt.monitor.stopped is not None else _fresh_mixture(attempt, state)
        return Begun(state) if fresh is None else StartAt(fresh).begun(attempt)


def _fresh_mixture(attempt: Attempt, warm: State) -> Mixture | None:
    """Return the fit of one fresh quick start, in the order of the warm start; None if worse."""
    problem, settings = attempt.problem, attempt.settings
    quick = replace(settings, search=False, n_init=1, stopping=AMONG_CANDIDATES)
    try:
        with warnings.catch_warnings(action="ignore"):
            fit = attempt.fit(attempt.model, attempt.source, quick, attempt.monitor)
    except BayesmixError:
        return None
    fresh = fit.mixture
    gained = begin_at(problem, fresh).objective > warm.objective + GAIN
    if fit.degenerate is not None or not (gained or is_valueless(problem, warm)):
        return None
    mixture = warm.current_mixture()
    if fresh.n_components != mixture.n_components:
        return fresh
    sample = attempt.source.spread(SAMPLES_COMPARED)
    values = np.asarray(sample.values, dtype=np.float64)
    shared = _shares(mixture, values).T @ _shares(fresh, values)
    return fresh.subset(linear_sum_assignment(-shared)[1], fit.counts)


def _shares(mixture: Mixture, values: Array) -> Array:
    """Return the responsibilities (n, K) of the components, without noise."""
    shares: Array = OfMixture(mixture)(Rows(values))
    return shares
