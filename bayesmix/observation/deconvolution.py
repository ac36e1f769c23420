"""What was measured tells of Gaussian true values, through derivatives of its log density.

The mixture is that of the true values t, and x_n = t_n + e_n, e_n ~ N(0, S_n). If g and H are the
gradient and the Hessian of the log density of what was measured in the mean m_k, the true value has
mean m_k + Σ_k g and covariance Σ_k + Σ_k H Σ_k in component k, so Σ r g and Σ r (g gᵀ + H) are the
statistics. Exact values have g = T⁻¹(x - m_k) and H = -T⁻¹, T = Σ_k + S_n (Bovy, Hogg & Roweis
2011); missing ones add nothing, and intervals moments of truncated normals. Samples that were not
recorded are completed by their expected number and moments (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple, cast

import numpy as np

from bayesmix.core.components import Components, Densities
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import CENTRED, LINEAR, block_sums
from bayesmix.errors import DegenerateFitError
from bayesmix.families.gaussian.covariance.models import STRUCTURES
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.numerics.arrays import (
    LOG_2PI,
    Array,
    Booleans,
    Indices,
    Integers,
    has_gaps,
    without_gaps,
)
from bayesmix.observation.instrument import Instrument, instrument_of, separable
from bayesmix.observation.rectangles import drawn_on_rectangle, on_interval, on_rectangle, quantile

# Numbers of a block, K D or K D² for each sample, that fit into a cache of a few megabytes.
BLOCK_VALUES = 2**19
# Variances below 1e38 in the frame have a finite product of so many.
COLUMNS_AT_ONCE = 8
# Samples with equal errors above which their matrices are inverted once.
TOGETHER = 16


class Hidden(NamedTuple):
    """Values of a block that are known to an interval: places, bounds and log steps (m,)."""

    columns: Indices
    samples: Indices
    lower: Array
    upper: Array
    log_steps: Array  # 0 where the interval contributes a probability


@dataclass(frozen=True)
class Block:
    """Samples in a frame: values (D, n), which are exact, and errors (D, n) or (D, D, n).

    The last axis of ``exact`` is 1 if all are, and that of ``errors`` if they are equal besides.
    """

    values: Array  # 0 where not exact
    exact: Booleans
    errors: Array
    hidden: Hidden


@dataclass(frozen=True)
class TruncatedNormals:
    """Hidden values given the exact ones of a sample: normals (K, m) and their bounds.

    Dependent ones of a sample are ``pairs`` (2, p), with their correlations (K, p).
    """

    centres: Array
    deviations: Array
    low: Array
    high: Array
    pairs: Indices
    correlation: Array

    @property
    def rectangles(self) -> Array:
        """Bounds and correlations (5, K, p) of the pairs."""
        ends = [bound[:, place] for bound in (self.low, self.high) for place in self.pairs]
        return np.array([*ends, self.correlation])

    def drawn(self, uniform: Array) -> Array:
        """Return draws of the hidden values (K, m)."""
        draws = quantile(self.low, self.high, np.broadcast_to(uniform, self.low.shape))
        if self.pairs.size:
            both = drawn_on_rectangle(self.rectangles, uniform[self.pairs])
            draws[:, self.pairs] = both.swapaxes(0, 1)
        return self.centres + self.deviations * draws


@dataclass(frozen=True)
class Derivatives:
    """Log densities (K, n) of a block, gradients (D, K, n) and Hessians (D, D, K, n) in the means.

    Hessians of independent columns are their diagonals (D, K, n). The last axis is 1 if all are
    equal.
    """

    log_density: Array
    gradient: Array
    hessian: Array
    truncated: TruncatedNormals | None = None

    def sums(self, shares: Array) -> tuple[Array, Array]:
        """Return Σ r g (K, D) and Σ r (g gᵀ + H) (K, D, D) of shares (K, n)."""
        gradient, weights = self.gradient.swapaxes(0, 1), shares[:, :, None]
        first = (gradient @ weights)[..., 0]
        if self.hessian.ndim == 3:
            both = (self.gradient**2 + self.hessian).swapaxes(0, 1)
            return first, both @ weights * np.eye(len(self.gradient))
        total = shares if self.hessian.shape[-1] > 1 else shares.sum(axis=1, keepdims=True)
        second = np.einsum("abkn,kn->kab", self.hessian, total)
        return first, second + (shares[:, None] * gradient) @ gradient.swapaxes(1, 2)

    def moments(self, components: Gaussians) -> tuple[Array, Array]:
        """Return means and variances (D, K, n) of true values."""
        C = components.covariances
        means = components.means.T[..., None] + np.einsum("kab,bkn->akn", C, self.gradient)
        if self.hessian.ndim == 3:
            change = np.einsum("kda,akn->dkn", C * C, self.hessian)
        else:
            change = np.einsum("kda,kdb,abkn->dkn", C, C, self.hessian, optimize=True)
        return means, np.diagonal(C, axis1=1, axis2=2).T[..., None] + change


def _apart(mixture: Mixture[Densities], instrument: Instrument) -> bool:
    """Whether columns are independent given the component, after errors."""
    structure = cast("Gaussians", mixture.components).structure
    return not instrument.full and separable(structure, len(mixture.frame.centre))


def blocks_of(mixture: Mixture[Densities], rows: Rows) -> Iterator[tuple[Any, Rows]]:
    """Yield blocks of a chunk with their indices; many samples of equal errors are together."""
    instrument, (n, D) = instrument_of(rows), rows.values.shape
    apart, numbers = _apart(mixture, instrument), BLOCK_VALUES // mixture.n_components
    partial = np.zeros(n, dtype=bool)
    partial[np.nonzero(np.isnan(np.asarray(rows.values)) | instrument.cells(apart))[0]] = True
    kinds = len(instrument.errors)
    together = np.count_nonzero(~partial) >= TOGETHER * kinds
    key = np.where(partial, kinds, instrument.groups if together else 0)
    order = np.argsort(key, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(key[order])) + 1):
        equal = together and not partial[group[:1]].any()
        size = max(TOGETHER, numbers // D ** (1 if apart or equal else 2))
        for first in range(0, len(group), size):
            place = slice(first, first + size)  # of all samples, needs no copy
            indices = place if len(group) == n else group[place]
            yield indices, rows.some(indices)


def block_of(mixture: Mixture[Densities], rows: Rows) -> Block:
    """Return samples in the frame of a mixture."""
    instrument, frame = instrument_of(rows), mixture.frame
    values = np.array(rows.framed(frame).T)
    hidden = instrument.cells(_apart(mixture, instrument))
    columns, samples = place = np.nonzero(hidden.T)
    scale = frame.inverse_scale[columns]
    lower, upper = (
        (bound.T[place] - frame.centre[columns]) * scale
        for bound in (instrument.lower, instrument.upper)
    )
    steps = instrument.steps.T[place] * scale
    log_steps = np.log(steps, where=steps > 0.0, out=np.zeros(len(steps)))
    values[place] = np.nan
    # Sheppard's correction of rounded values that are no intervals.
    more = (np.where(hidden, 0.0, instrument.steps) * frame.inverse_scale).T ** 2 / 12.0
    if more.any():
        values = np.where(more > 0.0, frame.apply(instrument.middle).T, values)
    exact = ~np.isnan(values)
    complete, groups = exact.all(), instrument.groups
    equal = complete and (groups == groups[:1]).all() and (more == more[:, :1]).all()
    errors = instrument.framed(frame, slice(0, 1) if equal else slice(None))
    if more.any():
        more = more[:, : errors.shape[-1]]
        errors = errors + (more if errors.ndim == 2 else more * np.eye(len(more))[:, :, None])
    inside = Hidden(columns, samples, lower, upper, log_steps)
    return Block(without_gaps(values), exact[:, :1] if complete else exact, errors, inside)


def derivatives(components: Gaussians, block: Block) -> Derivatives:
    """Return the derivatives of a block, whose samples have equal errors or are few."""
    apart = block.errors.ndim == 2 and separable(components.structure, len(block.values))
    return (_diagonal if apart else _dense)(block, components.means, components.covariances)


def _diagonal(block: Block, means: Array, covariances: Array) -> Derivatives:
    variances = np.diagonal(covariances, axis1=1, axis2=2).T[..., None] + block.errors[:, None]
    _refuse_singular(variances)
    exact = block.exact[:, None]
    information = exact / variances
    away = block.values[:, None] - means.T[..., None]
    gradient, hessian = information * away, -information
    factors = variances if exact.all() else np.where(exact, variances, 1.0)
    log_density = _normal(gradient, away, factors, exact)
    columns, samples, _, _, log_steps = block.hidden
    if not len(columns):
        return Derivatives(log_density, gradient, hessian)
    squares = variances[columns, :, samples].T
    none = np.empty((2, 0), dtype=np.intp)
    truncated = _truncated(block.hidden, means[:, columns], squares, none, squares[:, :0])
    there = on_interval(truncated.low, truncated.high)
    gradient[columns, :, samples] = (there.mean / truncated.deviations).T
    hessian[columns, :, samples] = -(there.lost_variance / squares).T
    log_density += _by_sample(samples, there.log_probability - log_steps, block)
    return Derivatives(log_density, gradient, hessian, truncated)


def _truncated(
    hidden: Hidden, centres: Array, variances: Array, pairs: Indices, covariance: Array
) -> TruncatedNormals:
    """Return hidden values from their means and variances (K, m), and covariances (K, p)."""
    _refuse_singular(variances)
    deviations = np.sqrt(variances)
    low, high = ((bound - centres) / deviations for bound in (hidden.lower, hidden.upper))
    correlation = covariance / deviations[:, pairs].prod(axis=1)
    _refuse_singular(1.0 - correlation * correlation)
    return TruncatedNormals(centres, deviations, low, high, pairs, correlation)


def _normal(gradient: Array, away: Array, factors: Array, exact: Booleans) -> Array:
    """Return normal log densities (K, n) from T⁻¹(x - m), x - m, and factors (D, K, n) of det T."""
    parts = range(0, len(factors), COLUMNS_AT_ONCE)
    logs = (np.log(factors[d : d + COLUMNS_AT_ONCE].prod(axis=0)) for d in parts)
    distance = np.einsum("dkn,dkn->kn", gradient, away)
    return cast("Array", -0.5 * (distance + reduce(add, logs) + exact.sum(axis=0) * LOG_2PI))


def _by_sample(samples: Indices, values: Array, block: Block) -> Array:
    """Return the sums (K, n) of values (K, m) by sample."""
    n = block.values.shape[1]
    return np.array([np.bincount(samples, of_component, n) for of_component in values])


def _dense(block: Block, means: Array, covariances: Array) -> Derivatives:
    D, errors, exact = means.shape[1], block.errors, block.exact[:, None]
    if errors.ndim == 2:
        errors = errors * np.eye(D)[:, :, None]
    swept = np.empty((D, D, len(means), errors.shape[-1]))
    for a in range(D):
        C = covariances[:, : a + 1, a].T[..., None]
        np.add(C, errors[: a + 1, a, None], out=swept[a, : a + 1])
    pivots, away = _sweep(swept, exact), block.values[:, None] - means.T[..., None]
    complete = bool(exact.all())
    if not complete:
        away *= exact
    if swept.shape[-1] > 1:
        moved = np.einsum("abkn,bkn->akn", swept, away)
    else:
        moved = (swept[..., 0].transpose(2, 0, 1) @ away.swapaxes(0, 1)).swapaxes(0, 1)
    gradient = -moved if complete else -moved * exact
    log_density = _normal(gradient, away, pivots, exact)
    hessian = swept if complete else swept * (exact[:, None] & exact)
    columns, samples, _, _, log_steps = block.hidden
    if not len(columns):
        return Derivatives(log_density, gradient, hessian)
    # The hidden value given the others; w = e - T_oo⁻¹ T_oh is its part of T⁻¹.
    i, j, alone = _pairs(samples)
    centres = means[:, columns] + moved[columns, :, samples].T
    variances = swept[columns, columns, :, samples].T
    covariance = swept[columns[i], columns[j], :, samples[i]].T
    truncated = _truncated(block.hidden, centres, variances, np.array([i, j]), covariance)
    w = -(swept[columns, :, :, samples] * block.exact.T[samples][:, :, None]).transpose(1, 2, 0)
    w[columns, :, range(len(columns))] = 1.0
    w /= truncated.deviations
    there = on_interval(truncated.low[:, alone], truncated.high[:, alone])
    logs = np.zeros(centres.shape) - log_steps
    logs[:, alone] += there.log_probability
    single, place = w[..., alone], samples[alone]
    gradient[..., place] += single * there.mean
    hessian[..., place] -= single * single[:, None] * there.lost_variance
    if len(i):
        both, place = on_rectangle(truncated.rectangles), samples[i]
        logs[:, i] += both.log_probability
        pair, information = w[..., [i, j]], both.information[[[0, 1], [1, 2]]]
        gradient[..., place] += np.einsum("akxp,xkp->akp", pair, both.scores)
        hessian[..., place] -= np.einsum(
            "akxp,xykp,bkyp->abkp", pair, information, pair, optimize=True
        )
    log_density += _by_sample(samples, logs, block)
    return Derivatives(log_density, gradient, hessian, truncated)


def _pairs(samples: Indices) -> tuple[Indices, Indices, Indices]:
    """Return which hidden values are first and second of a sample, and which are alone."""
    order = np.argsort(samples, kind="stable")
    same = np.flatnonzero(samples[order[1:]] == samples[order[:-1]])
    i, j = order[same], order[same + 1]
    return i, j, np.setdiff1d(order, np.concatenate([i, j]))


def _sweep(A: Array, exact: Booleans) -> Array:
    """Sweep matrices (D, D, K, n), given by lower triangles, by exact columns; return the pivots.

    With T_oo of exact columns and T_oh, T_hh, they become -T_oo⁻¹, T_oo⁻¹ T_oh and the covariance
    T_hh - T_ho T_oo⁻¹ T_oh of the others given these (Goodnight 1979).
    """
    pivots, column, room = np.empty((3, *A.shape[1:]))
    for j, swept in enumerate(exact):
        places = True if swept.all() else swept
        column[:j], column[j:], pivots[j] = A[j, :j], A[j:, j], 1.0
        np.copyto(pivots[j], column[j], where=places)
        _refuse_singular(pivots[j])
        inverse = 1.0 / pivots[j] if places is True else swept / pivots[j]
        factor = column * inverse
        for a in range(len(A)):
            if a != j:
                A[a, : a + 1] -= np.multiply(column[: a + 1], factor[a], out=room[: a + 1])
        np.copyto(A[j, :j], factor[:j], where=places)
        np.copyto(A[j + 1 :, j], factor[j + 1 :], where=places)
        np.copyto(A[j, j], -inverse, where=places)
    for a in range(len(A)):
        A[:a, a] = A[a, :a]
    return pivots


def _refuse_singular(pivots: Array) -> None:
    if pivots.size and not pivots.min() > 0.0:
        raise DegenerateFitError("a covariance of true values and errors is singular")


def _region(mixture: Mixture[Densities], block: Block, instrument: Instrument) -> Derivatives:
    """Return the components where all that is known of a sample is that it was recorded."""
    least, most = (mixture.frame.apply(b).T for b in (instrument.least, instrument.most))
    shape = _, n = len(block.values), max(least.shape[1], block.errors.shape[-1])
    columns, samples = place = np.nonzero(np.tile(instrument.truncated[:, None], n))
    lower, upper = (np.broadcast_to(bound, shape)[place] for bound in (least, most))
    hidden = Hidden(columns, samples, lower, upper, np.zeros(len(columns)))
    errors = np.broadcast_to(block.errors, (*block.errors.shape[:-1], n))
    nothing = Block(np.zeros(shape), np.zeros(shape, dtype=bool), errors, hidden)
    return derivatives(cast("Gaussians", mixture.components), nothing)


@dataclass(frozen=True)
class NormalView:
    """What a block of samples tells of their true values under Gaussian components.

    ``inside`` are the components in the region of recorded values, and ``log_recorded`` (n,) log
    probabilities of samples to be there, n = 1 if equal for all.
    """

    mixture: Mixture[Densities]
    block: Block
    part: Derivatives
    inside: Derivatives | None
    log_recorded: Array
    joint: Array

    @classmethod
    def of(cls, mixture: Mixture[Densities], rows: Rows) -> NormalView:
        block, instrument = block_of(mixture, rows), instrument_of(rows)
        components = cast("Gaussians", mixture.components)
        part, inside, log_recorded = derivatives(components, block), None, np.zeros(1)
        joint = np.ascontiguousarray(part.log_density.T)
        joint += mixture.finite_log_weights
        if components.resolution is not None:
            algebra = components.structure.algebra
            of_blocks = algebra.trace(components.resolution, components.precision_root)
            joint -= 0.5 * algebra.per_component(of_blocks, *components.means.shape)
        if instrument.truncated.any():
            inside = _region(mixture, block, instrument)
            logs = inside.log_density + mixture.log_weights[:, None]
            log_recorded = np.logaddexp.reduce(logs, axis=0)
            joint -= log_recorded[:, None]
        return cls(mixture, block, part, inside, log_recorded, joint)

    def statistics(self, shares: Array) -> Moments:
        inside, counts = self.inside, shares.sum(axis=0)
        gradient, curvature = self.part.sums(np.ascontiguousarray(shares.T))
        if inside is not None:
            weights = shares.sum(axis=1)
            weights = weights if len(self.log_recorded) > 1 else weights.sum(keepdims=True)
            drawn = weights * np.exp(self.mixture.log_weights[:, None] - self.log_recorded)
            expected = drawn * np.exp(inside.log_density)
            slope, bend = inside.sums(expected)
            gradient, curvature = gradient - slope, curvature - bend
            # Samples that were not recorded.
            counts += (drawn - expected).sum(axis=1)
        components = cast("Gaussians", self.mixture.components)
        return _moments_of_true_values(components, counts, gradient, curvature)

    def moments(self, shares: Array) -> tuple[Array, Array]:
        """Return means and mean squares (n, D) of true values in the frame."""
        means, variances = self.part.moments(cast("Gaussians", self.mixture.components))
        first = np.einsum("nk,dkn->nd", shares, means)
        return first, np.einsum("nk,dkn->nd", shares, means * means + variances)

    def drawn(self, labels: Integers, generator: np.random.Generator) -> Array:
        """Draw hidden values first, then a true value and an error.

        These are moved by what their sum lacks (Matheron).
        """
        components, block = cast("Gaussians", self.mixture.components), self.block
        columns, samples = block.hidden[:2]
        if self.part.truncated is not None:
            draws = self.part.truncated.drawn(generator.random(len(columns)))
            values, exact = block.values.copy(), block.exact.copy()
            values[columns, samples] = draws[labels[samples], range(len(samples))]
            exact[columns, samples] = True
            nothing = Hidden(columns[:0], samples[:0], *np.empty((3, 0)))
            block = Block(values, exact, block.errors, nothing)
        normal = generator.standard_normal((2, *block.values.T.shape))
        out = components.means[labels] + components.spread_out(normal[0], labels)
        measured = out + drawn_errors(block.errors, normal[1])
        centred = replace(components, means=np.zeros_like(components.means))
        lacking = derivatives(centred, replace(block, values=block.values - measured.T))
        gradient = lacking.gradient[:, labels, range(len(labels))].T
        out = out + np.einsum("nde,ne->nd", components.covariances[labels], gradient)
        return self.mixture.frame.undo(out)


def _moments_of_true_values(
    components: Gaussians, counts: Array, gradient: Array, curvature: Array
) -> Moments:
    """Return moments from counts (K,), Σ r g (K, D) and Σ r (g gᵀ + H) (K, D, D)."""
    structure, C = components.structure, components.covariances
    moved = (C @ gradient[:, :, None])[..., 0]
    steps = moved / np.where(counts > 0.0, counts, np.inf)[:, None]
    scatter = counts[:, None, None] * C + C @ curvature @ C
    scatter -= moved[:, :, None] * steps[:, None]
    blocks = structure.blocks.pool(structure.algebra.of_dense(scatter))
    return Moments(structure, counts, components.means + steps, blocks)


def sums_of_blocks(mixture: Mixture[Components], rows: Rows) -> Iterator[ChunkSums]:
    """Yield sums of the blocks of a chunk, which sequences do not divide."""
    if _alike(mixture, rows):
        yield _sums_of_alike(mixture, rows)
        return
    undivided = rows.side.begins is not None
    for block in [rows] if undivided else (part for _, part in blocks_of(mixture, rows)):
        if not undivided and _alike(mixture, block):
            yield _sums_of_alike(mixture, block)
        else:
            view = NormalView.of(mixture, block)
            yield block_sums(mixture, view.joint, block, view.statistics)


def _alike(mixture: Mixture[Components], rows: Rows) -> bool:
    """Whether all values are exact, with equal errors."""
    instrument = instrument_of(rows)
    equal = (instrument.groups == instrument.groups[:1]).all()
    if not equal or cast("Gaussians", mixture.components).resolution is not None:
        return False
    beyond = instrument.truncated.any() or instrument.hidden.any()
    return not (beyond or has_gaps(rows.values))


def _sums_of_alike(mixture: Mixture[Components], rows: Rows) -> ChunkSums:
    """Return the sums of exact samples with equal errors S, at the cost of a plain pass.

    What was measured has covariances T = Σ_k + S, and its moments about m_k tell Σ r g = T⁻¹ Σ r (x
    - m) and Σ r (g gᵀ + H) = T⁻¹ Σ r (x - m)(x - m)ᵀ T⁻¹ - T⁻¹ Σ r.
    """
    components, instrument = cast("Gaussians", mixture.components), instrument_of(rows)
    means, errors = components.means, instrument.framed(mixture.frame, slice(0, 1))[..., 0]
    S = errors if instrument.full else np.diag(errors)
    structure = STRUCTURES["diag" if _apart(mixture, instrument) else "full"]
    algebra = structure.algebra
    measured = Gaussians(structure, means, algebra.of_dense(components.covariances + S))
    seen = replace(mixture, components=measured)
    sums = LINEAR.sums(seen, rows).finished()
    if not LINEAR.keeps_digits(seen, sums):
        sums = CENTRED.sums(seen, rows).finished()
    counts, moments = sums.counts, cast("Moments", sums.statistics)
    P = algebra.dense(algebra.gram(measured.precision_root), *means.shape)
    gradient = (P @ (counts[:, None] * (moments.means - means))[:, :, None])[..., 0]
    spread = algebra.dense(moments.about(means, np.ones((len(means), 1))), *means.shape)
    curvature = P @ spread @ P - counts[:, None, None] * P
    true = _moments_of_true_values(components, counts, gradient, curvature)
    return ChunkSums(sums.log_normaliser, sums.magnitude, true, sums.allocation)


def drawn_errors(errors: Array, normal: Array) -> Array:
    """Return errors (n, D) of variances (D, n) or covariances (D, D, n) from normal numbers."""
    if errors.ndim == 2:
        return normal * np.sqrt(errors.T)
    values, vectors = np.linalg.eigh(np.moveaxis(errors, -1, 0))
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return (roots @ normal[:, :, None])[:, :, 0]
