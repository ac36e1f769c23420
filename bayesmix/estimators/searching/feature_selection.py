"""Variable selection in a search: checks of its input, features selected, and their columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import clone

from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, SelectionWarning, UnsupportedError
from bayesmix.estimators.inputs.given_sources import check_columns, in_order_of_fit
from bayesmix.estimators.searching.fitters import knowing_levels
from bayesmix.families.categorical import Categorical
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.product.family import Product
from bayesmix.families.successes import Binomial
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.rounding import FEW_VALUES
from bayesmix.relevance.dependence import by_regression
from bayesmix.relevance.relevance import FeatureTable
from bayesmix.relevance.relevance_search import (
    FeatureSelection,
    SelectedFeatures,
    divided_gains,
    select_features,
)
from bayesmix.selection.criteria import prior_asked
from bayesmix.selection.data_checks import column_names, rounded_features
from bayesmix.sources.memory import ArraySource, coding_of, is_source

# Largest number of evenly spaced observations from which features are selected.
MOST_ROWS = 10_000
# Without variable selection, tables with more features get a note in the summary without a look at
# the features.
MOST_LOOKED_AT = 1000
# Standard errors beyond which skewness or excess kurtosis are not those of normal values, and the
# origins (quantiles) and widths (times the interquartile range) of transformations.
NOT_NORMAL = 4.0
ORIGINS, WIDTHS = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0), (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


def independent_family(family: Any, n_columns: int) -> Any:
    """Return the family with independent features; raise if one has no evidence in closed form."""
    for _, part in family.families_of_columns(n_columns):
        if not part.separable:
            raise UnsupportedError(
                "variable_selection supports Gaussian, LogNormal, Poisson, NegativeBinomial, "
                f"Exponential, Binomial, Bernoulli and Categorical features, got {part!r}: use one "
                "of these, or variable_selection=False"
            )
    family = family.with_covariance("diag")
    return family.by_kind() if isinstance(family, Product) else family


def refuse_unsupported(estimator: Any, param_grid: Any) -> None:
    """Raise ``UnsupportedError`` for searches whose features cannot be selected."""
    if hasattr(estimator, "steps"):
        raise UnsupportedError(
            "variable_selection does not support pipelines: transform the data first, as in "
            "select(pipeline[:-1].fit_transform(X), variable_selection=True)"
        )
    if getattr(estimator, "noise", None) is not None:
        raise UnsupportedError(
            "variable_selection does not support noise: set noise=None, or variable_selection=False"
        )
    grids = [param_grid] if isinstance(param_grid, Mapping) else list(param_grid or [])
    if any(name in grid for grid in grids for name in ("family", "noise", "missing")):
        raise UnsupportedError(
            "variable_selection supports one family, got several in param_grid: compare families "
            "on the selected features, search.transform(X)"
        )


def evenly_spaced(source: Source) -> ArraySource:
    """Return the observations that features are chosen on, in memory."""
    if not isinstance(source, ArraySource):
        raise UnsupportedError(
            "variable_selection needs data in memory: pass X.in_memory() (X.compute(), a NumPy "
            "array), or a sample of the observations"
        )
    every = -(-source.shape[0] // MOST_ROWS)
    return source if every == 1 else source.subset(np.arange(0, source.shape[0], every))


def feature_table(estimator: Any, source: ArraySource) -> FeatureTable:
    """Return the data as a table of independent features under fixed priors; some must vary."""
    if (source.summary.minimum == source.summary.maximum).all():
        raise InvalidInputError(
            "X must vary, but all its features are constant: drop constant columns"
        )
    fitted = estimator._model_of(estimator._model(), source).family
    family = independent_family(fitted, source.shape[1])
    if isinstance(family, Gaussian):
        family, source = with_levels(family, source)
    source = symmetric(family, source)
    frame = family.frame(source.summary)
    weights = source.rows.weights_or_ones
    values = frame.apply(source.values)
    return FeatureTable(values, weights, family, source.summary, frame, source.side)


def with_levels(family: Gaussian, source: ArraySource) -> tuple[Any, ArraySource]:
    """Model features of few values as categorical, as normals collapse onto single values."""
    few = [f.column for f in rounded_features(source) if f.n_values <= FEW_VALUES]
    if not few:
        return family, source
    values, levels = np.array(source.values, dtype=np.float64), []
    for d in few:
        present = ~np.isnan(values[:, d])
        known, codes = np.unique(values[present, d], return_inverse=True)
        values[present, d] = codes
        levels.append(tuple(known.tolist()))
    others = np.setdiff1d(np.arange(values.shape[1]), few)
    parts: dict[Any, Any] = {tuple(map(int, few)): Categorical(tuple(levels))}
    if len(others):
        parts[tuple(others.tolist())] = family
    return Product(parts), replace(source, values=values)


def symmetric(family: Any, source: ArraySource) -> ArraySource:
    """Transform normal features that are skewed or have heavy tails.

    Otherwise several components would describe the shape of a feature that does not differ.
    """
    values = np.array(source.values, dtype=np.float64)
    for columns, part in family.families_of_columns(values.shape[1]):
        for d in columns if isinstance(part, Gaussian) else ():
            present = ~np.isnan(values[:, d])
            values[present, d] = nearer_to_normal(values[present, d])
    return replace(source, values=values)


def nearer_to_normal(x: Array) -> Array:
    """Return arsinh((x - origin) / width) if normal values, or two normals, are less likely for x.

    These are the S_U transformations (Johnson 1949), with the logarithm as a limit.
    """
    lower, middle, upper = np.quantile(x, (0.25, 0.5, 0.75)) if len(x) else np.zeros(3)
    if lower == upper:
        return x
    # Fourth powers of larger values could overflow.
    standard, n = np.clip((x - middle) / (upper - lower), -1e30, 1e30), len(x)
    centred, deviation = standard - standard.mean(), standard.std()
    squares = centred * centred
    skewness = squares @ centred / n / deviation**3
    kurtosis = squares @ squares / n / deviation**4 - 3.0
    if max(abs(skewness) / np.sqrt(6.0 / n), abs(kurtosis) / np.sqrt(24.0 / n)) < NOT_NORMAL:
        return x
    best = x
    largest = divided_gains((standard / deviation)[:, None])[0]
    for origin in np.quantile(standard, ORIGINS):
        for width in WIDTHS:
            scaled = (standard - origin) / width
            transformed = np.arcsinh(scaled)
            log_slopes = -np.log(width * np.hypot(1.0, scaled))
            gain = np.log(deviation / transformed.std()) + log_slopes.mean()
            if gain > largest:
                best, largest = transformed, gain
    return best


def selected(
    table: FeatureTable, prior: Mapping[int, float], grows: bool, seed: int
) -> SelectedFeatures:
    """Return the relevant features of the data for the numbers of components in ``prior``."""
    with np.errstate(divide="ignore"):
        logs = {k: float(np.log(share)) for k, share in prior.items()}
    return select_features(table, sorted(prior), lambda k: logs.get(k, -np.inf), grows, seed)


def features_of_search(
    search: Any, estimator: Any, source: Source, prior: Mapping[int, float], seed: int
) -> FeatureSelection:
    """Return the features that distinguish the clusters, under the options of a search."""
    sample = evenly_spaced(source)
    table = feature_table(estimator, sample)
    selection = selected(table, prior, search.n_components is None, seed)
    if search.irrelevant == "independent":
        return FeatureSelection(selection.relevant, selection.evidence, selection.relevance)
    if table.summary.n_missing:
        raise UnsupportedError(
            "irrelevant='regression' needs complete data: drop or impute missing values, or use "
            "irrelevant='independent'"
        )
    if not isinstance(table.family, Gaussian):
        raise UnsupportedError(
            f"irrelevant='regression' needs Gaussian features with more than {FEW_VALUES} values: "
            "use irrelevant='independent'"
        )
    return by_regression(table, selection, partial(_refit, search, sample))


def _refit(search: Any, source: ArraySource, features: Integers, responsibilities: Any) -> Any:
    """Return responsibilities of the best mixture of some features, with no more components."""
    part, numbers = some_features(source, features), range(1, responsibilities.shape[1] + 1)
    search = clone(search).set_params(
        n_components=numbers, variable_selection=False, checkpoint=None, refit=True, polish=None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SelectionWarning)
        return search.fit(part).predict_proba(part)


def restricted(estimator: Any, source: Any, features: Integers) -> tuple[Any, ArraySource]:
    """Return an unfitted estimator of some features, and their data."""
    estimator = clone(estimator)
    if isinstance(getattr(estimator, "family", None), Product | Categorical | Binomial):
        family = estimator._model_of(estimator._model(), source).family
        estimator.set_params(family=family.marginal(features))
    return estimator, some_features(source, features)


def rejoined(rows: Any, others: Any, selection: FeatureSelection) -> Any:
    """Return drawn rows of all features, in their order."""
    order = np.argsort(np.concatenate([selection.read, selection.rest]))
    if hasattr(rows, "iloc") or hasattr(others, "iloc"):
        import pandas as pd

        return pd.concat([pd.DataFrame(rows), pd.DataFrame(others)], axis=1).iloc[:, order]
    return np.hstack([rows, others])[:, order]


def few_features(estimator: Any, param_grid: Any, source: Source, seed: int) -> str:
    """Return a note if at most half of many features distinguish two or three clusters, or "".

    For very many features, a note is returned without a check. Data and models that
    ``variable_selection`` does not support get no note.
    """
    n_features = source.shape[1]
    try:
        refuse_unsupported(estimator, param_grid)
        sample = evenly_spaced(source)
        table = feature_table(knowing_levels(estimator, sample), sample)
    except UnsupportedError:
        return ""
    if n_features > MOST_LOOKED_AT:
        return (
            f"If only some of {n_features:,} features distinguish clusters, set "
            "variable_selection=True."
        )
    selection = selected(table, prior_asked([1, 2, 3], None, True), True, seed)
    n_relevant = int(selection.relevant.sum())
    if not 0 < n_relevant <= n_features // 2:
        return ""
    verb = "seems" if n_relevant == 1 else "seem"
    return (
        f"Only {n_relevant} of {n_features} features {verb} to distinguish clusters; set "
        "variable_selection=True."
    )


def some_features(source: ArraySource, features: Integers) -> ArraySource:
    """Return a source of some features."""
    names, coding = source.columns, coding_of(source)
    return replace(
        source,
        values=np.ascontiguousarray(np.asarray(source.values).T[features]).T,
        columns=None if names is None else tuple(names[d] for d in features),
        coding=None if coding is None else coding.some(features),
    )


def picked(search: Any, X: Any, features: Integers) -> Any:
    """Return some features of data with the columns of the fit."""
    X = in_order_of_fit(search, X)
    names = getattr(search, "feature_names_in_", None)
    if is_source(X):
        check_columns(search, X.shape[1], X.columns)
        whole = X.in_memory()
        assert isinstance(whole, ArraySource)
        return some_features(whole, features)
    frame = hasattr(X, "columns") or hasattr(X, "column_names")
    if frame and names is not None:
        there = {str(name): name for name in getattr(X, "column_names", getattr(X, "columns", ()))}
        wanted = [str(names[d]) for d in features]
        if absent := [name for name in wanted if name not in there]:
            raise InvalidInputError(
                f"X must have the columns of the fit, but lacks {', '.join(map(repr, absent))}"
            )
        chosen = [there[name] for name in wanted]
        return X.select(chosen) if hasattr(X, "column_names") else X[chosen]
    values = np.asarray(X)
    if values.ndim != 2:
        raise InvalidInputError(f"X must have two dimensions, rows and columns, got {values.ndim}")
    check_columns(search, values.shape[1], None)
    return X.iloc[:, features] if hasattr(X, "iloc") else values[:, features]


def with_names_of_selected(search: Any, source: Source) -> Source:
    """Return data of the selected features with their names."""
    if not isinstance(source, ArraySource):
        return source
    names = column_names(search._feature_names_given(), len(search._selected.relevant))
    return replace(source, columns=tuple(names[d] for d in search._selected.read))
