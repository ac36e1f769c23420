"""Truncated responsibilities: a lower bound, tight with enough candidates, exact in the end."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import CENTRED, LINEAR, ExpectationStep
from bayesmix.em.run import GOES_ON_CENTRED
from bayesmix.em.truncated import (
    Truncated,
    TruncatedStep,
    first_truncation,
    joint_of_some,
    lost,
    neighbours,
    refreshed,
)
from bayesmix.sources.chunks import KeptHere
from bayesmix.sources.memory import ArraySource

from .cases import (
    COUNT_CASES,
    GAUSSIAN_CASES,
    generator,
    identity,
)

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
        case.family.structure.blocks.block_of(np.eye(D)), point.blocks.shape
    )
    components = type(point)(point.structure, centres, shape)
    return rows, Mixture(weights, components, Frame.identity(D))


@every_gaussian
@pytest.mark.parametrize("separation", [4.0, 1e6])
def test_with_every_component_as_a_candidate_it_is_the_dense_pass(case, separation):
    """However far apart components lie: features are those of a row less its anchor."""
    rows, mixture = crowd(case, separation=separation)
    anchors = mixture.log_joint(Rows(rows)).argmax(axis=1).astype(np.uint16)
    if separation < 10.0:
        anchors = generator(2).permutation(anchors)
    chunk = Rows(rows, generator(1).uniform(0.5, 2.0, N), 0, anchors)
    everything = np.broadcast_to(np.arange(K), (K, K)).copy()
    dense = ExpectationStep(mixture, CENTRED)(chunk)
    same = TruncatedStep(mixture, everything)(chunk).finished()
    assert abs(same.log_normaliser - dense.log_normaliser) <= 1e-12 * dense.magnitude
    np.testing.assert_allclose(
        same.statistics.pack(), dense.statistics.pack(), rtol=1e-9, atol=1e-9
    )


# Families of counts and totals


every_count = pytest.mark.parametrize("case", COUNT_CASES, ids=identity)


def counted_crowd(case, seed=0, n=N, n_features=12):
    """Rows of K components and a mixture at them; some columns are always or never there."""
    rng = generator(seed)
    point = case.point(rng, K, n_features)
    (name,) = vars(point).keys() & {"probabilities", "rates"}
    means = np.where(rng.random(point.means.shape) < 0.1, 0.0, point.means)
    if name == "probabilities":
        means = np.where(rng.random(means.shape) < 0.1, 1.0, means)
    point = type(point)(means)
    counts = rng.multinomial(n, np.full(K, 1.0 / K))
    rows = rng.permutation(point.draw(counts, rng))
    return rows, Mixture(PointWeights(counts / n), point, Frame.identity(n_features))


def averaged(case, rows, mixture):
    """q(θ) of the same components."""
    shares, _ = mixture.responsibilities(Rows(rows))
    letters = case.letters(generator(7), rows.shape[1])
    posterior = case.prior(letters).posterior(case.family.statistics(rows, shares))
    return replace(mixture, components=posterior)


@every_count
@pytest.mark.parametrize("variational", [False, True])
def test_counts_with_every_component_as_a_candidate_are_the_dense_pass(case, variational):
    rows, mixture = counted_crowd(case)
    if variational:
        mixture = averaged(case, rows, mixture)
    anchors = generator(2).integers(0, K, len(rows)).astype(np.uint16)
    chunk = Rows(rows, generator(1).uniform(0.5, 2.0, len(rows)), 0, anchors)
    everything = np.broadcast_to(np.arange(K), (K, K)).copy()
    dense = ExpectationStep(mixture, CENTRED)(chunk)
    same = TruncatedStep(mixture, everything)(chunk).finished()
    assert abs(same.log_normaliser - dense.log_normaliser) <= 1e-12 * dense.magnitude
    np.testing.assert_allclose(
        same.statistics.pack(), dense.statistics.pack(), rtol=1e-9, atol=1e-9
    )


@every_count
@pytest.mark.parametrize("variational", [False, True])
def test_of_counts_it_is_a_lower_bound_that_grows_with_the_candidates(case, variational):
    rows, mixture = counted_crowd(case)
    if variational:
        mixture = averaged(case, rows, mixture)
    exact = ExpectationStep(mixture, CENTRED)(Rows(rows)).log_normaliser
    source = ArraySource(rows)
    anchors = first_truncation(source, mixture, LINEAR).anchors
    np.testing.assert_array_equal(anchors.values, mixture.log_joint(Rows(rows)).argmax(axis=1))
    chunk = Rows(rows, None, 0, anchors.values)
    nearest = neighbours(mixture, K)
    bounds = [
        TruncatedStep(mixture, nearest[:, :width])(chunk).log_normaliser
        for width in (1, 2, 4, 8, 16, K)
    ]
    # Each of these contains the one before.
    tolerance = 1e-9 * abs(exact)
    assert all(a <= b + tolerance for a, b in pairwise(bounds))
    assert all(bound <= exact + tolerance for bound in bounds)
    assert bounds[-1] == pytest.approx(exact, rel=1e-12)
    # The nearest by the family's measure leave less out than as many others would.
    others = np.column_stack([np.arange(K), nearest[:, -7:]])
    far = TruncatedStep(mixture, others)(chunk).log_normaliser
    assert bounds[3] > far


@every_count
@pytest.mark.parametrize("inference", [bm.MaximumLikelihood(), bm.VariationalBayes()])
def test_a_truncated_fit_of_counts_is_near_the_dense_one(case, inference, monkeypatch):
    monkeypatch.setattr("bayesmix.em.model.LARGE", 1)
    monkeypatch.setattr("bayesmix.em.truncated.WIDTHS", (4, 8, 16))
    rows, mixture = counted_crowd(case, seed=3, n=6000, n_features=40)
    labels = mixture.log_joint(Rows(rows)).argmax(axis=1)
    options = {"max_iter": 400, "tol": 1e-7, "acceleration": None, "init_params": labels}

    def fitted(n_jobs):
        model = bm.Mixture(
            K, family=case.family, inference=inference, prune=False, n_jobs=n_jobs, **options
        )
        return model.fit(rows).result_

    dense = fitted(1)
    monkeypatch.setattr("bayesmix.em.model.MANY", K - 1)
    results = [fitted(n_jobs) for n_jobs in (1, 2, 3)]
    truncated = results[0]
    assert dense.form != truncated.form == "truncated"
    assert abs(truncated.objective - dense.objective) < 1e-3 * len(rows)
    starts = {0, *truncated.segments}
    for i, (before, after) in enumerate(pairwise(truncated.trace), 1):
        assert i in starts or after >= before - 1e-12 * abs(before)
    assert truncated.objective >= truncated.trace[-1] - 1e-9 * abs(truncated.objective)
    assert truncated.objective - truncated.trace[-1] < 1e-3 * len(rows)
    for other in results[1:]:
        np.testing.assert_array_equal(other.trace, truncated.trace)
        assert other.objective == truncated.objective


@every_gaussian
def test_it_is_a_lower_bound_that_grows_with_the_candidates(case):
    rows, mixture = crowd(case, separation=2.0)
    source = ArraySource(rows)
    exact = ExpectationStep(mixture, CENTRED)(Rows(rows)).log_normaliser
    anchors = first_truncation(source, mixture, LINEAR).anchors
    chunk = Rows(rows, None, 0, anchors.values)
    bounds = [
        TruncatedStep(mixture, neighbours(mixture, width))(chunk).log_normaliser
        for width in (1, 2, 4, 8, 16, K)
    ]
    # More neighbours are not always a superset of fewer, but of nearly the same quality.
    assert all(bound <= exact + 1e-9 * abs(exact) for bound in bounds)
    assert bounds[0] < bounds[2] < bounds[4]
    assert bounds[-1] == pytest.approx(exact, rel=1e-13)


@every_gaussian
def test_first_anchors_are_the_most_responsible_components(case):
    rows, mixture = crowd(case)
    form = first_truncation(ArraySource(rows), mixture, LINEAR)
    expected = mixture.log_joint(Rows(rows)).argmax(axis=1)
    np.testing.assert_array_equal(form.anchors.values, expected)
    assert missed(joint_of_some(ArraySource(rows), mixture, 0), form) < 1e-4


def missed(joint, form):
    """What the first rows, or those of a later look, lose by their candidates."""
    some = form.anchors.some(slice(form.looks * 2000, (form.looks + 1) * 2000))
    return lost(joint, form.neighbours[some])


def test_anchors_in_the_wrong_place_are_looked_for_everywhere():
    rows, mixture = crowd(GAUSSIAN_CASES[0], separation=20.0)
    source = ArraySource(rows)
    nowhere = KeptHere(np.zeros(N, dtype=np.uint16))
    wrong = Truncated(LINEAR, nowhere, neighbours(mixture, 4))
    joint = joint_of_some(source, mixture, 0)
    assert missed(joint, wrong) > 1.0
    found = refreshed(source, mixture, wrong)
    assert missed(joint_of_some(source, mixture, found.looks), found) < 1e-4
    assert found.moved > 0.5
    # Other rows are looked at every time, until all have been.
    assert found.looks == 1
    assert joint_of_some(source, mixture, 1) == pytest.approx(mixture.log_joint(Rows(rows[2000:])))
    np.testing.assert_array_equal(joint_of_some(source, mixture, 2), joint)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [bm.GaussianMixture, bm.BayesianGaussianMixture])
def test_a_truncated_fit_never_falls_and_reports_the_exact_objective(estimator, monkeypatch):
    monkeypatch.setattr("bayesmix.em.model.MANY", K - 1)
    monkeypatch.setattr("bayesmix.em.model.LARGE", 1)
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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("apart", [8.0, 1e6])
def test_a_truncated_run_loses_no_digits_where_clusters_are_far_apart(apart, monkeypatch):
    rows, _ = crowd(GAUSSIAN_CASES[0], separation=apart)
    monkeypatch.setattr("bayesmix.em.model.LARGE", 1)
    options = {"init_params": "kmeans", "search": None, "random_state": 0, "max_iter": 50}
    dense = bm.GaussianMixture(K, **options).fit(rows)
    monkeypatch.setattr("bayesmix.em.model.MANY", K - 1)
    truncated = bm.GaussianMixture(K, **options).fit(rows)
    assert truncated.result_.form == "truncated"
    assert any(event.kind == GOES_ON_CENTRED for event in dense.result_.events) == (apart > 1e3)
    assert not any(event.kind == GOES_ON_CENTRED for event in truncated.result_.events)
    exact = truncated.result_.objective
    assert exact == pytest.approx(N * truncated.score(rows), rel=1e-11)
    assert truncated.result_.trace[-1] == pytest.approx(exact, abs=1e-3 * N)
