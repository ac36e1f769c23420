"""The rows of a command: a file, a text of any common separator, or what comes in at a pipe."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bayesmix.errors import InvalidInputError
from bayesmix.protocols import Source
from bayesmix.writing import write

if TYPE_CHECKING:
    from bayesmix.numerics.arrays import Booleans

Read = TypeVar("Read")
STANDARD_INPUT = "-"


def read_rows(
    path: str, columns: Sequence[str] | None, weight: str | None, missing: str = "error"
) -> Source:
    """The rows of DATA; ``-`` is standard input, which like ``.txt`` is text that names columns."""
    from bayesmix.io import read

    return of_data(path, lambda place: read(place, columns, weight, missing=missing))


def of_data(path: str, reader: Callable[[str | Path], Read]) -> Read:
    """What a reader of files makes of DATA."""
    if path != STANDARD_INPUT and not path.lower().endswith(".txt"):
        return reader(path)
    content = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
    ending, table = _separated(content)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"rows{ending}"
        write(place, table)
        try:
            return reader(place)
        except InvalidInputError as problem:
            raise type(problem)(str(problem).replace(str(place), name_of(path))) from None


def with_values(say: Callable[[str], None], rows: Source) -> tuple[Source, Booleans]:
    """The rows that have a value, and which (n,) these are: ``say`` how many others there are."""
    import numpy as np

    from bayesmix.sources import ArraySource

    if not isinstance(rows, ArraySource):
        return rows, np.ones(rows.shape[0], dtype=bool)
    some: Booleans = np.asarray(~np.isnan(rows.values).all(axis=1))
    empty = np.flatnonzero(~some)
    if not len(empty):
        return rows, some
    named = ", ".join(map(str, empty[:3] + 1)) + (", ..." if len(empty) > 3 else "")
    say(f"left out: {len(empty):,} rows without any value (row {named})")
    return rows.numbered(np.flatnonzero(some)), some


def name_of(path: str) -> str:
    """What a person calls it."""
    return "standard input" if path == STANDARD_INPUT else path


def _separated(content: bytes) -> tuple[str, bytes]:
    """The ending that says how its columns are separated, and the table."""
    first = content.split(b"\n", 1)[0]
    if b"\t" in first:
        return ".tsv", content
    if b"," in first:
        return ".csv", content
    if b";" in first:
        return ".tsv", content.replace(b";", b"\t")
    return ".tsv", b"\n".join(b"\t".join(line.split()) for line in content.splitlines())
