"""Columns of a table as variables to describe, and the groups of its rows under a fitted model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.assess.description import (
    Description,
    counted_twice,
    description,
    level_names,
    not_described,
)
from bayesmix.assess.group_statistics import DescribedGroups, Variable, beside_masses
from bayesmix.assess.local_dependence import (
    dependence_note,
    independent_pairs,
    local_dependence,
)
from bayesmix.core.procedures import last_step
from bayesmix.data.coded_frames import divided_array
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.coding import Coding
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.device_arrays import host
from bayesmix.posterior.bands import checked_level
from bayesmix.selection.clusters import most_probable_clusters
from bayesmix.sources.containers import native
from bayesmix.sources.memory import all_weights, is_collection, is_source, with_sparse_rows
from bayesmix.sources.sample_weights import row_weights

FEWEST_ROWS = 2
LEVEL = 0.9  # of intervals of effect sizes
# Draws from a fitted model that is described without data.
DRAWS = 20_000
FROM_MODEL = (
    f"Values are those of {DRAWS:,} draws from the fitted model: pass the data for their own "
    "values, missing values and further columns."
)
UNIT = re.compile(r"^([^\d\s.,+-]{0,3})[\s\d.,'+-]+?\s?(%|[^\d\s.,+-]{0,3})$")


def describe(
    model: Any,
    X: Any,
    *,
    response: Any = None,
    probabilities: Array,
    groups: Integers,
    names: tuple[str, ...],
    noun: str,
    level: float = LEVEL,
    sample_weight: Any = None,
) -> Description:
    """Return the description of groups of components, each row in its most probable one.

    ``probabilities`` (n, K) are those of the components, or (n, K + 1) with noise; ``groups`` (K,)
    are the groups of the components, -1 if outlying. ``model`` is None where all columns of X are
    described by their own cells. The ``response`` of a regression is a further column.
    """
    level = checked_level(level)
    variables, described, left_out = _grouped(
        model, X, response, probabilities, groups, names, noun, sample_weight
    )
    notes = not_described(left_out)
    if model is not None:
        coding = coding_of_fit(model)
        again = counted_twice(coding.repeating, noun) if coding is not None else []
        notes = [*again, *_dependence(model, variables, probabilities, described.weights), *notes]
    return description(variables, described, level, notes)


def _grouped(
    model: Any,
    X: Any,
    response: Any,
    probabilities: Array,
    groups: Integers,
    names: tuple[str, ...],
    noun: str,
    sample_weight: Any,
) -> tuple[list[Variable], DescribedGroups, list[tuple[str, str]]]:
    """Return the columns as variables, the groups of the rows, and columns that are left out."""
    if len(probabilities) < FEWEST_ROWS:
        raise InvalidInputError(
            f"X must have at least {FEWEST_ROWS} rows to describe, got {len(probabilities)}"
        )
    labels = most_probable_clusters(probabilities, groups)
    certainty = certainty_of(probabilities, labels, groups)
    variables, left_out = own_variables(X) if model is None else variables_of(model, X)
    if response is not None:
        name = str(getattr(response, "name", None) or "y")
        values = np.asarray(response, dtype=np.float64).ravel()
        others = [variable for variable in variables if variable.name != name]
        variables = [Variable(name, values), *others]
    n = len(variables[0].values)
    if sample_weight is None:
        weights = all_weights(X) if is_source(X) else np.ones(n)
    else:
        weights = row_weights(sample_weight, n)
    return variables, DescribedGroups(labels, weights, certainty, names, noun), left_out


def _dependence(
    model: Any, variables: list[Variable], probabilities: Array, weights: Array
) -> list[str]:
    """Return a note on columns that depend on each other where the fit assumes independence.

    Empty for mixtures of transformed or selected columns.
    """
    best = getattr(model, "best_estimator_", model)
    result, fitted = last_step(best).result_, [own for own in variables if own.fitted]
    if last_step(best) is not best or len(fitted) != result.n_features:
        return []
    shares = np.asarray(probabilities)[:, : result.n_components]
    pairs = local_dependence(fitted, shares, weights, independent_pairs(result))
    return dependence_note(pairs, result.noun)


def describe_fit(
    model: Any,
    X: Any,
    *,
    sizes: Array,
    groups: Integers,
    beside: Mapping[str, Any],
    **options: Any,
) -> Description:
    """Return the description of a fitted mixture or search by data, or by draws if X is None.

    ``sizes`` (C + 1,) are the observations of the groups in the fit, and those in none; ``beside``
    belongs to X.
    """
    if X is None:
        del options["sample_weight"]
        return describe_draws(model, clusters=groups, sizes=sizes, **options)
    X = host(native(X))
    probabilities = model.predict_proba(columns_of_the_fit(model, X), **beside)
    return describe(model, X, probabilities=probabilities, groups=groups, **options)


def sentences_of_fit(
    model: Any,
    X: Any,
    groups: Integers,
    names: tuple[str, ...],
    noun: str,
    sample_weight: Any,
    **beside: Any,
) -> tuple[str, ...]:
    """Return the sentences of ``describe_fit`` by data alone, without its slower notes."""
    X = host(native(X))
    probabilities = model.predict_proba(columns_of_the_fit(model, X), **beside)
    variables, described, _ = _grouped(
        model, X, None, probabilities, groups, names, noun, sample_weight
    )
    return description(variables, described, LEVEL).sentences


def sizes_of_groups(counts: Array, groups: Integers) -> Array:
    """Return the observations (C + 1,) of groups of components, those in none last."""
    places = [*range(int(groups.max()) + 1), -1]
    return np.array([counts[groups == place].sum() for place in places])


def certainty_of(probabilities: Array, labels: Integers, of_components: Integers) -> Array:
    """Return P(assigned group) (n,) by probabilities of components, or 1 for outlying ones."""
    K = len(of_components)
    joint = np.asarray(probabilities)[:, :K]
    same = of_components[None, :] == labels[:, None]
    return np.where(labels < 0, 1.0, np.where(same, joint, 0.0).sum(axis=1))


def describe_draws(
    model: Any,
    *,
    clusters: Integers,
    sizes: Array,
    names: tuple[str, ...],
    noun: str,
    level: float = LEVEL,
) -> Description:
    """Return the description of groups of components by draws from a fitted model.

    ``clusters`` (K,) are the groups of the components, ``sizes`` (C + 1,) the observations of the
    groups, and of those in none.
    """
    level = checked_level(level)
    try:
        X, components = model.sample(DRAWS, random_state=0)
    except UnsupportedError as error:
        raise InvalidInputError(f"X must be given to describe this model, since {error}") from None
    components = np.asarray(components)
    labels = np.where(components < 0, -1, np.asarray(clusters)[np.maximum(components, 0)])
    variables, _ = variables_of(model, X)
    # Errors of effects are those of as many observations as the fit had.
    weights = np.full(DRAWS, sizes.sum() / DRAWS)
    groups = DescribedGroups(labels, weights, np.ones(DRAWS), names, noun, sizes)
    return description(variables, groups, level, [FROM_MODEL])


def variables_of(model: Any, X: Any) -> tuple[list[Variable], list[tuple[str, str]]]:
    """Return the columns of X as variables, and names and reasons of those left out.

    Columns of the fit come first, coded as there; further columns are read by their own cells.

    Raises
    ------
    InvalidInputError
        If columns of the fit are missing.
    """
    from bayesmix.data.table_columns import as_pandas, is_frame, recoded

    if is_collection(X):
        raise UnsupportedError("describe reads data in memory: pass a sample of the rows")
    X = with_sparse_rows(X)
    result = last_step(getattr(model, "best_estimator_", model)).result_
    coding = coding_of_fit(model)
    if is_source(X):
        values = np.asarray(X.in_memory().rows.values, dtype=np.float64)
        coding = getattr(X, "coding", None) or coding
        fitted = getattr(model, "feature_names_in_", None)
        return _numeric(values, X.columns if X.columns else fitted, coding, result), []
    if not is_frame(X):
        values = np.asarray(X)
        names = getattr(model, "feature_names_in_", None)
        if values.dtype.kind in "biuf":
            values = values.astype(np.float64)
            if coding is not None:
                values = np.asarray(divided_array(values, coding))
            return _numeric(values, names, coding, result), []
        X = pd.DataFrame(values, columns=None if names is None else list(names))
    frame = as_pandas(X)
    names = names_of_the_fit(model, coding) or list(frame.columns)
    refuse_absent(names, frame)
    if coding is not None:
        numbers = recoded(frame, coding, "missing").to_numpy()
        variables = _numeric(numbers, coding.names, coding, result)
    else:
        numbers = frame[names].to_numpy(dtype=np.float64, na_value=np.nan)
        variables = _numeric(numbers, names, None, result)
    variables = [
        _with_unit(variable, frame[variable.name]) if variable.name in names else variable
        for variable in variables
    ]
    further, left_out = _further(frame.drop(columns=names), coding)
    return variables + further, left_out


def names_of_the_fit(model: Any, coding: Coding | None) -> list[str]:
    """Return the columns that a model was fitted to, empty if they had no names."""
    names = getattr(model, "feature_names_in_", ()) if coding is None else coding.given
    return [str(name) for name in names]


def columns_of_the_fit(model: Any, X: Any) -> Any:
    """Return a frame without further columns, other data unchanged."""
    from bayesmix.data.table_columns import as_pandas, is_frame

    if is_source(X) or is_collection(X) or not is_frame(X):
        return X
    names, frame = names_of_the_fit(model, coding_of_fit(model)), as_pandas(X)
    refuse_absent(names, frame)
    return frame[names] if names and len(names) < len(frame.columns) else X


def coding_of_fit(model: Any) -> Coding | None:
    """Return the coding of the columns of a fitted mixture or search, if there is one."""
    result = last_step(getattr(model, "best_estimator_", model)).result_
    coding: Coding | None = getattr(model, "_coding", None) or result.family.coding
    return coding


def refuse_absent(names: list[str], frame: pd.DataFrame) -> None:
    """Raise ``InvalidInputError`` if columns of the fit are missing."""
    if absent := [name for name in names if name not in frame.columns]:
        raise InvalidInputError(
            f"X must have the columns of the fit, but {', '.join(map(repr, absent))} "
            f"{'is' if len(absent) == 1 else 'are'} not among {', '.join(map(repr, frame.columns))}"
        )


def own_variables(X: Any) -> tuple[list[Variable], list[tuple[str, str]]]:
    """Return all columns of X as variables by their own cells, and those left out."""
    from bayesmix.data.table_columns import as_pandas, is_frame

    if not is_frame(X):
        values = np.asarray(X, dtype=np.float64)
        X = pd.DataFrame(values, columns=[f"x{d}" for d in range(values.shape[1])])
    variables, left_out = _further(as_pandas(X), None)
    return [replace(variable, fitted=True) for variable in variables], left_out


def _numeric(values: Array, names: Any, coding: Coding | None, result: Any) -> list[Variable]:
    """Return coded columns as variables, with the levels of the coding or of the family."""
    if values.ndim != 2:
        raise InvalidInputError(f"X must have rows and columns, got shape {values.shape}")
    n_columns = values.shape[1]
    if names is None or len(names) != n_columns:
        names = [f"x{d}" for d in range(n_columns)] if n_columns > 1 else ["x"]
    levels: list[Any] = [None] * n_columns
    if coding is not None and len(coding.levels) == n_columns:
        levels = list(coding.levels)
    elif n_columns == result.n_features:
        point = result.plug_in.components.unframed(result.mixture.frame)
        for d, probabilities in result.family.level_probabilities(point).items():
            levels[d] = tuple(range(probabilities.shape[1]))
    variables = [
        Variable(str(name), values[:, d], None if of is None else level_names(of))
        for d, (name, of) in enumerate(zip(names, levels, strict=True))
    ]
    return variables if coding is None else beside_masses(variables, coding.masses)


def _further(
    frame: pd.DataFrame, coding: Coding | None
) -> tuple[list[Variable], list[tuple[str, str]]]:
    """Return columns that were not in the fit, and those that cannot be described."""
    from bayesmix.data.column_kinds import LEFT_OUT, kinds_of
    from bayesmix.data.numbers_in_text import as_numbers
    from bayesmix.data.table_columns import recoded

    if not len(frame.columns):
        return [], []
    asked = dict(coding.left_out) if coding is not None else {}
    variables, left_out = [], []
    for name, kind in kinds_of(frame, {}).items():
        if kind.kind == LEFT_OUT:
            left_out.append((name, asked.get(name, kind.reason)))
            continue
        levels = kind.levels
        if levels is None:
            numbers = as_numbers(frame[name])
            if numbers is None:
                left_out.append((name, "neither numbers nor categories"))
                continue
            variable = Variable(name, numbers.to_numpy(np.float64), fitted=False)
            variables.append(_with_unit(variable, frame[name]))
            continue
        own = Coding((name,), (levels,))
        codes = recoded(frame[[name]], own, "missing").to_numpy()[:, 0]
        variables.append(Variable(name, codes, level_names(levels), fitted=False))
    return variables, left_out


def _with_unit(variable: Variable, column: pd.Series[Any]) -> Variable:
    """Return a variable of numbers with the currency or unit that all its cells have."""
    from bayesmix.data.numbers_in_text import present_cells

    if variable.levels is not None or column.dtype.kind in "biuf":
        return variable
    matches = present_cells(column).str.extract(UNIT).drop_duplicates()
    if len(matches) != 1 or matches.isna().to_numpy().any():
        return variable
    before, after = matches.iloc[0]
    unit = (before, f" {after}" if after else "")
    return replace(variable, unit=unit)
