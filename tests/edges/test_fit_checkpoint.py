"""Long fits that are killed, or kept on a full disk, end with the same bits."""

import errno
import os
import random
import signal
import time

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import bayesmix as bm
from bayesmix.errors import (
    BayesmixWarning,
    DamagedFileError,
    FileAccessError,
    InvalidInputError,
)
from bayesmix.io import checkpoints as passes

rng = np.random.default_rng(3)
X = rng.normal(size=(300, 2)) + 3.0 * rng.integers(0, 4, (300, 1))
OPTIONS = {"random_state": 0, "n_jobs": 1, "progress": False}


@pytest.fixture
def often(monkeypatch):
    """Small passes are kept as well, and soon."""
    monkeypatch.setattr(passes, "LEAST_WORK", 0)
    monkeypatch.setattr(passes, "SECONDS_BETWEEN_FILES", 0.02)


def assert_same_fit(one, other):
    assert one.objective_trace_.tobytes() == other.objective_trace_.tobytes()
    assert one.score_samples(X).tobytes() == other.score_samples(X).tobytes()
    assert one.bic(X) == other.bic(X)
    assert one.result_.passes == other.result_.passes


def passes_made(monkeypatch):
    """Passes that are made, and not read, from now on."""
    made = []
    summed = passes.Passes.summed

    def noted(self, source, mixture, form, work):
        def counted():
            made.append(form)
            return work()

        return summed(self, source, mixture, form, counted)

    monkeypatch.setattr(passes.Passes, "summed", noted)
    return made


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_fit_killed_at_random_moments_ends_with_the_same_bits(tmp_path, often):
    whole = bm.BayesianGaussianMixture(6, **OPTIONS).fit(X)
    moments, held = random.Random(5), []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            bm.BayesianGaussianMixture(6, checkpoint=tmp_path / "kept", **OPTIONS).fit(X)
            os._exit(0)
        time.sleep(moments.uniform(0.1, 0.6))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        held.append(len(list((tmp_path / "kept").glob("*.passes"))))
    assert held == sorted(held)
    assert held[-1] > 0
    assert_same_fit(
        bm.BayesianGaussianMixture(6, checkpoint=tmp_path / "kept", **OPTIONS).fit(X), whole
    )


CASES = {
    "full, posterior mode": lambda **options: bm.GaussianMixture(3, prior="auto", **options),
    "diagonal, sticks": lambda **options: bm.BayesianGaussianMixture(
        3, covariance_type="diag", **options
    ),
    "counts": lambda **options: bm.Mixture(2, family=bm.Poisson(), **options),
    "noise": lambda **options: bm.GaussianMixture(3, noise="uniform", **options),
    "heavy tails": lambda **options: bm.Mixture(2, family=bm.StudentT(), **options),
    "factors": lambda **options: bm.Mixture(2, family=bm.FactorAnalytic(1), **options),
    "logarithms": lambda **options: bm.Mixture(2, family=bm.Gamma(), **options),
    "one plain run": lambda **options: bm.GaussianMixture(3, search=None, **options),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_passes_that_are_kept_are_not_made_again(case, tmp_path, often, monkeypatch):
    rows = {"counts": np.abs(np.round(X)), "logarithms": np.abs(X)}.get(case, X)
    kept = {**OPTIONS, "checkpoint": tmp_path}
    whole, first = CASES[case](**OPTIONS).fit(rows), CASES[case](**kept).fit(rows)
    made = passes_made(monkeypatch)
    again = CASES[case](**kept).fit(rows)
    assert not made
    for each in (first, again):
        assert each.objective_trace_.tobytes() == whole.objective_trace_.tobytes()
        assert each.score_samples(rows).tobytes() == whole.score_samples(rows).tobytes()


def test_a_fit_goes_on_where_its_iterations_ended(tmp_path, often, monkeypatch):
    options = {**OPTIONS, "search": None, "acceleration": None, "tol": 0.0}
    with pytest.warns(ConvergenceWarning):
        bm.GaussianMixture(4, max_iter=20, checkpoint=tmp_path, **options).fit(X)
    made = passes_made(monkeypatch)
    with pytest.warns(ConvergenceWarning):
        bm.GaussianMixture(4, max_iter=25, checkpoint=tmp_path, **options).fit(X)
    assert len(made) == 5


def test_passes_of_some_milliseconds_are_not_kept(tmp_path):
    bm.GaussianMixture(2, checkpoint=tmp_path, **OPTIONS).fit(X)
    assert [path.name for path in tmp_path.iterdir()] == ["fit.json"]


def test_a_fit_without_a_seed_takes_up_the_first_one(tmp_path, often):
    options = {**OPTIONS, "random_state": None, "checkpoint": tmp_path}
    one, other = (bm.GaussianMixture(4, **options).fit(X) for _ in range(2))
    assert_same_fit(one, other)


def test_a_full_disk_is_said_once_and_the_fit_goes_on(tmp_path, often, monkeypatch):
    write = passes.write

    def full(place, content):
        if place.name == "fit.json":  # says what the passes belong to; without it there is an error
            return write(place, content)
        raise FileAccessError(f"{place} cannot be written: {os.strerror(errno.ENOSPC)}")

    whole = bm.GaussianMixture(4, **OPTIONS).fit(X)
    monkeypatch.setattr(passes, "write", full)
    with pytest.warns(BayesmixWarning, match="continues, but its checkpoint") as heard:
        fitted = bm.GaussianMixture(4, checkpoint=tmp_path, **OPTIONS).fit(X)
    assert len(heard) == 1
    assert_same_fit(fitted, whole)


def test_what_found_no_room_is_written_when_there_is_some(tmp_path, often, monkeypatch):
    kept, write, n_times = {**OPTIONS, "checkpoint": tmp_path}, passes.write, [0]

    def full_at_first(place, content):
        n_times[0] += place.name != "fit.json"
        if n_times[0] <= 3 and place.name != "fit.json":
            raise FileAccessError(f"{place} cannot be written: {os.strerror(errno.ENOSPC)}")
        write(place, content)

    monkeypatch.setattr(passes, "write", full_at_first)
    monkeypatch.setattr(passes, "SECONDS_BETWEEN_FILES", -1.0)  # after every pass
    with pytest.warns(BayesmixWarning, match="continues, but its checkpoint"):
        bm.GaussianMixture(4, **kept).fit(X)
    made = passes_made(monkeypatch)
    bm.GaussianMixture(4, **kept).fit(X)
    assert not made


def test_that_passes_of_many_components_are_not_kept_is_said(tmp_path, often):
    rows = np.random.default_rng(0).normal(size=(3000, 2))
    options = {**OPTIONS, "search": None, "max_iter": 2, "checkpoint": tmp_path}
    with (
        pytest.warns(ConvergenceWarning),
        pytest.warns(BayesmixWarning, match="more than 100 components are repeated"),
    ):
        bm.GaussianMixture(101, covariance_type="spherical", **options).fit(rows)


def test_a_damaged_file_is_named(tmp_path, often):
    model = bm.GaussianMixture(3, checkpoint=tmp_path, **OPTIONS).fit(X)
    place = min(tmp_path.glob("*.passes"))
    content = place.read_bytes()
    for damaged in (b"", content[:-1], content[:200] + b"\0" + content[201:]):
        place.write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=place.name):
            model.fit(X)


def test_another_fit_is_refused_by_what_differs(tmp_path):
    bm.GaussianMixture(2, checkpoint=tmp_path, **OPTIONS).fit(X)
    with pytest.raises(InvalidInputError, match="belongs to a fit with other n_components"):
        bm.GaussianMixture(3, checkpoint=tmp_path, **OPTIONS).fit(X)
    with pytest.raises(InvalidInputError, match="belongs to a fit with other rows"):
        bm.GaussianMixture(2, checkpoint=tmp_path, **OPTIONS).fit(X + 1.0)


def test_the_candidates_of_a_search_keep_no_checkpoint_of_their_own(tmp_path):
    search = bm.MixtureSearch(bm.GaussianMixture(checkpoint=tmp_path), (1, 2), random_state=0)
    with pytest.raises(InvalidInputError, match="checkpoint is a parameter of the search"):
        search.fit(X)
