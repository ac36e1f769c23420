"""What the compiled kernels compute for themselves, against the machine's longest doubles."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

pytest.importorskip("numba")

import bayesmix as bm
from bayesmix.engine.compiled import swept
from bayesmix.engine.expectation import ExpectationStep, centred, linear
from bayesmix.numerics import compiled
from bayesmix.records import Known, Rows, finished

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


@pytest.mark.parametrize("covariance", ["full", "tied"])
@pytest.mark.parametrize("where", ["apart", "apart in the last features", "overlapping"])
def test_distances_in_two_steps_leave_out_nothing_that_counts(covariance, where):
    """Wide rows by the kernel, which looks at some features first, and by NumPy, which does not."""
    rng = np.random.default_rng(5)
    n, n_features, n_components = 1500, 40, 6
    assert n_features >= compiled.WIDE_IN_TWO_STEPS
    assert n_components >= compiled.MANY_IN_TWO_STEPS
    means = 3.0 * rng.normal(size=(n_components, n_features))
    if where == "apart in the last features":
        means[:, : n_features // compiled.HEAD] = 0.0
    if where == "overlapping":
        means *= 0.03
    labels = rng.integers(0, n_components, n)
    spread = np.exp(rng.normal(size=(n_components, n_features)))
    values = means[labels] + spread[labels] * rng.normal(size=(n, n_features))
    weights = rng.integers(0, 3, n).astype(float)
    model = bm.GaussianMixture(
        n_components,
        covariance_type=covariance,
        init_params=0.1 / n_components + 0.9 * np.eye(n_components)[labels],
        search=None,
        max_iter=1,
    )
    with pytest.warns(ConvergenceWarning):
        mixture = model.fit(values).result_.mixture
    rows = Rows(values, weights)
    sweep, statistics = swept(
        mixture, centred, rows, Known.everything(n, n_components, describe=True)
    )
    plain = ExpectationStep(mixture, centred)(rows)
    framed = mixture.frame.apply(values)
    shares, log_density = mixture.responsibilities(framed)
    assert np.array_equal(sweep.best, shares.argmax(axis=1))
    np.testing.assert_allclose(sweep.log_density, log_density, rtol=1e-13)
    assert sweep.totals[0] == pytest.approx(plain.log_normaliser, rel=1e-13)
    np.testing.assert_allclose(statistics.counts, plain.counts, rtol=1e-12)
    np.testing.assert_allclose(statistics.means, plain.statistics.means, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        statistics.scatter, plain.statistics.scatter, rtol=1e-10, atol=1e-12 * n
    )


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("form", [linear, centred])
def test_groups_may_know_some_more_components_than_others(form, beside):
    rng = np.random.default_rng(6)
    values = rng.normal(size=(700, 2)) + rng.choice([-4.0, 4.0], (700, 1))
    weights = rng.integers(0, 3, 700).astype(float)
    mixture = bm.GaussianMixture(5, random_state=0).fit(values, sample_weight=weights)
    mixture = mixture.result_.mixture
    rows, order = Rows(values, weights), rng.permutation(700)
    else_ = rng.normal(-3.0, 1.0, 700) if beside else None
    groups = [(slice(0, 250), [4, 0, 2]), (slice(250, 700), [3])]
    found, together = swept(
        mixture,
        form,
        rows,
        Known(order, np.array([0, 250, 700]), np.array([[4, 0, 2], [3, -1, -1]]), beside=else_),
    )
    together = finished(together)
    for place, (own, components) in enumerate(groups):
        n = own.stop - own.start
        known = Known(order[own], np.array([0, n]), np.array([components]), beside=else_)
        alone, statistics = swept(mixture, form, rows, known)
        statistics = finished(statistics)
        some = components if beside else [place]
        np.testing.assert_allclose(
            found.of_groups[some], alone.of_groups[components if beside else [0]], rtol=1e-12
        )
        for name in ("counts", "means", "scatter"):
            np.testing.assert_allclose(
                getattr(together, name)[components],
                getattr(statistics, name)[components],
                rtol=1e-9,
                atol=1e-11,
            )
    assert together.counts[1] == 0.0
