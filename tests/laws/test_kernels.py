"""What the compiled kernels compute for themselves, against the machine's longest doubles."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

pytest.importorskip("numba")

import numba as nb

import bayesmix as bm
from bayesmix.engine.compiled_steps import linear_pass
from bayesmix.engine.expectation import CENTRED, LINEAR, ExpectationStep
from bayesmix.numerics import compiled
from bayesmix.records import Known, Rows, centred_pass, finished

ROUNDING = 2.0**-53


def _called(part):
    """A part of the kernels by itself: parts are compiled into what calls them."""
    return nb.njit(lambda *arguments: part(*arguments))


_aligned, _joints_linear = _called(compiled._aligned), _called(compiled._joints_linear)
_softmax_columns = _called(compiled._softmax_columns)


def _shared(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Responsibilities and log normalisers of log joints (K, B)."""
    joint, largest, total = logs.copy(), np.empty(logs.shape[1]), np.empty(logs.shape[1])
    _softmax_columns(joint, largest, total)
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
        block = _aligned(*shape)
        assert block.shape == shape
        assert block.flags.c_contiguous
        assert block.ctypes.data % compiled.BYTES_OF_LINE == 0


@pytest.mark.parametrize("n_components", [*range(1, 20), 50])
def test_tiles_of_log_joints_cover_every_component_and_row(n_components: int) -> None:
    rng = np.random.default_rng(n_components)
    for n_features, lines in ((1, 1), (2, 3), (6, 33), (41, 32), (66, 31), (231, 9)):
        coefficients = rng.normal(size=(n_components, n_features))
        features, joint = (_aligned(n, 8 * lines) for n in (n_features, n_components))
        features[:] = rng.normal(size=features.shape)
        features[0] = 1.0
        joint[:] = np.nan
        _joints_linear(coefficients, features, joint)
        exact = coefficients.astype(np.longdouble) @ features
        scale = np.abs(coefficients) @ np.abs(features)
        assert np.all(np.abs(joint - exact) <= n_features * ROUNDING * scale)


def _of_many_clusters(where: str, covariance: str) -> tuple[bm.GaussianMixture, np.ndarray]:
    """A mixture of more components than ``compiled.MANY``, after one pass, and its rows."""
    rng = np.random.default_rng(12)
    n, n_components = 1500, 2 * compiled.MANY + 3
    means = (6.0 if where == "apart" else 0.05) * rng.normal(size=(n_components, 6))
    labels = rng.integers(0, n_components, n)
    values = means[labels] + rng.normal(size=(n, 6))
    model = bm.GaussianMixture(
        n_components,
        covariance_type=covariance,
        init_params=np.eye(n_components)[labels],
        search=None,
        max_iter=1,
    )
    with pytest.warns(ConvergenceWarning):
        model.fit(values)
    if where == "apart at first":
        # So far away that what components differ in decides.
        values[:700] *= 1e3
    return model, values


@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("where", ["apart", "apart at first", "overlapping"])
@pytest.mark.parametrize("weighted", [False, True])
def test_where_few_have_a_share_the_sums_are_all_the_same(where, covariance, weighted) -> None:
    """By the lines that have a share and by all of them, against NumPy."""
    model, values = _of_many_clusters(where, covariance)
    mixture, n = model.result_.mixture, len(values)
    weights = np.random.default_rng(13).integers(0, 3, n).astype(float) if weighted else None
    shares, _ = mixture.responsibilities(mixture.frame.apply(values))
    lines = (shares[:1392] > compiled.NEGLIGIBLE).reshape(2, -1, 8, shares.shape[1]).any(axis=2)
    few = lines.mean(axis=(1, 2)) < 0.8 / compiled.FEW_LINES
    assert few.tolist() == [where != "overlapping", where == "apart"]
    rows = Rows(values, weights)
    everything = Known.everything(n, shares.shape[1])
    sweep, statistics = linear_pass(mixture, rows, everything)
    plain = ExpectationStep(mixture, LINEAR)(rows)
    np.testing.assert_allclose(
        sweep.totals[:2], [plain.log_normaliser, plain.magnitude], rtol=1e-13
    )
    ours, theirs = finished(statistics), finished(plain.statistics)
    np.testing.assert_allclose(ours.counts, theirs.counts, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(ours.means, theirs.means, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(ours.scatter, theirs.scatter, rtol=1e-8, atol=1e-9)
    # Described rows go another way, by all lines.
    described, _ = linear_pass(mixture, rows, Known.everything(n, shares.shape[1], True))
    np.testing.assert_allclose(sweep.totals[:2], described.totals[:2], rtol=1e-14)


def test_groups_are_each_shared_out_by_themselves() -> None:
    model, values = _of_many_clusters("apart", "diag")
    mixture, n = model.result_.mixture, len(values)
    n_components = mixture.n_components
    order, bounds = np.random.default_rng(14).permutation(n), np.array([0, 90, 1100, n])
    some = np.random.default_rng(15)
    candidates = np.array([some.permutation(n_components)[: compiled.MANY] for _ in range(3)])
    rows = Rows(values, None)
    found, together = linear_pass(mixture, rows, Known(order, bounds, candidates))
    sums = 0.0
    for group in range(3):
        own = slice(bounds[group], bounds[group + 1])
        known = Known(order[own], np.array([0, own.stop - own.start]), candidates[[group]])
        alone, statistics = linear_pass(mixture, rows, known)
        np.testing.assert_allclose(found.of_groups[group], alone.of_groups[0], rtol=1e-13)
        sums = sums + statistics.sums
    np.testing.assert_allclose(together.sums, sums, rtol=1e-12, atol=1e-12)


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
    sweep, statistics = centred_pass(
        mixture, rows, Known.everything(n, n_components, describe=True)
    )
    plain = ExpectationStep(mixture, CENTRED)(rows)
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
