"""Free parameters of components at a point, and the parameters that tables report.

Free parameters are means, covariances, log odds of probabilities, and logarithms of rates; scores
differentiate along them. Tables report means, variances, probabilities and rates.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from scipy.special import expit, logit

from bayesmix.errors import UnsupportedError
from bayesmix.families.categorical import Categoricals
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.families.negative_binomial import OverdispersedCounts
from bayesmix.families.ordinal import Ordinals
from bayesmix.families.product.components import Products
from bayesmix.families.rates import RateColumns
from bayesmix.families.successes import SuccessColumns
from bayesmix.numerics.arrays import Array

# Covariance structures whose blocks are free parameters.
FREE_BLOCKS = ("full", "tied", "diag", "spherical", "EII", "EEI")

# Components at a point, of the families that ``coordinates`` knows.
PointDensities: TypeAlias = Any


@dataclass(frozen=True)
class Coordinate:
    """A parameter of every component, or one that all of them share.

    ``moved(components, steps)`` adds steps (K,) to it. Coordinates of different blocks have no
    mixed second derivative.
    """

    moved: Callable[[PointDensities, Array], PointDensities]
    units: Array
    block: Hashable
    shared: bool = False
    spread: bool = False  # a variance or covariance


@dataclass(frozen=True)
class Reported:
    """A reported parameter of every component (K,)."""

    parameter: str
    column: int
    level: int | None
    values: Array


def coordinates(components: Any) -> list[Coordinate]:
    """Return the free parameters of components, or raise for families without them."""
    if isinstance(components, Products):
        return [
            replace(own, moved=partial(_moved_part, place, own.moved), block=(place, own.block))
            for place, part in enumerate(components.parts)
            for own in coordinates(part)
        ]
    K = components.n_components
    if isinstance(components, Gaussians):
        return list(_of_gaussians(components))
    if isinstance(components, Categoricals):
        pairs = components.reading.pairs
        return [
            Coordinate(partial(_moved_level, start, end, level), np.ones(K), start)
            for start, end in pairs
            for level in range(start + 1, end)
        ]
    if isinstance(components, Ordinals):
        return list(_of_ordinals(components))
    if isinstance(components, OverdispersedCounts):
        D = components.rates.shape[1]
        return [
            Coordinate(partial(_scaled, name, d), np.ones(K), d)
            for name in ("rates", "sizes")
            for d in range(D)
        ]
    for kind, moved in (
        (SuccessColumns, _moved_odds),
        (RateColumns, partial(_scaled, "rates")),
    ):
        if isinstance(components, kind):
            D = components.means.shape[1]
            return [Coordinate(partial(moved, d), np.ones(K), d) for d in range(D)]
    raise UnsupportedError(
        f"standard errors of parameters do not support {type(components).__name__}: use "
        "weighted_bootstrap, or gibbs for Bayesian fits"
    )


def _of_gaussians(components: Gaussians) -> Iterator[Coordinate]:
    structure, (K, D) = components.structure, components.means.shape
    if structure.name not in FREE_BLOCKS:
        raise UnsupportedError(
            f"standard errors do not support covariance_type={structure.name!r}: use one of "
            f"{', '.join(FREE_BLOCKS)}, or weighted_bootstrap"
        )
    dense, deviations = components.blocks.ndim == 3, components.deviations
    by_column = not dense and not structure.isotropic
    for d in range(D):
        yield Coordinate(partial(_moved_mean, d), deviations[:, d], d if by_column else "all")
    sizes, blocks = components.blocks.shape[-1], components.blocks
    places: list[tuple[int, ...]] = [(i,) for i in range(sizes)]
    if dense:
        places = [(i, j) for i in range(sizes) for j in range(i + 1)]
    for place in places:
        i, j = place[0], place[-1]
        spread = np.sqrt(blocks[:, i, i] * blocks[:, j, j]) if dense else blocks[:, i]
        units = np.broadcast_to(spread, (K,))
        moved = partial(_moved_block, place)
        yield Coordinate(moved, units, i if by_column else "all", structure.shared, spread=True)


def _of_ordinals(components: Ordinals) -> Iterator[Coordinate]:
    K, degree, features = components.n_components, components.degree, components.features.features
    for d, (start, end) in enumerate(components.reading.pairs):
        for name in ("slopes", "curvatures")[: min(degree, end - start - 1)]:
            yield Coordinate(partial(_shifted, name, d), np.ones(K), d)
        for place in range(degree, degree + max(end - start - 1 - degree, 0)):
            along = np.zeros_like(components.intercepts)
            along[start:end] = features[d, : end - start, place]
            yield Coordinate(partial(_moved_intercepts, along), np.ones(K), d, shared=True)


def _shifted(name: str, d: int, components: Any, steps: Array) -> Any:
    values = getattr(components, name).copy()
    values[:, d] += steps
    return replace(components, **{name: values})


def _scaled(name: str, d: int, components: Any, steps: Array) -> Any:
    values = getattr(components, name).copy()
    values[:, d] *= np.exp(steps)
    return replace(components, **{name: values})


def _moved_intercepts(along: Array, components: Ordinals, steps: Array) -> Ordinals:
    return replace(components, intercepts=components.intercepts + steps[0] * along)


def _moved_part(place: int, moved: Any, components: Products, steps: Array) -> Products:
    parts = list(components.parts)
    parts[place] = moved(parts[place], steps)
    return replace(components, parts=tuple(parts))


def _moved_mean(d: int, components: Gaussians, steps: Array) -> Gaussians:
    means = components.means.copy()
    means[:, d] += steps
    return replace(components, means=means)


def _moved_block(place: tuple[int, ...], components: Gaussians, steps: Array) -> Gaussians:
    blocks = components.blocks.copy()
    for own in {place, place[::-1]}:  # both triangles
        index: Any = (slice(None), *own)
        blocks[index] += steps[: len(blocks)]
    return replace(components, blocks=blocks)


def _moved_level(start: int, end: int, level: int, components: Any, steps: Array) -> Any:
    p = components.probabilities.copy()
    p[:, level] *= np.exp(steps)
    p[:, start:end] /= p[:, start:end].sum(axis=1, keepdims=True)
    return replace(components, probabilities=p)


def _moved_odds(d: int, components: Any, steps: Array) -> Any:
    p = components.probabilities.copy()
    inside = (p[:, d] > 0.0) & (p[:, d] < 1.0)
    p[inside, d] = expit(logit(p[inside, d]) + steps[inside])
    return replace(components, probabilities=p)


def reported(components: Any, columns: tuple[int, ...] | None = None) -> list[Reported]:
    """Return means, variances, probabilities and rates; ``columns`` are those of the table."""
    if isinstance(components, Products):
        layout = components.layout.columns
        return [
            own
            for part, places in zip(components.parts, layout, strict=True)
            for own in reported(part, places)
        ]
    D = components.means.shape[1]
    at = tuple(range(D)) if columns is None else columns
    if isinstance(components, Categoricals | Ordinals):
        return [
            Reported("probability", at[d], level - start, components.probabilities[:, level])
            for d, (start, end) in enumerate(components.reading.pairs)
            for level in range(start, end)
        ]
    if isinstance(components, SuccessColumns):
        return [Reported("probability", at[d], 1, components.probabilities[:, d]) for d in range(D)]
    if isinstance(components, RateColumns | OverdispersedCounts):
        return [Reported("rate", at[d], None, components.rates[:, d]) for d in range(D)]
    means = [Reported("mean", at[d], None, components.means[:, d]) for d in range(D)]
    variances = components.deviations**2
    return means + [Reported("variance", at[d], None, variances[:, d]) for d in range(D)]
