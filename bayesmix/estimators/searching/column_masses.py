"""Columns with masses in a search: the share of each value, beside the density of the rest.

With a mass and without, densities have no common measure: a narrow component at the value gains
without limit, and the gain depends on the unit. Therefore every candidate has the mass. Whether an
observation has the value is a column of its own, with a share for each component under a Beta
prior; the column itself is then missing, as its density says nothing about the mass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.printed_numbers import percent
from bayesmix.data.coded_frames import with_coding
from bayesmix.em.model import side_of
from bayesmix.errors import InvalidInputError
from bayesmix.families.coding import AS_REQUESTED, Coding, Mass
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.device_arrays import host
from bayesmix.numerics.masses import masses_of
from bayesmix.sources.memory import (
    ArraySource,
    coding_of,
    has_sparse_rows,
    is_collection,
    is_source,
)
from bayesmix.sources.sample_weights import row_weights

AUTO = "auto"


def with_masses(X: Any, sample_weight: Any, asked: Any, missing: str | None) -> tuple[Any, Any]:
    """Return data and weights; columns with masses are divided.

    ``asked`` is "auto" for the masses that the columns have, None for none, or a mapping of names
    or numbers of columns to values. Data that are not in memory are unchanged, and so are data with
    missing values that are no error or dropped.
    """
    if asked is None or (isinstance(asked, Mapping) and not asked):
        return X, sample_weight
    if asked != AUTO and not isinstance(asked, Mapping):
        raise InvalidInputError(
            "masses must be 'auto', None, or map columns to values, as in {'amount': 0}, got "
            f"{asked!r:.60}"
        )
    found = _table(X)
    if found is None:
        if asked != AUTO:
            raise InvalidInputError(
                "masses needs a table of numbers in memory: pass an array or a frame, or leave it "
                "out"
            )
        return X, sample_weight
    values, coding = found
    gaps = np.isnan(values).any()
    if gaps and missing not in ("use", None) and not coding.marks_only:
        return X, sample_weight
    values_of = _asked_for(asked, coding) if asked != AUTO else None
    masses = _masses(values, coding, values_of)
    if not masses:
        return X, sample_weight
    coding = replace(coding.with_masses(masses), marks_only=coding.marks_only or not gaps)
    decisions = coding.decisions or tuple((name, "continuous", "", "") for name in coding.given)
    coding = replace(coding, decisions=_decided(decisions, masses))
    if isinstance(X, ArraySource):
        changed = replace(X, values=coding.divided(values), columns=coding.names, coding=coding)
        return changed, sample_weight
    weights = None if sample_weight is None else row_weights(sample_weight, len(values))
    return with_coding(coding.divided(values), coding, weights), None


def _table(X: Any) -> tuple[Array, Coding] | None:
    """Return numbers in memory (n, D) with their coding, or None for other data."""
    if is_source(X):
        if not isinstance(X, ArraySource) or has_sparse_rows(X):
            return None
        if side_of(X) or side_of(X).measurement is not None:
            return None
        values = np.asarray(X.values, dtype=np.float64)
        return values, coding_of(X) or _plain(X.columns, values.shape[1])
    if is_collection(X):
        return None
    frame = isinstance(X, pd.DataFrame)
    try:
        values = X.to_numpy(np.float64, na_value=np.nan) if frame else np.asarray(host(X))
        repeated = values.strides[:1] == (0,)  # a row, without a copy of its values
        if values.ndim != 2 or values.dtype.kind not in "biuf" or repeated:
            return None
        values = values.astype(np.float64)
    except (AttributeError, TypeError, ValueError):  # the search refuses these data, with advice
        return None
    if np.isinf(values).any():
        return None
    return values, _plain(X.columns if frame else None, values.shape[1])


def _plain(columns: Any, n_columns: int) -> Coding:
    """Return the coding of continuous columns; without names they have numbers."""
    unnamed = columns is None
    names = (f"x{d}" for d in range(n_columns)) if unnamed else map(str, columns)
    return Coding(tuple(names), (None,) * n_columns, unnamed=unnamed)


def _asked_for(asked: Mapping[Any, Any], coding: Coding) -> dict[str, tuple[float, ...]]:
    """Return the values that the user named, by column."""
    wanted: dict[str, tuple[float, ...]] = {}
    for key, given in asked.items():
        number = isinstance(key, int) and not isinstance(key, bool)
        inside = number and 0 <= key < len(coding.names)
        name = coding.names[key] if inside and coding.unnamed else str(key)
        if name not in coding.continuous:
            raise InvalidInputError(
                f"masses must name continuous columns, which are "
                f"{', '.join(map(repr, coding.continuous))}, got {key!r}"
            )
        listed = [given] if isinstance(given, Real) else [*given]
        wanted[name] = tuple(map(float, listed))
    return wanted


def _masses(
    values: Array, coding: Coding, asked: dict[str, tuple[float, ...]] | None
) -> tuple[Mass, ...]:
    """Return the masses of continuous columns, read from their values or as named."""
    kept = {name for name, _, reason, _ in coding.decisions if reason == AS_REQUESTED}
    masses: list[Mass] = []
    for d, name in enumerate(coding.names):
        if name not in coding.continuous or (asked is None and name in kept):
            continue
        column = values[:, d]
        found = masses_of(column) if asked is None else asked.get(name, ())
        seen = column[~np.isnan(column)]
        for value in found:
            share = float(np.mean(seen == value)) if len(seen) else 0.0
            if not 0.0 < share < 1.0:
                raise InvalidInputError(
                    f"masses must be values of a part of the observations, but {percent(share)} of "
                    f"column {name!r} is {value:g}"
                )
            place = "zeros" if value == 0.0 else f"at {value:g}"
            if value in (seen.min(), seen.max()) and value != 0.0:
                place = f"at the limit {value:g}"
            mass = Mass(name, float(value), share, place)
            if mass.name not in coding.names:
                masses.append(mass)
    return tuple(masses)


def _decided(
    decisions: tuple[tuple[str, ...], ...], masses: tuple[Mass, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the decisions on columns, with masses among the reasons."""
    words: dict[str, list[str]] = {}
    for mass in masses:
        words.setdefault(mass.column, []).append(mass.words)
    return tuple(
        (name, kind, "; ".join(filter(None, (reason, *words.get(name, ())))), *doubt)
        for name, kind, reason, *doubt in decisions
    )
