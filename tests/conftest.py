"""Fixtures that several files of tests share."""

import pytest

import bayesmix as bm


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

    from bayesmix.cli.app import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", str(width))

    def invoke(*arguments, code=0, stdin=None):
        words = [str(each) for each in arguments]
        result = CliRunner().invoke(app, words, prog_name="bayesmix", input=stdin)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        assert result.exit_code == code, result.output
        return result

    return invoke
