"""What the compiled kernels compute for themselves, against the machine's longest doubles."""

import numpy as np
import pytest

pytest.importorskip("numba")

from bayesmix.numerics import compiled

ROUNDING = 2.0**-53


def _shared(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Responsibilities and log normalisers of log joints (K, B)."""
    joint, largest, total = logs.copy(), np.empty(logs.shape[1]), np.empty(logs.shape[1])
    compiled._softmax_columns(joint, largest, total)
    return joint, largest


def test_responsibilities_keep_all_digits_down_to_where_they_are_left_out() -> None:
    below = np.linspace(-60.0 * np.log(2.0) + 1e-6, 0.0, 200_003)
    joint, log_normaliser = _shared(np.stack([np.zeros_like(below), below]))
    exact = np.exp(below.astype(np.longdouble))
    total = 1.0 + exact
    # Those just above the limit before they are divided may be below it after.
    kept = joint[1] > 0.0
    assert np.all(exact[~kept] / total[~kept] <= compiled.NEGLIGIBLE * (1.0 + 4.0 * ROUNDING))
    error = np.abs(joint[1] * total / exact - 1.0)
    assert np.all(error[kept] < (5.0 - below[kept]) * ROUNDING)
    assert np.max(np.abs(joint[0] * total - 1.0)) < 3.0 * ROUNDING
    assert np.max(np.abs(log_normaliser - np.log(total))) < 2.0 * ROUNDING


@pytest.mark.parametrize("below", [42.0, 700.0, 745.0, 1e4, 1e300])
def test_what_is_negligible_has_no_share_at_all(below: float) -> None:
    joint, log_normaliser = _shared(np.array([[3.0] * 8, [3.0 - below] * 8]))
    assert np.array_equal(joint, np.repeat([[1.0], [0.0]], 8, axis=1))
    assert np.array_equal(log_normaliser, np.full(8, 3.0))


def test_blocks_begin_where_a_line_of_the_cache_does() -> None:
    for shape in ((1, 8), (3, 264), (66, 72)):
        block = compiled._aligned(*shape)
        assert block.shape == shape
        assert block.flags.c_contiguous
        assert block.ctypes.data % compiled.BYTES_OF_LINE == 0
