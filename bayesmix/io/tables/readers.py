"""Files of rows as sources: CSV, TSV, Parquet and .npy, checked before anything is fitted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import FileAccessError, InvalidInputError, missing_extra
from bayesmix.io.tables.folders import names_many, positions, read_parts
from bayesmix.io.tables.named_columns import check_names, check_values, checked_weights, source_of
from bayesmix.io.tables.places import ENDINGS, NUMPY, PARQUET, SEPARATORS
from bayesmix.io.tables.text import frame_of_text
from bayesmix.protocols import Engine, Loader
from bayesmix.sources import ArraySource, PartitionedSource, open_npy
from bayesmix.validation import in_memory, one_of
from bayesmix.writing import path_text

if TYPE_CHECKING:
    import pandas as pd

# Bytes of a Parquet file that is not read at once.
LARGE_PARQUET = 2**28
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
    path = path_text("path", path)
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
            return frame_of_text(path, separator, columns)
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
