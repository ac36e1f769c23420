"""Rows of several outcomes and of dropout, from a long table with one row per visit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.allocation.designs import TimeColumns, in_pandas, row_label
from bayesmix.errors import InvalidInputError

if TYPE_CHECKING:
    import pandas as pd

# Name of the columns of times of dropout in the design.
SURVIVAL = "survival"


class OutcomeRows(NamedTuple):
    """Design, outcomes and units of the rows of all outcomes, and their rows in the table."""

    design: pd.DataFrame
    y: Any
    units: Any
    places: Any


@dataclass(frozen=True)
class OutcomeColumns:
    """Outcomes with curves over time, and a time of dropout, of the units of a long table.

    ``cuts`` divide time into pieces of constant hazard; None is a Weibull density.
    """

    columns: TimeColumns
    kinds: dict[str, str]
    unit: str
    survival: tuple[str, ...] = ()  # columns of the time, and of whether it is an event
    cuts: tuple[float, ...] | None = None

    @property
    def responses(self) -> dict[str, str]:
        """Distributions by the column of the design that marks their rows."""
        if not self.survival:
            return self.kinds
        if self.cuts is None:
            return self.kinds | {SURVIVAL: "weibull"}
        return self.kinds | dict.fromkeys(self.pieces, "exponential")

    @property
    def pieces(self) -> list[str]:
        """Names of the pieces of time."""
        return [f"{SURVIVAL}: piece {j + 1}" for j in range(len(self.cuts or ()) + 1)]

    @property
    def fixed(self) -> list[str]:
        """Columns of the design with the same coefficient in all classes."""
        others = [
            column.terms for column in self.columns.coding if column.name in self.columns.others
        ]
        return [f"{name}: {term}" for name in self.kinds for terms in others for term in terms]

    def stacked(self, table: Any) -> OutcomeRows:
        """Return the rows of all outcomes that are not missing, and of dropout.

        Raises ``InvalidInputError`` for absent columns, and for times of dropout that are missing,
        not above 0, or differ within a unit.
        """
        import pandas as pd

        table = in_pandas(table)
        wanted = [*self.kinds, *self.columns.names, self.unit, *self.survival]
        if absent := [name for name in wanted if name not in table.columns]:
            raise InvalidInputError(
                f"the table must have the columns {', '.join(wanted)}, but {', '.join(absent)} is "
                "absent"
            )
        blocks, places = [], []
        for name in self.kinds:
            (rows,) = np.nonzero(table[name].notna().to_numpy())
            own = self.columns.frame(table.iloc[rows]).reset_index(drop=True)
            block = own.set_axis([f"{name}: {column}" for column in own.columns], axis=1)
            block.insert(0, name, 1.0)
            blocks.append(block.assign(y=table[name].to_numpy(np.float64)[rows]))
            places.append(rows)
        if self.survival:
            more, rows = self._dropout(table)
            blocks.append(more)
            places.append(rows)
        design = pd.concat(blocks, ignore_index=True).fillna(0.0)
        every, y = np.concatenate(places), design.pop("y")
        return OutcomeRows(design, y, table[self.unit].to_numpy()[every], every)

    def _dropout(self, table: Any) -> tuple[pd.DataFrame, Any]:
        """Return the rows of times of dropout, negative where they are censored."""
        import pandas as pd

        time, event = self.survival
        first = ~table[self.unit].duplicated().to_numpy()
        by_unit = table.groupby(self.unit)
        for name in self.survival:
            if (by_unit[name].nunique(dropna=False) > 1).any():
                differs = by_unit[name].nunique(dropna=False).idxmax()
                raise InvalidInputError(
                    f"survival: column {name!r} must be equal within a unit, but differs in unit "
                    f"{differs!r}"
                )
            if (absent := table[name].isna().to_numpy()).any():
                raise InvalidInputError(
                    f"survival: column {name!r} is missing in row "
                    f"{row_label(table, int(np.argmax(absent)))}: give the end of observation, "
                    "with an event of 0"
                )
        exits = table[time].to_numpy(np.float64)[first]
        events = table[event].to_numpy(np.float64)[first]
        (rows,) = np.nonzero(first)
        if (wrong := ~(exits > 0.0) | ~np.isfinite(exits)).any():
            raise InvalidInputError(
                f"survival: times must be above 0, got {exits[np.argmax(wrong)]:g} in row "
                f"{row_label(table, int(rows[np.argmax(wrong)]))}: count time from the start"
            )
        if (wrong := (events != 0.0) & (events != 1.0)).any():
            raise InvalidInputError(
                f"survival: events must be 0 (censored) or 1, got {events[np.argmax(wrong)]:g}"
            )
        if self.cuts is None:
            return pd.DataFrame({SURVIVAL: 1.0, "y": np.where(events > 0, exits, -exits)}), rows
        ends = np.append(self.cuts, np.inf)
        starts = np.append(0.0, self.cuts)
        parts, places = [], []
        for name, start, end in zip(self.pieces, starts, ends, strict=True):
            inside = exits > start
            spent = np.minimum(exits[inside], end) - start
            here = (events[inside] > 0) & (exits[inside] <= end)
            if not here.any():
                raise InvalidInputError(
                    f"hazard: nobody drops out from {start:g} to {end:g}, so the hazard there is "
                    "estimated as 0: use fewer pieces"
                )
            parts.append(pd.DataFrame({name: 1.0, "y": np.where(here, spent, -spent)}))
            places.append(rows[inside])
        return pd.concat(parts, ignore_index=True), np.concatenate(places)
