"""Errors of measurement with known covariances: x_n = t_n + e_n, e_n ~ N(0, S_n).

The mixture is that of the true values t. With T = Σ_k + S_n and u = T⁻¹(x - m_k), the true value
has mean m_k + Σ_k u and covariance Σ_k - Σ_k T⁻¹ Σ_k in component k, so Σ r u and Σ r (u uᵀ - T⁻¹)
are the statistics (Bovy, Hogg & Roweis 2011). Missing cells have an infinite error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from bayesmix.core.components import Components, Densities
from bayesmix.core.families import Family
from bayesmix.core.mixture import ChunkSums, Mixture
from bayesmix.core.rows import Frame, Rows, SideInformation
from bayesmix.em.expectation import Step, block_sums
from bayesmix.errors import DegenerateFitError, InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.numerics.arrays import AXES, Array, Integers
from bayesmix.numerics.gaps import has_gaps, seen, without_gaps
from bayesmix.numerics.special import LOG_2PI
from bayesmix.observation.missing import Drawing
from bayesmix.sources.memory import ArraySource

if TYPE_CHECKING:
    from bayesmix.em.result import FitResult

# Numbers of a block, K D² for each sample, that fit into a cache of a few megabytes.
BLOCK_VALUES = 2**18
# Samples with equal errors above which their matrices are factorised once.
TOGETHER = 16
# Eigenvalues of a covariance relative to the largest that are rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class Errors:
    """Distinct variances (G, D) or covariances (G, D, D) of errors, and their numbers (n,)."""

    distinct: Array
    numbers: Integers

    def __getitem__(self, rows: Any) -> Errors:
        return replace(self, numbers=self.numbers[rows])

    def form(self, family: Family, variational: bool, seed: int) -> Deconvolution:
        if family.name != "gaussian":
            raise UnsupportedError(
                f"errors of measurement need a Gaussian family, got {family!r}: use GaussianMixture"
            )
        if variational:
            raise UnsupportedError(
                "errors of measurement need a point estimate, as the bound has no closed form: use "
                "GaussianMixture, with prior='auto' for posterior modes"
            )
        return Deconvolution(seed)

    def log_joint(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        joint = np.empty((len(rows), mixture.n_components))
        for indices, block in blocks_of(mixture, rows):
            for k, part in enumerate(convolved(mixture, block)):
                joint[indices, k] = part.log_density
        joint += mixture.log_weights
        return joint

    def log_volume(self, mixture: Mixture[Densities], rows: Rows) -> Array:
        """Return the log volumes of the observed columns."""
        return seen(np.asarray(rows.values)) @ np.log(mixture.frame.scale)

    def framed(self, frame: Frame) -> Array:
        """Return distinct errors (D, G) or (D, D, G) in a frame."""
        if frame.basis is not None:
            raise UnsupportedError(
                "errors of measurement do not support columns that are linear combinations of "
                "others: leave out such columns"
            )
        scale = frame.inverse_scale
        if self.distinct.ndim == 2:
            return (self.distinct * (scale * scale)).T
        return np.moveaxis(self.distinct * (scale[:, None] * scale), 0, -1)


@dataclass(frozen=True)
class Convolved:
    """A component for a block: log densities (n,), scores u (D, n) and R with T⁻¹ = Rᵀ R.

    ``root`` is (D, D, n), (D, n) for diagonal matrices, with n = 1 if equal for all samples.
    """

    log_density: Array
    scores: Array
    root: Array

    def information(self, shares: Array) -> Array:
        """Return Σ r T⁻¹ (D, D), or (D,) for diagonal matrices."""
        total = shares if self.root.shape[-1] > 1 else shares.sum(keepdims=True)
        if self.root.ndim == 2:
            return (self.root * self.root) @ total
        return cast("Array", ((self.root * total) @ self.root.swapaxes(1, 2)).sum(axis=0))

    def curvature(self, shares: Array) -> Array:
        """Return Σ r (u uᵀ - T⁻¹)."""
        weighted = shares * self.scores
        if self.root.ndim == 2:
            return (weighted * self.scores).sum(axis=1) - self.information(shares)
        return weighted @ self.scores.T - self.information(shares)


def components_of(mixture: Mixture[Densities]) -> Gaussians:
    """Return Gaussians at a point, or raise ``UnsupportedError``."""
    components = mixture.components
    if not isinstance(components, Gaussians):
        raise UnsupportedError(
            "errors of measurement need a point estimate of Gaussian components: use "
            "GaussianMixture"
        )
    return components


def blocks_of(mixture: Mixture[Densities], rows: Rows) -> list[tuple[Any, Rows]]:
    """Return blocks of a chunk with their indices; many samples of equal errors are together."""
    errors = cast("Errors", rows.side.measurement)
    n_features = len(mixture.frame.centre)
    size = max(TOGETHER, BLOCK_VALUES // (mixture.n_components * n_features**2))
    order = np.argsort(errors.numbers, kind="stable")
    numbers = errors.numbers[order]
    starts = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1]))
    if len(rows) < TOGETHER * len(starts) or has_gaps(rows.values):
        places: Sequence[Any] = [slice(a, a + size) for a in range(0, len(rows), size)]
        return [(place, rows.some(place)) for place in places]
    return [(group, rows.some(group)) for group in np.split(order, starts[1:])]


def convolved(mixture: Mixture[Densities], rows: Rows) -> list[Convolved]:
    """Return the components for a block, whose samples have equal errors or are few."""
    components, errors = components_of(mixture), cast("Errors", rows.side.measurement)
    values = without_gaps(rows.framed(mixture.frame)).T
    present = seen(np.asarray(rows.values)).T
    numbers = errors.numbers
    equal = present.all() and (numbers == numbers[0]).all()
    own = errors.framed(mixture.frame)[..., numbers[:1] if equal else numbers]
    mask = np.ones((len(present), 1)) if equal else present
    constants = present.sum(axis=0) * LOG_2PI
    structure, K = components.structure, components.n_components
    diagonal = own.ndim == 2 and structure.algebra.kind == AXES
    penalty = np.zeros(K)
    if components.resolution is not None:
        of_blocks = structure.algebra.trace(components.resolution, components.precision_root)
        penalty = structure.algebra.per_component(of_blocks, *components.means.shape)
    parts = []
    covariances = components.covariances
    for mean, covariance, less in zip(components.means, covariances, penalty, strict=True):
        away = (values - mean[:, None]) * present
        if diagonal:
            root, log_det = _diagonal_root(np.diagonal(covariance)[:, None] + own, mask)
            white = root * away
            scores = root * white
        else:
            whole = own if own.ndim == 3 else own * np.eye(len(own))[:, :, None]
            root, log_det = _inverse_root(covariance[:, :, None] + whole, mask)
            white, scores = _whitened(root, away)
        distance = np.einsum("dn,dn->n", white, white)
        parts.append(Convolved(-0.5 * (distance + log_det + constants + less), scores, root))
    return parts


def _diagonal_root(variances: Array, mask: Array) -> tuple[Array, Array]:
    """Return T^(-1/2) (D, n), 0 where missing, and log det T (n,)."""
    _refuse_singular(variances)
    return mask / np.sqrt(variances), (mask * np.log(variances)).sum(axis=0)


def _inverse_root(T: Array, mask: Array) -> tuple[Array, Array]:
    """Return lower triangles R (D, D, n) with T⁻¹ = Rᵀ R, 0 where missing, and log det T (n,)."""
    D, n = len(T), T.shape[-1]
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
    log_det = 2.0 * np.log(lower[range(D), range(D)]).sum(axis=0)
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
    if not pivots.min() > 0.0:
        raise DegenerateFitError("a covariance of true values and errors is singular")


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
        return reduce(add, (self._block(convolved(self.mixture, part), part) for part in blocks))

    def _block(self, parts: list[Convolved], rows: Rows) -> ChunkSums:
        joint = np.stack([part.log_density for part in parts]).T
        joint += self.mixture.finite_log_weights
        return block_sums(self.mixture, joint, rows, lambda shares: self._statistics(parts, shares))

    def _statistics(self, parts: list[Convolved], shares: Array) -> Moments:
        """Return moments of true values from responsibilities (n, K)."""
        components = components_of(self.mixture)
        counts = shares.sum(axis=0)
        means = components.means.copy()
        scatter = np.empty((len(means), means.shape[1], means.shape[1]))
        for k, (part, covariance) in enumerate(zip(parts, components.covariances, strict=True)):
            own = np.ascontiguousarray(shares[:, k])
            moved = covariance @ (part.scores @ own)
            step = moved / counts[k] if counts[k] > 0.0 else np.zeros_like(moved)
            curvature = part.curvature(own)
            inner = np.diag(curvature) if curvature.ndim == 1 else curvature
            within = covariance @ inner @ covariance
            scatter[k] = counts[k] * covariance + within - np.outer(moved, step)
            means[k] += step
        structure = components.structure
        blocks = structure.blocks.pool(structure.algebra.of_dense(scatter))
        return Moments(structure, counts, means, blocks)


def drawn(mixture: Mixture[Densities], rows: Rows, generator: np.random.Generator) -> Array:
    """Return draws (n, D) of true values given what was measured, in data units.

    A draw of a component and an error is moved by what its sum lacks (Matheron).
    """
    shares, _ = mixture.responsibilities(rows)
    reached = np.cumsum(shares[:, : mixture.n_components], axis=1)
    labels = (reached < generator.random((len(rows), 1)) * reached[:, -1:]).sum(axis=1)
    components, errors = components_of(mixture), cast("Errors", rows.side.measurement)
    normal = generator.standard_normal((2, len(rows), len(mixture.frame.centre)))
    out = components.means[labels] + components.spread_out(normal[0], labels)
    measured = out + _drawn_errors(errors, mixture.frame, normal[1])
    lacking = np.zeros_like(out)
    away = without_gaps(rows.framed(mixture.frame) - measured)
    for indices, block in blocks_of(mixture, rows):
        for k, part in enumerate(convolved(mixture, block)):
            own = labels[indices] == k
            root = part.root if part.root.shape[-1] == 1 else part.root[..., own]
            places = np.arange(len(rows))[indices][own]
            if root.ndim == 2:
                lacking[places] = (root * root * away[places].T).T
            else:
                lacking[places] = _whitened(root, away[places].T)[1].T
    for k, covariance in enumerate(components.covariances):
        out[labels == k] += lacking[labels == k] @ covariance
    return mixture.frame.undo(out)


def _drawn_errors(errors: Errors, frame: Frame, normal: Array) -> Array:
    distinct = errors.framed(frame)
    if distinct.ndim == 2:
        return normal * np.sqrt(distinct.T)[errors.numbers]
    values, vectors = np.linalg.eigh(np.moveaxis(distinct, -1, 0))
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    return cast("Array", np.einsum("nij,nj->ni", roots[errors.numbers], normal))


class TrueValues(NamedTuple):
    """Posterior means and standard deviations (n, D) of the true values of samples."""

    mean: Array
    standard_deviation: Array


def true_values(result: FitResult, rows: Rows) -> TrueValues:
    """Return the posterior of the true values of measured samples, averaged over components."""
    mixture = result.density
    if not isinstance(rows.side.measurement, Errors):
        raise InvalidInputError("X must have errors: pass bayesmix.Measured(X, error=...)")
    shares, _ = mixture.responsibilities(rows)
    components = components_of(mixture)
    first, second = np.zeros((2, len(rows), len(mixture.frame.centre)))
    for indices, block in blocks_of(mixture, rows):
        own = shares[indices]
        for k, part in enumerate(convolved(mixture, block)):
            covariance = components.covariances[k]
            mean = components.means[k] + (covariance @ part.scores).T
            root = part.root
            if root.ndim == 2:
                root = root[:, None] * np.eye(len(root))[:, :, None]
            explained = np.einsum("ijn,jd->din", root, covariance)
            variance = np.diagonal(covariance) - (explained**2).sum(axis=1).T
            first[indices] += own[:, k, None] * mean
            second[indices] += own[:, k, None] * (mean * mean + variance)
    deviation = np.sqrt(np.maximum(second - first * first, 0.0)) * mixture.frame.scale
    return TrueValues(mixture.frame.undo(first), deviation)


def Measured(X: Any, *, error: Any) -> ArraySource:
    """Data with known errors of measurement, for the X of any method.

    The mixture is then that of the true values (extreme deconvolution; Bovy, Hogg & Roweis 2011):
    ``log_likelihood_`` and ``score_samples`` are of the measured values, and ``true_values``
    returns the posterior of the true ones.

    Parameters
    ----------
    X : array or frame (n, D)
        Measured values; missing values need ``missing="use"``.
    error : array (D,), (n, D) or (n, D, D)
        Standard deviations of the errors, for all samples or for each, or their covariances. An
        infinite standard deviation or variance is a missing value.

    Returns
    -------
    source

    Raises
    ------
    ValueError
        If the errors do not fit X, or are negative or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> true = rng.normal(0.0, 1.0, (500, 1))
    >>> error = rng.uniform(0.5, 2.0, (500, 1))
    >>> X = bm.Measured(true + error * rng.normal(size=(500, 1)), error=error)
    >>> gm = bm.GaussianMixture(1).fit(X)
    >>> gm.covariances_.ravel().round(1)
    array([1.])
    >>> values = gm.true_values(X)
    >>> bool(np.abs(values.mean - true).mean() < np.abs(X.values - true).mean())
    True
    """
    names = getattr(X, "columns", None)
    values = np.array(X, dtype=np.float64)
    if values.ndim != 2:
        raise InvalidInputError(
            f"X must have two dimensions, rows and columns, got shape {values.shape}"
        )
    given = np.array(error, dtype=np.float64)
    n, D = values.shape
    if given.shape not in ((D,), (n, D), (n, D, D)):
        raise InvalidInputError(
            f"error must have shape ({D},), ({n}, {D}) or ({n}, {D}, {D}) for X of shape "
            f"{values.shape}, got {given.shape}"
        )
    spread = np.broadcast_to(given, (n, D)) if given.ndim < 3 else np.diagonal(given, 0, 1, 2)
    wrong = np.argwhere(~(spread >= 0.0))
    if len(wrong):
        row, column = wrong[0]
        name = column if names is None else repr(list(names)[column])
        raise InvalidInputError(
            f"error must not be negative or missing, got {spread[row, column]:g} in row {row}, "
            f"column {name}: pass infinity where the value is unknown"
        )
    unknown = np.isinf(spread)
    values[unknown] = np.nan
    if given.ndim == 3:
        given[unknown[:, :, None] | unknown[:, None, :]] = 0.0
        _refuse_no_covariance(given)
    else:
        given = np.where(np.isinf(given), 0.0, given) ** 2
    distinct, numbers = given[None], np.zeros(n, dtype=np.intp)
    if given.ndim > 1:
        distinct, numbers = np.unique(given, axis=0, return_inverse=True)
        numbers = numbers.ravel()
    side = SideInformation(measurement=Errors(distinct, numbers))
    columns = None if names is None else tuple(map(str, names))
    return ArraySource(values, columns=columns, side=side)


def _refuse_no_covariance(covariances: Array) -> None:
    """Raise an error for the first matrix that is not symmetric and positive semidefinite."""
    size = np.abs(covariances).max(axis=(1, 2))
    least = ROUNDING * size
    uneven = np.abs(covariances - covariances.swapaxes(1, 2)).max(axis=(1, 2)) > least
    symmetric = np.isfinite(covariances).all(axis=(1, 2)) & ~uneven
    lowest = np.full(len(size), -np.inf)
    lowest[symmetric] = np.linalg.eigvalsh(covariances[symmetric])[:, 0]
    wrong = np.flatnonzero(~(lowest >= -least))
    if len(wrong):
        raise InvalidInputError(
            f"error must hold symmetric, positive semidefinite covariances, but that of row "
            f"{wrong[0]} is not: check its units and signs"
        )
