"""Free parameters of components at a point, and the parameters that tables report.

Free parameters are means, covariances, log odds of probabilities, and logarithms of positive
parameters; scores differentiate along them. Tables report means, variances, probabilities, rates.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from scipy.linalg import expm
from scipy.special import expit, logit

from bayesmix.errors import UnsupportedError
from bayesmix.families.categorical import Categoricals
from bayesmix.families.factor_analytic.factor_analysers import FactorAnalysers
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.negative_binomial import OverdispersedCounts
from bayesmix.families.ordinal import Ordinals
from bayesmix.families.product.components import Products
from bayesmix.families.rates import RateColumns
from bayesmix.families.student_t.components import StudentComponents
from bayesmix.families.successes import SuccessColumns
from bayesmix.families.transformed import TransformedComponents
from bayesmix.families.von_mises_fisher import VonMisesFishers
from bayesmix.numerics.arrays import Array

# Covariance structures whose blocks are free parameters.
FREE_BLOCKS = ("full", "tied", "diag", "spherical", "EII", "EEI")
# Fields (K, D) of components that are logarithms, or log odds, as free parameters.
POSITIVE, PROBABILITIES = ("rates", "sizes", "shapes", "scales"), ("probabilities", "extra_zeros")

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
    """A reported parameter of every component (K,), or of the noise (1,)."""

    parameter: str
    column: int
    level: int | str | None
    values: Array


def coordinates(components: Any, freedom: Any = None) -> list[Coordinate]:
    """Return the free parameters of components, or raise for families without them.

    ``freedom``: the setting of a Student-t family's degrees of freedom.
    """
    if isinstance(components, Products):
        return [
            replace(own, moved=partial(_moved_part, place, own.moved), block=(place, own.block))
            for place, part in enumerate(components.parts)
            for own in coordinates(part)
        ]
    if isinstance(components, TransformedComponents):
        inside = coordinates(components.normals, freedom)
        return [replace(own, moved=partial(_moved_inside, own.moved)) for own in inside]
    one = np.ones(components.n_components)
    if isinstance(components, Gaussians):
        return list(_of_gaussians(components))
    if isinstance(components, StudentComponents):
        normal = [replace(each, block="all") for each in _of_gaussians(components)]
        tails = Coordinate(partial(_scaled, "degrees_of_freedom", slice(None)), one, "all")
        learned = freedom is None or isinstance(freedom, str)
        return normal + [replace(tails, shared=freedom == "shared")] * learned
    if isinstance(components, Categoricals):
        return [
            Coordinate(partial(_moved_level, start, end, level), one, start)
            for start, end in components.reading.pairs
            for level in range(start + 1, end)
        ]
    if isinstance(components, Ordinals):
        return list(_of_ordinals(components))
    if isinstance(components, VonMisesFishers):
        return list(_of_directions(components))
    if isinstance(components, FactorAnalysers):
        return list(_of_factors(components))
    found = []
    for name in (field.name for field in fields(components)):
        if name in (*POSITIVE, *PROBABILITIES):
            moved: Any = _scaled if name in POSITIVE else _moved_odds
            columns = range(getattr(components, name).shape[1])
            found += [Coordinate(partial(moved, name, d), one, d) for d in columns]
    if found:
        return found
    raise UnsupportedError(
        f"standard errors by derivatives do not support {type(components).__name__}: use "
        "standard_errors='bootstrap'"
    )


def _of_gaussians(components: Any) -> Iterator[Coordinate]:
    structure, blocks, D = components.structure, components.blocks, components.means.shape[1]
    dense = _dense(components)
    deviations = np.sqrt(np.diagonal(dense, axis1=1, axis2=2))
    by_column = blocks.ndim == 2 and not structure.isotropic and structure.name in FREE_BLOCKS
    for d in range(D):
        block = d if by_column else "all"
        yield Coordinate(partial(_shifted, "means", d), deviations[:, d], block)
    if structure.name not in FREE_BLOCKS:
        yield from _of_structure(structure.letters, dense)
        return
    places: list[tuple[int, ...]] = [(i,) for i in range(blocks.shape[-1])]
    if blocks.ndim == 3:
        places = [(i, j) for i in range(D) for j in range(i + 1)]
    for place in places:
        units = deviations[:, place[0]] * deviations[:, place[-1]]
        moved = partial(_moved_block, place)
        block = place[0] if by_column else "all"
        yield Coordinate(moved, units, block, structure.shared, spread=True)


def _of_structure(letters: str, covariances: Array) -> Iterator[Coordinate]:
    """Yield volume, eigenvalues (shape) and rotations (orientation) of Σ_k = λ_k D_k A_k D_kᵀ.

    They are equal (E) or variable (V); the shape or orientation may be fixed (I).
    """
    volume, shape, orientation = tuple(letters)
    K, D, _ = covariances.shape
    one, axes = np.ones(K), _axes(orientation, covariances)
    stretches = [(np.ones(D), volume)]
    if shape != "I":
        stretches += [(np.eye(D)[i] - np.eye(D)[-1], shape) for i in range(D - 1)]
    for logs, letter in stretches:
        moved = partial(_stretched, logs, orientation)
        yield Coordinate(moved, one, "all", letter == "E", spread=True)
    for i, j in combinations(range(D) if orientation != "I" else (), 2):
        plane = axes[:, :, i, None] * axes[:, None, :, j]
        moved = partial(_rotated, plane - plane.swapaxes(1, 2))
        yield Coordinate(moved, one, "all", orientation == "E", spread=True)


def _axes(orientation: str, covariances: Array) -> Array:
    """Return the axes (K, D, D) of covariances, in columns."""
    if orientation == "I":
        return np.broadcast_to(np.eye(covariances.shape[1]), covariances.shape)
    if orientation == "E":  # those of a sum in which no two eigenvalues are equal
        total = np.einsum("k,kij->ij", np.sqrt(2.0 + np.arange(len(covariances))), covariances)
        covariances = np.broadcast_to(total, covariances.shape)
    return np.linalg.eigh(covariances)[1]


def _stretched(logs: Array, orientation: str, components: Any, steps: Array) -> Any:
    """Multiply eigenvalues by exp(steps logs)."""
    axes = _axes(orientation, _dense(components))
    roots = axes * np.exp(0.5 * steps[:, None, None] * logs)
    return _turned(components, roots @ axes.swapaxes(1, 2))


def _rotated(generators: Array, components: Any, steps: Array) -> Any:
    return _turned(components, expm(steps[:, None, None] * generators))


def _dense(components: Any) -> Array:
    K, D = components.means.shape
    dense: Array = components.structure.algebra.dense(components.blocks, K, D)
    return dense


def _turned(components: Any, turns: Array) -> Any:
    dense = turns @ _dense(components) @ turns.swapaxes(1, 2)
    diagonal = np.diagonal(dense, axis1=1, axis2=2).copy()
    return replace(components, blocks=dense if components.blocks.ndim == 3 else diagonal)


def _of_ordinals(components: Ordinals) -> Iterator[Coordinate]:
    one, degree = np.ones(components.n_components), components.degree
    for d, (start, end) in enumerate(components.reading.pairs):
        for name in ("slopes", "curvatures")[: min(degree, end - start - 1)]:
            yield Coordinate(partial(_shifted, name, d), one, d)
        for place in range(degree, max(end - start - 1, degree)):
            along = np.zeros_like(components.intercepts)
            along[start:end] = components.features.features[d, : end - start, place]
            yield Coordinate(partial(_moved_intercepts, along), one, d, shared=True)


def _of_directions(components: VonMisesFishers) -> Iterator[Coordinate]:
    """Yield directions across the mean direction, and the log concentration."""
    units = 1.0 / np.sqrt(1.0 + components.concentrations)
    across = np.linalg.svd(components.directions[:, None])[2][:, 1:]
    for d in range(across.shape[1]):
        yield Coordinate(partial(_tilted, across[:, d]), units, "all")
    one = np.ones(components.n_components)
    yield Coordinate(partial(_scaled, "concentrations", slice(None)), one, "all")


def _tilted(across: Array, components: VonMisesFishers, steps: Array) -> VonMisesFishers:
    tilted = components.directions + steps[:, None] * across
    tilted /= np.linalg.norm(tilted, axis=1, keepdims=True)
    return replace(components, directions=tilted)


def _of_factors(components: FactorAnalysers) -> Iterator[Coordinate]:
    """Yield means, loadings (which rotations leave unidentified) and log noise variances."""
    deviations, model = components.deviations, components.model
    _, D, q = components.loadings.shape
    one = np.ones(components.n_components)
    for d in range(D):
        yield Coordinate(partial(_shifted, "means", d), deviations[:, d], "all")
    for place in np.ndindex(D, q):
        moved = partial(_shifted, "loadings", place)
        yield Coordinate(moved, deviations[:, place[0]], "all", model.shared_loadings, spread=True)
    columns: Any = [slice(None)] if model.isotropic_noise else range(D)
    for own in columns:
        yield Coordinate(partial(_scaled, "noise", own), one, "all", spread=True)


def _changed(name: str, components: Any, column: Any, change: Callable[[Array], Array]) -> Any:
    """Return components with a changed column of a field."""
    values = getattr(components, name).copy()
    place = (slice(None), *column) if isinstance(column, tuple) else (..., column)
    values[place] = change(values[place])
    return replace(components, **{name: values})


def _shifted(name: str, d: Any, components: Any, steps: Array) -> Any:
    return _changed(name, components, d, lambda own: own + steps)


def _scaled(name: str, d: Any, components: Any, steps: Array) -> Any:
    return _changed(name, components, d, lambda own: (own.T * np.exp(steps)).T)


def _moved_odds(name: str, d: int, components: Any, steps: Array) -> Any:
    def change(p: Array) -> Array:
        inside = (p > 0.0) & (p < 1.0)
        return np.where(inside, expit(logit(np.where(inside, p, 0.5)) + steps), p)

    return _changed(name, components, d, change)


def _moved_intercepts(along: Array, components: Ordinals, steps: Array) -> Ordinals:
    return replace(components, intercepts=components.intercepts + steps[0] * along)


def _moved_part(place: int, moved: Any, components: Products, steps: Array) -> Products:
    parts = list(components.parts)
    parts[place] = moved(parts[place], steps)
    return replace(components, parts=tuple(parts))


def _moved_inside(moved: Any, components: Any, steps: Array) -> Any:
    return replace(components, normals=moved(components.normals, steps))


def _moved_block(place: tuple[int, ...], components: Any, steps: Array) -> Any:
    blocks = components.blocks.copy()
    for own in {place, place[::-1]}:  # both triangles
        blocks[(slice(None), *own)] += steps[: len(blocks)]
    return replace(components, blocks=blocks)


def _moved_level(start: int, end: int, level: int, components: Any, steps: Array) -> Any:
    p = components.probabilities.copy()
    p[:, level] *= np.exp(steps)
    p[:, start:end] /= p[:, start:end].sum(axis=1, keepdims=True)
    return replace(components, probabilities=p)


def reported(components: Any, columns: tuple[int, ...] | None = None) -> list[Reported]:
    """Return means, variances, probabilities and rates; ``columns`` are those of the table."""
    if isinstance(components, Products):
        parts = zip(components.parts, components.layout.columns, strict=True)
        return [own for part, places in parts for own in reported(part, places)]
    if isinstance(components, VonMisesFishers):
        directions = enumerate(components.directions.T)
        mean = [Reported("direction", d, None, values) for d, values in directions]
        return [*mean, Reported("concentration", -1, None, components.concentrations)]
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
