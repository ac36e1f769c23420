"""Files of rows as sources: CSV, TSV, Parquet and .npy, checked before anything is fitted."""

from __future__ import annotations

import gzip
import os
import re
import warnings
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import FileAccessError, InvalidInputError, missing_extra
from bayesmix.io.tables.columns import (
    check_names,
    check_values,
    checked_weights,
    is_numeric,
    listed,
    source_of,
)
from bayesmix.io.tables.folders import names_many, positions, read_parts
from bayesmix.io.tables.partitions import ENDINGS, NUMPY, PARQUET, SEPARATORS, is_url
from bayesmix.protocols import Engine, Loader
from bayesmix.sources import ArraySource, PartitionedSource, open_npy
from bayesmix.validation import in_memory, one_of

if TYPE_CHECKING:
    import pandas as pd

# Bytes of a Parquet file that is not read at once.
LARGE_PARQUET = 2**28
# A table in text is read in pieces first; what its values and its columns take in memory.
PIECE = 2**20
BYTES_OF_A_VALUE = 24
BYTES_OF_A_COLUMN = 2_000
# What readers of tables raise of a damaged one, in its header or in what pandas wrote about it.
DAMAGED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


def read(
    path: str | PathLike[str],
    columns: Sequence[str] | Sequence[int] | str | int | None = None,
    weight: str | int | None = None,
    scheduler: Any = None,
    missing: str = "error",
) -> ArraySource | PartitionedSource:
    """The rows of a file, or of many, as a source, accepted wherever X is.

    The ending of the name says what the file is: ``.csv`` and ``.tsv`` (also with ``.gz``), text in
    UTF-8 whose first line names the columns; ``.parquet``; ``.npy``, which stays on disk and is
    mapped into memory. Numbers in text are read to the last bit.

    A folder, a pattern as ``data/*.parquet``, a URL that fsspec opens and a Parquet file of more
    than a quarter of a gigabyte are read in parts, in every pass anew, so that rows need not fit in
    memory: Parquet by row groups, ``.npy`` in pieces, text a file at a time. The parts of a folder
    are in the order of their names, numbers in them as numbers; names that begin with "." or "_"
    are passed over, and so are folders inside.

    Parameters
    ----------
    path : path
    columns : names, optional
        The columns to use, in this order. None takes every numeric column that has a name, and
        passes over the others without a word (a column without a name is the row numbers that
        pandas and R write); a column that is asked for and is not numeric is an error. The columns
        of a ``.npy`` file have no names and are asked for by position, from 0.
    weight : name, optional
        The column that says how often each row counts.
    missing : {"error", "keep"}, default="error"
        Whether values may be missing: kept, they are NaN, for estimators with ``missing="use"`` or
        ``"drop"``.
    scheduler : dask.distributed.Client or address, optional
        The Dask cluster whose workers read the parts, each where it is worked on: they need the
        same paths. None is this process.

    Returns
    -------
    ArraySource or PartitionedSource
        ``columns`` are the names, which fitted estimators keep as ``feature_names_in_``.

    Raises
    ------
    InvalidInputError
        For files that cannot be read, unknown columns, and values that are missing or infinite,
        whose rows are named; rows count from 1, without the line of names.

    Examples
    --------
    >>> import os, tempfile, bayesmix as bm
    >>> path = os.path.join(tempfile.mkdtemp(), "faithful.csv")
    >>> bm.datasets.load_faithful().to_csv(path, index=False)
    >>> rows = bm.read(path, columns=["waiting"])
    >>> rows.shape, rows.columns
    ((272, 1), ('waiting',))
    >>> bm.GaussianMixture(n_components=2, random_state=0).fit(rows).feature_names_in_
    array(['waiting'], dtype=object)
    """
    keep = one_of("missing", missing, ("error", "keep")) == "keep"
    path = fspath(path)
    asked = [columns] if isinstance(columns, str | int) else columns
    chosen = None if asked is None else list(asked)
    if chosen is not None and not chosen:
        raise InvalidInputError("columns must name at least one column, got none")
    many = names_many(path)
    if not many and not os.path.isfile(path):
        raise InvalidInputError(f"path must name a file of rows, but there is no {path}")
    if scheduler is not None:
        return read_parts(path, chosen, weight, _workers_of(scheduler))
    if in_parts(path):
        return read_parts(path, chosen, weight)
    name = path.lower()
    if name.endswith(NUMPY):
        return _read_npy(path, chosen, weight, keep)
    return source_of(path, frame_of(path, chosen, weight), chosen, weight, keep)


def frame_of(path: str, columns: list[Any] | None, weight: Any) -> pd.DataFrame:
    """The table of a file that is no array, with names that are text."""
    name = path.lower()
    if name.endswith(PARQUET):
        return _parquet(path, columns, weight)
    for ending, separator in SEPARATORS.items():
        if name.endswith(ending):
            return _text(path, separator, columns)
    raise InvalidInputError(
        f"path must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, got "
        f"{os.path.basename(path)}: save the table as one of these"
    )


def _workers_of(scheduler: Any) -> Callable[[tuple[Loader, ...]], Engine]:
    """An engine on a Dask cluster: a client of it, or its address."""
    try:
        from distributed import Client
    except ImportError:
        raise missing_extra("dask", "dask") from None
    from bayesmix.sources.workers.cluster import DaskEngine

    try:
        client = Client(scheduler) if isinstance(scheduler, str) else scheduler
    except (OSError, ValueError) as problem:
        raise FileAccessError(f"no scheduler answers at {scheduler}: {problem}") from None
    return partial(DaskEngine, client)


def in_parts(path: str) -> bool:
    """Whether rows are read part by part, in every pass anew."""
    return names_many(path) or _is_large(path)


def _is_large(path: str) -> bool:
    """Whether a Parquet file is better read in parts, again in every pass."""
    return path.lower().endswith(PARQUET) and os.path.getsize(path) > LARGE_PARQUET


def table_of_text(path: str, separator: str, columns: list[Any] | None, weight: Any) -> ArraySource:
    """A table in text as a source."""
    return source_of(path, _text(path, separator, columns), columns, weight)


def _text(path: str, separator: str, columns: list[Any] | None) -> pd.DataFrame:
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
            # All columns are read, whichever are wanted: with usecols pandas no longer sees lines
            # of the wrong length. index_col=False: else it takes a column too many as row labels.
            frame: pd.DataFrame = pd.read_csv(
                path,
                header=0,
                names=list(range(len(names))),
                index_col=False,
                low_memory=False,
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


def _parquet(path: str, columns: list[Any] | None, weight: Any) -> pd.DataFrame:
    import pandas as pd

    try:
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("pyarrow", "parquet") from None
    try:
        wanted = None
        about = pyarrow.parquet.read_metadata(path)
        n_columns = about.num_columns if columns is None else len(columns)
        in_memory(path, 16.0 * about.num_rows * n_columns, "ask for fewer columns")
        if columns is not None:
            names = pyarrow.parquet.read_schema(path).names
            wanted = [*columns, *([] if weight is None else [weight])]
            check_names(path, names, columns, weight)
        frame = pd.read_parquet(path, engine="pyarrow", columns=wanted)
    except InvalidInputError:
        raise
    except (pyarrow.ArrowException, *DAMAGED) as problem:
        raise InvalidInputError(f"{path} cannot be read as Parquet: {problem!r:.200}") from None
    frame.columns = pd.Index([str(name) for name in frame.columns])
    return frame


# .npy: no names, and too large to read whole


def _read_npy(path: str, columns: list[Any] | None, weight: Any, gaps: bool) -> ArraySource:
    with open(path, "rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise InvalidInputError(f"{path} must be an array that numpy.save wrote, and is not")
    values = open_npy(path).values
    n_rows, n_columns = values.shape
    if not n_rows or not n_columns:
        raise InvalidInputError(f"{path} must hold rows and columns, and has shape {values.shape}")
    places, kept = positions(path, columns, weight, n_columns)
    chosen = values if len(places) == n_columns else values[:, list(places)]
    check_values(path, chosen, [f"column {place}" for place in places], gaps)
    weights = None
    if kept is not None:
        weights = checked_weights(path, weight, np.asarray(values[:, kept], dtype=np.float64))
    return ArraySource(chosen, weights)
