"""Observed cells of samples in a common subspace, exactly.

In the frame x = V z + e, with z ~ N(m, S) and e ~ N(0, σ² (I - V Vᵀ)), observed cells o of a sample
have the covariance σ² (I + V_o M V_oᵀ), M = S / σ² - I. By A = V_oᵀ V_o and b = V_oᵀ x_o all else
takes matrices of the size of z (Woodbury): with h = (I + A M)⁻¹ (b - A m), z given x_o is normal
with mean m + S h / σ² and covariance S - S (I + A M)⁻¹ A S / σ².
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.families.gaussian.moments import Moments, Quadratics, averages
from bayesmix.numerics.arrays import LOG_2PI, Array, Integers

if TYPE_CHECKING:
    from bayesmix.core.components import DensitiesAndStatistics
    from bayesmix.core.rows import Frame, Rows


@dataclass(frozen=True)
class Cells:
    """A (n, q, q) and b (n, q) of observed cells along a basis, with rest variance σ²."""

    gram: Array
    along: Array
    rest: float

    @classmethod
    def of(cls, frame: Frame, values: Any) -> Cells:
        assert frame.rest is not None
        return cls(*frame.seen_along_basis(values), frame.rest)

    def under(self, mean: Array, covariance: Array) -> tuple[Array, Array, Array]:
        """Return h (n, q), (I + A M)⁻¹ (n, q, q), and the log density (n,) of a component.

        The density is that of the observed cells over their part beside the directions.
        """
        q = len(mean)
        excess = covariance / self.rest - np.eye(q)
        turned = np.eye(q) + self.gram @ excess
        inverse: Array = np.asarray(np.linalg.inv(turned), dtype=np.float64)
        pull = self.along - self.gram @ mean
        solved = (inverse @ pull[:, :, None])[:, :, 0]
        squares = (self.along * self.along).sum(axis=1) - self.along @ mean - pull @ mean
        squares -= ((solved @ excess) * pull).sum(axis=1)
        volume = q * (LOG_2PI + np.log(self.rest)) + np.linalg.slogdet(turned)[1]
        return solved, inverse, -0.5 * (volume + squares / self.rest)


def seen_along(forms: Quadratics, frame: Frame, values: Any) -> DensitiesAndStatistics:
    """Return log ∫ exp(.) (n, K) over missing cells, over the part beside the directions.

    The function returns moments of z with its conditional covariances.
    """
    cells = Cells.of(frame, values)
    covariances = _dense(forms)
    q = covariances.shape[-1]
    # Averages over q(θ) are no densities: their offsets differ from those of normals.
    of_normals = -0.5 * (q * LOG_2PI + np.linalg.slogdet(covariances)[1])
    joint = np.empty((len(cells.along), len(forms.means)))
    expected, inverses = [], []
    for k, (mean, covariance) in enumerate(zip(forms.means, covariances, strict=True)):
        solved, inverse, log_density = cells.under(mean, covariance)
        joint[:, k] = log_density + forms.offset[k] - of_normals[k]
        expected.append(mean + solved @ covariance / cells.rest)
        inverses.append(inverse)
    return joint, partial(_moments, forms, covariances, cells, expected, inverses)


def _moments(
    forms: Quadratics,
    covariances: Array,
    cells: Cells,
    expected: list[Array],
    inverses: list[Array],
    responsibilities: Array,
) -> Moments:
    counts = responsibilities.sum(axis=0)
    totals = np.array([z.T @ r for z, r in zip(expected, responsibilities.T, strict=True)])
    means = averages(totals, counts[:, None])
    scatter = np.empty(covariances.shape)
    for k, (z, r) in enumerate(zip(expected, responsibilities.T, strict=True)):
        away = z - means[k]
        known = np.einsum("n,nij,njk->ik", r, inverses[k], cells.gram, optimize=True)
        left = counts[k] * covariances[k] - covariances[k] @ known @ covariances[k] / cells.rest
        scatter[k] = (away * r[:, None]).T @ away + 0.5 * (left + left.T)
    structure = forms.structure
    blocks = structure.blocks.pool(structure.algebra.of_dense(scatter))
    return Moments(structure, counts, means, blocks)


def _dense(forms: Quadratics) -> Array:
    """Return the covariances (K, q, q) of all components."""
    return forms.structure.algebra.dense(forms.covariance, *forms.means.shape)


def filled_along(
    forms: Quadratics,
    frame: Frame,
    values: Any,
    labels: Integers,
    generator: np.random.Generator | None,
) -> Array:
    """Draw missing cells (n, D) in data units from components ``labels``, or expect them.

    A draw of all cells is corrected by what it lacks in the observed ones (Matheron's rule).
    """
    n, q = len(values), forms.means.shape[1]
    covariances = _dense(forms)
    z = forms.means[labels]
    drawn: Array | float = 0.0
    if generator is not None:
        roots = np.linalg.cholesky(covariances)
        z = z + np.einsum("nij,nj->ni", roots[labels], generator.standard_normal((n, q)))
        drawn = frame.drawn_rest(n, generator)
    whole = frame.undo(z) + drawn
    cells = Cells.of(frame, values - whole + frame.centre)
    assert frame.basis is not None
    out = np.where(np.isnan(values), whole, values)
    for k in np.unique(labels):
        members = labels == k
        those = Cells(cells.gram[members], cells.along[members], cells.rest)
        solved, *_ = those.under(np.zeros(q), covariances[k])
        excess = covariances[k] / cells.rest - np.eye(q)
        more = (solved @ excess @ frame.basis.T) * frame.scale
        out[members] += np.where(np.isnan(values[members]), more, 0.0)
    return out


@dataclass(frozen=True)
class FactorSums:
    """Sums of one pass of a factor analysis of observed cells, by column; additive."""

    counts: Array  # (D,)
    squares: Array  # (D,) Σ y²
    products: Array  # (D, q + 1) Σ y E[t̃], t̃ = (t, 1)
    seconds: Array  # (D, (q + 1)²) Σ E[t̃ t̃ᵀ]
    log_likelihood: float

    def __add__(self, other: FactorSums) -> FactorSums:
        return FactorSums(
            self.counts + other.counts,
            self.squares + other.squares,
            self.products + other.products,
            self.seconds + other.seconds,
            self.log_likelihood + other.log_likelihood,
        )


@dataclass(frozen=True)
class FactorPass:
    """E-step of y = W t + μ + noise of variances ψ for the observed cells of a chunk."""

    frame: Frame
    loadings: Array  # (D, q)
    means: Array
    variances: Array  # (D,)

    def __call__(self, rows: Rows) -> FactorSums:
        values = np.asarray(rows.values)
        weights, present = rows.weights_or_ones, (~np.isnan(values)).astype(np.float64)
        y = np.where(present > 0, rows.framed(self.frame) - self.means, 0.0)
        D, q = self.loadings.shape
        scaled = self.loadings / self.variances[:, None]
        outer = (self.loadings[:, :, None] * scaled[:, None, :]).reshape(D, q * q)
        precisions = np.eye(q) + (present @ outer).reshape(-1, q, q)
        covariances = np.linalg.inv(precisions)
        pull = y @ scaled
        t = (covariances @ pull[:, :, None])[:, :, 0]
        extended = np.column_stack([t, np.ones(len(t))])
        seconds = extended[:, :, None] * extended[:, None, :]
        seconds[:, :q, :q] += covariances
        log_likelihood = -0.5 * (
            present @ (LOG_2PI + np.log(self.variances))
            + np.linalg.slogdet(precisions)[1]
            + (y * y) @ (1.0 / self.variances)
            - (pull * t).sum(axis=1)
        )
        weighted = present * weights[:, None]
        return FactorSums(
            weighted.sum(axis=0),
            weights @ (y * y),
            y.T @ (extended * weights[:, None]),
            weighted.T @ seconds.reshape(len(t), -1),
            float(weights @ log_likelihood),
        )

    def updated(self, sums: FactorSums, floor: Array) -> FactorPass:
        """Return the M-step (Rubin & Thayer 1982), with noise of at least ``floor`` (D,)."""
        D, q = self.loadings.shape
        seconds = sums.seconds.reshape(D, q + 1, q + 1)
        solved = np.linalg.solve(seconds, sums.products[:, :, None])[:, :, 0]
        coefficients: Array = np.asarray(solved, dtype=np.float64)
        left = sums.squares - (coefficients * sums.products).sum(axis=1)
        variances = np.maximum(left / sums.counts, floor)
        means = self.means + coefficients[:, q]
        return FactorPass(self.frame, coefficients[:, :q], means, variances)
