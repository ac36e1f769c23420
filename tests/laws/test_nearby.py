"""Laws of fits to the rows nearby: what moves are judged by before they go to all rows."""

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import run
from bayesmix.engine.stopping import Aitken
from bayesmix.sources import ArraySource
from bayesmix.workflow.model import Model, Settings, resolve
from bayesmix.workflow.search.nearby import neighbourhoods, refitted, without_one
from bayesmix.workflow.search.splits import Look
from bayesmix.workflow.search.starts import Given, begun

K = 6


def overlapping(n_jobs=1):
    """Six clusters in a row, a few passes from where they are."""
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal([4.0 * k, 0.0], 1.0, (120, 2)) for k in range(K)])
    model = Model(K, bm.Gaussian(), bm.MaximumLikelihood())
    problem = resolve(model, ArraySource(values, None, n_jobs), Settings(Aitken()))
    shares = np.repeat(np.eye(K), 120, axis=0)
    state = run(problem, begun(problem, Given(shares), K), Monitor(), 3)
    return problem, state, neighbourhoods(problem, Look.at(problem, state))


def test_what_is_there_gains_nothing():
    problem, state, near = overlapping()
    assert [len(nearby.members) for nearby in near] == [4] * K
    found = refitted(
        problem, state, [(nearby, nearby.statistics) for nearby in near], ((3, K, -np.inf),)
    )
    assert len(found) == K
    assert [one.gain for one in found.values()] == [0.0] * K


@pytest.mark.parametrize("most", [0, 4])
def test_where_none_is_worth_more_passes_none_is_found(most):
    problem, state, near = overlapping()
    tried = [(nearby, nearby.statistics) for nearby in near]
    assert refitted(problem, state, tried, ((2, most, np.inf), (2, K, -np.inf))) == {}
    assert refitted(problem, state, [], ((2, K, -np.inf), (2, K, -np.inf))) == {}


def test_leaving_one_out_loses_and_threads_change_no_bit_of_it():
    losses = []
    for n_jobs in (1, 2, 3):
        problem, state, near = overlapping(n_jobs)
        without = without_one(problem, state, near, 4)
        assert sorted(without) == list(range(K))
        losses.append([without[k].gain for k in range(K)])
    assert max(losses[0]) < -10.0
    assert losses[0] == losses[1] == losses[2]
