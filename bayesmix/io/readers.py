"""Tables from files as sources: CSV, TSV, Excel, Parquet and .npy, checked before any fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from bayesmix.core.missing_marks import GAPS
from bayesmix.core.sources import Engine, Loader
from bayesmix.core.validation import in_memory, one_of
from bayesmix.data.table_columns import (
    check_names,
    check_once,
    check_values,
    checked_weights,
    coded,
    declared_kinds,
    recoded,
    source_of,
)
from bayesmix.data.table_rows import other_rows
from bayesmix.errors import (
    BayesmixWarning,
    FileAccessError,
    InvalidInputError,
    missing_extra,
    warn,
)
from bayesmix.families.coding import Coding
from bayesmix.io.folders import names_many, positions, read_parts
from bayesmix.io.text import (
    ENDINGS_ALONE,
    NUMPY,
    PARQUET,
    SPREADSHEET,
    TEXT,
    UNKNOWN,
    TextFormat,
    frame_of_text,
    with_numbers,
)
from bayesmix.sources.dask_workers import DaskEngine
from bayesmix.sources.memory import ArraySource
from bayesmix.sources.npy import DAMAGED, open_npy
from bayesmix.sources.partitions_of_rows import PartitionedSource
from bayesmix.sources.writing import absent, path_text

# Size in bytes above which a Parquet file is read in parts.
LARGE_PARQUET = 2**28


def read(
    path: str | PathLike[str],
    columns: Sequence[str] | Sequence[int] | str | int | None = None,
    weight: str | int | None = None,
    scheduler: Any = None,
    missing: str = "error",
    *,
    sep: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    na: Sequence[str] = (),
) -> ArraySource | PartitionedSource:
    """Read a table from a file, or from many files, as a source for estimators.

    The extension determines the format: text (``.csv``, ``.tsv``, also with ``.gz``, and ``.txt``)
    with column names in the first line; ``.xlsx`` (the first sheet, needs openpyxl); ``.parquet``;
    ``.npy``, which is memory-mapped. Numbers in text are read exactly. Semicolon separators and
    decimal commas are detected.

    A folder, a pattern such as ``data/*.parquet``, a URL that fsspec can open, and a Parquet file
    above a quarter of a gigabyte are read in parts in every pass, so data need not fit in memory.
    Files of a folder are sorted by name, with numbers compared as numbers; subfolders and names
    that start with "." or "_" are ignored.

    Parameters
    ----------
    path : path
    columns : names, optional
        The columns to use, in this order. None: all named numeric columns with values (a column
        without a name contains row numbers of pandas or R). Requesting a non-numeric column is an
        error. Columns of a ``.npy`` file are given by position, from 0.
    weight : name, optional
        Column of sample weights.
    missing : {"error", "keep"}, default="error"
        "keep" reads missing values as NaN, for estimators with ``missing="use"`` or ``"drop"``.
    scheduler : dask.distributed.Client or address, optional
        Dask cluster whose workers read the parts, under the same paths; None: this process.
    sep, decimal, encoding : str, optional
        Separator, decimal sign ("." or ",") and encoding of text; by default detected, and UTF-8.
        With decimal commas, dots separate thousands.
    na : sequence of str, optional
        Cells that mean missing values, besides empty cells, "NA", "n/a" and "NULL", and marks such
        as ".", "?", "-", "Missing" and "NR", which a warning names.

    Returns
    -------
    ArraySource or PartitionedSource
        ``columns`` are the names, which estimators keep as ``feature_names_in_``.

    Raises
    ------
    InvalidInputError
        For unreadable files, unknown columns, and missing or infinite values. The message names the
        rows, which count from 1 without the header.

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
    text = TextFormat(sep, decimal, encoding, _cells(na))
    many = names_many(path)
    if not many and not os.path.isfile(path):
        raise absent("a data file", path)
    if scheduler is not None:
        return read_parts(path, chosen, weight, text, _workers_of(scheduler))
    if in_parts(path):
        return read_parts(path, chosen, weight, text)
    name = path.lower()
    if name.endswith(NUMPY):
        return _read_npy(path, chosen, weight, keep)
    return source_of(path, frame_of(path, chosen, weight, text), chosen, weight, keep)


def _cells(na: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, [na] if isinstance(na, str) else na))


def read_table(
    path: str | PathLike[str],
    columns: Sequence[str] | str | None = None,
    *,
    sep: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    na: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a file as a data frame with all of its columns.

    Formats and detection are those of ``read``, which is for data that do not fit in memory. What
    the columns are is decided where no family is named, as in ``select``.

    Parameters
    ----------
    path : path
        A .csv, .tsv, .txt, .xlsx or .parquet file; comment lines above the header are skipped.
    columns : names, optional
        The columns to read, in this order; None: all of them.
    sep, decimal, encoding, na : optional
        As in ``read``.

    Raises
    ------
    InvalidInputError
        For unreadable files and unknown columns.

    Examples
    --------
    >>> import os, tempfile, bayesmix as bm
    >>> path = os.path.join(tempfile.mkdtemp(), "faithful.csv")
    >>> bm.datasets.load_faithful().to_csv(path, index=False)
    >>> bm.read_table(path).columns.tolist()
    ['eruptions', 'waiting']
    """
    path = path_text("path", path)
    if names_many(path) or path.lower().endswith(NUMPY):
        raise InvalidInputError(f"path must be a single table, got {path}: use bayesmix.read")
    text = TextFormat(sep, decimal, encoding, _cells(na))
    wanted = [columns] if isinstance(columns, str) else list(columns or ())
    if wanted and path.lower().endswith(PARQUET) and os.path.isfile(path):
        # One after the other, as pandas needs twice the memory of what it reads.
        return pd.DataFrame(
            {name: frame_of(path, [name], None, text)[name] for name in wanted}, copy=False
        )
    frame = named_rows(path, text).reset_index(drop=True)
    if columns is None:
        return frame
    check_names(path, [str(name) for name in frame.columns], wanted, None)
    return frame[wanted]


def read_typed(
    path: str,
    columns: Sequence[str] | None = None,
    weight: str | None = None,
    missing: str = "error",
    text: TextFormat = UNKNOWN,
    numbers_are: str | None = None,
    **named: Sequence[str],
) -> ArraySource:
    """Read a table with the kinds of its columns.

    ``named`` lists columns to treat as ``categorical``, ``continuous``, ``counts`` or ``ratings``,
    and columns to ``exclude``. ``coding`` records the kinds, and why columns were left out.
    ``numbers_are`` is the kind that a named family takes numbers for.
    """
    if os.path.isfile(path) and (path.lower().endswith(NUMPY) or in_parts(path)):
        raise InvalidInputError(
            f"{path} must be a single table with column names: for other data only --columns is "
            "supported"
        )
    frame = named_rows(path, text)
    names = [str(name) for name in frame.columns]
    check_names(path, names, list(columns or ()), weight)
    declared = declared_kinds(names, None, named, path)
    left = [name for name in names if name != weight]
    if columns is not None:
        left = list(dict.fromkeys([*columns, *declared]))
    twice = {name for name in left if names.count(name) > 1}
    left = [name for name in left if name not in twice or declared.get(name) != "exclude"]
    check_once(path, names, left if weight is None else [*left, weight])
    if not left or not len(frame):
        # The error names what is wrong.
        return source_of(path, frame, None if columns is None else left, weight)
    made, coding = coded(frame[left], declared, None if columns is None else left, numbers_are)
    check_values(path, made.to_numpy(), coding.names, gaps=missing == "keep")
    return _typed_source(path, frame, made.to_numpy(), coding, weight)


def read_as(
    path: str, coding: Coding, weight: str | None, gaps: bool, text: TextFormat, unseen: str
) -> ArraySource:
    """Read a file with the columns and levels of a coding; ``gaps`` allows missing values.

    ``unseen="missing"``: categories that are not among the levels are missing values.
    """
    frame = named_rows(path, text)
    names = [str(name) for name in frame.columns]
    check_names(path, names, list(coding.given), weight, "columns of the fit")
    used = frame[[name for name in names if name in coding.given]]
    values = recoded(used, coding, unseen).to_numpy()
    # Without missing cells, only categories that are not among the levels are NaN.
    check_values(path, values, coding.names, gaps=gaps or not used.isna().to_numpy().any())
    return _typed_source(path, frame, values, coding, weight)


def named_rows(path: str, text: TextFormat) -> pd.DataFrame:
    """Read a table with rows numbered from 1."""
    if not os.path.isfile(path):
        raise absent("a data file", path)
    frame = frame_of(path, None, None, text)
    names = [str(name) for name in frame.columns]
    if len(names) > 1 and not any(names[1:]):
        raise InvalidInputError(
            f"the first line of {path} must name the columns, got {names[0]!r} alone: delete the "
            "lines above the names"
        )
    if names.count("") > 1:
        names = [name or f"Unnamed: {place}" for place, name in enumerate(names)]
    return frame.set_axis(range(1, len(frame) + 1)).set_axis(pd.Index(names), axis=1)


def _typed_source(
    path: str, frame: Any, values: Any, coding: Coding, weight: str | None
) -> ArraySource:
    weights = None if weight is None else checked_weights(path, weight, frame[weight])
    return ArraySource(values, weights, columns=coding.names, coding=coding)


def frame_of(path: str, columns: list[Any] | None, weight: Any, text: TextFormat) -> pd.DataFrame:
    """Read a table other than an array, with column names as text."""
    name = path.lower()
    if name.endswith(PARQUET):
        frame, decimal = _without(_parquet(path, columns, weight), text.na), None
    elif name.endswith(SPREADSHEET):
        frame, decimal = observations(path, _without(_spreadsheet(path), text.na)), None
        frame = frame.infer_objects()  # cells of a spreadsheet have types
    elif name.endswith((*TEXT, ".txt")):
        frame, decimal = observations(path, frame_of_text(path, columns, text)), text.decimal
    else:
        raise InvalidInputError(
            f"path must end in {', '.join(ENDINGS_ALONE[:-1])} or {ENDINGS_ALONE[-1]}, got "
            f"{os.path.basename(path)}: save the table as one of these"
        )
    frame, marks = with_numbers(frame, decimal)
    if marks:
        warn(f"{path}: {marks}", BayesmixWarning)
    return frame


def observations(path: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table without repeated names, units, sums and means."""
    gone, notes = other_rows(path, frame)
    if not len(gone):
        return frame
    warn(f"left out: {'; '.join(notes)}", BayesmixWarning)
    return frame.drop(index=frame.index[gone]).reset_index(drop=True)


def _without(frame: pd.DataFrame, na: tuple[str, ...]) -> pd.DataFrame:
    """Return a frame with missing values in place of their codes."""
    numbers = pd.to_numeric(pd.Series(na, dtype=object), errors="coerce").dropna().tolist()
    return frame.mask(frame.isin([*na, *numbers])) if na else frame


def _spreadsheet(path: str) -> pd.DataFrame:
    try:
        frame = pd.read_excel(path, engine="openpyxl", keep_default_na=False, na_values=list(GAPS))
    except ImportError:
        raise missing_extra("openpyxl", "excel") from None
    except (*DAMAGED, AttributeError, BadZipFile) as problem:
        raise InvalidInputError(f"{path} cannot be read as .xlsx: {problem!r:.200}") from None
    unnamed = {name: "" for name in frame.columns if str(name).startswith("Unnamed: ")}
    frame.columns = pd.Index([unnamed.get(name, str(name)) for name in frame.columns])
    return frame


def _workers_of(scheduler: Any) -> Callable[[tuple[Loader, ...]], Engine]:
    """Return an engine on a Dask cluster, given a client or its address."""
    try:
        from distributed import Client
    except ImportError:
        raise missing_extra("dask", "dask") from None
    try:
        client = Client(scheduler) if isinstance(scheduler, str) else scheduler
    except (OSError, ValueError) as problem:
        raise FileAccessError(f"no scheduler answers at {scheduler}: {problem}") from None
    return partial(DaskEngine, client)


def in_parts(path: str) -> bool:
    """Whether a file is read part by part in every pass."""
    parquet = path.lower().endswith(PARQUET) and os.path.isfile(path)
    return names_many(path) or (parquet and os.path.getsize(path) > LARGE_PARQUET)


def _parquet(path: str, columns: list[Any] | None, weight: Any) -> pd.DataFrame:
    try:
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("pyarrow", "parquet") from None
    try:
        wanted = None
        about = pyarrow.parquet.read_metadata(path)
        n_columns = about.num_columns if columns is None else len(columns)
        in_memory(path, 16.0 * about.num_rows * n_columns, "choose fewer columns")
        if columns is not None:
            names = pyarrow.parquet.read_schema(path).names
            wanted = [*columns, *([] if weight is None else [weight])]
            check_names(path, names, columns, weight)
        frame = pd.read_parquet(path, engine="pyarrow", columns=wanted)
    except InvalidInputError:
        raise
    except (pyarrow.ArrowException, *DAMAGED, AttributeError) as problem:
        raise InvalidInputError(f"{path} cannot be read as Parquet: {problem!r:.200}") from None
    frame.columns = pd.Index([str(name) for name in frame.columns])
    return frame


# .npy files have no names, and may be too large to read at once.


def _read_npy(path: str, columns: list[Any] | None, weight: Any, gaps: bool) -> ArraySource:
    with open(path, "rb") as stream:
        if stream.read(6) != b"\x93NUMPY":
            raise InvalidInputError(f"{path} must be an array saved by numpy.save")
    values = open_npy(path).values
    n_rows, n_columns = values.shape
    if not n_rows or not n_columns:
        raise InvalidInputError(f"{path} must have rows and columns, got shape {values.shape}")
    places, kept = positions(path, columns, weight, n_columns)
    chosen = values if len(places) == n_columns else values[:, list(places)]
    check_values(path, chosen, [f"column {place}" for place in places], gaps)
    series = None if kept is None else pd.Series(values[:, kept])
    weights = None if series is None else checked_weights(path, weight, series)
    return ArraySource(chosen, weights)
