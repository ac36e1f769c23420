"""Atomic writing of files, at paths that are checked before the computation."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from bayesmix.errors import FileAccessError, InvalidInputError, InvalidTypeError

PARTIAL = ".partial"
REMEDIES = {
    errno.ENOSPC: "free some, or name a place on another disk",
    errno.EDQUOT: "free some, or name a place on another disk",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f)",
    errno.ENAMETOOLONG: "shorten the name",
}


def file_to_write(path: Any, name: str = "path") -> Path:
    """Return the resolved path of a file in an existing folder; ``InvalidInputError`` if none."""
    place = _place(path, name)
    kind = _kind(place)
    _check_parent(place, name)
    if stat.S_ISDIR(kind):
        raise InvalidInputError(f"{name} must name a file, but {place} is a folder")
    if kind and not stat.S_ISREG(kind):
        raise InvalidInputError(
            f"{name} must name a file, but {place} is a device or a pipe, which is never replaced"
        )
    return place


def folder_to_write(path: Any, name: str, parents: bool = False) -> Path:
    """Return a writable folder, created if missing; ``parents`` also creates those above."""
    place = _place(path, name)
    kind = _kind(place)
    if kind and not stat.S_ISDIR(kind):
        raise InvalidInputError(f"{name} must name a folder, but {place} is a file")
    if not parents:
        _check_parent(place, name)
    with naming(place, "made"):
        place.mkdir(parents=parents, exist_ok=True)
    try_to_write(place)
    return place


def try_to_write(folder: Path) -> None:
    """Raise ``FileAccessError`` if no file can be created in a folder.

    A trial file is written, as permissions do not cover read-only disks or root.
    """
    trial = folder / _partial_name()
    with naming(folder, "written to"):
        trial.touch(exist_ok=False)
        trial.unlink()


def write(place: Path, content: bytes) -> None:
    """Write a file completely or leave the old one; errors are ``FileAccessError``."""
    with written(place) as stream:
        stream.write(content)


@contextlib.contextmanager
def written(place: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that replaces ``place`` once it is complete."""
    # A short name, as that of the place may have the maximal length.
    partial = place.with_name(_partial_name())
    with naming(place, "written"):
        try:
            with open(partial, "xb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(partial, place)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise


@contextlib.contextmanager
def naming(place: Any, done: str, otherwise: str = "name another place") -> Iterator[None]:
    """Convert errors of the system to ``FileAccessError`` with the path."""
    try:
        yield
    except OSError as problem:
        remedy = REMEDIES.get(problem.errno or 0, otherwise)
        reason = problem.strerror or str(problem)
        error = FileAccessError(f"{place} cannot be {done}: {reason.lower()}; {remedy}")
        error.errno = problem.errno
        raise error from problem


def absent(what: str, path: str) -> FileAccessError:
    """Return the error for a file that does not exist."""
    error = FileAccessError(f"path must name {what}, but {path} does not exist")
    error.errno = errno.ENOENT
    return error


def _partial_name() -> str:
    return f".{secrets.token_hex(8)}{PARTIAL}"


def path_text(name: str, path: Any) -> str:
    """Return a path as text."""
    try:
        return os.fsdecode(path)
    except TypeError:
        raise InvalidTypeError(
            f"{name} must be the path of a file or a folder, got {type(path).__name__}"
        ) from None


def _place(path: Any, name: str) -> Path:
    text = path_text(name, path)
    try:
        return Path(os.path.realpath(text))
    except ValueError as problem:  # e.g. a NUL character
        raise InvalidInputError(
            f"{name} must be a valid file name, got {path!r} ({problem})"
        ) from None


def _check_parent(place: Path, name: str) -> None:
    if not os.path.isdir(place.parent):
        raise InvalidInputError(
            f"{name} must be in an existing folder, but {place.parent} does not exist: create it "
            "first"
        )


def _kind(place: Path) -> int:
    """Return the file mode by ``stat``, 0 if there is no file."""
    with naming(place, "reached"):
        try:
            return place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0
