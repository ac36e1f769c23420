"""Partitions of files, each read anew whenever it is worked on; picklable, for a cluster."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.io.tables.named_columns import source_of
from bayesmix.io.tables.places import UNREADABLE, is_url, opened, unreadable
from bayesmix.io.tables.text import TextFormat, frame_of_text
from bayesmix.numerics.arrays import Array

# Headers are parsed as Python, which Python 3.11 before 3.11.8 does not do well in two threads at a
# time (python/cpython#106905).
ONE_HEADER = threading.Lock()
# Of a Parquet file: eight doubles are what memory moves at once, and no more columns than these are
# in memory twice; so many rows of them stay in the cache while they are written side by side.
AT_A_TIME = 8
ROWS_AT_A_TIME = 4096


@dataclass(frozen=True)
class RowGroups:
    """Consecutive row groups of a Parquet file: some of its columns."""

    place: str
    groups: tuple[int, ...]
    columns: tuple[str, ...]
    weight: str | None
    dtype: str

    @property
    def n_features(self) -> int:
        return len(self.columns)

    def of_type(self, dtype: str) -> RowGroups:
        """The same, as numbers of a type."""
        return replace(self, dtype=dtype)

    def __call__(self) -> tuple[Array, Array | None]:
        import pyarrow
        import pyarrow.parquet

        try:
            with _bytes_of(self.place) as stream, pyarrow.parquet.ParquetFile(stream) as file:
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
    """Consecutive rows of a ``.npy`` file, mapped where it lies on a disk."""

    place: str
    start: int
    stop: int
    columns: tuple[int, ...]
    weight: int | None

    @property
    def n_features(self) -> int:
        return len(self.columns)

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
    """A whole file of text that names its columns."""

    place: str
    text: TextFormat
    columns: tuple[str, ...]
    weight: str | None

    @property
    def n_features(self) -> int:
        return len(self.columns)

    def __call__(self) -> tuple[Array, Array | None]:
        columns = list(self.columns)
        frame = frame_of_text(self.place, columns, self.text)
        source = source_of(self.place, frame, columns, self.weight)
        return source.values, source.weights

    def __str__(self) -> str:
        return self.place


def array_rows(place: str, start: int, stop: int) -> Array:
    """Rows of a ``.npy`` file, without reading the others."""
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
    """Shape, whether columns come first, and type of an array whose numbers follow."""
    version = np.lib.format.read_magic(stream)
    read: Any = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = read(stream)
    if len(shape) != 2 or dtype.kind not in "fiub":
        raise InvalidInputError(
            f"{place} must hold a two-dimensional array of real numbers, and holds shape {shape} "
            f"of {dtype}"
        )
    return shape, columns_first, dtype


def _bytes_of(place: str) -> Any:
    """A file for pyarrow, which reads one on a disk without the interpreter and its lock."""
    import pyarrow

    return opened(place) if is_url(place) else pyarrow.OSFile(place)


def _fill(values: Array, columns: list[Array]) -> None:
    """Write columns side by side, few rows at a time: those stay in the cache."""
    for start in range(0, len(values), ROWS_AT_A_TIME):
        rows = slice(start, start + ROWS_AT_A_TIME)
        for place, column in enumerate(columns):
            values[rows, place] = column[rows]


def _columns(file: Any, groups: tuple[int, ...], names: tuple[str, ...]) -> list[Array]:
    """Columns of some row groups; what is missing is NaN."""
    table = file.read_row_groups(list(groups), columns=list(names), use_threads=False)
    return [_numbers(table.column(name).to_numpy()) for name in names]


def _numbers(values: Array) -> Array:
    if values.dtype == object:  # flags with gaps
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    return values
