"""The rows of a command: a file, text of any common separator, or standard input."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bayesmix.cli.options import Handling, Missing, Table, names
from bayesmix.errors import InvalidInputError
from bayesmix.io.tables.mixed_tables import kept_columns, left_out, read_as, read_mixed
from bayesmix.protocols import Source
from bayesmix.sources import ArraySource
from bayesmix.writing import write

if TYPE_CHECKING:
    from bayesmix.cli.screen import Screen
    from bayesmix.numerics.arrays import Booleans

Read = TypeVar("Read")
STANDARD_INPUT = "-"


def read_rows(
    path: str, columns: Sequence[str] | None, weight: str | None, missing: str = "error"
) -> Source:
    """Numeric columns of DATA."""
    from bayesmix import io

    return of_data(path, lambda place: io.read(place, columns, weight, missing=missing))


def read_table(screen: Screen, table: Table, handling: Handling) -> Source:
    """Columns of DATA, ``--categorical`` ones as levels; columns left out become a note."""
    path, weight, missing = table.data, table.weight, handling.missing
    columns, exclude, categorical = map(names, (table.columns, table.exclude, table.categorical))
    if handling.scheduler is not None:
        from bayesmix import io

        if exclude or categorical:
            raise InvalidInputError(
                "--scheduler reads columns of numbers: name them with --columns, without "
                "--exclude and --categorical"
            )
        return io.read(path, columns, weight, scheduler=handling.scheduler)
    kept = "error" if missing is Missing.ERROR else "keep"
    left: Sequence[tuple[str, str]] = ()
    with screen.noting_warnings():
        if exclude or categorical:
            rows: Source = of_data(
                path,
                lambda place: read_mixed(
                    place, columns, weight, exclude or (), categorical or (), kept
                ),
            )
            coding = getattr(rows, "coding", None)
            left = () if coding is None else coding.left_out
        else:
            if path != STANDARD_INPUT:  # which is read once
                numeric, left = of_data(path, lambda place: left_out(place, columns, weight))
                columns = numeric if left else columns
            rows = read_rows(path, columns, weight, kept)
    if left:
        text = ",".join(name for name, why in left if why == "text")
        remedy = f" (--categorical {text} takes text as categories)" if text else ""
        screen.postpone(f"left out: {', '.join(f'{name} ({why})' for name, why in left)}{remedy}")
    return with_values(screen.postpone, rows)[0] if missing is Missing.USE else rows


def model_and_rows(
    screen: Screen,
    command: str,
    model_path: str,
    path: str,
    columns: str | None,
    weight: str | None,
) -> tuple[Any, Source, Booleans]:
    """A saved model, the rows for it, and which of all (n,) these are.

    Rows without any value are left out where the model accepts missing values.
    """
    from bayesmix.io import load

    if not model_path.endswith(".bayesmix") and path.endswith(".bayesmix"):
        raise InvalidInputError(f"the model comes first: bayesmix {command} {path} {model_path}")
    model = load(model_path)
    rows = _rows_for(model, path, names(columns), weight)
    if model.missing == "use":
        return model, *with_values(screen.note, rows)
    return model, rows, np.ones(rows.shape[0], dtype=bool)


def _rows_for(model: Any, path: str, columns: list[str] | None, weight: str | None) -> Source:
    """The columns of the fit, by name, unless others are named."""
    missing = "keep" if model.missing == "use" else "error"
    if columns is not None:
        # Columns named one by one may have other names than at the fit.
        rows: Any = read_rows(path, columns, weight, missing)
        renamed: Source = replace(rows, columns=None)
        return renamed
    coding, known = model.result_.family.coding, getattr(model, "feature_names_in_", None)
    if coding is not None and coding.has_levels and known is not None:
        coding = replace(coding, names=tuple(map(str, known)))
        return of_data(path, lambda place: read_as(place, coding, weight, missing == "keep"))
    if known is None or path.lower().endswith(".npy"):
        return read_rows(path, None, weight, missing)
    return read_rows(path, list(known), weight, missing)


def carried_columns(path: str, keep: str | None) -> dict[str, list[Any]]:
    """Columns of DATA that go into the output unchanged."""
    wanted = names(keep)
    if not wanted:
        return {}
    if path == STANDARD_INPUT:
        raise InvalidInputError("--keep reads DATA again: give it as a file, not by a pipe")
    return of_data(path, lambda place: kept_columns(place, wanted))


def with_values(say: Callable[[str], None], rows: Source) -> tuple[Source, Booleans]:
    """The rows that have a value, and which (n,) these are; ``say`` how many are left out."""
    if not isinstance(rows, ArraySource):
        return rows, np.ones(rows.shape[0], dtype=bool)
    some: Booleans = np.asarray(~np.isnan(rows.values).all(axis=1))
    empty = np.flatnonzero(~some)
    if not len(empty):
        return rows, some
    named = ", ".join(map(str, empty[:3] + 1)) + (", ..." if len(empty) > 3 else "")
    say(f"left out: {len(empty):,} rows without any value (row {named})")
    return rows.numbered(np.flatnonzero(some)), some


def of_data(path: str, reader: Callable[[str | Path], Read]) -> Read:
    """What a reader of files makes of DATA; ``-`` and ``.txt`` are text that names columns."""
    if path != STANDARD_INPUT and not path.lower().endswith(".txt"):
        return reader(path)
    name = "standard input" if path == STANDARD_INPUT else path
    content = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
    ending, table = _separated(content)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"rows{ending}"
        write(place, table)
        try:
            return reader(place)
        except InvalidInputError as problem:
            raise type(problem)(str(problem).replace(str(place), name)) from None


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
