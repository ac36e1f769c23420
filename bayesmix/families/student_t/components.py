"""Student-t densities at a point, their moments, and the floor of their scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg.lapack import dgejsv
from scipy.special import digamma

from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR, variance_floor
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.families.gaussian.students import Students
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.memo import filled_at_once, once

if TYPE_CHECKING:
    pass


@filled_at_once
@dataclass(frozen=True)
class WeightedMoments:
    """Σ r (K,), the moments of rows weighted by r E[u], and what ν is learned from.

    ``tails`` are Σ r (E[log u] - E[u]) (K,) at a point, and Σ r log p(x | ν) (K, J) where ν is on a
    grid.
    """

    counts: Array
    weighted: Moments
    tails: Array

    @property
    def shared(self) -> bool:
        """Whether components have their scatter in common."""
        return self.weighted.shared

    def __add__(self, other: WeightedMoments) -> WeightedMoments:
        return WeightedMoments(
            self.counts + other.counts, self.weighted + other.weighted, self.tails + other.tails
        )

    def scaled(self, factor: float) -> WeightedMoments:
        """Those of rows repeated ``factor`` times."""
        return WeightedMoments(
            factor * self.counts, self.weighted.scaled(factor), factor * self.tails
        )

    def subset(self, keep: Integers) -> WeightedMoments:
        """Those of some components; a shared scatter stays whole."""
        return WeightedMoments(self.counts[keep], self.weighted.subset(keep), self.tails[keep])

    @staticmethod
    def joined(parts: Sequence[WeightedMoments]) -> WeightedMoments:
        """Those of all components of several."""
        return WeightedMoments(
            np.concatenate([part.counts for part in parts]),
            Moments.joined([part.weighted for part in parts]),
            np.concatenate([part.tails for part in parts]),
        )

    def merged(self, first: int, second: int) -> WeightedMoments:
        """With ``second`` added to ``first`` and left out."""
        counts, tails = self.counts.copy(), self.tails.copy()
        counts[first] += counts[second]
        tails[first] += tails[second]
        weighted, tails = self.weighted.merged(first, second), np.delete(tails, second, axis=0)
        return WeightedMoments(np.delete(counts, second), weighted, tails)

    def split(self, k: int, halves: WeightedMoments) -> WeightedMoments:
        """With the first half in the place of component k, and the other at the end."""
        counts = np.append(self.counts, halves.counts[1])
        tails = np.concatenate([self.tails, halves.tails[1:]])
        counts[k], tails[k] = halves.counts[0], halves.tails[0]
        return WeightedMoments(counts, self.weighted.split(k, halves.weighted), tails)

    def exchanged(self, keep: Integers, others: WeightedMoments) -> WeightedMoments:
        """Some components, and others in the place of the rest; a shared scatter stays whole."""
        return WeightedMoments(
            np.append(self.counts[keep], others.counts),
            self.weighted.exchanged(keep, others.weighted),
            np.concatenate([self.tails[keep], others.tails]),
        )

    def pack(self) -> Array:
        """One vector of all sums."""
        return np.concatenate([self.counts, self.tails.ravel(), self.weighted.pack()])

    def units(self) -> Array:
        """What entries of ``pack`` are multiplied by."""
        own = len(self.counts) + self.tails.size
        return np.concatenate([np.ones(own), self.weighted.units()])

    def unpack(self, vector: Array) -> WeightedMoments:
        """The sums that ``pack`` to ``vector``."""
        n_components = len(self.counts)
        counts, tails, rest = np.split(vector, [n_components, n_components + self.tails.size])
        tails = tails.reshape(self.tails.shape)
        return WeightedMoments(counts, self.weighted.unpack(rest), tails)


@filled_at_once
@dataclass(frozen=True)
class StudentComponents:
    """means (K, D), scale matrices in blocks, degrees of freedom (K,)."""

    structure: Structure
    means: Array
    blocks: Array
    degrees_of_freedom: Array

    @once
    def students(self) -> Students:
        """The densities, one mixing scale for all columns of a row."""
        algebra, n_features = self.structure.algebra, int(self.means.shape[1])
        return Students(algebra, self.means, self.blocks, self.degrees_of_freedom, n_features)

    @property
    def n_components(self) -> int:
        return len(self.means)

    @property
    def scales(self) -> Array:
        """Scale matrices (K, D, D)."""
        return self.structure.algebra.dense(self.blocks, *self.means.shape)

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D), NaN where there are none (ν up to 2)."""
        return self.students.covariances

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D), NaN where there is none."""
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))

    @property
    def precision_root(self) -> Array:
        """U with scale⁻¹ = U Uᵀ, in blocks."""
        return self.students.precision_root

    def expected_log_density(self, values: Array) -> Array:
        """log St(x | μ_k, Σ_k, ν_k) (n, K)."""
        return self.students.expected_log_density(values)

    def beyond(self, units: Array, exponent: int) -> tuple[Array, float]:
        """The same of far rows: see ``Students.beyond``."""
        return self.students.beyond(units, exponent)

    def statistics(self, values: Array, responsibilities: Array) -> WeightedMoments:
        """Moments of rows weighted by E[u], and what degrees of freedom are learned from."""
        squared = self.structure.algebra.squared(values, self.means, self.precision_root)
        return hidden_moments(
            self.structure, values, responsibilities, squared, self.degrees_of_freedom
        )

    @property
    def normals(self) -> Gaussians:
        """The normals of rows with hidden precision 1."""
        return Gaussians(self.structure, self.means, self.blocks)

    def subset(self, keep: Integers) -> StudentComponents:
        """Some components, in the order given."""
        return StudentComponents(
            self.structure,
            self.means[keep],
            self.structure.blocks.keep(self.blocks, keep),
            self.degrees_of_freedom[keep],
        )

    def released(self) -> StudentComponents:
        """Itself: nothing held it but a constraint."""
        return self

    def unframed(self, frame: Frame) -> StudentComponents:
        """From a frame into the data's coordinates."""
        lifted = self.students.unframed(frame)
        return replace(self, means=lifted.means, blocks=lifted.blocks)

    def plug_in(self) -> StudentComponents:
        """Itself: a point."""
        return self

    def predictive(self) -> Students:
        """The densities: nothing is integrated out."""
        return self.students

    def marginal(self, columns: Integers) -> Students:
        """The densities of some columns: Students again, with as many degrees of freedom."""
        return self.students.marginal(columns)

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Students:
        """The densities of ``columns`` where those ``given`` have these values (G,)."""
        return self.students.conditional(columns, given, values)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | x_given, k] (n, K, C) for rows of the given columns (n, G)."""
        return self.students.conditional_means(columns, given, values)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order (n, D)."""
        return self.students.draw(counts, generator)


def hidden_moments(
    structure: Structure, values: Array, responsibilities: Array, squared: Array, nu: Array
) -> WeightedMoments:
    """Moments of rows weighted by E[u], u ~ Gamma((ν + D) / 2, (ν + δ²) / 2), and of u itself."""
    half = 0.5 * (nu + values.shape[1])
    mixing = 2.0 * half / (nu + squared)
    logs = np.log(mixing) + digamma(half) - np.log(half)
    counts = responsibilities.sum(axis=0)
    tails = np.einsum("nk,nk->k", responsibilities, logs - mixing)
    return WeightedMoments(counts, moments(structure, values, responsibilities * mixing), tails)


# Standard deviations that are this share of a mean see nothing of its rounding: 2^-52 of it is
# 2^-16 of them, and moves a log density by 2^-33.
LEAST_OF_MEANS = 2.0**-36
# What LAPACK's dgejsv is to do: columns are of many sizes, no left vectors, right vectors.
COLUMNS_OF_MANY_SIZES = {"joba": 0, "jobu": 3, "jobv": 0}


def floors(structure: Structure, floor: Array, means: Array) -> Array:
    """The smallest variances (B, D) of blocks: none that the rounding of a mean would show in.

    One row that is all of its component would otherwise lie many scales from its mean.
    """
    own: Array = np.maximum(floor, (LEAST_OF_MEANS * means) ** 2)
    return own.max(axis=0, keepdims=True) if structure.shared else own


def at_least(blocks: Array, floor: Array) -> Array:
    """Blocks with no variance below the floor (B, D) along any direction in columns of unit floor.

    Under that constraint they are the most likely where ``blocks`` are without it.
    """
    if blocks.ndim == 2:
        return np.maximum(blocks, _of_axes(blocks, floor))
    raised = blocks.copy()
    for k in np.flatnonzero(_may_be_below(blocks, floor)):
        values, axes = variances_and_axes(blocks[k], floor[k])
        axes = axes * np.sqrt(np.maximum(1.0 - values, 0.0)) * np.sqrt(floor[k])[:, None]
        raised[k] += axes @ axes.T
    return raised


def _of_axes(blocks: Array, floor: Array) -> Array:
    """The floor of variances by column, or of those that columns share."""
    shared = blocks.shape[1] != floor.shape[1]
    return floor.max(axis=1, keepdims=True) if shared else floor


def _may_be_below(blocks: Array, floor: Array) -> Booleans:
    """Which of the matrices may have a variance below the floor, by a look of few digits."""
    unit = np.sqrt(floor)
    values = np.linalg.eigvalsh(blocks / (unit[:, :, None] * unit[:, None, :]))
    lost = values.shape[1] * np.finfo(np.float64).eps * values[:, -1]
    below: Booleans = values[:, 0] < AT_THE_FLOOR + 4.0 * lost
    return below


def variances_and_axes(block: Array, floor: Array) -> tuple[Array, Array]:
    """Variances along the axes of one matrix in columns of unit floor, each to its own digits.

    A matrix of columns a million million times apart has them by one-sided rotations of its root
    (Drmač & Veselić 2008); an eigenvalue routine loses the small ones.
    """
    unit = np.sqrt(np.maximum(np.diagonal(block), 0.0))
    unit = np.where(unit > 0.0, unit, 1.0)
    values, axes = np.linalg.eigh(block / np.multiply.outer(unit, unit))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * axes.T * (unit / np.sqrt(floor))
    singular, _, axes, scale, _, failed = dgejsv(root, **COLUMNS_OF_MANY_SIZES)
    assert not failed
    return (singular * (scale[0] / scale[1])) ** 2, axes


def floor_of_scales(frame: Frame, summary: Summary) -> Array:
    """The smallest variances (D,) of scales, in the frame."""
    return variance_floor(frame.directions(summary.scale), frame.directions(summary.gap))


def held_scales(mixture: Mixture[StudentComponents], floor: Array) -> list[Event]:
    """Components whose scale is at the floor."""
    components = mixture.components
    structure, n_components = components.structure, mixture.n_components
    lowest = floors(structure, floor, components.means)
    return [
        Event(
            "held",
            "{which} collapsed onto rows that agree in some direction, so its likelihood has "
            "no maximum. Its scale is held at the resolution of the data: use fewer "
            "components, or a simpler covariance",
            components=tuple(range(n_components)) if structure.shared else (int(k),),
        )
        for k in np.flatnonzero(_at_floor(components.blocks, lowest))
    ]


def _at_floor(blocks: Array, floor: Array) -> Booleans:
    """Which blocks have a variance at the floor."""
    if blocks.ndim == 2:
        low = blocks < AT_THE_FLOOR * _of_axes(blocks, floor)
        return np.asarray(low.any(axis=1))
    found = _may_be_below(blocks, floor)
    for k in np.flatnonzero(found):
        found[k] = variances_and_axes(blocks[k], floor[k])[0].min() < AT_THE_FLOOR
    return found
