"""Which narrow components are spurious, and what a search does with them."""

import warnings

import numpy as np
import pytest
from scipy.stats import multivariate_normal

import bayesmix as bm
from bayesmix.em.model import Model, Settings, resolve
from bayesmix.em.run import AMONG_CANDIDATES
from bayesmix.errors import DegenerateComponentWarning
from bayesmix.families.gaussian.spurious import _held_out_densities
from bayesmix.sources.memory import ArraySource


def spurious(rows, labels, covariance="full"):
    """Spurious components of the mixture after an M-step from labels."""
    K = int(labels.max()) + 1
    family = bm.Gaussian(covariance)
    source = ArraySource(rows)
    model = Model(K, family, bm.MaximumLikelihood())
    problem = resolve(model, source, Settings(AMONG_CANDIDATES))
    values = problem.frame.apply(rows)
    statistics = family.statistics(values, np.eye(K)[labels])
    from bayesmix.search.moves import of_statistics

    mixture = problem.objective.update(of_statistics(statistics), None, problem.frame, None)
    return problem.guard.spurious(mixture)


def wide(n=300, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 2))


def nearest_to_a_line(rows, m):
    """Labels with 1 for the m rows nearest to the line through two rows, as spikes are."""
    direction = rows[1] - rows[0]
    normal = np.array([-direction[1], direction[0]]) / np.linalg.norm(direction)
    distance = np.abs((rows - rows[0]) @ normal)
    labels = np.zeros(len(rows), int)
    labels[np.argsort(distance)[:m]] = 1
    return labels


@pytest.mark.parametrize("m", [3, 5, 7])
def test_rows_that_happen_to_lie_along_a_line_are_spurious(m):
    rows = wide()
    assert spurious(rows, nearest_to_a_line(rows, m)) == (1,)


@pytest.mark.parametrize("variance", [1e-4, 1e-6])
def test_a_true_thin_group_is_not(variance):
    thin = np.random.default_rng(1).normal(size=(30, 2)) * [1.0, np.sqrt(variance)]
    rows = np.vstack([wide(), thin])
    assert spurious(rows, np.repeat([0, 1], [300, 30])) == ()


@pytest.mark.parametrize("covariance", ["full", "diag", "spherical"])
def test_small_groups_far_apart_are_not(covariance):
    """Ten rows are fewer than a narrow component needs, but they confirm one another."""
    small = [wide(10, seed) * 1e-2 + centre for seed, centre in enumerate(([0, 0], [9, 0], [0, 9]))]
    assert spurious(np.vstack(small), np.repeat(np.arange(3), 10), covariance) == ()


def test_any_linear_map_of_the_rows_leaves_the_verdict():
    rows = wide()
    labels = nearest_to_a_line(rows, 5)
    turned = rows @ np.array([[3.0, 1.0], [0.5, 40.0]]) + [1e3, -5.0]
    assert spurious(turned, labels) == spurious(rows, labels) == (1,)


def test_densities_of_held_out_rows_are_those_of_a_normal_of_the_others():
    rows = wide(8)
    expected = []
    for i in range(8):
        others = np.delete(rows, i, axis=0)
        density = multivariate_normal(others.mean(axis=0), np.cov(others.T, bias=True))
        expected.append(density.logpdf(rows[i]))
    np.testing.assert_allclose(
        _held_out_densities(bm.Gaussian("full").structure, rows), expected, rtol=1e-9
    )


def test_a_search_leaves_out_a_likelier_spike_and_says_so():
    rows = wide(15)
    with pytest.warns(DegenerateComponentWarning, match="likelier by .* was left out"):
        sound = bm.GaussianMixture(3, random_state=0).fit(rows)
    with warnings.catch_warnings(action="ignore"):
        allowed = bm.GaussianMixture(3, random_state=0, spurious="allow").fit(rows)
    (event,) = [event for event in sound.result_.events if event.kind == "spurious"]
    assert sound.log_likelihood_ + event.gain <= allowed.log_likelihood_ + 1e-6
    assert sound.objective_trace_[-1] == pytest.approx(sound.log_likelihood_)


def test_a_start_at_a_spike_is_used_as_given():
    rows = wide()
    labels = nearest_to_a_line(rows, 5)
    model = bm.GaussianMixture(2, init_params=labels, max_iter=1)
    with warnings.catch_warnings(action="ignore"):
        model.fit(rows)
    assert not [event for event in model.result_.events if event.kind == "spurious"]
    assert model.weights_[1] < 0.05


def test_other_words_for_spurious_are_refused():
    with pytest.raises(ValueError, match="spurious"):
        bm.GaussianMixture(2, spurious="refuse").fit(wide(20))
