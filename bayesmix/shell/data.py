"""Data of a command: files, or standard input."""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bayesmix.core.sources import Source
from bayesmix.errors import BayesmixWarning, InvalidInputError, UnsupportedError
from bayesmix.estimators.inputs.missing_rows import rows_with_missing
from bayesmix.families.coding import KINDS, Coding
from bayesmix.shell.options import (
    Kinds,
    MeasuredAs,
    Missing,
    Numbers,
    Sequences,
    Table,
    WeightKind,
    names,
)
from bayesmix.sources.memory import ArraySource, coding_of
from bayesmix.sources.writing import write

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.io.text import TextFormat
    from bayesmix.numerics.arrays import Booleans, Integers
    from bayesmix.shell.screen import Screen

Read = TypeVar("Read")
STANDARD_INPUT = "-"
EXACTLY = MeasuredAs()
# Kinds of numbers under families of levels; under others they are continuous.
NUMBERS_IN = {"categorical": "categorical", "ordinal": "ratings"}


def text_format(rows: Numbers) -> TextFormat:
    """Return the format of DATA as text."""
    from bayesmix.io.text import TextFormat

    return TextFormat(rows.sep, rows.decimal, rows.encoding, tuple(names(rows.na) or ()))


def whole_table(rows: Numbers, used: Sequence[str | None], path: str | None = None) -> pd.DataFrame:
    """Return all columns of DATA or another file, with rows numbered from 1.

    Raises an error if a column in ``used`` is missing.
    """
    from bayesmix.data.table_columns import listed
    from bayesmix.io.readers import named_rows

    text, path = text_format(rows), path or rows.data
    table = of_data(path, lambda place: named_rows(place, text))
    for name in used:
        if name is not None and name not in table:
            raise InvalidInputError(
                f"{path} has no column {name!r}, it has {listed([*map(str, table)])}"
            )
    return table


def _read_again(rows: Numbers, used: Sequence[str] = ()) -> pd.DataFrame:
    """Return all columns of DATA, whose first reading said what is odd; see ``whole_table``."""
    with warnings.catch_warnings(action="ignore", category=BayesmixWarning):
        return whole_table(rows, used)


def read_rows(rows: Numbers, columns: Sequence[str] | None, missing: str = "error") -> Source:
    """Read the numeric columns of DATA."""
    from bayesmix import io

    how: Any = {"missing": missing, **vars(text_format(rows))}
    source = of_data(rows.data, lambda place: io.read(place, columns, rows.weight, **how))
    return in_weight_type(source, rows)


def in_weight_type(source: Source, rows: Numbers) -> Source:
    """Return data with weights of the type of ``--weight-type``."""
    from bayesmix.sources.survey_weights import weighted

    return source if rows.weight_type is None else weighted(source, None, rows.weight_type.value)[0]


def kinds_named(options: Kinds) -> dict[str, list[str]]:
    """Return the columns that the options name, by kind."""
    return {kind: names(getattr(options, kind)) or [] for kind in KINDS}


def features_of(
    screen: Screen, table: pd.DataFrame, rows: Numbers, kinds: Kinds, used: Sequence[str | None]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the explanatory columns of a table with their kinds, and report those left out.

    Cells that are marks of missing values are missing, and blank cells beside ticks a level.
    """
    from bayesmix.data.table_columns import as_read, coded, declared_kinds

    listed = [str(name) for name in table]
    wanted = names(rows.columns)
    features = [name for name in wanted or listed if name not in used]
    named = {
        kind: features if names == ["all"] else names for kind, names in kinds_named(kinds).items()
    }
    declared = declared_kinds(listed, None, named, rows.data)
    declared = {name: kind for name, kind in declared.items() if name in features}
    numbers, coding = coded(table[features], declared, wanted and features)
    for text in coding.notes():
        screen.postpone(text)
    decided = {name: kind for name, kind in coding.declared.items() if kind != "exclude"}
    return as_read(table, numbers, coding), decided


def complete(
    screen: Screen, table: pd.DataFrame, used: list[str], target: str, missing: Missing | None
) -> pd.DataFrame:
    """Return the rows of a regression without missing values, and report those left out.

    Rows without a response are left out; others with missing values only on request.
    """
    with_response = table[table[target].notna()]
    if n_without := len(table) - len(with_response):
        screen.postpone(f"left out: {n_rows_text(n_without)} without a value of {target!r}")
    gaps = with_response[list(dict.fromkeys(used))].isna()
    if not (n_gaps := int(gaps.any(axis=1).sum())):
        return with_response
    if missing is not Missing.DROP:
        columns = ", ".join(gaps.columns[gaps.any()])
        raise InvalidInputError(
            f"a regression does not support missing values, but {n_rows_text(n_gaps)} of DATA "
            f"lack some ({columns}): give --missing drop to leave out these rows, or "
            "leave out these columns"
        )
    screen.postpone(f"left out: {n_rows_text(n_gaps)} with missing values (--missing drop)")
    return with_response[~gaps.any(axis=1)]


def n_rows_text(n_rows: int) -> str:
    """Return a number of rows in words."""
    return "1 row" if n_rows == 1 else f"{n_rows:,} rows"


def read_table(
    screen: Screen, table: Table, empty: bool = False, family: str | None = None
) -> Source:
    """Read all usable columns of DATA; the others are named in a note.

    Rows without any value are dropped, unless ``empty``. A named ``family`` decides what numbers
    are.
    """
    from bayesmix import io
    from bayesmix.io.readers import in_parts, read_typed
    from bayesmix.shell.measurements import measured_rows

    with screen.noting_warnings(screen.postpone):
        measured = measured_rows(table, table)
    if measured is not None:
        return measured if empty else with_values(screen.postpone, measured)[0]
    path, weight, columns = table.data, table.weight, names(table.columns)
    named = kinds_named(table)
    if table.scheduler is not None:
        if any(named.values()):
            raise InvalidInputError(
                "--scheduler reads numeric columns only: name them with --columns, and leave out "
                "--exclude, --categorical, --continuous, --counts and --ratings"
            )
        return io.read(path, columns, weight, scheduler=table.scheduler, **vars(text_format(table)))
    missing = "error" if table.missing is Missing.ERROR else "keep"
    if not any(named.values()) and (path.lower().endswith(".npy") or in_parts(path)):
        return read_rows(table, columns, missing)
    text, numbers_are = text_format(table), numbers_in(family)
    with screen.noting_warnings(screen.postpone):
        rows: Source = of_data(
            path,
            lambda place: read_typed(place, columns, weight, missing, text, numbers_are, **named),
        )
    coding = coding_of(rows)
    rows = in_weight_type(rows, table)
    for text in [] if coding is None else coding.notes():
        screen.postpone(text)
    if table.missing is Missing.DROP and not empty and isinstance(rows, ArraySource):
        complete: Booleans = np.asarray(~np.isnan(rows.values).any(axis=1))
        say_left_out(screen.postpone, complete, "with missing values")
        return rows if complete.all() else rows.numbered(np.flatnonzero(complete))
    if table.missing not in (None, Missing.USE):
        return rows
    rows = rows if empty else with_values(screen.postpone, rows)[0]
    if table.missing is None and (n_rows := rows_with_missing(rows)):
        screen.postpone(gaps_sentence(n_rows))
    return rows


def numbers_in(family: str | None) -> str | None:
    """Return the kind of numbers under the families of ``--family``; None without one."""
    kinds = {NUMBERS_IN.get(name, "continuous") for name in names(family) or []}
    if len(kinds) > 1:
        return "continuous" if "continuous" in kinds else "categorical"
    return kinds.pop() if kinds else None


def gaps_sentence(n_rows: int) -> str:
    """Say how many rows have missing values, and that they are used."""
    have = "has" if n_rows == 1 else "have"
    return f"{n_rows_text(n_rows)} {have} missing values, which are integrated out (--missing use)"


def missing_for(missing: Missing | None, n_rows: int, refused: str | None) -> str:
    """Return what to do with ``n_rows`` rows with missing values; by default, to use them.

    ``refused`` is an option that does not support missing values.
    """
    if missing is not None:
        return missing.value
    if n_rows and refused:
        raise InvalidInputError(
            f"{refused} does not support missing values, but {n_rows:,} rows have some: give "
            f"--missing drop, or leave out {refused}"
        )
    return "use" if n_rows else "error"


def read_beside(
    screen: Screen,
    table: Table,
    covariates: str | None,
    sequences: Sequences,
    family: str | None = None,
) -> tuple[Source, dict[str, Any]]:
    """Read DATA, with sequences in order of time, and covariates or sequences separately."""
    import pandas as pd

    gate = names(covariates) or []
    beside = [*sequences.names, *gate]
    told = {} if table.weight_type is not WeightKind.FREQUENCY else {"weight_type": "frequency"}
    if not beside:
        return read_table(screen, table, family=family), told
    exclude = ",".join(dict.fromkeys([*(names(table.exclude) or []), *beside]))
    table = replace(table, exclude=exclude)
    columns = copied_columns(table, sequences.by_option | {"covariates": gate})
    source = read_table(screen, table, bool(sequences.names), family)
    frame = checked_covariates(pd.DataFrame({name: columns[name] for name in gate}), "--covariates")
    if sequences.names:
        if not isinstance(source, ArraySource):
            raise InvalidInputError("--sequence and --order need data in memory, got data in parts")
        rows, in_time = rows_in_time(columns, sequences, source.shape[0])
        if covariates is not None:
            in_time["covariates"] = frame.iloc[rows]
        return source.subset(rows), in_time
    numbers = getattr(source, "numbers", None)
    return source, {"covariates": frame if numbers is None else frame.iloc[numbers]} | told


def rows_in_time(
    columns: dict[str, list[Any]], sequences: Sequences, n_rows: int
) -> tuple[Integers, dict[str, Any]]:
    """Return rows by sequence and time, and their sequences and times as arguments of a fit.

    Raises ``InvalidInputError`` for unequal steps of --order.
    """
    import pandas as pd

    option = "--order" if sequences.times is None else "--times"
    by = sequences.order or sequences.times
    groups, time = np.zeros(n_rows, dtype=np.intp), np.arange(n_rows, dtype=np.float64)
    if sequences.sequence is not None:
        groups = np.asarray(pd.factorize(pd.Series(columns[sequences.sequence]))[0], dtype=np.intp)
    dates = False
    if by is not None:
        given = pd.Series(columns[by])
        numbers = pd.to_numeric(given, errors="coerce")
        if dates := bool(numbers.isna().any()):
            numbers = pd.to_datetime(given, errors="coerce", format="ISO8601")
        if numbers.isna().any():
            row = int(np.argmax(numbers.isna()))
            raise InvalidInputError(
                f"{option}: {given[row]!r} in row {row + 1} is neither a number nor a date such "
                "as 2026-01-31"
            )
        time = numbers.to_numpy().astype(np.int64 if dates else np.float64)
    rows = np.lexsort((time, groups))
    steps = np.diff(time[rows])[np.diff(groups[rows]) == 0]
    if len(steps) and not steps.min() > 0:
        raise InvalidInputError(
            f"{option}: two rows have the same time: if there are several sequences, give "
            "--sequence"
        )
    in_time: dict[str, Any] = {"groups": groups[rows]}
    if sequences.times is not None:
        in_time["times"] = numbers.to_numpy()[rows]
    elif (
        sequences.order is not None
        and len(steps)
        and not dates
        and not np.allclose(steps, steps[0], rtol=1e-6, atol=0.0)
    ):
        raise InvalidInputError(
            f"--order: times have unequal steps, from {steps.min():g} to {steps.max():g}: insert "
            "rows without values and use --missing use, or give --times in place of --order"
        )
    return rows, in_time


def checked_covariates(frame: pd.DataFrame, option: str) -> pd.DataFrame:
    """Return numbers and text, of which a fit makes indicators; missing values are an error."""
    if len(empty := frame.columns[(frame.isna() | (frame == "")).any()]):
        raise InvalidInputError(
            f"{option}: column {empty[0]!r} has missing values: drop or impute such rows"
        )
    return frame.infer_objects()


# Models that are not one density of all columns, and what to use instead.
WITHOUT_MIXTURE = {
    "MixtureClassifier": ".models_, which has the mixture of each class",
    "RegressionMixture": ".summary() and its method plot",
}


def saved_model(command: str, model_path: str, data: str) -> Any:
    """Return a saved model or search."""
    from bayesmix.io import load

    if not model_path.endswith(".bayesmix") and data.endswith(".bayesmix"):
        raise InvalidInputError(
            f"the first argument is the model: bayesmix {command} {data} {model_path}"
        )
    return load(model_path)


def model_and_rows(
    screen: Screen,
    command: str,
    model_path: str,
    saved: Any,
    rows: Numbers,
    how: MeasuredAs = EXACTLY,
) -> tuple[Any, Source, Booleans]:
    """Return a saved model, of a saved search the best, its data, and which rows (n,) these are.

    Missing values are used where the model supports them; rows without any value are then dropped,
    unless they are steps of sequences.
    """
    from bayesmix.core.procedures import takes_sequences

    model = getattr(saved, "best_estimator_", saved)
    if instead := WITHOUT_MIXTURE.get(type(model).__name__):
        raise UnsupportedError(
            f"{command} does not support a {type(model).__name__}: use Python, "
            f"bayesmix.load({model_path!r}){instead}"
        )
    if model.result_.side.ordered and command != "predict":
        raise UnsupportedError(
            f"{command} does not support hidden Markov models: bayesmix predict writes their states"
        )
    if model.result_.side.design is not None and command != "predict":
        raise InvalidInputError(
            f"{command} does not support covariates: use Python, "
            f"bayesmix.load({model_path!r}).predict_proba(X, covariates=Z)"
        )
    if model.result_.family.takes_gaps and model.result_.mixture.noise is None:
        model.set_params(missing="use")
    with screen.noting_warnings():
        source = _rows_for(model, rows, how)
    if model.missing == "use" and not takes_sequences(model):
        return model, *with_values(screen.note, source)
    return model, source, np.ones(source.shape[0], dtype=bool)


def _rows_for(model: Any, rows: Numbers, how: MeasuredAs) -> Source:
    from bayesmix.io.readers import in_parts, read_as
    from bayesmix.shell.measurements import measured_rows

    measured = measured_rows(rows, how, list(map(str, getattr(model, "feature_names_in_", ()))))
    if measured is not None:
        return measured
    missing, columns = "keep" if model.missing == "use" else "error", names(rows.columns)
    if columns is not None:
        # Columns requested by name may differ from the names of the fit.
        renamed_rows: Any = read_rows(rows, columns, missing)
        return replace(renamed_rows, columns=None)
    coding, fitted = model.result_.family.coding, getattr(model, "feature_names_in_", None)
    if fitted is None or rows.data.lower().endswith(".npy"):
        return read_rows(rows, None, missing)
    fitted = tuple(map(str, fitted))
    if in_parts(rows.data):
        return read_rows(rows, fitted, missing)
    coding = Coding(fitted, (None,) * len(fitted)) if coding is None else coding
    reading = (
        replace(coding, names=fitted), rows.weight, missing == "keep", text_format(rows),
        unseen_of(model),
    )  # fmt: skip
    return of_data(rows.data, lambda place: read_as(place, *reading))


def unseen_of(model: Any) -> str:
    """Return what a model does with categories that its fit has not seen."""
    takes_gaps = model.result_.family.takes_gaps
    return str(getattr(model, "unseen", "missing")) if takes_gaps else "error"


def copied_columns(rows: Numbers, asked: Mapping[str, list[str]]) -> dict[str, list[Any]]:
    """Return the columns of DATA that options name, beside those that are fitted."""
    from bayesmix.data.table_columns import check_names

    if not (wanted := [name for of_option in asked.values() for name in of_option]):
        return {}
    if rows.data == STANDARD_INPUT:
        option = next(option for option, of_option in asked.items() if of_option)
        raise InvalidInputError(f"--{option} reads DATA twice, so it must be a file and not a pipe")
    table = _read_again(rows)
    for option, of_option in asked.items():
        check_names(rows.data, list(map(str, table)), of_option, None, option)
    return {name: ["" if value != value else value for value in table[name]] for name in wanted}


def with_excluded(table: Table, source: Source) -> pd.DataFrame | None:
    """Return the rows of the data with the columns of --exclude, which are described too.

    None without such columns, or if DATA cannot be read twice.
    """
    excluded, coding = names(table.exclude), coding_of(source)
    if not excluded or table.data == STANDARD_INPUT or not isinstance(source, ArraySource):
        return None
    if coding is None:
        return None
    frame = _read_again(table)[list(dict.fromkeys([*coding.names, *excluded]))]
    return frame if source.numbers is None else frame.iloc[source.numbers]


def answers_by_row(
    rows: Numbers, keep: str | None, answers: pd.DataFrame, present: Booleans
) -> pd.DataFrame:
    """Return the answers of the rows that are present (n,), beside columns of DATA to copy."""
    import pandas as pd

    # As objects, integers remain integers beside rows without an answer.
    answers = answers.astype(object).set_axis(np.flatnonzero(present)).reindex(range(len(present)))
    copied = copied_columns(rows, {"keep": names(keep) or []})
    if clash := [name for name in copied if name in answers]:
        raise InvalidInputError(
            f"--keep must not name columns of the output, got {', '.join(clash)}: rename them"
        )
    return pd.concat([pd.DataFrame(copied), answers], axis=1)


def csv_text(frame: pd.DataFrame, index: bool = False, index_label: str | None = None) -> str:
    """Return a table as CSV for people: six significant digits, and no part of integers is lost."""
    shown = frame.map(lambda value: _shown(value) if isinstance(value, float) else value)
    return str(shown.to_csv(index=index, index_label=index_label))


def _shown(value: float) -> str:
    """Format a number; missing values are empty."""
    if value != value:
        return ""
    return f"{value:.0f}" if 1e6 <= abs(value) < 2.0**53 else f"{value:.6g}"


def written(screen: Screen, answers: pd.DataFrame, path: Path | None) -> bool:
    """Write answers as CSV to a file or to standard output; whether more is to be said."""
    if path is not None:
        write(path, csv_text(answers).encode("utf-8"))
    elif not screen.machine:
        sys.stdout.write(csv_text(answers))
    return path is not None or screen.machine


def covariates_of(rows: Numbers, design: Any) -> pd.DataFrame:
    """Return the columns of DATA from which the covariates of a fit were made, in their order."""
    if rows.data == STANDARD_INPUT:
        raise InvalidInputError("covariates need DATA twice, so it must be a file and not a pipe")
    covariates = [column.name for column in design.coding] or list(design.names)
    return _read_again(rows, covariates)[covariates]


def with_values(say: Callable[[str], None], rows: Source) -> tuple[Source, Booleans]:
    """Return the rows that have a value, and their numbers (n,); ``say`` reports those dropped."""
    if not isinstance(rows, ArraySource):
        return rows, np.ones(rows.shape[0], dtype=bool)
    present: Booleans = np.asarray(~np.isnan(rows.values).all(axis=1))
    say_left_out(say, present, "without any value")
    return rows if present.all() else rows.numbered(np.flatnonzero(present)), present


def say_left_out(say: Callable[[str], None], present: Booleans, why: str) -> None:
    """Report the rows (n,) that are not present, if any; raise an error if all are not."""
    gone = np.flatnonzero(~present)
    if len(gone) == len(present):
        raise InvalidInputError(f"DATA must have rows, but has none, or only rows {why}")
    if len(gone):
        named = ", ".join(map(str, gone[:3] + 1)) + (", ..." if len(gone) > 3 else "")
        say(f"left out: {n_rows_text(len(gone))} {why} (row {named})")


def of_data(path: str, reader: Callable[[str], Read]) -> Read:
    """Call a reader with DATA; ``-`` is text on standard input."""
    if path != STANDARD_INPUT:
        return reader(path)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "rows.txt"
        write(place, sys.stdin.buffer.read())
        try:
            return reader(str(place))
        except InvalidInputError as problem:
            text = str(problem).replace(str(place), "standard input")
            raise type(problem)(text) from None
