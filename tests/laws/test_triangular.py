"""Factors of stacks of small matrices, against NumPy's inverse."""

from __future__ import annotations

import numpy as np
import pytest

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.triangular import inverse_root

SIZES = (1, 2, 3, 6, 7, 12)


def _covariances(size: int, n: int = 5) -> np.ndarray:
    draws = np.random.default_rng(size).normal(size=(n, size, 2 * size + 1))
    return draws @ draws.transpose(0, 2, 1)


@pytest.mark.parametrize("size", SIZES)
def test_roots_are_upper_triangular_and_multiply_to_the_inverse(size: int) -> None:
    matrices = _covariances(size)
    root = inverse_root(matrices)
    assert np.array_equal(root, np.triu(root))
    np.testing.assert_allclose(
        root @ root.transpose(0, 2, 1), np.linalg.inv(matrices), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("size", SIZES)
def test_a_root_does_not_depend_on_the_matrices_beside_it(size: int) -> None:
    matrices = _covariances(size)
    alone = np.concatenate([inverse_root(matrix[None]) for matrix in matrices])
    assert np.array_equal(inverse_root(matrices), alone)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("entry", [np.nan, 0.0, -1.0])
def test_what_has_no_root_is_refused(size: int, entry: float) -> None:
    matrices = _covariances(size)
    matrices[3, -1, -1] = entry
    with pytest.raises(DegenerateFitError, match="covariance"):
        inverse_root(matrices)


@pytest.mark.parametrize("size", SIZES[1:])
def test_a_pivot_lost_in_rounding_is_refused(size: int) -> None:
    matrices = _covariances(size)
    matrices[1, :, -1] = matrices[1, :, 0]
    matrices[1, -1, :] = matrices[1, 0, :]
    with pytest.raises(DegenerateFitError, match="component 2 is singular"):
        inverse_root(matrices)
