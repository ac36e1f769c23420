"""Checks of ``labels``, ``groups`` and ``covariates``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pandas as pd

from bayesmix.allocation.designs import CodedColumn, Standardised, columns_of
from bayesmix.core.rows import LOWEST_LOG, SideInformation
from bayesmix.core.sources import Source
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.selection.scores import rows_of
from bayesmix.sources.memory import ArraySource

UNKNOWN = -1


def constrained(
    source: Source, labels: Any, groups: Any, covariates: Any = None, varying: bool = False
) -> Source:
    """Return the source with labels, groups and covariates.

    All three have an entry for each given sample, including samples that were left out. Samples
    of a group are made consecutive. ``varying``: covariates may differ within a sequence.
    """
    if labels is None and groups is None and covariates is None:
        return source
    source = _in_memory(source)
    selection = slice(None) if source.numbers is None else source.numbers
    n_given = source.shape[0] if source.numbers is None else None
    if labels is not None:
        labels = known_labels(labels, n_given, source.shape[0])[selection]
        # Labels without constraints are dropped.
        if (labels >= 0).any() if labels.ndim == 1 else np.ptp(labels, axis=1).any():
            source = replace(source, side=replace(source.side, labels=labels))
    if covariates is not None:
        covariates = of_samples(covariates, source.side)
        n_rows = len(covariates) if n_given is None else n_given
        n_rows = max(n_rows, source.shape[0])
        table, names, coding = columns_of("covariates", covariates, n_rows)
        design = Standardised.of("covariates", table[selection], names, coding=coding)
        side = replace(source.side, covariates=design.apply(table[selection]), design=design)
        source = replace(source, side=side)
        if side.ordered and not varying:
            _check_groups(source)
    if groups is None:
        return source
    codes = group_codes(groups, n_given, source.shape[0])[selection]
    if len(np.unique(codes)) == len(codes):
        return source
    if source.summary.n_missing:
        raise UnsupportedError(
            "groups needs complete samples, but X has missing values: drop or impute them"
        )
    order = np.argsort(codes, kind="stable")
    source = source.numbered(order)
    begins = np.append(True, np.diff(codes[order]) != 0)
    side = replace(source.side, begins=begins, grouped=True, order=order)
    source = replace(source, side=side)
    _check_groups(source)
    return source


def _in_memory(source: Source) -> ArraySource:
    if not isinstance(source, ArraySource):
        raise UnsupportedError(
            "labels, groups and covariates need X in memory, got X in parts or on a device: pass "
            "an array"
        )
    return source


def of_samples(covariates: Any, side: SideInformation, name: str = "covariates") -> Any:
    """Return covariates with a row for each sample, from one for each sequence.

    Raises ``InvalidInputError``, with sequence and row, for those of sequences that are missing.
    """
    if not side.ordered or not hasattr(covariates, "__len__"):
        return covariates
    starts, n, given = side.starts, len(cast(Any, side.begins)), len(covariates)
    if given not in (len(starts), n):
        place = f", so that {place_in_sequence(given, side)} has none" if given < n else ""
        raise InvalidInputError(
            f"{name} must have one row for each of the {n} samples, or of the {len(starts)} "
            f"sequences, got {given} rows{place}"
        )
    table = covariates
    if not isinstance(table, pd.DataFrame):
        is_frame = hasattr(covariates, "to_numpy")
        table = pd.DataFrame(covariates.to_numpy() if is_frame else np.asarray(covariates))
    unknown = table.isna() | table.isin([np.inf, -np.inf])
    if unknown.to_numpy().any():
        row, column = np.argwhere(unknown.to_numpy())[0]
        of_samples = given == n
        place = place_in_sequence(int(row), side) if of_samples else f"sequence {row}"
        raise InvalidInputError(
            f"{name} must be finite and have no missing values, got {table.iat[row, column]!s} "
            f"for {place}, column {table.columns[column]!r}: impute it, or leave out the "
            "sequence"
        )
    if given == n:
        return covariates
    return rows_of(covariates, np.repeat(np.arange(given), side.group_sizes))


def place_in_sequence(row: int, side: SideInformation) -> str:
    """Return the name of a sample of a sequence; rows and sequences count from 0."""
    number = int(np.searchsorted(side.starts, row, side="right")) - 1
    return f"row {row} (row {row - int(side.starts[number])} of sequence {number})"


def at_covariates(
    source: Source, result: FitResult, covariates: Any, varying: bool = False
) -> Source:
    """Return the samples of a prediction with the covariates of the fit, or raise an error.

    ``varying``: covariates may differ within a sequence.
    """
    design = result.side.design
    if design is None:
        if covariates is not None:
            raise InvalidInputError("covariates must be left out: the fit had none")
        return source
    if covariates is None:
        raise InvalidInputError(
            "the weights of this fit depend on covariates: give covariates= with the columns "
            f"{', '.join(design.names)}"
        )
    source = _in_memory(source)
    covariates = of_samples(covariates, source.side)
    fitted = cast("Standardised", design)
    table = standardised("covariates", covariates, source.shape[0], fitted)
    side = replace(source.side, covariates=table, design=design)
    source = replace(source, side=side)
    if side.ordered and not varying:
        _check_groups(source)
    return source


def standardised(name: str, values: Any, n: int, design: Standardised) -> Array:
    """Return a design matrix of values that must have the columns of the fit.

    Those of frames are matched by name, if the fit had a frame.
    """
    coding = design.coding
    # A series, and files of earlier versions, have names alone.
    if not coding and design.names[:1] != (f"{name}0",):
        coding = tuple(CodedColumn(column, (column,)) for column in design.names)
    table, names, _ = columns_of(name, values, n, coding)
    if len(names) != len(design.names):
        raise InvalidInputError(
            f"{name} must have the columns of the fit, {', '.join(design.names)}, in that order, "
            f"got {', '.join(names)}"
        )
    return design.apply(table)


def refuse_loose_bound(name: str) -> None:
    """Raise an error, as the gap of Böhning's bound grows with the number of components."""
    raise UnsupportedError(
        f"with {name} the variational bound is not tight, so it cannot compare numbers of "
        "components: use criterion='bic' or 'cv' and maximum likelihood"
    )


def known_labels(labels: Any, n_rows: int | None, at_least: int) -> Integers | Array:
    """Return labels as integers (n,), -1 if unknown, or log factors (n, K).

    Raises ``InvalidInputError`` for anything but integers, booleans (n, K) or probabilities (n, K).
    """
    given = _column("labels", labels, n_rows, at_least, (1, 2))
    if given.ndim == 2:
        return _factors(given)
    if given.dtype.kind in "OUS":
        given = np.where(pd.isna(given), np.nan, given.astype(object))
    try:
        numbers = given.astype(np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(
            f"labels must be integers, -1 where unknown, got {given[0]!s:.40}: code classes as "
            "0, 1, ... (pandas.factorize), or use MixtureClassifier"
        ) from None
    numbers = np.where(np.isnan(numbers), UNKNOWN, numbers)
    wrong = np.flatnonzero((numbers != np.rint(numbers)) | (numbers < UNKNOWN) | np.isinf(numbers))
    if given.dtype.kind == "b" or len(wrong):
        value = given[wrong[0]] if len(wrong) else given[0]
        raise InvalidInputError(
            f"labels must be integers from 0, or -1 where unknown, got {value}: code classes as "
            "0, 1, ... (pandas.factorize)"
        )
    return numbers.astype(np.intp)


def _factors(given: Array) -> Array:
    """Return log factors (n, K) of allowed components, or of probabilities."""
    if given.dtype.kind not in "biuf":
        raise InvalidInputError(f"labels must be numbers, got {given.dtype}")
    factors = given.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(factors) & (factors >= 0.0)).all(axis=1))
    if len(wrong):
        raise InvalidInputError(
            f"labels as a matrix must be finite and not negative, got {factors[wrong[0]]} for "
            f"sample {wrong[0]}"
        )
    empty = np.flatnonzero(factors.max(axis=1) == 0.0)
    if len(empty):
        raise InvalidInputError(
            f"labels exclude all components for sample {empty[0]}: if unknown, set all entries to 1"
        )
    logs: Array = np.full(factors.shape, LOWEST_LOG)
    return np.log(factors, out=logs, where=factors > 0.0)


def group_codes(groups: Any, n_rows: int | None, at_least: int, name: str = "groups") -> Integers:
    """Return the group of each sample as an integer (n,), in order of appearance."""
    codes, _ = pd.factorize(_column(name, groups, n_rows, at_least, (1,)))
    if (codes < 0).any():
        raise InvalidInputError(
            f"{name} must have no missing values, got one for sample {int(np.argmin(codes))}: use "
            "a separate group for it"
        )
    return np.asarray(codes, dtype=np.intp)


def unequal(terms: Sequence[str], values: Array, firsts: Integers) -> tuple[str, int] | None:
    """Return term and sample of the first covariate unlike that of its group's first (n,)."""
    differ = values != values[firsts]
    if not differ.any():
        return None
    row = int(np.argmax(differ.any(axis=1)))
    return terms[int(np.argmax(differ[row]))], row


def _check_groups(source: ArraySource) -> None:
    """Raise an error for groups with two labels, weights or covariates, also of sequences."""
    side = source.side
    unit = "sequence" if side.ordered else "group"
    assert side.begins is not None
    starts = np.flatnonzero(side.begins)
    numbers = np.arange(len(side.begins)) if source.numbers is None else source.numbers
    if source.weights is not None:
        least = np.minimum.reduceat(source.weights, starts)
        most = np.maximum.reduceat(source.weights, starts)
        if (wrong := np.flatnonzero(least < most)).size:
            raise InvalidInputError(
                "sample_weight must be equal within a group, but the group of sample "
                f"{numbers[starts[wrong[0]]]} has several weights"
            )
    if side.covariates is not None:
        assert side.design is not None
        firsts = np.repeat(starts, side.group_sizes)
        if (found := unequal(side.design.terms, side.covariates, firsts)) is not None:
            column, row = found
            remedy = f"use one value for each {unit}, such as its mean"
            if side.ordered:
                remedy = (
                    "use covariate_effects='transitions' or 'all', with which transitions depend "
                    "on covariates that vary in time, or one value for each sequence"
                )
            raise InvalidInputError(
                f"covariates must be equal within a {unit}, but column {column!r} of sample "
                f"{numbers[row]} differs from the first of its {unit}: {remedy}"
            )
    if side.labels is not None:
        factors = np.add.reduceat(side.log_factors(side.largest_label + 1), starts, axis=0)
        if (wrong := np.flatnonzero((factors <= LOWEST_LOG).all(axis=1))).size:
            raise InvalidInputError(
                "labels contradict groups: the samples in the group of sample "
                f"{numbers[starts[wrong[0]]]} have no component in common; correct its labels, or "
                "split the group"
            )


def _column(
    name: str, values: Any, n_rows: int | None, at_least: int, dimensions: tuple[int, ...]
) -> Any:
    """Return an array with an entry per sample, of a list, an array or a pandas object.

    ``n_rows`` is None if samples were left out; at least ``at_least`` remain.
    """
    is_pandas = hasattr(values, "to_numpy") and hasattr(values, "iloc")
    if np.ma.isMaskedArray(values):
        values = np.array(values.tolist(), dtype=object)
    given = values.to_numpy() if is_pandas else np.asarray(values)
    fits = given.ndim in dimensions
    if not fits or len(given) < at_least or (n_rows is not None and len(given) != n_rows):
        raise InvalidInputError(
            f"{name} must have one entry for each of the {n_rows or at_least} samples, got shape "
            f"{given.shape}"
        )
    return given
