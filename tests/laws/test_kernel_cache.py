"""Kernels on disk: nothing in a cache ends a fit, and no bit depends on what was there."""

import errno
import gc
import importlib
import logging
import os
import re
import sys
import threading

import numpy as np
import pytest

pytest.importorskip("numba")

import numba as nb

import bayesmix as bm
from bayesmix.engine.compiled_steps import linear_pass
from bayesmix.errors import FileAccessError
from bayesmix.numerics import compiled, kernel_cache
from bayesmix.numerics.warm_up import KERNELS, VALUES, signature
from bayesmix.records import Known, Rows, centred_pass


@pytest.fixture
def doubling(tmp_path, monkeypatch):
    """Makes, each time it is called, the same small kernel as a new process would."""
    (tmp_path / "doubling.py").write_text("def double(x):\n    return 2.0 * x\n")
    monkeypatch.syspath_prepend(tmp_path)  # a kernel from disk imports its module by name

    def made():
        sys.modules.pop("doubling", None)
        gc.collect()  # Numba finds what an earlier kernel has left alive
        return kernel_cache.with_cache(nb.njit(importlib.import_module("doubling").double))

    yield made
    sys.modules.pop("doubling", None)


def _hits_after_a_call(kernel):
    assert kernel(21.0) == 42.0
    return sum(kernel.stats.cache_hits.values())


def _only_file(folder):
    (place,) = folder.rglob("*.kernel")
    return place


def test_what_was_compiled_is_found_by_the_next_process(doubling):
    assert _hits_after_a_call(doubling()) == 0
    assert _hits_after_a_call(doubling()) == 1


def test_who_compiles_says_so_once_and_who_loads_says_nothing(doubling, caplog):
    kernel_cache._say_compiling.cache_clear()
    kernel = doubling()
    assert kernel(21.0) == 42.0
    assert kernel(21) == 42
    (record,) = caplog.records
    assert "compiles its kernels for this machine" in record.getMessage()
    kernel_cache._say_compiling.cache_clear()  # as in another process
    assert _hits_after_a_call(doubling()) == 1
    assert len(caplog.records) == 1


def test_a_process_waits_for_another_that_compiles_the_same_and_says_nothing(
    doubling, tmp_path, caplog
):
    fcntl = pytest.importorskip("fcntl")
    doubling()(21.0)
    place = _only_file(tmp_path)
    content = place.read_bytes()
    place.unlink()
    caplog.clear()
    kernel_cache._say_compiling.cache_clear()
    kernel, done = doubling(), []
    waiting = threading.Thread(target=lambda: done.append(_hits_after_a_call(kernel)))
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        place.write_bytes(content)  # the other one has ended
    waiting.join()
    assert done == [1]
    assert not caplog.records


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:20],
        lambda content: content[:-1],
        lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:],
        lambda content: b"\0" * len(content),
    ],
    ids=["empty", "no digest", "torn", "one bit", "zeros"],
)
def test_a_damaged_file_is_compiled_anew_and_replaced(doubling, tmp_path, damage):
    doubling()(21.0)
    place = _only_file(tmp_path)
    place.write_bytes(damage(place.read_bytes()))
    assert _hits_after_a_call(doubling()) == 0
    assert _hits_after_a_call(doubling()) == 1


def test_what_cannot_be_read_is_compiled_anew(doubling, tmp_path):
    doubling()(21.0)
    place = _only_file(tmp_path)
    place.unlink()
    place.mkdir()
    kernel_cache._say_not_kept.cache_clear()
    assert _hits_after_a_call(doubling()) == 0


def test_a_full_disk_is_said_once_and_the_fit_goes_on(doubling, tmp_path, monkeypatch, caplog):
    def full(place, content):
        raise FileAccessError(f"{place} cannot be written: {os.strerror(errno.ENOSPC)}")

    monkeypatch.setattr(kernel_cache, "write", full)
    kernel_cache._say_not_kept.cache_clear()
    with caplog.at_level(logging.WARNING):
        kernel = doubling()
        assert kernel(21.0) == 42.0
        assert kernel(21) == 42.0
    (record,) = caplog.records
    assert "NUMBA_CACHE_DIR" in record.getMessage()
    assert not list(tmp_path.rglob("*.kernel"))


def test_where_no_folder_can_be_written_kernels_are_compiled_all_the_same(
    doubling, monkeypatch, caplog
):
    def nowhere(function):
        raise RuntimeError("no locator available")

    monkeypatch.setattr(kernel_cache, "KernelCache", nowhere)
    kernel_cache._say_not_kept.cache_clear()
    assert _hits_after_a_call(doubling()) == 0
    assert "cannot be kept" in caplog.text


def test_there_is_one_kernel_for_a_type_of_numbers_however_arrays_came_about(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(300, 2)) + 6.0 * rng.integers(0, 3, (300, 1))
    model = bm.GaussianMixture(3, search=None, random_state=0).fit(values)
    model.save(tmp_path / "model.bayesmix")
    loaded = bm.load(tmp_path / "model.bayesmix")  # its arrays are read-only
    weights = rng.uniform(size=300)
    weights.flags.writeable = False
    some = Known(np.arange(300), np.array([0, 100, 300]), np.array([[0, 1, 2, 1]] * 2)[:, :3])
    for mixture in (model.result_.mixture, loaded.result_.mixture):
        for known in (Known.everything(300, 3), Known.everything(300, 3, describe=True), some):
            for rows in (Rows(values), Rows(np.asfortranarray(values), weights)):
                one, _ = linear_pass(mixture, rows, known)
                other, _ = centred_pass(mixture, rows, known)
                np.testing.assert_allclose(one.totals, other.totals, rtol=1e-12, atol=1e-12)
    for kernel in KERNELS:
        expected = {signature(kernel, values) for values in VALUES}
        assert set(getattr(compiled, kernel).signatures) <= expected


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_calls_no_part_that_another_copy_could_stand_in_for(name):
    """A shared function is the copy that a process met first: bits would depend on which."""
    kernel = getattr(compiled, name)
    kernel.compile(signature(name, "float64"))
    for compiled_for in kernel.overloads.values():
        functions = compiled_for.library._get_module_for_linking().functions
        ours = [one.name for one in functions if "8numerics8compiled" in one.name]
        assert ours
        assert not [each for each in ours if not re.search(rf"\d{name}B", each)]
