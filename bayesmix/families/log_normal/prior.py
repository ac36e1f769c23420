"""The Normal-Gamma prior of log-normal columns: that of the normals of their logarithms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bayesmix.families.gaussian.moments import Moments
from bayesmix.families.gaussian.prior.given_prior import GaussianPrior
from bayesmix.families.gaussian.prior.normal_wishart import NormalWishart
from bayesmix.families.gaussian.pymc_twin.normal_wishart_twin import GaussianTwin
from bayesmix.families.log_normal.components import (
    LogNormalDraws,
    LogNormalPosterior,
    LogNormals,
    of_logs,
)
from bayesmix.families.log_normal.logs import frame_of_logs
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import NamedTensors, Pymc, Tensor
from bayesmix.records import Frame


@dataclass(frozen=True)
class LogNormalGamma:
    """μ | σ² ~ N(m0, σ²/β0), 1/σ² ~ Gamma(ν0/2, rate S/2), over logarithms of framed rows."""

    normals: NormalWishart
    conjugate = True

    def posterior(
        self,
        statistics: Moments,
        previous: LogNormalPosterior | None = None,
        resolution: Array | None = None,
    ) -> LogNormalPosterior:
        """q(μ, σ²) given moments of logarithms."""
        before = None if previous is None else previous.normals
        return LogNormalPosterior(self.normals.posterior(statistics, before, resolution))

    def kl(self, q: LogNormalPosterior) -> float:
        """KL of q(μ, σ²) and of q(S) from their priors."""
        return self.normals.kl(q.normals)

    def mode(
        self,
        statistics: Moments,
        previous: LogNormals | None = None,
        resolution: Array | None = None,
    ) -> LogNormals:
        """Joint mode in (μ, σ²)."""
        before = None if previous is None else previous.normals
        return LogNormals(self.normals.mode(statistics, before, resolution))

    def log_density(self, components: LogNormals) -> float:
        """log p(μ, σ²) at a point."""
        return self.normals.log_density(components.normals)

    def log_density_of(self, draws: LogNormalDraws) -> Array:
        """log p(μ, 1/σ²) (S,) of draws; a learned scale is integrated out."""
        return self.normals.log_density_of(draws.normals)

    def conditional(
        self, statistics: Moments, last: LogNormalDraws, generator: np.random.Generator
    ) -> LogNormalPosterior:
        """p(μ, σ² | X, Z, S): a step of Gibbs sampling."""
        return LogNormalPosterior(self.normals.conditional(statistics, last.normals, generator))

    def pymc_distribution(
        self, pm: Pymc, q: LogNormalPosterior, n_components: int
    ) -> LogNormalTwin:
        """The same prior over K components in PyMC, and their densities."""
        return LogNormalTwin(self.normals.pymc_distribution(pm, q.normals, n_components))

    def unframed(self, frame: Frame) -> LogNormalGamma:
        return LogNormalGamma(self.normals.unframed(frame_of_logs(frame)))

    @property
    def scale(self) -> Any:
        """That of the prior of the normals."""
        return self.normals.scale


@dataclass(frozen=True)
class LogNormalTwin:
    """K log-normals of one draw in PyMC."""

    normals: GaussianTwin

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        """log p(x_n | θ_k) (n, K) of framed rows."""
        logs = np.log(values)
        base = pm.Data("log_base", -logs.sum(axis=1), dims="row")
        return self.normals.log_density(pm, logs) + base[:, None]

    def named(self, frame: Frame) -> NamedTensors:
        """Means and variances of logarithms, and a learned scale."""
        return of_logs(self.normals.named(frame_of_logs(frame)))

    @property
    def drawn(self) -> dict[str, Tensor]:
        """What a draw is made of, by the fields of ``GaussianDraws``."""
        return self.normals.drawn

    def draws(self, values: Mapping[str, Array]) -> LogNormalDraws:
        """S draws from the values (S, ...) of ``drawn``."""
        return LogNormalDraws(self.normals.draws(values))

    def point(self, draws: LogNormalDraws) -> dict[str, Array]:
        """Values (S, ...) of the model's variables at draws."""
        return self.normals.point(draws.normals)


@dataclass(frozen=True)
class LogNormalPrior:
    """Hyperparameters of μ | σ² ~ N(m0, σ²/β0), 1/σ² ~ Gamma(ν0/2, rate S/2) over log x.

    Parameters
    ----------
    mean : array (D,), optional
        m0, of log x in data units; None leaves the default, here and below.
    mean_precision : float, optional
        β0 > 0.
    degrees_of_freedom : float, optional
        ν0 > 0.
    variance : array (D,), optional
        S, of log x. Taken as fixed; without it the default scale stands, which variational Bayes
        learns.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.LogNormalPrior(mean_precision=0.5).mean_precision
    0.5
    """

    mean: ArrayLike | None = None
    mean_precision: float | None = None
    degrees_of_freedom: float | None = None
    variance: ArrayLike | None = None

    @property
    def fixes_scale(self) -> bool:
        """Whether the prior alone keeps every variance away from zero."""
        return self.variance is not None

    def over(self, default: LogNormalGamma, frame: Frame) -> LogNormalGamma:
        """The default prior with what is given here in its place, in the frame."""
        said = GaussianPrior(self.mean, self.mean_precision, self.degrees_of_freedom, self.variance)
        return LogNormalGamma(said.over(default.normals, frame_of_logs(frame)))
