"""Regressions with random effects of units: y_i | k ~ N(X_i β_k, Z_i D_k Z_i' + σ_k² R_i).

A unit is one row of cross-products, so the cost of a pass does not depend on the number of visits
(Woodbury). The M-step is generalised least squares for β (Verbeke & Molenberghs 2000, section
5.3), and parameter-expanded EM for D and σ² (Liu, Rubin & Wu 1998). Cross-products are of rows
whose residuals are independent; R_i is I without a ``ResidualStructure``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bayesmix.core.restrictions import HeldValues
from bayesmix.core.rows import AddedByField, Frame
from bayesmix.errors import InvalidInputError
from bayesmix.families.regressions import (
    DESIGN,
    Curves,
    NormalResponse,
    mapped_eigenvalues,
    n_held,
    scaled_solution,
    scoring_step,
)
from bayesmix.families.residual_structure import ResidualStructure
from bayesmix.numerics.arrays import Array, Integers

NORMAL = NormalResponse()
# Name of the random intercept.
INTERCEPT = "intercept"
# Rows of a block of cross-products: its products fit into some megabytes.
ROWS_AT_ONCE = 2**15
# Smallest eigenvalue of D, relative to the variance of the response: zero variances can grow again.
# Its inverse is the largest variance that extrapolation proposes.
SMALLEST = 1e-10


def cross_products(
    design: Any,
    origin: Array,
    y: Array,
    offset: Array,
    columns: Array,
    sizes: Integers,
    structure: ResidualStructure | None = None,
) -> Array:
    """Return e'R⁻¹e, the number of rows, X'R⁻¹e and X'R⁻¹X of each unit as a row.

    ``sizes`` (U,) are numbers of rows, X is the design of the columns (n, D), and e = y - offset -
    X @ ``origin``. With a structure of the residuals log |R| comes last, and the products with R of
    the next class follow where classes have their own.
    """
    ends, P = np.cumsum(sizes), len(origin)
    starts, begin = ends - sizes, 0
    structures = [None] if structure is None else structure.of_classes
    width = 2 + P + P * P + (structure is not None)
    out = np.empty((len(sizes), width * len(structures)))
    while begin < len(sizes):
        first = starts[begin]
        end = max(begin + 1, int(np.searchsorted(ends, first + ROWS_AT_ONCE, "right")))
        rows = slice(first, ends[end - 1])
        design_rows = design.apply(columns[rows])
        deviations = (y[rows] - offset[rows] - design_rows @ origin)[:, None]
        parts = []
        for own in structures:
            X, e = design_rows, deviations
            further = []
            if own is not None:
                units = np.repeat(np.arange(begin, end), sizes[begin:end])
                visits = own.in_order(columns[rows, own.place], units)
                X, e = visits.whitened(X), visits.whitened(e)
                further = [visits.log_determinants[:, None]]
            products = (X[:, :, None] * X[:, None]).reshape(len(X), P * P)
            parts += [e**2, np.ones_like(e), e * X, products, *further]
        block = np.hstack(parts)
        np.add.reduceat(block, starts[begin:end] - first, axis=0, out=out[begin:end])
        begin = end
    return out


def unpacked(
    products: Array, n_columns: int, n_structures: int = 1
) -> tuple[Array, Array, Array, Array, Array]:
    """Return e'e (S, U), numbers of rows (U,), X'e (S, U, P), X'X (S, U, P, P), log |R| (S, U).

    S is the number of structures of residuals: 1, or the number of classes.
    """
    ends = np.cumsum([1, 1, n_columns, n_columns**2])
    by_structure = products.reshape(len(products), n_structures, -1).swapaxes(0, 1)
    squares, sizes, responses, XX, logs = np.split(by_structure, ends, axis=2)
    XX = XX.reshape(*XX.shape[:2], n_columns, n_columns)
    return squares[..., 0], sizes[0, :, 0], responses, XX, logs.sum(axis=2)


@dataclass(frozen=True)
class EffectCovariance:
    """Which parameters of D_k and σ_k² the classes share.

    D_k is a matrix of class k if they are ``own``; otherwise w_k D, where w_k is 1 for class 0, and
    for all classes without ``ratios``.
    """

    own: bool = False
    ratios: bool = False
    shared_residual: bool = True

    @property
    def identical(self) -> bool:
        """Whether all components have the same D_k and σ_k²."""
        return self.shared_residual and not (self.own or self.ratios)

    def n_matrices(self, K: int) -> int:
        return K if self.own else 1

    def n_variances(self, K: int) -> int:
        return 1 if self.shared_residual else K

    def n_parameters(self, K: int, q: int) -> int:
        matrices, ratios = self.n_matrices(K) * q * (q + 1) // 2, (K - 1) * self.ratios
        return matrices + ratios + self.n_variances(K)

    def factors(self, covariances: Array) -> Array:
        """Return w (K,)."""
        traces = np.trace(covariances, axis1=1, axis2=2)
        return np.asarray(traces / traces[0]) if self.ratios else np.ones(len(traces))

    def pooled(self, scatters: Array, counts: Array, previous: Array) -> Array:
        """Return D_k (K, q, q) from sums of E[b b'], given w of the ``previous`` ones, then w."""
        if self.own:
            return scatters / np.maximum(counts, 1e-300)[:, None, None]
        factors = self.factors(previous)
        D = (scatters / factors[:, None, None]).sum(axis=0) / counts.sum()
        if self.ratios:
            traces = np.trace(np.linalg.solve(D, scatters), axis1=1, axis2=2)
            factors = np.maximum(traces / np.maximum(counts, 1e-300), 1e-8)
            factors, D = factors / factors[0], D * factors[0] / len(D)
        return factors[:, None, None] * D

    def unknowns(self, covariances: Array) -> Array:
        """Return lower triangles of Cholesky roots, and then log w of the classes after the first.

        They have no boundary at singular matrices.
        """
        first, second = np.tril_indices(covariances.shape[1])
        roots = np.linalg.cholesky(covariances[: self.n_matrices(len(covariances))])
        logs = np.log(self.factors(covariances)[1 : None if self.ratios else 1])
        return np.append(roots[:, first, second].ravel(), logs)

    def covariances(self, unknowns: Array, K: int, q: int) -> Array:
        """Return D_k (K, q, q) of unknowns."""
        first, second = np.tril_indices(q)
        n, d = self.n_matrices(K), len(first)
        roots = np.zeros((n, q, q))
        roots[:, first, second] = unknowns[: n * d].reshape(n, d)
        ratios = np.append(0.0, unknowns[n * d :]) if self.ratios else np.zeros(K)
        return np.asarray(np.exp(np.clip(ratios, -300, 300))[:, None, None] * (roots @ roots.mT))

    def signs(self, unknowns: Array, K: int, q: int) -> Array:
        """Return -1 for columns of roots with a negative diagonal: D is that of the opposite."""
        first, second = np.tril_indices(q)
        n, d = self.n_matrices(K), len(first)
        of_columns = np.sign(unknowns[: n * d].reshape(n, d)[:, first == second])
        of_roots = np.where(of_columns == 0.0, 1.0, of_columns)[:, second]
        return np.append(of_roots.ravel(), np.ones(len(unknowns) - n * d))

    def score(self, slopes: Array, covariances: Array) -> Array:
        """Return the gradient in the unknowns, from slopes (K, q, q) in A of A D_k A' at A = I."""
        first, second = np.tril_indices(covariances.shape[1])
        roots = np.linalg.solve(np.linalg.cholesky(covariances), slopes.mT).mT
        roots = roots * np.sqrt(self.factors(covariances))[:, None, None]
        blocks = roots if self.own else roots.sum(axis=0, keepdims=True)
        logs = 0.5 * np.trace(slopes, axis1=1, axis2=2)[1 : None if self.ratios else 1]
        return np.append(blocks[:, first, second].ravel(), logs)


@dataclass(frozen=True)
class UnitMoments:
    """Units in each component, with e = y - Xβ; what depends on D and σ² alone may have K = 1."""

    sizes: Array  # numbers of rows (U,)
    products: Array  # X'X (S, U, P, P), of 1 or K structures of residuals
    residual_products: Array  # X'e (K, U, P)
    squares: Array  # e'e (K, U)
    designs: Array  # Z'Z (S, U, q, q)
    effects: Array  # E[b | y] (K, U, q)
    effect_covariances: Array  # G = Cov[b | y] (K, U, q, q)
    log_density: Array  # (U, K)


@dataclass(frozen=True)
class EffectSums(AddedByField):
    """Sums over units at given components, with B = E[b b' | y].

    Extrapolation works on the parameters of the next M-step, ``target``.
    """

    at: RandomEffectRegressions
    counts: Array
    score: Array  # of coefficients (K, P)
    information: Array  # (K, P, P)
    scatters: Array  # Σ B (K, q, q)
    crossed: Array  # Σ Z'e E[b]' (K, q, q)
    squared: Array  # Σ Z'Z ⊗ B (K, q², q²)
    squares: Array  # Σ e'e (K,)
    sizes: Array  # numbers of rows (K,)
    target: RandomEffectRegressions | None = None
    same = ("at", "target")

    @cached_property
    def updated(self) -> RandomEffectRegressions:
        """The components after the M-step."""
        return self.target or self.at.family.updated(self)

    @property
    def further_score(self) -> Array:
        """Gradient of the log likelihood in ``further`` of the components (Fisher's identity)."""
        at, structure = self.at, self.at.family.covariance
        identity = np.eye(at.covariances.shape[1])
        explained = (self.squared @ identity.ravel()).reshape(self.crossed.shape)
        left = np.trace(explained - 2.0 * self.crossed, axis1=1, axis2=2) + self.squares
        of_variances = 0.5 * (left / at.dispersion - self.sizes) / at.dispersion
        of_expansion = (self.crossed - explained) / at.dispersion[:, None, None]
        blocks = of_variances.reshape(structure.n_variances(len(left)), -1)
        return np.append(structure.score(of_expansion, at.covariances), blocks.sum(axis=1))

    def pack(self) -> Array:
        """Return counts, coefficients and ``further`` parameters as a vector."""
        new = self.updated
        return np.concatenate([self.counts, new.coefficients.ravel(), new.further])

    def units(self) -> Array:
        """Return factors that make parameters comparable: standard deviations of residuals."""
        at, scale = self.at, np.repeat(np.sqrt(self.at.dispersion.mean()), self.score.size)
        sizes = np.full(len(self.counts), self.counts.sum())
        return 1.0 / np.concatenate([sizes, scale, at.further_scale])

    def unpack(self, vector: Array) -> EffectSums:
        family, (K, P) = self.at.family, self.score.shape
        counts, coefficients, further = np.split(vector, [K, K + K * P])
        target = self.at.moved(coefficients.reshape(K, P), further)
        dispersion = np.maximum(target.dispersion, family.floor)
        covariances = family.bounded(target.covariances)
        target = replace(target, covariances=covariances, dispersion=dispersion)
        return replace(self, counts=counts, target=target)


@dataclass(frozen=True)
class RandomEffectRegressions(Curves):
    """Coefficients (K, P), covariances of random effects (K, q, q), residual variances (K,)."""

    family: RandomEffectFamily
    coefficients: Array
    covariances: Array
    dispersion: Array
    response = NORMAL
    by_component = ("coefficients", "covariances", "dispersion")

    def dispersions(self, values: Array) -> Array:
        """Return marginal variances (n, K) of samples."""
        z = values[:, DESIGN:] @ self.family.effects
        relative = self.family.relative_variances(values)
        return np.einsum("nq,kqr,nr->nk", z, self.covariances, z) + relative * self.dispersion

    def deviations(
        self, values: Array, units: Integers, labels: Integers, generator: np.random.Generator
    ) -> Array:
        """Return draws (n,) of Z b + ε of samples in components, whose units are given."""
        normals = generator.normal(size=(int(units.max()) + 1, self.covariances.shape[1]))
        roots = np.linalg.cholesky(self.covariances)
        effects = np.einsum("nqr,nr->nq", roots[labels], normals[units])
        noise = np.sqrt(self.dispersion[labels]) * generator.normal(size=len(values))
        if (structure := self.family.residuals) is not None:
            time = self.family.times_of(values)
            for k, own in enumerate(structure.of_classes):
                rows = np.flatnonzero(labels == k) if structure.n_classes > 1 else slice(None)
                noise[rows] = own.in_order(time[rows], units[rows]).coloured(noise[rows])
        z = values[:, DESIGN:] @ self.family.effects
        return np.asarray((z * effects).sum(axis=1) + noise)

    def moments(self, values: Array) -> UnitMoments:
        """Return densities and predicted effects of units in each component."""
        T = self.family.effects
        given = values, len(T), self.family.n_structures
        unit_squares, sizes, responses, XX, logs = unpacked(*given)
        distinct = slice(1 if self.family.covariance.identical else None)
        variances, D = self.dispersion[distinct, None], self.covariances[distinct, None]
        move = self.coefficients - self.family.origin
        (S, U, P), K = XX.shape[:3], len(move)
        explained = move.reshape(S, K // S, P) @ XX.reshape(S, U * P, P).mT
        products = responses - explained.reshape(K, U, P)
        squares = unit_squares - np.einsum("kup,kp->ku", responses + products, move)
        ZZ, Ze = T.T @ XX @ T, products @ T
        system = np.eye(len(T.T)) + D @ ZZ / variances[..., None, None]
        G = np.asarray(np.linalg.solve(system, np.broadcast_to(D, system.shape)), np.float64)
        effects = np.einsum("kuqr,kur->kuq", G, Ze) / variances[..., None]
        constants = np.linalg.slogdet(system)[1] + sizes * np.log(2.0 * np.pi * variances) + logs
        distances = (squares - np.einsum("kuq,kuq->ku", Ze, effects)) / variances
        return UnitMoments(
            sizes=sizes,
            products=XX,
            residual_products=products,
            squares=squares,
            designs=ZZ,
            effects=effects,
            effect_covariances=G,
            log_density=-0.5 * (constants + distances).T,
        )

    @property
    def further(self) -> Array:
        """Unknowns of D_k, and residual variances; of a singular D_k they have no boundary."""
        structure = self.family.covariance
        variances = self.dispersion[: structure.n_variances(len(self.dispersion))]
        return np.append(structure.unknowns(self.covariances), variances)

    @property
    def further_scale(self) -> Array:
        structure, K = self.family.covariance, len(self.covariances)
        variance, n = self.dispersion.mean(), structure.n_variances(K)
        n_ratios = (K - 1) * structure.ratios
        sizes = [len(self.further) - n_ratios - n, n_ratios, n]
        return np.repeat([np.sqrt(variance), 1.0, variance], sizes)

    def moved(self, coefficients: Array, further: Array) -> RandomEffectRegressions:
        structure, (K, q) = self.family.covariance, self.covariances.shape[:2]
        unknowns, variances = np.split(further, [len(further) - structure.n_variances(K)])
        dispersion = np.broadcast_to(variances, K)
        covariances = structure.covariances(unknowns, K, q)
        return RandomEffectRegressions(self.family, coefficients, covariances, dispersion)

    def subset(self, keep: Integers) -> RandomEffectRegressions:
        return replace(super().subset(keep), family=self.family.reordered(keep))

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(y_i | k) (U, K) of units."""
        return self.moments(values).log_density

    def statistics(self, values: Array, responsibilities: Array) -> EffectSums:
        return self.sums(self.moments(values), responsibilities)

    def sums(self, at: UnitMoments, responsibilities: Array) -> EffectSums:
        """Return sums over units whose moments are given."""
        T = self.family.effects
        (U, K), (P, q), S = responsibilities.shape, T.shape, len(at.products)
        XZ, b, shares = at.products @ T, at.effects, responsibilities.T
        explained = XZ @ at.effect_covariances @ XZ.mT
        explained = explained.reshape(len(explained), U, P * P)
        # Components of the same structure are rows of one product.
        XX = shares.reshape(S, K // S, U) @ at.products.reshape(S, U, P * P)
        second = at.effect_covariances + b[..., :, None] * b[..., None, :]
        second = second.reshape(K, U, q * q)
        of_units, weighted, variances = shares[:, None], b * shares[..., None], self.dispersion
        scores = (of_units @ at.residual_products)[:, 0]
        by_effect = XZ.swapaxes(2, 3).reshape(S, U * q, P)
        scores -= (weighted.reshape(S, K // S, U * q) @ by_effect).reshape(K, P)
        information = (
            XX.reshape(K, P, P) - (of_units @ explained).reshape(K, P, P) / variances[:, None, None]
        )
        squared = (at.designs.reshape(S, U, q * q) * shares[..., None]).mT @ second
        return EffectSums(
            at=self,
            counts=shares.sum(axis=1),
            score=scores / variances[:, None],
            information=information / variances[:, None, None],
            scatters=(of_units @ second).reshape(K, q, q),
            crossed=(at.residual_products @ T).mT @ weighted,
            squared=squared.reshape(K, q, q, q, q).swapaxes(2, 3).reshape(K, q * q, q * q),
            squares=(shares * at.squares).sum(axis=1),
            sizes=shares @ at.sizes,
        )


@dataclass(frozen=True)
class RandomEffects:
    """Random effects Z = X @ ``matrix`` (P, q); ``back`` (q, q) gives them in units of the data."""

    names: tuple[str, ...]
    matrix: Array
    back: Array

    @classmethod
    def of(cls, random: Any, design: Any) -> RandomEffects:
        """Return random effects by the names or indices of their columns, and "intercept"."""
        given = (random,) if isinstance(random, (str, int)) else tuple(random)
        first = int(design.intercept)
        wanted = "random must contain 'intercept' (with fit_intercept=True) and names or indices"
        places = [
            0 if column == INTERCEPT and first else first + design.place(column, wanted)
            for column in given
        ]
        places.sort(key=lambda place: place >= first)
        names = tuple(design.terms[place] for place in places)
        if len(set(names)) < len(names):
            raise InvalidInputError(f"random must name each effect once, got {', '.join(names)}")
        matrix, back = np.eye(len(design.terms))[:, places], design.back[np.ix_(places, places)]
        if first and 0 not in places:
            # Without a random intercept, effects are slopes of columns that are not centred.
            columns = np.array(places, dtype=int) - first
            matrix[0] = design.centre[columns] / design.scale[columns]
        return cls(names, matrix, back)


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
    held: HeldValues | None = None  # coefficients of the design that keep a value
    residuals: ResidualStructure | None = None
    time: Array | None = None  # time in the terms of the design (P,)
    name = "random effects"
    adjective, title = "", "regression with random effects"  # "3 regressions"
    continuous = far_densities = False
    linear = False
    n_learned = 0
    coding = None
    response = NORMAL

    def times_of(self, values: Array) -> Array:
        """Return the times (n,) of rows of response, offset, trials and design."""
        assert self.time is not None
        return np.asarray(values[:, DESIGN:] @ self.time)

    def relative_variances(self, values: Array) -> Array:
        """Return variances (n, 1) of residuals relative to σ², (n, K) if classes have their own."""
        if self.residuals is None or self.residuals.times is None:
            return np.ones((len(values), 1))
        time = self.times_of(values)
        return np.column_stack([own.relative(time) for own in self.residuals.of_classes])

    @property
    def n_structures(self) -> int:
        """Number of structures of residuals: 1, or the number of classes."""
        return 1 if self.residuals is None else self.residuals.n_classes

    def reordered(self, order: Integers) -> RandomEffectFamily:
        """Return the family of classes in another order."""
        own = self.residuals
        return self if own is None else replace(self, residuals=own.reordered(order))

    def feasible(self, statistics: EffectSums) -> bool:
        """Whether covariances are so small that Woodbury's identity keeps its digits."""
        return bool(SMALLEST * statistics.updated.covariances.max(initial=0.0) < self.spread)

    def inside(self, statistics: EffectSums, present: EffectSums) -> EffectSums:
        return statistics

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
        """Take a step of EM."""
        return statistics.updated

    def updated(self, sums: EffectSums) -> RandomEffectRegressions:
        """Return components after generalised least squares, and a parameter-expanded EM step.

        In y = Xβ + Z A b + ε, A maximises with D and σ² and becomes part of D, so that variances
        also reach 0 at a linear rate (Liu, Rubin & Wu 1998). Of proportional D_k, A is the same
        for all classes up to a factor.
        """
        at, K, q = sums.at, len(sums.counts), self.effects.shape[1]
        given = sums.score, sums.information, at.coefficients
        coefficients = at.coefficients + scoring_step(self.fixed, *given, self.held)
        crossed = sums.crossed.reshape(K, q * q)
        pooled = np.eye(K) if self.covariance.own else 1.0 / at.dispersion[None]
        flat = scaled_solution(np.tensordot(pooled, sums.squared, 1), pooled @ crossed)
        if self.covariance.ratios:
            lengths = flat @ sums.squared @ flat.T
            flat = flat * np.divide(
                crossed @ flat.T, lengths[:, 0], np.ones((K, 1)), where=lengths[:, 0] > 0.0
            )
        expansion = flat.reshape(len(flat), q, q)
        covariances = self.covariance.pooled(sums.scatters, sums.counts, at.covariances)
        covariances = expansion @ covariances @ expansion.mT
        explained = 2.0 * crossed - (flat[:, None] @ sums.squared)[:, 0]
        squares = sums.squares - (flat * explained).sum(axis=1)
        if self.covariance.shared_residual:
            dispersion = np.full(K, squares.sum() / sums.sizes.sum())
        else:
            dispersion = squares / np.maximum(sums.sizes, 1e-300)
        dispersion = np.maximum(dispersion, self.floor)
        return RandomEffectRegressions(self, coefficients, self.bounded(covariances), dispersion)

    def bounded(self, covariances: Array) -> Array:
        """Return covariances (K, q, q) without eigenvalues of 0, from which they could not grow."""
        factors = self.covariance.factors(covariances)[:, None]
        shares = np.maximum(factors / factors.max(), SMALLEST)
        covariances = covariances * (shares / factors * factors.max())[:, :, None]
        smallest = SMALLEST * self.spread * shares
        return mapped_eigenvalues(covariances, lambda values: np.maximum(values, smallest))

    def n_parameters(self, n_components: int, n_columns: int) -> int:
        P, shared = len(self.origin), len(self.fixed)
        covariance = self.covariance.n_parameters(n_components, self.effects.shape[1])
        own = 0 if self.residuals is None else len(self.residuals.unknowns)
        return shared + n_components * (P - shared) - n_held(self.held) + covariance + own
