"""Factor analysers N(x | μ_k, Λ_k Λ_kᵀ + Ψ_k) at a point, without D x D matrices.

Distances are |Ψ^-½ (x - μ - Λ z)|² + |z|² at expected factors z = β (x - μ), which avoids
cancellation; determinants |Ψ| |I + Λᵀ Ψ⁻¹ Λ| (Woodbury).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np

from bayesmix.core.families import AtAPoint, ByMeans, Rearranged
from bayesmix.core.parameters import (
    INFINITY,
    NOT_NEGATIVE,
    POSITIVE,
    REAL,
    Coordinate,
    Domain,
    Parameter,
    Positive,
    declared,
    parameter,
    within,
)
from bayesmix.core.rows import NO_ROWS, Frame
from bayesmix.numerics.arrays import LOG_2PI, Array, Integers
from bayesmix.numerics.memo import once

# Smallest fraction of a start's variance for noise and for loadings, as loadings of zero stay zero.
LEAST_SHARE = 0.1
# Smaller eigenvalues, relative to the largest, are rounding.
NO_EXTENT = 1e-12


@dataclass(frozen=True)
class FactorModel:
    """Number of factors, and what components share."""

    n_factors: int
    shared_loadings: bool
    isotropic_noise: bool

    def updated(
        self, counts: Array, squares: Array, projected: Array, second: Array, noise: Array
    ) -> tuple[Array, Array]:
        """Return loadings (K, D, q) and noise variances (K, D) that do not lower the likelihood.

        ``squares`` (K, D) is the diagonal of the scatters, ``projected`` (K, D, q) the scatters
        times βᵀ, ``second`` (K, q, q) Σ r E[z zᵀ] about its mean, ``noise`` the previous one. A
        step of EM with hidden factors (Ghahramani & Hinton 1997); shared loadings use the previous
        noise (ECM: Meng & Rubin 1993).
        """
        if self.shared_loadings:
            precise = 1.0 / noise
            left = np.einsum("kd,kij->dij", precise, second)
            right = np.einsum("kd,kdj->dj", precise, projected)
            one = np.linalg.solve(left, right[:, :, None])[:, :, 0]
            loadings = np.broadcast_to(one, projected.shape)
        else:
            loadings = np.linalg.solve(second, projected.transpose(0, 2, 1)).transpose(0, 2, 1)
        explained = np.einsum("kdj,kdj->kd", loadings, 2.0 * projected - loadings @ second)
        return loadings, self.of_noise((squares - explained) / counts[:, None])

    def begun(self, counts: Array, squares: Array, left: Array) -> tuple[Array, Array]:
        """Return a start from a low-rank part F Fᵀ of the scatters, F (K, D, m).

        Principal axes less the noise (Tipping & Bishop 1999, eq. 7), in unscaled columns.
        """
        n_components, n_features, _ = left.shape
        totals, own = counts, left
        if self.shared_loadings:
            totals, own = counts.sum(keepdims=True), np.concatenate(list(left), axis=1)[None]
        within = squares if len(own) == n_components else squares.sum(axis=0, keepdims=True)
        axes, sizes, _ = np.linalg.svd(own, full_matrices=False)
        q = self.n_factors
        spread = np.zeros((len(own), q))
        found = sizes[:, :q] ** 2 / totals[:, None]
        spread[:, : found.shape[1]] = found
        variances = within / totals[:, None]
        rest = np.maximum(variances.sum(axis=1) - spread.sum(axis=1), 0.0) / (n_features - q)
        lengths = np.sqrt(np.maximum(spread - rest[:, None], LEAST_SHARE * spread))
        directions = np.zeros((len(own), n_features, q))
        directions[:, :, : axes.shape[2]] = axes[:, :, :q]
        loadings = np.broadcast_to(directions * lengths[:, None, :], (n_components, n_features, q))
        own_variances = squares / counts[:, None]
        noise = own_variances - np.einsum("kdj,kdj->kd", loadings, loadings)
        return loadings, self.of_noise(np.maximum(noise, LEAST_SHARE * own_variances))

    def of_noise(self, variances: Array) -> Array:
        """Return noise variances (K, D) of the model from variances by column."""
        if self.isotropic_noise:
            mean = variances.mean(axis=1, keepdims=True)
            return np.repeat(mean, variances.shape[1], axis=1)
        return variances

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count free parameters of the covariances, at most those of K matrices."""
        D, q = n_features, self.n_factors
        n_loadings = D * q - q * (q - 1) // 2
        noise = n_components * (1 if self.isotropic_noise else D)
        total = n_loadings * (1 if self.shared_loadings else n_components) + noise
        return min(total, n_components * D * (D + 1) // 2)


def low_rank(directions: Array, projected: Array) -> Array:
    """Return F (K, D, m), F Fᵀ the Nyström approximation of scatters S, from S B and B."""
    inner = directions.transpose(0, 2, 1) @ projected
    values, vectors = np.linalg.eigh(0.5 * (inner + inner.transpose(0, 2, 1)))
    largest = np.maximum(values[:, -1:], 0.0)
    extent = values > NO_EXTENT * largest
    inverse = np.where(extent, 1.0 / np.sqrt(np.where(extent, values, 1.0)), 0.0)
    return projected @ (vectors * inverse[:, None, :])


@dataclass(frozen=True)
class SeenAlong:
    """Diagonals of the scatters S_k, and S_k B_k along directions B_k.

    B_k is βᵀ of the mixture of the E-step, ``unsure`` the conditional covariances of its factors,
    ``noise`` its noise. At a start directions are arbitrary and the two are None.
    """

    squares: Array = field(metadata=within(NOT_NEGATIVE))  # (K, D)
    directions: Array = field(metadata=within(REAL))  # (K, D, m)
    projected: Array = field(metadata=within(REAL))  # (K, D, m)
    unsure: Array | None = None  # (K, q, q)
    noise: Array | None = None  # (K, D)

    def merged(self, other: SeenAlong, weights: Array, away: Array) -> SeenAlong:
        """Merge with sums of other data, and Σ w_k δ_k δ_kᵀ between the two."""
        along = np.einsum("kd,kdm->km", away, self.directions)
        between = weights[:, None] * away
        return replace(
            self,
            squares=self.squares + other.squares + between * away,
            projected=self.projected + other.projected + between[:, :, None] * along[:, None, :],
        )

    def estimate(self, model: FactorModel, counts: Array) -> tuple[Array, Array]:
        """Return loadings (K, D, q) and noise variances (K, D)."""
        if self.unsure is None or self.noise is None:
            return model.begun(counts, self.squares, low_rank(self.directions, self.projected))
        second = self.directions.transpose(0, 2, 1) @ self.projected
        second += counts[:, None, None] * self.unsure
        return model.updated(counts, self.squares, self.projected, second, self.noise)


@dataclass(frozen=True)
class ProjectedMoments(Rearranged):
    """Counts (K,), means (K, D) and projections of the scatters.

    Combined or extrapolated moments hold loadings (K, D, q) and noise (K, D) instead, and are not
    added.
    """

    model: FactorModel
    counts: Array = field(metadata=within(NOT_NEGATIVE))
    means: Array = field(metadata=within(REAL))
    seen: SeenAlong | None
    known: tuple[Array, Array] | None = None

    shared = False

    def __add__(self, other: ProjectedMoments) -> ProjectedMoments:
        assert self.seen is not None
        assert other.seen is not None
        counts = self.counts + other.counts
        share = np.zeros_like(counts)
        np.divide(other.counts, counts, out=share, where=counts > 0)
        away = other.means - self.means
        seen = self.seen.merged(other.seen, self.counts * share, away)
        return ProjectedMoments(self.model, counts, self.means + share[:, None] * away, seen)

    @once
    def estimate(self) -> tuple[Array, Array]:
        """Loadings (K, D, q) and noise variances (K, D), zero for empty components."""
        if self.known is not None:
            return self.known
        assert self.seen is not None
        return self.seen.estimate(self.model, np.maximum(self.counts, NO_ROWS))

    def scaled(self, factor: float) -> ProjectedMoments:
        seen = self.seen
        if seen is not None:
            squares, projected = factor * seen.squares, factor * seen.projected
            seen = replace(seen, squares=squares, projected=projected)
        return replace(self, counts=factor * self.counts, seen=seen)

    def subset(self, keep: Integers) -> ProjectedMoments:
        loadings, noise = self.estimate
        return self._holding(self.counts[keep], self.means[keep], loadings[keep], noise[keep])

    @classmethod
    def joined(cls, parts: Sequence[ProjectedMoments]) -> ProjectedMoments:
        together = zip(*(part._parts for part in parts), strict=True)
        return parts[0]._holding(*(np.concatenate(each) for each in together))

    def pack(self) -> Array:
        """Return N, N μ, N Λ and N Ψ of the estimates as a vector."""
        counts, *rest = self._parts
        return np.concatenate(
            [counts, *((counts.reshape(-1, *[1] * (x.ndim - 1)) * x).ravel() for x in rest)]
        )

    def units(self) -> Array:
        counts, means, loadings, noise = self._parts
        K, _, q = loadings.shape
        second = np.square(means) + np.square(loadings).sum(axis=2) + noise
        square = counts @ second / counts.sum()
        unit = 1.0 / np.sqrt(np.where(square > 0.0, square, 1.0))
        return np.concatenate(
            [np.ones(K), np.tile(unit, K), np.tile(np.repeat(unit, q), K), np.tile(unit**2, K)]
        )

    def unpack(self, vector: Array) -> ProjectedMoments:
        """Return the moments that pack to ``vector``; empty components are unchanged."""
        ends = np.cumsum([part.size for part in self._parts])
        counts, *sums = np.split(vector, ends[:-1])
        present = counts > NO_ROWS
        parts = []
        for before, total in zip(self._parts[1:], sums, strict=True):
            part, shape = before.copy(), (-1, *[1] * (before.ndim - 1))
            np.divide(
                total.reshape(before.shape),
                counts.reshape(shape),
                out=part,
                where=present.reshape(shape),
            )
            parts.append(part)
        return self._holding(counts, *parts)

    @property
    def _parts(self) -> tuple[Array, Array, Array, Array]:
        loadings, noise = self.estimate
        return self.counts, self.means, loadings, noise

    def _holding(
        self, counts: Array, means: Array, loadings: Array, noise: Array
    ) -> ProjectedMoments:
        """Return moments with these estimates; shared loadings are averaged by counts."""
        if self.model.shared_loadings:
            shares = np.maximum(counts, NO_ROWS)
            one = np.tensordot(shares / shares.sum(), loadings, 1)
            loadings = np.broadcast_to(one, loadings.shape)
        return ProjectedMoments(self.model, counts, means, None, (loadings, noise))


def projected_moments(
    model: FactorModel,
    values: Array,
    responsibilities: Array,
    directions: Array,
    unsure: Array | None = None,
    noise: Array | None = None,
) -> ProjectedMoments:
    """Return moments of framed data under responsibilities (n, K): means first, then scatters."""
    columns = values.T
    counts = responsibilities.sum(axis=0)
    totals = columns @ responsibilities
    means = np.zeros_like(totals)
    np.divide(totals, counts, out=means, where=counts > 0)
    means = np.ascontiguousarray(means.T)
    squares, projected = np.empty(means.shape), np.empty(directions.shape)
    for k, along in enumerate(directions):
        away = columns - means[k][:, None]
        projected[k] = (away * responsibilities[:, k]) @ (away.T @ along)
        away *= away
        np.dot(away, responsibilities[:, k], out=squares[k])
    seen = SeenAlong(squares, directions, projected, unsure, noise)
    return ProjectedMoments(model, counts, means, seen)


class Loadings(Domain):
    """Loadings up to rotations of the factors, which do not change the covariances."""

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        loadings, (K, D, q) = components.loadings, components.loadings.shape
        units = components.noise_deviations[:, :, None]
        if parameter.shared:
            units = np.broadcast_to(units.mean(axis=0), units.shape)
        turns = np.zeros((q * (q - 1) // 2, q, q))
        for turn, (i, j) in zip(turns, combinations(range(q), 2), strict=True):
            turn[i, j], turn[j, i] = 1.0, -1.0
        turned = np.einsum("kdi,tij->ktdj", loadings / units, turns).reshape(K, len(turns), D * q)
        across = np.broadcast_to(np.eye(D * q), (K, D * q, D * q))
        if len(turns):
            across = np.linalg.svd(turned)[2]
        for place in range(len(turns), D * q):
            direction = across[:, place].reshape(K, D, q) * units
            yield Coordinate(_AlongLoadings(direction), np.ones(K))


@dataclass(frozen=True)
class _AlongLoadings:
    directions: Array

    def __call__(self, values: Array, steps: Array) -> Array:
        return np.asarray(values + steps[:, None, None] * self.directions)


class NoiseVariances(Positive):
    """Noise variances, of each column or common to all."""

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        if components.model.isotropic_noise:
            yield Coordinate(self.stepped, np.ones(components.n_components))
        else:
            yield from super().coordinates(parameter, components)


NOISE_VARIANCES = NoiseVariances(POSITIVE.low, POSITIVE.high)


@dataclass(frozen=True)
class FactorAnalysers(ByMeans, AtAPoint):
    """Means (K, D), loadings (K, D, q) and noise variances (K, D)."""

    model: FactorModel
    means: Array = field(metadata=parameter(REAL, units="noise_deviations"))
    loadings: Array = field(metadata=parameter(Loadings(-INFINITY, INFINITY), spread=True))
    noise: Array = field(metadata=parameter(NOISE_VARIANCES, "noise_variances", spread=True))

    @property
    def noise_deviations(self) -> Array:
        """Deviations (K, D) given the factors, over which densities change."""
        return np.sqrt(self.noise)

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters of the model, which may share loadings."""
        means, loadings, noise = declared(self)
        return means, replace(loadings, shared=self.model.shared_loadings), noise

    @once
    def precision_root(self) -> Array:
        """Precision of the noise, 1 / √Ψ (K, D)."""
        return 1.0 / np.sqrt(self.noise)

    @once
    def scaled_loadings(self) -> Array:
        """Scaled loadings Ψ^-½ Λ (K, D, q)."""
        return self.loadings * self.precision_root[:, :, None]

    @once
    def unsure(self) -> Array:
        """Conditional covariance of the factors, (I + Λᵀ Ψ⁻¹ Λ)⁻¹ (K, q, q)."""
        return np.asarray(np.linalg.inv(self._precise), dtype=np.float64)

    @property
    def _precise(self) -> Array:
        scaled = self.scaled_loadings
        precise: Array = scaled.transpose(0, 2, 1) @ scaled
        return precise + np.eye(precise.shape[1])

    @once
    def directions(self) -> Array:
        """Directions βᵀ (K, D, q), where β (x - μ) are the expected factors."""
        return self.precision_root[:, :, None] * (self.scaled_loadings @ self.unsure)

    @once
    def offset(self) -> Array:
        """Log density at the mean (K,)."""
        log_det = np.log(self.noise).sum(axis=1) + np.linalg.slogdet(self._precise)[1]
        return -0.5 * (log_det + self.means.shape[1] * LOG_2PI)

    def expected_log_density(self, values: Array) -> Array:
        return self.offset - 0.5 * self._squared(values.T, self.means)

    def _squared(self, columns: Array, means: Array) -> Array:
        """Return squared Mahalanobis distances (n, K) of data given as columns (D, n)."""
        out = np.empty((len(means), columns.shape[1]))
        for k, (root, scaled) in enumerate(
            zip(self.precision_root, self.scaled_loadings, strict=True)
        ):
            away = columns - means[k][:, None]
            away *= root[:, None]
            factors = self.unsure[k] @ (scaled.T @ away)
            away -= scaled @ factors
            np.einsum("dn,dn->n", away, away, out=out[k])
            out[k] += np.einsum("qn,qn->n", factors, factors)
        return out.T

    def statistics(self, values: Array, responsibilities: Array) -> ProjectedMoments:
        return projected_moments(
            self.model, values, responsibilities, self.directions, self.unsure, self.noise
        )

    def subset(self, keep: Integers) -> FactorAnalysers:
        return replace(
            self, means=self.means[keep], loadings=self.loadings[keep], noise=self.noise[keep]
        )

    def framed(self, frame: Frame) -> FactorAnalysers:
        return self._in_units(frame.apply(self.means), 1.0 / frame.scale)

    def unframed(self, frame: Frame) -> FactorAnalysers:
        return self._in_units(frame.undo(self.means), frame.scale)

    def _in_units(self, means: Array, unit: Array) -> FactorAnalysers:
        return replace(
            self,
            means=np.ascontiguousarray(means),
            loadings=self.loadings * unit[:, None],
            noise=self.noise * unit * unit,
        )

    @property
    def deviations(self) -> Array:
        return np.sqrt(np.square(self.loadings).sum(axis=2) + self.noise)

    @property
    def covariances(self) -> Array:
        matrices: Array = self.loadings @ self.loadings.transpose(0, 2, 1)
        np.einsum("kdd->kd", matrices)[...] += self.noise
        return matrices

    @property
    def precisions(self) -> Array:
        """Inverse covariance matrices (K, D, D), by Woodbury's identity."""
        scaled = self.scaled_loadings
        matrices: Array = -scaled @ self.unsure @ scaled.transpose(0, 2, 1)
        np.einsum("kdd->kd", matrices)[...] += 1.0
        matrices *= self.precision_root[:, :, None]
        matrices *= self.precision_root[:, None, :]
        return matrices

    def marginal(self, columns: Integers) -> FactorAnalysers:
        return replace(
            self,
            means=self.means[:, columns],
            loadings=self.loadings[:, columns],
            noise=self.noise[:, columns],
        )

    def conditional(self, columns: Integers, given: Integers, values: Array) -> FactorAnalysers:
        """Return the densities of ``columns`` given values (G,) of the columns ``given``.

        The loadings change with what is known of the factors; the noise does not.
        """
        of_given = self.marginal(given)
        means = self.conditional_means(columns, given, values[None])[0]
        left = np.linalg.cholesky(of_given.unsure)
        return replace(
            self,
            means=means,
            loadings=self.loadings[:, columns] @ left,
            noise=self.noise[:, columns],
        )

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        of_given = self.marginal(given)
        out = np.empty((len(values), self.n_components, len(columns)))
        for k in range(self.n_components):
            factors = (values - of_given.means[k]) @ of_given.directions[k]
            out[:, k] = self.means[k, columns] + factors @ self.loadings[k, columns].T
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        labels = np.repeat(np.arange(self.n_components), counts)
        factors = generator.standard_normal((len(labels), self.loadings.shape[2]))
        out = generator.standard_normal((len(labels), self.means.shape[1]))
        for k in np.unique(labels):
            rows = labels == k
            out[rows] *= np.sqrt(self.noise[k])
            out[rows] += self.means[k] + factors[rows] @ self.loadings[k].T
        return out
