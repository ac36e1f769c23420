"""Constant and linearly dependent columns: files, precisions, and failed refits."""

from types import SimpleNamespace

import numpy as np
import pytest
from mpmath import mp

import bayesmix as bm
from bayesmix.core.rows import FLAT_FLOOR, Frame
from bayesmix.errors import DegenerateFitError, FlatDirectionWarning, SelectionWarning
from bayesmix.families.gaussian.covariance.models import DENSE
from bayesmix.numerics.triangular import inverse_root
from bayesmix.selection.tasks import Effort, Task

GENERATOR = np.random.default_rng(61)
CLOUDS = np.r_[GENERATOR.normal(size=(40, 2)), GENERATOR.normal(size=(40, 2)) + 5.0]
TABLES = {
    "constant": np.c_[CLOUDS, np.full(80, 3.0)],
    "dependent": np.c_[CLOUDS, CLOUDS.sum(axis=1)],
}
ESTIMATORS = [
    bm.GaussianMixture(2, random_state=0),
    bm.BayesianGaussianMixture(2, random_state=0),
]


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda model: type(model).__name__)
def test_a_model_with_flat_directions_comes_back_from_its_file(estimator, table, tmp_path):
    X = TABLES[table]
    with pytest.warns(FlatDirectionWarning):
        estimator.fit(X)
    estimator.save(tmp_path / "model.bayesmix")
    loaded = bm.load(tmp_path / "model.bayesmix")
    assert np.array_equal(loaded.score_samples(X), estimator.score_samples(X))
    assert np.array_equal(loaded.predict_proba(X), estimator.predict_proba(X))


def test_precisions_of_dependent_columns_give_the_density_on_their_plane():
    X = TABLES["dependent"]
    with pytest.warns(FlatDirectionWarning):
        model = bm.GaussianMixture(1, random_state=0).fit(X)
    root = model.precisions_cholesky_[0]
    assert np.array_equal(root, np.triu(root))
    assert (root.diagonal() > 0.0).all()
    away = (X - model.means_[0]) @ root
    expected = np.log(root.diagonal()).sum() - 0.5 * (away**2).sum(axis=1) - 1.5 * np.log(2 * np.pi)
    assert np.allclose(model.score_samples(X), expected, rtol=0.0, atol=1e-9)


def test_the_root_of_a_lifted_block_is_exact_where_the_block_is_singular_in_rounding():
    basis = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
    frame = Frame(np.zeros(4), np.array([0.25, 1.0, 2.0, 64.0]), basis[:, :3], basis[:, 3:])
    block = np.diag([1e6, 1.0, 1e-10])[None]
    with pytest.raises(DegenerateFitError):
        inverse_root(DENSE.lift(block, frame, FLAT_FLOOR))
    root = DENSE.root_of_lifted(block, frame, FLAT_FLOOR)[0]
    with mp.workdps(60):
        Q, scale = mp.matrix(basis.tolist()), mp.diag((1.0 / frame.scale).tolist())
        # Rounding of the basis matters in its inverse, not in its transpose.
        exact = scale * Q * mp.diag([1e-6, 1, 1e10, 1 / mp.mpf(FLAT_FLOOR)]) * Q.T * scale
        exact = np.array(exact.tolist(), dtype=float)
    assert np.abs(root @ root.T - exact).max() < 1e-12 * np.abs(exact).max()


def test_a_candidate_that_cannot_be_fitted_again_keeps_its_first_fit():
    search = bm.select(CLOUDS, (1, 2), "full")
    row = search.candidates_[0]

    class Degenerate(SimpleNamespace):
        def candidate(self, parameters, effort):
            return None

        def fit(self, model, near):
            raise DegenerateFitError("the covariance of component 0 is singular")

    assert Task(Degenerate()).refit(row, row.result.mixture, Effort.STARTS) is row


CONSTANT = np.full((80, 1), 3.0)


@pytest.mark.parametrize(
    "columns", [[CONSTANT, CLOUDS[:, :1]], [CONSTANT, CONSTANT, CLOUDS[:, :1]], [CONSTANT, CLOUDS]]
)
def test_figures_of_a_search_show_columns_that_vary(columns):
    X = np.hstack(columns)
    with pytest.warns(SelectionWarning, match="constant"):
        search = bm.select(X)
    assert "clusters" in search._repr_html_()
    places = [str(ax.get_xlabel()) for ax in search.plot(X).ravel()]
    assert f"x{X.shape[1] - 1 if len(columns[-1].T) == 1 else 1}" in places
    assert bm.plot_density(search, X) is not None
