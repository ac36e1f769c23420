"""What Measured accepts as errors, limits and bounds, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import bayesmix as bm
from bayesmix.errors import InvalidInputError

NAN = np.nan


@pytest.mark.parametrize("structure", ["full", "diag"])
def test_an_infinite_error_beside_correlated_ones_is_a_missing_value(structure):
    rng = np.random.default_rng(7101)
    X = rng.normal(size=(60, 3))
    roots = rng.normal(0.0, 0.4, (60, 3, 3))
    error = roots @ roots.swapaxes(1, 2)
    gone = rng.random(X.shape) < 0.1
    gone[gone.all(axis=1)] = False
    error[:, range(3), range(3)] = np.where(gone, np.inf, error[:, range(3), range(3)])
    data = bm.Measured(X, error=error)
    model = bm.GaussianMixture(1, covariance_type=structure, missing="use").fit(data)
    assert data.side.measurement.least_errors(data.rows).min() >= 0.0
    C = model.covariances_[0] if structure == "full" else np.diag(model.covariances_[0])
    expected = [
        multivariate_normal(model.means_[0, seen], (C + own)[np.ix_(seen, seen)]).logpdf(x[seen])
        for x, own, seen in zip(X, error, ~gone, strict=True)
    ]
    np.testing.assert_allclose(model.score_samples(data), expected, rtol=1e-10)


def test_one_error_is_that_of_all_columns_and_one_column_takes_vectors():
    X = np.arange(12.0).reshape(6, 2)

    def instrument(X, **options):
        return bm.Measured(X, **options).side.measurement

    np.testing.assert_array_equal(instrument(X, error=0.5).errors, [[0.25, 0.25]])
    first, error = X[:, :1], np.linspace(0.1, 0.6, 6)
    of_vector, of_column = instrument(first, error=error), instrument(first, error=error[:, None])
    np.testing.assert_array_equal(of_vector.errors, of_column.errors)
    ends = instrument(first, lower=X[:, 0] - 1.0, upper=X[:, 0] + 1.0)
    np.testing.assert_array_equal(ends.lower, first - 1.0)
    limits = np.array([[1.0, 0.0]] * 3 + [[0.0, 9.0]] * 3)
    each = instrument(X, limits=(limits, None)).upper
    np.testing.assert_array_equal(~np.isnan(each), limits >= X)
    with pytest.raises(InvalidInputError, match=r"step must have shape \(1,\)"):
        instrument(first, step=error)


def test_errors_of_missing_values_may_be_missing():
    X, error = np.array([[1.0, np.nan], [2.0, 3.0], [4.0, 7.0]]), np.full((3, 2), 0.1)
    expected = bm.Measured(X, error=error).side.measurement
    error[0, 1] = np.nan
    data = bm.Measured(X, error=error)
    np.testing.assert_array_equal(data.values, X)
    of_samples = data.side.measurement.errors[data.side.measurement.groups]
    np.testing.assert_array_equal(of_samples[1:], expected.errors[expected.groups][1:])
    bounds = {"lower": [[NAN, 2.0], *[[NAN, NAN]] * 2], "upper": [[NAN, 5.0], *[[NAN, NAN]] * 2]}
    with pytest.raises(InvalidInputError, match="got nan in row 0, column 1"):
        bm.Measured(X, error=error, **bounds)


def test_series_that_name_other_columns_are_refused():
    X = pd.DataFrame(np.arange(6.0).reshape(3, 2), columns=["a", "b"])
    with pytest.raises(InvalidInputError, match=r"columns \['a', 'b'\] of X, got \['b', 'c'\]"):
        bm.Measured(X, error=pd.Series({"b": 0.1, "c": 0.2}))


def test_columns_of_text_with_the_same_name_are_kept_and_cells_that_are_no_numbers_are_shown():
    table = pd.DataFrame([["<1", "2"], ["3", "4"]], columns=["a", "a"])
    upper = bm.Measured(table).side.measurement.upper
    np.testing.assert_array_equal(upper, [[1.0, NAN], [NAN, NAN]])
    table = pd.DataFrame({"a": ["ND", "<1", "trace"], "b": ["1", "2.5", "3,5"]})
    with pytest.raises(InvalidInputError, match=r"'a' \(row 2: 'trace'\), 'b' \(row 2: '3,5'\)"):
        bm.Measured(table, limits=(1.0, None))


def test_series_that_name_a_column_twice_are_refused():
    X = pd.DataFrame(np.arange(6.0).reshape(2, 3), columns=["a", "b", "a"])
    with pytest.raises(InvalidInputError, match=r"got \['a', 'a', 'b'\]: rename these"):
        bm.Measured(X, error=pd.Series([0.1, 0.2, 0.3], index=["a", "a", "b"]))
