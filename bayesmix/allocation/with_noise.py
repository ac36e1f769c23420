"""The objective of mixtures with noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

from scipy.special import betaln, digamma

from bayesmix.allocation.noise import Noise
from bayesmix.core.engines import Bayesian, Objective
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.priors import Prior, WeightsPrior
from bayesmix.core.protocols import NoiseDensity
from bayesmix.core.rows import Frame
from bayesmix.numerics.arrays import Array

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
