"""Many files, or one that is too large, as partitions of rows: their names, columns and lengths.

Nothing but headers and footers is read here; of text, whose rows have to be counted, all.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bayesmix.errors import InvalidInputError, missing_extra
from bayesmix.io.tables.file_partitions import RowGroups, RowsOfArray, TextPart, header
from bayesmix.io.tables.named_columns import check_names, listed, source_of
from bayesmix.io.tables.places import (
    ENDINGS,
    NUMPY,
    PARQUET,
    UNREADABLE,
    is_url,
    opened,
    unreadable,
)
from bayesmix.io.tables.text import TextFormat, frame_of_text
from bayesmix.protocols import Engine, Loader
from bayesmix.sources import Local, PartitionedSource, counted

# Row groups of fewer rows are read together with their neighbours.
FEW_ROWS = 2**16
# Values of a partition of a .npy file.
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
    """The files of a folder, a pattern or a URL, all of one kind, as a source on an engine."""
    places = _places(path)
    loaders, lengths, names = _parts(places, columns, weight, text)
    engine = on(tuple(loaders))
    source = PartitionedSource.of(
        engine,
        lengths or counted(engine, len(loaders)),
        loaders[0].n_features,
        tuple(map(str, loaders)),
        names,
    )
    if not source.parts:
        raise InvalidInputError(f"{path} must hold rows, and has none")
    return source


def _places(path: str) -> list[str]:
    """The files, by name, numbers in names as numbers."""
    if is_url(path):
        found = _of_url(path)
    elif os.path.isdir(path):
        found = [entry.path for entry in os.scandir(path) if entry.is_file()]
    else:
        found = [path] if os.path.isfile(path) else glob.glob(path)
    found = [place for place in found if not os.path.basename(place).startswith((".", "_"))]
    found = [place for place in found if place.lower().endswith(ENDINGS)]
    if not found:
        where = f"{path} is a folder that has" if os.path.isdir(path) else f"at {path} there is"
        raise InvalidInputError(
            f"path must name a file of rows, but {where} none that ends in "
            f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        )
    return sorted(found, key=_in_order)


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
            found = files.glob(inside)
        elif files.isdir(inside):
            found = [entry["name"] for entry in files.ls(inside) if entry["type"] == "file"]
        else:
            found = [inside] if files.exists(inside) else []
    except (ImportError, *UNREADABLE) as problem:
        raise InvalidInputError(f"{url} cannot be listed: {problem!r:.200}") from None
    return [files.unstrip_protocol(place) for place in found]


def _parts(
    places: Sequence[str], columns: list[Any] | None, weight: Any, text: TextFormat
) -> tuple[list[Any], list[int], tuple[str, ...] | None]:
    """Who reads each part, how many rows it has (none: to be counted), names of columns."""
    makes: Any = {**dict.fromkeys(PARQUET, _row_groups), **dict.fromkeys(NUMPY, _arrays)}
    kinds = {os.path.splitext(place.lower().removesuffix(".gz"))[1] for place in places}
    if len(kinds) > 1:
        raise InvalidInputError(
            f"path must name files of one kind, got {listed(sorted(kinds), quote=False)}: "
            "give a pattern, as data/*.parquet"
        )
    make = makes.get(kinds.pop(), partial(_texts, text=text))
    found: tuple[list[Any], list[int], tuple[str, ...] | None] = make(places, columns, weight)
    return found


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
        numeric = [field.name for field in schema if _is_number(pyarrow.types, field.type)]
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
                f"{place} must have a numeric column to fit, and has {listed(schema.names)}"
            )
        wanted = tuple(names)
        if any(schema.field(name).type != pyarrow.float32() for name in names):
            dtype = "float64"
        for groups in _joined(sizes):
            loaders.append(RowGroups(place, groups, wanted, weight, ""))
            lengths.append(sum(sizes[group] for group in groups))
    return [loader.of_type(dtype) for loader in loaders], lengths, wanted


def _is_number(types: Any, kind: Any) -> bool:
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def _joined(sizes: Sequence[int]) -> list[tuple[int, ...]]:
    """Runs of row groups, each of at least so many rows but the last."""
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
                f"{place} must have {width} columns like the files before it, and has {n_columns}"
            )
        own, of_weight = positions(place, columns, weight, n_columns)
        size = max(1, VALUES_OF_A_PART // n_columns)
        for start in range(0, n_rows, size):
            stop = min(n_rows, start + size)
            loaders.append(RowsOfArray(place, start, stop, own, of_weight))
            lengths.append(stop - start)
    if not loaders:
        raise InvalidInputError(f"{places[0]} must hold rows, and has none")
    return loaders, lengths, None


def positions(
    path: str, columns: list[Any] | None, weight: Any, n_columns: int
) -> tuple[tuple[int, ...], int | None]:
    """Which columns of an array are to be fitted, and which is the weight."""
    places = list(range(n_columns))
    if columns is not None:
        places = [_position(path, "columns", column, n_columns) for column in columns]
    kept = None if weight is None else _position(path, "weight", weight, n_columns)
    if kept is not None:
        if columns is not None and kept in places:
            raise InvalidInputError(
                f"weight must not be one of the columns to fit, got {weight!r} for both"
            )
        places = [place for place in places if place != kept]
        if not places:
            raise InvalidInputError(f"{path} must have a column to fit beside the weight")
    return tuple(places), kept


def _position(path: str, argument: str, column: Any, n_columns: int) -> int:
    """The position of a column, as an integer or its digits."""
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
    first = source_of(places[0], frame_of_text(places[0], columns, text), columns, weight)
    wanted = first.columns
    assert wanted is not None
    return [TextPart(place, text, wanted, weight) for place in places], [], wanted
