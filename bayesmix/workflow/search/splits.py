"""What splitting each component would gain: two-component fits to the rows that it holds.

Every fit takes a few passes over few rows, so that the cost is that of the M-steps: all pairs are
updated as the components of one mixture, and each pair has an E-step over its own rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from bayesmix.engine.expectation import LocalRows
from bayesmix.engine.run import Problem, State
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.once import once
from bayesmix.protocols import Statistics
from bayesmix.records import Expectation, Mixture, Rows

# Passes over the rows of one component: along both axes first, then from the better one.
FIRST_LOOK = 4
MORE_PASSES = 6
AXES = 2
# A ball that is half of a split holds such a share of the rows, and is the smallest of so many,
# judged by some of the rows.
BALL, BALLS, LOOKED_AT = 0.02, 50, 2000
SHARE_TO_COUNT = 0.02
LEAST_EXTENT = 1e-9
# Beyond this, in units of the frame, rows are as far as any: squares and their sums are doubles.
FARTHEST = 1e100


@dataclass(frozen=True)
class Look:
    """A mixture on the rows of a view: responsibilities (n, K) and log normalisers (n,) there."""

    rows: Rows  # as stored
    values: Array  # (n, D), framed
    shares: Array
    log_normaliser: Array

    @classmethod
    def at(cls, problem: Problem, state: State) -> Look:
        """``problem`` on the rows of the view, which are at hand."""
        mixture, rows = state.at(), state.form.complete(state.at(), problem.source.in_memory().rows)
        values = mixture.frame.apply(rows.values)
        return cls(rows, values, *mixture.responsibilities(values))

    @once
    def weights(self) -> Array:
        """Those of the rows (n,)."""
        return self.rows.weights_or_ones

    def closeness(self, weights: Array) -> tuple[Array, Array]:
        """How much (K, K) of their rows two components share, 1 with themselves, and lengths (K,).

        A length is √(Σ w r²).
        """
        overlap = (self.shares * weights[:, None]).T @ self.shares
        size = np.sqrt(np.maximum(np.diagonal(overlap), 1e-300))
        return overlap / np.outer(size, size), size


@dataclass(frozen=True)
class Halves:
    """Two components that a split puts in the place of component ``k``."""

    k: int
    statistics: Statistics  # of the two, over the sample
    gain: float


@dataclass(frozen=True)
class LocalFit:
    """The rows of component k, and the statistics of the components that are fitted to them."""

    k: int
    rows: Rows
    statistics: Statistics
    value: float = -np.inf


def of_statistics(statistics: Any) -> Expectation:
    """An expectation of which only the sums are known: all that an M-step needs."""
    return Expectation(0.0, 0.0, statistics.counts, statistics)


def best_splits(
    problem: Problem,
    state: State,
    look: Look,
    looks: int = FIRST_LOOK,
    more: int = MORE_PASSES,
) -> list[Halves]:
    """For every component the two-component fit to its rows that gains most, where one gains.

    ``look`` is at the rows of ``problem``. The gain is that of the objective there, in nats.
    ``looks`` are passes along both axes, ``more`` those that the better of them gets.
    """
    family, values, shares = problem.family, look.values, look.shares
    found: list[Halves] = []
    pairs: list[LocalFit] = []
    wholes: list[LocalFit] = []
    for k, column in enumerate(shares.T):
        mine = np.flatnonzero(column > SHARE_TO_COUNT)
        if len(mine) < 2 * (values.shape[1] + 2):
            continue
        weights = column[mine] * look.weights[mine]
        rows, own = Rows(look.rows.values[mine], weights), values[mine]
        wholes.append(LocalFit(k, rows, family.statistics(own, weights[:, None])))
        for side in _sides(own, weights):
            halves = nearly_divided(side, weights)
            pairs.append(LocalFit(k, rows, family.statistics(own, halves)))
    before_split = {whole.k: whole.value for whole in advanced(problem, state, wholes, 1)}
    first = sorted(advanced(problem, state, pairs, looks), key=lambda pair: pair.value)
    better = list({pair.k: pair for pair in first}.values())
    for pair in advanced(problem, state, better, more):
        if pair.k in before_split and pair.statistics.counts.min() >= 1.0:
            gain = pair.value - before_split[pair.k]
            found.append(Halves(pair.k, pair.statistics, gain))
    return sorted(found, key=lambda halves: -halves.gain)


def nearly_divided(side: Array, weights: Array) -> Array:
    """Weights (n, 2) of rows in two components, each with most of its side."""
    shares = np.empty((2, len(weights)))
    np.multiply(weights, np.where(side, 0.95, 0.05), out=shares[0])
    np.subtract(weights, shares[0], out=shares[1])
    return shares.T


def _sides(values: Array, weights: Array) -> list[Array]:
    """Rows (n,) that may be one of two halves: a side of the mean along each of the longest axes.

    A small cluster inside a broad one is on no side: it is where rows lie closest.
    """
    white = whitened(values, weights)
    return [*(white[:, -AXES:] > 0.0).T, *where_closest(white)]


def where_closest(white: Array) -> Iterator[Array]:
    """The ball of some of the rows (n, d), of unit variance, that is smallest for where it lies.

    A normal density falls by |x|²/2, so that as many rows take a larger ball there. Of few rows
    a ball would be an accident.
    """
    n, d = white.shape
    some = white[:: max(n // LOOKED_AT, 1)]
    inside = int(BALL * len(some))
    if not d or inside < 2 * (d + 1):
        return
    centres = some[:: max(len(some) // BALLS, 1)]
    reach = np.partition(cdist(centres, some, "sqeuclidean"), inside, axis=1)[:, inside]
    reach = np.maximum(reach, LEAST_EXTENT)
    smallest = int((d * np.log(reach) - np.einsum("nd,nd->n", centres, centres)).argmin())
    yield cdist(centres[[smallest]], white, "sqeuclidean")[0] <= reach[smallest]


def whitened(values: Array, weights: Array) -> Array:
    """Weighted rows (n, D) about their mean, along their axes and of unit variance there.

    Axes are those of columns of unit variance, where they vary; without extent they are left out,
    and the longest is the last.
    """
    total = weights.sum()
    near = np.clip(values, -FARTHEST, FARTHEST)
    away: Array = near - weights @ near / total
    covariance = (weights * away.T) @ away / total
    deviation = np.sqrt(np.diagonal(covariance))
    unit = 1.0 / np.where(deviation > 0.0, deviation, 1.0)
    variances, axes = np.linalg.eigh(covariance * unit * unit[:, None])
    wide = variances > LEAST_EXTENT * variances[-1]
    white: Array = away @ (unit[:, None] * axes[:, wide] / np.sqrt(variances[wide]))
    return white


def advanced(problem: Problem, state: State, groups: list[LocalFit], passes: int) -> list[LocalFit]:
    """Every group after so many passes over its rows; without those that collapsed."""
    for number in range(passes):
        groups, together = updated(problem, state, groups)
        if not groups:
            return []
        places = list(placed(groups))
        parts = [LocalRows(group.rows, keep, _shares(group)) for group, keep in places]
        passed = state.form.of_parts(problem.densities(together), parts)
        groups = [
            replace(group, statistics=statistics, value=value)
            for (group, _), (statistics, value) in zip(places, passed, strict=True)
        ]
        if number == passes - 1 and problem.objective.variational:
            groups = _with_penalties(problem, places, together, groups)
    return groups


def _with_penalties(
    problem: Problem, places: list[tuple[LocalFit, Any]], together: Mixture, groups: list[LocalFit]
) -> list[LocalFit]:
    """The groups with what their components add to the bound; ``places`` is before the E-step."""
    counts = np.concatenate([np.zeros(0), *(group.statistics.counts for group, _ in places)])
    return [
        replace(
            group,
            value=group.value + problem.objective.regulariser(together.subset(keep, counts)),
        )
        for group, (_, keep) in zip(groups, places, strict=True)
    ]


def updated(problem: Problem, state: State, groups: list[LocalFit]) -> tuple[list[LocalFit], Any]:
    """The M-step of all groups as one mixture; groups that collapse are left out."""
    if not groups:
        return [], None
    try:
        return groups, update_of(problem, state, statistics_of(groups))
    except DegenerateFitError:
        sound = [group for group in groups if is_sound(problem, state, group.statistics)]
        # Shared covariances can collapse together only.
        return updated(problem, state, sound) if len(sound) < len(groups) else ([], None)


def update_of(problem: Problem, state: State, statistics: Any) -> Mixture:
    """The M-step of components of groups; raises ``DegenerateFitError`` where one collapses."""
    mixture = problem.objective.update(
        of_statistics(statistics), state.mixture, problem.frame, problem.guard.resolution
    )
    _ = problem.densities(mixture)
    return mixture


def is_sound(problem: Problem, state: State, statistics: Any) -> bool:
    """Whether no component with these statistics collapses."""
    try:
        update_of(problem, state, statistics)
    except DegenerateFitError:
        return False
    return True


def statistics_of(groups: list[LocalFit]) -> Any:
    """Those of the components of all groups."""
    return type(groups[0].statistics).joined([group.statistics for group in groups])


def placed(groups: Sequence[LocalFit]) -> Iterator[tuple[LocalFit, Any]]:
    """Every group with the indices of its components among those of all."""
    place = 0
    for group in groups:
        size = len(group.statistics.counts)
        yield group, np.arange(place, place + size)
        place += size


def _shares(group: LocalFit) -> Array:
    """How the components of a group share its rows."""
    shares: Array = group.statistics.counts / group.statistics.counts.sum()
    return shares
