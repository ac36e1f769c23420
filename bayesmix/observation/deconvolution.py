"""The E-step over true values of Gaussian components, given what was measured.

The mixture is that of the true values t, and x_n = t_n + e_n, e_n ~ N(0, S_n). With T = Σ_k + S_n
and u = T⁻¹(x - m_k), the true value has mean m_k + Σ_k u and covariance Σ_k - Σ_k T⁻¹ Σ_k in
component k, so Σ r u and Σ r (u uᵀ - T⁻¹) are the statistics (Bovy, Hogg & Roweis 2011). Missing
cells have an infinite error. Where only an interval of x is known, u and T⁻¹ become the score E[u]
and the observed information T⁻¹ - T⁻¹ var[x] T⁻¹, by moments of truncated normals. Samples that
were not recorded are completed by their expected number and moments (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple, cast

import numpy as np

from bayesmix.core.components import Components, Densities
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Rows
from bayesmix.em.expectation import Step, block_sums
from bayesmix.errors import DegenerateFitError, UnsupportedError
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.numerics.arrays import LOG_2PI, Array, Booleans, Indices, has_gaps, without_gaps
from bayesmix.numerics.drawing import drawn_labels
from bayesmix.numerics.logsumexp import normalise
from bayesmix.observation.instrument import Instrument, Region, separable
from bayesmix.observation.missing import Drawing
from bayesmix.observation.rectangles import drawn_on_rectangle, on_interval, on_rectangle, quantile

# Numbers of a block, K D or K D² for each sample, that fit into a cache of a few megabytes.
BLOCK_VALUES = 2**19
# Variances below 1e38 in the frame have a finite product of so many.
COLUMNS_AT_ONCE = 8
# Samples with equal errors above which their matrices are inverted once.
TOGETHER = 16
SMALLEST = float(np.finfo(float).tiny)


class HiddenValues(NamedTuple):
    """Values of a block that are known to an interval: places, bounds and log steps (m,)."""

    columns: Indices
    samples: Indices
    lower: Array
    upper: Array
    log_steps: Array  # 0 where the interval contributes a probability


@dataclass(frozen=True)
class Block:
    """Samples in a frame: values (D, n), which are exact, and errors (D, n) or (D, D, n).

    The last axis of ``errors`` is 1 if they are equal and all values exact.
    """

    values: Array  # 0 where not exact
    exact: Array
    errors: Array
    hidden: HiddenValues | None

    @property
    def complete(self) -> bool:
        """Whether all values are exact."""
        return bool(self.exact.all())


@dataclass(frozen=True)
class StandardisedBounds:
    """Hidden values given the components: centres, deviations and bounds (K, m).

    Dependent ones of a sample are ``pairs`` (2, p), with their correlations (K, p).
    """

    centres: Array
    deviations: Array
    low: Array
    high: Array
    pairs: Indices
    correlation: Array

    def rectangles(self) -> Array:
        """Return the bounds and correlations (5, K, p) of the pairs."""
        first, second = self.pairs
        bounds = [part[:, own] for part in (self.low, self.high) for own in (first, second)]
        return np.array([*bounds, self.correlation])

    def drawn(self, uniform: Array) -> Array:
        """Return draws of the hidden values (K, m)."""
        draws = quantile(self.low, self.high, np.broadcast_to(uniform, self.low.shape))
        if self.pairs.size:
            both = drawn_on_rectangle(self.rectangles(), uniform[self.pairs])
            draws[:, self.pairs] = both.swapaxes(0, 1)
        return self.centres + self.deviations * draws


@dataclass(frozen=True)
class Convolved:
    """The components for a block: log densities (K, n), scores E[u] (D, K, n) and information.

    That is Mᵀ diag(weights) M, with ``weights`` (D, K, n) and rows of M in the second axis of
    ``rows`` (D, D, K, n), None for the identity. Their last axis is 1 if equal for all samples.
    """

    log_density: Array
    scores: Array
    weights: Array
    rows: Array | None = None
    hidden: StandardisedBounds | None = None

    def moments(self, shares: Array) -> tuple[Array, Array]:
        """Return Σ r E[u] (K, D) and Σ r (E[u] E[u]ᵀ - information) (K, D, D) of shares (K, n)."""
        scores, rows, D = self.scores.swapaxes(0, 1), self.rows, len(self.scores)
        gradient = (scores @ shares[:, :, None])[..., 0]
        if rows is None:
            diagonal = (self.scores**2 - self.weights).swapaxes(0, 1) @ shares[:, :, None]
            return gradient, diagonal * np.eye(D)
        curvature = (shares[:, None] * scores) @ scores.swapaxes(1, 2)
        total = shares if rows.shape[-1] > 1 else shares.sum(axis=1, keepdims=True)
        for a in range(D):
            # Rows of hidden values are full, others end at the diagonal.
            row = rows[: a + 1 if self.hidden is None else D, a].swapaxes(0, 1)
            weighted = row * (total * self.weights[a])[:, None]
            curvature[:, : row.shape[1], : row.shape[1]] -= weighted @ row.swapaxes(1, 2)
        return gradient, curvature

    def explained(self, covariances: Array) -> Array:
        """Return the variances (D, K, n) of true values that the measured ones explain."""
        if self.rows is None:
            return np.einsum("kda,akn->dkn", covariances * covariances, self.weights)
        half = np.einsum("kdb,bakn->dakn", covariances, self.rows)
        return cast("Array", (half * half * self.weights).sum(axis=1))


def instrument_of(rows: Rows) -> Instrument:
    """Return the measurement of samples."""
    return cast("Instrument", rows.side.measurement)


def components_of(mixture: Mixture[Densities]) -> Gaussians:
    """Return Gaussians at a point, or raise ``UnsupportedError``."""
    components = mixture.components
    if not isinstance(components, Gaussians):
        raise UnsupportedError(
            "measured data need a point estimate of Gaussian components: use GaussianMixture"
        )
    return components


def _apart(mixture: Mixture[Densities], instrument: Instrument) -> bool:
    """Whether columns are independent given the component, after errors."""
    structure = components_of(mixture).structure
    return not instrument.errors.full and separable(structure, len(mixture.frame.centre))


def _hidden(mixture: Mixture[Densities], instrument: Instrument) -> Booleans | None:
    """Return which values (n, D) are known to an interval; None if none are.

    Where columns depend on each other and more than two values of a sample are, the rounded ones
    are values with an error instead.
    """
    intervals = instrument.intervals
    if intervals is None:
        return None
    there = ~np.isnan(intervals.lower)
    return there if _apart(mixture, instrument) else there & ~intervals.approximated


def blocks_of(mixture: Mixture[Densities], rows: Rows) -> list[tuple[Any, Rows]]:
    """Return blocks of a chunk with their indices; many samples of equal errors are together."""
    instrument, (n, D) = instrument_of(rows), (len(rows), len(mixture.frame.centre))
    partial = np.zeros(n, dtype=bool)
    if has_gaps(rows.values):
        partial |= np.isnan(np.asarray(rows.values)).any(axis=1)
    hidden = _hidden(mixture, instrument)
    if hidden is not None:
        partial |= hidden.any(axis=1)
    whole, errors = np.flatnonzero(~partial), instrument.errors
    together = len(whole) >= TOGETHER * len(errors.distinct)
    numbers = BLOCK_VALUES // mixture.n_components
    sizes = [max(TOGETHER, numbers // D ** (1 if _apart(mixture, instrument) else 2))] * 2
    groups = [whole, np.flatnonzero(partial)]
    if together:
        whole = whole[np.argsort(errors.numbers[whole], kind="stable")]
        groups[:1] = np.split(whole, np.flatnonzero(np.diff(errors.numbers[whole])) + 1)
        sizes[0] = max(TOGETHER, numbers // D)
    if len(groups) == 2 and len(whole) == n:  # in order, so that slices need no copies
        slices = [slice(first, first + sizes[0]) for first in range(0, n, sizes[0])]
        return [(place, rows.some(place)) for place in slices]
    places = [
        group[first : first + size]
        for group, size in zip(groups, [sizes[0]] * (len(groups) - 1) + sizes[1:], strict=True)
        for first in range(0, len(group), size)
    ]
    return [(place, rows.some(place)) for place in places]


def framed(mixture: Mixture[Densities], rows: Rows) -> Block:
    """Return samples in the frame of a mixture."""
    instrument, frame = instrument_of(rows), mixture.frame
    values = np.array(rows.framed(frame).T)
    places, intervals, numbers = None, instrument.intervals, instrument.errors.numbers
    hidden = _hidden(mixture, instrument)
    equal = len(numbers) == 1 or bool((numbers == numbers[0]).all())
    approximate = np.zeros((len(values), 1), dtype=bool)
    if intervals is not None and hidden is not None:
        lower, upper = frame.apply(intervals.lower).T, frame.apply(intervals.upper).T
        steps = intervals.steps * frame.inverse_scale
        place = columns, samples = np.nonzero(hidden.T)
        if len(columns):
            log_steps = np.zeros(len(columns))
            np.log(steps[columns], out=log_steps, where=intervals.rounded.T[place])
            places = HiddenValues(columns, samples, lower[place], upper[place], log_steps)
            values[place] = np.nan
        approximate = (intervals.rounded & ~hidden).T
        values = np.where(approximate, 0.5 * (lower + upper), values)
    exact = ~np.isnan(values)
    equal = equal and bool(exact.all() and (approximate == approximate[:, :1]).all())
    errors = instrument.errors.framed(frame, slice(0, 1) if equal else slice(None))
    if approximate.any():
        # Sheppard's correction.
        more = approximate[:, : errors.shape[-1]] * (steps * steps / 12.0)[:, None]
        errors = errors + (more if errors.ndim == 2 else more * np.eye(len(more))[:, :, None])
    return Block(without_gaps(values), exact.astype(np.float64), errors, places)


def convolved(components: Gaussians, block: Block) -> Convolved:
    """Return the components for a block, whose samples have equal errors or are few."""
    structure, (K, D) = components.structure, components.means.shape
    diagonal = block.errors.ndim == 2 and separable(structure, D)
    part = (_diagonal if diagonal else _dense)(block, components.means, components.covariances)
    if components.resolution is None:
        return part
    of_blocks = structure.algebra.trace(components.resolution, components.precision_root)
    less = 0.5 * structure.algebra.per_component(of_blocks, K, D)
    return replace(part, log_density=part.log_density - less[:, None])


def _diagonal(block: Block, means: Array, covariances: Array) -> Convolved:
    variances = np.diagonal(covariances, axis1=1, axis2=2).T[..., None] + block.errors[:, None]
    _refuse_singular(variances)
    away = block.values[:, None] - means.T[..., None]
    information, factors = 1.0 / variances, variances
    if not block.complete:
        exact = block.exact[:, None]
        information, away = information * exact, away * exact
        factors = np.where(exact, variances, 1.0)
    scores = information * away
    distance = np.einsum("dkn,dkn->kn", scores, away)
    log_density = _normal(distance, factors, block)
    if block.hidden is None:
        return Convolved(log_density, scores, information)
    columns, samples, lower, upper, log_steps = block.hidden
    deviations, centres = np.sqrt(variances[columns, :, samples].T), means[:, columns]
    a, b = (lower - centres) / deviations, (upper - centres) / deviations
    there = on_interval(a, b)
    scores[columns, :, samples] = (there.mean / deviations).T
    lost = np.maximum(there.lost_variance, 0.0) / deviations**2
    information[columns, :, samples] = lost.T
    log_density += _by_sample(samples, there.log_probability - log_steps, block)
    hidden = StandardisedBounds(
        centres, deviations, a, b, np.empty((2, 0), dtype=np.intp), a[:, :0]
    )
    return Convolved(log_density, scores, information, hidden=hidden)


def _normal(distance: Array, factors: Array, block: Block) -> Array:
    """Return normal log densities (K, n) from distances and factors (D, K, n) of det T."""
    parts = range(0, len(factors), COLUMNS_AT_ONCE)
    logs = (np.log(factors[d : d + COLUMNS_AT_ONCE].prod(axis=0)) for d in parts)
    constant = block.exact.sum(axis=0) * LOG_2PI
    return cast("Array", -0.5 * (distance + reduce(add, logs) + constant))


def _by_sample(samples: Indices, values: Array, block: Block) -> Array:
    """Return the sums (K, n) of values (K, m) by sample."""
    return np.array([np.bincount(samples, own, block.values.shape[1]) for own in values])


def _dense(block: Block, means: Array, covariances: Array) -> Convolved:
    (K, D), errors = means.shape, block.errors
    if errors.ndim == 2:
        errors = errors * np.eye(D)[:, :, None]
    n, each = errors.shape[-1], errors.shape[-1] == block.values.shape[1]
    A = np.empty((D + each, D + each, K, n))
    mask = block.exact[:, :n]
    for a in range(D):
        T = np.add(
            covariances[:, : a + 1, a].T[..., None], errors[: a + 1, a, None], out=A[a, : a + 1]
        )
        if not block.complete:
            T *= (mask[: a + 1] * mask[a])[:, None]
            T[a] += 1.0 - mask[a]
    if block.hidden is not None:
        columns, samples, lower, upper, log_steps = block.hidden
        own = covariances[:, :, columns].swapaxes(0, 1) + errors[:, columns, samples][:, None]
    away = (block.values[:, None] - means.T[..., None]) * block.exact[:, None]
    if each:
        A[D, :D], A[D, D] = away, 0.0
    _eliminate(A, D)
    pivots, rows = A[range(D), range(D)], A[:D, :D]
    weights = mask[:, None] / pivots
    for a in range(D):
        rows[a, a], rows[a + 1 :, a] = 1.0, 0.0
    if each:
        scores, distance = -A[:D, D], -A[D, D]
    else:
        scores = _product(rows, weights, away)
        distance = np.einsum("dkn,dkn->kn", scores, away)
    log_density = _normal(distance, pivots, block)
    if block.hidden is None:
        return Convolved(log_density, scores, weights, rows)
    # The hidden value given the others is normal; w = e - T_oo⁻¹ T_oh is its part of T⁻¹.
    numbers = range(len(samples))
    slopes = _product(rows[..., samples], weights[..., samples], own)
    variances = own[columns, :, numbers].T - (own * slopes).sum(axis=0)
    _refuse_singular(variances)
    deviations = np.sqrt(variances)
    centres = means[:, columns] + (own * scores[..., samples]).sum(axis=0)
    a, b = (lower - centres) / deviations, (upper - centres) / deviations
    w = -slopes
    w[columns, :, numbers] = 1.0
    w /= deviations
    i, j, alone = _pairs(samples)
    there = on_interval(a[:, alone], b[:, alone])
    logs = np.zeros(a.shape) - log_steps
    logs[:, alone] += there.log_probability
    scores[..., samples[alone]] += w[..., alone] * there.mean
    rows[:, columns, :, samples] = np.moveaxis(w, -1, 0)
    weights[columns[alone], :, samples[alone]] = np.maximum(there.lost_variance, 0.0).T
    covariance = own[columns[j], :, i].T - (own[..., i] * slopes[..., j]).sum(axis=0)
    correlation = covariance / (deviations[:, i] * deviations[:, j])
    hidden = StandardisedBounds(centres, deviations, a, b, np.array([i, j]), correlation)
    if len(i):
        _refuse_singular(1.0 - correlation * correlation)
        both, place = on_rectangle(hidden.rectangles()), samples[i]
        logs[:, i] += both.log_probability
        scores[..., place] += w[..., i] * both.scores[0] + w[..., j] * both.scores[1]
        first, between, second = both.information
        first = np.maximum(first, SMALLEST)
        weights[columns[i], :, place] = first.T
        weights[columns[j], :, place] = np.maximum(second - between * between / first, 0.0).T
        rows[:, columns[i], :, place] += np.moveaxis(w[..., j] * between / first, -1, 0)
    log_density += _by_sample(samples, logs, block)
    return Convolved(log_density, scores, weights, rows, hidden)


def _pairs(samples: Indices) -> tuple[Indices, Indices, Indices]:
    """Return which hidden values are first and second of a sample, and which are alone."""
    order = np.argsort(samples, kind="stable")
    same = np.flatnonzero(samples[order[1:]] == samples[order[:-1]])
    i, j = order[same], order[same + 1]
    return i, j, np.setdiff1d(order, np.concatenate([i, j]))


def _eliminate(A: Array, D: int) -> None:
    """Eliminate D columns of symmetric matrices (R, R, K, n), given by their lower triangles.

    Pivots stay on the diagonal. Above it, column a becomes row a of L⁻¹, for A = L diag(pivots) Lᵀ.
    With a last row (x - m)ᵀ, this is -T⁻¹(x - m), and the last pivot the negative distance.
    """
    room = np.empty(A.shape[1:])
    for j in range(D):
        _refuse_singular(A[j, j])
        inverse = -1.0 / A[j, j]
        for a in range(j + 1, len(A)):
            factor = np.multiply(A[a, j], inverse, out=A[j, a])
            A[a, j + 1 : a + 1] += np.multiply(A[j + 1 : a + 1, j], factor, out=room[j:a])
            A[:j, a] += np.multiply(A[:j, j], factor, out=room[:j])


def _product(rows: Array, weights: Array, vectors: Array) -> Array:
    """Return products (D, K, n) of Mᵀ diag(weights) M and vectors (D, K, n)."""
    if rows.shape[-1] > 1:
        white = np.einsum("bakn,bkn->akn", rows, vectors)
        return np.einsum("bakn,akn->bkn", rows, weights * white)
    M = rows[..., 0].transpose(2, 1, 0)
    information = (M * weights[..., 0].T[:, :, None]).swapaxes(1, 2) @ M
    return (information @ vectors.swapaxes(0, 1)).swapaxes(0, 1)


def _refuse_singular(pivots: Array) -> None:
    if pivots.size and not pivots.min() > 0.0:
        raise DegenerateFitError("a covariance of true values and errors is singular")


class Recorded(NamedTuple):
    """Components in the region of recorded values, n = 1 if equal for all samples.

    ``log_probability`` (n,) is log A of a sample to be recorded, ``shares`` (K, n) are those of the
    components among recorded samples, ``odds`` (K, n) are π_k / A, and ``inside`` the components
    there.
    """

    log_probability: Array
    shares: Array
    odds: Array
    inside: Convolved


def recorded(mixture: Mixture[Densities], region: Region, errors: Array) -> Recorded:
    """Return the components in a region, with errors (D, n) or (D, D, n) in the frame."""
    components = components_of(mixture)
    variances = errors if errors.ndim == 2 else np.diagonal(errors).T
    low, high = (mixture.frame.apply(bound).T[:, None] for bound in (region.low, region.high))
    own = np.diagonal(components.covariances, axis1=1, axis2=2).T[..., None]
    deviations, means = np.sqrt(own + variances[:, None]), components.means.T[..., None]
    there = on_interval((low - means) / deviations, (high - means) / deviations)
    logs = there.log_probability.sum(axis=0)
    part = Convolved(logs, there.mean / deviations, there.lost_variance / deviations**2)
    joint = (logs + mixture.log_weights[:, None]).T
    log_probability = normalise(joint)
    odds = np.exp(mixture.log_weights[:, None] - log_probability)
    return Recorded(log_probability, joint.T, odds, part)


def _seen(mixture: Mixture[Densities], rows: Rows) -> tuple[Convolved, Recorded | None, Array]:
    """Return the components for a block, those in its region, and log joints (n, K)."""
    block, region = framed(mixture, rows), instrument_of(rows).region
    part = convolved(components_of(mixture), block)
    joint = np.ascontiguousarray(part.log_density.T)
    joint += mixture.finite_log_weights
    if region is None:
        return part, None, joint
    inside = recorded(mixture, region, block.errors)
    joint -= inside.log_probability[:, None]
    return part, inside, joint


def log_joint(mixture: Mixture[Densities], rows: Rows) -> Array:
    """Return log π_k plus log densities (n, K) of what was measured, given that it was recorded."""
    joint = np.empty((len(rows), mixture.n_components))
    for indices, part in blocks_of(mixture, rows):
        joint[indices] = _seen(mixture, part)[2]
    return joint


@dataclass(frozen=True)
class Deconvolution(Drawing):
    """E-step over true values given what was measured."""

    name = "errors of measurement"

    def step(self, mixture: Mixture[Components]) -> Step:
        return DeconvolutionStep(mixture)

    def drawn(
        self, mixture: Mixture[Components], rows: Rows, generator: np.random.Generator
    ) -> Array:
        return drawn(mixture, rows, generator)


@dataclass(frozen=True)
class DeconvolutionStep:
    """E-step of a chunk of measured samples; picklable."""

    mixture: Mixture[Components]

    def __call__(self, rows: Rows) -> ChunkSums:
        blocks = [rows]
        if rows.side.begins is None:
            blocks = [block for _, block in blocks_of(self.mixture, rows)]
        return reduce(add, map(self._block, blocks))

    def _block(self, rows: Rows) -> ChunkSums:
        part, inside, joint = _seen(self.mixture, rows)
        return block_sums(
            self.mixture, joint, rows, lambda shares: self._statistics(part, shares, inside)
        )

    def _statistics(self, part: Convolved, shares: Array, inside: Recorded | None) -> Moments:
        """Return moments of true values from responsibilities (n, K)."""
        components = components_of(self.mixture)
        structure, C = components.structure, components.covariances
        counts, own = shares.sum(axis=0), np.ascontiguousarray(shares.T)
        gradient, curvature = part.moments(own)
        if inside is not None:
            weights = shares.sum(axis=1)
            weights = weights if inside.shares.shape[1] > 1 else weights.sum(keepdims=True)
            expected = weights * inside.shares
            slope, bend = inside.inside.moments(expected)
            gradient, curvature = gradient - slope, curvature - bend
            # Samples that were not recorded.
            counts += inside.odds @ weights - expected.sum(axis=1)
        moved = (C @ gradient[:, :, None])[..., 0]
        steps = moved / np.where(counts > 0.0, counts, np.inf)[:, None]
        scatter = counts[:, None, None] * C + C @ curvature @ C
        scatter -= moved[:, :, None] * steps[:, None]
        blocks = structure.blocks.pool(structure.algebra.of_dense(scatter))
        return Moments(structure, counts, components.means + steps, blocks)


def drawn(mixture: Mixture[Densities], rows: Rows, generator: np.random.Generator) -> Array:
    """Return draws (n, D) of true values given what was measured, in data units.

    Hidden values are drawn first. A draw of a component and an error is then moved by what its sum
    lacks (Matheron).
    """
    shares, _ = mixture.responsibilities(rows)
    labels = drawn_labels(shares[:, : mixture.n_components], generator)
    components = components_of(mixture)
    centred = replace(components, means=np.zeros_like(components.means))
    normal = generator.standard_normal((2, len(rows), len(mixture.frame.centre)))
    uniform = generator.random(normal.shape[1:])
    out = components.means[labels] + components.spread_out(normal[0], labels)
    for indices, part in blocks_of(mixture, rows):
        block, own = framed(mixture, part), labels[indices]
        numbers = range(len(own))
        if block.hidden is not None:
            columns, samples = block.hidden.columns, block.hidden.samples
            hidden = cast("StandardisedBounds", convolved(components, block).hidden)
            draws = hidden.drawn(uniform[indices][samples, columns])
            values, exact = block.values.copy(), block.exact.copy()
            values[columns, samples] = draws[own[samples], range(len(samples))]
            exact[columns, samples] = 1.0
            block = replace(block, values=values, exact=exact, hidden=None)
        measured = out[indices] + drawn_errors(block.errors, normal[1][indices])
        away = (block.values - measured.T) * block.exact
        lacking = convolved(centred, replace(block, values=away)).scores[:, own, numbers].T
        out[indices] += np.einsum("nde,ne->nd", components.covariances[own], lacking)
    return mixture.frame.undo(out)


def drawn_errors(errors: Array, normal: Array) -> Array:
    """Return errors (n, D) of variances (D, n) or covariances (D, D, n) from normal numbers."""
    if errors.ndim == 2:
        return normal * np.sqrt(errors.T)
    values, vectors = np.linalg.eigh(np.moveaxis(errors, -1, 0))
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return (roots @ normal[:, :, None])[:, :, 0]
