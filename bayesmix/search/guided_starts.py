"""Starts of likelihood fits that would collapse: a first run under a prior."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bayesmix.em.run import Problem, State
from bayesmix.em.under_a_prior import MaximumAPosteriori
from bayesmix.errors import UnsupportedError
from bayesmix.search.optimum import OptimumSearch
from bayesmix.search.starts import OfMixture, begun

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


def under_a_prior(problem: Problem, source: Source, n_components: int) -> MaximumAPosteriori:
    """Return the default maximum a posteriori objective, at which a likelihood fit can start."""
    from bayesmix.allocation.dirichlet import DirichletPrior

    prior = problem.family.map_prior(source, problem.frame, n_components)
    return MaximumAPosteriori(prior=prior, weights=DirichletPrior(1.0))


def guided_by_a_prior(search: OptimumSearch, state: State, passes: int) -> State | None:
    """Continue from the end of the same start under a prior; None without a prior."""
    K, sample = search.model.n_components, search.sample
    if search.problem.objective.name != "maximum_likelihood":
        return None
    try:
        objective = under_a_prior(sample, sample.source, K)
    except UnsupportedError:
        return None
    guided = replace(sample, objective=objective, accelerate=False)
    after = search.attempts.run(guided, state, passes)
    return None if after is None else begun(sample, OfMixture(after.current_mixture()), K)
