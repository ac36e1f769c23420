"""Truncated responsibilities: a lower bound, tight with enough candidates, exact in the end."""

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.engine.compiled import CompiledAssessment, CompiledStep
from bayesmix.engine.expectation import AssessmentStep, ExpectationStep, centred
from bayesmix.engine.truncated import (
    Truncated,
    TruncatedStep,
    first_truncation,
    joint_of_some,
    lost,
    neighbours,
    refreshed,
)
from bayesmix.records import Frame, Mixture, Rows
from bayesmix.sources import ArraySource
from bayesmix.weights import PointWeights

from .cases import GAUSSIAN_CASES, generator, identity

every_gaussian = pytest.mark.parametrize("case", GAUSSIAN_CASES, ids=identity)
K, D, N = 30, 3, 4000


def crowd(case, seed=0, separation=4.0):
    """Rows around K centres, and a mixture that has its components about there."""
    rng = generator(seed)
    centres = separation * rng.normal(size=(K, D))
    rows = centres[rng.integers(0, K, N)] + rng.normal(size=(N, D))
    point = case.point(rng, K, D)
    weights = PointWeights(rng.dirichlet(np.full(K, 5.0)))
    shape = point.blocks * 0 + np.broadcast_to(
        case.family.structure.block_of(np.eye(D)), point.blocks.shape
    )
    components = type(point)(point.structure, centres, shape)
    return rows, Mixture(weights, components, Frame.identity(D))


@every_gaussian
def test_with_every_component_as_a_candidate_it_is_the_dense_pass(case):
    rows, mixture = crowd(case)
    chunk = Rows(rows, generator(1).uniform(0.5, 2.0, N))
    anchors = generator(2).integers(0, K, N).astype(np.uint16)
    everything = Truncated(anchors, np.broadcast_to(np.arange(K), (K, K)).copy())
    dense = CompiledStep(mixture, centred)(chunk)
    same = TruncatedStep(mixture, everything)(chunk)
    assert abs(same.log_normaliser - dense.log_normaliser) <= 1e-12 * dense.magnitude
    np.testing.assert_allclose(
        same.statistics.pack(), dense.statistics.pack(), rtol=1e-9, atol=1e-9
    )


@every_gaussian
def test_it_is_a_lower_bound_that_grows_with_the_candidates(case):
    rows, mixture = crowd(case, separation=2.0)
    source = ArraySource(rows)
    exact = ExpectationStep(mixture, centred)(Rows(rows)).log_normaliser
    anchors = first_truncation(source, mixture).anchors
    bounds = [
        TruncatedStep(mixture, Truncated(anchors, neighbours(mixture, width)))(
            Rows(rows)
        ).log_normaliser
        for width in (1, 2, 4, 8, 16, K)
    ]
    # More neighbours are not always a superset of fewer, but of nearly the same quality.
    assert all(bound <= exact + 1e-9 * abs(exact) for bound in bounds)
    assert bounds[0] < bounds[2] < bounds[4]
    assert bounds[-1] == pytest.approx(exact, rel=1e-13)


@every_gaussian
def test_first_anchors_are_the_most_responsible_components(case):
    rows, mixture = crowd(case)
    form = first_truncation(ArraySource(rows), mixture)
    expected = mixture.log_joint(mixture.frame.apply(rows)).argmax(axis=1)
    np.testing.assert_array_equal(form.anchors, expected)
    assert lost(joint_of_some(ArraySource(rows), mixture), form) < 1e-4


def test_anchors_in_the_wrong_place_are_looked_for_everywhere():
    rows, mixture = crowd(GAUSSIAN_CASES[0], separation=20.0)
    source = ArraySource(rows)
    wrong = Truncated(np.zeros(N, dtype=np.uint16), neighbours(mixture, 4))
    joint = joint_of_some(source, mixture)
    assert lost(joint, wrong) > 1.0
    found = refreshed(source, mixture, wrong)
    assert lost(joint, found) < 1e-4
    assert found.moved > 0.5


@every_gaussian
def test_the_compiled_assessment_is_the_one_of_numpy(case):
    rows, mixture = crowd(case, separation=1.0)
    for weights in (None, generator(3).uniform(0.0, 2.0, N)):
        fast, plain = (
            step(mixture)(Rows(rows, weights)) for step in (CompiledAssessment, AssessmentStep)
        )
        assert fast.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-12)
        assert fast.entropy == pytest.approx(plain.entropy, rel=1e-10)
        assert fast.log_largest == pytest.approx(plain.log_largest, rel=1e-10)
        np.testing.assert_allclose(fast.counts, plain.counts, rtol=1e-10)
        np.testing.assert_allclose(fast.hard_counts, plain.hard_counts, rtol=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [bm.GaussianMixture, bm.BayesianGaussianMixture])
def test_a_truncated_fit_never_falls_and_reports_the_exact_objective(estimator, monkeypatch):
    monkeypatch.setattr("bayesmix.workflow.model.MANY", K - 1)
    monkeypatch.setattr("bayesmix.engine.compiled.COMPILE_ABOVE", 1)
    rows, _ = crowd(GAUSSIAN_CASES[0], separation=8.0)
    model = estimator(K, random_state=0, max_iter=400, n_jobs=1).fit(rows)
    result = model.result_
    assert result.form == "truncated"
    starts = {0, *result.segments}
    for i, (before, after) in enumerate(zip(result.trace, result.trace[1:], strict=False), 1):
        assert i in starts or after >= before - 1e-12 * abs(before)
    assert result.objective >= result.trace[-1] - 1e-9 * abs(result.objective)
    assert result.objective - result.trace[-1] < 1e-3 * N
    if estimator is bm.GaussianMixture:
        assert result.log_likelihood == pytest.approx(N * model.score(rows), rel=1e-9)
    two = estimator(K, random_state=0, max_iter=400, n_jobs=2).fit(rows)
    np.testing.assert_array_equal(two.objective_trace_, model.objective_trace_)
