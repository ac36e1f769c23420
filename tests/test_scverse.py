"""Cells in AnnData objects: results where programs of the scverse look for them."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import bayesmix as bm
from bayesmix.errors import InvalidInputError, InvalidTypeError

anndata = pytest.importorskip("anndata", reason="anndata is not installed: bayesmix[scverse]")


@pytest.fixture
def cells():
    """Three groups of 60, 90 and 150 cells in four principal components, and one cell far away."""
    rng = np.random.default_rng(20261129)
    centres = np.array([[0, 0, 0, 0], [9, 0, 0, 0], [0, 9, 0, 0]])
    group = np.repeat([0, 1, 2], [60, 90, 150])
    X = centres[group] + rng.normal(size=(300, 4))
    X[0] = [80, -70, 60, 90]
    data = anndata.AnnData(sparse.csr_matrix(rng.poisson(1.0, (300, 20)).astype(np.float32)))
    data.obsm["X_pca"] = X
    data.obs["group"] = group
    return data


def test_categories_are_by_size_and_cells_in_no_cluster_are_missing(cells):
    assert bm.scverse.cluster(cells) is None
    labels = cells.obs["bayesmix"]
    assert labels.dtype == pd.CategoricalDtype(["0", "1", "2"])
    assert labels.value_counts().tolist() == [150, 90, 59]
    assert labels.isna().to_numpy().nonzero()[0].tolist() == [0]
    assert pd.crosstab(labels, cells.obs["group"]).gt(0).to_numpy().sum() == 3
    shares = cells.obsm["bayesmix_probabilities"]
    assert shares.shape == (300, 3)
    assert (shares[1:].argmax(axis=1) == labels.cat.codes[1:]).all()
    assert shares[0].sum() < 0.5


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")  # of anndata
def test_results_are_those_of_select_and_survive_a_file(cells, tmp_path):
    found = bm.scverse.cluster(cells, key_added="mixture", n_pcs=2, copy=True)
    assert "mixture" not in cells.obs
    search = bm.select(cells.obsm["X_pca"][:, :2])
    codes = found.obs["mixture"].cat.codes
    assert (codes == search.predict_clusters(cells.obsm["X_pca"][:, :2])).all()
    assert found.uns["mixture"]["summary"] == search.summary()
    assert list(found.uns["mixture_colors"]) == list(search.answer_.colours)
    found.write_h5ad(tmp_path / "cells.h5ad")
    again = anndata.read_h5ad(tmp_path / "cells.h5ad")
    assert again.uns["mixture"]["n_clusters"] == 3
    assert again.uns["mixture"]["params"]["use_rep"] == "X_pca"
    assert (again.obs["mixture"].cat.codes == codes).all()


def test_a_representation_that_cannot_be_used_is_named(cells):
    with pytest.raises(
        InvalidInputError, match="use_rep must be one of 'X_pca', 'X', got 'X_umap'"
    ):
        bm.scverse.cluster(cells, use_rep="X_umap")
    with pytest.raises(InvalidInputError, match="'X' is sparse"):
        bm.scverse.cluster(cells, use_rep="X")
    with pytest.raises(InvalidInputError, match="n_pcs must be between 1 and 4"):
        bm.scverse.cluster(cells, n_pcs=5)
    cells.obsm["X_pca"][7, 1] = np.nan
    with pytest.raises(InvalidInputError, match="not finite in 1 cells, the first '7'"):
        bm.scverse.cluster(cells)
    with pytest.raises(InvalidTypeError, match=r"bayesmix\.select takes arrays"):
        bm.scverse.cluster(np.zeros((3, 2)))
