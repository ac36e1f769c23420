"""Data of a command: files, or standard input."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bayesmix.cli.options import Missing, Numbers, Table, names
from bayesmix.core.sources import Source
from bayesmix.core.writing import write
from bayesmix.errors import InvalidInputError
from bayesmix.sources.border import coding_of
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.cli.screen import Screen
    from bayesmix.numerics.arrays import Booleans

Read = TypeVar("Read")
STANDARD_INPUT = "-"


def text_format(rows: Numbers | Table) -> Any:
    """Return the text format of DATA as arguments of readers."""
    return {name: getattr(rows, name) for name in ("sep", "decimal", "encoding")}


def read_rows(
    rows: Numbers | Table, columns: Sequence[str] | None, missing: str = "error"
) -> Source:
    """Read the numeric columns of DATA."""
    from bayesmix import io

    how = {"missing": missing, **text_format(rows)}
    return of_data(rows.data, lambda place: io.read(place, columns, rows.weight, **how))


def read_table(screen: Screen, table: Table) -> Source:
    """Read all usable columns of DATA; the others are named in a note."""
    from bayesmix import io
    from bayesmix.io.readers import in_parts, read_typed
    from bayesmix.io.text import TextFormat

    path, weight, columns = table.data, table.weight, names(table.columns)
    kinds = ("exclude", "categorical", "continuous", "counts")
    named = {kind: names(getattr(table, kind)) or [] for kind in kinds}
    if table.scheduler is not None:
        if any(named.values()):
            raise InvalidInputError(
                "--scheduler reads columns of numbers: name them with --columns, without "
                "--exclude, --categorical, --continuous and --counts"
            )
        return io.read(path, columns, weight, scheduler=table.scheduler, **text_format(table))
    missing = "error" if table.missing is Missing.ERROR else "keep"
    many = any(mark in path for mark in "*?[") or "://" in path
    if not any(named.values()) and (
        many or path.lower().endswith(".npy") or (Path(path).exists() and in_parts(path))
    ):
        return read_rows(table, columns, missing)
    text = TextFormat(**text_format(table))
    rows: Source = of_data(
        path, lambda place: read_typed(place, columns, weight, missing, text, **named)
    )
    coding = coding_of(rows)
    if coding is not None and coding.left_out:
        dropped = ", ".join(f"{name} ({why})" for name, why in coding.left_out)
        screen.postpone(f"left out: {dropped}")
    return with_values(screen.postpone, rows)[0] if table.missing is Missing.USE else rows


def read_with_covariates(
    screen: Screen, table: Table, covariates: str | None
) -> tuple[Source, pd.DataFrame | None]:
    """Read the columns of DATA, and the covariates, which are no columns of the mixture."""
    import pandas as pd

    if covariates is None:
        return read_table(screen, table), None
    exclude = ",".join(filter(None, (table.exclude, covariates)))
    source = read_table(screen, replace(table, exclude=exclude))
    frame = indicators(pd.DataFrame(copied_columns(table, covariates)), "--covariates")
    numbers = getattr(source, "numbers", None)
    return source, frame if numbers is None else frame.iloc[numbers]


def indicators(frame: pd.DataFrame, option: str) -> pd.DataFrame:
    """Return numbers, with indicators of all levels of text but the first.

    Raises ``InvalidInputError`` for missing values.
    """
    import pandas as pd

    frame = frame.replace("", np.nan).infer_objects()
    if len(empty := frame.columns[frame.isna().any()]):
        raise InvalidInputError(
            f"{option}: column {empty[0]!r} has missing values: drop or impute such rows"
        )
    return pd.get_dummies(frame, drop_first=True, dtype=float)


def model_and_rows(
    screen: Screen, command: str, model_path: str, rows: Numbers
) -> tuple[Any, Source, Booleans]:
    """Return a saved model, its data, and the row numbers (n,) of these.

    Rows without any value are dropped if the model supports missing values.
    """
    from bayesmix.io import load

    path = rows.data
    if not model_path.endswith(".bayesmix") and path.endswith(".bayesmix"):
        raise InvalidInputError(
            f"the first argument is the model: bayesmix {command} {path} {model_path}"
        )
    model = load(model_path)
    source = _rows_for(model, rows)
    if model.missing == "use":
        return model, *with_values(screen.note, source)
    return model, source, np.ones(source.shape[0], dtype=bool)


def _rows_for(model: Any, rows: Numbers) -> Source:
    """Read the columns of the fit by name, or those requested."""
    from bayesmix.io.readers import read_as
    from bayesmix.io.text import TextFormat

    missing, columns = "keep" if model.missing == "use" else "error", names(rows.columns)
    if columns is not None:
        # Columns requested by name may differ from the names of the fit.
        renamed_rows: Any = read_rows(rows, columns, missing)
        renamed: Source = replace(renamed_rows, columns=None)
        return renamed
    coding, fitted = model.result_.family.coding, getattr(model, "feature_names_in_", None)
    if coding is not None and coding.has_levels and fitted is not None:
        coding = replace(coding, names=tuple(map(str, fitted)))
        how = (coding, rows.weight, missing == "keep", TextFormat(**text_format(rows)))
        return of_data(rows.data, lambda place: read_as(place, *how))
    if fitted is None or rows.data.lower().endswith(".npy"):
        return read_rows(rows, None, missing)
    return read_rows(rows, list(fitted), missing)


def copied_columns(rows: Numbers | Table, keep: str | None) -> dict[str, list[Any]]:
    """Return columns of DATA to copy to the output."""
    from bayesmix.io import readers
    from bayesmix.io.text import TextFormat

    if not (wanted := names(keep)):
        return {}
    if rows.data == STANDARD_INPUT:
        raise InvalidInputError("--keep reads DATA twice, so it must be a file and not a pipe")
    return readers.copied_columns(rows.data, wanted, TextFormat(**text_format(rows)))


def with_values(say: Callable[[str], None], rows: Source) -> tuple[Source, Booleans]:
    """Return the rows that have a value, and their numbers (n,); ``say`` reports those dropped."""
    if not isinstance(rows, ArraySource):
        return rows, np.ones(rows.shape[0], dtype=bool)
    present: Booleans = np.asarray(~np.isnan(rows.values).all(axis=1))
    empty = np.flatnonzero(~present)
    if not len(empty):
        return rows, present
    named = ", ".join(map(str, empty[:3] + 1)) + (", ..." if len(empty) > 3 else "")
    say(f"left out: {len(empty):,} rows without any value (row {named})")
    return rows.numbered(np.flatnonzero(present)), present


def of_data(path: str, reader: Callable[[str], Read]) -> Read:
    """Call a reader with DATA; ``-`` is text on standard input."""
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
