"""Spurious components: narrow, on few observations, and not confirmed by these when held out.

A component on a few observations that happen to lie close to a line makes the likelihood as large
as one likes (McLachlan & Peel 2000, sec. 3.10). A true group as thin has either enough distinct
observations, or lies apart: each of its observations is then far denser under the others of the
group than under the other components.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Rows
from bayesmix.families.gaussian.collapse import GaussianGuard
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.degenerate import joint_of
from bayesmix.numerics.arrays import Array, Integers, normalise

if TYPE_CHECKING:
    from bayesmix.core.engines import Whole
    from bayesmix.families.gaussian.family import Gaussians

# Variance against the data's below which a component is narrow: a thirtieth of the data's width.
NARROW = 1e-3
# Observations with which a narrow component is no accident, where volumes differ: of overlapping
# mixtures three had one on 16 to 21; true thin groups of 30 are to be kept.
ENOUGH = 25


def spurious_components(guard: GaussianGuard, mixture: Mixture[Gaussians]) -> tuple[int, ...]:
    """Return the spurious components of a mixture at a point."""
    if guard.structure.shared or mixture.n_components == 1:
        return ()
    narrow = np.flatnonzero(_narrowest(guard, mixture.components) < NARROW)
    if not len(narrow):
        return ()
    needed = guard.n_distinct_needed
    if guard.structure.volumes_differ:
        needed = max(needed, ENOUGH)
    step = _MembersStep(mixture, narrow, guard.whole, needed)
    members = guard.source.reduce(step, mixture.n_components)
    n = guard.source.shape[0]
    expected = n * mixture.weights.mean()  # of overlapping components fewer than members
    return tuple(
        int(k)
        for k, values, joint in zip(narrow, members.values, members.joint, strict=True)
        if expected[k] < needed
        and not _is_confirmed(guard.structure, mixture, int(k), values, joint, n)
    )


def _narrowest(guard: GaussianGuard, components: Gaussians) -> Array:
    """Return the smallest variance (K,) of each component against the data's."""
    covariances, data = components.covariances, guard.covariance_of_data
    if not guard.structure.blocks.dense:
        variances, of_data = np.diagonal(covariances, axis1=1, axis2=2), np.diagonal(data)
        if guard.structure.isotropic:
            of_data = np.full(len(of_data), of_data.mean())
        return np.asarray((variances / of_data).min(axis=1))
    try:
        inverse = np.linalg.inv(np.linalg.cholesky(data))
    except np.linalg.LinAlgError:  # observations so far away that the rest has no digits
        return np.ones(len(covariances))
    return np.asarray(np.linalg.eigvalsh(inverse @ covariances @ inverse.T)[:, 0])


@dataclass(frozen=True)
class _Members:
    """Distinct members (m, D) of some components, at most ``most``, with log joints (m, K)."""

    values: tuple[Array, ...]
    joint: tuple[Array, ...]
    most: int

    def __add__(self, other: _Members) -> _Members:
        both = zip(self.values, other.values, self.joint, other.joint, strict=True)
        pairs = [_distinct(np.vstack([a, b]), np.vstack([c, d]), self.most) for a, b, c, d in both]
        values, joint = zip(*pairs, strict=True)
        return _Members(values, joint, self.most)


@dataclass(frozen=True)
class _MembersStep:
    """Observations of components ``chosen`` by largest responsibility."""

    mixture: Mixture[Gaussians]
    chosen: Integers
    whole: Whole | None
    most: int

    def __call__(self, rows: Rows) -> _Members:
        joint = np.array(joint_of(self.mixture, self.whole, rows))
        labels = joint.argmax(axis=1)
        if rows.weights is not None:
            labels = np.where(rows.weights == 0, -1, labels)
        given = rows.values if self.whole is None else rows.values[:, self.whole.columns]
        pairs = []
        for k in self.chosen:
            inside = labels == k
            values = self.mixture.frame.apply(np.asarray(given[inside], dtype=np.float64))
            pairs.append(_distinct(values, joint[inside], self.most))
        values_of, joints = zip(*pairs, strict=True)
        return _Members(values_of, joints, self.most)


def _distinct(values: Array, joint: Array, most: int) -> tuple[Array, Array]:
    """Return distinct observations and their log joints, at most ``most``."""
    values, places = np.unique(values, axis=0, return_index=True)
    return values[:most], joint[places[:most]]


def _is_confirmed(
    structure: Structure, mixture: Mixture, k: int, values: Array, joint: Array, n: int
) -> bool:
    """Whether what a component gains on its observations, each held out, exceeds chance.

    log C(n, m) nats name m of n observations: a gain below is that of a choice among so many.
    """
    complete = ~np.isnan(values).any(axis=1)
    values, joint = values[complete], joint[complete]
    m = len(values)
    if m < 3:
        return False
    own = mixture.components.expected_log_density(values)[:, k]
    held_out = joint[:, k] - own + _held_out_densities(structure, values)
    rest = normalise(np.delete(joint, k, axis=1))
    gain = float((np.logaddexp(rest, held_out) - rest).sum())
    return bool(gain > gammaln(n + 1.0) - gammaln(m + 1.0) - gammaln(n - m + 1.0))


def _held_out_densities(structure: Structure, values: Array) -> Array:
    """Return the log density (m,) of each observation under a normal of the others.

    It is minus infinity where the others have no extent in some direction.
    """
    m, D = values.shape
    densities = np.full(m, -np.inf)
    for i in range(m):
        others = np.delete(values, i, axis=0)
        away, centred = values[i] - others.mean(axis=0), others - others.mean(axis=0)
        covariance = centred.T @ centred / (m - 1)
        if not structure.blocks.dense:
            variances = np.diagonal(covariance)
            covariance = np.diag(np.full(D, variances.mean()) if structure.isotropic else variances)
        variances, axes = np.linalg.eigh(covariance)
        if variances[0] > np.finfo(float).eps * variances[-1]:
            squares = (away @ axes) ** 2 / variances
            densities[i] = -0.5 * (squares + np.log(2.0 * np.pi * variances)).sum()
    return densities
