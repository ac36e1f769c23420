"""How samples choose components is one protocol: weights, known labels and groups.

A Markov chain is tested in ``test_chain.py``.
"""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.point import FreeWeights, PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Rows, SideInformation
from bayesmix.em.model import Model, Settings, resolve
from bayesmix.em.run import Aitken, Monitor, begin_at, run
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.sources.memory import ArraySource
from laws.cases import generator


def test_blocks_end_between_sequences():
    begins = np.zeros(100, dtype=bool)
    begins[[0, 10, 47, 48, 90]] = True
    blocks = Rows(np.zeros((100, 1)), side=SideInformation(begins=begins)).blocks(20)
    assert [(block.first, len(block)) for block in blocks] == [(0, 47), (47, 43), (90, 10)]
    assert all(block.side.begins[0] for block in blocks)


# Known labels


def labelled(labels, inference, prior, passes=30):
    rows = np.concatenate([generator(4).normal(-1, 1, (40, 2)), generator(5).normal(1, 1, (40, 2))])
    source = ArraySource(rows, side=SideInformation(labels=labels))
    problem = resolve(Model(2, Gaussian("full"), inference), source, Settings(Aitken()))
    problem = replace(
        problem, objective=replace(problem.objective, weights=prior), accelerate=False
    )
    sums = problem.family.statistics(problem.frame.apply(rows), np.repeat(np.eye(2), 40, axis=0))
    if problem.objective.variational:
        components = problem.objective.parameters_prior.posterior(sums)
        weights = prior.posterior(np.array([40.0, 40.0]))
    else:
        components = problem.family.maximum_likelihood(sums, None, None, problem.frame)
        weights = PointWeights(np.array([0.5, 0.5]))
    state = begin_at(problem, Mixture(weights, components, problem.frame))
    return run(problem, state, Monitor(), passes)


INFERENCES = [
    (bm.MaximumLikelihood(), FreeWeights()),
    (bm.VariationalBayes(), DirichletPrior(1.0)),
]
every_inference = pytest.mark.parametrize(("inference", "prior"), INFERENCES, ids=["em", "vb"])


@every_inference
def test_unknown_labels_change_no_bit(inference, prior):
    without = labelled(None, inference, prior)
    unknown = labelled(np.full(80, -1), inference, prior)
    assert without.trace == unknown.trace


@every_inference
def test_soft_labels_of_0_and_1_are_hard_labels(inference, prior):
    labels = np.full(80, -1)
    labels[[0, 5, 50, 70]] = [0, 1, 1, 0]
    soft = np.zeros((80, 2))
    soft[[0, 5, 50, 70], [1, 0, 0, 1]] = -np.inf
    np.testing.assert_allclose(
        labelled(labels, inference, prior).trace, labelled(soft, inference, prior).trace, rtol=1e-13
    )


@every_inference
def test_known_labels_are_where_the_samples_are(inference, prior):
    labels = np.repeat([0, 1], 40)
    labels[::3] = -1
    labels[1], labels[50] = 1, 0  # two samples on the wrong side
    state = labelled(labels, inference, prior)
    assert (np.diff(state.trace) > -1e-9).all()
    mixture = state.mixture
    rows = np.concatenate([generator(4).normal(-1, 1, (40, 2)), generator(5).normal(1, 1, (40, 2))])
    shares, _ = mixture.responsibilities(Rows(rows, side=SideInformation(labels=labels)))
    known = labels >= 0
    np.testing.assert_array_equal(shares[known].argmax(axis=1), labels[known])
    np.testing.assert_allclose(shares[known].max(axis=1), 1.0, rtol=1e-15)


def test_all_labels_known_the_counts_are_those_of_the_labels():
    labels = np.repeat([0, 1], (30, 50))
    state = labelled(labels, bm.MaximumLikelihood(), FreeWeights())
    np.testing.assert_allclose(state.expectation.counts, [30.0, 50.0], rtol=1e-13)


# Groups


def grouped(sizes, inference, prior, passes=30):
    """A run on pairs of clusters whose samples share components within groups."""
    sizes = np.array(sizes)
    rng = generator(6)
    means = np.repeat(rng.choice([-1.0, 1.5], len(sizes)), sizes)
    rows = means[:, None] + rng.normal(size=(len(means), 2))
    begins = np.zeros(len(rows), dtype=bool)
    begins[np.cumsum(sizes) - sizes] = True
    source = ArraySource(rows, side=SideInformation(begins=begins, grouped=True))
    problem = resolve(Model(2, Gaussian("full"), inference), source, Settings(Aitken()))
    problem = replace(
        problem, objective=replace(problem.objective, weights=prior), accelerate=False
    )
    shares = (rows[:, :1] > 0) @ np.array([[1.0, -1.0]]) + np.array([[0.0, 1.0]])
    sums = problem.family.statistics(problem.frame.apply(rows), shares)
    if problem.objective.variational:
        components = problem.objective.parameters_prior.posterior(sums)
        weights = prior.posterior(np.array([10.0, 8.0]))
    else:
        components = problem.family.maximum_likelihood(sums, None, None, problem.frame)
        weights = PointWeights(np.array([0.5, 0.5]))
    state = begin_at(problem, Mixture(weights, components, problem.frame))
    return rows, begins, run(problem, state, Monitor(), passes)


@every_inference
def test_groups_share_their_component(inference, prior):
    rows, begins, state = grouped([3, 1, 4, 2, 5] * 8, inference, prior)
    assert (np.diff(state.trace) > -1e-9).all()
    mixture = state.mixture
    framed = mixture.frame.apply(rows)
    side = SideInformation(begins=begins, grouped=True)
    shares, log_normaliser = mixture.responsibilities(Rows(rows, side=side))
    log_density = mixture.components.expected_log_density(framed)
    starts = np.flatnonzero(begins)
    joint = np.add.reduceat(log_density, starts, axis=0) + mixture.weights.expected_log()
    total = logsumexp(joint, axis=1)
    assert log_normaliser.sum() == pytest.approx(total.sum(), rel=1e-12)
    posterior = np.exp(joint - total[:, None])
    np.testing.assert_allclose(shares[starts], posterior, atol=1e-12)
    np.testing.assert_allclose(state.expectation.of_allocation, posterior.sum(axis=0), rtol=1e-9)
    assert state.expectation.counts.sum() == pytest.approx(len(rows))


@every_inference
def test_groups_of_one_sample_are_the_mixture(inference, prior):
    _, _, state = grouped([1] * 60, inference, prior)
    rows, _, _ = grouped([1] * 60, inference, prior, passes=1)
    source = ArraySource(rows)
    problem = resolve(Model(2, Gaussian("full"), inference), source, Settings(Aitken()))
    problem = replace(
        problem, objective=replace(problem.objective, weights=prior), accelerate=False
    )
    plain = run(problem, begin_at(problem, state.mixture), Monitor(), 0)
    assert plain.objective == pytest.approx(state.objective, rel=1e-13)
