"""The E-step over true values of Gaussian components, given what was measured.

The mixture is that of the true values t, and x_n = t_n + e_n, e_n ~ N(0, S_n). With T = Σ_k + S_n
and u = T⁻¹(x - m_k), the true value has mean m_k + Σ_k u and covariance Σ_k - Σ_k T⁻¹ Σ_k in
component k, so Σ r u and Σ r (u uᵀ - T⁻¹) are the statistics (Bovy, Hogg & Roweis 2011). Missing
cells have an infinite error. Where only an interval of x is known, u and T⁻¹ become the score E[u]
and the observed information T⁻¹ - T⁻¹ var[x] T⁻¹, by moments of truncated normals. Samples that
were not recorded are completed by their expected number and moments (Dempster, Laird & Rubin 1977).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, NamedTuple, TypeAlias, cast

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
from bayesmix.observation.rectangles import drawn_on_rectangle, on_rectangle
from bayesmix.observation.truncated_normal import on_interval, quantile

# Numbers of a block, K D or K D² for each sample, that fit into a cache of a few megabytes.
BLOCK_VALUES = 2**19
# Variances below 1e38 in the frame have a finite product of so many.
COLUMNS_AT_ONCE = 8
# Samples with equal errors above which their matrices are factorised once.
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
    complete: bool  # whether all values are exact
    hidden: HiddenValues | None


@dataclass(frozen=True)
class StandardisedBounds:
    """Hidden values of a block given a component: centres, deviations and bounds (m,).

    Dependent ones of a sample are ``pairs``, with their correlations.
    """

    centres: Array
    deviations: Array
    low: Array
    high: Array
    pairs: tuple[Indices, Indices] | None = None
    correlation: Array | None = None

    def rectangles(self) -> Array:
        """Return the bounds (2, 2, p) of the pairs."""
        return np.array(
            [[bound[own] for own in self.pairs or ()] for bound in (self.low, self.high)]
        )

    def drawn(self, uniform: Array) -> Array:
        """Return draws of the hidden values (m,)."""
        draws = quantile(self.low, self.high, uniform)
        if self.pairs is not None and self.correlation is not None:
            own = np.array(self.pairs)
            draws[own] = drawn_on_rectangle(self.rectangles(), self.correlation, uniform[own])
        return self.centres + self.deviations * draws


@dataclass(frozen=True)
class Independent:
    """A component for a block: log densities (n,), scores E[u] and information (D, n) by column.

    The last axis of ``information`` is 1 if it is equal for all samples.
    """

    log_density: Array
    scores: Array
    information: Array
    hidden: StandardisedBounds | None = None

    def curvature(self, shares: Array) -> Array:
        """Return Σ r (E[u] E[u]ᵀ - information) (D, D)."""
        return np.diag((self.scores * self.scores - self.information) @ shares)

    def times(self, away: Array, samples: Booleans) -> Array:
        """Return the information times deviations (D, m) of some samples."""
        own = self.information
        return away * (own if own.shape[-1] == 1 else own[:, samples])

    def gained(self, covariance: Array) -> Array:
        """Return the variances (D, n) of true values that are explained."""
        return (covariance * covariance) @ self.information


@dataclass(frozen=True)
class Dependent:
    """A component for a block: log densities (n,), scores E[u] (D, n) and R with RᵀR = information.

    ``root`` is (D, D, n), with n = 1 if equal for all samples.
    """

    log_density: Array
    scores: Array
    root: Array
    hidden: StandardisedBounds | None = None

    def curvature(self, shares: Array) -> Array:
        """Return Σ r (E[u] E[u]ᵀ - information) (D, D)."""
        total = shares if self.root.shape[-1] > 1 else shares.sum(keepdims=True)
        information = ((self.root * total) @ self.root.swapaxes(1, 2)).sum(axis=0)
        return cast("Array", (shares * self.scores) @ self.scores.T - information)

    def times(self, away: Array, samples: Booleans) -> Array:
        """Return the information times deviations (D, m) of some samples."""
        root = self.root if self.root.shape[-1] == 1 else self.root[..., samples]
        return _whitened(root, away)[1]

    def gained(self, covariance: Array) -> Array:
        """Return the variances (D, n) of true values that are explained."""
        return cast("Array", (np.einsum("ijn,jd->din", self.root, covariance) ** 2).sum(axis=1))


Convolved: TypeAlias = Independent | Dependent


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
    instrument = instrument_of(rows)
    width = len(mixture.frame.centre) ** (1 if _apart(mixture, instrument) else 2)
    size = max(TOGETHER, BLOCK_VALUES // (mixture.n_components * width))
    partial = np.zeros(len(rows), dtype=bool)
    if has_gaps(rows.values):
        partial |= np.isnan(np.asarray(rows.values)).any(axis=1)
    hidden = _hidden(mixture, instrument)
    if hidden is not None:
        partial |= hidden.any(axis=1)
    whole, rest = np.flatnonzero(~partial), np.flatnonzero(partial)
    errors = instrument.errors
    groups: list[Any] = []
    if len(whole) >= TOGETHER * len(errors.distinct):
        whole = whole[np.argsort(errors.numbers[whole], kind="stable")]
        groups = np.split(whole, np.flatnonzero(np.diff(errors.numbers[whole])) + 1)
    elif not len(rest):
        groups = [slice(first, first + size) for first in range(0, len(rows), size)]
    else:
        groups = _sliced(whole, size)
    places = groups + _sliced(rest, size)
    return [(place, rows.some(place)) for place in places]


def _sliced(indices: Indices, size: int) -> list[Any]:
    return [indices[first : first + size] for first in range(0, len(indices), size)]


def framed(mixture: Mixture[Densities], rows: Rows) -> Block:
    """Return samples in the frame of a mixture."""
    instrument, frame = instrument_of(rows), mixture.frame
    values = np.array(rows.framed(frame).T)
    hidden, intervals = _hidden(mixture, instrument), instrument.intervals
    numbers = instrument.errors.numbers
    places = None
    equal = len(numbers) == 1 or bool((numbers == numbers[0]).all())
    if intervals is not None and hidden is not None:
        lower, upper = frame.apply(intervals.lower).T, frame.apply(intervals.upper).T
        columns, samples = np.nonzero(hidden.T)
        if len(columns):
            log_steps = np.log(
                intervals.steps * frame.inverse_scale,
                out=np.zeros(len(values)),
                where=intervals.steps > 0.0,
            )
            place = columns, samples
            steps = np.where(intervals.rounded.T[place], log_steps[columns], 0.0)
            places = HiddenValues(*place, lower[place], upper[place], steps)
            values[place] = np.nan
        approximate = (intervals.rounded & ~hidden).T
        values = np.where(approximate, 0.5 * (lower + upper), values)
        equal = equal and bool((approximate == approximate[:, :1]).all())
    exact = ~np.isnan(values)
    complete = bool(exact.all())
    equal = equal and complete
    errors = instrument.errors.framed(frame, slice(0, 1) if equal else slice(None))
    if intervals is not None and hidden is not None and approximate.any():
        sheppard = (intervals.steps * frame.inverse_scale) ** 2 / 12.0
        more = approximate[:, : errors.shape[-1]] * sheppard[:, None]
        errors = errors + (more if errors.ndim == 2 else more * np.eye(len(more))[:, :, None])
    values = values if complete else without_gaps(values)
    return Block(values, exact.astype(np.float64), errors, complete, places)


def convolved(mixture: Mixture[Densities], rows: Rows) -> list[Convolved]:
    """Return the components for a block, whose samples have equal errors or are few."""
    return _convolved(mixture, framed(mixture, rows))


def _convolved(mixture: Mixture[Densities], block: Block) -> list[Convolved]:
    components = components_of(mixture)
    structure, K = components.structure, components.n_components
    diagonal = block.errors.ndim == 2 and separable(structure, len(block.values))
    of_component = _diagonal if diagonal else _dense
    parts = [
        of_component(block, mean, covariance)
        for mean, covariance in zip(components.means, components.covariances, strict=True)
    ]
    if components.resolution is None:
        return parts
    of_blocks = structure.algebra.trace(components.resolution, components.precision_root)
    less = 0.5 * structure.algebra.per_component(of_blocks, K, len(block.values))
    return [
        replace(part, log_density=part.log_density - own)
        for part, own in zip(parts, less, strict=True)
    ]


def _diagonal(block: Block, mean: Array, covariance: Array) -> Independent:
    variances = np.diagonal(covariance)[:, None] + block.errors
    _refuse_singular(variances)
    away = block.values - mean[:, None]
    information = 1.0 / variances
    factors = variances
    if not block.complete:
        information, away = information * block.exact, away * block.exact
        factors = np.where(block.exact, variances, 1.0)
    scores = information * away
    distance = np.einsum("dn,dn->n", scores, away)
    constant = block.exact.sum(axis=0) * LOG_2PI
    log_density = -0.5 * (distance + _log_product(factors) + constant)
    if block.hidden is None:
        return Independent(log_density, scores, information)
    columns, samples, lower, upper, log_steps = block.hidden
    deviations = np.sqrt(variances[columns, samples])
    a, b = (lower - mean[columns]) / deviations, (upper - mean[columns]) / deviations
    there = on_interval(a, b)
    scores[columns, samples] = there.mean / deviations
    information[columns, samples] = np.maximum(there.lost_variance, 0.0) / deviations**2
    log_density += np.bincount(samples, there.log_probability - log_steps, len(log_density))
    hidden = StandardisedBounds(mean[columns], deviations, a, b)
    return Independent(log_density, scores, information, hidden)


def _log_product(factors: Array) -> Array:
    """Return the logarithm of products (n,) of (D, n), of few at a time, which cannot overflow."""
    parts = range(0, len(factors), COLUMNS_AT_ONCE)
    logs = (np.log(factors[d : d + COLUMNS_AT_ONCE].prod(axis=0)) for d in parts)
    return reduce(add, logs)


def _dense(block: Block, mean: Array, covariance: Array) -> Dependent:
    errors = block.errors
    if errors.ndim == 2:
        errors = errors * np.eye(len(mean))[:, :, None]
    T = covariance[:, :, None] + errors
    root, log_det = _inverse_root(T, block.exact[:, : T.shape[-1]])
    white, scores = _whitened(root, (block.values - mean[:, None]) * block.exact)
    distance = np.einsum("dn,dn->n", white, white)
    log_density = -0.5 * (distance + log_det + block.exact.sum(axis=0) * LOG_2PI)
    if block.hidden is None:
        return Dependent(log_density, scores, root)
    columns, samples, lower, upper, log_steps = block.hidden
    # The hidden value given the others is normal; w = e - T_oo⁻¹ T_oh is its part of T⁻¹.
    m = len(samples)
    own = T[:, columns, samples]
    half = np.einsum("ijm,jm->im", root[:, :, samples], own)
    variance = own[columns, range(m)] - (half * half).sum(axis=0)
    _refuse_singular(variance)
    deviation = np.sqrt(variance)
    centre = mean[columns] + (own * scores[:, samples]).sum(axis=0)
    a, b = (lower - centre) / deviation, (upper - centre) / deviation
    w = -np.einsum("ijm,im->jm", root[:, :, samples], half)
    w[columns, range(m)] = 1.0
    w /= deviation
    hidden = StandardisedBounds(centre, deviation, a, b)
    log_density -= np.bincount(samples, log_steps, len(log_density))
    i, j, alone = _pairs(samples)
    there = on_interval(a[alone], b[alone])
    scores[:, samples[alone]] += w[:, alone] * there.mean
    lost = np.sqrt(np.maximum(there.lost_variance, 0.0))
    root[columns[alone], :, samples[alone]] = (lost * w[:, alone]).T
    log_density[samples[alone]] += there.log_probability
    if len(i):
        covariance = T[columns[i], columns[j], samples[i]] - (half[:, i] * half[:, j]).sum(axis=0)
        correlation = covariance / (deviation[i] * deviation[j])
        _refuse_singular(1.0 - correlation * correlation)
        hidden = replace(hidden, pairs=(i, j), correlation=correlation)
        both, place = on_rectangle(hidden.rectangles(), correlation), samples[i]
        log_density[place] += both.log_probability
        scores[:, place] += w[:, i] * both.scores[0] + w[:, j] * both.scores[1]
        first, between, second = both.information
        first = np.sqrt(np.maximum(first, SMALLEST))
        between = between / first
        second = np.sqrt(np.maximum(second - between * between, 0.0))
        root[columns[i], :, place] = (first * w[:, i] + between * w[:, j]).T
        root[columns[j], :, place] = (second * w[:, j]).T
    return Dependent(log_density, scores, root, hidden)


def _pairs(samples: Indices) -> tuple[Indices, Indices, Indices]:
    """Return which hidden values are first and second of a sample, and which are alone."""
    order = np.argsort(samples, kind="stable")
    same = np.flatnonzero(samples[order[1:]] == samples[order[:-1]])
    i, j = order[same], order[same + 1]
    return i, j, np.setdiff1d(order, np.concatenate([i, j]))


def _inverse_root(T: Array, mask: Array) -> tuple[Array, Array]:
    """Return lower triangles R (D, D, n) with T⁻¹ = Rᵀ R, 0 where masked, and log det T (n,)."""
    D, n = len(T), T.shape[-1]
    if not mask.all():
        T = T * (mask[:, None] * mask)
        T[range(D), range(D)] += 1.0 - mask
    lower, root = np.empty((D, D, n)), np.zeros((D, D, n))
    for j in range(D):
        column = T[j:, j] - np.einsum("ikn,kn->in", lower[j:, :j], lower[j, :j])
        _refuse_singular(column[0])
        lower[j, j] = np.sqrt(column[0])
        lower[j + 1 :, j] = column[1:] / lower[j, j]
        root[j, j] = 1.0 / lower[j, j]
        root[j, :j] = -root[j, j] * np.einsum("kn,kjn->jn", lower[j, :j], root[:j, :j])
    log_det = 2.0 * _log_product(lower[range(D), range(D)])
    root[range(D), range(D)] *= mask
    return root, log_det


def _whitened(root: Array, away: Array) -> tuple[Array, Array]:
    """Return R (x - m) and Rᵀ R (x - m) (D, n)."""
    if root.shape[-1] == 1:
        white = root[:, :, 0] @ away
        return white, root[:, :, 0].T @ white
    white = np.einsum("ijn,jn->in", root, away)
    return white, np.einsum("ijn,in->jn", root, white)


def _refuse_singular(pivots: Array) -> None:
    if pivots.size and not pivots.min() > 0.0:
        raise DegenerateFitError("a covariance of true values and errors is singular")


class RecordedShares(NamedTuple):
    """Components in the region of recorded values, n = 1 if equal for all samples.

    ``log_probability`` (n,) is log A of a sample to be recorded, ``shares`` (n, K) are those of the
    components among recorded samples, ``odds`` (n, K) are π_k / A, and ``scores`` (K, D, n) and
    ``information`` (K, D, n) those of the values inside.
    """

    log_probability: Array
    shares: Array
    odds: Array
    scores: Array
    information: Array


def recorded(mixture: Mixture[Densities], region: Region, errors: Array) -> RecordedShares:
    """Return the components in a region, with errors (D, n) or (D, D, n) in the frame."""
    components = components_of(mixture)
    own = errors if errors.ndim == 2 else np.diagonal(errors).T
    low, high = (mixture.frame.apply(bound).T for bound in (region.low, region.high))
    used = np.flatnonzero((np.isfinite(low) | np.isfinite(high)).any(axis=1))
    n = max(low.shape[1], own.shape[1])
    logs = np.tile(mixture.log_weights, (n, 1))
    scores, information = np.zeros((2, components.n_components, len(low), n))
    for k, (mean, covariance) in enumerate(
        zip(components.means, components.covariances, strict=True)
    ):
        deviation = np.sqrt(np.diagonal(covariance)[used, None] + own[used])
        away = mean[used, None]
        inside = on_interval((low[used] - away) / deviation, (high[used] - away) / deviation)
        logs[:, k] += inside.log_probability.sum(axis=0)
        scores[k, used] = inside.mean / deviation
        information[k, used] = inside.lost_variance / deviation**2
    log_probability = normalise(logs)
    odds = np.exp(mixture.log_weights - log_probability[:, None])
    return RecordedShares(log_probability, logs, odds, scores, information)


def _seen(
    mixture: Mixture[Densities], rows: Rows
) -> tuple[list[Convolved], RecordedShares | None, Array]:
    """Return the components for a block, those in its region, and log joints (n, K)."""
    block, region = framed(mixture, rows), instrument_of(rows).region
    parts = _convolved(mixture, block)
    joint = np.stack([part.log_density for part in parts]).T
    joint += mixture.finite_log_weights
    if region is None:
        return parts, None, joint
    inside = recorded(mixture, region, block.errors)
    joint -= inside.log_probability[:, None]
    return parts, inside, joint


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
        parts, inside, joint = _seen(self.mixture, rows)
        return block_sums(
            self.mixture, joint, rows, lambda shares: self._statistics(parts, shares, inside)
        )

    def _statistics(
        self, parts: Sequence[Convolved], shares: Array, inside: RecordedShares | None
    ) -> Moments:
        """Return moments of true values from responsibilities (n, K)."""
        components = components_of(self.mixture)
        counts = shares.sum(axis=0)
        means = components.means.copy()
        scatter = np.empty((len(means), means.shape[1], means.shape[1]))
        for k, (part, covariance) in enumerate(zip(parts, components.covariances, strict=True)):
            own = np.ascontiguousarray(shares[:, k])
            gradient, curvature = part.scores @ own, part.curvature(own)
            if inside is not None:
                weights = shares.sum(axis=1)
                weights = weights if len(inside.shares) > 1 else weights.sum(keepdims=True)
                expected = weights * inside.shares[:, k]
                gradient -= inside.scores[k] @ expected
                curvature -= np.diag((inside.scores[k] ** 2 - inside.information[k]) @ expected)
                # Samples that were not recorded.
                counts[k] += weights @ inside.odds[:, k] - expected.sum()
            moved = covariance @ gradient
            step = moved / counts[k] if counts[k] > 0.0 else np.zeros_like(moved)
            within = covariance @ curvature @ covariance
            scatter[k] = counts[k] * covariance + within - np.outer(moved, step)
            means[k] += step
        structure = components.structure
        blocks = structure.blocks.pool(structure.algebra.of_dense(scatter))
        return Moments(structure, counts, means, blocks)


def drawn(mixture: Mixture[Densities], rows: Rows, generator: np.random.Generator) -> Array:
    """Return draws (n, D) of true values given what was measured, in data units.

    Hidden values are drawn first. A draw of a component and an error is then moved by what its sum
    lacks (Matheron).
    """
    shares, _ = mixture.responsibilities(rows)
    labels = drawn_labels(shares[:, : mixture.n_components], generator)
    components = components_of(mixture)
    normal = generator.standard_normal((2, len(rows), len(mixture.frame.centre)))
    uniform = generator.random(normal.shape[1:])
    out = components.means[labels] + components.spread_out(normal[0], labels)
    for indices, part in blocks_of(mixture, rows):
        block, own = framed(mixture, part), labels[indices]
        parts = _convolved(mixture, block)
        if block.hidden is not None:
            block = _filled(block, block.hidden, parts, own, uniform[indices].T)
            parts = _convolved(mixture, block)
        measured = out[indices] + drawn_errors(block.errors, normal[1][indices])
        away = (block.values - measured.T) * block.exact
        for k, convolved_component in enumerate(parts):
            mine = own == k
            lacking = convolved_component.times(away[:, mine], mine)
            places = np.arange(len(rows))[indices][mine]
            out[places] += (components.covariances[k] @ lacking).T
    return mixture.frame.undo(out)


def _filled(
    block: Block, hidden: HiddenValues, parts: Sequence[Convolved], labels: Indices, uniform: Array
) -> Block:
    """Return a block with draws of its hidden values under the components of ``labels``."""
    columns, samples = hidden.columns, hidden.samples
    values, exact = block.values.copy(), block.exact.copy()
    for k, part in enumerate(parts):
        mine = labels[samples] == k
        place = columns[mine], samples[mine]
        draws = cast("StandardisedBounds", part.hidden).drawn(uniform[columns, samples])
        values[place] = draws[mine]
    exact[columns, samples] = 1.0
    return Block(values, exact, block.errors, bool(exact.all()), None)


def drawn_errors(errors: Array, normal: Array) -> Array:
    """Return errors (n, D) of variances (D, n) or covariances (D, D, n) from normal numbers."""
    if errors.ndim == 2:
        return normal * np.sqrt(errors.T)
    values, vectors = np.linalg.eigh(np.moveaxis(errors, -1, 0))
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return (roots @ normal[:, :, None])[:, :, 0]
