"""Variational posterior q(μ, Λ) q(ν) of Student-t components, with optimal hidden precisions.

q(u | z = k, ν) = Gamma((ν + D) / 2, (ν + E[δ²]) / 2) for squared distances δ².
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import numpy as np
from scipy.special import gammaincinv, logsumexp
from scipy.stats import gamma

from bayesmix.core.components import Named
from bayesmix.core.mixture import halfway
from bayesmix.core.priors import Pymc
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.covariance.models import STRUCTURES, Structure
from bayesmix.families.gaussian.draws import GaussianDraws
from bayesmix.families.gaussian.given_prior import GaussianPrior
from bayesmix.families.gaussian.moments import moments
from bayesmix.families.gaussian.prior import (
    FixedScale,
    GaussianPosterior,
    LearnedScale,
    NormalWishart,
    Wishart,
)
from bayesmix.families.gaussian.students import Students
from bayesmix.families.student_t.components import (
    FreedomFactor,
    FreedomPrior,
    StudentComponents,
    WeightedMoments,
    at_least,
    floors,
    log_normaliser,
    point_freedom,
)
from bayesmix.numerics.arrays import LOG_2, LOG_2PI, Array, Integers, normalise
from bayesmix.numerics.memo import once


@dataclass(frozen=True)
class StudentDraws:
    """S draws of the normals given u = 1, and degrees of freedom (S, K)."""

    normals: GaussianDraws
    degrees_of_freedom: Array

    @cached_property
    def components(self) -> StudentComponents:
        normals = self.normals
        algebra, n_features = normals.structure.algebra, normals.means.shape[2]
        blocks = algebra.inverse(normals.flat_roots)
        dense = normals.structure.blocks.dense
        if not dense:
            blocks = np.broadcast_to(blocks, (len(blocks), n_features))
        structure = STRUCTURES["full" if dense else "diag"]
        means = normals.means.reshape(-1, n_features)
        return StudentComponents(structure, means, blocks, self.degrees_of_freedom.ravel())

    def subset(self, keep: Integers) -> StudentDraws:
        return StudentDraws(self.normals.subset(keep), self.degrees_of_freedom[:, keep])

    def at(self, draw: int) -> StudentComponents:
        point = self.normals.at(draw)
        return StudentComponents(
            point.structure, point.means, point.blocks, self.degrees_of_freedom[draw]
        )

    def parameters(self, frame: Frame) -> Named:
        named = self.normals.parameters(frame)
        return {
            "means": named["means"],
            "scales": named["covariances"],
            "degrees_of_freedom": (("component",), self.degrees_of_freedom),
            "covariance_prior": named["covariance_prior"],
        }


# Values of ν with smaller probability are dropped.
RARE = 1e-6
# Smallest probability of a value of ν whose logarithm is taken.
TINY = np.finfo(np.float64).tiny
# Step of the quadrature, in standard deviations of log u, and the tail mass that it omits.
STEP = 0.35
BEYOND = 1e-16
BLOCK_ROWS = 2048


@dataclass(frozen=True)
class MixedStudents:
    """K mixtures of Student-t densities of different scales, ``widths`` (K, Q).

    ``log_shares`` (K, Q) are their log weights, minus infinity for unused ones; ``spread`` (K,)
    multiplies variances, NaN if infinite.
    """

    students: Students
    widths: Array
    log_shares: Array
    spread: Array

    @property
    def n_components(self) -> int:
        return self.students.n_components

    @property
    def means(self) -> Array:
        return self.students.means

    @property
    def precision_root(self) -> Array:
        return self.students.precision_root

    @property
    def covariances(self) -> Array:
        return self.students.covariances * self.spread[:, None, None]

    def expected_log_density(self, values: Array) -> Array:
        out = np.empty((len(values), self.n_components))
        for start in range(0, len(values), BLOCK_ROWS):
            rows = slice(start, start + BLOCK_ROWS)
            squares = self.students.squares(values[rows])
            for k in range(self.n_components):
                out[rows, k] = normalise(self._by_width(squares[:, k], k))
        return out

    def _by_width(self, squares: Array, k: int) -> Array:
        """Return log density plus log weight (n, Q) at each width of component k.

        From squared distances (n, G) by group of columns.
        """
        students, widths = self.students, self.widths[k]
        n_joint = students.joint_columns
        total = np.broadcast_to(self.log_shares[k], (len(squares), len(widths))).copy()
        pairs = zip(students.freedoms[k], students.constants[k], squares.T, strict=True)
        for nu, constant, of_group in pairs:
            widened = np.log1p(of_group[:, None] / (nu * widths))
            total += constant - 0.5 * n_joint * np.log(widths) - 0.5 * (nu + n_joint) * widened
        return total

    def unframed(self, frame: Frame) -> MixedStudents:
        return replace(self, students=self.students.unframed(frame))

    def marginal(self, columns: Integers) -> MixedStudents:
        return replace(self, students=self.students.marginal(columns))

    def conditional(self, columns: Integers, given: Integers, values: Array) -> MixedStudents:
        """Return the densities of ``columns`` given others, which change the weights of widths."""
        students = self.students.conditional(columns, given, values)
        if not len(given):
            return replace(self, students=students)
        known = self.marginal(given)
        squares = known.students.squares(values[None])
        shares = np.concatenate(
            [known._by_width(squares[:, k], k) for k in range(self.n_components)]
        )
        shares -= logsumexp(shares, axis=1, keepdims=True)
        widths = self.widths
        if self.students.joint:
            nu = self.students.freedoms
            widths = (nu * widths + squares[0]) / (nu + squares[0])
        return MixedStudents(students, widths, shares, self.spread)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        return self.students.conditional_means(columns, given, values)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        labels = np.repeat(np.arange(self.n_components), counts)
        reached = np.cumsum(np.exp(self.log_shares), axis=1)
        uniform = generator.random(len(labels)) * reached[labels, -1]
        places = (reached[labels] < uniform[:, None]).sum(axis=1)
        centre = self.students.means[labels]
        away = self.students.draw(counts, generator) - centre
        return centre + away * np.sqrt(self.widths[labels, places])[:, None]


def mixed_students(q: GaussianPosterior, freedom: FreedomFactor) -> MixedStudents:
    """Return p(x | k, data) under q(μ, Λ) q(ν)."""
    n_components = q.n_components
    probable = freedom.probabilities > RARE
    each = [_nodes(nu) for nu in freedom.values]
    rows = []
    for k in range(n_components):
        own = freedom.probabilities[min(k, len(freedom.probabilities) - 1)]
        mine = [
            (precisions, logs + np.log(own[j]))
            for j, (precisions, logs) in enumerate(each)
            if own[j] > RARE
        ]
        rows.append([np.concatenate(parts) for parts in zip(*mine, strict=True)])
    most = max(len(precisions) for precisions, _ in rows)
    widths, log_shares = np.ones((n_components, most)), np.full((n_components, most), -np.inf)
    beside = 1.0 / np.broadcast_to(q.mean_precision, (n_components,))
    for k, (precisions, logs) in enumerate(rows):
        widths[k, : len(logs)] = (1.0 / precisions + beside[k]) / (1.0 + beside[k])
        log_shares[k, : len(logs)] = logs - logsumexp(logs)
    nu, shares = freedom.values, np.where(probable, freedom.probabilities, 0.0)
    inverse = np.full(len(nu), np.nan)
    np.divide(nu, nu - 2.0, out=inverse, where=nu > 2.0)
    expected = np.where(shares > 0.0, shares * inverse, 0.0).sum(axis=1)
    spread = (expected + beside) / (1.0 + beside)
    return MixedStudents(q.predictive(), widths, log_shares, spread)


def _nodes(nu: float) -> tuple[Array, Array]:
    """Return quadrature nodes of u ~ Gamma(ν/2, rate ν/2), and their log weights."""
    half = 0.5 * nu
    low, high = gammaincinv(half, BEYOND), gamma.isf(BEYOND, half)
    step = STEP * min(1.0, 1.0 / np.sqrt(half))
    logs = np.arange(np.log(low), np.log(high) + step, step)
    shares = half * logs - np.exp(logs)
    return np.exp(logs) / half, shares - logsumexp(shares)


NO_CONDITIONAL = (
    "Student-t components do not support Gibbs sampling, evidence by sampling and leave-one-out, "
    "as their posterior given labels has no closed form: use the ELBO, cross-validation, or "
    "Gaussian()"
)


@dataclass(frozen=True)
class StudentPosterior:
    """Posterior q(μ, Λ) of the normals, and q(ν)."""

    normals: GaussianPosterior
    freedom: FreedomFactor
    shared: bool  # whether all components share ν

    @property
    def structure(self) -> Structure:
        return self.normals.structure

    @property
    def n_components(self) -> int:
        return self.normals.n_components

    @property
    def means(self) -> Array:
        return self.normals.means

    @property
    def blocks(self) -> Array:
        """E[Λ]⁻¹ in blocks."""
        return self.normals.blocks

    @property
    def prior_mean_precision(self) -> float:
        return self.normals.prior_mean_precision

    @property
    def scale(self) -> Wishart | FixedScale:
        """q(S), or the fixed S."""
        return self.normals.scale

    @property
    def precision_root(self) -> Array:
        return self.normals.precision_root

    @once
    def _beside(self) -> Array:
        """Contribution (K,) of uncertain means and floors to squared distances."""
        q = self.normals
        beside = q.inverse_precisions
        if q.resolution is not None:
            algebra, trace = q.structure.algebra, q.structure.algebra.trace
            lost = trace(q.resolution, q.precision_root)
            beside = beside + algebra.per_component(lost, *q.means.shape)
        return beside

    @once
    def _constants(self) -> Array:
        """Return log ∫ exp E[log p(x, u | θ_k, ν_j)] du + (ν_j + D)/2 log(ν_j + E[δ²]) (J, K)."""
        q, (n_components, n_features) = self.normals, self.normals.means.shape
        log_det = q.structure.algebra.per_component(
            q.precisions.expected_log_det, n_components, n_features
        )
        nu = self.freedom.values
        normaliser = log_normaliser(nu, n_features) + 0.5 * (nu + n_features) * LOG_2
        return normaliser[:, None] + 0.5 * (log_det - n_features * LOG_2PI)

    def _squared(self, values: Array) -> Array:
        """Return E[δ²] (n, K)."""
        q = self.normals
        squared = q.structure.algebra.squared(values, q.means, q.precision_root)
        return squared + self._beside

    def expected_log_density(self, values: Array) -> Array:
        """Return Σ_j q(ν_k = ν_j) log ∫ exp E[log p(x, u | θ_k, ν_j)] du (n, K)."""
        squared, n_features = self._squared(values), values.shape[1]
        shares = self.freedom.probabilities.T
        out = np.broadcast_to((shares * self._constants).sum(axis=0), squared.shape).copy()
        for nu, share in zip(self.freedom.values, shares, strict=True):
            if share.any():
                out -= 0.5 * (nu + n_features) * share * np.log(nu + squared)
        return out

    def statistics(self, values: Array, responsibilities: Array) -> WeightedMoments:
        freedom, n_features = self.freedom, values.shape[1]
        counts = responsibilities.sum(axis=0)
        squared, mixing = self._squared(values), np.zeros(responsibilities.shape)
        scores = counts[:, None] * self._constants.T
        for j, (nu, share) in enumerate(zip(freedom.values, freedom.probabilities.T, strict=True)):
            rates = nu + squared
            if share.any():
                mixing += (nu + n_features) * share / rates
            logs = np.log(rates, out=rates)
            scores[:, j] -= 0.5 * (nu + n_features) * np.vecdot(responsibilities.T, logs.T)
        weighted = moments(self.structure, values, responsibilities * mixing)
        return WeightedMoments(counts, weighted, scores)

    def halfway_to(self, other: StudentPosterior) -> StudentPosterior:
        """Return ``other`` with q(ν) from here."""
        return other if other.freedom is self.freedom else replace(other, freedom=self.freedom)

    def subset(self, keep: Integers) -> StudentPosterior:
        return replace(self, normals=self.normals.subset(keep), freedom=self.freedom.subset(keep))

    def released(self) -> StudentPosterior:
        return replace(self, normals=self.normals.released())

    def unframed(self, frame: Frame) -> StudentPosterior:
        return replace(self, normals=self.normals.unframed(frame))

    def plug_in(self) -> StudentComponents:
        q = self.normals
        return StudentComponents(q.structure, q.means, q.blocks, self.freedom.means)

    def predictive(self) -> MixedStudents:
        """Return p(x | k, data), with u integrated out by quadrature."""
        return mixed_students(self.normals, self.freedom)

    def draws(self, n_draws: int, generator: np.random.Generator) -> StudentDraws:
        normals = self.normals.draws(n_draws, generator)
        freedom = self.freedom.draw(n_draws, self.shared, generator)
        return StudentDraws(normals, np.broadcast_to(freedom, normals.means.shape[:2]).copy())

    def log_factors(self, draws: StudentDraws) -> tuple[Array, Array]:
        shared, pairs = self.normals.log_factors(draws.normals)
        places = np.searchsorted(self.freedom.values, draws.degrees_of_freedom)
        logs = np.log(np.maximum(self.freedom.probabilities, TINY))[:, places].transpose(1, 0, 2)
        return (shared + logs[:, 0, 0], pairs) if self.shared else (shared, pairs + logs)


halfway.register(StudentPosterior, StudentPosterior.halfway_to)


@dataclass(frozen=True)
class NormalWishartFreedom:
    """Prior (μ_k, Λ_k) ~ ``normals``, ν on a grid."""

    normals: NormalWishart
    freedom: FreedomPrior
    conjugate = False

    def posterior(
        self,
        statistics: WeightedMoments,
        previous: StudentPosterior | None = None,
        resolution: Array | None = None,
    ) -> StudentPosterior:
        """Update q(μ, Λ) and q(ν) from the same statistics.

        Both at once are not coordinate ascent: a pass that falls is repeated with the old q(ν).
        """
        scores = statistics.tails
        known = previous is not None and scores.shape == previous.freedom.probabilities.shape
        before, held = None if previous is None else previous.normals, None
        if resolution is not None:
            held = self.normals.structure.algebra.of_dense(np.diag(resolution[0]))[None]
        normals = self.normals.posterior(statistics.weighted, before, held)
        rows = self._degrees_of_freedom(statistics)
        precisions = replace(normals.precisions, degrees_of_freedom=rows)
        freedom = (
            self.freedom.posterior(scores) if known else self.freedom.first(normals.n_components)
        )
        return StudentPosterior(
            replace(normals, precisions=precisions), freedom, self.freedom.shared
        )

    def _degrees_of_freedom(self, statistics: WeightedMoments) -> Array:
        """Return ν0 plus counts of each block, which do not depend on u."""
        n_features = statistics.weighted.means.shape[1]
        rows = self.normals.structure.blocks.counts(statistics.counts, n_features)
        return self.normals.degrees_of_freedom + rows

    def kl(self, q: StudentPosterior) -> float:
        return self.normals.kl(q.normals) + self.freedom.kl(q.freedom)

    def mode(
        self,
        statistics: WeightedMoments,
        previous: StudentComponents | None = None,
        resolution: Array | None = None,
    ) -> StudentComponents:
        """Return the joint mode in (μ, Σ, ν), as of normals, with scales over counts."""
        normals, structure = self.normals, self.normals.structure
        means, _, precisions = normals.parameters_given(
            statistics.weighted, normals.scale.initial(), normals.mean_precision, None
        )
        leaning = structure.blocks.means_per_block(*means.shape)
        counts = self._degrees_of_freedom(statistics) + (precisions.dimension + 1 + leaning)
        blocks = structure.estimate(precisions.scale_inverse, counts, None)
        if resolution is not None:
            blocks = at_least(blocks, floors(structure, resolution[0], means))
        nu = point_freedom(self.freedom.asked, statistics.counts, statistics.tails)
        return StudentComponents(structure, means, blocks, nu)

    def log_density(self, components: StudentComponents) -> float:
        """Return log p(μ, Σ); degrees of freedom have a flat density."""
        return self.normals.log_density(components.normals)

    def log_density_of(self, draws: StudentDraws) -> NoReturn:
        """Raise an error, as importance weights are not available."""
        raise UnsupportedError(NO_CONDITIONAL)

    def conditional(
        self, statistics: WeightedMoments, last: StudentDraws, generator: np.random.Generator
    ) -> NoReturn:
        """Raise an error, as the conditional posterior has no closed form."""
        raise UnsupportedError(NO_CONDITIONAL)

    def pymc_distribution(self, pm: Pymc, q: StudentPosterior, n_components: int) -> NoReturn:
        """Raise an error, as gradients cannot move degrees of freedom on a grid."""
        raise UnsupportedError(
            "Student-t components have no model in PyMC: the evidence and sample_posterior of a "
            "variational fit, or bayesmix.weighted_bootstrap, quantify its uncertainty"
        )

    def unframed(self, frame: Frame) -> NormalWishartFreedom:
        return replace(self, normals=self.normals.unframed(frame))

    @property
    def scale(self) -> FixedScale | LearnedScale:
        return self.normals.scale


@dataclass(frozen=True)
class StudentPrior:
    """A prior of Student-t components; None means the default.

    Parameters
    ----------
    normals : GaussianPrior, optional
        Prior of means and scale matrices.
    values : sequence of float, optional
        Equally probable degrees of freedom, by default 13 values from 1 to 128.

    Examples
    --------
    >>> import bayesmix as bm
    >>> prior = bm.StudentPrior(values=[2.0, 4.0, 8.0])
    >>> mixture = bm.Mixture(2, family=bm.StudentT(), inference=bm.VariationalBayes(prior=prior))
    """

    normals: GaussianPrior | None = None
    values: Sequence[float] | None = None

    fixes_scale = False

    def over(self, default: NormalWishartFreedom, frame: Frame) -> NormalWishartFreedom:
        """Replace parts of the default prior, in the frame."""
        prior = default
        if self.normals is not None:
            prior = replace(prior, normals=self.normals.over(prior.normals, frame))
        if self.values is not None:
            values = np.unique(np.asarray(self.values, dtype=np.float64))
            if not len(values) or not ((values > 0.0) & (values < np.inf)).all():
                raise InvalidInputError(
                    f"values of StudentPrior must be positive numbers, got {self.values!r:.60}"
                )
            prior = replace(prior, freedom=replace(prior.freedom, values=values))
        return prior
