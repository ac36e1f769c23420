"""q(μ, Λ) q(ν) of Student-t components: what an E-step sees, hidden precisions at their best.

Given z = k and ν, q(u) = Gamma((ν + D) / 2, (ν + E[δ²]) / 2), δ² the squared distance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NoReturn

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.families.gaussian.covariance.models import Structure
from bayesmix.families.gaussian.moments import moments
from bayesmix.families.gaussian.prior.normal_wishart import GaussianPosterior
from bayesmix.families.gaussian.prior.wishart_scale import FixedScale, Wishart
from bayesmix.families.student_t.components import StudentComponents
from bayesmix.families.student_t.draws import StudentDraws
from bayesmix.families.student_t.freedom_prior import FreedomFactor, log_normaliser
from bayesmix.families.student_t.predictive import MixedStudents, mixed_students
from bayesmix.families.student_t.weighted_moments import WeightedMoments
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.filled import filled_at_once
from bayesmix.numerics.once import once
from bayesmix.numerics.wishart import LOG_2PI
from bayesmix.records import Frame

TINY = 1e-300
NO_CONDITIONAL = (
    "the posterior of Student-t components given labels is in no closed form, so Gibbs sampling, "
    "evidence by sampling and leave-one-out are not made: use the bound, folds, or Gaussian()"
)


@filled_at_once
@dataclass(frozen=True)
class StudentPosterior:
    """q(μ, Λ) as of ``normals``, and q(ν)."""

    normals: GaussianPosterior
    freedom: FreedomFactor
    shared: bool  # whether one ν is of all components
    renewed: bool = False  # whether it was q(ν) that the last update brought to its best

    @property
    def structure(self) -> Structure:
        return self.normals.structure

    @property
    def n_components(self) -> int:
        return self.normals.n_components

    @property
    def means(self) -> Array:
        """E[μ_k] (K, D)."""
        return self.normals.means

    @property
    def expected_totals(self) -> Array:
        """E[μ_k] (K, D)."""
        return self.means

    @property
    def blocks(self) -> Array:
        """E[Λ]⁻¹ in blocks."""
        return self.normals.blocks

    @property
    def prior_mean_precision(self) -> float:
        """β0."""
        return self.normals.prior_mean_precision

    @property
    def scale(self) -> Wishart | FixedScale:
        """q(S), or the fixed S."""
        return self.normals.scale

    @property
    def precision_root(self) -> Array:
        """U with E[Λ] = U Uᵀ."""
        return self.normals.precision_root

    @once
    def _beside(self) -> Array:
        """What is uncertain of the mean, and of rows, beside a distance from it (K,)."""
        q = self.normals
        beside = q.inverse_precisions
        if q.resolution is not None:
            algebra, trace = q.structure.algebra, q.structure.algebra.trace
            lost = trace(q.resolution, q.precision_root)
            beside = beside + algebra.per_component(lost, *q.means.shape)
        return beside

    @once
    def _constants(self) -> Array:
        """What no row changes of the density at every ν (J, K)."""
        q, (n_components, n_features) = self.normals, self.normals.means.shape
        log_det = q.structure.algebra.per_component(
            q.precisions.expected_log_det, n_components, n_features
        )
        normaliser = log_normaliser(self.freedom.values, n_features)
        constants: Array = normaliser[:, None] + 0.5 * (log_det - n_features * LOG_2PI)
        return constants

    def _at(self, j: int, log_rates: Array) -> Array:
        """log ∫ exp E[log p(x, u | θ_k, ν_j)] du (n, K) from log((ν_j + E[δ²]) / 2)."""
        half = 0.5 * (self.freedom.values[j] + self.normals.n_features)
        density: Array = self._constants[j] - half * log_rates
        return density

    def _squared(self, values: Array) -> Array:
        """E[δ²] (n, K)."""
        q = self.normals
        squared = q.structure.algebra.squared(values, q.means, q.precision_root)
        return squared + self._beside

    def expected_log_density(self, values: Array) -> Array:
        """Σ_j q(ν_k = ν_j) log ∫ exp E[log p(x, u | θ_k, ν_j)] du (n, K)."""
        squared = self._squared(values)
        return self._averaged(lambda nu: np.log(0.5 * (nu + squared)))

    def _averaged(self, log_rates: Callable[[float], Array]) -> Array:
        """The densities at every ν that has a share, averaged."""
        pairs = zip(self.freedom.values, self.freedom.probabilities.T, strict=True)
        present = [(j, nu, shares) for j, (nu, shares) in enumerate(pairs) if shares.any()]
        total: Array = sum(
            (shares * self._at(j, log_rates(nu)) for j, nu, shares in present), np.zeros(())
        )
        return total

    def beyond(self, units: Array, exponent: int) -> tuple[Array, Array | float]:
        """The same of framed rows ``units`` times 2^exponent, and 0 to add to it."""
        q = self.normals
        squares = q.structure.algebra.squared(units, np.ldexp(q.means, -exponent), q.precision_root)
        logs = 2.0 * exponent * np.log(2.0) + np.log(np.maximum(squares, TINY))

        def log_rates(nu: float) -> Array:
            rates: Array = np.logaddexp(np.log(nu + self._beside), logs) - np.log(2.0)
            return rates

        return self._averaged(log_rates), 0.0

    def statistics(self, values: Array, responsibilities: Array) -> WeightedMoments:
        """Moments of rows weighted by E[u], and Σ r log p(x | ν_j) that q(ν) is made of."""
        freedom, n_features = self.freedom, values.shape[1]
        squared, mixing = self._squared(values), np.zeros(responsibilities.shape)
        scores = np.empty(freedom.probabilities.shape)
        for j, (nu, shares) in enumerate(zip(freedom.values, freedom.probabilities.T, strict=True)):
            rates = nu + squared
            mixing += shares * (nu + n_features) / rates
            densities = self._at(j, np.log(0.5 * rates))
            scores[:, j] = np.einsum("nk,nk->k", responsibilities, densities)
        weighted = moments(self.structure, values, responsibilities * mixing)
        return WeightedMoments(responsibilities.sum(axis=0), weighted, scores)

    def subset(self, keep: Integers) -> StudentPosterior:
        return replace(self, normals=self.normals.subset(keep), freedom=self.freedom.subset(keep))

    def released(self) -> StudentPosterior:
        return replace(self, normals=self.normals.released())

    def unframed(self, frame: Frame) -> StudentPosterior:
        return replace(self, normals=self.normals.unframed(frame))

    def plug_in(self) -> StudentComponents:
        """E[μ], E[Λ]⁻¹ and E[ν]."""
        q = self.normals
        return StudentComponents(q.structure, q.means, q.blocks, self.freedom.means)

    def predictive(self) -> MixedStudents:
        """p(x | k, data): μ, Λ and ν integrated out, u by a quadrature."""
        return mixed_students(self.normals, self.freedom)

    def draws(self, n_draws: int, generator: np.random.Generator) -> StudentDraws:
        """Independent draws of (μ, Λ, ν), and of a learned scale."""
        normals = self.normals.draws(n_draws, generator)
        freedom = self.freedom.draw(n_draws, self.shared, generator)
        return StudentDraws(normals, np.broadcast_to(freedom, normals.means.shape[:2]).copy())

    def log_factors(self, draws: StudentDraws) -> NoReturn:
        """Refused: nothing that weighs draws is made for them."""
        raise UnsupportedError(NO_CONDITIONAL)

    def coordinates(self) -> NoReturn:
        """Refused."""
        raise UnsupportedError(
            "linear response of Student-t components is not made: draw from q (sample_posterior), "
            "or use Gaussian()"
        )
