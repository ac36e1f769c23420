"""Moves out of a local optimum (Ueda et al. 2000), made on summed statistics.

Swaps, divisions of a pair (by kurtosis: Peña & Prieto 2001), splits and merges need no pass over
the data; gains are predicted on a subsample, and the full objective decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import LocalRows
from bayesmix.em.run import Problem, State, begin
from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from bayesmix.core.components import Statistics
    from bayesmix.core.families import Family


# The objective that merging a pair would lose, and the pair (i < j).
Merge: TypeAlias = tuple[float, int, int]
# Halves (n,) of weighted values (n, D) at which two-component fits begin.
Sides: TypeAlias = Callable[[Array, Array], list[Array]]

# Passes of every two-component fit, and of the best ones thereafter.
FIRST_PASSES, FURTHER_PASSES = 4, 6
# Two-component fits of a pair that get more passes.
DIVISIONS_OF_A_PAIR = 2
# Responsibility below which a row is left out of a two-component fit.
NEGLIGIBLE_SHARE = 0.02
# Share of its side that each half begins with.
SHARE_OF_SIDE = 0.95
# Principal axes along which a component is split.
AXES = 2
# Variance of an axis without extent, relative to the longest.
NO_EXTENT = 1e-9
# Values beyond this, in units of the frame, overflow when they are squared and summed.
FARTHEST = 1e100
# Weight below which a component counts as empty.
EMPTY = 1e-3


@dataclass(frozen=True)
class Assignment:
    """Observations of a view with their responsibilities (n, K) and log normalisers (n,)."""

    rows: Rows  # in data units
    values: Array  # (n, D), framed
    responsibilities: Array
    log_normaliser: Array

    @classmethod
    def under(cls, problem: Problem, state: State) -> Assignment:
        """Evaluate the observations of ``problem`` under the mixture of a state."""
        mixture, rows = (
            state.current_mixture(),
            state.form.complete(state.current_mixture(), problem.source.in_memory().rows),
        )
        return cls(rows, rows.framed(mixture.frame), *mixture.responsibilities(rows.as_seen))

    @once
    def weights(self) -> Array:
        return self.rows.weights_or_ones

    def overlaps(self) -> tuple[Array, Array]:
        """Cosines (K, K) between columns of responsibilities, and their lengths (K,)."""
        products = (self.responsibilities * self.weights[:, None]).T @ self.responsibilities
        lengths = np.sqrt(np.maximum(np.diagonal(products), 1e-300))
        return products / np.outer(lengths, lengths), lengths


@dataclass(frozen=True)
class Split:
    """Two components in the place of a group: one component, or a pair (i < j)."""

    group: tuple[int, ...]
    statistics: Statistics  # of the two, over the rows of the view
    gain: float  # in the objective over the rows of the view, in nats

    def applied(self, statistics: Any, counts: Array) -> Any:
        """Return the statistics of all components after the split."""
        if len(self.group) == 2:
            statistics = statistics.merged(*self.group)
        factor = float(counts[list(self.group)].sum() / self.statistics.counts.sum())
        return statistics.split(self.group[0], self.statistics.scaled(factor))


@dataclass(frozen=True)
class Move:
    """Split a group, merge a pair, or both."""

    split: Split | None
    merged: tuple[int, int] | None
    predicted: float

    @property
    def kind(self) -> str:
        if self.split is None:
            return "merge"
        if len(self.split.group) == 2:
            return "divide"
        return "split" if self.merged is None else "swap"

    @property
    def touched(self) -> list[tuple[int, ...]]:
        """Return the groups that the move splits and merges."""
        groups = [] if self.split is None else [self.split.group]
        return groups + ([] if self.merged is None else [self.merged])

    def begun(self, problem: Problem, state: State) -> State:
        """Return a state that starts with an M-step from the statistics after the move."""
        statistics: Any = state.expectation.statistics
        if self.split is not None:
            statistics = self.split.applied(statistics, state.expectation.counts)
        if self.merged is not None:
            statistics = statistics.merged(*self.merged)
        return begin(problem, of_statistics(statistics), state.current_mixture(), state)

    def __str__(self) -> str:
        if self.kind == "divide" and self.split is not None:
            first, second = self.split.group
            return f"divide {first + 1} and {second + 1} again"
        parts = []
        if self.merged is not None:
            parts.append(f"merge {self.merged[0] + 1} and {self.merged[1] + 1}")
        if self.split is not None:
            parts.append(f"split {self.split.group[0] + 1}")
        return ", ".join(parts)


def of_statistics(statistics: Any) -> Expectation:
    """Return an expectation with only the sums, which is all that an M-step needs."""
    return Expectation(0.0, 0.0, statistics.counts, statistics)


def best_splits(
    problem: Problem,
    state: State,
    assignment: Assignment,
    first: int = FIRST_PASSES,
    more: int = FURTHER_PASSES,
) -> list[Split]:
    """The best split of each component, largest gain first."""
    groups = [(k,) for k in range(state.current_mixture().n_components)]
    splits = two_component_fits(problem, state, assignment, groups, _axis_sides, 1, (first, more))
    return sorted((split for split, _ in splits), key=lambda split: -split.gain)


@dataclass(frozen=True)
class _LocalFit:
    """Components fitted to the weighted observations of a group, and their objective."""

    number: int  # of the group
    rows: Rows
    statistics: Statistics
    value: float = -np.inf


def two_component_fits(
    problem: Problem,
    state: State,
    assignment: Assignment,
    groups: Sequence[tuple[int, ...]],
    sides: Sides,
    most: int,
    passes: tuple[int, int],
) -> list[tuple[Split, Array]]:
    """The ``most`` best splits of each group, with the counts of the group's own components."""
    family, values = problem.family, assignment.values
    present: list[_LocalFit] = []
    begun: list[_LocalFit] = []
    for number, group in enumerate(groups):
        shares = assignment.responsibilities[:, group]
        total = shares.sum(axis=1)
        inside = np.flatnonzero(total > NEGLIGIBLE_SHARE)
        if len(inside) < 2 * (values.shape[1] + 2):
            continue
        row_weights, inner = assignment.weights[inside], values[inside]
        weights = total[inside] * row_weights
        rows = replace(assignment.rows.some(inside), weights=weights)
        group_weights = shares[inside] * row_weights[:, None]
        present.append(_LocalFit(number, rows, family.statistics(inner, group_weights)))
        # Two components for each side, each with most of its own.
        of_first = [
            weights * np.where(side, SHARE_OF_SIDE, 1.0 - SHARE_OF_SIDE)
            for side in sides(inner, weights)
        ]
        halves = [np.stack([first, weights - first]).T for first in of_first]
        begun += [
            _LocalFit(number, rows, statistics)
            for statistics in _statistics_of_each(family, inner, halves)
        ]
    now = {fit.number: fit for fit in _advanced(problem, state, present, 1)}
    ranked = sorted(_advanced(problem, state, begun, passes[0]), key=lambda fit: -fit.value)
    best = [fit for number in now for fit in [fit for fit in ranked if fit.number == number][:most]]
    return [
        (
            Split(groups[fit.number], fit.statistics, fit.value - now[fit.number].value),
            now[fit.number].statistics.counts,
        )
        for fit in _advanced(problem, state, best, passes[1])
        if fit.statistics.counts.min() >= 1.0
    ]


def _statistics_of_each(family: Family, values: Array, halves: list[Array]) -> list[Statistics]:
    """Return the statistics of two components under each of some responsibilities (n, 2)."""
    if not halves:
        return []
    together = family.statistics(values, np.hstack(halves))
    if together.shared:
        return [family.statistics(values, shares) for shares in halves]
    return [together.subset(np.array([k, k + 1])) for k in range(0, 2 * len(halves), 2)]


def _axis_sides(values: Array, weights: Array) -> list[Array]:
    """The two sides of the mean along each of the longest axes."""
    return list((whitened(values, weights)[:, -AXES:] > 0.0).T)


def whitened(values: Array, weights: Array) -> Array:
    """Return centred values (n, m) along principal axes of unit variance, longest last.

    Principal axes are those of standardised columns; axes without extent are left out.
    """
    total = weights.sum()
    clipped = np.clip(values, -FARTHEST, FARTHEST)
    centred: Array = clipped - weights @ clipped / total
    covariance = (weights * centred.T) @ centred / total
    deviation = np.sqrt(np.diagonal(covariance))
    unit = 1.0 / np.where(deviation > 0.0, deviation, 1.0)
    variances, axes = np.linalg.eigh(covariance * unit * unit[:, None])
    wide = variances > NO_EXTENT * variances[-1]
    return oriented(centred @ (unit[:, None] * axes[:, wide] / np.sqrt(variances[wide])), weights)


def oriented(along: Array, weights: Array) -> Array:
    """Return values (n, m) along axes that point where their distribution is skewed.

    The sign of an eigenvector depends on the order of the columns.
    """
    return along * np.where(weights @ (along * along * along) < 0.0, -1.0, 1.0)


def _advanced(
    problem: Problem, state: State, fits: list[_LocalFit], passes: int
) -> list[_LocalFit]:
    """Return the local fits after some passes over their data; degenerate ones are left out.

    All components are updated as one mixture, so that the fits share each M-step.
    """
    for number in range(passes):
        fits, together = _updated(problem, state, fits)
        if not fits:
            return []
        ends = np.cumsum([0, *(len(fit.statistics.counts) for fit in fits)])
        places = [np.arange(*bounds) for bounds in pairwise(ends)]
        parts = [
            LocalRows(fit.rows, place, fit.statistics.counts / fit.statistics.counts.sum())
            for fit, place in zip(fits, places, strict=True)
        ]
        passed = state.form.of_parts(problem.densities(together), parts)
        last = number == passes - 1 and problem.objective.variational
        counts = np.concatenate([fit.statistics.counts for fit in fits]) if last else None
        fits = [
            _LocalFit(
                fit.number,
                fit.rows,
                statistics,
                value
                if counts is None
                else value + problem.objective.regulariser(together.subset(place, counts)),
            )
            for fit, place, (statistics, value) in zip(fits, places, passed, strict=True)
        ]
    return fits


def _updated(problem: Problem, state: State, fits: list[_LocalFit]) -> tuple[list[_LocalFit], Any]:
    """The M-step of all fits as one mixture; degenerate fits are left out."""
    if not fits:
        return [], None
    try:
        return fits, _update(problem, state, fits)
    except DegenerateFitError:
        sound = [fit for fit in fits if _is_sound(problem, state, fit)]
        # Shared covariances are degenerate for all fits or for none.
        return _updated(problem, state, sound) if len(sound) < len(fits) else ([], None)


def _is_sound(problem: Problem, state: State, fit: _LocalFit) -> bool:
    """Whether no component of a fit is degenerate."""
    try:
        _update(problem, state, [fit])
    except DegenerateFitError:
        return False
    return True


def _update(problem: Problem, state: State, fits: list[_LocalFit]) -> Mixture:
    """The mixture of the components of all fits; raises ``DegenerateFitError``."""
    statistics = type(fits[0].statistics).joined([fit.statistics for fit in fits])
    mixture = problem.objective.update(
        of_statistics(statistics), state.mixture, problem.frame, problem.guard.resolution
    )
    _ = problem.densities(mixture)
    return mixture
