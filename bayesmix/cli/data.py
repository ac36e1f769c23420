"""The rows of a command: files, or standard input."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bayesmix.cli.options import Handling, Missing, Numbers, Table, Written, names
from bayesmix.errors import InvalidInputError
from bayesmix.protocols import Source
from bayesmix.sources import ArraySource, coding_of
from bayesmix.writing import write

if TYPE_CHECKING:
    from bayesmix.cli.screen import Screen
    from bayesmix.numerics.arrays import Booleans

Read = TypeVar("Read")
STANDARD_INPUT = "-"


def read_rows(
    path: str,
    columns: Sequence[str] | None,
    weight: str | None,
    written: Written,
    missing: str = "error",
) -> Source:
    """Numeric columns of DATA."""
    from bayesmix import io

    how: Any = {"missing": missing, **vars(written)}
    return of_data(path, lambda place: io.read(place, columns, weight, **how))


def read_table(screen: Screen, table: Table, written: Written, handling: Handling) -> Source:
    """Columns of DATA of all kinds; columns that are left out become a note."""
    from bayesmix import io
    from bayesmix.io.tables.readers import in_parts, read_typed
    from bayesmix.io.tables.text import TextFormat

    path, weight, columns = table.data, table.weight, names(table.columns)
    kinds = ("exclude", "categorical", "continuous", "counts")
    named = {kind: names(getattr(table, kind)) or [] for kind in kinds}
    if handling.scheduler is not None:
        if any(named.values()):
            raise InvalidInputError(
                "--scheduler reads columns of numbers: name them with --columns, without "
                "--exclude, --categorical, --continuous and --counts"
            )
        return io.read(path, columns, weight, scheduler=handling.scheduler, **vars(written))
    missing = "error" if handling.missing is Missing.ERROR else "keep"
    in_pieces = path.lower().endswith(".npy") or (Path(path).exists() and in_parts(path))
    if not any(named.values()) and (in_pieces or any(mark in path for mark in "*?[:")):
        return read_rows(path, columns, weight, written, missing)
    text = TextFormat(**vars(written))
    with screen.noting_warnings():
        rows: Source = of_data(
            path, lambda place: read_typed(place, columns, weight, missing, text, **named)
        )
    coding = coding_of(rows)
    if coding is not None and coding.left_out:
        left = ", ".join(f"{name} ({why})" for name, why in coding.left_out)
        screen.postpone(f"left out: {left}")
    return with_values(screen.postpone, rows)[0] if handling.missing is Missing.USE else rows


def model_and_rows(
    screen: Screen, command: str, model_path: str, rows: Numbers, written: Written
) -> tuple[Any, Source, Booleans]:
    """A saved model, the rows for it, and which of all (n,) these are.

    Rows without any value are left out where the model accepts missing values.
    """
    from bayesmix.io import load

    path = rows.data
    if not model_path.endswith(".bayesmix") and path.endswith(".bayesmix"):
        raise InvalidInputError(f"the model comes first: bayesmix {command} {path} {model_path}")
    model = load(model_path)
    source = _rows_for(model, path, names(rows.columns), rows.weight, written)
    if model.missing == "use":
        return model, *with_values(screen.note, source)
    return model, source, np.ones(source.shape[0], dtype=bool)


def _rows_for(
    model: Any, path: str, columns: list[str] | None, weight: str | None, written: Written
) -> Source:
    """The columns of the fit, by name, unless others are named."""
    missing = "keep" if model.missing == "use" else "error"
    if columns is not None:
        # Columns named one by one may have other names than at the fit.
        rows: Any = read_rows(path, columns, weight, written, missing)
        renamed: Source = replace(rows, columns=None)
        return renamed
    coding, known = model.result_.family.coding, getattr(model, "feature_names_in_", None)
    if coding is not None and coding.has_levels and known is not None:
        from bayesmix.io.tables.readers import read_as
        from bayesmix.io.tables.text import TextFormat

        coding, text = replace(coding, names=tuple(map(str, known))), TextFormat(**vars(written))
        gaps = missing == "keep"
        return of_data(path, lambda place: read_as(place, coding, weight, gaps, text))
    if known is None or path.lower().endswith(".npy"):
        return read_rows(path, None, weight, written, missing)
    return read_rows(path, list(known), weight, written, missing)


def copied_columns(path: str, keep: str | None, written: Written) -> dict[str, list[Any]]:
    """Columns of DATA that go into the output unchanged."""
    from bayesmix.io.tables import readers
    from bayesmix.io.tables.text import TextFormat

    wanted = names(keep)
    if not wanted:
        return {}
    if path == STANDARD_INPUT:
        raise InvalidInputError("--keep reads DATA again: give it as a file, not by a pipe")
    return readers.copied_columns(path, wanted, TextFormat(**vars(written)))


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


def of_data(path: str, reader: Callable[[str], Read]) -> Read:
    """What a reader of files makes of DATA; ``-`` is text on standard input."""
    if path != STANDARD_INPUT:
        return reader(path)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "rows.txt"
        write(place, sys.stdin.buffer.read())
        try:
            return reader(str(place))
        except InvalidInputError as problem:
            text = str(problem).replace(str(place), "standard input")
            raise type(problem)(text) from None
