"""Cells of text: numbers, and limits such as ``<0.5`` or ``>100``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    import pandas as pd


class WrittenValues(NamedTuple):
    """Values, lower and upper bounds (n,) or (n, D), NaN where there is none."""

    values: Array
    lower: Array
    upper: Array

    @property
    def limited(self) -> bool:
        """Whether any cell is a limit."""
        return not bool(np.isnan(self.lower).all() and np.isnan(self.upper).all())


def column_of(column: pd.Series[Any]) -> WrittenValues | None:
    """Return the numbers and limits of a column, None if it holds anything else."""
    import pandas as pd

    unknown = np.full(len(column), np.nan)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return WrittenValues(column.to_numpy(np.float64, na_value=np.nan), unknown, unknown)
    text = column.astype("string").fillna("").str.strip()
    parts = text.str.extract(r"^([<>])?=?\s*(.*)$")
    numbers = pd.to_numeric(parts[1].replace("", None), errors="coerce").to_numpy(
        np.float64, na_value=np.nan
    )
    if (np.isnan(numbers) & ~text.isin(["", "nan"]).to_numpy(bool)).any():
        return None
    below, above = (parts[0].fillna("").to_numpy(str) == side for side in "<>")
    bounds = np.where(above, numbers, np.nan), np.where(below, numbers, np.nan)
    return WrittenValues(np.where(below | above, np.nan, numbers), *bounds)


def table_of(X: Any) -> WrittenValues:
    """Return the numbers and limits (n, D) of a table, or raise ``InvalidInputError``."""
    import pandas as pd

    frame = pd.DataFrame(X)
    columns = {name: column_of(column) for name, column in frame.items()}
    if wrong := [repr(name) for name, cells in columns.items() if cells is None]:
        raise InvalidInputError(
            f"X must hold numbers, or limits such as '<0.5', but these columns do not: "
            f"{', '.join(wrong)}: leave them out"
        )
    return WrittenValues(*(np.column_stack(part) for part in zip(*columns.values(), strict=True)))
