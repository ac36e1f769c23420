"""Measured data of a command: columns of errors, limits, and cells such as ``<0.5``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.shell.data import STANDARD_INPUT, kinds_named, whole_table
from bayesmix.shell.options import MeasuredAs, Numbers, Table, names

if TYPE_CHECKING:
    from bayesmix.numerics.arrays import Array
    from bayesmix.sources.memory import ArraySource

LIMIT = re.compile(r"\s*(?P<name>.+?)\s*(?P<side>[<>])=?\s*(?P<bound>[^<>=\s]+)\s*")
# The bytes are those of ≤ and ≥ in UTF-8.
CELL = re.compile(rb"(?:^|[,;\t \"])([<>]|\xe2\x89[\xa4\xa5])=?[ \t]*[-+.\d]", re.MULTILINE)
BINARY = (".npy", ".parquet", ".pq", ".xlsx", ".feather")


def measured_rows(rows: Numbers, how: MeasuredAs, fitted: Sequence[str] = ()) -> ArraySource | None:
    """Return DATA as measured values, or None if neither options nor cells say that it is.

    ``fitted`` are the columns of a model, if one predicts.
    """
    asked = how.is_given
    if not asked and not _may_hold_limits(rows.data):
        return None
    from bayesmix.observation.measured import Measured

    frame = whole_table(rows, [rows.weight])
    read = {str(name): _written(column) for name, column in frame.items()}
    if how.trials is not None:
        return _in_trials(rows, how, frame, read, fitted)
    errors, events = _errors(rows, how, fitted), _events(how)
    for time, event in events.items():
        read[time] = _with_events(rows.data, frame, read, time, event)
    exclude = names(rows.exclude) or [] if isinstance(rows, Table) else []
    apart = {rows.weight, *errors.values(), *events.values(), *exclude}
    usable = [name for name, cells in read.items() if cells is not None and name not in apart]
    columns = names(rows.columns) or list(fitted) or usable
    if not asked and not any(map(_is_limited, map(read.get, columns))):
        return None
    if columns is usable:
        columns = _measurable(frame.drop(columns=list(apart - {None})), read)
    for name in (*columns, *errors, *errors.values()):
        if read.get(name) is None:
            raise InvalidInputError(
                f"{rows.data} must have a column {name!r} of numbers, or of limits such as <0.5"
            )
    _refuse_kinds(rows)
    cells: Any = read
    values, lower, upper = np.stack([cells[name] for name in columns], axis=-1)
    none = np.zeros(len(values))
    error = [cells[errors[name]][0] if name in errors else none for name in columns]
    source = Measured(
        pd.DataFrame(values, columns=columns),
        error=np.column_stack(error) if errors else None,
        limits=_limits(how, columns),
        lower=lower,
        upper=upper,
    )
    return _weighted(rows, frame, source)


def _weighted(rows: Numbers, frame: pd.DataFrame, source: ArraySource) -> ArraySource:
    """Return measured values with the sample weights of a column, if it is named."""
    from bayesmix.data.table_columns import checked_weights

    if rows.weight is None:
        return source
    weights = checked_weights(rows.data, rows.weight, frame[rows.weight])
    return replace(source, weights=weights)


def _in_trials(
    rows: Numbers,
    how: MeasuredAs,
    frame: pd.DataFrame,
    read: Mapping[str, Array | None],
    fitted: Sequence[str],
) -> ArraySource:
    """Return numbers of successes in the trials that --trials names."""
    from bayesmix.observation.measured import Measured

    given = names(how.trials) or [""]
    pairs = dict(part.partition("=")[::2] for part in given if "=" in part)
    if len(pairs) < len(given) and len(given) > 1:
        raise InvalidInputError(
            "--trials must be a number, a column, or pairs such as hits=shots,goals=kicks, got "
            f"{how.trials!r}"
        )
    for option, value in vars(how).items():
        if option in ("error_columns", "limit", "censored") and value is not None:
            raise InvalidInputError(f"--trials does not go with --{option.replace('_', '-')}")
    exclude = names(rows.exclude) or [] if isinstance(rows, Table) else []
    apart = {rows.weight, *given, *pairs.values(), *exclude}
    numeric = [name for name, cells in read.items() if cells is not None and name not in apart]
    columns = names(rows.columns) or list(fitted) or [*pairs] or numeric
    trials = [pairs.get(name, given[0]) for name in columns]
    if without := [name for name in columns if pairs and name not in pairs]:
        raise InvalidInputError(f"--trials must have a pair for column {without[0]!r}")
    cells = {name: read.get(name) for name in (*columns, *trials)}
    cells |= {name: np.full((3, len(frame)), float(name)) for name in trials if name.isdecimal()}
    if unknown := [name for name, own in cells.items() if own is None]:
        raise InvalidInputError(
            f"{rows.data} must have a column {unknown[0]!r} of numbers, which --trials needs"
        )
    _refuse_kinds(rows)
    numbers: Any = cells
    values, tries = (np.column_stack([numbers[c][0] for c in own]) for own in (columns, trials))
    source = Measured(pd.DataFrame(values, columns=columns), trials=tries)
    return _weighted(rows, frame, source)


def _is_limited(cells: Array | None) -> bool:
    """Whether any cell of a column is a limit."""
    return cells is not None and not np.isnan(cells[1:]).all()


def _written(column: pd.Series[Any]) -> Array | None:
    """Return values, lower and upper bounds (3, n) of a column, None if it holds anything else."""
    from bayesmix.core.missing_marks import MARKS
    from bayesmix.data.numbers_in_text import as_numbers
    from bayesmix.observation.measured import column_of

    cells = column_of(column.mask(column.astype(str).str.lower().isin(MARKS)))
    numbers = as_numbers(column) if cells is None else None
    return cells if numbers is None else column_of(numbers)


def _measurable(frame: pd.DataFrame, read: Mapping[str, Array | None]) -> list[str]:
    """Return the columns that no rule leaves out, and say which are."""
    from bayesmix.data.column_kinds import CATEGORICAL, kinds_of

    columns = {str(name): read[str(name)] for name in frame}
    numbers = {name: cells[0] for name, cells in columns.items() if cells is not None}
    text = {name: "text" for name, cells in columns.items() if cells is None}
    plain = [name for name in numbers if not _is_limited(columns[name])]
    kinds = kinds_of(frame.assign(**numbers)[[*plain, *text]], {})
    dropped = {name: "categories" for name in plain if kinds[name].kind == CATEGORICAL}
    why = text | dropped | {name: kind.why for name, kind in kinds.items() if kind.why}
    if why:
        texts = ", ".join(f"{name or 'unnamed column'} ({reason})" for name, reason in why.items())
        warn(f"left out: {texts}", BayesmixWarning)
    return [name for name in columns if name not in why]


def _may_hold_limits(path: str) -> bool:
    """Whether a text file has cells that begin with ``<``, ``>``, ``≤`` or ``≥`` and a number."""
    if path == STANDARD_INPUT or path.lower().endswith(BINARY) or not Path(path).is_file():
        return False
    if not Path(path).stat().st_size:
        return False
    with open(path, "rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as text:
        # Most files have none of these, which is seen far sooner.
        signs = map(text.find, (b"<", b">", b"\xe2\x89"))
        return max(signs) >= 0 and CELL.search(text) is not None


def _errors(rows: Numbers, how: MeasuredAs, fitted: Sequence[str]) -> dict[str, str]:
    """Return the column of errors of each column."""
    given = names(how.error_columns) or []
    if given and all("=" in part for part in given):
        pairs = (part.split("=", 1) for part in given)
        return {name.strip(): error.strip() for name, error in pairs}
    columns = names(rows.columns) or list(fitted)
    if len(columns) != len(given) and given:
        raise InvalidInputError(
            f"--error-columns must name a column for each of --columns, got {len(given)} for "
            f"{len(columns)}: give pairs such as x=x_error,y=y_error"
        )
    return dict(zip(columns, given, strict=False))


# Words of columns of events.
ENDED = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def _events(how: MeasuredAs) -> dict[str, str]:
    """Return the column of events of each column of times."""
    pairs = [part.rpartition(":") for part in names(how.censored) or []]
    for time, colon, event in pairs:
        if not (time and colon and event):
            raise InvalidInputError(
                "--censored must be pairs of a column of times and one of events, such as "
                f"time:delta, got {how.censored!r}"
            )
    return {time.strip(): event.strip() for time, _, event in pairs}


def _with_events(
    data: str, frame: pd.DataFrame, read: Mapping[str, Array | None], time: str, event: str
) -> Array:
    """Return values and bounds (3, n) of times, which are lower bounds where nothing ended."""
    for name in (time, event):
        if name not in read:
            raise InvalidInputError(f"{data} has no column {name!r}, which --censored names")
    cells = read[time]
    if cells is None:
        raise InvalidInputError(f"{data} must have a column {time!r} of numbers for --censored")
    values = frame[event]
    words = values.astype("string").str.strip().str.lower().str.removesuffix(".0")
    ended = words.map(ENDED)
    if ended.isna().any():
        row = int(np.flatnonzero(ended.isna())[0])
        raise InvalidInputError(
            f"column {event!r} of --censored must be 1 (ended) or 0 (not yet) in each row, got "
            f"{values.iloc[row]!r} in row {row + 1} of {data}"
        )
    open_ = ~ended.to_numpy(bool) & ~np.isnan(cells[0])
    bounds = cells.copy()
    bounds[1, open_], bounds[0, open_] = cells[0, open_], np.nan
    return bounds


def _limits(how: MeasuredAs, columns: Sequence[str]) -> tuple[Array, Array]:
    """Return the limits (D,) of the columns."""
    low, high = np.full(len(columns), -np.inf), np.full(len(columns), np.inf)
    for part in names(how.limit) or []:
        match = LIMIT.fullmatch(part)
        try:
            bound = float(match["bound"]) if match else np.nan
        except ValueError:
            bound = np.nan
        if match is None or np.isnan(bound) or match["name"] not in columns:
            raise InvalidInputError(
                f"--limit must be like 'column<0.5' or 'column>100' with a column of "
                f"{', '.join(columns)}, got {part!r}"
            )
        (low if match["side"] == "<" else high)[columns.index(match["name"])] = bound
    return low, high


def _refuse_kinds(rows: Numbers) -> None:
    if isinstance(rows, Table):
        kinds = [kind for kind, listed in kinds_named(rows).items() if listed and kind != "exclude"]
        if kinds or rows.scheduler is not None:
            name = kinds[0] if kinds else "scheduler"
            raise InvalidInputError(
                f"--{name} does not support errors and limits of measured columns: leave it out"
            )
