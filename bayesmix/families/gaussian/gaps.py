"""Gaussian moments with missing values, by expectations or by counts per column.

EM with values missing at random (Little & Rubin 2019, sec. 11.2; Ghahramani & Jordan 1994).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from bayesmix.core.components import DensitiesAndStatistics
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.covariance.regression import regress, regressed
from bayesmix.families.gaussian.moments import Moments, Quadratics, averages, offsets_by_column
from bayesmix.numerics.arrays import (
    LOG_2PI,
    Array,
    Indices,
    Integers,
    align,
    has_gaps,
    without_gaps,
)
from bayesmix.numerics.gaps import Lacking, by_number_missing, patterns, seen

# Forms of the observed columns; the missing columns, their slopes and conditional covariance.
Pattern: TypeAlias = tuple[Quadratics, tuple[Any, Any, Any]]
# Largest number of patterns of missing values whose forms are cached.
MOST_PATTERNS = 256


def seen_by(forms: Quadratics, values: Array) -> DensitiesAndStatistics:
    """Return log ∫ exp(.) (n, K) over missing cells, and a function to moments."""
    if not has_gaps(values):
        return forms.expected_log_density(values), lambda shares: forms.statistics(values, shares)
    structure, means, root = forms.structure, forms.means, forms.root
    if forms.dense:
        return seen_densely(structure, forms.offset, means, root, values)
    offsets = forms.column_offset
    if offsets is None:
        offsets = offsets_by_column(structure, structure.algebra.log_det(root), means.shape)
        assert offsets is not None
    return seen_over_axes(structure, offsets, means, root, values)


def pattern_of(forms: Quadratics, columns: Integers) -> Pattern:
    """Return the forms of the observed columns, and the regression of the others."""
    key = columns.tobytes()
    cached: Pattern | None = forms.patterns.get(key)
    if cached is None:
        hidden = np.setdiff1d(np.arange(forms.means.shape[1]), columns)
        slopes, conditional = regress(forms.structure.algebra, forms.covariance, hidden, columns)
        cached = _marginal(forms, columns), (hidden, slopes, conditional)
        if len(forms.patterns) < MOST_PATTERNS:
            forms.patterns[key] = cached
    return cached


def _marginal(forms: Quadratics, columns: Integers) -> Quadratics:
    algebra, means = forms.structure.algebra, forms.means[:, columns]
    if forms.column_offset is not None:
        by_column = forms.column_offset[:, columns]
        root = algebra.select(forms.root, columns)
        return Quadratics(forms.structure, by_column.sum(axis=1), means, root, by_column)
    root = algebra.root(algebra.select(forms.covariance, columns))
    of_all = algebra.per_component(algebra.log_det(forms.root), *forms.means.shape)
    hidden = of_all - algebra.per_component(algebra.log_det(root), *means.shape)
    n_hidden = forms.means.shape[1] - len(columns)
    offset = forms.offset + 0.5 * (n_hidden * LOG_2PI - hidden)
    return Quadratics(forms.structure, offset, means, root)


def filled(
    forms: Quadratics, values: Array, labels: Integers, generator: np.random.Generator
) -> Array:
    """Draw missing cells from components ``labels``, given the observed cells."""
    out = values.copy()
    for columns, rows in patterns(values):
        if len(columns) < values.shape[1]:
            observed = values[np.ix_(rows, columns)]
            parameters = forms.structure, forms.means, forms.covariance
            out[rows] = drawn(*parameters, columns, observed, labels[rows], generator)
    return out


def completed(forms: Quadratics, columns: Integers, sums: Moments) -> Moments:
    """Return moments of all columns from those of the observed ones."""
    structure, means = forms.structure, forms.means
    n_features = means.shape[1]
    hidden, slopes, conditional = pattern_of(forms, columns)[1]
    slopes = np.asarray(slopes)
    away = (sums.means - means[:, columns])[:, :, None]
    whole = np.empty(means.shape)
    whole[:, columns] = sums.means
    whole[:, hidden] = means[:, hidden] + (slopes @ away)[:, :, 0]
    across = slopes @ sums.scatter
    counts = structure.blocks.counts(sums.counts, n_features)
    scatter = np.empty((len(sums.scatter), n_features, n_features))
    scatter[:, columns[:, None], columns] = sums.scatter
    scatter[:, hidden[:, None], columns] = across
    scatter[:, columns[:, None], hidden] = np.swapaxes(across, 1, 2)
    hidden_scatter = across @ np.swapaxes(slopes, 1, 2) + align(counts, conditional) * conditional
    scatter[:, hidden[:, None], hidden] = hidden_scatter
    return Moments(structure, sums.counts, whole, scatter)


def drawn(
    structure: Structure,
    means: Array,
    covariance: Array,
    columns: Integers,
    values: Array,
    labels: Integers,
    generator: np.random.Generator,
) -> Array:
    """Draw data (n, D) from N(means, covariance) of components given some columns."""
    n_components, n_features = means.shape
    hidden = np.setdiff1d(np.arange(n_features), columns)
    slopes, conditional = regress(structure.algebra, covariance, hidden, columns)
    factors = np.linalg.cholesky(structure.algebra.dense(conditional, n_components, len(hidden)))
    normal = generator.standard_normal((len(values), len(hidden)))
    out = np.empty((len(values), n_features))
    out[:, columns] = values
    for k in np.unique(labels):
        members = np.flatnonzero(labels == k)
        slope: Any = slopes
        if not np.isscalar(slope):
            slope = slope[k : k + 1] if len(slope) > 1 else slope
        expected = regressed(means[k : k + 1], slope, hidden, columns, values[members])[:, 0]
        out[np.ix_(members, hidden)] = expected + normal[members] @ factors[k].T
    return out


def seen_over_axes(
    structure: Structure, offsets: Array, means: Array, root: Array, values: Array
) -> DensitiesAndStatistics:
    """Return Σ_d offset_kd - ½ U_kd² (x_d - m_kd)² (n, K) over observed cells, and moments."""
    present, columns = seen(values).T, without_gaps(values).T
    roots = np.broadcast_to(root, means.shape)
    out: Array = offsets @ present
    for k, (mean, column_roots) in enumerate(zip(means, roots, strict=True)):
        away = (columns - mean[:, None]) * column_roots[:, None]
        away *= present
        out[k] -= 0.5 * np.einsum("dn,dn->n", away, away)
    return out.T, lambda shares: moments_over_axes(structure, columns, present, shares)


def moments_over_axes(
    structure: Structure, columns: Array, present: Array, responsibilities: Array
) -> Moments:
    """Return moments of data (D, n), 0 where missing, counted by column."""
    observed = (present @ responsibilities).T
    means = averages((columns @ responsibilities).T, observed)
    scatter = np.empty(means.shape)
    for k, mean in enumerate(means):
        away = columns - mean[:, None]
        away *= present
        away *= away
        np.dot(away, responsibilities[:, k], out=scatter[k])
    pooled = structure.blocks.pool(scatter)
    return Moments(structure, responsibilities.sum(axis=0), means, pooled, observed)


def seen_densely(
    structure: Structure, offset: Array, means: Array, root: Array, values: Array
) -> DensitiesAndStatistics:
    """Return log ∫ exp(offset_k - ½ |Uᵀ(x - m_k)|²) (n, K) over missing cells, and moments.

    With missing cells h, a = x - m (0 in h) and g = Λ a, the maximum is at a_h = -Λ_hh⁻¹ g_h with
    covariance Λ_hh⁻¹. Only matrices the size of the number of missing cells are inverted, once per
    pattern.
    """
    precisions = structure.algebra.gram(root)
    groups = [_Hidden.of(lacking, precisions) for lacking in by_number_missing(values)]
    present, columns = seen(values).T, without_gaps(values).T
    away = np.empty((len(means), *columns.shape))
    out = np.repeat(offset[:, None], len(values), axis=1)
    shared = len(root) == 1
    for k, deviation in enumerate(away):
        block = 0 if shared else k
        np.subtract(columns, means[k][:, None], out=deviation)
        deviation *= present
        pull = precisions[block] @ deviation
        for group in groups:
            deviation[group.places, group.rows] = -group.covered(block, pull)
            out[k, group.rows] += group.log_volumes[block, group.pattern]
        along = root[block].T @ deviation
        out[k] -= 0.5 * np.einsum("dn,dn->n", along, along)
    return out.T, lambda shares: _completed(structure, means, away, groups, shares)


@dataclass(frozen=True)
class _Hidden:
    """Observations with the same number of missing values, and their conditional moments."""

    rows: Indices  # (n,)
    columns: Indices  # (P, s) missing columns of each pattern
    pattern: Indices  # (n,)
    covariances: Array  # Λ_hh⁻¹ (B, P, s, s)
    log_volumes: Array  # ½ (s log 2π - log det Λ_hh) (B, P)

    @classmethod
    def of(cls, lacking: Lacking, precisions: Array) -> _Hidden:
        columns = lacking.columns
        hidden_precisions = precisions[:, columns[:, :, None], columns[:, None, :]]
        log_det = np.linalg.slogdet(hidden_precisions)[1]
        volumes = 0.5 * (columns.shape[1] * LOG_2PI - log_det)
        covariances: Array = np.linalg.inv(hidden_precisions).astype(np.float64, copy=False)
        return cls(lacking.rows, columns, lacking.pattern, covariances, volumes)

    @property
    def places(self) -> Indices:
        """Missing columns (s, n) of each observation."""
        return self.columns.T[:, self.pattern]

    def covered(self, block: int, pull: Array) -> Array:
        """Return Λ_hh⁻¹ g_h (s, n) for g (D, all observations)."""
        inverses = self.covariances[block][self.pattern]
        return np.einsum("nij,jn->in", inverses, pull[self.places, self.rows])

    def conditional_scatter(self, block: int, shares: Array, n_features: int) -> Array:
        """Return Σ_n r_n Λ_hh⁻¹ in the full matrix (D, D)."""
        weights = np.bincount(self.pattern, shares[self.rows], len(self.columns))
        out = np.zeros((n_features, n_features))
        places = self.columns[:, :, None], self.columns[:, None, :]
        np.add.at(out, places, weights[:, None, None] * self.covariances[block])
        return out


def _completed(
    structure: Structure,
    means: Array,
    away: Array,
    groups: Sequence[_Hidden],
    responsibilities: Array,
) -> Moments:
    """Return moments with expectations of missing cells and their conditional covariance.

    ``away`` (K, D, n) are differences from the means.
    """
    n_components, n_features = means.shape
    counts = responsibilities.sum(axis=0)
    totals = np.array(
        [deviation @ r for deviation, r in zip(away, responsibilities.T, strict=True)]
    )
    beyond = averages(totals, counts[:, None])
    scatter = np.empty((n_components, n_features, n_features))
    n_blocks = len(groups[0].covariances)
    for k, (deviation, r) in enumerate(zip(away, responsibilities.T, strict=True)):
        centred = deviation - beyond[k][:, None]
        np.dot(centred * r, centred.T, out=scatter[k])
        for group in groups:
            scatter[k] += group.conditional_scatter(k if n_blocks > 1 else 0, r, n_features)
    return Moments(structure, counts, means + beyond, structure.blocks.pool(scatter))


def available(structure: Structure, values: Array, responsibilities: Array) -> Moments:
    """Return first moments of data with missing values, without a mixture.

    Dense scatters are those with means for missing values, their variances rescaled to the observed
    ones.
    """
    n_features = values.shape[1]
    if not structure.blocks.dense:
        columns, present = without_gaps(values).T, seen(values).T
        return moments_over_axes(structure, columns, present, responsibilities)
    present = ~np.isnan(values)
    filled, counts = without_gaps(values), responsibilities.sum(axis=0)
    observed = responsibilities.T @ present
    means = averages(responsibilities.T @ filled, observed)
    scatter = np.empty((len(counts), n_features, n_features))
    for k, (mean, shares) in enumerate(zip(means, responsibilities.T, strict=True)):
        away = np.where(present, values - mean, 0.0)
        scatter[k] = (away * shares[:, None]).T @ away
        squares = np.diagonal(scatter[k])
        # A column without values has unit variance in the frame.
        wider = np.where(observed[k] > 0, squares / np.maximum(observed[k], 1e-300), 1.0)
        scatter[k] += np.diag((counts[k] - observed[k]) * wider)
    return Moments(structure, counts, means, structure.blocks.pool(scatter))
