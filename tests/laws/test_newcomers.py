"""Laws of new components that are fitted by themselves beside a mixture that stays."""

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.engine.monitor import Monitor
from bayesmix.engine.run import run
from bayesmix.engine.stopping import Aitken
from bayesmix.sources import ArraySource
from bayesmix.workflow import newcomers
from bayesmix.workflow.model import Model, Settings, resolve
from bayesmix.workflow.newcomers import Held, fitted_alone
from bayesmix.workflow.splits import Look
from bayesmix.workflow.starts import Given, begun


def one_component(values, weights=None, family=None):
    """A mixture of one component, which holds all rows."""
    model = Model(1, family or bm.Gaussian(), bm.MaximumLikelihood())
    problem = resolve(model, ArraySource(values, weights), Settings(Aitken()))
    state = run(problem, begun(problem, Given(np.ones((len(values), 1))), 1), Monitor(), 5)
    return problem, state, Held.by(problem, Look.at(problem, state), 0)


def two_clusters(rng):
    return np.concatenate([rng.normal(0.0, 3.0, (300, 2)), rng.normal([2.0, 1.0], 0.4, (60, 2))])


def after(passes, problem, state, seeds, monkeypatch):
    """All newcomers after so many passes, in the order in which they began."""
    monkeypatch.setattr(newcomers, "STAGES", ((passes, 1.0),))
    found = fitted_alone(problem, state, [seeds], 0.0, -1.0)
    return sorted(found, key=lambda one: one.j)


@pytest.mark.parametrize("weighted", [False, True])
def test_what_a_newcomer_gains_is_what_the_mixture_with_it_does(weighted, monkeypatch):
    rng = np.random.default_rng(0)
    values = two_clusters(rng)
    weights = rng.integers(1, 4, len(values)).astype(float) if weighted else np.ones(len(values))
    problem, state, held = one_component(values, weights if weighted else None)
    seeds = held.begun(problem.family, rng.choice(len(values), 12), rng)
    before, now = (after(n, problem, state, seeds, monkeypatch) for n in (3, 4))
    framed = problem.frame.apply(values)
    cov = np.cov(framed.T, bias=True, aweights=weights)
    density = stats.multivariate_normal(np.average(framed, axis=0, weights=weights), cov).pdf(
        framed
    )
    assert len(now) == 12
    for one, other in zip(before, now, strict=True):
        sums = one.among.statistics
        count = sums.counts[one.j]
        new = stats.multivariate_normal(sums.means[one.j], sums.scatter[one.j] / count)
        share = count / weights.sum()
        gain = weights @ np.log1p(share * (new.pdf(framed) / density - 1.0))
        assert other.gain == pytest.approx(gain, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("family", [bm.Gaussian("diag"), bm.Gaussian("spherical"), bm.Poisson()])
def test_a_newcomer_never_loses_by_a_pass(family, monkeypatch):
    rng = np.random.default_rng(1)
    values = two_clusters(rng)
    if isinstance(family, bm.Poisson):
        values = np.floor(4.0 * np.abs(values))
    problem, state, held = one_component(values, family=family)
    seeds = held.begun(problem.family, rng.choice(len(values), 20), rng)
    gains = [
        [one.gain for one in after(n, problem, state, seeds, monkeypatch)] for n in range(1, 8)
    ]
    assert np.diff(gains, axis=0).min() > -1e-9
    assert np.ptp(gains, axis=0).min() > 0.0


def test_the_best_newcomer_is_the_cluster_that_is_missing():
    rng = np.random.default_rng(2)
    values = two_clusters(rng)
    problem, state, held = one_component(values)
    seeds = held.begun(problem.family, rng.choice(len(values), 100), rng)
    best = fitted_alone(problem, state, [seeds], 15.0, 1e-3)
    gains = [one.gain for one in best]
    assert gains == sorted(gains, reverse=True)
    assert len(best) <= 8
    taken = best[0].among.shares[:, best[0].j]
    assert taken[300:].mean() > 0.7
    assert taken[:300].mean() < 0.1
    counts = best[0].halves(problem.family).counts
    assert counts.sum() == pytest.approx(360.0)
    assert counts[1] == pytest.approx(taken.sum())


def test_newcomers_that_collapse_leave_the_others():
    rng = np.random.default_rng(3)
    values = two_clusters(rng)
    values[:40] = values[0]
    problem, state, held = one_component(values)
    places = np.concatenate([np.arange(20), np.arange(300, 320)])
    seeds = held.begun(problem.family, places, rng)
    (sound,) = seeds.sound(problem, state)
    assert 20 <= sound.size < 40
    found = fitted_alone(problem, state, [seeds], 5.0, 1e-3)
    assert found
    assert all(np.isfinite(one.gain) for one in found)


def test_no_newcomer_begins_at_a_row_that_the_component_does_not_hold():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(0.0, 1.0, (100, 2)), rng.normal(30.0, 1.0, (100, 2))])
    model = Model(2, bm.Gaussian(), bm.MaximumLikelihood())
    problem = resolve(model, ArraySource(values), Settings(Aitken()))
    shares = np.repeat(np.eye(2), 100, axis=0)
    state = run(problem, begun(problem, Given(shares), 2), Monitor(), 5)
    held = Held.by(problem, Look.at(problem, state), 0)
    assert held.begun(problem.family, np.array([150, 199]), rng).size == 0
    assert held.begun(problem.family, np.array([3, 150, 199]), rng).size == 1


def test_a_component_of_few_rows_has_no_newcomers():
    rng = np.random.default_rng(5)
    problem, _, held = one_component(rng.normal(size=(9, 2)))
    assert held.begun(problem.family, np.arange(9), rng) is None


def test_newcomers_are_fewer_where_rows_are_many(monkeypatch):
    monkeypatch.setattr(newcomers, "MOST_AT_ONCE", 1000)
    rng = np.random.default_rng(6)
    problem, _, held = one_component(rng.normal(size=(200, 2)))
    assert held.begun(problem.family, rng.choice(200, 50), rng).size == 5
