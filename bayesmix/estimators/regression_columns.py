"""Columns of a regression's frame: text as indicators, row numbers and identifiers left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.coding import Coding
from bayesmix.errors import BayesmixWarning, warn
from bayesmix.estimators.fit_columns import looked_at
from bayesmix.sources.border import is_collection, is_source

# Responses of a kind that another distribution suits.
SUITABLE = {"counts": "poisson", "categorical": "binomial"}


def explanatory(X: Any, columns: Any) -> Coding | None:
    """Return what the columns of a frame are, as decided before or now; None for other data."""
    if isinstance(columns, Coding):
        return columns
    # Counts and ratings are numbers here: only what is left out changes the design.
    return looked_at(X, columns, said=("exclude",))[1]


def as_design(X: Any, coding: Coding | None) -> Any:
    """Return a frame as numbers; text as indicators of all levels but the first."""
    from bayesmix.io.table_columns import is_frame, recoded

    if coding is None or is_source(X) or is_collection(X) or not is_frame(X):
        return X
    # Numbers with few values are levels of a mixture, but numbers here.
    levels = [
        found if found is not None and isinstance(found[0], str | bool) else None
        for found in coding.levels
    ]
    codes = recoded(X, replace(coding, levels=tuple(levels)))
    columns: dict[str, Any] = {}
    for name, found in zip(coding.names, levels, strict=True):
        if found is None or isinstance(found[0], bool):
            columns[name] = codes[name]
            continue
        for code, level in enumerate(found[1:], 1):
            columns[f"{name}_{level}"] = (codes[name] == code).where(codes[name].notna())
    return pd.DataFrame(columns, index=codes.index).astype(np.float64)


def look_at_response(y: Any, response: str) -> None:
    """Warn about a response in a series that another distribution would suit, or numbers rows."""
    if response != "normal" or not hasattr(y, "iloc") or getattr(y, "ndim", 1) != 1:
        return
    from bayesmix.io.column_kinds import LEFT_OUT, kinds_of

    name = str(y.name if y.name is not None else "y")
    kind = kinds_of(pd.DataFrame({name: y}), {})[name]
    if kind.kind == LEFT_OUT and kind.reason not in ("empty", "dates", "one value"):
        warn(f"the response {name!r} may be no measurement: {kind.why}", BayesmixWarning)
    elif suitable := SUITABLE.get(kind.kind):
        warn(
            f"the response {name!r} looks like {kind.kind} ({kind.reason}): consider "
            f"response={suitable!r}",
            BayesmixWarning,
        )
