"""Regressions with random effects of units: y_i | k ~ N(X_i β_k, Z_i D_k Z_i' + σ_k² I).

A unit is one row of cross-products, so the cost of a pass does not depend on the number of visits
(Woodbury). The M-step is one step of Fisher scoring in β, D and σ², exact for β given D
and σ² (Verbeke & Molenberghs 2000, sections 5.3 and 12; Jennrich & Schluchter 1986).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.core.designs import Standardised
from bayesmix.core.rows import AddedByField, Frame
from bayesmix.errors import InvalidInputError
from bayesmix.families.effect_covariances import EffectCovariance, vech_basis
from bayesmix.families.regressions import DESIGN, OFFSET, NormalResponse
from bayesmix.numerics.arrays import Array, Integers

NORMAL = NormalResponse()
# Name of the random intercept.
INTERCEPT = "intercept"
# Rows of a block of cross-products: its products fit into some megabytes.
ROWS_AT_ONCE = 2**15


def cross_products(rows: Array, starts: Integers) -> Array:
    """Return e'e, the number of rows, X'e and the lower triangle of X'X of each unit.

    ``rows`` (n, 1 + P) are e and X, and ``starts`` (U,) are the first rows of the units.
    """
    n, P = len(rows), rows.shape[1] - 1
    first, second = np.tril_indices(P)
    out = np.empty((len(starts), 2 + P + len(first)))
    ends = np.append(starts[1:], n)
    out[:, 1] = ends - starts
    begin = 0
    while begin < len(starts):
        end = max(begin + 1, int(np.searchsorted(ends, starts[begin] + ROWS_AT_ONCE, "right")))
        block = rows[starts[begin] : ends[end - 1]]
        e, X = block[:, :1], block[:, 1:]
        places = starts[begin:end] - starts[begin]
        out[begin:end, 0] = np.add.reduceat(e[:, 0] ** 2, places)
        out[begin:end, 2 : 2 + P] = np.add.reduceat(e * X, places)
        out[begin:end, 2 + P :] = np.add.reduceat(X[:, first] * X[:, second], places)
        begin = end
    return out


@dataclass(frozen=True)
class Units:
    """Cross-products (U, W) of units, by name."""

    packed: Array
    n_columns: int

    @property
    def squares(self) -> Array:
        return self.packed[:, 0]

    @property
    def sizes(self) -> Array:
        return self.packed[:, 1]

    @property
    def responses(self) -> Array:
        """X'e (U, P)."""
        return self.packed[:, 2 : 2 + self.n_columns]

    @property
    def triangles(self) -> Array:
        return self.packed[:, 2 + self.n_columns :]

    @cached_property
    def designs(self) -> Array:
        """X'X (U, P, P)."""
        return full_matrices(self.triangles, self.n_columns)


def full_matrices(triangles: Array, size: int) -> Array:
    """Return symmetric matrices (..., P, P) from their lower triangles."""
    places = np.empty((size, size), dtype=int)
    first, second = np.tril_indices(size)
    places[first, second] = places[second, first] = np.arange(len(first))
    return np.asarray(triangles[..., places])


@dataclass(frozen=True)
class UnitSpreads:
    """What V = Z D Z' + σ² I of units gives, whatever their means."""

    effect_covariances: Array  # G = Cov[b | y] (U, q, q)
    designs: Array  # Z'Z / σ² (U, q, q)
    log_determinant: Array  # log |2π V| (U,)
    precision: Array  # Z'V⁻¹Z (U, q, q)
    squared_precision: Array  # Z'V⁻²Z (U, q, q)
    trace: Array  # σ² tr V⁻¹ (U,)
    squared_trace: Array  # σ⁴ tr V⁻² (U,)

    @classmethod
    def of(cls, units: Units, effects: Array, covariance: Array, variance: float) -> UnitSpreads:
        ZZ = effects.T @ units.designs @ effects / variance
        system = np.eye(len(covariance)) + covariance @ ZZ
        G = np.asarray(
            np.linalg.solve(system, np.broadcast_to(covariance, system.shape)), np.float64
        )
        AG = ZZ @ G
        precision = ZZ - AG @ ZZ
        explained = np.trace(AG, axis1=1, axis2=2)
        squared = np.einsum("uqr,urq->u", AG, AG)
        return cls(
            effect_covariances=G,
            designs=ZZ,
            log_determinant=np.linalg.slogdet(system)[1]
            + units.sizes * np.log(2.0 * np.pi * variance),
            precision=precision,
            squared_precision=(precision - AG @ precision) / variance,
            trace=units.sizes - explained,
            squared_trace=units.sizes - 2.0 * explained + squared,
        )


@dataclass(frozen=True)
class UnitMoments:
    """Densities and scores of units in one component, with e = y - Xβ."""

    spreads: UnitSpreads
    residual_products: Array  # X'e (U, P)
    effects: Array  # E[b | y] (U, q)
    log_density: Array  # (U,)
    slopes: Array  # Z'V⁻¹e (U, q)
    variance_slope: Array  # d log p / dσ² (U,)

    def variance_scores(self, basis: Array) -> Array:
        """Return d log p / d(vech D, σ²) (U, d + 1)."""
        outer = self.slopes[:, :, None] * self.slopes[:, None, :] - self.spreads.precision
        scores = 0.5 * np.tensordot(outer, basis, ((1, 2), (1, 2)))
        return np.column_stack([scores, self.variance_slope])


@dataclass(frozen=True)
class EffectSums(AddedByField):
    """Sums of score and expected information over units, at given components.

    Extrapolation works on the parameters of the next M-step, ``target``.
    """

    at: RandomEffectRegressions
    counts: Array
    score: Array  # of coefficients (K, P)
    information: Array  # (K, P, P)
    variance_score: Array  # of the lower triangle of D, and of σ² (K, d + 1)
    variance_information: Array  # (K, d + 1, d + 1)
    target: RandomEffectRegressions | None = None
    same = ("at", "target")

    @cached_property
    def updated(self) -> RandomEffectRegressions:
        """The components after a scoring step."""
        return self.target or self.at.family.scored(self)

    def pack(self) -> Array:
        """Return counts, coefficients, symmetric roots of D and log σ² as a vector."""
        new = self.updated
        roots = symmetric_root(new.covariances)
        logs = np.log(new.dispersion)
        return np.concatenate([self.counts, new.coefficients.ravel(), roots.ravel(), logs])

    def units(self) -> Array:
        """Return factors that make parameters comparable: standard deviations of residuals."""
        K, root = len(self.counts), float(np.sqrt(self.at.dispersion.mean()))
        size = self.score.size + self.at.covariances.size
        return np.concatenate([1.0 / self.counts.sum() + np.zeros(K), np.full(size, 1 / root),
                               np.ones(K)])  # fmt: skip

    def unpack(self, vector: Array) -> EffectSums:
        K = len(self.counts)
        counts, vector = vector[:K], vector[K:]
        coefficients = vector[: self.score.size].reshape(self.score.shape)
        roots = vector[self.score.size : -K].reshape(self.at.covariances.shape)
        covariances = roots @ roots.transpose(0, 2, 1)
        dispersion = np.maximum(np.exp(np.clip(vector[-K:], -600, 600)), self.at.family.floor)
        target = replace(
            self.at, coefficients=coefficients, covariances=covariances, dispersion=dispersion
        )
        return replace(self, counts=counts, target=self.at.family.covariance.conforming(target))


def symmetric_root(matrices: Array) -> Array:
    """Return symmetric roots of positive semidefinite matrices (..., q, q)."""
    values, vectors = np.linalg.eigh(matrices)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]) @ np.swapaxes(
        vectors, -1, -2))  # fmt: skip


@dataclass(frozen=True)
class RandomEffectRegressions:
    """Coefficients (K, P), covariances of random effects (K, q, q), residual variances (K,)."""

    family: RandomEffectFamily
    coefficients: Array
    covariances: Array
    dispersion: Array
    response = NORMAL

    @property
    def n_components(self) -> int:
        return len(self.coefficients)

    def predictors(self, values: Array) -> Array:
        """Return means (n, K) of samples."""
        return np.asarray(values[:, DESIGN:] @ self.coefficients.T + values[:, OFFSET, None])

    def sample_variances(self, values: Array) -> Array:
        """Return marginal variances (n, K) of samples."""
        z = values[:, DESIGN:] @ self.family.effects
        return np.einsum("nq,kqr,nr->nk", z, self.covariances, z) + self.dispersion

    def deviations(
        self, values: Array, units: Integers, labels: Integers, generator: np.random.Generator
    ) -> Array:
        """Return draws (n,) of Z b + ε of samples in components, whose units are given."""
        normals = generator.normal(size=(int(units.max()) + 1, self.covariances.shape[1]))
        effects = np.einsum("nqr,nr->nq", symmetric_root(self.covariances)[labels], normals[units])
        noise = np.sqrt(self.dispersion[labels]) * generator.normal(size=len(values))
        z = values[:, DESIGN:] @ self.family.effects
        return np.asarray((z * effects).sum(axis=1) + noise)

    def spreads(self, units: Units) -> list[UnitSpreads]:
        """Return what the covariances of units give in each component."""
        shared = self.family.covariance.identical
        pairs = list(zip(self.covariances, self.dispersion, strict=True))
        effects = self.family.effects
        of_each = [UnitSpreads.of(units, effects, *pair) for pair in pairs[: 1 if shared else None]]
        return of_each * len(pairs) if shared else of_each

    def moments(self, units: Units) -> list[UnitMoments]:
        """Return densities and scores of units in each component."""
        spreads = self.spreads(units)
        return [self._moments(units, k, spread) for k, spread in enumerate(spreads)]

    def _moments(self, units: Units, k: int, spreads: UnitSpreads) -> UnitMoments:
        variance, move = self.dispersion[k], self.coefficients[k] - self.family.origin
        products = units.responses - units.designs @ move
        squares = (units.squares - (units.responses + products) @ move) / variance
        Ze = products @ self.family.effects / variance
        effects = np.einsum("uqr,ur->uq", spreads.effect_covariances, Ze)
        fitted = np.einsum("uqr,ur->uq", spreads.designs, effects)
        explained = np.einsum("uq,uq->u", Ze, effects)
        norm = squares - 2.0 * explained + np.einsum("uq,uq->u", effects, fitted)
        return UnitMoments(
            spreads=spreads,
            residual_products=products,
            effects=effects,
            log_density=-0.5 * (spreads.log_determinant + squares - explained),
            slopes=Ze - fitted,
            variance_slope=0.5 * (norm - spreads.trace) / variance,
        )

    def units_of(self, values: Array) -> Units:
        return Units(values, self.coefficients.shape[1])

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(y_i | k) (U, K) of units."""
        units = self.units_of(values)
        return np.stack([each.log_density for each in self.moments(units)], axis=1)

    def statistics(self, values: Array, responsibilities: Array) -> EffectSums:
        units, T = self.units_of(values), self.family.effects
        basis = vech_basis(T.shape[1])
        ZX = T.T @ units.designs
        sums: list[tuple[Array, ...]] = []
        for at, variance, shares in zip(
            self.moments(units), self.dispersion, responsibilities.T, strict=True
        ):
            XX = full_matrices(shares @ units.triangles, units.n_columns) / variance
            GZX = at.spreads.effect_covariances @ ZX
            explained = np.tensordot(ZX * shares[:, None, None], GZX, ((0, 1), (0, 1)))
            score = shares @ at.residual_products
            score -= np.einsum("u,uqp,uq->p", shares, ZX, at.effects)
            of_variances = variance_sums(at, shares, basis, variance)
            sums.append((score / variance, XX - explained / variance**2, *of_variances))
        score, information, variance_score, curvature = map(np.stack, zip(*sums, strict=True))
        counts = responsibilities.sum(axis=0)
        return EffectSums(self, counts, score, information, variance_score, curvature)

    def halfway_to(self, other: RandomEffectRegressions) -> RandomEffectRegressions:
        middle = replace(
            other,
            coefficients=0.5 * (self.coefficients + other.coefficients),
            covariances=0.5 * (self.covariances + other.covariances),
            dispersion=np.sqrt(self.dispersion * other.dispersion),
        )
        return self.family.covariance.conforming(middle)

    def subset(self, keep: Integers) -> RandomEffectRegressions:
        return replace(
            self,
            coefficients=self.coefficients[keep],
            covariances=self.covariances[keep],
            dispersion=self.dispersion[keep],
        )


def variance_sums(
    at: UnitMoments, shares: Array, basis: Array, variance: float
) -> tuple[Array, Array]:
    """Return the score (d + 1,) of vech D and σ², and its expected information."""
    d, q = basis.shape[:2]
    precision = at.spreads.precision.reshape(len(shares), q * q)
    pairs = ((precision * shares[:, None]).T @ precision).reshape(q, q, q, q)
    information = np.empty((d + 1, d + 1))
    # tr(S A S B) = Σ S_ij A_jk S_kl B_li
    information[:d, :d] = 0.5 * np.einsum("ijkl,ajk,bli->ab", pairs, basis, basis)
    squared = np.tensordot(shares, at.spreads.squared_precision, 1)
    information[:d, d] = information[d, :d] = 0.5 * np.einsum("qr,aqr->a", squared, basis)
    information[d, d] = 0.5 * (shares @ at.spreads.squared_trace) / variance**2
    return shares @ at.variance_scores(basis), information


@dataclass(frozen=True)
class RandomEffects:
    """Random effects Z = X @ ``matrix`` (P, q); ``back`` (q, q) gives them in units of the data."""

    names: tuple[str, ...]
    matrix: Array
    back: Array

    @classmethod
    def of(cls, random: Any, design: Standardised) -> RandomEffects:
        """Return random effects by the names or indices of their columns, and "intercept"."""
        given = (random,) if isinstance(random, (str, int)) else tuple(random)
        names, first = [], int(design.intercept)
        for column in given:
            known = column in design.names or column in range(len(design.names))
            if not known and not (column == INTERCEPT and first):
                raise InvalidInputError(
                    "random must contain 'intercept' (with fit_intercept=True) and names or "
                    f"indices of columns of X, got {column!r}; the columns are "
                    f"{', '.join(design.names)}"
                )
            known_name = isinstance(column, str)
            names.append(column if known_name else design.names[column])
        if len(set(names)) < len(names):
            raise InvalidInputError(f"random must name each effect once, got {', '.join(names)}")
        names.sort(key=lambda name: name != INTERCEPT)
        places = [0 if name == INTERCEPT and first else first + design.names.index(name)
                  for name in names]  # fmt: skip
        matrix = np.eye(len(design.terms))[:, places]
        back = design.back[np.ix_(places, places)]
        if INTERCEPT not in names and first:
            # Without a random intercept, effects are slopes of columns that are not centred.
            columns = np.array(places, dtype=int) - first
            matrix[0] = design.centre[columns] / design.scale[columns]
        return cls(tuple(names), matrix, back)


@dataclass(frozen=True)
class RandomEffectFamily:
    """Normal regressions with random effects Z = X @ ``effects`` of units.

    Responses are stored as deviations from X @ ``origin``, so that sums of squares keep their
    digits.
    """

    fixed: Integers  # columns of the design with the same coefficient in all components
    effects: Array  # (P, q)
    origin: Array  # (P,)
    spread: float  # variance of the deviations
    covariance: EffectCovariance
    floor: float = 0.0  # smallest residual variance
    name = "random effects"
    continuous = far_densities = False
    linear = False
    by_steps = True
    response = NORMAL

    def feasible(self, statistics: EffectSums) -> bool:
        return True

    def statistics(self, values: Array, responsibilities: Array) -> EffectSums:
        """Return sums at one curve for all components, half of whose variance is residual."""
        K, q = responsibilities.shape[1], self.effects.shape[1]
        covariances = np.tile(np.eye(q) * self.spread / (2.0 * max(q, 1)), (K, 1, 1))
        at = RandomEffectRegressions(
            self, np.tile(self.origin, (K, 1)), covariances, np.full(K, 0.5 * self.spread)
        )
        return at.statistics(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: EffectSums,
        previous: RandomEffectRegressions | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> RandomEffectRegressions:
        """Take a step of Fisher scoring."""
        return statistics.updated

    def scored(self, sums: EffectSums) -> RandomEffectRegressions:
        """Return components after a step of Fisher scoring from those of the sums."""
        at, K = sums.at, len(sums.counts)
        coefficients = at.coefficients + self._step(sums)
        jacobian = self.covariance.jacobian(at.covariances)  # (K, d + 1, size)
        information = np.einsum("kas,kab,kbt->st", jacobian, sums.variance_information, jacobian)
        score = np.einsum("kas,ka->s", jacobian, sums.variance_score)
        step = self.covariance.step(at.covariances, information, score, self.spread)
        covariances = self.covariance.moved(at.covariances, step, self.spread)
        changes = step[-self.covariance.n_variances(K) :] / at.dispersion
        dispersion = at.dispersion * (1.0 + np.maximum(changes, LARGEST_FALL))
        dispersion = np.maximum(dispersion, self.floor)
        return RandomEffectRegressions(self, coefficients, covariances, dispersion)

    def _step(self, sums: EffectSums) -> Array:
        places = coefficient_places(self.fixed, *sums.score.shape)
        size = int(places.max()) + 1
        information, score = np.zeros((size, size)), np.zeros(size)
        for k, own in enumerate(places):
            information[np.ix_(own, own)] += sums.information[k]
            score[own] += sums.score[k]
        return np.asarray(scaled_solution(information, score)[places])

    def n_parameters(self, n_components: int, n_columns: int) -> int:
        P, shared = len(self.origin), len(self.fixed)
        covariance = self.covariance.n_parameters(n_components, self.effects.shape[1])
        return shared + n_components * (P - shared) + covariance


# Largest relative decrease of a variance in a step.
LARGEST_FALL = -0.9


def coefficient_places(fixed: Integers, K: int, P: int) -> Integers:
    """Return places (K, P) of coefficients among the unknowns, the shared ones first."""
    free = np.setdiff1d(np.arange(P), fixed)
    places = np.empty((K, P), dtype=int)
    places[:, fixed] = np.arange(len(fixed))
    places[:, free] = len(fixed) + np.arange(K * len(free)).reshape(K, -1)
    return places


def scaled_solution(information: Array, score: Array) -> Array:
    """Return the smallest solution of a singular system, in unknowns of unit information."""
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    inverse = np.linalg.pinv(information / scale / scale[:, None], rcond=1e-12, hermitian=True)
    solved: Array = inverse @ (score / scale) / scale
    return solved
