"""Coding of table columns as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bayesmix.core.missing_marks import is_mark, is_missing
from bayesmix.core.printed_numbers import percent
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.families.monotone import Logarithms

Level: TypeAlias = str | int | float | bool

# Levels, guessed names or reasons that a text lists; names that the line on columns lists.
NAMED, MOST_NAMED = 5, 20
# Reason of the kind of a column that an option names.
AS_REQUESTED = "as requested"
ZERO_ONE = "0 and 1"
# Level of blank cells of an option that respondents tick.
NOT_TICKED = "(blank)"
# End of the doubt about a value like -999.
A_CODE = "may mean missing"
# End of the doubt about a column that follows from another one, where models mostly allow for it.
ALLOWED_FOR = "full and tied covariances allow for it"
# Beginnings of doubts about columns that say what others say.
REPEATING = ("follows ", "the same groups as ")
# Beginnings of reasons of columns that cannot be continuous.
NO_NUMBERS = ("one value", "empty", "dates", "free text", "numbers", "neither", "complex")
# Beginning of the reason of numbers with a few other cells, which has a remedy.
NUMBERS_EXCEPT = "numbers except"
# Reason of options that respondents tick.
TICKED = "ticked, or blank for no"
# Kinds that columns of text can have instead, by parts of their reasons; others are continuous.
COPY_OF = "follows exactly from "
OTHER_KINDS = {"texts": "categorical", "labels": "categorical", COPY_OF: "categorical"}
OTHER_KINDS |= {TICKED: "exclude"}
# Reasons that are no guesses.
CERTAIN = ("", AS_REQUESTED, ZERO_ONE)
# Kinds of columns, in the order of sentences about them.
KINDS = ("continuous", "counts", "ratings", "categorical", "exclude")
# Columns on a circle, which also need a period.
CIRCULAR = "circular"


def codes_of(
    name: Any,
    values: NDArray[np.object_],
    levels: tuple[Level, ...],
    rows: Any = None,
    unseen: dict[Any, list[int]] | None = None,
) -> Array:
    """Return codes (n,) of values among the levels of a column, NaN for missing values.

    Raises ``InvalidInputError`` for unknown values, unless ``unseen`` collects their rows by
    column; ``rows`` are names for the message, by default numbers from 0.
    """
    places = {level: float(code) for code, level in enumerate(levels)}
    of_words = any(isinstance(level, str) for level in levels)
    # Levels have no outer spaces; truth values and their texts are the same.
    by_text = {str(level): code for level, code in places.items()}
    codes = np.array([places.get(value, np.nan) for value in values], dtype=np.float64)
    for row in np.flatnonzero(np.isnan(codes)):
        value = values[row]
        if is_missing(value):
            codes[row] = places.get(NOT_TICKED, np.nan)
            continue
        if (text := str(value).strip()) in by_text:
            codes[row] = by_text[text]
            continue
        if is_mark(value) if of_words else isinstance(value, str) and is_mark(value):
            continue
        if unseen is not None:
            unseen.setdefault(name, []).append(int(row))
            continue
        place = row if rows is None else rows[row]
        raise InvalidInputError(
            f"column {name!r} of X has {value!r} in row {place}, but the levels of the fit are "
            f"{named(levels)}: name all levels in Categorical(levels=...), or leave out "
            "such rows"
        )
    return codes


def named(levels: tuple[Level, ...]) -> str:
    """List the first levels in words."""
    return ", ".join(map(repr, levels[:NAMED])) + (", ..." if len(levels) > NAMED else "")


def brief(names: Sequence[str], most: int = NAMED) -> str:
    """List names; of more than ``most`` the first, the last, and how many there are."""
    names = [name or "unnamed column" for name in names]
    if len(names) <= most:
        return ", ".join(names)
    return f"{names[0]}, {names[1]}, ..., {names[-1]} ({len(names)} columns)"


def shown(value: Level) -> str:
    """Format a level for display."""
    return str(value) if isinstance(value, str | bool) else f"{value:g}"


def values_of(codes: Array, levels: tuple[Level, ...]) -> Any:
    """Return the levels (n,) of codes as an object array, None for missing values."""
    named = np.empty(len(levels) + 1, dtype=object)
    named[:-1], named[-1] = levels, None
    return named[np.where(np.isnan(codes), len(levels), codes).astype(np.intp)]


@dataclass(frozen=True)
class Mass:
    """A value that many observations of a column share exactly, and the share of them."""

    column: str
    value: float
    share: float
    place: str = ""  # "zeros", "at the limit 100" or "at 12"

    @property
    def name(self) -> str:
        """Name of the coded column that tells which observations have the value."""
        return f"{self.column} = {self.value:g}"

    @property
    def words(self) -> str:
        """The share and the value, as in "21 % zeros"."""
        return f"{percent(self.share)} {self.place}"


# Levels of the coded column of a mass.
OF_MASSES: tuple[Level, ...] = ("no", "yes")


@dataclass(frozen=True)
class Coding:
    """Names of columns, the levels behind codes 0, 1, ..., and columns that were dropped.

    ``levels`` is None for numerical columns; ``left_out`` pairs names with reasons; ``counts`` are
    the numerical columns of counts, of which ``overdispersed`` ones have a larger variance than a
    Poisson distribution, ``ratings`` columns with ordered levels. ``decisions`` has name, kind,
    reason and doubt, or "", of each column of the table. ``logs`` are
    the logarithms of continuous columns that are amounts. ``marks`` says which cells are read as
    missing, and ``marks_only`` whether no others are. Each of ``masses`` has a column of levels of
    its own, in which it is "yes", and is missing in the column that it belongs to. ``unnamed``: the
    data were an array. ``circular`` are columns on a circle, and ``turns`` the period and start of
    each.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[Level, ...] | None, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    counts: tuple[str, ...] = ()
    ratings: tuple[str, ...] = ()
    decisions: tuple[tuple[str, ...], ...] = ()
    overdispersed: tuple[str, ...] = ()
    logs: Logarithms | None = None
    marks: str = ""
    marks_only: bool = False
    masses: tuple[Mass, ...] = ()
    unnamed: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """Names of the columns that the data have: all but those of masses."""
        return tuple(name for name in self.names if name not in self.names_of_masses)

    @property
    def names_of_masses(self) -> set[str]:
        """Names of the columns that tell which observations have a value."""
        return {mass.name for mass in self.masses}

    @property
    def told_masses(self) -> str:
        """The masses in words, as in "amount (21 % zeros)"; or ""."""
        words: dict[str, list[str]] = {}
        for mass in self.masses:
            words.setdefault(mass.column, []).append(mass.words)
        return ", ".join(f"{name} ({', '.join(own)})" for name, own in words.items())

    def with_masses(self, masses: tuple[Mass, ...]) -> Coding:
        """Return the coding with a further column for each mass."""
        levels = (OF_MASSES,) * len(masses)
        names = (*self.names, *(mass.name for mass in masses))
        return replace(self, names=names, levels=(*self.levels, *levels), masses=masses)

    def divided(self, rows: Array) -> Array:
        """Return coded data (n, D) of the ``given`` columns with masses in columns of their own."""
        out = np.column_stack([rows, np.empty((len(rows), len(self.masses)))])
        places = {name: place for place, name in enumerate(self.given)}
        order = [*self.given, *(mass.name for mass in self.masses)]
        for number, mass in enumerate(self.masses):
            column = rows[:, places[mass.column]]
            at = column == mass.value
            out[at, places[mass.column]] = np.nan
            out[:, len(places) + number] = np.where(np.isnan(column), np.nan, at)
        return out[:, [order.index(name) for name in self.names]]

    def joined(self, rows: Array) -> Array:
        """Return coded data (n, D) of the ``given`` columns from those with columns of masses."""
        places = {name: place for place, name in enumerate(self.names)}
        out = np.array(rows, dtype=np.float64)
        for mass in self.masses:
            if mass.name in places and mass.column in places:
                at = rows[:, places[mass.name]] == 1.0
                out[at, places[mass.column]] = mass.value
        return out[:, [places[name] for name in self.given]]

    circular: tuple[str, ...] = ()
    turns: tuple[tuple[float, ...], ...] = ()

    @property
    def continuous(self) -> tuple[str, ...]:
        """Names of the continuous columns, except those on a circle."""
        others = {*self.counts, *self.circular}
        return tuple(name for name in self.numbers if name not in others)

    @property
    def declared(self) -> dict[str, str]:
        """Kind of each column of the table, as ``columns`` declares it."""
        turns = zip(self.circular, self.turns, strict=True)
        periods = {name: f"{CIRCULAR} {turn[0]!r}" for name, turn in turns}
        return {name: periods.get(name, kind) for name, kind, *_ in self.decisions}

    @property
    def numbers(self) -> tuple[str, ...]:
        """Names of the numerical columns."""
        pairs = zip(self.names, self.levels, strict=True)
        return tuple(name for name, levels in pairs if levels is None)

    @property
    def has_levels(self) -> bool:
        """Whether any column is categorical."""
        return any(levels is not None for levels in self.levels)

    @property
    def is_plain(self) -> bool:
        """Whether all columns of the table are continuous, and none was left out."""
        return not (self.is_mixed or self.left_out)

    @property
    def is_mixed(self) -> bool:
        """Whether some columns are not continuous on a line, so that each kind has a family."""
        return self.has_levels or bool(self.counts or self.circular)

    def guesses(self, kinds: Sequence[str] = ()) -> str:
        """Say what was left out or follows from names and values, and how to overrule it; or ""."""
        parts: list[str] = []
        others: dict[str, dict[str, str]] = {}  # kinds that columns can have instead, by their kind
        for kind in kinds or (CIRCULAR, *KINDS):
            reasons: dict[str, list[str]] = {}
            for name, found, reason, _ in self.decisions:
                if found == kind and reason not in CERTAIN:
                    reasons.setdefault(reason, []).append(name)
                    if not reason.startswith(NO_NUMBERS):
                        words = [other for part, other in OTHER_KINDS.items() if part in reason]
                        last = "exclude" if kind == "continuous" else "continuous"
                        others.setdefault(kind, {})[name] = [*words, last][0]
            texts = [f"{brief(names)} ({reason})" for reason, names in reasons.items()]
            title = "left out" if kind == "exclude" else kind
            more = [f"and {len(texts) - NAMED} more"] if len(texts) > NAMED else []
            parts += [f"{title}: {', '.join(texts[:NAMED] + more)}"] if texts else []
        # Where cells prevent the use of a column, their remedy is the one to read.
        cells = any(reason.startswith(NUMBERS_EXCEPT) for *_, reason in self.left_out)
        if cells or not others:
            return "; ".join(parts)
        # What is left out matters most.
        columns = others.get("exclude") or next(iter(others.values()))
        shown = dict([*columns.items()][:NAMED])
        return f"{'; '.join(parts)}; to overrule, set columns={shown}"

    @property
    def doubts(self) -> str:
        """Say which cells may mean missing, and what else is odd in columns; or "".

        What models mostly allow for needs no warning: ``decisions`` has it.
        """
        codes: dict[str, str] = {}
        others: dict[str, list[str]] = {}
        for name, *_, doubt in self.decisions:
            if doubt.endswith(A_CODE):
                codes[name] = doubt
            elif doubt and not doubt.endswith(ALLOWED_FOR):
                others[doubt] = [*others.get(doubt, ()), name]
        texts = []
        if codes:
            cells = sorted(
                {cell for why in codes.values() for cell in why.split(" in ")[0].split(", ")}
            )
            where = ", ".join(f"{name} ({why})" for name, why in codes.items())
            texts = [f"{where}: read the file with na={cells}, or replace them by NaN"]
        return "; ".join(texts + [f"{brief(names)}: {doubt}" for doubt, names in others.items()])

    @property
    def repeating(self) -> list[tuple[str, str]]:
        """Columns that say what others say and may count twice, with what each says again."""
        return [
            (name, doubt.rpartition(": ")[0])
            for name, *_, doubt in self.decisions
            if name in self.names and doubt.startswith(REPEATING)
            if not doubt.endswith(ALLOWED_FOR)
        ]

    def notes(self, kinds: Sequence[str] = ()) -> list[str]:
        """Return guesses about columns of these kinds, missing marks, and what is odd in any."""
        texts = (self.guesses(kinds), self.marks, self.doubts)
        return [f"columns: {text}" for text in texts if text]

    def some(self, columns: Integers) -> Coding:
        """Return the coding of some columns."""
        picked = [int(column) for column in columns]
        names = tuple(self.names[column] for column in picked)
        left = [place for place, name in enumerate(self.continuous) if name in names]
        logs = None if self.logs is None or not left else self.logs.at(np.array(left))
        return replace(
            self,
            names=names,
            levels=tuple(self.levels[column] for column in picked),
            counts=tuple(name for name in self.counts if name in names),
            ratings=tuple(name for name in self.ratings if name in names),
            overdispersed=tuple(name for name in self.overdispersed if name in names),
            logs=logs,
            masses=tuple(mass for mass in self.masses if {mass.name, mass.column} <= {*names}),
            circular=tuple(name for name in self.circular if name in names),
            turns=tuple(
                turn for name, turn in zip(self.circular, self.turns, strict=True) if name in names
            ),
        )

    def decoded(self, rows: Array) -> pd.DataFrame:
        """Return a data frame with levels in place of codes."""
        import pandas as pd

        of = dict(zip(self.names, self.levels, strict=True))
        columns: dict[str, Any] = {}
        for name, values in zip(self.given, self.joined(rows).T, strict=True):
            levels = of[name]
            columns[name] = values
            if levels is not None:
                columns[name] = pd.Series(values_of(values, levels)).infer_objects()
        return pd.DataFrame(columns)

    @property
    def account(self) -> str:
        """The column types in words, guessed ones with reasons and how to overrule them."""
        guessed = {name for name, _, reason, _ in self.decisions if reason not in CERTAIN}
        places = [d for d, name in enumerate(self.names) if name not in guessed]
        certain = replace(self.some(np.array(places, dtype=int)), left_out=()).sentence
        return "; ".join(filter(None, (certain, self.guesses())))

    @property
    def sentence(self) -> str:
        """Return the column types and the dropped columns in words."""
        numbers = self.continuous
        sizes = [
            (name, f"{name} ({len(column_levels)} levels)")
            for name, column_levels in zip(self.names, self.levels, strict=True)
            if column_levels is not None
        ]
        ratings = [text for name, text in sizes if name in self.ratings]
        levels = [text for name, text in sizes if name not in self.ratings]
        dropped = [f"{name} ({why})" for name, why in self.left_out]
        said = (
            ("continuous", numbers),
            (CIRCULAR, self.circular),
            ("counts", self.counts),
            ("ratings", ratings),
            ("categorical", levels),
            ("left out", dropped),
        )
        return "; ".join(f"{what}: {brief(names, MOST_NAMED)}" for what, names in said if names)
