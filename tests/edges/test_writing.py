"""Where files cannot be written: one clear error that names the place, and what was there stays."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bayesmix as bm
from bayesmix.errors import BayesmixError, FileAccessError, InvalidInputError
from bayesmix.report.page import page
from bayesmix.shell.app import app
from bayesmix.sources import writing
from bayesmix.sources.writing import write

FAITHFUL = bm.datasets.load_faithful()
MODEL = bm.GaussianMixture(2, search=None, random_state=0).fit(FAITHFUL)


@pytest.fixture(scope="module")
def search():
    return bm.MixtureSearch(n_components=(1, 2, 3), random_state=0).fit(FAITHFUL)


@pytest.fixture(params=["save", "report"])
def written(request, search, monkeypatch):
    """What writes a file at a path, without the figures."""
    monkeypatch.setattr("bayesmix.report.figures.svg", lambda draw, size, height: b"<svg/>")
    return MODEL.save if request.param == "save" else search.report


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "no space left on device; free some"),
        (errno.EFBIG, r"file too large; raise the limit on file sizes \(ulimit -f\)"),
        (errno.EROFS, "read-only file system; name another place"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_the_system_refuses_names_the_file_and_changes_nothing(
    number, said, call, written, tmp_path, monkeypatch
):
    path = tmp_path / "kept"
    path.write_text("before")

    def refused(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, call, refused)
    with pytest.raises(FileAccessError, match=f"{path} cannot be written: {said}") as problem:
        written(path)
    assert isinstance(problem.value, OSError)
    assert isinstance(problem.value, ValueError)
    assert problem.value.errno == number
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


LIMITED = """
import resource, sys
import bayesmix as bm

model = bm.GaussianMixture(2, search=None, random_state=0).fit(bm.datasets.load_faithful())
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    model.save(sys.argv[1])
except bm.errors.FileAccessError as problem:
    print(problem)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_limit_on_the_size_of_files_leaves_what_was_there(tmp_path):
    path = tmp_path / "kept"
    path.write_text("before")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, path],
        cwd=Path(bm.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"{path} cannot be written: file too large" in done.stdout
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("device", ["/dev/full", "/dev/null", "/dev/stdout"])
def test_devices_are_refused_and_stay(device, written):
    if stat.S_ISREG(os.stat(device).st_mode):
        pytest.skip("a file stands behind it")
    before = os.lstat(device)
    with pytest.raises(InvalidInputError, match="is a device or a pipe, which is never replaced"):
        written(device)
    assert os.lstat(device) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_pipes_are_refused_and_stay(written, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInputError, match="never replaced"):
        written(tmp_path / "pipe")
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)
    with pytest.raises(BayesmixError, match="pipe is not a file"):
        bm.load(tmp_path / "pipe")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no /proc")
def test_places_that_hold_no_files_are_refused(written):
    with pytest.raises(FileAccessError, match=r"/proc.* cannot be written"):
        written("/proc/self/model")


def test_a_name_as_long_as_names_can_be_works(written, tmp_path):
    written(tmp_path / ("x" * 250))
    assert [len(path.name) for path in tmp_path.iterdir()] == [250]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x" * 300, "name too long; shorten the name"),
        ("a\0b", "path must be a valid file name"),
        ("\ud800", "path must be a valid file name"),
        ("file/model", "file does not exist: create it first"),
        ("none/model", "none does not exist: create it first"),
        ("", "is a folder"),
    ],
)
def test_names_that_no_file_can_have(name, said, written, tmp_path):
    (tmp_path / "file").write_text("before")
    with pytest.raises(BayesmixError, match=said):
        written(os.path.join(tmp_path, name))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("path", [None, 3, ["model"]])
def test_what_is_no_path_is_a_type_error(path, written):
    with pytest.raises(TypeError, match="path must be the path of a file or a folder"):
        written(path)


def test_what_cannot_be_read_names_the_file(tmp_path, monkeypatch):
    MODEL.save(tmp_path / "model")

    def refused(*arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(FileAccessError, match="model cannot be read: permission denied; check its"):
        bm.load(tmp_path / "model")


def test_ctrl_c_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "kept"
    path.write_text("before")

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(path, b"after")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


# Noticed before the work


@pytest.fixture
def read_only(monkeypatch):
    """No file can be made anywhere."""

    def refused(path, *arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refused)


def test_a_report_that_cannot_be_written_is_refused_before_it_is_made(
    search, tmp_path, read_only, monkeypatch
):
    made = []
    monkeypatch.setattr("bayesmix.report.page.page", lambda *a: made.append(a) or page(*a))
    with pytest.raises(FileAccessError, match="cannot be written to: read-only file system"):
        search.report(tmp_path / "report.html")
    assert made == []


@pytest.mark.parametrize(
    "words",
    [
        ["select", "rows.csv", "--out", "found"],
        ["select", "rows.csv", "--report"],
        ["fit", "rows.csv", "--components", "2", "--out", "found"],
        ["predict", "model.bayesmix", "rows.csv", "--out", "labels.csv"],
    ],
)
def test_the_shell_notices_before_the_work(words, tmp_path, monkeypatch, read_only):
    monkeypatch.chdir(tmp_path)
    FAITHFUL.to_csv("rows.csv", index=False)
    MODEL.save("model.bayesmix")

    def worked(*arguments, **options):
        raise AssertionError("the work had begun")

    monkeypatch.setattr("bayesmix.search.fit.fit", worked)
    monkeypatch.setattr("bayesmix.estimators.base.fit", worked)
    monkeypatch.setattr("bayesmix.estimators.base.MixtureEstimator.predict_proba", worked)
    done = CliRunner().invoke(app, words, prog_name="bayesmix")
    assert done.exit_code == 2
    assert "cannot be written to: read-only file system" in done.output


@pytest.mark.parametrize(
    "words",
    [
        ["select", "rows.csv", "--components", "1,2", "--out", "found"],
        ["predict", "model.bayesmix", "rows.csv", "--out", "labels.csv"],
    ],
)
def test_a_full_disk_in_the_shell_is_one_line_and_nothing_is_torn(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FAITHFUL.to_csv("rows.csv", index=False)
    MODEL.save("model.bayesmix")

    def full(*paths):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    done = CliRunner().invoke(app, words, prog_name="bayesmix")
    assert done.exit_code == 2
    assert "cannot be written: no space left on device" in done.output
    left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(left) == ["model.bayesmix", "rows.csv"]


def test_all_that_is_written_goes_through_one_function():
    package = Path(writing.__file__).parents[1]
    ways = (
        "os.replace(",
        "write_text(",
        "write_bytes(",
        "mkstemp(",
        '"wb"',
        '"xb"',
        "savefig(path",
    )
    found = {
        (str(path.relative_to(package)), way)
        for path in package.rglob("*.py")
        for way in ways
        if way in path.read_text("utf-8")
    }
    assert found == {("sources/writing.py", "os.replace("), ("sources/writing.py", '"xb"')}
    # What travels between a client and its workers is pickled; no file that a person hands on is.
    pickling = [
        path for path in package.rglob("*.py") if "import pickle" in path.read_text("utf-8")
    ]
    named = sorted(path.relative_to(package).as_posix() for path in pickling)
    assert named == ["sources/local_workers.py"]
