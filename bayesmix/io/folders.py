"""Folders and large files as partitions: names, columns, lengths, and readers.

Only headers and footers are read, except for text, whose rows must be counted. Readers are
picklable and read a part whenever it is used.
"""

from __future__ import annotations

import glob
import os
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from bayesmix.core.sources import Engine, Loader
from bayesmix.data.table_columns import check_names, listed, source_of
from bayesmix.errors import BayesmixWarning, InvalidInputError, missing_extra, warn
from bayesmix.io.text import (
    ENDINGS,
    NUMPY,
    PARQUET,
    UNREADABLE,
    TextFormat,
    frame_of_text,
    is_url,
    opened,
    unreadable,
    with_numbers,
)
from bayesmix.numerics.arrays import Array
from bayesmix.sources.local_workers import Local
from bayesmix.sources.partitions_of_rows import PartitionedSource, counted

# Headers are parsed as Python, which Python 3.11 before 3.11.8 cannot do in two threads at once
# (python/cpython#106905).
ONE_HEADER = threading.Lock()
# Parquet: columns are copied eight at a time (a cache line of doubles), to limit memory, and few
# rows at a time, to stay in the cache.
AT_A_TIME = 8
ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class RowGroups:
    """Some columns of consecutive row groups of a Parquet file."""

    place: str
    groups: tuple[int, ...]
    columns: tuple[str, ...]
    weight: str | None
    dtype: str

    def __call__(self) -> tuple[Array, Array | None]:
        import pyarrow
        import pyarrow.parquet

        try:
            # pyarrow reads local files without Python's lock.
            content = opened(self.place) if is_url(self.place) else pyarrow.OSFile(self.place)
            with content as stream, pyarrow.parquet.ParquetFile(stream) as file:
                groups = [file.metadata.row_group(group).num_rows for group in self.groups]
                values = np.empty((sum(groups), len(self.columns)), dtype=self.dtype)
                for first in range(0, len(self.columns), AT_A_TIME):
                    some = self.columns[first : first + AT_A_TIME]
                    _fill(values[:, first : first + AT_A_TIME], _columns(file, self.groups, some))
                if self.weight is None:
                    return values, None
                (weights,) = _columns(file, self.groups, (self.weight,))
                return values, weights.astype(np.float64)
        except (pyarrow.ArrowException, *UNREADABLE) as problem:
            raise unreadable(str(self), problem) from None

    def __str__(self) -> str:
        first, last = self.groups[0], self.groups[-1]
        groups = f"group {first}" if first == last else f"groups {first} to {last}"
        return f"{self.place}, row {groups}"


@dataclass(frozen=True)
class RowsOfArray:
    """Consecutive rows of a ``.npy`` file, memory-mapped if it is on a local disk."""

    place: str
    start: int
    stop: int
    columns: tuple[int, ...]
    weight: int | None

    def __call__(self) -> tuple[Array, Array | None]:
        try:
            rows = array_rows(self.place, self.start, self.stop)
        except UNREADABLE as problem:
            raise unreadable(self.place, problem) from None
        values = rows
        if self.columns != tuple(range(rows.shape[1])):
            values = np.ascontiguousarray(rows[:, self.columns])
        weights = None if self.weight is None else rows[:, self.weight].astype(np.float64)
        return values, weights

    def __str__(self) -> str:
        return self.place if self.start == 0 else f"{self.place} from row {self.start}"


@dataclass(frozen=True)
class TextPart:
    """A whole text file with column names."""

    place: str
    text: TextFormat
    columns: tuple[str, ...]
    weight: str | None

    def __call__(self) -> tuple[Array, Array | None]:
        columns = list(self.columns)
        frame = with_numbers(frame_of_text(self.place, columns, self.text))[0]
        source = source_of(self.place, frame, columns, self.weight)
        return source.values, source.weights

    def __str__(self) -> str:
        return self.place


def array_rows(place: str, start: int, stop: int) -> Array:
    """Read some rows of a ``.npy`` file."""
    if not is_url(place):
        with ONE_HEADER:
            mapped: Array = np.load(place, mmap_mode="r", allow_pickle=False)
        return mapped[start:stop]
    with opened(place) as stream:
        with ONE_HEADER:
            (n_rows, n_columns), columns_first, dtype = header(stream, place)
        begin, size = stream.tell(), dtype.itemsize

        def numbers(place: int, n: int) -> Array:
            stream.seek(begin + place * size)
            return np.frombuffer(stream.read(n * size), dtype)

        if columns_first:
            columns = [numbers(d * n_rows + start, stop - start) for d in range(n_columns)]
            return np.stack(columns, axis=1)
        rows = numbers(start * n_columns, (stop - start) * n_columns)
        return rows.reshape(stop - start, n_columns)


def header(stream: Any, place: str) -> tuple[tuple[int, int], bool, Any]:
    """Return shape, order and type of the array that follows in a file."""
    version = np.lib.format.read_magic(stream)
    read: Any = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = read(stream)
    if len(shape) != 2 or dtype.kind not in "fiub":
        raise InvalidInputError(
            f"{place} must hold a two-dimensional array of real numbers, got shape {shape} "
            f"of {dtype}"
        )
    return shape, columns_first, dtype


def _fill(values: Array, columns: list[Array]) -> None:
    """Copy columns side by side, few rows at a time to stay in the cache."""
    for start in range(0, len(values), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        for place, column in enumerate(columns):
            values[rows, place] = column[rows]


def _columns(file: Any, groups: tuple[int, ...], names: tuple[str, ...]) -> list[Array]:
    """Return columns of some row groups, with NaN for missing values."""
    table = file.read_row_groups(list(groups), columns=list(names), use_threads=False)
    return [_numbers(table.column(name).to_numpy()) for name in names]


def _numbers(values: Array) -> Array:
    if values.dtype == object:  # booleans with missing values
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    return values


# Row groups with fewer rows are read together with their neighbours.
FEW_ROWS = 2**16
# Number of values in a partition of a .npy file.
VALUES_OF_A_PART = 2**22
MARKS = "*?["


def names_many(path: str) -> bool:
    """Whether a path is a folder, a pattern or a URL."""
    return os.path.isdir(path) or is_url(path) or any(mark in path for mark in MARKS)


def read_parts(
    path: str,
    columns: list[Any] | None,
    weight: Any,
    text: TextFormat,
    on: Callable[[tuple[Loader, ...]], Engine] = Local,
) -> PartitionedSource:
    """Return a source of the files of a folder, pattern or URL, all of one type."""
    places = _places(path)
    loaders, lengths, names = _parts(places, columns, weight, text)
    engine = on(tuple(loaders))
    source = PartitionedSource.of(
        engine,
        lengths or counted(engine, len(loaders)),
        len(loaders[0].columns),
        tuple(map(str, loaders)),
        names,
    )
    if not source.parts:
        raise InvalidInputError(f"{path} must contain rows, but has none")
    return source


def _places(path: str) -> list[str]:
    """Return the files sorted by name, with numbers in names compared as numbers."""
    if is_url(path):
        places = _of_url(path)
    elif os.path.isdir(path):
        places = [entry.path for entry in os.scandir(path) if entry.is_file()]
    else:
        places = [path] if os.path.isfile(path) else glob.glob(path)
    places = [place for place in places if not os.path.basename(place).startswith((".", "_"))]
    places = [place for place in places if place.lower().endswith(ENDINGS)]
    if not places:
        where = f"folder {path} has" if os.path.isdir(path) else f"{path} is"
        raise InvalidInputError(
            f"path must name a data file, but {where} no file that ends in "
            f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        )
    return sorted(places, key=_in_order)


def _in_order(place: str) -> list[tuple[int, str]]:
    pieces = re.split(r"(\d+)", place)
    return [(int(piece) if piece.isdecimal() else -1, piece) for piece in pieces]


def _of_url(url: str) -> list[str]:
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise missing_extra("fsspec", "dask") from None
    try:
        files, inside = url_to_fs(url)
        if any(mark in inside for mark in MARKS):
            paths = files.glob(inside)
        elif files.isdir(inside):
            paths = [entry["name"] for entry in files.ls(inside) if entry["type"] == "file"]
        else:
            paths = [inside] if files.exists(inside) else []
    except (ImportError, *UNREADABLE) as problem:
        raise InvalidInputError(f"{url} cannot be listed: {problem!r:.200}") from None
    return [files.unstrip_protocol(place) for place in paths]


def _parts(
    places: Sequence[str], columns: list[Any] | None, weight: Any, text: TextFormat
) -> tuple[list[Any], list[int], tuple[str, ...] | None]:
    """Return readers of parts, their numbers of rows (None: to be counted), and column names."""
    makes: Any = {**dict.fromkeys(PARQUET, _row_groups), **dict.fromkeys(NUMPY, _arrays)}
    kinds = {os.path.splitext(place.lower().removesuffix(".gz"))[1] for place in places}
    if len(kinds) > 1:
        raise InvalidInputError(
            f"path must name files of one kind, got {listed(sorted(kinds), quote=False)}: "
            "give a pattern, as data/*.parquet"
        )
    make = makes.get(kinds.pop(), partial(_texts, text=text))
    return make(places, columns, weight)


def _row_groups(
    places: Sequence[str], columns: list[Any] | None, weight: Any
) -> tuple[list[RowGroups], list[int], tuple[str, ...]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("pyarrow", "parquet") from None
    loaders: list[RowGroups] = []
    lengths: list[int] = []
    wanted: tuple[str, ...] = ()
    dtype = "float32"
    for place in places:
        try:
            with opened(place) as stream, pyarrow.parquet.ParquetFile(stream) as file:
                schema, about = file.schema_arrow, file.metadata
                sizes = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
        except (pyarrow.ArrowException, *UNREADABLE) as problem:
            raise unreadable(place, problem) from None
        kinds = pyarrow.types
        is_number = kinds.is_integer, kinds.is_floating, kinds.is_boolean
        numeric = [one.name for one in schema if any(holds(one.type) for holds in is_number)]
        names = list(map(str, columns)) if columns is not None else list(wanted)
        names = names or [name for name in numeric if name and name != weight]
        check_names(place, schema.names, names, weight)
        used = [*names, *([] if weight is None else [weight])]
        if wrong := [name for name in used if name not in numeric]:
            raise InvalidInputError(
                f"columns must be numeric, but {listed(wrong)} in {place} is not"
            )
        if not names:
            raise InvalidInputError(
                f"{place} must have a numeric column, but has {listed(schema.names)}"
            )
        wanted = tuple(names)
        if any(schema.field(name).type != pyarrow.float32() for name in names):
            dtype = "float64"
        for groups in _joined(sizes):
            loaders.append(RowGroups(place, groups, wanted, weight, ""))
            lengths.append(sum(sizes[group] for group in groups))
    return [replace(loader, dtype=dtype) for loader in loaders], lengths, wanted


def _joined(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Group row groups into runs of at least this many rows, except the last."""
    runs: list[tuple[int, ...]] = []
    run: tuple[int, ...] = ()
    for group in range(len(sizes)):
        run = (*run, group)
        if sum(sizes[one] for one in run) >= FEW_ROWS:
            runs.append(run)
            run = ()
    return [*runs, run] if run else runs


def _arrays(
    places: Sequence[str], columns: list[Any] | None, weight: Any
) -> tuple[list[RowsOfArray], list[int], None]:
    loaders: list[RowsOfArray] = []
    lengths: list[int] = []
    width = None
    for place in places:
        try:
            with opened(place) as stream:
                (n_rows, n_columns), _, _ = header(stream, place)
        except UNREADABLE as problem:
            raise unreadable(place, problem) from None
        width = n_columns if width is None else width
        if n_columns != width:
            raise InvalidInputError(
                f"{place} must have {width} columns, like the files before it, got {n_columns}"
            )
        own, of_weight = positions(place, columns, weight, n_columns)
        size = max(1, VALUES_OF_A_PART // n_columns)
        for start in range(0, n_rows, size):
            stop = min(n_rows, start + size)
            loaders.append(RowsOfArray(place, start, stop, own, of_weight))
            lengths.append(stop - start)
    if not loaders:
        raise InvalidInputError(f"{places[0]} must contain rows, but has none")
    return loaders, lengths, None


def positions(
    path: str, columns: list[Any] | None, weight: Any, n_columns: int
) -> tuple[tuple[int, ...], int | None]:
    """Return the positions of the columns to fit and of the weight."""
    places = list(range(n_columns))
    if columns is not None:
        places = [_position(path, "columns", column, n_columns) for column in columns]
    of_weight = None if weight is None else _position(path, "weight", weight, n_columns)
    if of_weight is not None:
        if columns is not None and of_weight in places:
            raise InvalidInputError(
                f"weight must not be one of the columns to fit, but {weight!r} is"
            )
        places = [place for place in places if place != of_weight]
        if not places:
            raise InvalidInputError(f"{path} must have a column other than the weight")
    return tuple(places), of_weight


def _position(path: str, argument: str, column: Any, n_columns: int) -> int:
    place = int(column) if str(column).isdecimal() else -1
    if not 0 <= place < n_columns:
        raise InvalidInputError(
            f"{argument} of a .npy file must be positions from 0 to {n_columns - 1}, since it has "
            f"no names; got {column!r} for {path}"
        )
    return place


def _texts(
    places: Sequence[str], columns: list[Any] | None, weight: Any, text: TextFormat
) -> tuple[list[TextPart], list[int], tuple[str, ...]]:
    table, marks = with_numbers(frame_of_text(places[0], columns, text))
    if marks:
        warn(f"{places[0]}: {marks}", BayesmixWarning)
    first = source_of(places[0], table, columns, weight)
    wanted = first.columns
    assert wanted is not None
    return [TextPart(place, text, wanted, weight) for place in places], [], wanted
