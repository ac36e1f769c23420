"""Tables in text, whose first line names the columns."""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.io.tables.named_columns import is_numeric, listed, source_of
from bayesmix.io.tables.places import is_url
from bayesmix.sources import ArraySource
from bayesmix.validation import in_memory

if TYPE_CHECKING:
    import pandas as pd

# A table in text is read in pieces first; what its values and its columns take in memory.
PIECE = 2**20
BYTES_OF_A_VALUE = 24
BYTES_OF_A_COLUMN = 2_000
# What stands for a gap: what pandas takes for one, but "None", which is an answer in many a survey.
NO_GAP = "None"
GAPS = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip


def table_of_text(path: str, separator: str, columns: list[Any] | None, weight: Any) -> ArraySource:
    """A table in text as a source."""
    return source_of(path, frame_of_text(path, separator, columns), columns, weight)


def frame_of_text(path: str, separator: str, columns: list[Any] | None) -> pd.DataFrame:
    """A table in text as pandas holds it."""
    import pandas as pd

    how: Any = {"sep": separator, "encoding": "utf-8-sig", "skipinitialspace": True}
    # From 3.1 on pandas reads every number to the last bit, and warns of being told to.
    recent = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
    exact: Any = {} if recent else {"float_precision": "round_trip"}
    try:
        if not is_url(path):
            _check_size(path, separator)
        with warnings.catch_warnings():
            # Lines that are longer than the line of names: pandas would drop what is too much.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            first = pd.read_csv(
                path, header=None, nrows=1, dtype=object, keep_default_na=False, **how
            )
            names = [str(name).strip() for name in first.iloc[0]]
            if separator == "," and len(names) == 1 and ";" in names[0]:
                raise InvalidInputError(
                    f"{path} must have commas between its columns, got semicolons ({names[0]!r}): "
                    "name it .txt, where any separator is read; with decimal commas, write it by "
                    "way of pandas.read_csv(path, sep=';', decimal=',')"
                )
            # All columns are read, whichever are wanted: with usecols pandas no longer sees lines
            # of the wrong length. index_col=False: else it takes a column too many as row labels.
            frame: pd.DataFrame = pd.read_csv(
                path,
                header=0,
                names=list(range(len(names))),
                index_col=False,
                low_memory=False,
                keep_default_na=False,
                na_values=GAPS,
                **exact,
                **how,
            )
    except pd.errors.EmptyDataError:
        raise InvalidInputError(f"{path} is empty: expected a line of names and rows") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as problem:
        raise InvalidInputError(_uneven(path, str(problem))) from None
    except (EOFError, OSError, zlib.error) as problem:
        raise InvalidInputError(f"{path} cannot be read: {problem}") from None
    except UnicodeDecodeError as problem:
        raise InvalidInputError(f"{path} must be text in UTF-8: {problem}") from None
    if columns is None and all(map(_is_number, names)):
        raise InvalidInputError(
            f"the first line of {path} must name the columns, got the numbers {listed(names)}: "
            "add a line of names before it, or ask for these as columns if they are names"
        )
    frame.columns = pd.Index(names)
    for place in np.flatnonzero([not is_numeric(dtype) for dtype in frame.dtypes]).tolist():
        frame.isetitem(place, _numbers_but_none(frame.iloc[:, place]).array)
    if not recent:
        for place in np.flatnonzero([not is_numeric(dtype) for dtype in frame.dtypes]).tolist():
            frame.isetitem(place, _with_overflow(frame.iloc[:, place]).array)
    return frame


def _check_size(path: str, separator: str) -> None:
    """Refuse a table that this machine could not hold, read in pieces and no further than that.

    A small file may unpack to a large one.
    """
    opened: Any = gzip.open if path.lower().endswith(".gz") else open
    n_bytes = n_values = n_columns = 0
    header = True
    with opened(path, "rb") as stream:
        while piece := stream.read(PIECE):
            n_bytes += len(piece)
            n_values += piece.count(separator.encode()) + piece.count(b"\n")
            if header:
                names, end, _ = piece.partition(b"\n")
                n_columns += names.count(separator.encode())
                header = not end
            needed = n_bytes + BYTES_OF_A_VALUE * n_values + BYTES_OF_A_COLUMN * n_columns
            in_memory(path, needed, "leave out rows or columns, or write it as .npy")


def _numbers_but_none(column: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers where a column has nothing else beside the word None."""
    said = column == NO_GAP
    if not said.any():
        return column
    try:
        return column.mask(said).astype(np.float64)
    except ValueError:
        return column


def _with_overflow(column: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers where pandas before 3.1 made text of a column because one exceeds a double."""
    import pandas as pd

    if pd.api.types.infer_dtype(column, skipna=True) != "string":
        return column
    try:
        return column.astype(np.float64)
    except ValueError:
        return column


def _uneven(path: str, problem: str) -> str:
    """What is wrong with a table whose lines differ in length, from what pandas says of it."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", problem)
    if found:
        expected, line, saw = found.groups()
        return (
            f"{path} must have as many values in every line as names in the first ({expected}), "
            f"got {saw} in line {line}: put values that hold a separator in quotes"
        )
    if "Length of header" in problem:
        return (
            f"{path} must have as many names in its first line as values in the others, got fewer"
        )
    return f"{path} cannot be read as a table: {' '.join(problem.split())}"


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
