"""Rows in any form that holds the same numbers give the same answer, at fit and at predict time."""

import numpy as np
import pandas as pd
import pytest

from bayesmix import BayesianGaussianMixture, GaussianMixture
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.npy import open_npy

# Whole numbers that every type below holds exactly.
RNG = np.random.default_rng(0)
X = np.vstack([RNG.normal(20, 4, (40, 3)), RNG.normal(60, 8, (40, 3))]).round()
NEW = np.vstack([RNG.normal(20, 4, (5, 3)), RNG.normal(60, 8, (5, 3))]).round()


def memory_map(values, tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, values)
    return np.load(path, mmap_mode="r")


def read_only(values, tmp_path):
    values = values.copy()
    values.flags.writeable = False
    return values


def every_other(values, tmp_path):
    wide = np.zeros((2 * len(values), 2 * values.shape[1]))
    wide[::2, ::2] = values
    return wide[::2, ::2]


WHOLE = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
TYPES = [*WHOLE, "float16", "float32", "longdouble", ">f8", ">f4", ">i4", "<u2", "object"]
FORMS = {
    **{name: lambda values, tmp_path, name=name: values.astype(name) for name in TYPES},
    "Fortran order": lambda values, tmp_path: np.asfortranarray(values),
    "negative strides": lambda values, tmp_path: values[::-1, ::-1].copy()[::-1, ::-1],
    "a view of every other": every_other,
    "read-only": read_only,
    "a memory map": memory_map,
    "a memory map as a source": lambda values, tmp_path: open_npy(_saved(values, tmp_path)),
    "a source": lambda values, tmp_path: ArraySource(values),
    "a list of lists": lambda values, tmp_path: values.tolist(),
    "a tuple of arrays": lambda values, tmp_path: tuple(values),
    "a frame": lambda values, tmp_path: pd.DataFrame(values),
    "a frame of integers of several widths": lambda values, tmp_path: pd.DataFrame(values).astype(
        {0: "int8", 1: "uint16", 2: "float32"}
    ),
    "nullable integers": lambda values, tmp_path: pd.DataFrame(values).astype("Int64"),
    "nullable floats": lambda values, tmp_path: pd.DataFrame(values).astype("Float32"),
    "numbers of Arrow": lambda values, tmp_path: pd.DataFrame(values).astype("double[pyarrow]"),
    "a frame of objects": lambda values, tmp_path: pd.DataFrame(values).astype(object),
    "a masked array": lambda values, tmp_path: np.ma.masked_array(values),
}


def _saved(values, tmp_path):
    path = tmp_path / "saved.npy"
    np.save(path, values.astype("int16"))
    return path


@pytest.fixture(scope="module")
def plain():
    return BayesianGaussianMixture(n_components=2, random_state=0).fit(X)


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_rows_changes_no_bit(plain, form, tmp_path):
    model = BayesianGaussianMixture(n_components=2, random_state=0).fit(FORMS[form](X, tmp_path))
    np.testing.assert_array_equal(model.means_, plain.means_)
    np.testing.assert_array_equal(model.covariances_, plain.covariances_)
    assert model.lower_bound_ == plain.lower_bound_
    new = FORMS[form](NEW, tmp_path)
    np.testing.assert_array_equal(model.predict(new), plain.predict(NEW))
    np.testing.assert_array_equal(model.predict_proba(new), plain.predict_proba(NEW))
    np.testing.assert_array_equal(model.score_samples(new), plain.score_samples(NEW))
    assert model.score_samples(new).dtype == model.predict_proba(new).dtype == np.float64
    assert model.bic(new) == plain.bic(NEW)


@pytest.mark.parametrize("kind", [GaussianMixture, BayesianGaussianMixture])
def test_booleans_are_zeros_and_ones(kind):
    coins = np.random.default_rng(1).random((60, 2)) < np.repeat([[0.2], [0.7]], 30, axis=0)
    forms = [coins, pd.DataFrame(coins), pd.DataFrame(coins).astype("boolean"), coins.tolist()]
    options = {"n_components": 1, "covariance_type": "diag", "random_state": 0}
    expected = kind(**options).fit(coins.astype(float))
    for form in forms:
        model = kind(**options).fit(form)
        np.testing.assert_array_equal(model.means_, expected.means_)
        np.testing.assert_array_equal(
            model.score_samples(form), expected.score_samples(coins * 1.0)
        )


@pytest.mark.parametrize("form", ["float32", ">f8", "object", "int64", "a list of lists"])
def test_the_form_of_weights_and_starts_changes_no_bit(form, tmp_path):
    weights = np.random.default_rng(2).integers(0, 4, (80, 1)).astype(float)
    shares = np.repeat([[1.0, 0.0], [0.0, 1.0]], 40, axis=0)
    as_given = FORMS[form](weights, tmp_path)
    flat = [row[0] for row in as_given] if isinstance(as_given, list) else as_given[:, 0]
    expected = GaussianMixture(2, init_params=shares).fit(X, sample_weight=weights[:, 0])
    start = shares if form == "object" else FORMS[form](shares, tmp_path)
    model = GaussianMixture(2, init_params=start).fit(X, sample_weight=flat)
    np.testing.assert_array_equal(model.means_, expected.means_)
    labels = np.repeat([0, 1], 40)
    for other in (labels, labels.astype("uint8"), labels.tolist(), labels.astype(bool)):
        by_label = GaussianMixture(2, init_params=other).fit(X, sample_weight=flat)
        np.testing.assert_array_equal(by_label.means_, expected.means_)


def test_neither_rows_nor_weights_nor_starts_are_written_to():
    values, weights = X.copy(), np.ones(80)
    weights[::4] = 0.0
    shares = np.repeat([[1.0, 0.0], [0.0, 1.0]], 40, axis=0)
    means = X[:2].copy()
    given = [values, weights, shares, means]
    before = [each.copy() for each in given]
    GaussianMixture(2, init_params=shares).fit(values, sample_weight=weights)
    GaussianMixture(2, means_init=means, random_state=0).fit(values, sample_weight=weights)
    for each, copy in zip(given, before, strict=True):
        np.testing.assert_array_equal(each, copy)
        assert each.flags.writeable


def test_names_of_columns_are_kept_only_where_all_are_text():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = GaussianMixture(2, random_state=0).fit(frame)
    assert model.result_.columns == ("a", "b", "c")
    assert not hasattr(model.fit(X), "feature_names_in_")
    assert model.result_.columns is None
    assert not hasattr(model.fit(pd.DataFrame(X)), "feature_names_in_")
    with pytest.raises(ValueError, match="string names"):
        model.fit(pd.DataFrame(X, columns=["a", 1, "c"]))


def test_large_integers_lose_nothing_that_float64_holds():
    big = X.astype(np.int64) + 2**52
    model = GaussianMixture(2, random_state=0).fit(big)
    small = GaussianMixture(2, random_state=0).fit(X)
    np.testing.assert_array_equal(model.means_ - 2**52, small.means_.round())
    np.testing.assert_allclose(model.covariances_, small.covariances_, rtol=1e-12)
