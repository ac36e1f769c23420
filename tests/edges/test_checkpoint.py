"""Searches that are killed, or kept on a full disk, end the same; files of others run nothing."""

import contextlib
import copy
import dataclasses
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from alike import alike
from hypothesis import given, settings
from hypothesis import strategies as st
from saved_models import BITS, COUNTS
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import bayesmix as bm
from bayesmix.errors import (
    BayesmixError,
    BayesmixWarning,
    DamagedFileError,
    FileAccessError,
    InvalidInputError,
)
from bayesmix.estimators.select import comparable
from bayesmix.io import checkpoints as checkpoint
from bayesmix.io.checkpoints import said
from bayesmix.io.container import FINISHED_FIT, PREAMBLE, pack, unpack
from bayesmix.selection.tasks import Task

FAITHFUL = bm.datasets.load_faithful()
ROWS = FAITHFUL.to_numpy()[::4]
SEARCH = {"n_components": (1, 2, 3), "covariance_type": ("full", "diag"), "random_state": 5}


def search_in(folder, **options):
    return bm.MixtureSearch(**{**SEARCH, **options}, checkpoint=folder, n_jobs=1)


def made(monkeypatch):
    """The fits that are made from now on."""
    fit, seen = Task.__call__, []

    def noted(task, *candidate):
        seen.append(candidate)
        return fit(task, *candidate)

    monkeypatch.setattr(Task, "__call__", noted)
    return seen


def untimed(table):
    return table.drop(columns=[name for name in ("seconds",) if name in table])


def same_answers(one, other, X):
    for name in ("results_", "folds_", "restarts_"):
        tables = [untimed(getattr(search, name)) for search in (one, other)]
        pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert one.best_params_ == other.best_params_
    assert np.array_equal(one.score_samples(X), other.score_samples(X))


# Killed


def by_folds(folder):
    return search_in(folder, n_components=(1, 2, 3, 4), criterion="cv", cv=3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.slow
def test_a_search_killed_at_random_moments_ends_with_the_same_table(tmp_path):
    X = FAITHFUL.to_numpy()
    whole = by_folds(None).fit(X)
    moments = random.Random(7)
    kept = []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            by_folds(tmp_path / "kept").fit(X)
            os._exit(0)
        time.sleep(moments.uniform(0.02, 0.25))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kept.append(len(list((tmp_path / "kept").glob("*.fit"))))
    assert kept == sorted(kept)
    same_answers(by_folds(tmp_path / "kept").fit(X), whole, X)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks two searches")
@pytest.mark.slow
def test_two_processes_on_one_checkpoint_both_end_with_the_same_table(tmp_path):
    whole = search_in(None, criterion="cv", cv=3).fit(ROWS)
    children = []
    for number in range(2):
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException):
                found = search_in(tmp_path / "kept", criterion="cv", cv=3).fit(ROWS)
                untimed(found.results_).to_pickle(tmp_path / f"{number}.table")
                status = 0
            os._exit(status)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    for number in range(2):
        table = pd.read_pickle(tmp_path / f"{number}.table")
        pd.testing.assert_frame_equal(table, untimed(whole.results_), check_exact=True)
    same_answers(search_in(tmp_path / "kept", criterion="cv", cv=3).fit(ROWS), whole, ROWS)


# What is kept comes back


class Stretched(TransformerMixin, BaseEstimator):
    """A step that comes out another each time it is fitted."""

    def fit(self, X, y=None):
        self.factor_ = np.random.default_rng().uniform(1.0, 2.0)
        return self

    def transform(self, X):
        return X * self.factor_


def mean_gain(result, source):
    return bm.Score(result.log_likelihood / source.total_weight, 0.5, "by hand")


KINDS = {
    "every structure": (
        {"covariance_type": ("full", "tied", "diag", "spherical"), "n_components": (2,)},
        ROWS,
    ),
    "names of columns": ({}, FAITHFUL[::4]),
    "folds": ({"criterion": "cv", "cv": 3, "n_components": (1, 2)}, ROWS),
    "the rule and others": (
        {
            "estimator": comparable(),
            "criterion": "auto",
            "also": ("cv", "evidence", "loo"),
            "n_components": (1, 2),
            "covariance_type": "diag",
        },
        ROWS,
    ),
    "one's own criterion": ({"criterion": mean_gain}, ROWS),
    "a number as it is": ({"criterion": lambda result, source: result.objective}, ROWS),
    "a prior": ({"estimator": bm.GaussianMixture(prior="auto")}, ROWS),
    "failed": ({"n_components": (2, 80)}, ROWS),
    "collapsed": ({"n_components": (1, 2, 3)}, np.vstack([ROWS, np.full((9, 2), 300.0)])),
    "not converged": ({"estimator": bm.GaussianMixture(max_iter=2, search=None)}, ROWS),
    "counts": (
        {"estimator": bm.Mixture(family=bm.Poisson()), "covariance_type": None},
        COUNTS,
    ),
    "binary": (
        {
            "estimator": bm.Mixture(family=bm.Bernoulli(), inference=bm.VariationalBayes()),
            "covariance_type": None,
            "criterion": "elbo",
        },
        BITS,
    ),
    "a grid": ({"param_grid": {"reg_covar": [0.0, 1e-3]}}, ROWS),
    "a pipeline": (
        {"estimator": make_pipeline(StandardScaler(), PCA(), bm.GaussianMixture())},
        ROWS,
    ),
    "a pipeline by folds": (
        {"estimator": make_pipeline(StandardScaler(), bm.GaussianMixture()), "criterion": "cv"},
        ROWS,
    ),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::bayesmix.errors.BayesmixWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_search_fits_nothing_and_is_equal_to_the_bit(kind, tmp_path, monkeypatch):
    options, X = KINDS[kind]
    whole = search_in(None, **options).fit(X)
    search_in(tmp_path / "kept", **options).fit(X)
    fitted_again = made(monkeypatch)
    resumed = search_in(tmp_path / "kept", **options).fit(X)
    assert fitted_again == []
    same_answers(resumed, whole, X)
    for one, other in zip(resumed._rows, whole._rows, strict=True):
        for field in dataclasses.fields(one):
            if field.name not in ("seconds", "estimator"):
                pair = getattr(one, field.name), getattr(other, field.name)
                assert alike(*pair), field.name
        assert (one.estimator is None) == (other.estimator is None)
        if one.estimator is not None:
            same_estimators(one.estimator, other.estimator)


def same_estimators(one, other):
    for mine, theirs in zip(
        *(
            [each] if not hasattr(each, "steps") else [s for _, s in each.steps]
            for each in (one, other)
        ),
        strict=True,
    ):
        assert repr(clone(mine)) == repr(clone(theirs))
        assert vars(mine).keys() == vars(theirs).keys()
        for name in vars(mine):
            if name == "result_":
                pair = [dataclasses.replace(each.result_, seconds=0.0) for each in (mine, theirs)]
                assert alike(*pair)
            elif name.endswith("_"):
                assert alike(vars(mine)[name], vars(theirs)[name]), name


@pytest.mark.slow
def test_steps_that_do_not_come_out_as_they_were_are_fitted_anew(tmp_path, monkeypatch):
    search = search_in(
        tmp_path / "kept", estimator=make_pipeline(Stretched(), bm.GaussianMixture())
    ).fit(ROWS)
    fitted_again = made(monkeypatch)
    again = clone(search).fit(ROWS)
    assert len(fitted_again) == 6
    steps, mixture = again.best_estimator_[:-1], again.best_estimator_[-1]
    assert mixture.result_.log_likelihood == pytest.approx(
        mixture.score_samples(steps.transform(ROWS)).sum()
    )


def test_what_no_file_can_hold_is_a_warning_and_the_search_goes_on(tmp_path):
    class OwnFamily(bm.Gaussian):
        """A family of somebody else."""

    options = {"estimator": bm.Mixture(family=OwnFamily()), "covariance_type": None}
    whole = search_in(None, **options).fit(ROWS)
    with pytest.warns(BayesmixWarning, match="family should be FamilyOf and is OwnFamily") as heard:
        found = search_in(tmp_path / "kept", **options).fit(ROWS)
    assert len(heard) == 1
    same_answers(found, whole, ROWS)


# Which search


def test_a_checkpoint_belongs_to_one_search(tmp_path):
    X = ROWS

    def again(**options):
        return search_in(tmp_path / "kept", **{"random_state": None, **options})

    search = again().fit(X)
    resumed = again().fit(X)  # without a seed: the first one is taken up
    assert resumed.results_["bic"].tolist() == search.results_["bic"].tolist()
    assert resumed.results_["seconds"].tolist() == search.results_["seconds"].tolist()
    with pytest.raises(ValueError, match="other rows"):
        again().fit(X + 1.0)
    with pytest.raises(ValueError, match="other weights"):
        again().fit(X, sample_weight=np.full(len(X), 2.0))
    with pytest.raises(ValueError, match="other cv"):
        again(cv=4).fit(X)
    with pytest.raises(ValueError, match="other random_state"):
        again(random_state=2).fit(X)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(ValueError, match="contains other files"):
        search_in(tmp_path / "mine").fit(X)
    with pytest.raises(ValueError, match="is a file"):
        search_in(tmp_path / "mine" / "thesis.txt").fit(X)


def test_settings_that_differ_are_told_apart():
    long = np.arange(2000.0).reshape(1000, 2)
    other = long.copy()
    other[500, 1] += 1.0
    one, two = (
        make_pipeline(StandardScaler(), bm.GaussianMixture(1000, means_init=means))
        for means in (long, other)
    )
    assert said(one) != said(two)
    assert said(one) == said(clone(one))
    assert said({"a": [1, (2, "x")]}) != said({"a": [1, (2, "y")]})
    assert said(search_in) != said(made)
    # Deep in a prior as well, where NumPy prints eight digits.
    priors = [bm.GaussianPrior(mean=np.array([value, 0.0])) for value in (1.0, 1.0 + 1e-12)]
    assert said(priors[0]) != said(priors[1])


def test_rows_of_objects_are_the_same_rows_again(tmp_path, monkeypatch):
    X = pd.DataFrame(ROWS).astype(object)
    assert checkpoint.fingerprint(X) == checkpoint.fingerprint(copy.deepcopy(X))
    assert checkpoint.fingerprint(X) != checkpoint.fingerprint(X + 1.0)


def test_pickles_of_earlier_versions_are_refused_by_name(tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "search.json").write_text(json.dumps({"rows": "0", "version": "0.1.0", "seed": 5}))
    (folder / "candidate-0-all.fit").write_bytes(pickle.dumps(trap(tmp_path)))
    with pytest.raises(InvalidInputError, match=r"kept contains pickles.*use another folder"):
        search_in(folder).fit(ROWS)
    assert not (tmp_path / "sprung").exists()


# Files of others


def trap(tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    return Trap()


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A checkpoint, one of its files, and what that holds."""
    folder = tmp_path_factory.mktemp("checkpoint") / "kept"
    small_search(folder)
    (place,) = folder.glob("candidate-1-all-*.fit")
    return folder, place, place.read_bytes()


def small_search(folder):
    return search_in(folder, covariance_type="diag", n_components=(1, 2)).fit(ROWS)


def damaged(kept, content):
    folder, place, whole = kept
    place.write_bytes(content)
    try:
        with pytest.raises(DamagedFileError) as problem:
            small_search(folder)
    finally:
        place.write_bytes(whole)
    assert str(place) in str(problem.value)
    assert "\n" not in str(problem.value)
    return str(problem.value)


def test_a_pickle_in_a_checkpoint_is_never_opened(kept, tmp_path):
    assert "looks like a pickle" in damaged(kept, pickle.dumps(trap(tmp_path)))
    assert not (tmp_path / "sprung").exists()


def test_models_and_fits_are_not_taken_for_one_another(kept, tmp_path):
    model = bm.GaussianMixture(2, random_state=0).fit(ROWS)
    model.save(tmp_path / "model")
    assert "looks like a model" in damaged(kept, (tmp_path / "model").read_bytes())
    with pytest.raises(DamagedFileError, match="looks like a fit of a checkpoint"):
        bm.load(kept[1])


def test_a_fit_under_the_name_of_another_is_noticed(kept):
    (other,) = kept[0].glob("candidate-0-all-*.fit")
    assert "contains another fit; delete it" in damaged(kept, other.read_bytes())


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.slow
def test_flipped_bytes_and_other_lengths_are_always_noticed(kept, data):
    content = kept[2]
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[place] ^= data.draw(st.integers(1, 255))
    said = damaged(kept, bytes(flipped))
    assert "checksum" in said or place < PREAMBLE.size
    assert ("truncated" if place else "is empty") in damaged(kept, content[:place])
    longer = content + b"x" * data.draw(st.integers(1, 9))
    assert "lengths do not fit" in damaged(kept, longer)


VALUES = (None, True, -1, 1e308, "x", [], {}, {"array": 0}, {"tuple": []}, {"float": "nan"})


def places(value, here=()):
    """Every place in a JSON value but the whole."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield (*here, key)
        if isinstance(value[key], dict | list):
            yield from places(value[key], (*here, key))


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.slow
def test_any_change_of_a_header_under_its_seal_gives_a_search_or_the_error(kept, seed):
    folder, place, whole = kept
    draw = random.Random(seed)
    with open(place, "rb") as stream:
        header, arrays = unpack(stream, FINISHED_FIT)
    for _ in range(draw.randint(1, 3)):
        where = draw.choice(list(places(header)))
        holder = header
        for key in where[:-1]:
            holder = holder[key]
        if draw.random() < 0.3:
            del holder[where[-1]]
        else:
            holder[where[-1]] = copy.deepcopy(draw.choice(VALUES))
    place.write_bytes(pack(header, arrays, FINISHED_FIT))
    try:
        with contextlib.suppress(DamagedFileError):
            assert small_search(folder).best_estimator_.n_components_ in (1, 2)
    finally:
        place.write_bytes(whole)


@settings(max_examples=60)
@given(content=st.one_of(st.binary(max_size=60), st.sampled_from([b"[]", b"{}", b'{"seed":"x"}'])))
def test_what_says_which_search_it_is_may_hold_anything(kept, content):
    place = kept[0] / "search.json"
    whole = place.read_bytes()
    place.write_bytes(content)
    try:
        with pytest.raises(BayesmixError, match=r"kept.*"):
            small_search(kept[0])
    finally:
        place.write_bytes(whole)


# Disks


def failing(monkeypatch, times):
    """``os.replace`` as on a full disk, so many times."""
    replace, left = os.replace, [times]

    def full(*paths):
        if str(paths[1]).endswith(".fit") and left[0]:
            left[0] -= 1
            raise OSError(28, "No space left on device")
        return replace(*paths)

    monkeypatch.setattr(os, "replace", full)


@pytest.mark.slow
def test_a_search_outlives_a_full_disk_and_says_so_once(tmp_path, monkeypatch):
    whole = search_in(None).fit(ROWS)
    with monkeypatch.context() as patch:
        failing(patch, 4)
        with pytest.warns(
            BayesmixWarning, match=r"continues.*fit cannot be written.*full|space"
        ) as heard:
            found = search_in(tmp_path / "kept").fit(ROWS)
    assert len(heard) == 1
    same_answers(found, whole, ROWS)
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert len(kept) == 3  # the search, and the two that came after
    fitted_again = made(monkeypatch)
    same_answers(search_in(tmp_path / "kept").fit(ROWS), whole, ROWS)
    assert len(fitted_again) == 4


LIMITED = """
import resource, sys, warnings
import bayesmix as bm
from bayesmix.estimators.select import comparable
from bayesmix.core import parallel

parallel.SECONDS_ALONE = -1.0
resource.setrlimit(resource.RLIMIT_FSIZE, (1200, 1200))
search = bm.MixtureSearch(
    comparable(), (1, 2), ("full", "diag"), criterion="auto", random_state=5,
    n_jobs=int(sys.argv[1]), checkpoint=sys.argv[2],
)
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    search.fit(bm.datasets.load_faithful().to_numpy()[::4])
print(*(each.message for each in heard), sep="\\n")
print(search.best_score_.hex())
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_search_outlives_a_limit_on_the_size_of_files(n_jobs, tmp_path):
    """In workers too, whose warnings nobody hears; said once."""
    search = bm.MixtureSearch(
        comparable(), (1, 2), ("full", "diag"), criterion="auto", random_state=5, n_jobs=1
    )
    search.fit(ROWS)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(n_jobs), str(tmp_path / "kept")],
        cwd=Path(bm.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("continues") == 1
    assert "cannot be written: file too large; raise the limit" in done.stdout
    assert done.stdout.splitlines()[-1] == search.best_score_.hex()
    assert not list((tmp_path / "kept").glob("*-all-*.fit"))


def test_a_folder_above_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(
        InvalidInputError, match=r"checkpoint must be in an existing folder.*missing does not exist"
    ):
        search_in(tmp_path / "missing" / "a").fit(ROWS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, 3])
def test_names_that_no_folder_can_have(name, tmp_path):
    place = name if isinstance(name, int) else os.path.join(tmp_path, name)
    with pytest.raises((InvalidInputError, FileAccessError), match=r"checkpoint must be|too long"):
        search_in(place).fit(ROWS)


def test_a_folder_that_cannot_be_written_is_noticed_before_any_fit(tmp_path, monkeypatch):
    fitted = made(monkeypatch)
    (tmp_path / "kept").mkdir()

    def refused(path, *arguments, **options):
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "touch", refused)
    with pytest.raises(FileAccessError, match="kept cannot be written to: read-only file system"):
        search_in(tmp_path / "kept").fit(ROWS)
    assert fitted == []
