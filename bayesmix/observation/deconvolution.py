"""What was measured tells of Gaussian true values, through derivatives of its log density.

The mixture is that of the true values t, and x_n = t_n + e_n, e_n ~ N(0, S_n). If g and H are the
gradient and the Hessian of the log density of what was measured in the mean m_k, the true value has
mean m_k + Σ_k g and covariance Σ_k + Σ_k H Σ_k in component k, so Σ r g and Σ r (g gᵀ + H) are the
statistics. Exact values have g = T⁻¹(x - m_k) and H = -T⁻¹, T = Σ_k + S_n (Bovy, Hogg & Roweis
2011); missing ones add nothing, and intervals moments of truncated normals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, Self, cast

import numpy as np

from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Frame, Rows
from bayesmix.em.expectation import LINEAR
from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.covariance.models import STRUCTURES
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.families.gaussian.moments import Moments, averages
from bayesmix.numerics.arrays import LOG_2PI, Array, Booleans, Integers, align, without_gaps
from bayesmix.numerics.memo import once
from bayesmix.observation.instrument import Hidden, Instrument, instrument_of, separable
from bayesmix.observation.rectangles import (
    drawn_on_interval,
    drawn_on_rectangle,
    on_interval,
    on_rectangle,
)
from bayesmix.observation.true_values import MeasuredView

# Numbers of a block, 4 K D or K D² for each sample, that fit into a cache of a few megabytes.
BLOCK_VALUES = 2**19
# Samples with equal errors above which their matrices are inverted once.
TOGETHER = 16


@dataclass(frozen=True)
class Block:
    """Samples in a frame: values (D, n), which are exact, and errors (D, n) or (D, D, n).

    The last axis of ``exact`` is 1 if all are.
    """

    values: Array  # 0 where not exact
    exact: Booleans
    errors: Array
    hidden: Hidden


@dataclass(frozen=True)
class Derivatives:
    """Log densities (K, n) of a block, gradients (D, K, n) and Hessians in the means.

    D columns are B independent blocks of A, A or B being 1, and Hessians (A, A, B, K, n).
    """

    log_density: Array
    gradient: Array
    hessian: Array
    # Draws of hidden values (m,) from labels of components and uniform numbers (m,).
    drawn: Callable[[Integers, Array], Array] | None = None

    def sums(self, shares: Array) -> tuple[Array, Array]:
        """Return Σ r g (K, D) and Σ r (g gᵀ + H) (K, D, D) of shares (K, n)."""
        A, _, B, K, _ = self.hessian.shape
        shares = np.ascontiguousarray(shares)
        first = (self.gradient.swapaxes(0, 1) @ shares[:, :, None])[..., 0]
        of_blocks = self.gradient.reshape(A, B, K, -1).transpose(2, 1, 0, 3)
        second = (shares[:, None, None] * of_blocks) @ of_blocks.swapaxes(2, 3)
        hessians = self.hessian.reshape(-1, K, shares.shape[1]).swapaxes(0, 1)
        second += np.moveaxis((hessians @ shares[:, :, None]).reshape(K, A, A, B), 3, 1)
        return first, np.einsum("kxab,xy->kaxby", second, np.eye(B)).reshape(K, A * B, A * B)


def blocks_of(mixture: Mixture[Any], rows: Rows, sums: bool) -> Iterator[tuple[Any, Rows, bool]]:
    """Yield indices and samples of blocks of a chunk, and whether they are alike.

    For sums, many exact samples of equal errors and bounds are together; these and sequences are
    not divided.
    """
    instrument, (n, D) = instrument_of(rows), rows.values.shape
    apart, whole = instrument.apart(mixture.components.structure), rows.side.begins is not None
    if not apart:  # extrapolation may leave negative variances, of which errors make positive sums
        _refuse_singular(np.linalg.eigvalsh(mixture.components.covariances))
    kinds, key = len(instrument.errors), np.array(instrument.groups)
    approximate = instrument.approximate(apart)
    unlike = np.isnan(np.asarray(rows.values)) | (instrument.hidden & ~approximate)
    if approximate.any():
        steps = np.where(approximate, instrument.steps, 0.0)
        unlike |= steps != steps.max(axis=0)
    key[np.flatnonzero(unlike) // D] = kinds
    few = np.count_nonzero(key < kinds) < TOGETHER * kinds
    if not sums or few or len(instrument.least) > 1 or (whole and key.any()):
        key[:] = kinds
    order = np.argsort(key, kind="stable") if key.any() else np.arange(n)
    most = BLOCK_VALUES // (mixture.n_components * D * (4 if apart else D))
    for group in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        alike = bool(key[group[0]] < kinds)
        size = n if sums and (alike or whole) else max(TOGETHER, most)
        for first in range(0, len(group), size):
            place = slice(first, first + size)  # of all samples, needs no copy
            indices = place if len(group) == n else group[place]
            yield indices, rows if size >= n == len(group) else rows.some(indices), alike


def derivatives(components: Gaussians, block: Block) -> Derivatives:
    """Return the derivatives of a block."""
    means, C, errors = components.means.T[..., None], components.covariances, block.errors
    D, K, _ = means.shape
    if errors.ndim == 2 and separable(components.structure, D):
        variances = np.diagonal(C, axis1=1, axis2=2).T
        swept = np.add(variances[..., None], errors[:, None], order="C")[None, None]
    else:
        S = errors if errors.ndim == 3 else errors * np.eye(D)[:, :, None]
        swept = np.add(C.transpose(1, 2, 0)[..., None], S[:, :, None], order="C")[:, :, None]
    A, _, B, _, n = swept.shape
    exact = block.exact.reshape(A, B, 1, -1)
    complete = bool(exact.all())
    away = np.subtract(means, block.values[:, None], order="C").reshape(A, B, K, -1)
    away = away if complete else away * exact
    pivots = _sweep(swept, exact)
    moved = np.einsum("abxkn,bxkn->axkn", swept, away)
    gradient = moved if complete else moved * exact
    hessian = swept if complete else swept * (exact[:, None] & exact)
    log_density = np.einsum("axkn,axkn->kn", gradient, away) - np.log(pivots).sum(axis=(0, 1))
    log_density = 0.5 * (log_density - exact.sum(axis=(0, 1)) * LOG_2PI)
    drawn = None
    if len(block.hidden.columns):
        drawn, of_hidden = _add_hidden(block, means[..., 0], swept, moved, gradient, hessian)
        log_density += [np.bincount(block.hidden.samples, part, n) for part in of_hidden]
    return Derivatives(log_density, gradient.reshape(D, K, -1), hessian, drawn)


def _add_hidden(
    block: Block, means: Array, swept: Array, moved: Array, gradient: Array, hessian: Array
) -> tuple[Callable[[Integers, Array], Array], Array]:
    """Add what hidden values tell given the exact ones; return draws and their log densities."""
    columns, samples, lower, upper, log_steps = block.hidden
    B = swept.shape[2]
    a, b = np.divmod(columns, B)
    order = np.argsort(samples * B + b, kind="stable")
    same = np.flatnonzero(np.diff((samples * B + b)[order]) == 0)
    i, j = order[same], order[same + 1]
    alone = np.delete(np.arange(len(order)), np.concatenate([i, j]))
    centres = means[columns].T - moved[a, b, :, samples].T
    variances = swept[a, a, b, :, samples].T
    _refuse_singular(variances)
    deviations = np.sqrt(variances)
    low, high = ((bound - centres) / deviations for bound in (lower, upper))
    correlation = swept[a[i], a[j], b[i], :, samples[i]].T / (deviations[:, i] * deviations[:, j])
    _refuse_singular(1.0 - correlation * correlation)
    rectangles = np.array([low[:, i], low[:, j], high[:, i], high[:, j], correlation])

    def drawn(labels: Integers, uniform: Array) -> Array:
        place, pairs = (labels, range(len(labels))), np.array([i, j])
        draws = drawn_on_interval(low[place], high[place], uniform)
        both = rectangles[:, labels[i], range(len(i))]
        draws[pairs] = drawn_on_rectangle(both, uniform[pairs])
        return centres[place] + deviations[place] * draws

    # w = e - T_oo⁻¹ T_oh is the part of T⁻¹ of a hidden value given the others.
    exact = block.exact.reshape(len(swept), B, 1, -1)
    w = -swept[a, :, b, :, samples] * exact[:, b, :, samples]
    w[range(len(a)), a] = 1.0
    w /= deviations.T[:, None]
    there = on_interval(low[:, alone], high[:, alone])
    logs = np.zeros(centres.shape) - log_steps
    logs[:, alone] += there.log_probability
    scores, information = [(alone, there.scores)], [(alone, alone, there.information)]
    if len(i):
        both = on_rectangle(rectangles)
        logs[:, i] += both.log_probability
        scores += zip((i, j), both.scores, strict=True)
        entries = both.information[[0, 1, 1, 2]]
        information += zip((i, i, j, j), (i, j, i, j), entries, strict=True)
    for u, score in scores:
        gradient[:, b[u], :, samples[u]] += w[u] * score.T[:, None]
    for u, v, entry in information:
        product = w[u][:, :, None] * w[v][:, None] * entry.T[:, None, None]
        hessian[:, :, b[u], :, samples[u]] -= product
    return drawn, logs


def _sweep(T: Array, exact: Booleans) -> Array:
    """Sweep matrices (A, A, B, K, n) by exact columns (A, B, 1, n); return the pivots.

    With T_oo of exact columns and T_oh, T_hh, they become -T_oo⁻¹, T_oo⁻¹ T_oh and the covariance
    T_hh - T_ho T_oo⁻¹ T_oh of the others given these (Goodnight 1979).
    """
    pivots, column, room = np.empty((3, *T.shape[1:]))
    for j, swept in enumerate(exact):
        places = True if swept.all() else swept
        pivots[j] = 1.0
        np.copyto(pivots[j], T[j, j], where=places)
        _refuse_singular(pivots[j])
        inverse = swept / pivots[j]
        column[:j], column[j:] = T[j, :j], T[j:, j]
        for a in range(len(T)):
            if a != j:
                factor = column[a] * inverse
                T[a, : a + 1] -= np.multiply(column[: a + 1], factor, out=room[: a + 1])
                np.copyto(T[max(a, j), min(a, j)], factor, where=places)
        np.negative(inverse, out=T[j, j], where=places)
    for a in range(len(T)):
        T[:a, a] = T[a, :a]
    return pivots


def _refuse_singular(pivots: Array) -> None:
    if pivots.size and not pivots.min() > 0.0:
        raise DegenerateFitError(
            "a covariance of true values and errors is singular: use prior='auto' or fewer "
            "components"
        )


def errors_in(frame: Frame, instrument: Instrument, approximate: Booleans) -> Array:
    """Return errors (D, n) or (D, D, n), with Sheppard's correction of rounded values."""
    errors = instrument.framed(frame)
    if approximate.any():
        more = np.where(approximate, instrument.steps * frame.inverse_scale, 0.0).T ** 2 / 12.0
        errors += more if errors.ndim == 2 else more * np.eye(len(more))[:, :, None]
    return errors


@dataclass(frozen=True)
class NormalView(MeasuredView):
    """What a block of samples tells of their true values under Gaussian components."""

    alike: bool = False  # whether errors and bounds are equal, and values exact

    @property
    def components(self) -> Gaussians:
        return cast("Gaussians", self.mixture.components)

    @once
    def approximate(self) -> Booleans:
        """Which values (n, D) are rounded and treated as values with an error."""
        instrument = instrument_of(self.rows)
        return instrument.approximate(instrument.apart(self.components.structure))

    @property
    def centred(self) -> Rows:
        """The samples with such values in the middles of their intervals."""
        if not self.approximate.any():
            return self.rows
        middle = instrument_of(self.rows).middle
        return replace(self.rows, values=np.where(self.approximate, middle, self.rows.values))

    @once
    def block(self) -> Block:
        frame, instrument = self.mixture.frame, instrument_of(self.rows)
        hidden = instrument.hidden & ~self.approximate
        errors = errors_in(frame, instrument, self.approximate)
        values = frame.apply(np.where(hidden, np.nan, self.centred.values)).T
        exact = ~np.isnan(values)
        exact = exact[:, :1] if exact.all() else exact
        return Block(without_gaps(values), exact, errors, instrument.hidden_in(frame, hidden))

    @once
    def part(self) -> Derivatives:
        return derivatives(self.components, self.block)

    @once
    def offset(self) -> Array:
        """Log factors (K,) of components for the resolution of the data."""
        components = self.components
        if components.resolution is None:
            return np.zeros(len(components.means))
        return components.linear.offset - components.released().linear.offset

    @once
    def joint_of_any(self) -> Array:
        joint = np.array(self.part.log_density.T, order="C")
        joint += self.mixture.finite_log_weights + self.offset
        return joint

    def sums(self) -> ChunkSums:
        return (self._sums_of_alike() if self.alike else None) or MeasuredView.sums(self)

    def statistics(self, parts: Sequence[tuple[Self, Array]]) -> Moments:
        return self._moments([view.totals(shares) for view, shares in parts])

    def totals(self, shares: Array) -> tuple[Array, ...]:
        """Return Σ r (K,), Σ r g (K, D) and Σ r (g gᵀ + H) (K, D, D) of shares (n, K)."""
        return shares.sum(axis=0), *self.part.sums(shares.T)

    def _moments(self, totals: Sequence[tuple[Array, ...]]) -> Moments:
        """Return moments of true values from totals, the first of which are of recorded samples."""
        components, structure = self.components, self.components.structure
        counts, gradient, curvature = (reduce(add, parts) for parts in zip(*totals, strict=True))
        C = components.covariances
        moved = (C @ gradient[:, :, None])[..., 0]
        steps = averages(moved, counts[:, None])
        scatter = counts[:, None, None] * C + C @ curvature @ C
        scatter -= moved[:, :, None] * steps[:, None]
        # Rounding would make covariances asymmetric, more so in each pass.
        scatter = 0.5 * (scatter + scatter.swapaxes(1, 2))
        blocks = structure.blocks.pool(structure.algebra.of_dense(scatter))
        if components.resolution is not None:  # M-steps add it for all, but only values have one
            lost = align(counts - totals[0][0], components.resolution)
            blocks = blocks - structure.blocks.pool(lost * components.resolution)
        return Moments(structure, counts, components.means + steps, blocks)

    def _sums_of_alike(self) -> ChunkSums | None:
        """Return the sums at the cost of a plain pass, or None if rounding may be large.

        What was measured has covariances T = Σ_k + S, and Σ r g and Σ r (g gᵀ + H) follow from its
        moments, as g = T⁻¹(x - m_k).
        """
        components, instrument = self.components, instrument_of(self.rows)
        means, C = components.means, components.covariances
        errors = errors_in(self.mixture.frame, instrument[:1], self.approximate[:1])[..., 0]
        structure = STRUCTURES["diag" if instrument.apart(components.structure) else "full"]
        algebra = structure.algebra
        blocks = algebra.of_dense(C + (errors if instrument.full else np.diag(errors)))
        measured = Gaussians(structure, means, blocks)
        linear = replace(measured.linear, offset=measured.linear.offset + self.offset)
        Gaussians.linear.given(measured, linear)
        seen = replace(self.mixture, components=measured)
        sums = LINEAR.sums(seen, self.centred).finished()
        if not LINEAR.keeps_digits(seen, sums):
            return None
        counts, moments = sums.counts, cast("Moments", sums.statistics)
        P = algebra.dense(algebra.gram(measured.precision_root), *means.shape)
        gradient = counts[:, None] * (P @ (moments.means - means)[:, :, None])[..., 0]
        scatter = algebra.dense(moments.about(means), *means.shape)
        own = counts, gradient, P @ scatter @ P - counts[:, None, None] * P
        others = [view.totals(shares) for view, shares in self.parts(counts[None])[1:]]
        log_normaliser = sums.log_normaliser
        if self.recorded is not None:
            log_normaliser -= self.rows.weights_or_ones.sum() * self.recorded[2][0]
        statistics = self._moments([own, *others])
        return ChunkSums(log_normaliser, sums.magnitude, statistics, sums.allocation)

    def posterior(self, part: Derivatives) -> tuple[Array, Array]:
        """Return means (D, K, n) and covariances (D, D, K, n) of true values in components."""
        C, (D, K, n), B = self.components.covariances, part.gradient.shape, part.hessian.shape[2]
        hessian = np.einsum("abxkn,xy->axbykn", part.hessian, np.eye(B)).reshape(D, D, K, n)
        means = self.components.means.T[..., None] + np.einsum("kab,bkn->akn", C, part.gradient)
        change = np.einsum("kda,keb,abkn->dekn", C, C, hessian, optimize=True)
        return means, C.transpose(1, 2, 0)[..., None] + change

    def moments(self, shares: Array) -> tuple[Array, Array]:
        """Return means and mean squares (n, D) of true values in the frame."""
        means, covariances = self.posterior(self.part)
        second = means * means + np.einsum("ddkn->dkn", covariances)
        return tuple(np.einsum("nk,dkn->nd", shares, part) for part in (means, second))

    def drawn(self, labels: Integers, generator: np.random.Generator) -> Array:
        """Draw hidden values first, then true values given all values."""
        block, part, (n, D) = self.block, self.part, self.rows.values.shape
        if part.drawn is not None:
            columns, samples = block.hidden[:2]
            values, exact = block.values.copy(), block.exact.copy()
            uniform = generator.random(len(columns))
            values[columns, samples] = part.drawn(labels[samples], uniform)
            exact[columns, samples] = True
            nothing: Any = [part[:0] for part in block.hidden]
            part = derivatives(
                self.components, Block(values, exact, block.errors, Hidden(*nothing))
            )
        means, covariances = self.posterior(part)
        chosen = np.s_[..., labels, np.arange(n)]
        away = drawn_errors(covariances[chosen], generator.standard_normal((n, D)))
        return self.mixture.frame.undo(means[chosen].T + away)


def drawn_errors(errors: Array, normal: Array) -> Array:
    """Return errors (n, D) of variances (D, n) or covariances (D, D, n) from normal numbers."""
    if errors.ndim == 2:
        return normal * np.sqrt(errors.T)
    values, vectors = np.linalg.eigh(np.moveaxis(errors, -1, 0))
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return (roots @ normal[:, :, None])[:, :, 0]
