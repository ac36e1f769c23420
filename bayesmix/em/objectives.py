"""Likelihood, posterior density and evidence bound: one objective with three regularisers.

objective(θ) = Σ_n w_n log Σ_k exp(E[log π_k] + E[log p(x_n | θ_k)]) + regulariser(θ); for optimal
q(Z) the variational objective is the exact bound (Bishop 2006, eq. 10.70).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar, cast

from scipy.special import betaln, digamma

from bayesmix.core.engines import Bayesian, Objective
from bayesmix.core.families import Family
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.noise import Noise, NoiseDensity
from bayesmix.core.priors import Prior, PriorChoice, WeightsPrior
from bayesmix.core.rows import Frame
from bayesmix.numerics.arrays import Array

Value = TypeVar("Value")


def resolved(value: Value | None) -> Value:
    """Return a prior that ``em.model`` has filled in."""
    assert value is not None, "the objective is not resolved against rows yet"
    return value


@dataclass(frozen=True)
class MaximumLikelihood:
    """Log likelihood without a regulariser: EM (Dempster, Laird & Rubin 1977)."""

    family: Family | None = None
    weights: WeightsPrior | None = None
    name = "maximum_likelihood"
    variational = False

    @property
    def weights_prior(self) -> WeightsPrior:
        return resolved(self.weights)

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Return relative counts and moments (Bishop 2006, eq. 9.24 to 9.26)."""
        components = resolved(self.family).maximum_likelihood(
            expectation.statistics, previous and previous.components, resolution, frame
        )
        return Mixture(self.weights_prior.mode(expectation.of_allocation), components, frame)

    def regulariser(self, mixture: Mixture) -> float:
        return 0.0


@dataclass(frozen=True)
class UnderAPrior:
    """An objective with a prior, whose update is the mode or the posterior of π and θ."""

    prior: PriorChoice | Prior | None = None
    weights: WeightsPrior | None = None

    estimate: ClassVar[str]  # method of the priors

    @property
    def weights_prior(self) -> WeightsPrior:
        return resolved(self.weights)

    @property
    def parameters_prior(self) -> Prior:
        return cast("Prior", resolved(self.prior))

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Return modes, or the conjugate posteriors (Bishop 2006, eq. 10.57 and 10.59)."""
        of_parameters, of_weights = (
            getattr(prior, self.estimate) for prior in (self.parameters_prior, self.weights_prior)
        )
        components = of_parameters(
            expectation.statistics, previous and previous.components, resolution
        )
        return Mixture(of_weights(expectation.of_allocation), components, frame)


class MaximumAPosteriori(UnderAPrior):
    """Log likelihood plus log prior density; the mode is joint in (π, θ)."""

    name = "maximum_a_posteriori"
    variational = False
    estimate = "mode"

    def regulariser(self, mixture: Mixture) -> float:
        return float(
            self.weights_prior.log_density(mixture.weights)
            + self.parameters_prior.log_density(mixture.components)
        )


class VariationalBayes(UnderAPrior):
    """The exact ELBO: the regulariser is minus the KL divergences of q(π) and q(θ)."""

    name = "variational_bayes"
    variational = True
    estimate = "posterior"

    def regulariser(self, mixture: Mixture) -> float:
        """Return -KL(q(π) || p(π)) - KL(q(θ) || p(θ)), hyperparameters included in q."""
        return -float(
            self.weights_prior.kl(mixture.weights) + self.parameters_prior.kl(mixture.components)
        )


# Smaller fractions of the data cannot be divided by.
NO_ROWS = 1e-200


@dataclass(frozen=True)
class WithNoise:
    """An objective of mixtures with noise of weight ε ~ Beta(1, 1).

    Point objectives use the mode of ε, bounds q(ε) = Beta(1 + N_0, 1 + N - N_0), N_0 being the
    expected number of noise observations.
    """

    inner: Objective
    density: NoiseDensity
    total_weight: float  # Σ w of all observations

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def variational(self) -> bool:
        return self.inner.variational

    @property
    def weights_prior(self) -> WeightsPrior:
        return self.inner.weights_prior

    @property
    def parameters_prior(self) -> Prior:
        return cast("Bayesian", self.inner).parameters_prior

    @property
    def prior(self) -> Any:
        return getattr(self.inner, "prior", None)

    @property
    def weights(self) -> Any:
        return getattr(self.inner, "weights", None)

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Update the components, unless all observations are noise, and the weight of the noise."""
        clean_share = float(expectation.counts.sum()) / self.total_weight
        share = 1.0 - clean_share
        if previous is not None and clean_share < NO_ROWS:
            return replace(previous, noise=self.noise(1.0))
        mixture = self.inner.update(expectation, previous, frame, resolution)
        return replace(mixture, noise=self.noise(min(max(share, 0.0), 1.0)))

    def noise(self, share: float) -> Noise:
        """Return the noise for a given fraction of the observations."""
        if not self.variational:
            return Noise.at(self.density, share)
        noisy = 1.0 + share * self.total_weight
        clean = 1.0 + (1.0 - share) * self.total_weight
        total = digamma(noisy + clean)
        log_weight, log_rest = digamma(noisy) - total, digamma(clean) - total
        return Noise(self.density, float(log_weight), float(log_rest), noisy / (noisy + clean))

    def regulariser(self, mixture: Mixture) -> float:
        """Return the regulariser of the components, minus KL(q(ε) || p(ε)) for a bound."""
        value = self.inner.regulariser(mixture)
        if not self.variational or mixture.noise is None:
            return value
        noise = mixture.noise
        total = self.total_weight + 2.0
        noisy, clean = noise.weight * total, (1.0 - noise.weight) * total
        kl = (noisy - 1.0) * noise.log_weight + (clean - 1.0) * noise.log_rest
        return value - float(kl - betaln(noisy, clean))
