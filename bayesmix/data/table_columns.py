"""Frames and files as numbers, by the kinds of their columns, with checks of names and values."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.printed_numbers import number
from bayesmix.data.circles import is_circle
from bayesmix.data.column_kinds import (
    CATEGORICAL,
    CONTINUOUS,
    COUNTS,
    LEFT_OUT,
    PLAIN_VALUES,
    RATINGS,
    ColumnKind,
    declared_levels,
    kind_of,
    kinds_of,
    overdispersion,
    with_blank,
)
from bayesmix.data.numbers_in_text import as_numbers, is_text, marks_said
from bayesmix.data.table_rows import check_rows
from bayesmix.errors import BayesmixWarning, InvalidInputError, warn
from bayesmix.families.coding import (
    AS_REQUESTED,
    CIRCULAR,
    KINDS,
    NAMED,
    NOT_TICKED,
    TICKED,
    Coding,
    Level,
    brief,
    codes_of,
)
from bayesmix.numerics.arrays import Array
from bayesmix.sources.memory import ArraySource

ROWS_NAMED = 5
PIECE = 2**18
# Similarity of names (0 to 1) from which one may be meant: "CaO" is no misspelt "Na2O" or "NaO".
CLOSE = 0.7


def source_of(
    path: str, frame: pd.DataFrame, columns: list[Any] | None, weight: Any, gaps: bool = False
) -> ArraySource:
    """Return checked values and names of the columns; ``gaps`` allows missing values."""
    names = [str(name) for name in frame.columns]
    check_names(path, names, columns or [], weight)
    if not len(frame):
        raise InvalidInputError(f"{path} must contain rows, but has only column names")
    numeric = {name for name, dtype in zip(names, frame.dtypes, strict=True) if is_numeric(dtype)}
    wanted = columns
    if wanted is None:
        wanted = [name for name in names if name and name in numeric and name != weight]
        gone = [name for name in wanted if frame.iloc[:, names.index(name)].isna().all()]
        if 0 < len(gone) < len(wanted):
            wanted = [name for name in wanted if name not in gone]
            warn(f"columns without values are left out: {listed(gone)}", BayesmixWarning)
    if not wanted:
        rows = range(1, len(frame) + 1)
        found = [
            f"{name!r} ({kind_of(name, column).reason or 'text'})"
            for name, (_, column) in zip(names, frame.set_axis(rows).items(), strict=True)
        ]
        raise InvalidInputError(
            f"{path} must have a numeric column, but has {listed(found, quote=False)}"
        )
    check_once(path, names, [*wanted, *([] if weight is None else [weight])])
    for name in wanted:
        if name not in numeric:
            raise InvalidInputError(_not_numeric(path, "columns", name, frame[name]))
    values = np.empty((len(frame), len(wanted)))
    for place, name in enumerate(wanted):
        values[:, place] = _numbers(frame[name])
    check_values(path, values, wanted, gaps)
    weights = None if weight is None else checked_weights(path, weight, frame[weight])
    return ArraySource(values, weights, columns=tuple(wanted))


def is_numeric(dtype: Any) -> bool:
    """Whether a column of this dtype contains real numbers."""
    return getattr(dtype, "kind", "O") in "fiub"


def _numbers(column: pd.Series[Any]) -> Array:
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def check_names(
    path: str, names: list[str], columns: list[Any], weight: Any, asked: str = "columns"
) -> None:
    """Raise an error for columns or a weight that are missing from the file or named twice."""
    there = set(names) - {""}
    for argument, used in ((asked, columns), ("weight", [] if weight is None else [weight])):
        for name in used:
            if name in there:
                continue
            close = difflib.get_close_matches(str(name), names, cutoff=CLOSE)
            close = close or [each for each in names if each.lower() == str(name).lower()]
            meant = f"did you mean {listed(close, 'or')}?" if close else f"it has {listed(names)}"
            raise InvalidInputError(
                f"{argument} must be found in {path}, but there is no column {name!r}: {meant}"
            )
    if repeated := sorted(name for name, times in Counter(columns).items() if times > 1):
        raise InvalidInputError(f"{asked} must name a column once, got {listed(repeated)} twice")
    if weight is not None and weight in columns:
        raise InvalidInputError(f"weight must not be one of the columns to fit, but {weight!r} is")


def check_once(path: str, names: Sequence[str], used: Sequence[str]) -> None:
    """Raise an error for columns that share a name."""
    times = Counter(names)
    if repeated := sorted({name for name in used if times[name] > 1}):
        raise InvalidInputError(
            f"the columns of {path} must have unique names, but more than one is called "
            f"{listed(repeated)}: rename them"
        )


def _not_numeric(path: str, argument: str, name: str, column: pd.Series[Any]) -> str:
    wrong = np.asarray(pd.to_numeric(column, errors="coerce").isna() & column.notna())
    text = f"{argument} must be numeric, but {name!r} in {path} is not"
    if not wrong.any():
        return f"{text}: its type is {column.dtype}"
    row = int(np.flatnonzero(wrong)[0])
    return (
        f"{text}: {int(wrong.sum()):,} of {len(wrong):,} values are not numbers, the first is "
        f"{column.iloc[row]!r} in row {row + 1}"
    )


def check_values(path: str, values: Any, names: Sequence[str], gaps: bool = False) -> None:
    """Raise an error that names rows with infinite values or, unless ``gaps``, missing ones."""
    wrongs = (
        ("missing", np.isnan, "drop these rows or fill them in, or read with missing='keep'"),
        ("infinite", np.isinf, "drop these rows or correct them"),
    )
    for what, test, remedy in wrongs[1:] if gaps else wrongs:
        found: list[str] = []
        n_found = 0
        for start in range(0, len(values), PIECE):
            wrong = test(values[start : start + PIECE])
            rows = np.flatnonzero(wrong.any(axis=1))
            n_found += len(rows)
            for row in rows[: ROWS_NAMED - len(found)]:
                where = ", ".join(names[column] for column in np.flatnonzero(wrong[row]).tolist())
                found.append(f"{start + row + 1:,} ({where})")
        if n_found:
            raise InvalidInputError(
                f"{path} must have no {what} values, but {n_found:,} of {len(values):,} rows have "
                f"some: {listed(found, total=n_found, quote=False)}, counted from 1; {remedy}"
            )


def checked_weights(path: str, name: Any, column: pd.Series[Any]) -> Array:
    """Return weights that are finite, nonnegative and not all zero."""
    if not is_numeric(column.dtype):
        raise InvalidInputError(_not_numeric(path, "weight", name, column))
    weights = _numbers(column)
    check_values(path, weights[:, None], [str(name)])
    if weights.min() < 0:
        row = int(weights.argmin())
        raise InvalidInputError(
            f"weight must not be negative, but {name!r} in {path} is {weights[row]:g} in row "
            f"{row + 1:,}"
        )
    if not weights.any():
        raise InvalidInputError(f"weight must not be zero in every row, but {name!r} in {path} is")
    return weights


def listed(
    words: Sequence[str], joint: str = "and", total: int | None = None, quote: bool = True
) -> str:
    """Return at most a few words as part of a sentence."""
    shown = [repr(word) if quote else word for word in words[:ROWS_NAMED]]
    more = (len(words) if total is None else total) - len(shown)
    if more > 0:
        shown.append(f"{more:,} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} {joint} {shown[-1]}"


def is_frame(X: Any) -> bool:
    """Whether data are a pandas frame, or can be converted to one."""
    return hasattr(X, "columns") and (hasattr(X, "iloc") or hasattr(X, "to_pandas"))


def as_pandas(X: Any) -> pd.DataFrame:
    """Return a frame with names, and levels such as intervals, as text; numbers in native order."""
    frame: Any = X if hasattr(X, "iloc") else _of_another_kind(X)
    if not len(frame):
        raise InvalidInputError("X must have at least one row, got none")
    names = [str(name) for name in frame.columns]
    check_once("X", names, names)
    named: pd.DataFrame = frame.set_axis(names, axis=1)
    turned = {
        name: kind.newbyteorder("=")
        for name, kind in named.dtypes.items()
        if isinstance(kind, np.dtype) and not kind.isnative
    }
    written = {
        str(name): named[name].cat.rename_categories(str)
        for name, kind in named.dtypes.items()
        if isinstance(kind, pd.CategoricalDtype)
        and not all(isinstance(level, PLAIN_VALUES) for level in kind.categories)
    }
    return named.astype(turned).assign(**written) if turned or written else named


def _of_another_kind(X: Any) -> Any:
    if not hasattr(X, "get_columns"):
        return X.to_pandas()
    # Polars requires another package for this.
    return pd.DataFrame({name: X[name].to_list() for name in X.columns})


def is_plain(X: Any) -> bool:
    """Whether all columns of a frame are integers or floating-point numbers."""
    return all(dtype.kind in "fiu" for dtype in as_pandas(X).dtypes)


def declared_kinds(
    names: Sequence[str], columns: Any, named: Mapping[str, Any], place: str = "X"
) -> dict[str, str]:
    """Return the kind of each column that an option names.

    ``columns`` maps names to kinds; ``named`` lists the columns of ``continuous``, ``counts``,
    ``ratings``, ``categorical`` and ``exclude``; ``place`` is the table in messages.
    """
    pairs = [(str(name), kind) for name, kind in dict(columns or {}).items()]
    if wrong := [pair for pair in pairs if pair[1] not in KINDS and not is_circle(pair[1])]:
        known = ", ".join(map(repr, (*KINDS, CIRCULAR)))
        raise InvalidInputError(
            f"columns must map names to {known}, got {wrong[0][1]!r} for {wrong[0][0]!r}"
        )
    for kind, some in named.items():
        listed_names = [some] if isinstance(some, str) else list(some or ())
        check_names(place, list(names), listed_names, None, kind)
        pairs += [(name, kind) for name in map(str, listed_names)]
    check_names(place, list(names), list(dict(pairs)), None)
    times = Counter(name for name, _ in pairs)
    if twice := sorted(name for name, count in times.items() if count > 1):
        raise InvalidInputError(f"a column must have one type, got several for {listed(twice)}")
    return dict(pairs)


def coded(
    X: Any,
    declared: Mapping[str, str] | None = None,
    wanted: Sequence[str] | None = None,
    numbers_are: str | None = None,
) -> tuple[pd.DataFrame, Coding]:
    """Return a frame as numbers: columns by detected or declared kind.

    Unusable columns are left out, unless ``wanted`` names them: then numbers are continuous, and
    other columns an error. ``numbers_are`` is the kind that a named family takes numbers for.
    """
    frame = as_pandas(X)
    frame = frame if wanted is None else frame[list(wanted)]
    check_rows(frame)
    kinds = kinds_of(frame, declared or {})
    if wanted is not None:
        kinds = {name: _as_wanted(name, kind, frame[name]) for name, kind in kinds.items()}
    for name, kind in kinds.items():
        numeric = is_numeric(frame[name].dtype) and frame[name].dtype.kind != "b"
        if numbers_are and numeric and kind.kind != LEFT_OUT and name not in (declared or {}):
            of_levels = numbers_are in (CATEGORICAL, RATINGS)
            levels = declared_levels(name, frame[name]) if of_levels else None
            kinds[name] = ColumnKind(numbers_are, levels=levels)
    return _coded(frame, kinds)


def _as_wanted(name: str, kind: ColumnKind, column: pd.Series[Any]) -> ColumnKind:
    """Return the kind of a column that the user named."""
    if kind.kind != LEFT_OUT or kind.reason == AS_REQUESTED:
        return kind
    if column.dtype.kind not in "biuf":
        raise InvalidInputError(
            f"column {name!r} of X is neither numeric nor categorical: {kind.why}"
        )
    return ColumnKind(CONTINUOUS, f"named, although {kind.why}")


def _coded(frame: pd.DataFrame, kinds: Mapping[str, ColumnKind]) -> tuple[pd.DataFrame, Coding]:
    used = {name: kind for name, kind in kinds.items() if kind.kind != LEFT_OUT}
    left_out = tuple((name, kind.why) for name, kind in kinds.items() if name not in used)
    if not used:
        why = ", ".join(f"{name} ({why})" for name, why in left_out[:NAMED])
        raise InvalidInputError(f"X has no column that can be used: {why}")
    coding = Coding(
        tuple(used),
        tuple(kind.levels for kind in used.values()),
        left_out,
        tuple(name for name, kind in used.items() if kind.kind == COUNTS),
        tuple(name for name, kind in used.items() if kind.kind == RATINGS),
        tuple((name, kind.kind, kind.reason, kind.doubt) for name, kind in kinds.items()),
        circular=tuple(name for name, kind in used.items() if kind.turn is not None),
        turns=tuple(
            (kind.turn.period, kind.turn.start) for kind in used.values() if kind.turn is not None
        ),
    )
    numbers = recoded(frame, coding)
    coding = _with_marks(frame, coding, numbers)
    ratios = {name: overdispersion(numbers[name].to_numpy()) for name in coding.counts}
    decisions = tuple(
        (name, kind, _of_family(reason, ratios.get(name)), doubt)
        for name, kind, reason, doubt in coding.decisions
    )
    spread = tuple(name for name in coding.counts if ratios[name] is not None)
    return numbers, replace(coding, decisions=decisions, overdispersed=spread)


def _with_marks(frame: pd.DataFrame, coding: Coding, numbers: pd.DataFrame) -> Coding:
    """Return a coding with the cells that are marks of missing values, in words."""
    pairs = zip(coding.names, coding.levels, strict=True)
    marks, n_marks = marks_said({name: (frame[name], levels) for name, levels in pairs})
    only = bool(marks) and n_marks == int(numbers.isna().to_numpy().sum())
    return replace(coding, marks=marks, marks_only=only)


def as_read(frame: pd.DataFrame, numbers: pd.DataFrame, coding: Coding) -> pd.DataFrame:
    """Return the columns of a coding with missing marks as NaN, and blank cells as their level."""
    read = frame[[*coding.names]].mask(numbers.isna())
    ticked = {name: read[name].astype(object).fillna(NOT_TICKED) for name in _ticked(coding)}
    return read.assign(**ticked)


def _ticked(coding: Coding) -> list[str]:
    """Return the columns of options that respondents tick."""
    pairs = zip(coding.names, coding.levels, strict=True)
    return [name for name, levels in pairs if levels is not None and NOT_TICKED in levels]


def _of_family(reason: str, ratio: float | None) -> str:
    """Return the reason of the kind of a column, with that of its family if it is overdispersed."""
    if ratio is None or reason == AS_REQUESTED:
        return reason
    return f"{reason}, negative binomial as the variance is {number(ratio)} times the mean"


def recoded(X: Any, coding: Coding, unseen: str = "error") -> pd.DataFrame:
    """Return the columns of a coding as numbers, NaN if missing.

    Levels that the fit has not seen are an error, or with ``unseen="missing"`` missing values.
    """
    frame = as_pandas(X)
    if absent := [name for name in coding.given if name not in frame.columns]:
        raise InvalidInputError(
            f"X must have the columns of the fit, but {', '.join(map(repr, absent))} "
            f"{'is' if len(absent) == 1 else 'are'} not among {', '.join(map(repr, frame.columns))}"
        )
    places: dict[str, list[int]] | None = {} if unseen == "missing" else None
    of = dict(zip(coding.names, coding.levels, strict=True))
    made = {name: _codes(name, frame[name], of[name], places) for name in coding.given}
    if places:
        n_rows = len({row for rows in places.values() for row in rows})
        cells = [f"{name} ({frame[name].iloc[rows[0]]!r})" for name, rows in places.items()]
        warn(
            f"{'1 row has' if n_rows == 1 else f'{n_rows:,} rows have'} categories that the fit "
            f"has not seen, which count as missing: {listed(cells, quote=False)}",
            BayesmixWarning,
        )
    numbers = pd.DataFrame(made, index=frame.index)
    if not coding.masses:
        return numbers
    return pd.DataFrame(
        coding.divided(numbers.to_numpy()), index=frame.index, columns=[*coding.names]
    )


def _codes(
    name: str,
    column: pd.Series[Any],
    levels: tuple[Any, ...] | None,
    unseen: dict[str, list[int]] | None = None,
) -> Array:
    numeric = levels is None or all(type(level) in (int, float) for level in levels)
    numbers = as_numbers(column) if numeric else None
    if levels is not None:
        column = column if numbers is None else numbers
        return codes_of(name, column.to_numpy(dtype=object), levels, column.index, unseen)
    if numbers is None and column.notna().any():
        cells = column[pd.to_numeric(column, errors="coerce").isna() & column.notna()]
        raise InvalidInputError(
            f"X must have numbers in column {name!r}, got {cells.iloc[0]!r} in row {cells.index[0]}"
        )
    return np.full(len(column), np.nan) if numbers is None else numbers.to_numpy()


def as_levels(
    X: Any, given: Sequence[tuple[Level, ...]] | None, unseen: str = "error"
) -> tuple[pd.DataFrame | Array, Coding]:
    """Return a table of levels as codes, by default of the levels of the dtype, or observed.

    ``unseen`` is that of ``recoded``.
    """
    frame = as_pandas(X if is_frame(X) else pd.DataFrame(X))
    if given is not None and len(given) != frame.shape[1]:
        raise InvalidInputError(
            f"levels must be given for each of the {frame.shape[1]} columns of X, got {len(given)}"
        )
    names = tuple(frame.columns)
    levels = given or [_named_levels(name, frame[name]) for name in names]
    coding = Coding(names, tuple(levels))
    codes = recoded(frame, coding, unseen)
    if not given:
        coding = _with_marks(frame, coding, codes)
        if ticked := _ticked(coding):
            said = f"{brief(ticked)}: {TICKED}"
            coding = replace(coding, marks="; ".join(filter(None, (coding.marks, said))))
    named = is_frame(X) and all(isinstance(name, str) for name in X.columns)
    return (codes if named else codes.to_numpy()), coding


def _named_levels(name: str, column: pd.Series[Any]) -> tuple[Level, ...]:
    """Return the levels of a column under a named family; blank text beside a single one is one."""
    levels = declared_levels(name, column)
    return with_blank(column, levels) if is_text(column) else levels


def say_unused(X: Any, coding: Coding) -> None:
    """Warn about columns that the fit did not use."""
    known = {*coding.names, *(name for name, _ in coding.left_out)}
    extra = [str(name) for name in X.columns if str(name) not in known]
    if extra:
        warn(f"columns that were not in the fit are ignored: {', '.join(extra)}", BayesmixWarning)
