"""Views for figures: a fitted mixture over one or two columns, and the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.components import Predictive
from bayesmix.core.families import Family
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import part_names
from bayesmix.core.procedures import features_read
from bayesmix.core.rows import Rows
from bayesmix.em.model import side_of
from bayesmix.em.prediction import most_probable
from bayesmix.em.refusals import refuse_noise
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.plots import style
from bayesmix.plots.style import evenly
from bayesmix.posterior.bands import marginal
from bayesmix.posterior.subject import refuse_regressions
from bayesmix.selection.clusters import shares_of_clusters
from bayesmix.sources.containers import tabular
from bayesmix.sources.dask_workers import gathered
from bayesmix.sources.memory import is_source
from bayesmix.sources.sample_weights import row_weights

# Width of the view in standard deviations around components of at least this weight, ...
REACH = 3.2
LEAST_WEIGHT = 0.005
# ... and beyond it observations up to this multiple of the width.
FURTHEST = 1.0
# Columns of a figure over a plane.
PLANE = 2
# Absolute correlation above which the figure of two columns is almost a line.
ALMOST_A_LINE = 0.95


def fitted(model: Any, with_noise: bool = False) -> Any:
    """Return the fitted estimator, of a search the best; noise must be shown or is an error."""
    estimator = getattr(model, "best_estimator_", model)
    if isinstance(getattr(estimator, "result_", None), FitResult):
        refuse_regressions(estimator, "this plot")
        if not with_noise:
            refuse_noise(estimator.result_, "this plot")
        return estimator
    if hasattr(estimator, "steps"):
        raise UnsupportedError(
            "the mixture of a pipeline has transformed columns: pass its last step and the "
            "transformed data, as in plot_density(pipeline[-1], pipeline[:-1].transform(X))"
        )
    unfitted = hasattr(model, "fit") and type(model).__module__.startswith("bayesmix")
    raise InvalidInputError(
        "model must be a fitted mixture of bayesmix or a fitted search (of scikit-learn: "
        f"bayesmix.from_sklearn(model)), got {type(model).__name__}{': call fit first' * unfitted}"
    )


def fitted_and_read(model: Any, X: Any, with_noise: bool = False) -> tuple[Any, Any]:
    """Return the fitted estimator, and the features that it reads."""
    return fitted(model, with_noise), features_read(model, X)


@dataclass(frozen=True)
class DrawnGroups:
    """What components (K,) are shown as: clusters of a search, or themselves; -1 if outlying."""

    of_components: Integers
    words: tuple[str, ...]
    shares: Array

    @classmethod
    def alone(cls, noun: str, weights: Array) -> DrawnGroups:
        """Return components that are shown as themselves."""
        return cls(np.arange(len(weights)), tuple(part_names(noun, len(weights))), weights)

    @property
    def labels(self) -> list[str]:
        """Text of the legend for each group: "cluster 1 (64 %)"."""
        each = zip(self.words, self.shares, strict=True)
        return [f"{word} ({100 * share:.{0 if share >= 0.01 else 1}f} %)" for word, share in each]

    def key(self, artists: Sequence[Any]) -> dict[str, Any]:
        """Return the artist of the first component of each group by the text of the legend."""
        first = [int(np.argmax(self.of_components == c)) for c in range(len(self.words))]
        return {label: artists[k] for label, k in zip(self.labels, first, strict=True)}

    def colour(self, k: int) -> str:
        """Return the colour of component k."""
        return style.colour(int(self.of_components[k]))

    def marker(self, k: int) -> str:
        """Return the marker of component k."""
        return style.marker(int(self.of_components[k]))


def groups_of(model: Any) -> DrawnGroups:
    """Return the clusters of a search, or the components of a fit or of one cluster."""
    answer = getattr(model, "answer_", None)
    if answer is not None and (answer.number > 1 or len(answer.labels) == 1):
        return DrawnGroups(answer.labels, answer.words, answer.shares)
    result: FitResult = fitted(model, with_noise=True).result_
    density = result.density
    inside = 1.0 if density.noise is None else 1.0 - density.noise.weight
    return DrawnGroups.alone(result.noun, inside * density.weights.mean())


@dataclass(frozen=True)
class View:
    """A fitted mixture over d of its columns, with the density of ``score_samples``."""

    density: Mixture[Predictive]  # predictive, marginal, in its frame
    log_volume: float
    means: Array  # (K, d), data units
    covariances: Array  # (K, d, d), data units: those of ``covariances_``
    names: tuple[str, ...]  # axis labels
    columns: Integers
    continuous: bool
    n_features: int  # of the fit
    groups: DrawnGroups
    least: float = -np.inf  # lower limits of the support
    given: str = ""  # values of conditioning columns
    noise: float = 0.0  # weight of the noise, which is not drawn
    axis: str = "columns"  # what the axes are: columns, or directions of a common subspace

    @property
    def remarks(self) -> list[str]:
        """Return notes on marginal and conditioning columns, and on noise."""
        remarks = [f"without the noise (weight {self.noise:.2g})"] if self.noise else []
        if self.given:
            return [f"given {self.given}", *remarks]
        if len(self.columns) < self.n_features:
            shown = f"marginal of {len(self.columns)} of {self.n_features} {self.axis}"
            remarks.insert(0, shown)
        return remarks

    @property
    def weights(self) -> Array:
        return (1.0 - self.noise) * self.density.weights.mean()

    @property
    def n_components(self) -> int:
        return self.density.n_components

    def terms(self, values: Array) -> Array:
        """Return π_k p(x | k) (n, K) at points (n, d), reduced by the noise weight."""
        joint = self.density.log_joint(Rows(values))
        return (1.0 - self.noise) * np.exp(joint - self.log_volume)

    @cached_property
    def deviations(self) -> Array:
        """Standard deviations of the components (K, d)."""
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    def reach(self, column: int, deviations: float) -> tuple[float, float]:
        """Return limits at this many standard deviations around the components."""
        seen = (self.weights >= LEAST_WEIGHT) | (self.weights == self.weights.max())
        middle, away = self.means[seen, column], self.deviations[seen, column]
        low, high = (middle - deviations * away).min(), (middle + deviations * away).max()
        return max(float(low), self.least), float(high)

    def extent(self, column: int, values: Array | None) -> tuple[float, float]:
        """Return the limits of the axis of a column."""
        low, high = self.reach(column, REACH)
        if values is None:
            return low, high
        width = FURTHEST * (high - low)
        inside = values[(values >= low - width) & (values <= high + width)]
        if not len(inside):
            return low, high
        first, last = inside.min(), inside.max()
        margin = 0.06 * ((last - first) or width)
        # Observations fill the view; components may extend beyond it.
        beyond = 4.0 * margin
        low = min(first - margin, max(low, first - beyond))
        high = max(last + margin, min(high, last + beyond))
        return max(float(low), self.least), float(high)


def view_of(model: Any, columns: Any, X: Any = None) -> View:
    """Return the view of a fit, or of a search, over columns by name or index; None chooses them.

    ``X`` has the features that the fit reads.
    """
    estimator = fitted(model, with_noise=True)
    result: FitResult = estimator.result_
    names = column_names(estimator, X)
    if result.family.name == "product":
        return view_over(model, _continuous(result, names, columns), X)
    most = most_columns(result.family)
    return view_over(model, _chosen(result, names, columns, most), X)


def view_over(model: Any, chosen: Integers, X: Any = None) -> View:
    """Return the view of a fit, or of a search, over columns of any type, by index."""
    groups, model = groups_of(model), fitted(model, with_noise=True)
    result: FitResult = model.result_
    density, names = result.density, column_names(model, X)
    family = result.family.marginal(chosen)
    basis = density.frame.basis
    if basis is not None and not basis[chosen].any(axis=1).all():
        raise InvalidInputError(
            "columns must vary in the data of the fit, but one of "
            f"{', '.join(names[column] for column in chosen)} is constant: choose others"
        )
    noise = density.noise
    shown = marginal(replace(density, noise=None), chosen)
    means, covariances = _moments(result)
    return View(
        density=shown,
        log_volume=shown.frame.log_volume if family.continuous else 0.0,
        means=means[:, chosen],
        covariances=covariances[:, chosen][:, :, chosen],
        names=tuple(names[d] for d in chosen),
        columns=chosen,
        continuous=family.continuous,
        n_features=result.n_features,
        groups=groups,
        least=family.least,
        noise=0.0 if noise is None else noise.weight,
    )


def most_columns(family: Family) -> int:
    """Return how many columns of a family can be drawn together, or raise ``UnsupportedError``."""
    if family.name == "product":
        raise UnsupportedError(
            "density figures do not support products of families: use plot_pairs or plot_profile, "
            "or mixture.marginal(columns).plot() for one or two columns of a part"
        )
    if not family.drawn_columns:
        raise UnsupportedError(
            "density figures support continuous columns and counts, got a "
            f"{family.adjective} mixture: use means_ or plot_profile"
        )
    return family.drawn_columns


def column_names(model: Any, X: Any) -> list[str]:
    """Return names of the fit's or the frame's columns, else x (one column) or x0, x1, ..."""
    n_features = model.result_.n_features
    fitted_names = getattr(model, "feature_names_in_", model.result_.columns)
    for named in (fitted_names, getattr(tabular(X), "columns", None)):
        if named is not None and len(named) == n_features:
            return [str(name) for name in named]
    return ["x"] if n_features == 1 else [f"x{column}" for column in range(n_features)]


def _moments(result: FitResult) -> tuple[Array, Array]:
    """Return means (K, D) and covariances (K, D, D) of the components in data units."""
    point = result.plug_in.components.unframed(result.mixture.frame)
    means, covariances = point.means, point.covariances
    if np.isnan(covariances).any():
        raise UnsupportedError(
            "a density without variances (at most two degrees of freedom) cannot be drawn: plot "
            "exp(score_samples) at points of your choice"
        )
    return means, covariances


def _chosen(result: FitResult, names: Sequence[str], columns: Any, most: int) -> Integers:
    if columns is None:
        free = varying_columns(result)
        if len(free) <= most:
            return np.array(free)
        if most == 1:
            raise UnsupportedError(
                f"a mixture of {result.family.adjective} components is drawn over one column: "
                f"choose it, as in columns={names[0]!r}"
            )
        return np.array(least_overlapping(result, combinations(free, 2))[0])
    listed = [columns] if isinstance(columns, str | Integral) else list(columns)
    chosen = [column_number(names, column) for column in listed]
    if not 1 <= len(chosen) <= most or len(set(chosen)) < len(chosen):
        number = "one column" if most == 1 else "one or two different columns"
        raise InvalidInputError(f"columns must be {number}, got {columns!r}")
    return np.array(chosen)


def continuous_columns(result: FitResult) -> list[int]:
    """Return the continuous columns of a fit: all, none, or some of a mixed table."""
    family, columns = result.family, range(result.n_features)
    if family.name != "product":
        return [*columns] if family.continuous else []
    return [d for d in columns if family.marginal(np.array([d])).continuous]


def _continuous(result: FitResult, names: Sequence[str], columns: Any) -> Integers:
    """Return one or two continuous columns of a mixed table; None chooses them."""
    numbers = continuous_columns(result)
    if not numbers:
        raise UnsupportedError(
            f"density figures need a continuous column, got a {result.family.adjective} mixture "
            "without one: use plot_profile, or describe(X).plot()"
        )
    if columns is None:
        if len(numbers) <= PLANE:
            return np.array(numbers)
        return np.array(least_overlapping(result, combinations(numbers, PLANE))[0])
    chosen = _chosen(result, names, columns, PLANE)
    if not {*chosen.tolist()} <= {*numbers}:
        raise InvalidInputError(
            "columns must be continuous in this figure: choose among "
            f"{', '.join(names[d] for d in numbers)}, got {columns!r}"
        )
    return chosen


def column_number(names: Sequence[str], column: Any) -> int:
    """Return the index of a column given by name or index."""
    if isinstance(column, str) and column in names:
        return names.index(column)
    if isinstance(column, Integral) and 0 <= int(column) < len(names):
        return int(column)
    raise InvalidInputError(
        f"columns must be among {', '.join(names)}, or from 0 to {len(names) - 1}, got {column!r}"
    )


def varying_columns(result: FitResult) -> list[int]:
    """Return the columns that vary in the data of the fit; all if none does."""
    basis, every = result.mixture.frame.basis, range(result.n_features)
    return [d for d in every if basis is None or basis[d].any()] or [*every]


def columns_that_vary(result: FitResult, most: int) -> list[int]:
    """Return at most ``most`` varying columns, in which components overlap least."""
    free = varying_columns(result)
    if len(free) <= most:
        return free
    ranked = least_overlapping(result, [(d,) for d in free])
    return sorted(d for (d,) in ranked[:most])


def least_overlapping(
    result: FitResult, choices: Iterable[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """Return combinations of columns, least overlap of components first.

    Pairs of columns that are almost a line come last: no component can be seen on it.
    """
    (means, covariances), weights = _moments(result), result.density.weights.mean()
    ranked = least_overlap(means, covariances, weights, choices)
    away = means - weights @ means
    total = np.einsum("k,kij->ij", weights, covariances + away[:, :, None] * away[:, None])
    return sorted(ranked, key=lambda columns: _almost_a_line(total[np.ix_(columns, columns)]))


def _almost_a_line(covariance: Array) -> bool:
    """Whether two columns with this covariance (2, 2) are correlated above ``ALMOST_A_LINE``."""
    if len(covariance) < 2:
        return False
    limit = ALMOST_A_LINE * np.sqrt(covariance[0, 0] * covariance[1, 1])
    return bool(abs(covariance[0, 1]) > limit)


def least_overlap(
    means: Array, covariances: Array, weights: Array, choices: Iterable[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """Return combinations of coordinates of normal components, least overlap first.

    Overlap is Σ_jk π_j π_k BC_jk, with the Bhattacharyya coefficient BC of two normal densities (1
    if equal, 0 if separated).
    """
    away = means[:, None] - means

    def overlap(columns: tuple[int, ...]) -> float:
        block = covariances[:, columns][:, :, columns]
        between = 0.5 * (block[:, None] + block)
        delta = away[..., columns]
        distance = np.einsum(
            "jkd,jkd->jk", delta, np.linalg.solve(between, delta[..., None])[..., 0]
        )
        half = 0.5 * np.linalg.slogdet(block)[1]
        log_ratio = np.linalg.slogdet(between)[1] - half[:, None] - half
        coefficients = np.exp(-0.125 * distance - 0.5 * log_ratio)
        return float(weights @ coefficients @ weights)

    return sorted(choices, key=overlap)


@dataclass(frozen=True)
class Sample:
    """Data to draw: values (n, d) of some columns, weights, probabilities (n, C) of groups.

    ``left_out`` counts samples with missing values there. ``noise``: the last probability is that
    of noise. ``spans`` (2, n, d) are ends of error bars, infinite if open, of measured data.
    """

    values: Array
    weights: Array | None
    probabilities: Array
    left_out: int = 0
    noise: bool = False
    spans: Array | None = None

    @property
    def remarks(self) -> list[str]:
        """Return notes on samples that are not drawn."""
        return [f"{self.left_out:,} rows with missing values left out"] if self.left_out else []

    @property
    def labels(self) -> Integers:
        """Most probable group (n,), -1 for noise and outlying observations."""
        return most_probable(self.probabilities, self.probabilities.shape[1] - self.noise)

    @property
    def certainty(self) -> Array:
        """Return certainty from 0 (all groups equally probable) to 1."""
        n_components = self.probabilities.shape[1]
        if n_components == 1:
            return np.ones(len(self.values))
        least = 1.0 / n_components
        return (self.probabilities.max(axis=1) - least) / (1.0 - least)

    def over(self, columns: Integers) -> Sample:
        """Return some columns, for samples with values in all of them."""
        shown = self.values[:, columns]
        whole = ~np.isnan(shown).any(axis=1)
        n_left_out = int(np.count_nonzero(~whole))
        spans = None if self.spans is None else self.spans[:, :, columns]
        return replace(self, values=shown, left_out=n_left_out, spans=spans)._some(whole)

    def _some(self, rows: Any) -> Sample:
        weights = None if self.weights is None else self.weights[rows]
        spans = None if self.spans is None else self.spans[:, rows]
        own = {"values": self.values[rows], "probabilities": self.probabilities[rows]}
        return replace(self, weights=weights, spans=spans, **own)

    @property
    def placed(self) -> Sample:
        """The samples whose error bars have no open end, of all if there are none."""
        assert self.spans is not None
        closed = np.isfinite(self.spans).all(axis=(0, 2))
        return self._some(closed) if closed.any() else self

    def thinned(self, most: int) -> Sample:
        """Return at most this many samples, evenly spaced."""
        if len(self.values) <= most:
            return self
        return self._some(evenly(len(self.values), most))


def sample_of(model: Any, view: View, X: Any, sample_weight: Any) -> Sample | None:
    """Return data over the view's columns, given or from a source."""
    sample = whole_sample(model, X, sample_weight, view.groups)
    return None if sample is None else sample.over(view.columns)


def whole_sample(model: Any, X: Any, sample_weight: Any, groups: DrawnGroups) -> Sample | None:
    """Return data over all columns with sample weights, and probabilities of the groups."""
    if X is None:
        if sample_weight is not None:
            raise InvalidInputError("sample_weight needs data: pass X")
        return None
    X, spans = gathered(X), None
    if is_source(X) and (measurement := side_of(X).measurement) is not None:
        rows, weights = X.in_memory().rows, X.in_memory().weights
        values, spans = measurement.spans(rows)
        probabilities = model.predict_proba(X)
    elif model.result_.family.coding is None and model.result_.side.design is None:
        named = hasattr(model, "feature_names_in_")
        values, weights = raw_rows(model._seen(X) if named else X)
        probabilities = model.predict_proba(X if named else values)
    else:
        rows = model._seen(X).in_memory().rows
        values, weights = np.asarray(rows.values, dtype=np.float64), rows.weights
        probabilities = model.result_.probabilities(values)
    if sample_weight is not None:
        weights = row_weights(sample_weight, len(values))
    noise = model.result_.density.noise is not None
    if not np.array_equal(groups.of_components, np.arange(len(groups.words))):
        outside, *of_groups = shares_of_clusters(probabilities, groups.of_components).T
        probabilities, noise = np.column_stack([*of_groups, outside]), True
    return Sample(values, weights, probabilities, noise=noise, spans=spans)


def as_fitted(model: Any, values: Array) -> Any:
    """Return data of the type of the fit: a frame if it has column names."""
    named = getattr(model, "feature_names_in_", None)
    if named is None:
        return values
    return pd.DataFrame(values, columns=list(named))


def raw_rows(X: Any) -> tuple[Array, Array | None]:
    """Return values (n, D) and weights of an array, a frame or a source that a model accepted."""
    X = gathered(X)
    if is_source(X):
        rows = X.in_memory().rows
        return np.asarray(rows.values, dtype=np.float64), rows.weights
    try:
        return np.asarray(X, dtype=np.float64), None
    except (TypeError, ValueError):
        raise InvalidInputError("X must have numbers only for this figure") from None
