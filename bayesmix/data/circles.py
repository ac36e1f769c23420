"""Columns on circles by name, unit and range: hours, months, weekdays, bearings and angles.

Only whole words of names count, and only values that reach from near one end of a turn to near the
other: within half a turn a line describes them as well, and knows their correlations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayesmix.data.column_names import NameHint
from bayesmix.errors import InvalidInputError
from bayesmix.families.coding import CIRCULAR
from bayesmix.numerics.arrays import Array

# Values reach over this part of a turn.
LEAST_REACH = 0.75
# Rounding of π in text, in turns.
ROUNDED = 1e-3
# Plurals are durations, as in "hours worked", and so are months of an age.
HOUR = {"hour", "hr", "stunde", "heure", "hora", "ora"}
CLOCK = {"time", "clock", "uhrzeit", "zeit"}
MONTH = {"month", "mnth", "monat", "mois", "mes", "mese"}
WEEKDAY = {"weekday", "dow", "dayofweek", "wochentag"}
BEARING = {"direction", "dir", "bearing", "heading", "azimuth", "aspect", "compass", "windrichtung"}
ANGLE = {"angle", "phase", "theta", "phi", "winkel", "deg", "degree", "degrees", "rad", "radians"}
DURATION = {"age", "alter", "duration", "tenure", "worked", "studied", "since", "survival", "rate"}
DURATION |= {"lon", "long", "longitude", "lat", "latitude", "temp", "temperature"}


@dataclass(frozen=True)
class Turn:
    """A turn of a column: its length and beginning in units of the column, and words for both."""

    period: float
    start: float
    words: str


def _hours(values: Array) -> Turn:
    return Turn(24.0, 0.0, "0 to 24 h")


def _months(values: Array) -> Turn:
    return Turn(12.0, 1.0 if values.min() >= 1.0 else 0.0, "12 months")


def _weekdays(values: Array) -> Turn:
    return Turn(7.0, 1.0 if values.min() >= 1.0 else 0.0, "7 days")


def _bearings(values: Array) -> Turn:
    if values.min() < 0.0:
        return Turn(360.0, -180.0, "degrees, -180 to 180")
    return Turn(360.0, 0.0, "degrees, 0 to 360")


def _angles(values: Array) -> Turn:
    if np.abs(values).max() > 2.0 * np.pi * (1.0 + ROUNDED):
        return _bearings(values)
    if values.min() < 0.0:
        return Turn(2.0 * np.pi, -np.pi, "radians, -pi to pi")
    return Turn(2.0 * np.pi, 0.0, "radians, 0 to 2 pi")


def _named(hint: NameHint, values: Array, clock: bool) -> Turn | None:
    """Return the turn that a name hints at, whatever the range of the values."""
    words = {*hint.words}
    if words & DURATION:
        return None
    # "hour of day", "day of week" and "dayofweek".
    if hint.heads & HOUR or (clock and words & CLOCK):
        return _hours(values)
    if hint.heads & MONTH:
        return _months(values)
    if words & WEEKDAY or {"day", "of", "week"} <= words:
        return _weekdays(values)
    if hint.heads & BEARING:
        return _bearings(values)
    return _angles(values) if hint.heads & ANGLE else None


def turn_of(hint: NameHint, values: Array, clock: bool = False) -> Turn | None:
    """Return the turn of a column on a circle, by name, unit and range; None for others.

    ``clock``: whether values are times of text such as "23:15:00", in hours.
    """
    turn = _named(hint, values, clock)
    if turn is None:
        return None
    low, high = values.min() - turn.start, values.max() - turn.start
    inside = low >= -ROUNDED * turn.period and high <= (1.0 + ROUNDED) * turn.period
    # Whole months from 1 to 12 reach over 11 of them.
    return turn if inside and high - low >= LEAST_REACH * turn.period else None


def declared_circle(period: float) -> str:
    """Return the kind of a column with this period, as ``columns`` declares it."""
    return f"{CIRCULAR} {period!r}"


def is_circle(kind: object) -> bool:
    """Whether a declared kind is "circular", alone or with a period."""
    return isinstance(kind, str) and kind.split(" ")[0] == CIRCULAR


def declared_turn(name: str, kind: str, hint: NameHint, values: Array) -> Turn:
    """Return the turn of a column that is declared circular, with a period or by its name."""
    low = float(values.min()) if len(values) else 0.0
    named = _named(hint, values, True) if len(values) else None
    _, _, period = kind.partition(" ")
    if not period:
        if named is None:
            raise InvalidInputError(
                f"the period of the circular column {name!r} is not known: give it, as in "
                f"periods={{{name!r}: 24}}"
            )
        return named
    length = float(period)
    start = -0.5 * length if low < 0.0 else 0.0
    if named is not None and named.period == length:
        start = named.start
    return Turn(length, start, f"period {length:g}")


def checked_periods(periods: object) -> dict[str, str]:
    """Return the declared kinds that a mapping of names to periods stands for."""
    try:
        pairs = [(str(name), period) for name, period in dict(periods or {}).items()]  # type: ignore[call-overload]
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"periods must map names of columns to numbers, as in {{'hour': 24}}, got {periods!r}"
        ) from None
    for name, period in pairs:
        number = isinstance(period, int | float | np.number) and not isinstance(period, bool)
        if not number or not np.isfinite(period) or not period > 0.0:
            raise InvalidInputError(
                f"periods must be positive numbers, got {period!r} for {name!r}: give the length "
                "of a turn in units of the column, such as 24 for hours"
            )
    return {name: declared_circle(float(period)) for name, period in pairs}
