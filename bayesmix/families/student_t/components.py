"""Student-t densities at a point, their moments, degrees of freedom, and floors of scales."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import digamma, gammaln, logsumexp, xlogy

from bayesmix.core.families import AtAPoint
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import NOT_NEGATIVE, POSITIVE, REAL, SHARE, parameter, within
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR, variance_floor
from bayesmix.families.gaussian.covariance.coordinates import (
    COVARIANCE_BLOCKS,
    deviations_of_blocks,
)
from bayesmix.families.gaussian.covariance.models import Algebra, Structure
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.families.gaussian.students import StudentDensities
from bayesmix.families.independent.linear import Sums
from bayesmix.families.joint_statistics import StatisticsOfParts
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.distributions import ColumnDistribution

# Range of estimates: below there is hardly a centre, above the density is normal.
FEWEST, MOST = 0.5, 500.0
# Initial degrees of freedom.
FIRST = 5.0
# Bisections of a factor of 1,000, to a relative 2^-50.
HALVINGS = 50


def slope(nu: Array) -> Array:
    """Return log(ν/2) - ψ(ν/2) + 1, which falls from infinity to 1."""
    half = 0.5 * nu
    return np.log(half) - digamma(half) + 1.0


def tails_of(nu: float) -> float:
    """Return the average E[log u] - E[u] for which ν is optimal."""
    return -float(slope(np.array(nu)))


def most_likely(tails: Array, counts: Array) -> Array:
    """Solve log(ν/2) - ψ(ν/2) + 1 + Σ r (E[log u] - E[u]) / Σ r = 0 for ν (K,), within limits."""
    average = np.full(len(counts), tails_of(FIRST))
    np.divide(tails, counts, out=average, where=counts > 0.0)
    low, high = np.full(len(counts), np.log(FEWEST)), np.full(len(counts), np.log(MOST))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        rising = slope(np.exp(middle)) + average > 0.0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return np.exp(0.5 * (low + high))


def point_freedom(asked: float | str | None, counts: Array, tails: Array) -> Array:
    """Return degrees of freedom (K,): fixed, or estimated jointly or by component."""
    if asked == "shared":
        both = most_likely(tails.sum(keepdims=True), counts.sum(keepdims=True))
        return np.repeat(both, len(counts))
    if asked is None or isinstance(asked, str):
        return most_likely(tails, counts)
    return np.full(len(counts), float(asked))


# Grid of about equal steps in log ν, from almost Cauchy to almost normal.
GRID = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 64.0, 128.0)


def log_normaliser(nu: Array, n_features: int) -> Array:
    """Return ν/2 log(ν/2) - log Γ(ν/2) + log Γ((ν + D)/2)."""
    half = 0.5 * nu
    return half * np.log(half) - gammaln(half) + gammaln(half + 0.5 * n_features)


@dataclass(frozen=True)
class FreedomFactor:
    """q(ν_k): probabilities (K, J) of values (J,)."""

    values: Array = field(metadata=within(POSITIVE))
    probabilities: Array = field(metadata=within(SHARE))

    def subset(self, keep: Integers) -> FreedomFactor:
        return FreedomFactor(self.values, self.probabilities[keep])

    @property
    def means(self) -> Array:
        return self.probabilities @ self.values

    def draw(self, n_draws: int, shared: bool, generator: np.random.Generator) -> Array:
        reached = np.cumsum(self.probabilities, axis=1)
        uniform = generator.random((n_draws, 1 if shared else len(reached)))[:, :, None]
        places = np.minimum((reached < uniform).sum(axis=2), len(self.values) - 1)
        return self.values[places]


@dataclass(frozen=True)
class FreedomPrior:
    """Uniform prior of ν on values (J,); ``asked`` is a number, "shared" or separate.

    Modes are those of a flat density, off the grid.
    """

    values: Array = field(metadata=within(POSITIVE))
    asked: float | str | None

    @property
    def shared(self) -> bool:
        """Whether all components share ν."""
        return self.asked == "shared"

    def first(self, n_components: int) -> FreedomFactor:
        n_values = len(self.values)
        return FreedomFactor(self.values, np.full((n_components, n_values), 1.0 / n_values))

    def posterior(self, scores: Array) -> FreedomFactor:
        if self.shared:
            scores = np.tile(scores.sum(axis=0), (len(scores), 1))
        shares = np.exp(scores - logsumexp(scores, axis=1, keepdims=True))
        return FreedomFactor(self.values, shares)

    def kl(self, q: FreedomFactor) -> float:
        shares = q.probabilities[:1] if self.shared else q.probabilities
        return float(xlogy(shares, shares * len(self.values)).sum())


@dataclass(frozen=True)
class WeightedMoments(StatisticsOfParts):
    """Counts Σ r (K,), moments weighted by r E[u], and statistics for ν.

    ``tails`` are Σ r (E[log u] - E[u]) (K,) at a point, and Σ r log p(x | ν) (K, J) on a grid of ν.
    """

    counts: Array = field(metadata=within(NOT_NEGATIVE))
    weighted: Moments
    tails: Array = field(metadata=within(REAL))

    @property
    def _parts(self) -> tuple[Sums, Moments]:
        return Sums(self.counts, self.tails), self.weighted

    def _of(self, parts: Iterable[Any]) -> WeightedMoments:
        sums, weighted = parts
        return WeightedMoments(sums.counts, weighted, sums.totals)


@dataclass(frozen=True)
class StudentComponents(AtAPoint, StudentDensities):
    """Means (K, D), scale matrices in blocks, degrees of freedom (K,)."""

    structure: Structure
    means: Array = field(metadata=parameter(REAL, units="deviations_of_blocks"))
    blocks: Array = field(metadata=parameter(COVARIANCE_BLOCKS, "scales", spread=True))
    degrees_of_freedom: Array = field(metadata=parameter(POSITIVE))

    deviations_of_blocks = property(deviations_of_blocks)

    @property
    def algebra(self) -> Algebra:
        return self.structure.algebra

    @property
    def joint_columns(self) -> int:
        return int(self.means.shape[1])

    @property
    def scales(self) -> Array:
        return self.structure.algebra.dense(self.blocks, *self.means.shape)

    @property
    def deviations(self) -> Array:
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def distribution(self) -> ColumnDistribution:
        scales = np.sqrt(self.scales[:, 0, 0])
        students = stats.t(self.degrees_of_freedom, self.means[:, 0], scales)
        return ColumnDistribution(students)

    def statistics(self, values: Array, responsibilities: Array) -> WeightedMoments:
        squared = self.structure.algebra.squared(values, self.means, self.precision_root)
        return hidden_moments(
            self.structure, values, responsibilities, squared, self.degrees_of_freedom
        )

    @property
    def normals(self) -> Gaussians:
        """Normal densities given mixing precision 1."""
        return Gaussians(self.structure, self.means, self.blocks)

    def subset(self, keep: Integers) -> StudentComponents:
        return StudentComponents(
            self.structure,
            self.means[keep],
            self.structure.blocks.keep(self.blocks, keep),
            self.degrees_of_freedom[keep],
        )

    def unframed(self, frame: Frame) -> StudentComponents:
        means, blocks = self._lifted(frame)
        return replace(self, means=means, blocks=blocks)


def hidden_moments(
    structure: Structure, values: Array, responsibilities: Array, squared: Array, nu: Array
) -> WeightedMoments:
    """Return moments weighted by E[u], u ~ Gamma((ν + D) / 2, (ν + δ²) / 2), and of u itself."""
    half = 0.5 * (nu + values.shape[1])
    mixing = 2.0 * half / (nu + squared)
    logs = np.log(mixing) + digamma(half) - np.log(half)
    counts = responsibilities.sum(axis=0)
    tails = np.einsum("nk,nk->k", responsibilities, logs - mixing)
    return WeightedMoments(counts, moments(structure, values, responsibilities * mixing), tails)


# Smallest standard deviation relative to a mean that rounding of the mean (2^-52) does not affect:
# it moves log densities by 2^-33.
LEAST_OF_MEANS = 2.0**-36


def floors(structure: Structure, floor: Array, means: Array) -> Array:
    """Return the smallest variances (B, D) of blocks, above the rounding of the means.

    Otherwise a component on a single observation could be many scales from it.
    """
    own: Array = np.maximum(floor, (LEAST_OF_MEANS * means) ** 2)
    return own.max(axis=0, keepdims=True) if structure.shared else own


def at_least(blocks: Array, floor: Array) -> Array:
    """Bound the variances of blocks below by a floor (B, D) in all directions.

    The result maximises the likelihood under this constraint.
    """
    if blocks.ndim == 2:
        return np.maximum(blocks, _of_axes(blocks, floor))
    values, axes = _along_axes(blocks, floor)
    raised = blocks.copy()
    for k in np.flatnonzero(values[:, 0] < 1.0):
        wider = axes[k] * np.sqrt(np.maximum(1.0 - values[k], 0.0)) * np.sqrt(floor[k])[:, None]
        raised[k] += wider @ wider.T
    return raised


def _of_axes(blocks: Array, floor: Array) -> Array:
    """Return the floor of variances by column, or of shared ones."""
    shared = blocks.shape[1] != floor.shape[1]
    return floor.max(axis=1, keepdims=True) if shared else floor


def _along_axes(blocks: Array, floor: Array) -> tuple[Array, Array]:
    """Return variances (B, D) along the principal axes, in columns of unit floor, and the axes."""
    unit = np.sqrt(floor)
    values, axes = np.linalg.eigh(blocks / (unit[:, :, None] * unit[:, None, :]))
    return values, axes


def floor_of_scales(frame: Frame, summary: Summary) -> Array:
    """Return the smallest variances (D,) of scales, in the frame."""
    return variance_floor(frame.directions(summary.scale), frame.directions(summary.gap))


def held_scales(mixture: Mixture[StudentComponents], floor: Array) -> list[Event]:
    """Return events for components with a scale at the floor."""
    components = mixture.components
    structure, n_components = components.structure, mixture.n_components
    lowest = floors(structure, floor, components.means)
    return [
        Event(
            "held",
            "{which} collapsed onto observations with zero variance in some direction, so the "
            "likelihood has no maximum. The scale was set to a small positive value: use fewer "
            "components or a simpler covariance",
            components=tuple(range(n_components)) if structure.shared else (int(k),),
        )
        for k in np.flatnonzero(_at_floor(components.blocks, lowest))
    ]


def _at_floor(blocks: Array, floor: Array) -> Booleans:
    """Return which blocks have a variance at the floor."""
    if blocks.ndim == 2:
        low = blocks < AT_THE_FLOOR * _of_axes(blocks, floor)
        return np.asarray(low.any(axis=1))
    values, _ = _along_axes(blocks, floor)
    rounding = values.shape[1] * np.finfo(np.float64).eps * values[:, -1]
    return np.asarray(values[:, 0] < AT_THE_FLOOR + 4.0 * rounding)
