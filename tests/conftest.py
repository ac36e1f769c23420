"""Fixtures that several files of tests share, and which cases of slow tests run nightly."""

from collections import Counter
from zlib import crc32

import pytest
from hypothesis import HealthCheck, settings

import bayesmix as bm

MANY_CASES = 2

# A busy machine is no fault: examples have no deadline, and their number does not depend on time.
settings.register_profile("any clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any clock")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leave half of the cases of slow tests with many to the night, the same ones every time."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    cases = Counter((item.path, item.originalname) for item in slow)
    for item in slow:
        many = cases[item.path, item.originalname] > MANY_CASES
        if many and crc32(item.name.encode()) % 2:
            item.add_marker(pytest.mark.nightly)


@pytest.fixture(scope="module")
def faithful():
    """Old Faithful, a frame."""
    return bm.datasets.load_faithful()


@pytest.fixture
def width():
    """Columns of the terminal of ``run``."""
    return 80


@pytest.fixture
def run(tmp_path, monkeypatch, width):
    """Runs a command in an empty folder, inside this process."""
    from typer.testing import CliRunner

    from bayesmix.shell.app import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))

    def invoke(*arguments, code=0, stdin=None):
        words = [str(each) for each in arguments]
        result = CliRunner().invoke(app, words, prog_name="bayesmix", input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        assert result.exit_code == code, result.output
        return result

    return invoke
