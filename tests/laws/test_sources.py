"""Every source gives the same rows: arrays, memory maps and files; in order, and the same sums."""

import pickle
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

import bayesmix as bm
from bayesmix.allocation.point import PointWeights
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import CENTRED, AssessmentStep, ExpectationStep
from bayesmix.errors import InvalidInputError
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.npy import open_npy
from laws.cases import GAUSSIAN_CASES, PLAIN, assert_same, generator

N, D = 70_000, 5


@dataclass(frozen=True)
class First:
    """The index of the first row of a chunk, for every row of it."""

    def __call__(self, rows):
        return rows.first + np.arange(len(rows))


@dataclass(frozen=True)
class Total:
    """Σ w x over a chunk: a sum with an order, to the bit."""

    def __call__(self, rows):
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        return weights @ np.ascontiguousarray(rows.values, dtype=np.float64)


@dataclass(frozen=True)
class Joined:
    """Which rows went into a sum, in the order of the sum."""

    indices: tuple

    def __add__(self, other):
        return Joined(self.indices + other.indices)


@dataclass(frozen=True)
class Join:
    def __call__(self, rows):
        return Joined(tuple(range(rows.first, rows.first + len(rows))))


@pytest.fixture(scope="module")
def values():
    return generator(1).normal(size=(N, D)) + np.arange(D)


@pytest.fixture(scope="module")
def row_weights():
    return generator(2).uniform(0.5, 2.0, N)


@pytest.fixture(params=["array", "Fortran", "memory map", "file", "view"])
def source(request, values, row_weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    if request.param == "array":
        return ArraySource(values, row_weights)
    if request.param == "Fortran":
        return ArraySource(np.asfortranarray(values), row_weights)
    if request.param == "view":
        return ArraySource(np.repeat(values, 2, axis=0)[::-2][::-1], row_weights)
    if request.param == "file":
        np.save(folder / "rows.npy", values)
        return open_npy(folder / "rows.npy", row_weights)
    mapped = np.memmap(folder / "rows.dat", dtype=np.float64, mode="w+", shape=values.shape)
    mapped[:] = values
    mapped.flush()
    return ArraySource(
        np.memmap(folder / "rows.dat", dtype=np.float64, mode="r", shape=values.shape), row_weights
    )


def mixture(n_components=3):
    point = GAUSSIAN_CASES[0].point(generator(3), n_components, D)
    weights = PointWeights(np.full(n_components, 1.0 / n_components))
    return Mixture(weights, point, Frame.identity(D))


# Order


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_map_gives_the_output_of_every_row_in_order(source, n_jobs):
    threaded = ArraySource(source.values, source.weights, n_jobs)
    np.testing.assert_array_equal(threaded.map(First(), 4), np.arange(N))


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Several chunks of rows that are few enough for a test."""
    monkeypatch.setattr("bayesmix.sources.memory.CHUNK_WORK", 2**17)
    monkeypatch.setattr("bayesmix.sources.memory.WORTH_HALVING", 2**18)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_reduce_sums_every_row_once_and_in_order(source, n_jobs):
    threaded = ArraySource(source.values, source.weights, n_jobs)
    assert len(threaded._chunks(4)) >= 3
    assert threaded.reduce(Join(), 4).indices == tuple(range(N))


# Equality


def test_reduce_is_the_same_to_the_bit_for_every_source(source, values, row_weights):
    expected = ArraySource(values, row_weights).reduce(Total(), 4)
    np.testing.assert_array_equal(source.reduce(Total(), 4), expected)
    np.testing.assert_allclose(expected, row_weights @ values, rtol=1e-12)


def test_a_pass_is_the_same_to_the_bit_for_every_source(source, values, row_weights):
    plain, step = ArraySource(values, row_weights), ExpectationStep(mixture(), CENTRED)
    left, right = source.reduce(step, 3), plain.reduce(step, 3)
    assert left.log_normaliser == right.log_normaliser
    np.testing.assert_array_equal(left.counts, right.counts)
    assert_same(left.statistics, right.statistics, rtol=0)
    assert source.summary.n_rows == N
    assert_same(source.summary, plain.summary, rtol=0)
    assert source.total_weight == plain.total_weight == row_weights.sum()
    assert source.shape == plain.shape == (N, D)


def test_steps_are_picklable(values):
    rows = Rows(values[:100])
    for step in (ExpectationStep(mixture(), CENTRED), AssessmentStep(mixture())):
        copy = pickle.loads(pickle.dumps(step))
        np.testing.assert_array_equal(copy(rows).counts, step(rows).counts)


# Subsets and samples


def test_a_subset_is_those_rows_with_their_weights(source, values, row_weights):
    rows = np.array([5, 3, 60_000, 3])
    mask = np.zeros(N, dtype=bool)
    mask[10:20] = True
    for chosen in (rows, mask, slice(7, 50, 3)):
        subset = source.subset(chosen)
        np.testing.assert_array_equal(np.asarray(subset.values), values[chosen])
        np.testing.assert_array_equal(subset.weights, row_weights[chosen])
        assert subset.shape == values[chosen].shape


def test_folds_put_together_are_the_whole(source):
    folds = np.array_split(np.arange(N), 3)
    step = ExpectationStep(mixture(), CENTRED)
    whole = source.reduce(step, 3)
    parts = [source.subset(fold).reduce(step, 3) for fold in folds]
    total = parts[0] + parts[1] + parts[2]
    assert total.log_normaliser == pytest.approx(whole.log_normaliser, rel=1e-12)
    assert_same(total.statistics, whole.statistics, rtol=1e-11)


def test_a_sample_is_distinct_rows_in_their_order_and_the_same_for_every_source(
    source, values, row_weights
):
    plain = ArraySource(values, row_weights)
    left, right = (s.sample(500, generator(4)) for s in (source, plain))
    np.testing.assert_array_equal(np.asarray(left.values), right.values)
    np.testing.assert_array_equal(left.weights, right.weights)
    places = {tuple(row): index for index, row in enumerate(values)}
    drawn = [places[tuple(row)] for row in right.values]
    assert drawn == sorted(set(drawn))
    assert len(drawn) == 500


def test_a_sample_of_more_rows_than_there_are_is_all_of_them(source, values):
    assert source.sample(N, generator(0)).shape == (N, D)
    assert source.sample(10 * N, generator(0)).shape == (N, D)


def test_a_sample_is_fair():
    """Every row is drawn equally often: chi-squared at a false alarm in 100,000 runs."""
    source, counts = ArraySource(np.arange(20.0)[:, None]), np.zeros(20)
    rng = generator(9)
    for _ in range(3000):
        counts[source.sample(5, rng).values[:, 0].astype(int)] += 1
    # Without replacement a count varies less than a multinomial's: the test is conservative.
    assert stats.chisquare(counts).pvalue > 1e-5
    assert counts.sum() == 15_000


def test_equal_weights_leave_the_summary_as_it_is(values):
    plain, doubled = ArraySource(values), ArraySource(values, np.full(N, 2.0))
    left, right = plain.summary, doubled.summary
    np.testing.assert_array_equal(left.centre, right.centre)
    np.testing.assert_array_equal(left.scale, right.scale)
    assert right.total_weight == 2.0 * left.total_weight


def test_weights_of_zero_are_no_rows_of_the_summary(values):
    weights = (np.arange(N) % 3 > 0).astype(float)
    left = ArraySource(values, weights).summary
    right = ArraySource(values[weights > 0]).summary
    for name in ("centre", "scale", "minimum", "maximum", "gap"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


# What people hand in


DTYPES = ["float32", "float64", ">f8", "int8", "int16", "int32", "int64", "uint16", "bool"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_of_any_real_type_gives_what_the_array_of_floats_gives(dtype, tmp_path):
    rows = generator(7).integers(0, 2 if dtype == "bool" else 100, (300, 2)).astype(dtype)
    np.save(tmp_path / "rows.npy", rows)
    options = PLAIN | {"max_iter": 2000}
    expected = bm.GaussianMixture(1, **options).fit(rows.astype(np.float64))
    for given in (open_npy(tmp_path / "rows.npy"), ArraySource(rows)):
        model = bm.GaussianMixture(1, **options).fit(given)
        np.testing.assert_array_equal(model.means_, expected.means_)
        np.testing.assert_array_equal(model.covariances_, expected.covariances_)
        np.testing.assert_array_equal(
            model.score_samples(given), expected.score_samples(rows.astype(np.float64))
        )


def test_a_memory_mapped_file_is_fitted_as_the_array_is(values, tmp_path):
    values = values[:5000] + 8.0 * (np.arange(5000) % 3 == 0)[:, None]
    np.save(tmp_path / "rows.npy", values)
    options = PLAIN | {"max_iter": 2000, "covariance_type": "diag"}
    from_file = bm.GaussianMixture(2, **options).fit(open_npy(tmp_path / "rows.npy"))
    from_array = bm.GaussianMixture(2, **options).fit(values)
    np.testing.assert_array_equal(from_file.means_, from_array.means_)
    np.testing.assert_array_equal(
        from_file.predict_proba(open_npy(tmp_path / "rows.npy")),
        from_array.predict_proba(values),
    )


def test_a_source_is_not_written_to(tmp_path):
    rows = generator(8).normal(size=(200, 2))
    rows.setflags(write=False)
    before = rows.copy()
    bm.GaussianMixture(2, random_state=0, n_jobs=1).fit(ArraySource(rows))
    np.testing.assert_array_equal(rows, before)


@pytest.mark.parametrize(
    "content",
    [np.arange(5.0), np.zeros((2, 2, 2)), np.array([["a", "b"]]), np.zeros((3, 2), complex)],
    ids=["one dimension", "three dimensions", "text", "complex"],
)
def test_a_file_of_other_content_is_refused(content, tmp_path):
    np.save(tmp_path / "rows.npy", content)
    with pytest.raises(InvalidInputError, match=r"rows\.npy"):
        open_npy(tmp_path / "rows.npy")


def test_a_file_that_is_no_array_is_refused(tmp_path):
    (tmp_path / "rows.npy").write_bytes(b"no array at all")
    with pytest.raises(InvalidInputError, match=r"rows\.npy"):
        open_npy(tmp_path / "rows.npy")
    np.save(tmp_path / "objects.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInputError, match=r"objects\.npy"):
        open_npy(tmp_path / "objects.npy")


def test_values_that_are_not_finite_are_refused_with_their_place(tmp_path):
    rows = generator(8).normal(size=(200, 2))
    rows[150, 1] = np.nan
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(ValueError, match="row 150, column 1"):
        bm.GaussianMixture(2).fit(open_npy(tmp_path / "rows.npy"))


@pytest.mark.parametrize("weighted", [False, True])
def test_the_summary_of_very_many_rows_needs_a_few_of_them_for_quantiles(weighted, monkeypatch):
    rng = generator(12)
    rows = np.column_stack(
        [rng.normal(size=30_000), rng.integers(0, 5, 30_000), np.full(30_000, 2.0)]
    )
    rows[7, 2] = 3.0
    weights = rng.integers(0, 3, 30_000).astype(float) if weighted else None
    if weights is not None:
        weights[7] = 1.0
    exact = ArraySource(rows, weights).summary
    monkeypatch.setattr("bayesmix.sources.memory.MOST_SORTED", 10_000)
    monkeypatch.setattr("bayesmix.sources.column_sums.PART", 7_000)
    sampled = ArraySource(rows, weights).summary
    for name in ("n_rows", "total_weight", "minimum", "maximum", "constant"):
        np.testing.assert_array_equal(getattr(sampled, name), getattr(exact, name))
    np.testing.assert_allclose(sampled.mean, exact.mean, rtol=1e-12)
    np.testing.assert_allclose(sampled.centre, exact.centre, atol=0.05)
    np.testing.assert_allclose(sampled.scale, exact.scale, rtol=0.05)
    assert sampled.gap[1] == exact.gap[1] == 1.0
