"""Cells share their responsibilities: their sums are those of their members, and bounds lower."""

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.em.expectation import ON_CELLS
from bayesmix.em.model import Settings, resolve
from bayesmix.em.run import Aitken, begin_at, e_step
from bayesmix.estimators.searching.fitters import SourceFitter
from bayesmix.sources.condensed import condensed, is_condensed, members_of
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.responsibilities import Given, begun, one_hot

DIRICHLET = bm.VariationalBayes(weights=bm.DirichletPrior(1.0))


def _normals(rng):
    return rng.normal(size=(240, 3)) + rng.integers(0, 3, (240, 1)) * [4.0, 1.0, 0.0]


def _counts(rng):
    return rng.poisson(np.exp(rng.normal(size=(3, 4)))[rng.integers(0, 3, 240)]).astype(float)


def _levels(rng):
    return rng.integers(0, 3, (240, 5)).astype(float)


FAMILIES = {
    "full": (lambda: bm.Gaussian("full"), _normals),
    "tied": (lambda: bm.Gaussian("tied"), _normals),
    "diag": (lambda: bm.Gaussian("diag"), _normals),
    "spherical": (lambda: bm.Gaussian("spherical"), _normals),
    "log-normal": (lambda: bm.LogNormal(), lambda rng: np.exp(0.5 * _normals(rng))),
    "counts": (bm.Poisson, _counts),
    "levels": (bm.Categorical, _levels),
    "mixed": (
        lambda: bm.Product({(0, 1, 2): bm.Gaussian("full"), (3, 4, 5, 6): bm.Poisson()}),
        lambda rng: np.hstack([_normals(rng), _counts(rng)]),
    ),
}


@pytest.fixture(params=FAMILIES)
def problem(request):
    """Return the source of all samples, a model of it, and a nested pair of partitions."""
    family, data = FAMILIES[request.param]
    rng = np.random.default_rng(5)
    source = ArraySource(data(rng), weights=rng.integers(1, 4, 240).astype(float))
    model = bm.Mixture(3, family=family(), inference=DIRICHLET, prune=False)
    model = model._model_of(model._model(), source)
    fine = rng.integers(0, 60, 240)
    return source, model, fine, fine % 12


def posed(model, source):
    return resolve(model, source, Settings(Aitken()))


def test_sums_of_cells_are_those_of_their_members(problem):
    source, model, fine, _ = problem
    cells = condensed(source, fine)
    shares = np.random.default_rng(0).dirichlet(np.ones(3), cells.shape[0])
    of_cells = begun(posed(model, cells), Given(shares), 3).expectation.statistics
    of_all = begun(posed(model, source), Given(shares[cells.labels]), 3).expectation.statistics
    np.testing.assert_allclose(of_cells.pack(), of_all.pack(), rtol=1e-9, atol=1e-9)


def test_a_finer_cut_never_lowers_the_bound_and_all_samples_have_the_highest(problem):
    source, model, fine, coarse = problem
    whole = posed(model, source)
    labels = np.random.default_rng(1).integers(0, 3, 240)
    first = begun(whole, Given(one_hot(labels, 3)), 3)
    mixture = whole.objective.update(first.expectation, None, whole.frame, None)
    bounds = [
        begin_at(posed(model, one), mixture).objective
        for one in (condensed(source, coarse), condensed(source, fine), source)
    ]
    assert bounds[0] <= bounds[1] + 1e-9
    assert bounds[1] <= bounds[2] + 1e-9
    assert bounds[0] < bounds[2] - 1e-3  # the cut of twelve loses something


def test_cells_of_one_sample_each_are_the_data(problem):
    source, model, *_ = problem
    alone = condensed(source, np.arange(240))
    whole, single = posed(model, source), posed(model, alone)
    labels = np.random.default_rng(2).integers(0, 3, 240)
    first = begun(whole, Given(one_hot(labels, 3)), 3)
    mixture = whole.objective.update(first.expectation, None, whole.frame, None)
    of_all, _ = e_step(source, mixture, whole.form)
    of_cells, form = e_step(alone, mixture, single.form)
    assert form is ON_CELLS
    assert of_cells.log_normaliser == pytest.approx(of_all.log_normaliser, rel=1e-12)
    np.testing.assert_allclose(
        of_cells.statistics.pack(), of_all.statistics.pack(), rtol=1e-9, atol=1e-9
    )


def test_a_fit_of_cells_goes_on_to_all_samples_and_gains():
    rng = np.random.default_rng(3)
    centres = rng.normal(scale=6.0, size=(5, 2))
    X = centres[rng.integers(0, 5, 4000)] + rng.normal(size=(4000, 2))
    source = ArraySource(X)
    options = {"weight_concentration_prior": 1.0, "prune": False, "random_state": 0}
    plain = bm.BayesianGaussianMixture(
        5, weight_concentration_prior_type="dirichlet_distribution", **options
    )
    fitter = SourceFitter(plain, source)
    cells = fitter.on_cells(100, [{}])
    assert is_condensed(cells.source)
    assert members_of(cells.source) is source
    assert cells.source.total_weight == 4000
    rough = cells.fit(cells.candidate({}))
    fine = fitter.fit(fitter.candidate({}), (rough.mixture,))
    assert fine.objective > rough.objective
    assert fine.objective == pytest.approx(plain.fit(X).elbo_, abs=0.1)


def test_cells_without_weight_are_dropped():
    source = ArraySource(np.arange(6.0)[:, None], weights=np.array([1.0, 1, 0, 0, 2, 2]))
    cells = condensed(source, np.array([0, 0, 1, 1, 2, 2]))
    assert cells.shape == (2, 1)
    np.testing.assert_allclose(cells.values[:, 0], [0.5, 4.5])
    np.testing.assert_allclose(cells.weights, [2.0, 4.0])
