"""Credible bands of a density: where the densities of draws lie, row by row or as a whole.

Where the draws of a band are from: q, the posterior by Gibbs sampling, or a bootstrap.

Mixtures over some of their columns, alone or given others (Bishop 2006, sec. 2.3.1 and 2.3.2).

A marginal of a mixture is the mixture of the marginals; a conditional one weighs the conditionals
by how well their components explain what is given.

Rows of some columns of a fit, as they come in: checked by name where columns have names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from bayesmix.allocation.point import PointWeights
from bayesmix.core import validation
from bayesmix.core.coding import Level, codes_of
from bayesmix.core.components import Named, Predictive
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame
from bayesmix.core.sources import Source
from bayesmix.core.validation import unmasked, written_out
from bayesmix.em.result import FitResult, log_density
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import normalise
from bayesmix.posterior.posterior_draws import (
    DrawnMixtures,
    Draws,
    parameters_of,
    posterior_draws,
)
from bayesmix.sources.border import is_source
from bayesmix.sources.dask_workers import gathered

CHAINS = 4
# Axes of parameters along which the columns of the fit stand.
OF_COLUMNS = ("feature", "other_feature")
# Where a band has those of several candidates: 1,000 of each would take several times as long.
DRAWS_OF_EACH = 400


def drawn_mixtures(
    estimator: Any, method: Any, data: Any, n_draws: Any, seed: int, sample_weight: Any = None
) -> DrawnMixtures:
    """Draws of a fitted estimator's mixture by a method, or those that are given instead of one."""
    result: FitResult = estimator._fitted()
    result.refuse_noise("a band")
    number = validation.integer("n_draws", n_draws, 1)
    if _has_draws(method):
        return _given(result, method).at_most(number)
    if not isinstance(method, str) or method not in METHODS:
        raise InvalidInputError(
            f"method must be one of {', '.join(map(repr, METHODS))}, or what bayesmix.gibbs or "
            f"bayesmix.weighted_bootstrap returned for this fit, got {method!r:.60}"
        )
    draw = METHODS[method]
    if draw is not _variational and data is None:
        raise InvalidInputError(
            f"data must be the rows of the fit for method={method!r}: an estimator does not keep "
            "them"
        )
    return draw(estimator, data, sample_weight, number, seed)


def _has_draws(method: Any) -> bool:
    """Whether it is what a sampler or a bootstrap returned."""
    return isinstance(getattr(method, "result", None), FitResult) and (
        hasattr(method, "groups") or isinstance(getattr(method, "draws", None), Draws)
    )


def _variational(
    estimator: Any, data: Any, sample_weight: Any, n_draws: int, seed: int
) -> DrawnMixtures:
    result = estimator._fitted()
    return DrawnMixtures(result, (posterior_draws(result, n_draws, seed),))


def _gibbs(estimator: Any, data: Any, sample_weight: Any, n_draws: int, seed: int) -> DrawnMixtures:
    from bayesmix.posterior.gibbs import gibbs

    each = -(-n_draws // CHAINS)
    found = gibbs(
        estimator,
        data,
        n_draws=each,
        chains=CHAINS,
        sample_weight=sample_weight,
        random_state=seed,
        n_jobs=estimator.n_jobs,
    )
    return _given(estimator._fitted(), found).at_most(n_draws)


def _bootstrap(
    estimator: Any, data: Any, sample_weight: Any, n_draws: int, seed: int
) -> DrawnMixtures:
    from bayesmix.posterior.bootstrap import weighted_bootstrap

    found = weighted_bootstrap(
        estimator,
        data,
        n_draws=n_draws,
        sample_weight=sample_weight,
        random_state=seed,
        n_jobs=estimator.n_jobs,
    )
    return _given(estimator._fitted(), found)


METHODS: Mapping[str, Callable[[Any, Any, Any, int, int], DrawnMixtures]] = {
    "variational": _variational,
    "gibbs": _gibbs,
    "bootstrap": _bootstrap,
}


def _given(result: FitResult, found: Any) -> DrawnMixtures:
    """The draws of a sampler, or of a bootstrap, of this very fit."""
    if found.result.objective != result.objective:
        raise InvalidInputError(
            f"method must be draws of this very fit, got {type(found).__name__} of another: make "
            "them of this model, as in bm.gibbs(model, X)"
        )
    # Where K is drawn too, draws come in groups of equally many components.
    groups = getattr(found, "groups", None) or (found,)
    # Samplers hold their rows. Labels change in their draws; a bootstrap's are those of the fit.
    parts = tuple(group.draws for group in groups)
    return DrawnMixtures(result, parts, getattr(found, "source", None))


def credible_intervals(result: FitResult, level: float, n_draws: int, seed: int) -> Any:
    """Mean and equal-tailed interval of every weight and parameter under q (DataFrame)."""
    import pandas as pd

    named = named_draws(result, posterior_draws(result, n_draws, seed))
    named.pop("scale", None)  # a hyperparameter
    tails = (0.5 - 0.5 * level, 0.5 + 0.5 * level)
    table = []
    for kind, (axes, values) in named.items():
        columns = values.reshape(len(values), -1).T
        for place, name in labels_of(kind, axes, values.shape[1:], result.columns):
            drawn = columns[place]
            table.append((name, drawn.mean(), *np.quantile(drawn, tails)))
    return pd.DataFrame(table, columns=["parameter", "mean", "lower", "upper"])


def named_draws(result: FitResult, draws: Draws) -> Named:
    """Weights and parameters of draws in data units by name, with what their axes stand for."""
    weights = (("component",), np.exp(draws.weights.log_weights))
    return {"weights": weights} | parameters_of(result, draws)


def labels_of(
    kind: str, axes: tuple[str, ...], shape: tuple[int, ...], columns: tuple[str, ...] | None
) -> Iterator[tuple[int, str]]:
    """Flat place and name of every number of an array; of symmetric matrices one triangle."""
    for number, place in enumerate(np.ndindex(shape)):
        if axes[-2:] == ("feature", "other_feature") and place[-1] < place[-2]:
            continue
        parts = [
            columns[index] if columns is not None and axis in OF_COLUMNS else str(index)
            for axis, index in zip(axes, place, strict=True)
        ]
        yield number, f"{kind}[{', '.join(parts)}]" if parts else kind


def marginal(mixture: Mixture[Predictive], columns: Integers) -> Mixture[Predictive]:
    """The mixture over some of the columns, the others integrated out."""
    mixture = _by_columns(mixture)
    frame, places = mixture.frame.of_columns(columns)
    return Mixture(mixture.weights, mixture.components.marginal(places), frame)


def conditional(
    mixture: Mixture[Predictive], columns: Integers, given: Integers, values: Array
) -> Mixture[Predictive]:
    """The mixture over ``columns`` where those ``given`` have these values (G,), in data units."""
    mixture = _by_columns(mixture)
    frame, places = mixture.frame.of_columns(columns)
    known_frame, known = mixture.frame.of_columns(given)
    framed = known_frame.apply(values[None])
    shares = _shares(mixture, known, framed)
    components = mixture.components.conditional(places, known, framed[0])
    return Mixture(PointWeights(shares[0]), components, frame)


def conditional_means(
    mixture: Mixture[Predictive], columns: Integers, given: Integers, values: Array
) -> Array:
    """E[x_columns | x_given] (n, C) for rows of the given columns (n, G), in data units."""
    mixture = _by_columns(mixture)
    frame, places = mixture.frame.of_columns(columns)
    known_frame, known = mixture.frame.of_columns(given)
    framed = known_frame.apply(values)
    shares = _shares(mixture, known, framed)
    each = mixture.components.conditional_means(places, known, framed)
    return frame.undo(np.einsum("nk,nkc->nc", shares, each))


def _shares(mixture: Mixture[Predictive], known: Integers, framed: Array) -> Array:
    """Probabilities of the components (n, K) given framed values of the known columns."""
    log_joint = np.tile(mixture.weights.expected_log(), (len(framed), 1))
    if len(known):
        with np.errstate(over="ignore", invalid="ignore"):
            log_joint += mixture.components.marginal(known).expected_log_density(framed)
        # Squares of distances that are no doubles: of such a row nothing can be told.
        log_joint[np.isnan(log_joint)] = -np.inf
    impossible = np.flatnonzero(normalise(log_joint) == -np.inf)
    if len(impossible):
        raise InvalidInputError(
            f"no component of the mixture can have the given values (row {impossible[0]}): give "
            "others"
        )
    return log_joint


def _by_columns(mixture: Mixture[Predictive]) -> Mixture[Predictive]:
    """The mixture with coordinates that are columns.

    Rows on a slanted plane have others. There the narrow normal across the plane is made part of
    the components; next to Students it takes on their tails, which rows never see.
    """
    frame = mixture.frame
    if frame.basis is None or np.array_equal(frame.basis, frame.basis.astype(bool)):
        return mixture
    n_features = len(frame.centre)
    around = replace(frame, centre=np.zeros(n_features), scale=np.ones(n_features))
    components = mixture.components.unframed(around)
    return Mixture(mixture.weights, components, Frame(frame.centre, frame.scale))


# Rows times draws that are held at a time.
BLOCK_VALUES = 2**22
LEAST_LOG = math.log(np.finfo(float).tiny)

# a slice of the rows -> log densities (rows, S) in data units
LogDensities: TypeAlias = Callable[[slice], Array]


def density_band(drawn: DrawnMixtures, source: Source, level: float, simultaneous: bool) -> Array:
    """Lower and upper ends (n, 2) of the density; see ``density_interval`` of the estimators.

    Pointwise the quantiles over draws. Simultaneous: mean ± factor · standard deviation of the log
    density over draws, the factor the smallest for which ``level`` of the drawn curves lie inside
    at all rows.
    """

    def log_densities(rows: slice) -> Array:
        return drawn.log_densities(source.subset(rows))

    return _band(log_densities, source.shape[0], drawn.n_draws, level, simultaneous)


def hull(bands: Sequence[Array]) -> Array:
    """Ends (n, 2) of what holds all of some bands."""
    lower, upper = np.moveaxis(np.array(bands), -1, 0)
    return np.column_stack([lower.min(axis=0), upper.max(axis=0)])


def marginal_band(drawn: DrawnMixtures, columns: Integers, values: Array, level: float) -> Array:
    """Ends (n, 2) of the density of some columns alone at values (n, C), pointwise."""
    mixtures = [marginal(each, columns) for each in drawn.mixtures()]
    family = drawn.result.family

    def log_densities(rows: slice) -> Array:
        return np.column_stack([log_density(each, values[rows], family) for each in mixtures])

    return _band(log_densities, len(values), len(mixtures), level, False)


def conditional_band(
    drawn: DrawnMixtures, columns: Integers, given: Integers, values: Array, level: float
) -> Array:
    """Ends (n, C, 2) of E[x_columns | x_given] at rows: quantiles over draws."""
    check_draws(drawn.n_draws, level)
    mixtures = list(drawn.mixtures())
    band = np.empty((len(values), len(columns), 2))
    size = max(1, BLOCK_VALUES // (drawn.n_draws * len(columns)))
    for start in range(0, len(values), size):
        rows = slice(start, start + size)
        means = [conditional_means(each, columns, given, values[rows]) for each in mixtures]
        band[rows] = np.moveaxis(np.quantile(means, tails(level), axis=0), 0, -1)
    return band


def tails(level: float) -> tuple[float, float]:
    """The two quantiles between which the share ``level`` lies, as much below as above."""
    return (1.0 - level) / 2.0, (1.0 + level) / 2.0


def checked_level(value: Any) -> float:
    """A level as a number above 0 and below 1."""
    number = isinstance(value, Real) and not isinstance(value, (bool, np.bool_))
    if not number or not 0.0 < float(value) < 1.0:
        raise InvalidInputError(
            f"level must be a number above 0 and below 1, such as 0.9, got {value!r}"
        )
    return float(value)


def check_draws(n_draws: int, level: float) -> None:
    """Refuse draws too few for their quantiles to reach the ends of a level."""
    fewest = math.ceil(2.0 / (1.0 - level) - 1e-9)
    if n_draws < fewest:
        raise InvalidInputError(
            f"n_draws must be at least {fewest} for level={level:g}: fewer draws do not reach its "
            f"ends, got {n_draws}"
        )


def _band(
    log_densities: LogDensities, n_rows: int, n_draws: int, level: float, simultaneous: bool
) -> Array:
    check_draws(n_draws, level)
    size = max(1, BLOCK_VALUES // n_draws)
    blocks = [slice(start, start + size) for start in range(0, n_rows, size)]
    if simultaneous:
        return np.exp(_simultaneous(log_densities, blocks, n_rows, n_draws, level))
    # A density of zero has a logarithm that quantiles can be taken between.
    logs = (np.maximum(log_densities(rows), np.finfo(float).min) for rows in blocks)
    quantiles = [np.quantile(each, tails(level), axis=1).T for each in logs]
    band: Array = np.exp(np.concatenate(quantiles))
    return band


def _simultaneous(
    log_densities: LogDensities, blocks: list[slice], n_rows: int, n_draws: int, level: float
) -> Array:
    middle, spread = np.empty(n_rows), np.empty(n_rows)
    furthest = np.zeros(n_draws)
    for rows in blocks:
        # What is below rounds to a density of 0, and may have no mean.
        densities = np.maximum(log_densities(rows), LEAST_LOG)
        middle[rows], spread[rows] = densities.mean(axis=1), densities.std(axis=1)
        densities -= middle[rows, None]
        # Where all draws agree nothing is away from them.
        densities /= np.where(spread[rows] > 0.0, spread[rows], 1.0)[:, None]
        np.maximum(furthest, np.abs(densities).max(axis=0), out=furthest)
    # The smallest number that is no less than ``level`` of them.
    inside = max(1, math.ceil(level * n_draws - 1e-9))
    factor = np.partition(furthest, inside - 1)[inside - 1]
    return np.column_stack([middle - factor * spread, middle + factor * spread])


def checked_values(
    name: str,
    X: Any,
    labels: Sequence[str | int],
    levels: Sequence[tuple[Level, ...] | None] = (),
) -> Array:
    """Finite values (n, C) of an array, frame or source of the columns that the labels name.

    Levels, where columns have any, become their codes.
    """
    X = gathered(X)
    unmasked(name, X)
    written_out(name, X)
    wanted = [str(label) for label in labels]
    named = any(isinstance(label, str) for label in labels)
    found = getattr(X, "columns", None)
    if found is not None and named and list(map(str, found)) != wanted:
        raise InvalidInputError(
            f"{name} must have the columns {', '.join(wanted)}, in this order, got "
            f"{', '.join(map(str, found))}"
        )
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
    """The same with codes in the place of levels; what is no such table, as it is."""
    table = np.array(raw, dtype=object)
    if table.ndim != 2 or table.shape[1] != len(levels):
        return raw
    for column, (label, own) in enumerate(zip(labels, levels, strict=True)):
        if own is not None:
            table[:, column] = codes_of(label, table[:, column], own)
    return table
