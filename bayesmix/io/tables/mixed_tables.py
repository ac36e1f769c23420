"""Files whose columns are not all numbers, as sources that know what their codes stand for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.io.tables.coded_frames import coded, recoded
from bayesmix.io.tables.kinds import KEY_LIKE
from bayesmix.io.tables.named_columns import check_names, check_values, checked_weights, is_numeric
from bayesmix.io.tables.places import NUMPY
from bayesmix.io.tables.readers import frame_of, in_parts
from bayesmix.records.coding import Coding
from bayesmix.sources import ArraySource


def read_mixed(
    path: str | PathLike[str],
    columns: Sequence[str] | None,
    weight: str | None,
    exclude: Sequence[str],
    categorical: Sequence[str],
    missing: str = "error",
) -> ArraySource:
    """The rows of a file: columns of numbers, and ``categorical`` ones as codes of their levels.

    ``coding`` of what comes back says what was left out: text, dates, keys, columns of one value.
    ``columns`` are the only ones to use, where they are given, and ``exclude`` those not to use.
    """
    path = fspath(path)
    frame = _whole_table(path)
    names = [str(name) for name in frame.columns]
    check_names(path, names, list(columns or ()), weight)
    check_names(path, names, list(exclude), None, "exclude")
    check_names(path, names, list(categorical), None, "categorical")
    # A column without a name is the row numbers that pandas and R write.
    left = [name for name in names if name and name != weight and name not in exclude]
    wanted = None
    if columns is not None:
        wanted = list(dict.fromkeys([*columns, *categorical]))
        left = [name for name in wanted if name not in exclude]
    made, coding = coded(frame[left], categorical, None if wanted is None else left, text=False)
    values = made.to_numpy()
    check_values(path, values, coding.names, gaps=missing == "keep")
    return _source(path, frame, values, coding, weight)


def left_out(
    path: str | PathLike[str], columns: Sequence[str] | None, weight: str | None
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """Of a file whose numbers are to be used: the names of such columns, and of others why not.

    Nothing of files in parts and of arrays, nor where the columns are named.
    """
    path = fspath(path)
    array = not os.path.isfile(path) or path.lower().endswith(NUMPY) or in_parts(path)
    if columns is not None or array:
        return [], ()
    frame = _named_rows(path)
    named = [str(name) for name in frame.columns]
    there = [n for n in named if n and n != weight and named.count(n) == 1]
    if not any(is_numeric(frame[name].dtype) for name in there):
        return [], ()
    try:
        _, coding = coded(frame[there], text=False)
    except InvalidInputError:
        return [], ()
    # Numbers that do not vary are set aside by the fit, which says so.
    left = tuple(
        (n, why)
        for n, why in coding.left_out
        if not is_numeric(frame[n].dtype) or why.startswith(KEY_LIKE)
    )
    gone = {name for name, _ in left}
    numbers = [name for name in there if is_numeric(frame[name].dtype) and name not in gone]
    return numbers, left


def _whole_table(path: str) -> Any:
    """The table of a file that is read whole."""
    if os.path.isfile(path) and (path.lower().endswith(NUMPY) or in_parts(path)):
        raise InvalidInputError(
            f"{path} must be one table with names, to name columns of it: give --columns alone"
        )
    return _named_rows(path)


def _named_rows(path: str) -> Any:
    """The table of a file, whose rows count from 1."""
    frame = frame_of(path, None, None)
    return frame.set_axis(range(1, len(frame) + 1))


def read_as(
    path: str | PathLike[str], coding: Coding, weight: str | None = None, gaps: bool = False
) -> ArraySource:
    """The rows of a file with the columns and the levels of a coding; there may be ``gaps``."""
    path = fspath(path)
    frame = _named_rows(path)
    names = [str(name) for name in frame.columns]
    check_names(path, names, list(coding.names), weight)
    values = recoded(frame[[name for name in names if name in coding.names]], coding).to_numpy()
    check_values(path, values, coding.names, gaps=gaps)
    return _source(path, frame, values, coding, weight)


def _source(path: str, frame: Any, values: Any, coding: Coding, weight: str | None) -> ArraySource:
    weights = None
    if weight is not None:
        weights = checked_weights(path, weight, frame[weight].to_numpy(np.float64, na_value=np.nan))
    return ArraySource(values, weights, columns=coding.names, coding=coding)


def kept_columns(path: str | PathLike[str], names: Sequence[str]) -> dict[str, list[Any]]:
    """Columns of a file as they are, to be carried along."""
    path = fspath(path)
    frame = frame_of(path, None, None)
    check_names(path, [str(name) for name in frame.columns], list(names), None, "keep")
    return {name: ["" if value != value else value for value in frame[name]] for name in names}
