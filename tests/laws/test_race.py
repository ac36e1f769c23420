"""A race of starts as one product equals its starts one by one."""

from dataclasses import replace

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.em.model import Model, Settings, resolve
from bayesmix.em.run import AMONG_CANDIDATES, Aitken, Monitor, run
from bayesmix.search.stacked import raced
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.responsibilities import begun, numbered_starts

NEVER = Aitken(0.0)
CASES = {
    "full": (bm.Gaussian("full"), bm.MaximumLikelihood()),
    "diag": (bm.Gaussian("diag"), bm.MaximumAPosteriori()),
    "spherical": (bm.Gaussian("spherical"), bm.MaximumLikelihood()),
    "bernoulli": (bm.Bernoulli(), bm.MaximumAPosteriori()),
    "poisson": (bm.Poisson(), bm.MaximumLikelihood()),
}


def posed(family, inference, n_components=3, seed=0):
    generator = np.random.default_rng(seed)
    centres = generator.choice([0.0, 3.0, 7.0], 150)[:, None]
    values = generator.normal(centres, 1.0, (150, 2))
    if family.name == "bernoulli":
        values = (values > 3.0).astype(float)
    if family.name == "poisson":
        values = generator.poisson(np.abs(values)).astype(float)
    source, model = ArraySource(values), Model(n_components, family, inference)
    problem = resolve(model, source, Settings(AMONG_CANDIDATES))
    problem = replace(problem, accelerate=False, stopping=NEVER)
    numbered = numbered_starts(source, source.summary, model, 0, 0, range(5), False)
    return problem, [(number, begun(problem, start, n_components)) for number, start in numbered]


@pytest.mark.parametrize("case", CASES)
def test_a_race_equals_its_starts_one_by_one(case):
    problem, states = posed(*CASES[case])
    ends, left = raced(problem, iter(states), len(states), Monitor(), 10)
    assert left == 1  # the guard looks at each start alone
    for (number, end), (other, state) in zip(ends, states, strict=True):
        assert number == other
        alone = run(problem, state, Monitor(), 9)
        assert end.objective == pytest.approx(alone.objective, rel=1e-10)
        np.testing.assert_allclose(
            end.expectation.pack(), alone.expectation.pack(), rtol=1e-6, atol=1e-8
        )


def test_starts_of_a_variational_race_share_their_learned_scale_only():
    problem, states = posed(bm.Gaussian("full"), bm.VariationalBayes())
    ends, left = raced(problem, iter(states), len(states), Monitor(), 30)
    for (_, end), (_, state) in zip(ends, states, strict=True):
        after, alone = (run(problem, each, Monitor(), 200) for each in (end, state))
        assert left == 1
        # The bound of each end is its own: it rises from there to the optimum of its start.
        assert all(np.diff(after.trace) > -1e-9 * abs(after.objective))
        assert after.objective == pytest.approx(alone.objective, rel=1e-6)


@pytest.mark.parametrize("covariance", ["tied", "VEV"])
def test_components_with_common_updates_are_not_raced(covariance):
    problem, states = posed(bm.Gaussian(covariance), bm.MaximumLikelihood())
    ends, left = raced(problem, iter(states), len(states), Monitor(), 10)
    assert left == 10
    assert [state for _, state in ends] == [state for _, state in states]


def test_a_singular_covariance_ends_the_race_and_leaves_passes_to_each_start():
    problem, states = posed(bm.Gaussian("full"), bm.MaximumLikelihood(), n_components=2)
    lone = np.zeros((150, 2))
    lone[0, 0] = lone[1:, 1] = 1.0  # a component on one sample
    singular = begun(problem, lambda rows: lone[rows.first : rows.first + len(rows)], 2)
    everyone = [*states, (5, singular)]
    ends, left = raced(problem, iter(everyone), 6, Monitor(), 10)
    assert left == 10
    assert [number for number, _ in ends] == [0, 1, 2, 3, 4, 5]


def test_limits_and_interrupts_end_a_race_with_its_last_pass():
    problem, states = posed(bm.Gaussian("full"), bm.MaximumLikelihood())
    limited = Monitor(max_passes=3)
    ends, _ = raced(problem, iter(states), len(states), limited, 10)
    assert limited.stopped == "max_passes"
    assert limited.passes == 3  # over the data, of all starts at once
    assert all(np.isfinite(end.objective) for _, end in ends)

    def interrupt(stage, iteration, objective, gain):
        if iteration == 4:
            raise KeyboardInterrupt

    stopped = Monitor(on_pass=interrupt)
    ends, _ = raced(problem, iter(states), len(states), stopped, 10)
    assert stopped.stopped == "interrupted"
    for (_, end), (_, state) in zip(ends, states, strict=True):
        alone = run(problem, state, Monitor(), 4)
        assert end.objective == pytest.approx(alone.objective, rel=1e-10)
