"""Extrapolated passes: where they lead, in which units, and when a run has nothing left to do."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.em.model import Model, Settings, resolve
from bayesmix.em.run import Aitken, Anderson, Monitor, run
from bayesmix.families.independent.linear import Sums
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.named_starts import named_start
from bayesmix.starts.responsibilities import begun

from .cases import generator


def overlapping(key, n=400):
    rng = generator(key)
    means = np.array([[0.0, 0.0], [1.5, 0.5], [0.0, 2.0]])
    return means[rng.integers(0, 3, n)] + rng.normal(size=(n, 2))


def packing_to(vector):
    """Statistics that a history takes this vector for."""
    return Sums(np.zeros(0), vector)


@pytest.mark.parametrize("factor", [0.9, 0.5, 1.1, 2.0])
def test_one_secant_leads_ahead_whether_steps_shrink_or_grow(factor):
    """Of a linear map about 0: towards a fixed point that draws, away from one that repels."""
    first = np.array([1.0, -2.0])
    second = factor * first
    history = Anderson().remembered(first, packing_to(second))
    history = history.remembered(second, packing_to(factor * second))
    ahead = history.proposal() - factor * second
    assert ahead @ (factor * second - second) > 0.0


def test_of_a_linear_map_that_contracts_the_fixed_point_is_found():
    rng = generator(1)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    contracting = axes @ np.diag([0.9, 0.6, 0.2]) @ axes.T
    fixed, at = rng.normal(size=3), rng.normal(size=3)
    history = Anderson()
    for _ in range(5):
        after = fixed + contracting @ (at - fixed)
        history, at = history.remembered(at, packing_to(after)), after
    np.testing.assert_allclose(history.proposal(), fixed, atol=1e-6)


@pytest.mark.parametrize("covariance", ["full", "tied", "diag"])
@pytest.mark.parametrize("units", [(3.0, 0.7), (1e5, 3e-4)])
def test_a_path_does_not_depend_on_units(covariance, units):
    rows = overlapping(2)
    rng = generator(3)
    shares = rng.dirichlet(np.ones(3), len(rows))
    traces = []
    for factors in (np.ones(2), np.array(units)):
        model = bm.GaussianMixture(
            3, covariance_type=covariance, search=None, init_params=shares, max_iter=3000
        ).fit(rows * factors)
        traces.append(model.objective_trace_ + len(rows) * np.log(factors).sum())
    assert len(traces[0]) == len(traces[1])
    np.testing.assert_allclose(traces[1], traces[0], atol=1e-6 * len(rows), rtol=0.0)


def at_a_boundary(family, n=300):
    """Three classes, in which some levels or successes never occur."""
    rng, labels = generator(9), np.arange(n) % 3
    p = np.array([[0.0, 0.2, 0.8], [0.1, 0.9, 0.0], [0.5, 0.0, 0.5]])[labels]
    items = np.array([[rng.choice(3, p=row) for row in p] for _ in range(4)]).T.astype(float)
    return (items > 1.0).astype(float) if isinstance(family, bm.Bernoulli) else items


@pytest.mark.parametrize("family", [bm.Categorical(), bm.Bernoulli(), bm.Poisson()])
def test_extrapolation_goes_on_where_probabilities_approach_0(family):
    rows = at_a_boundary(family)
    start = generator(10).dirichlet(np.ones(3), len(rows))
    fits = [
        bm.Mixture(
            3, family=family, inference=bm.MaximumLikelihood(), search=None, init_params=start,
            max_iter=most, acceleration=acceleration,
        ).fit(rows)
        for most, acceleration in ((400, "auto"), (20000, None))
    ]  # fmt: skip
    assert fits[0].converged_
    assert fits[0].result_.passes < 0.5 * fits[1].result_.passes
    assert fits[0].result_.log_likelihood == pytest.approx(fits[1].result_.log_likelihood, abs=1e-4)


@pytest.mark.parametrize("family", [bm.Categorical(), bm.Bernoulli(), bm.Poisson()])
def test_extrapolated_statistics_stay_inside(family):
    rows = at_a_boundary(family)
    fitted = bm.Mixture(2, family=family, random_state=0).fit(rows).result_
    shares = generator(11).dirichlet(np.ones(2), len(rows))
    present = fitted.mixture.components.statistics(rows, shares)
    beyond = present.unpack(present.pack() - 2.0 * generator(12).random(present.pack().size) * 150)
    inside = fitted.family.inside(beyond, present)
    means = inside.shares(0.0)
    assert (means[present.totals > 0.0] > 0.0).all()
    if not isinstance(family, bm.Poisson):
        assert (means <= 1.0).all()
    if isinstance(family, bm.Categorical):
        np.testing.assert_allclose(fitted.family.reading.sums(means), 1.0)


def test_a_run_that_goes_on_from_a_converged_one_takes_no_pass():
    source = ArraySource(overlapping(4))
    model = Model(2, bm.Gaussian(), bm.MaximumLikelihood())
    problem = resolve(model, source, Settings(Aitken()))
    start = named_start("kmeans", source, source.summary, 2, 0, 0)
    ended = run(problem, begun(problem, start, 2), Monitor(), 2000)
    assert ended.status == "converged"
    again = run(problem, ended, Monitor(), 2000)
    assert again.status == "converged"
    assert again.passes == ended.passes
    assert run(problem, ended.afresh(), Monitor(), 2000).passes == ended.passes


@pytest.mark.slow
def test_a_fall_is_an_event_and_begins_a_segment():
    """An update that forgets what it learned, once, as of a shape that becomes singular."""
    rows = overlapping(3)

    class Forgetful(bm.MaximumLikelihood):
        updates = 0

        def update(self, expectation, previous, frame, resolution):
            type(self).updates += 1
            if 6 <= self.updates <= 7:  # the pass, and that which looks again
                shares = np.full((len(rows), 3), 1.0 / 3.0)
                statistics = self.family.statistics(frame.apply(rows), shares)
                expectation = replace(expectation, statistics=statistics)
            return super().update(expectation, previous, frame, resolution)

    source, model = ArraySource(rows), Model(3, bm.Gaussian(), bm.MaximumLikelihood())
    problem = resolve(model, source, Settings(Aitken(), accelerate=False))
    objective = Forgetful(problem.objective.family, problem.objective.weights)
    problem = replace(problem, objective=objective)
    start = begun(problem, named_start("kmeans", source, source.summary, 3, 0, 0), 3)
    state = run(problem, start, Monitor(), 20)
    (fall,) = np.flatnonzero(np.diff(state.trace) < 0.0) + 1
    assert [(event.kind, event.at_pass) for event in state.events] == [("fell", fall)]
    assert fall in state.segments


def test_a_trace_after_a_search_is_never_longer_than_max_iter():
    for max_iter in (10, 12, 100):
        model = bm.GaussianMixture(3, max_iter=max_iter, random_state=0).fit(overlapping(5))
        assert 1 <= model.n_iter_ == len(model.objective_trace_) <= max_iter


# Python functions of the package that a pass over small data calls; the rest of it is NumPy.
MOST_CALLS = {bm.GaussianMixture: 98, bm.BayesianGaussianMixture: 156}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("model", MOST_CALLS)
def test_a_pass_calls_few_functions(model):
    X = overlapping(9, n=150)
    calls = []

    def note(frame, event, _):
        calls[-1] += event == "call" and "bayesmix" in frame.f_globals.get("__name__", "")

    before = sys.getprofile()
    for passes in (10, 30):
        mixture = model(3, max_iter=passes, tol=0.0, search=None, acceleration=None)
        calls.append(0)
        sys.setprofile(note)
        try:
            mixture.set_params(random_state=0, progress=False).fit(X)
        finally:
            sys.setprofile(before)
    assert 0 < calls[1] - calls[0] <= 20 * MOST_CALLS[model]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_product_of_a_pass_lies_nine_frames_below_fit():
    depths = []
    model = bm.GaussianMixture(3, search=None, acceleration=None, max_iter=10, random_state=0)

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_qualname == "Linear.sums":
            names, below = [], frame
            while below.f_code.co_qualname != "MixtureEstimator.fit":
                names.append(below.f_code.co_qualname)
                below = below.f_back
            depths.append(len(names))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        model.fit(overlapping(9, n=150))
    finally:
        sys.setprofile(before)
    assert max(depths) == 9
