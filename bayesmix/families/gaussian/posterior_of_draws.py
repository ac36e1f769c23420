"""Draws from q(μ, Λ), and densities of draws."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core import lazy
from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.prior import (
    SHARE_OF_VARIANCE,
    FixedScale,
    GaussianPosterior,
    LearnedScale,
    NormalWishart,
    log_normaliser,
)
from bayesmix.numerics.arrays import LOG_2PI, Array, align

if TYPE_CHECKING:
    from bayesmix.families.gaussian.draws import GaussianDraws


MEAN_PRECISION_RANGE = (1e-30, 1.0)


if TYPE_CHECKING:
    from bayesmix.families.gaussian.prior_mode import PriorAtAPoint
else:
    PriorAtAPoint = lazy.methods(
        "bayesmix.families.gaussian.prior_mode:PriorAtAPoint",
        "mode log_density",
    )


class PriorOfDraws:
    """Methods of ``NormalWishart`` for Gibbs sampling, evidence, PyMC and separate features."""

    def separate(self: Any) -> NormalWishart:
        scale, n_features = self.scale, len(self.mean)
        if isinstance(scale, LearnedScale):
            mean = scale.prior.mean / SHARE_OF_VARIANCE ** (1.0 / n_features)
            scale = FixedScale(scale.prior.algebra, mean)
        return replace(self, scale=scale, learns_mean_precision=False)

    def feature_evidence(self: Any, statistics: Moments) -> Array:
        """Return the log evidence (K, D) of each feature, if diagonal (Murphy 2007, eq. 95)."""
        scale: Any = self.scale.initial()
        _, beta, q = self.parameters_given(statistics, scale, self.mean_precision, None)
        prior = log_normaliser(self.degrees_of_freedom, scale.expected_log_det, 1)
        means = 0.5 * np.log(self.mean_precision / align(beta, statistics.means))
        return prior - q.log_normaliser + means - 0.5 * statistics.known * LOG_2PI

    def conditional(
        self: Any, statistics: Moments, last: GaussianDraws, generator: np.random.Generator
    ) -> GaussianPosterior:
        """Return p(μ, Λ | X, Z, S) for a Gibbs step, with S drawn given the last draw."""
        scale = self.scale.given(last.roots, self.degrees_of_freedom, generator)
        return self._given(statistics, scale, last.prior_mean_precision, None)

    def log_density_of(self: Any, draws: GaussianDraws) -> Array:
        """Return log p(μ, Λ) (S,) of draws, with a learned scale integrated out exactly."""
        density: Array = draws.log_normals(self.mean, draws.prior_mean_precision).sum(axis=1)
        density += self.scale.log_density_of(draws.roots, self.degrees_of_freedom)
        return density


class PosteriorOfDraws:
    """Methods of ``GaussianPosterior`` for draws."""

    def draws(self: Any, n_draws: int, generator: np.random.Generator) -> GaussianDraws:
        from bayesmix.families.gaussian.covariance.drawing_roots import coloured
        from bayesmix.families.gaussian.draws import GaussianDraws

        roots = self.precisions.draw(n_draws, generator)
        normal = generator.standard_normal((n_draws, *self.means.shape))
        away = coloured(self.structure.algebra, normal, roots)
        return GaussianDraws(
            self.structure,
            self.means + away / np.sqrt(align(self.mean_precision, self.means)),
            roots,
            self.scale.draw(n_draws, generator),
            self.prior_mean_precision,
        )

    def log_factors(self: Any, draws: GaussianDraws) -> tuple[Array, Array]:
        wisharts = self.precisions.log_densities(draws.roots)
        parameters = zip(self.means, self.mean_precision, strict=True)
        normals = np.stack([draws.log_normals(m, float(beta)) for m, beta in parameters], axis=1)
        if self.structure.shared:
            return wisharts[:, 0, 0], normals
        return np.zeros(len(normals)), normals + wisharts
