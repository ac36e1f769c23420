"""Files that are there whole or not at all, at places that are looked at before work begins."""

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
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.ENAMETOOLONG: "shorten the name",
}


def file_to_write(path: Any, name: str = "path") -> Path:
    """The place of a file to write, links followed: in a folder, and no folder or device itself.

    Raises
    ------
    InvalidInputError
        For what is no such place.
    """
    place = _place(path, name)
    kind = _kind(place)
    _check_parent(place, name)
    if stat.S_ISDIR(kind):
        raise InvalidInputError(f"{name} must name a file, and {place} is a folder")
    if kind and not stat.S_ISREG(kind):
        raise InvalidInputError(
            f"{name} must name a file, and {place} is a device or a pipe, which is never replaced"
        )
    return place


def folder_to_write(path: Any, name: str, parents: bool = False) -> Path:
    """A folder that can be written, made where it is not there; ``parents``: those above it too."""
    place = _place(path, name)
    kind = _kind(place)
    if kind and not stat.S_ISDIR(kind):
        raise InvalidInputError(f"{name} must name a folder, and {place} is a file")
    if not parents:
        _check_parent(place, name)
    with naming(place, "made"):
        place.mkdir(parents=parents, exist_ok=True)
    try_to_write(place)
    return place


def try_to_write(folder: Path) -> None:
    """``FileAccessError`` where no file can be made in a folder: said before the work, not after.

    Tried, since permissions do not tell: not of disks that are read-only, nor to root.
    """
    trial = folder / _partial_name()
    with naming(folder, "written to"):
        trial.touch(exist_ok=False)
        trial.unlink()


def write(place: Path, content: bytes) -> None:
    """All of a file, or what was there before; ``FileAccessError`` names it."""
    with written(place) as stream:
        stream.write(content)


@contextlib.contextmanager
def written(place: Path) -> Iterator[BinaryIO]:
    """A stream into a file beside the place, which takes its name once all is written."""
    # A short name: that of the place may be as long as names can be.
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
    """What the system refuses, as an error that names the place."""
    try:
        yield
    except OSError as problem:
        remedy = REMEDIES.get(problem.errno or 0, otherwise)
        reason = problem.strerror or str(problem)
        error = FileAccessError(f"{place} cannot be {done}: {reason.lower()}; {remedy}")
        error.errno = problem.errno
        raise error from problem


def _partial_name() -> str:
    return f".{secrets.token_hex(8)}{PARTIAL}"


def path_text(name: str, path: Any) -> str:
    """A path as text."""
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
    except ValueError as problem:  # a NUL, or a character that no file's name can hold
        raise InvalidInputError(
            f"{name} must be one that a file can have, got {path!r} ({problem})"
        ) from None


def _check_parent(place: Path, name: str) -> None:
    if not os.path.isdir(place.parent):
        raise InvalidInputError(
            f"{name} must lie in a folder that is there, and {place.parent} is none: make it first"
        )


def _kind(place: Path) -> int:
    """What is there, as ``stat`` says; 0 where nothing is."""
    with naming(place, "reached"):
        try:
            return place.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return 0
