"""Several runs of a small fit go on in worker processes, and nobody sees it in a number."""

import numpy as np
import pytest

import bayesmix as bm
from bayesmix.search import fit as workflow
from bayesmix.search import runs_in_workers

X = bm.datasets.load_iris().select_dtypes("number").to_numpy()


def fitted(n_jobs, **options):
    model = bm.BayesianGaussianMixture(5, n_init=4, random_state=3, n_jobs=n_jobs, **options)
    return model.fit(X).result_


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(workflow, "SECONDS_ALONE", 0.0)


@pytest.fixture
def in_workers(at_once, monkeypatch):
    """The numbers of the first runs that went to workers."""
    begun = []
    begin = runs_in_workers.in_workers

    def noted(attempt, first, workers):
        begun.append(first)
        return begin(attempt, first, workers)

    monkeypatch.setattr(runs_in_workers, "in_workers", noted)
    return begun


@pytest.mark.slow
def test_workers_change_no_bit_and_count_every_pass(in_workers):
    together, alone = fitted(2), fitted(1)
    assert in_workers == [1]
    assert together.objective == alone.objective
    assert together.passes == alone.passes
    np.testing.assert_array_equal(together.mixture.components.means, alone.mixture.components.means)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"max_passes": 10_000}, {"max_seconds": 1e6}, {"verbose": 1}])
def test_runs_that_are_counted_or_watched_stay_here(in_workers, options, capsys):
    fitted(2, **options)
    assert in_workers == []


def test_where_chunks_take_all_threads_runs_stay_here(in_workers):
    rows = np.random.default_rng(0).normal(size=(100_000, 2))
    bm.GaussianMixture(2, search=None, n_init=3, max_iter=2, random_state=0, n_jobs=2, tol=1.0).fit(
        rows
    )
    assert in_workers == []


def test_ctrl_c_keeps_the_best_run_so_far(at_once, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(runs_in_workers, "in_workers", interrupted)
    with pytest.warns(Warning, match="interrupted"):
        result = fitted(2)
    assert result.status == "interrupted"
    assert np.isfinite(result.objective)
