"""The M-step of normal components with held or equal means and covariances.

Means given the covariances of the last pass, then covariances given these means (ECM). Held
coordinates h of a mean shift the free ones f by Σ_fh Σ_hh⁻¹ (h - x̄_h); a mean that components share
is weighted by their precisions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.restrictions import HeldValues, Restriction
from bayesmix.core.rows import NO_ROWS, Frame
from bayesmix.errors import UnsupportedError
from bayesmix.families.gaussian.moments import Moments
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.families.gaussian.family import Gaussian, Gaussians


def restricted(
    family: Gaussian,
    statistics: Moments,
    previous: Gaussians | None,
    resolution: Array | None,
    frame: Frame,
    restriction: Restriction,
) -> Gaussians:
    """Return the M-step under a restriction."""
    if frame.basis is not None:
        raise UnsupportedError(
            "hold and equal need columns without linear dependence: drop constant and dependent "
            "columns"
        )
    structure, K = family.structure, len(statistics.counts)
    of_means, of_covariances = restriction.named("means"), restriction.of("covariances")
    before = previous
    if before is None or before.n_components != K:
        before = family.maximum_likelihood(statistics, previous, resolution, frame)
    means = np.where(statistics.counts_of_means > NO_ROWS, statistics.means, before.means)
    held: Any = False
    blocks: Any = before.blocks
    if of_covariances is not None:
        values, cells = of_covariances.values, of_covariances.held.astype(np.float64)
        if structure.shared:
            values, cells = values[0], cells[0]
        blocks = structure.algebra.project(structure.blocks.from_covariances(values), frame)
        held = structure.blocks.from_covariances(cells) > 0.0
    given = before
    if of_covariances is not None:
        given = replace(before, blocks=np.where(held, blocks, before.blocks))
    for own in of_means:
        moved = _means(given, statistics, means, own, frame)
        means = moved if own.columns is None else np.where(own.columns, moved, means)
    about = statistics.about(means)
    if of_covariances is not None and of_covariances.grouped:
        about = _pooled(about, statistics.block_counts, of_covariances, frame)
    column_counts = statistics.column_counts
    sums = Moments(structure, statistics.counts, means, about, column_counts)
    fitted = family.maximum_likelihood(sums, previous, resolution, frame)
    if of_covariances is None:
        return replace(fitted, means=means)
    alike = fitted.blocks[of_covariances.leaders]  # equal in all digits
    return replace(fitted, means=means, blocks=np.where(held, blocks, alike))


def _pooled(scatter: Array, counts: Array, of_covariances: HeldValues, frame: Frame) -> Array:
    """Return scatters whose averages are those of all components of a group, or of equal cells."""
    if of_covariances.cells is not None:
        weights = np.broadcast_to(counts.reshape(len(counts), -1), scatter.shape)
        unit = frame.scale**2
        averages = scatter * unit / np.maximum(weights, NO_ROWS)
        return weights * _averages(of_covariances.cells, averages, weights) / unit
    groups = of_covariances.groups
    alike = (groups[:, None] == groups).astype(np.float64)
    shape = counts.shape + (1,) * (scatter.ndim - counts.ndim)
    total = np.maximum(alike @ counts, np.finfo(np.float64).tiny).reshape(shape)
    pooled: Array = counts.reshape(shape) * np.tensordot(alike, scatter, 1) / total
    return pooled


def _averages(cells: Integers, values: Array, weights: Array) -> Array:
    """Return weighted averages of the values (K, D) of equal cells, in data units."""
    place = np.unique(cells, return_inverse=True)[1].ravel()
    total = np.bincount(place, weights.ravel())
    summed = np.bincount(place, (weights * values).ravel())
    averages: Array = (summed / np.maximum(total, np.finfo(np.float64).tiny))[place]
    return averages.reshape(values.shape)


def _means(
    given: Gaussians,
    statistics: Moments,
    free: Array,
    of_means: HeldValues,
    frame: Frame,
) -> Array:
    """Return the means (K, D), in the frame, that maximise the likelihood given covariances."""
    structure, (K, D) = given.structure, free.shape
    held, targets = of_means.held, frame.apply(of_means.values)
    counts = np.maximum(statistics.counts_of_means, NO_ROWS)
    means: Array = np.where(held, targets, free)
    if not structure.blocks.dense:
        if not of_means.grouped:
            return means
        precise = counts / structure.algebra.spread(given.blocks, K, D)
        if of_means.cells is not None:  # columns have scales of their own
            values = frame.centre + frame.scale * free
            equal = _averages(of_means.cells, values, precise / frame.scale**2)
            means = np.where(held, targets, frame.apply(equal))
        else:
            alike = (of_means.groups[:, None] == of_means.groups).astype(np.float64)
            means = np.where(held, targets, (alike @ (precise * free)) / (alike @ precise))
        return means
    partly = held.any(axis=1) & ~held.all(axis=1)
    if not of_means.grouped and not partly.any():
        return means
    precisions = np.broadcast_to(structure.algebra.gram(given.precision_root), (K, D, D))
    for members, open_ in of_means.members:
        if not open_.any() or (len(members) == 1 and open_.all()):
            continue
        weighted = counts[members, :1, None] * precisions[members]
        along = np.einsum("kij,kj->i", weighted, free[members])
        total, target = weighted.sum(axis=0), targets[members[0]]
        known = total[np.ix_(open_, ~open_)] @ target[~open_]
        solved = np.linalg.solve(total[np.ix_(open_, open_)], along[open_] - known)
        means[np.ix_(members, np.flatnonzero(open_))] = solved
    return means
