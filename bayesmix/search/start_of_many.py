"""The start of a mixture of many components."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from bayesmix.core.mixture import Mixture
from bayesmix.core.random import Purpose, stream
from bayesmix.em.model import Model, Settings
from bayesmix.em.run import Problem
from bayesmix.errors import (
    UnsupportedError,
)
from bayesmix.search import starts
from bayesmix.search.guided_starts import under_a_prior
from bayesmix.search.moves import of_statistics

# Samples of each component that k-means sees, and its rounds.
ROWS_OF_EACH, ROUNDS = 30, 10


def first_of_many(problem: Problem, model: Model, settings: Settings, index: int) -> Mixture:
    """Return a mixture from k-means of a subsample, under a prior that prevents singularity."""
    K = model.n_components
    source = problem.source
    sample = source.sample(ROWS_OF_EACH * K, stream(settings.seed, Purpose.SUBSAMPLE, index))
    generator = stream(settings.seed, Purpose.START, index)
    rows = starts.distinct_rows(sample, source.summary, generator, ROWS_OF_EACH * K)
    centres = starts.lloyd(rows, starts.plus_plus(rows, K, generator), ROUNDS)
    nearest = starts.NearestCentre(centres, source.summary)
    statistics = starts.begun(replace(problem, source=sample), nearest, K).expectation.statistics
    objective = problem.objective
    if objective.name == "maximum_likelihood":
        # without a prior for the family, start from the likelihood
        with suppress(UnsupportedError):
            objective = under_a_prior(problem, sample, K)
    factor = float(source.total_weight / np.maximum(statistics.counts.sum(), 1e-300))
    return objective.update(
        of_statistics(statistics.scaled(factor)), None, problem.frame, problem.guard.resolution
    )
