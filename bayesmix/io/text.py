"""Text tables with column names in the first line, and opening of files by name or URL."""

from __future__ import annotations

import contextlib
import gzip
import re
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.missing_marks import GAPS
from bayesmix.core.validation import in_memory, one_of
from bayesmix.data.numbers_in_text import as_numbers, is_text, marks_said, present_cells
from bayesmix.data.table_columns import is_numeric, listed
from bayesmix.errors import (
    BayesmixWarning,
    FileAccessError,
    InvalidInputError,
    missing_extra,
    warn,
)
from bayesmix.numerics.arrays import Array

TEXT = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
SPREADSHEET = (".xlsx",)
PARQUET = (".parquet", ".pq")
NUMPY = (".npy",)
# Text files in a folder (.txt) may be notes about it.
ENDINGS = (*TEXT, *PARQUET, *NUMPY)
ENDINGS_ALONE = (*TEXT, ".txt", *SPREADSHEET, *PARQUET, *NUMPY)
# Exceptions of readers for a part that is damaged or missing.
UNREADABLE = (ArithmeticError, EOFError, LookupError, OSError, TypeError, ValueError, zlib.error)


def is_url(place: str) -> bool:
    """Whether a path needs fsspec."""
    return "://" in place


def opened(place: str) -> Any:
    """Open a file for reading bytes."""
    if not is_url(place):
        return open(place, "rb")
    try:
        import fsspec
    except ImportError:
        raise missing_extra("fsspec", "dask") from None
    return fsspec.open(place, "rb").open()


def unreadable(place: str, problem: BaseException) -> Exception:
    """Return the error for an unreadable part, with its name."""
    if isinstance(problem, InvalidInputError):
        return problem
    kind = FileAccessError if isinstance(problem, OSError) else InvalidInputError
    return kind(f"{place} cannot be read: {problem!r:.200}")


# Large text tables are first read in pieces, to measure the memory that they need.
PIECE = 2**20
BYTES_OF_A_VALUE = 24
BYTES_OF_A_COLUMN = 2_000
# Integers such as postal codes.
LEADING_ZERO = re.compile(rb"(?:^|[,;|\s\"])0\d+(?:$|[,;|\s\"])")
# Numbers with decimal commas; dots separate thousands.
EUROPEAN = r"[-+]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?([eE][-+]?\d+)?"
COMMAS_OF_THOUSANDS = r"[-+]?\d{1,3}(,\d{3})+"
DOTS_OF_THOUSANDS = r"[-+]?[1-9]\d{0,2}(\.\d{3})+"
ANY_SPACES = r"\s+"
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": ANY_SPACES}


@dataclass(frozen=True)
class TextFormat:
    """Separator, decimal sign and encoding of a text table; None: detected.

    ``na`` are cells that mean missing values, besides the usual ones.
    """

    sep: str | None = None
    decimal: str | None = None
    encoding: str | None = None
    na: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.decimal is not None:
            one_of("decimal", self.decimal, (".", ","))
        if self.sep is not None and self.sep == self.decimal:
            raise InvalidInputError(f"sep and decimal must differ, got {self.sep!r} for both")


UNKNOWN = TextFormat()


def frame_of_text(path: str, columns: list[Any] | None, text: TextFormat = UNKNOWN) -> pd.DataFrame:
    """Return a text table as a pandas frame, including numbers with decimal commas."""
    encoding = text.encoding or "utf-8-sig"
    try:
        separator, n_above, comment = _header(path, encoding, text.sep)
        how: Any = {"sep": separator, "encoding": encoding, "skipinitialspace": True}
        if not is_url(path):
            _check_size(path, " " if separator == ANY_SPACES else separator)
        # Lines longer than the header, whose last values pandas would drop.
        with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
            how["skiprows"] = n_above
            names, how["header"] = comment, None
            if not names:
                first = pd.read_csv(path, nrows=1, dtype=object, keep_default_na=False, **how)
                names = [" ".join(str(name).strip().splitlines()) for name in first.iloc[0]]
                how["header"] = 0
            # All columns are read: with usecols, pandas ignores lines of the wrong length. Without
            # index_col=False it takes an extra column as row labels.
            how |= {"names": list(range(len(names))), "index_col": False, "low_memory": False}
            how |= {"keep_default_na": False, "na_values": [*GAPS, *text.na]}
            # From 3.1 on pandas reads numbers exactly, and warns of this option.
            recent = tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1)
            exact: Any = {} if recent else {"float_precision": "round_trip"}
            frame: pd.DataFrame = pd.read_csv(path, **exact, **how)
            if not recent:
                frame = _with_overflown_numbers(frame)
            if len(names) == 1 and not is_numeric(frame.dtypes.iloc[0]):
                _check_separator(path, names[0], frame[0].dropna().astype(str))
            found = text.decimal is None and separator != "," and _has_decimal_commas(frame)
            if text.decimal == "," or found:
                as_text = pd.read_csv(path, dtype=object, **how)
                for column in range(len(names)):
                    if (numbers := _european_numbers(as_text[column])) is not None:
                        frame.isetitem(column, numbers)
            elif text.decimal is None and separator == ";":
                measured = [i for i, dtype in enumerate(frame.dtypes) if dtype.kind == "f"]
                if measured:
                    as_text = pd.read_csv(path, dtype=object, **how)
                    _warn_of_thousands({names[place]: as_text[place] for place in measured})
            if not is_url(path) and any(map(LEADING_ZERO.search, _pieces(path))):
                as_text = pd.read_csv(path, dtype=object, **how)
                integers = [dtype.kind == "i" for dtype in frame.dtypes]
                for column in np.flatnonzero(integers).tolist():
                    if as_text[column].astype(str).str.fullmatch(r"0\d+").any():
                        frame.isetitem(column, as_text[column])
    except pd.errors.EmptyDataError:
        raise InvalidInputError(f"{path} is empty: expected a line of names and rows") from None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as problem:
        raise InvalidInputError(_uneven(path, str(problem))) from None
    except (EOFError, OSError, zlib.error) as problem:
        raise InvalidInputError(f"{path} cannot be read: {problem}") from None
    except LookupError as problem:
        raise InvalidInputError(f"encoding must be one that Python supports: {problem}") from None
    except UnicodeError as problem:
        usual = "utf-16" if "in position 0:" in str(problem) else "cp1252"
        raise InvalidInputError(
            f"{path} must be text in {text.encoding or 'UTF-8'}: {problem}; name its encoding, "
            f"such as encoding={usual!r}"
        ) from None
    numerals = [name for name in names if _is_number(name)]
    cells = enumerate(names) if numerals else ()
    repeated = any((frame[place] == name).any() for place, name in cells)
    if columns is None and (numerals == names or repeated):
        raise InvalidInputError(
            f"the first line of {path} must name the columns, got the numbers {listed(numerals)}: "
            "add a header, or pass these as columns if they are names"
        )
    frame.columns = pd.Index(names)
    blank = np.array(names) == ""
    if blank.any():  # separators at the ends of lines make columns without name and values
        frame = frame.loc[:, ~(blank & frame.isna().all().to_numpy())]
    return frame


def with_numbers(frame: pd.DataFrame, decimal: str | None = None) -> tuple[pd.DataFrame, str]:
    """Return a table with numbers in columns of text that hold nothing else besides missing marks.

    Also return which marks are missing, in words. ``decimal`` is the decimal sign of a text file.
    """
    marked: dict[str, tuple[pd.Series[Any], None]] = {}
    for place, (name, column) in enumerate(frame.items()):
        if not is_text(column) or column.astype(str).str.fullmatch(r"0\d+").any():
            continue  # with leading zeros: numbers of places or telephones
        european = _european_numbers(column) if decimal == "," else None
        numbers: Any = european if european is not None else as_numbers(column, signs=False)
        if numbers is None:
            continue
        marked[str(name)] = column, None
        whole = column.notna().all() and column.astype(str).str.fullmatch(r"[-+]?\d{1,18}").all()
        frame.isetitem(place, np.asarray(numbers, dtype=np.int64 if whole else np.float64))
    return frame, marks_said(marked)[0]


def _header(path: str, encoding: str, sep: str | None) -> tuple[str, int, list[str]]:
    """Return the separator, the number of comment lines above the header, and the names in them.

    The separator is suggested by two lines and the file extension. The last comment contains the
    names if it has a name for each value of the next line, and this line contains a number.
    """
    comments: list[str] = []
    with ExitStack() as stack:
        stream = stack.enter_context(opened(path))
        name = path.lower()
        if name.endswith(".gz"):
            stream, name = stack.enter_context(gzip.open(stream)), name.removesuffix(".gz")
        line = stream.readline(PIECE).decode(encoding, errors="ignore")
        while line.startswith(("#", "sep=")):
            comments.append(line)
            line = stream.readline(PIECE).decode(encoding, errors="ignore")
        below = stream.readline(PIECE).decode(encoding, errors="ignore")
    if not line.strip():  # no line but comments
        comments, line = comments[:-1], (comments or [line])[-1]
    separator = sep or _separator(line, below, SEPARATORS[name[name.rfind(".") :]])
    names = _split(comments[-1].lstrip("# "), separator) if comments else []
    cells = _split(line, separator)
    named = len(names) == len(cells) and any(map(_is_number, cells))
    return separator, len(comments), names if named else []


def _split(line: str, separator: str) -> list[str]:
    """Return the values of a line."""
    cells = line.split() if separator == ANY_SPACES else line.split(separator)
    return [cell.strip().strip('"') for cell in cells]


def _separator(line: str, below: str, default: str) -> str:
    """Return the separator that a header and the line below agree on, or that of the extension."""
    if default == "\t":
        return default
    pairs = {sign: (line.count(sign), (below.strip() or line).count(sign)) for sign in "\t,;|"}
    agreeing = {sign: (a == b, min(a, b)) for sign, (a, b) in pairs.items() if a and b}
    return max(agreeing, key=agreeing.__getitem__, default=default)


def _with_overflown_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return columns of numbers, some beyond all doubles, as numbers: pandas left them as text."""
    for place, (_, column) in enumerate(frame.items()):
        if column.dtype == object and not column.astype(str).str.contains("_").any():
            with contextlib.suppress(TypeError, ValueError):
                numbers: Any = column.astype(np.float64)
                frame.isetitem(place, numbers)
    return frame


def _check_separator(path: str, name: str, cells: pd.Series[Any]) -> None:
    """Raise an error for a single column whose cells have as many separators as its name."""
    for sign in ",;\t| ":
        if (
            len(cells)
            and sign in name
            and (cells.str.count(re.escape(sign)) == name.count(sign)).all()
        ):
            raise InvalidInputError(
                f"{path} was read as a single column, named {name!r:.60}, but seems to have the "
                f"separator {sign!r}: set sep={sign!r}"
            )


def _pieces(path: str) -> Iterator[bytes]:
    """Yield the content of a local file, decompressed."""
    reader: Any = gzip.open if path.lower().endswith(".gz") else open
    with reader(path, "rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


def _has_decimal_commas(frame: pd.DataFrame) -> bool:
    """Whether a text column contains only numbers with decimal commas."""
    for place in np.flatnonzero([not is_numeric(dtype) for dtype in frame.dtypes]).tolist():
        cells = present_cells(frame.iloc[:, place])
        commas = cells[cells.str.contains(",")]
        european = cells.str.fullmatch(EUROPEAN).all() and len(commas)
        if european and not commas.str.fullmatch(COMMAS_OF_THOUSANDS).all():
            return True
    return False


def _warn_of_thousands(columns: dict[str, pd.Series[Any]]) -> None:
    """Warn if all dots of a column that was read as numbers may separate thousands."""
    for name, column in columns.items():
        cells = column.dropna().astype(str).str.strip()
        dotted = cells[cells.str.contains(".", regex=False)]
        if len(dotted) and dotted.str.fullmatch(DOTS_OF_THOUSANDS).all():
            warn(
                f"{dotted.iloc[0]!r} in column {name!r} is read with a decimal point; if its dots "
                "separate thousands, set decimal=','",
                BayesmixWarning,
            )


def _european_numbers(column: pd.Series[Any]) -> Array | None:
    """Return the numbers of a column that contains only European numbers."""
    cells = present_cells(column)
    numbered = cells.str.fullmatch(r"0\d+").any()  # places or telephones
    if numbered or not len(cells) or not cells.str.fullmatch(EUROPEAN).all():
        return None
    plain = cells.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    return np.asarray(plain.astype(np.float64).reindex(column.index))


def _check_size(path: str, separator: str) -> None:
    """Raise an error for a table that exceeds memory, after reading no more than that.

    A small compressed file may be a large table.
    """
    n_bytes = n_values = n_columns = 0
    header = True
    for piece in _pieces(path):
        n_bytes += len(piece)
        n_values += piece.count(separator.encode()) + piece.count(b"\n")
        if header:
            names, end, _ = piece.partition(b"\n")
            n_columns += names.count(separator.encode())
            header = not end
        needed = n_bytes + BYTES_OF_A_VALUE * n_values + BYTES_OF_A_COLUMN * n_columns
        in_memory(path, needed, "drop rows or columns, or save it as .npy")


def _uneven(path: str, problem: str) -> str:
    """Describe lines of different lengths from the message of pandas."""
    found = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", problem)
    if found:
        expected, line, saw = found.groups()
        return (
            f"{path} must have as many values in every line as names in the first ({expected}), "
            f"got {saw} in line {line}: quote values that contain a separator"
        )
    if "Length of header" in problem:
        return (
            f"{path} must have as many names in its first line as values in the others, got fewer: "
            "name row labels too, and delete lines above the names"
        )
    return f"{path} cannot be read as a table: {' '.join(problem.split())}"


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
