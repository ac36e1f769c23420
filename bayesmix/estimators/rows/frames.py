"""Frames out where frames came in."""

from __future__ import annotations

from typing import Any

from bayesmix.sources import is_collection


def like_given(table: Any, X: Any, names: Any) -> Any:
    """A table of all columns as a frame of the kind that ``X`` is, as it is where that is none.

    ``names`` are the columns of the table, None where the fit saw no names.
    """
    from bayesmix.io.tables.coded_frames import is_frame

    if not is_frame(X) or is_collection(X):
        return table
    import pandas as pd

    given = list(getattr(X, "column_names", X.columns))
    columns = given if names is None else [str(name) for name in names]
    frame = table if isinstance(table, pd.DataFrame) else pd.DataFrame(table, columns=columns)
    known = set(columns)
    shared = [name for name in given if name in known]
    # Columns whose names say nothing, as numbers, were taken by their places.
    frame = frame[shared] if shared else frame.set_axis(given, axis=1)
    if hasattr(X, "iloc"):
        return frame.set_axis(X.index, axis=0)
    made = getattr(X, "from_pydict", type(X))  # of Arrow, and of polars
    return made(frame.to_dict("list"))
