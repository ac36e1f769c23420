"""Files whose columns are not all numbers, as sources that know what their codes stand for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.io.coding import coded, recoded
from bayesmix.io.columns import check_names, check_values, checked_weights, is_numeric, source_of
from bayesmix.io.parts import NUMPY
from bayesmix.io.tables import frame_of, in_parts, read
from bayesmix.protocols import Source
from bayesmix.records.coding import Coding
from bayesmix.sources import ArraySource


def read_mixed(
    path: str | PathLike[str],
    columns: Sequence[str] | None = None,
    weight: str | None = None,
    exclude: Sequence[str] = (),
    categorical: Sequence[str] = (),
) -> Source:
    """The rows of a file: columns of numbers, and of categories and text as codes of levels.

    ``coding`` of what comes back says what was taken for what, and what was left out: dates, keys,
    columns of one value. A file of numbers alone is read as ``read`` reads it.

    Parameters
    ----------
    path : path
    columns : names, optional
        The columns to use; None: all that are numbers or levels.
    weight : name, optional
        The column that says how often each row counts.
    exclude : names
        Columns not to use.
    categorical : names
        Columns whose values are levels, even where they are numbers.
    """
    path = fspath(path)
    whole = os.path.isfile(path) and not path.lower().endswith(NUMPY)
    if not whole or in_parts(path):
        if exclude or categorical:
            raise InvalidInputError(f"{path} must be one table with names, to name columns of it")
        return read(path, columns, weight)
    frame = frame_of(path, None, None)
    names = [str(name) for name in frame.columns]
    check_names(path, names, [*(columns or ()), *exclude, *categorical], None)
    if weight is not None:
        check_names(path, names, [], weight)
    # A column without a name is the row numbers that pandas and R write.
    left = [name for name in names if name and name != weight and name not in exclude]
    wanted = None if columns is None else [name for name in columns if name not in exclude]
    there = frame[left if wanted is None else wanted]
    plain = all(map(is_numeric, there.dtypes)) and not categorical
    made, coding = coded(there, categorical, wanted)
    if plain and not coding.left_out:
        return source_of(path, frame, list(there.columns), weight)
    values = made.to_numpy()
    check_values(path, values, coding.names)
    return _source(path, frame, values, coding, weight)


def read_as(path: str | PathLike[str], coding: Coding, weight: str | None = None) -> ArraySource:
    """The rows of a file with the columns and the levels of a coding."""
    path = fspath(path)
    frame = frame_of(path, None, None)
    names = [str(name) for name in frame.columns]
    check_names(path, names, list(coding.names), weight)
    values = recoded(frame[[name for name in names if name in coding.names]], coding).to_numpy()
    check_values(path, values, coding.names)
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
    check_names(path, [str(name) for name in frame.columns], list(names), None)
    return {name: ["" if value != value else value for value in frame[name]] for name in names}
