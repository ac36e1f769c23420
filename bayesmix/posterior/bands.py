"""Credible bands of densities, marginals and conditional means over posterior or bootstrap draws.

Marginals and conditionals of mixtures follow Bishop (2006), sec. 2.3.1 and 2.3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from bayesmix.allocation.point import PointWeights
from bayesmix.core import validation
from bayesmix.core.components import Named, Predictive
from bayesmix.core.missing_cells import frame_of_columns
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import part_name
from bayesmix.core.rows import Frame
from bayesmix.core.sources import Source
from bayesmix.core.validation import unmasked, written_out
from bayesmix.em.prediction import log_density
from bayesmix.em.refusals import refuse_noise
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.families.coding import Level, codes_of
from bayesmix.numerics.arrays import Array, Integers, normalise
from bayesmix.observation.instrument import refuse_measured
from bayesmix.posterior import BATCH_VALUES
from bayesmix.posterior.bootstrap import weighted_bootstrap
from bayesmix.posterior.posterior_draws import DrawnMixtures, Draws, parameters_of, posterior_draws
from bayesmix.sources.containers import tabular
from bayesmix.sources.dask_workers import gathered
from bayesmix.sources.memory import is_source

METHODS = ("variational", "gibbs", "bootstrap")
CHAINS = 4
# Axes of parameters along which the columns of the fit stand.
OF_COLUMNS = ("feature", "other_feature")
OF_COMPONENTS = ("component", "other_component")
# Where a band has those of several candidates: 1,000 of each would take several times as long.
DRAWS_OF_EACH = 400


def drawn_mixtures(
    estimator: Any, method: Any, data: Any, n_draws: Any, seed: int, sample_weight: Any = None
) -> DrawnMixtures:
    """Return draws of a fitted mixture from a named method or from a sampler's result."""
    result: FitResult = estimator._fitted()
    refuse_noise(result, "a band")
    number = validation.integer("n_draws", n_draws, 1)
    if isinstance(getattr(method, "result", None), FitResult) and (
        hasattr(method, "groups") or isinstance(getattr(method, "draws", None), Draws)
    ):
        return _given(result, method).at_most(number)
    if not isinstance(method, str) or method not in METHODS:
        raise InvalidInputError(
            f"method must be one of {', '.join(map(repr, METHODS))}, or the result of "
            f"bayesmix.gibbs or bayesmix.weighted_bootstrap for this fit, got {method!r:.60}"
        )
    if method == "variational":
        return DrawnMixtures(result, (posterior_draws(result, number, seed),))
    if data is None:
        raise InvalidInputError(
            f"method={method!r} needs the data of the fit, which the estimator does not store: "
            "pass data=X"
        )
    given = {"sample_weight": sample_weight, "random_state": seed, "n_jobs": estimator.n_jobs}
    if method == "gibbs":
        from bayesmix.posterior.gibbs import gibbs

        draws: Any = gibbs(estimator, data, -(-number // CHAINS), CHAINS, **given)
    else:
        draws = weighted_bootstrap(estimator, data, n_draws=number, **given)
    return _given(result, draws).at_most(number)


def _given(result: FitResult, draws: Any) -> DrawnMixtures:
    """Return the draws of a sampler or bootstrap of this fit."""
    if draws.result.objective != result.objective:
        raise InvalidInputError(
            f"method must be draws of this fit, got {type(draws).__name__} of another fit: sample "
            "this model, as in bm.gibbs(model, X)"
        )
    # When K is sampled too, draws are grouped by K.
    groups = getattr(draws, "groups", None) or (draws,)
    # Samplers switch labels and keep the data needed to align them; bootstraps keep labels.
    parts = tuple(group.draws for group in groups)
    return DrawnMixtures(result, parts, getattr(draws, "source", None))


def named_draws(result: FitResult, draws: Draws) -> Named:
    """Weights and parameters of draws in data units by name, with what their axes stand for."""
    weights = (("component",), np.exp(draws.weights.log_weights))
    return {"weights": weights} | parameters_of(result, draws)


def labels_of(
    kind: str, axes: tuple[str, ...], shape: tuple[int, ...], result: FitResult
) -> Iterator[tuple[int, str]]:
    """Flat place and name of every number of an array; of symmetric matrices one triangle."""

    def name_of(axis: str, index: int) -> str:
        if axis in OF_COMPONENTS:
            return part_name(result.noun, index)
        return result.columns[index] if result.columns and axis in OF_COLUMNS else str(index)

    for number, place in enumerate(np.ndindex(shape)):
        if axes[-2:] == ("feature", "other_feature") and place[-1] < place[-2]:
            continue
        parts = list(map(name_of, axes, place))
        yield number, f"{kind}[{', '.join(parts)}]" if parts else kind


def marginal(mixture: Mixture[Predictive], columns: Integers) -> Mixture[Predictive]:
    """Return the mixture over some features, the others integrated out."""
    mixture = _by_columns(mixture)
    frame, places = frame_of_columns(mixture.frame, columns)
    return Mixture(mixture.weights, mixture.components.marginal(places), frame)


def conditional(
    mixture: Mixture[Predictive], columns: Integers, given: Integers, values: Array
) -> Mixture[Predictive]:
    """Return the mixture over ``columns`` conditional on ``given`` = values (G,), in data units."""
    mixture = _by_columns(mixture)
    frame, places = frame_of_columns(mixture.frame, columns)
    given_frame, given_places = frame_of_columns(mixture.frame, given)
    framed = given_frame.apply(values[None])
    shares = _shares(mixture, given_places, framed)
    components = mixture.components.conditional(places, given_places, framed[0])
    return Mixture(PointWeights(shares[0]), components, frame)


def conditional_means(
    mixture: Mixture[Predictive], columns: Integers, given: Integers, values: Array
) -> Array:
    """Return E[x_columns | x_given] (n, C) for given values (n, G), in data units."""
    mixture = _by_columns(mixture)
    frame, places = frame_of_columns(mixture.frame, columns)
    given_frame, given_places = frame_of_columns(mixture.frame, given)
    framed = given_frame.apply(values)
    shares = _shares(mixture, given_places, framed)
    means = mixture.components.conditional_means(places, given_places, framed)
    return frame.undo(np.einsum("nk,nkc->nc", shares, means))


def _shares(mixture: Mixture[Predictive], given_places: Integers, framed: Array) -> Array:
    """Return component probabilities (n, K) given values of some features."""
    log_joint = np.tile(mixture.weights.expected_log(), (len(framed), 1))
    if len(given_places):
        with np.errstate(over="ignore", invalid="ignore"):
            log_joint += mixture.components.marginal(given_places).expected_log_density(framed)
        # Squared distances overflow: such a sample is impossible under every component.
        log_joint[np.isnan(log_joint)] = -np.inf
    impossible = np.flatnonzero(normalise(log_joint) == -np.inf)
    if len(impossible):
        raise InvalidInputError(
            "given values must have a positive density in some component, but the values in row "
            f"{impossible[0]} do not: change them"
        )
    return log_joint


def _by_columns(mixture: Mixture[Predictive]) -> Mixture[Predictive]:
    """Return the mixture in coordinates that are features.

    Data on a tilted plane have other coordinates: the narrow normal across the plane then becomes
    part of the components.
    """
    frame = mixture.frame
    if frame.basis is None or np.array_equal(frame.basis, frame.basis.astype(bool)):
        return mixture
    n_features = len(frame.centre)
    around = replace(frame, centre=np.zeros(n_features), scale=np.ones(n_features))
    components = mixture.components.unframed(around)
    return Mixture(mixture.weights, components, Frame(frame.centre, frame.scale))


LEAST_LOG = math.log(np.finfo(float).tiny)

# slice of the samples -> log densities (n, S) in data units
LogDensities: TypeAlias = Callable[[slice], Array]


def density_band(drawn: DrawnMixtures, source: Source, level: float, simultaneous: bool) -> Array:
    """Return lower and upper limits (n, 2) of the density; see ``density_interval``.

    Pointwise limits are quantiles over draws. Simultaneous limits are mean ± factor · standard
    deviation of the log density, with the smallest factor for which a share ``level`` of the drawn
    curves lies inside everywhere.
    """

    def log_densities(rows: slice) -> Array:
        return drawn.log_densities(source.subset(rows))

    return _band(log_densities, source.shape[0], drawn.n_draws, level, simultaneous)


def hull(bands: Sequence[Array]) -> Array:
    """Return limits (n, 2) of the union of several bands."""
    lower, upper = np.moveaxis(np.array(bands), -1, 0)
    return np.column_stack([lower.min(axis=0), upper.max(axis=0)])


def marginal_band(drawn: DrawnMixtures, columns: Integers, values: Array, level: float) -> Array:
    """Return pointwise limits (n, 2) of a marginal density at values (n, C)."""
    mixtures = [marginal(mixture, columns) for mixture in drawn.mixtures()]
    family = drawn.result.family

    def log_densities(rows: slice) -> Array:
        return np.column_stack([log_density(mixture, values[rows], family) for mixture in mixtures])

    return _band(log_densities, len(values), len(mixtures), level, False)


def conditional_band(
    drawn: DrawnMixtures, columns: Integers, given: Integers, values: Array, level: float
) -> Array:
    """Return quantiles (n, C, 2) over draws of E[x_columns | x_given]."""
    check_draws(drawn.n_draws, level)
    mixtures = list(drawn.mixtures())
    band = np.empty((len(values), len(columns), 2))
    size = max(1, BATCH_VALUES // (drawn.n_draws * len(columns)))
    for start in range(0, len(values), size):
        rows = slice(start, start + size)
        means = [conditional_means(mixture, columns, given, values[rows]) for mixture in mixtures]
        band[rows] = np.moveaxis(np.quantile(means, tails(level), axis=0), 0, -1)
    return band


def tails(level: float) -> tuple[float, float]:
    """Return the probabilities of both ends of a central interval."""
    return (1.0 - level) / 2.0, (1.0 + level) / 2.0


def checked_level(value: Any) -> float:
    """Return ``level`` as a float between 0 and 1."""
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not number or not 0.0 < float(value) < 1.0:
        raise InvalidInputError(
            f"level must be a number above 0 and below 1, such as 0.9, got {value!r}"
        )
    return float(value)


def check_draws(n_draws: int, level: float) -> None:
    """Raise if there are too few draws for the quantiles of a level."""
    fewest = math.ceil(2.0 / (1.0 - level) - 1e-9)
    if n_draws < fewest:
        raise InvalidInputError(
            f"n_draws must be at least {fewest} for level={level:g}: fewer draws do not reach its "
            f"quantiles, got {n_draws}"
        )


def _band(
    log_densities: LogDensities, n_rows: int, n_draws: int, level: float, simultaneous: bool
) -> Array:
    check_draws(n_draws, level)
    size = max(1, BATCH_VALUES // n_draws)
    blocks = [slice(start, start + size) for start in range(0, n_rows, size)]
    if simultaneous:
        return np.exp(_simultaneous(log_densities, blocks, n_rows, n_draws, level))
    # Log densities of -inf are floored so that quantiles can be interpolated.
    logs = (np.maximum(log_densities(rows), np.finfo(float).min) for rows in blocks)
    quantiles = [np.quantile(of_draws, tails(level), axis=1).T for of_draws in logs]
    return np.exp(np.concatenate(quantiles))


def _simultaneous(
    log_densities: LogDensities, blocks: list[slice], n_rows: int, n_draws: int, level: float
) -> Array:
    middle, spread = np.empty(n_rows), np.empty(n_rows)
    furthest = np.zeros(n_draws)
    for rows in blocks:
        # Lower values round to a density of 0 and may have no mean.
        densities = np.maximum(log_densities(rows), LEAST_LOG)
        middle[rows], spread[rows] = densities.mean(axis=1), densities.std(axis=1)
        densities -= middle[rows, None]
        # The standard deviation is 0 where all draws agree.
        densities /= np.where(spread[rows] > 0.0, spread[rows], 1.0)[:, None]
        np.maximum(furthest, np.abs(densities).max(axis=0), out=furthest)
    # Smallest value that at least a share ``level`` of the draws does not exceed.
    inside = max(1, math.ceil(level * n_draws - 1e-9))
    factor = np.partition(furthest, inside - 1)[inside - 1]
    return np.column_stack([middle - factor * spread, middle + factor * spread])


def checked_values(
    name: str, X: Any, labels: Sequence[str | int], levels: Sequence[tuple[Level, ...] | None] = ()
) -> Array:
    """Return finite values (n, C) of the named features, levels as codes.

    Columns of a frame are found by their names; others are not read.
    """
    X = gathered(tabular(X, name))
    unmasked(name, X)
    written_out(name, X)
    wanted = [str(label) for label in labels]
    named = any(isinstance(label, str) for label in labels)
    columns = getattr(X, "columns", None)
    if columns is not None and named and list(map(str, columns)) != wanted:
        there = {str(column): column for column in columns}
        if is_source(X) or not set(wanted) <= set(there):
            raise InvalidInputError(
                f"{name} must have the columns {', '.join(wanted)}, got "
                f"{', '.join(map(str, columns))}"
            )
        X = X[[there[column] for column in wanted]]
    if is_source(X):
        refuse_measured(X, "the density of columns and of regions")
    raw = X.in_memory().values if is_source(X) else X
    raw = raw.to_numpy() if hasattr(raw, "to_numpy") else raw
    if any(levels) and not is_source(X):
        raw = _coded(raw, labels, levels)
    try:
        values = np.asarray(raw, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInputError(f"{name} must be numbers, got {X!r:.60}") from None
    if values.ndim != 2 or values.shape[1] != len(wanted) or not len(values):
        remedy = ": give one row as [[...]], one column as values[:, None]"
        raise InvalidInputError(
            f"{name} must have shape (n, {len(wanted)}), columns {', '.join(wanted)}, got shape "
            f"{values.shape}{remedy if values.ndim < 2 else ''}"
        )
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise InvalidInputError(f"{name} must be finite, but is not in row {row}: drop it")
    return values


def _coded(
    raw: Any, labels: Sequence[str | int], levels: Sequence[tuple[Level, ...] | None]
) -> Any:
    """Return the frame with levels replaced by codes; other input unchanged."""
    table = np.array(raw, dtype=object)
    if table.ndim != 2 or table.shape[1] != len(levels):
        return raw
    for column, (label, of_column) in enumerate(zip(labels, levels, strict=True)):
        if of_column is not None:
            table[:, column] = codes_of(label, table[:, column], of_column)
    return table
