"""Where a mixture of many components begins: k-means of a sample, taken at its word.

Searching moves is for mixtures whose every component can be looked at; with hundreds of them one
start with many centres is nearly as good as another.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from bayesmix.engine.run import Problem
from bayesmix.errors import UnsupportedError
from bayesmix.random import Purpose, stream
from bayesmix.records import Mixture
from bayesmix.workflow.model import Model, Settings, under_a_prior
from bayesmix.workflow.search.k_means import distinct_rows, lloyd, plus_plus
from bayesmix.workflow.search.moves import of_statistics
from bayesmix.workflow.search.starts import NearestCentre

ROWS_OF_EACH = 30
ROUNDS = 10


def first_of_many(problem: Problem, model: Model, settings: Settings, index: int) -> Mixture:
    """A mixture from a sample of the rows; under a prior, so that no covariance is singular."""
    K = model.n_components
    source = problem.source
    sample = source.sample(ROWS_OF_EACH * K, stream(settings.seed, Purpose.SUBSAMPLE, index))
    generator = stream(settings.seed, Purpose.START, index)
    rows = distinct_rows(sample, source.summary, generator, ROWS_OF_EACH * K)
    centres = lloyd(rows, plus_plus(rows, K, generator), ROUNDS)
    shares = NearestCentre(centres, source.summary)(sample.rows)
    if sample.weights is not None:
        shares *= sample.weights[:, None]
    statistics = problem.family.statistics(problem.frame.apply(sample.values), shares)
    objective = problem.objective
    if objective.name == "maximum_likelihood":
        with suppress(UnsupportedError):  # a family without a prior begins at its likelihood
            objective = under_a_prior(problem, sample, K)
    factor = float(source.total_weight / np.maximum(statistics.counts.sum(), 1e-300))
    return objective.update(
        of_statistics(statistics.scaled(factor)), None, problem.frame, problem.guard.resolution
    )
