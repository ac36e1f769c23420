"""The number of threads changes no bit; the size of blocks and chunks changes rounding only."""

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info

import bayesmix as bm
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core.parallel import ordered_map, resolve_jobs, single_threaded_blas
from bayesmix.core.tree_sums import reduced
from bayesmix.sources.memory import MOST_CHUNKS, ArraySource, chunk_rows
from laws.cases import CASES, generator, identity

N, D, K = 60_000, 4, 4
every_case = pytest.mark.parametrize("case", CASES, ids=identity)
INFERENCES = {
    "ml": None,
    "map": bm.MaximumAPosteriori(weights=DirichletPrior(1.5)),
    "vb": bm.VariationalBayes(weights=StickBreakingPrior(0.5)),
}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Several chunks of rows that are few enough for a test."""
    monkeypatch.setattr("bayesmix.sources.memory.CHUNK_WORK", 2**17)
    monkeypatch.setattr("bayesmix.sources.memory.WORTH_HALVING", 2**18)


def rows_of(case, n=N):
    """Rows of four kinds."""
    rng = generator(5)
    parts = [case.rows(rng, n // K, D) for _ in range(K)]
    return rng.permutation(np.vstack(parts))


def fitted(case, rows, inference="ml", **options):
    defaults = {"tol": 0.0, "max_iter": 4, "search": None, "random_state": 0, "prune": False}
    model = bm.Mixture(K, family=case.family, inference=INFERENCES[inference], **defaults | options)
    with pytest.warns(ConvergenceWarning):
        return model.fit(rows)


def assert_same_bits(left, right, rows):
    np.testing.assert_array_equal(left.objective_trace_, right.objective_trace_)
    np.testing.assert_array_equal(left.weights_, right.weights_)
    np.testing.assert_array_equal(left.means_, right.means_)
    if hasattr(left, "covariances_"):
        np.testing.assert_array_equal(left.covariances_, right.covariances_)
    assert left.log_likelihood_ == right.log_likelihood_
    for name in ("score_samples", "predict_proba", "responsibilities", "predict"):
        np.testing.assert_array_equal(getattr(left, name)(rows), getattr(right, name)(rows))
    for name in ("bic", "icl"):
        assert getattr(left, name)() == getattr(right, name)()
        assert getattr(left, name)(rows) == getattr(right, name)(rows)


@pytest.mark.slow
@every_case
@pytest.mark.parametrize("inference", ["ml", "vb"])
def test_threads_change_no_bit(case, inference):
    rows = rows_of(case)
    assert len(ArraySource(rows)._chunks(K)) >= 3
    one, two, three = (fitted(case, rows, inference, n_jobs=n_jobs) for n_jobs in (1, 2, 3))
    assert_same_bits(one, two, rows)
    assert_same_bits(one, three, rows)


@pytest.mark.parametrize("init", ["kmeans", "k-means++", "random", "random_from_data"])
def test_threads_change_no_bit_of_any_start(init):
    rows = rows_of(CASES[0])
    one, three = (
        fitted(CASES[0], rows, n_jobs=n_jobs, init_params=init, max_iter=2) for n_jobs in (1, 3)
    )
    assert_same_bits(one, three, rows)


@pytest.mark.parametrize("inference", ["ml", "map", "vb"])
def test_threads_change_no_bit_of_a_whole_search(inference):
    """Short starts, moves, acceleration and all."""
    rows = rows_of(CASES[0], 40_000)
    options = {"search": "auto", "tol": "auto", "max_passes": 60, "max_iter": 40}
    one, two = (fitted(CASES[0], rows, inference, n_jobs=n_jobs, **options) for n_jobs in (1, 2))
    assert_same_bits(one, two, rows)
    assert one.result_.passes == two.result_.passes
    assert one.result_.search_trace == two.result_.search_trace


@pytest.mark.slow
def test_trials_side_by_side_change_no_bit_of_a_search_in_a_crowded_mixture():
    rng = np.random.default_rng(8)
    rows = np.concatenate([rng.normal(at, 1.0, (700, 2)) for at in rng.uniform(0.0, 6.0, (6, 2))])
    one, two, three = (
        bm.GaussianMixture(6, random_state=0, n_jobs=n_jobs).fit(rows) for n_jobs in (1, 2, 3)
    )
    kinds = {record.stage for record in one.result_.search_trace}
    assert {"swap", "divide"} <= kinds
    for other in (two, three):
        assert_same_bits(one, other, rows)
        assert one.result_.passes == other.result_.passes
        assert one.result_.search_trace == other.result_.search_trace


@every_case
@pytest.mark.parametrize(("block", "chunk"), [(2**12, 2**20), (2**20, 2**15), (2**14, 2**30)])
def test_the_size_of_blocks_and_chunks_changes_rounding_only(case, block, chunk, monkeypatch):
    rows = rows_of(case, 20_000)
    start = generator(6).dirichlet(np.ones(K), len(rows))
    options = {"n_jobs": 2, "init_params": start}
    usual = fitted(case, rows, **options)
    monkeypatch.setattr("bayesmix.em.expectation.BLOCK_VALUES", block)
    monkeypatch.setattr("bayesmix.sources.memory.CHUNK_WORK", chunk)
    other = fitted(case, rows, **options)
    np.testing.assert_allclose(other.objective_trace_, usual.objective_trace_, rtol=1e-12)
    np.testing.assert_allclose(other.weights_, usual.weights_, rtol=1e-10)
    np.testing.assert_allclose(other.means_, usual.means_, rtol=1e-9, atol=1e-10)
    if hasattr(usual, "covariances_"):
        np.testing.assert_allclose(other.covariances_, usual.covariances_, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("n", [1, 1000, 60_000, 10**6, 10**9])
@pytest.mark.parametrize("width", [1, 10, 100])
def test_chunks_are_fixed_by_the_sizes_alone_and_at_most_256(n, width):
    size = chunk_rows(n, D, width)
    assert -(-n // size) <= MOST_CHUNKS
    assert size == chunk_rows(n, D, width)


def test_results_come_back_in_order_whatever_the_threads():
    def slow_first(item):
        time.sleep(0.02 if item == 0 else 0.0)
        return item

    for n_jobs in (1, 2, 3):
        assert list(ordered_map(slow_first, range(20), n_jobs)) == list(range(20))


def test_an_error_in_a_thread_is_the_callers():
    def fail(item):
        if item == 3:
            raise KeyError("third")
        return item

    for n_jobs in (1, 3):
        with pytest.raises(KeyError, match="third"):
            list(ordered_map(fail, range(50), n_jobs))


def test_blas_has_its_threads_back_after_nested_and_overlapping_holds():
    """Also where the holds are taken and given back by other threads than the first one ever."""

    def blas_threads():
        return [info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"]

    before = blas_threads()
    with single_threaded_blas():
        assert set(blas_threads()) == {1}

    def hold(_):
        with single_threaded_blas(), single_threaded_blas():
            return max(blas_threads())

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(hold, range(40))) == {1}
    assert blas_threads() == before


def test_jobs_are_counted_as_in_joblib():
    everything = resolve_jobs(None)
    assert everything >= 1
    assert resolve_jobs(-1) == everything
    assert resolve_jobs(-1000) == 1
    assert resolve_jobs(3) == 3
    with pytest.raises(ValueError, match="n_jobs"):
        resolve_jobs(0)


def test_a_fork_after_threads_were_used_does_not_hang():
    """A pool that was made before the fork has no threads in the child."""
    rows = rows_of(CASES[0])
    fitted(CASES[0], rows, n_jobs=2)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        child = pool.apply_async(_log_likelihood, (rows,))
        assert child.get() == fitted(CASES[0], rows, n_jobs=2).log_likelihood_


def _log_likelihood(rows):
    return fitted(CASES[0], rows, n_jobs=2).log_likelihood_


def test_threads_within_threads_do_not_wait_for_one_another():
    def outer(item):
        return sum(ordered_map(lambda x: x + item, range(10), 3))

    assert list(ordered_map(outer, range(6), 3)) == [45 + 10 * item for item in range(6)]


def test_sums_are_added_in_one_tree_whatever_the_threads():
    rng = generator(8)
    parts = [rng.normal(size=3) * 10.0 ** rng.integers(-8, 8) for _ in range(37)]
    one = reduced(parts.__getitem__, range(len(parts)), 1)
    for n_jobs in (2, 3, 7):
        np.testing.assert_array_equal(reduced(parts.__getitem__, range(len(parts)), n_jobs), one)
