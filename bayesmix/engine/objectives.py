"""Likelihood, posterior density and evidence bound: one form, three regularisers.

objective(θ) = Σ_n w_n log Σ_k exp(E[log π_k] + E[log p(x_n | θ_k)]) + regulariser(θ). With q(Z) at
its optimum the variational one is the exact bound (Bishop 2006, eq. 10.70).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bayesmix.records import Expectation, Frame, Mixture


@dataclass(frozen=True)
class MaximumLikelihood:
    """Nothing is added: EM (Dempster, Laird & Rubin 1977)."""

    family: Any = None
    weights: Any = None
    name = "maximum_likelihood"
    variational = False

    def update(
        self, expectation: Expectation, previous: Mixture | None, frame: Frame, resolution: Any
    ) -> Mixture:
        """Shares and moments (Bishop 2006, eq. 9.24 to 9.26)."""
        components = self.family.maximum_likelihood(
            expectation.statistics, previous and previous.components, resolution, frame
        )
        return Mixture(self.weights.mode(expectation.counts), components, frame)

    def regulariser(self, mixture: Mixture) -> float:
        """0."""
        return 0.0


@dataclass(frozen=True)
class MaximumAPosteriori:
    """The log prior density is added; the mode is joint in (π, θ)."""

    prior: Any = None
    weights: Any = None
    name = "maximum_a_posteriori"
    variational = False

    def update(
        self, expectation: Expectation, previous: Mixture | None, frame: Frame, resolution: Any
    ) -> Mixture:
        """Modes of the conjugate posteriors."""
        components = self.prior.mode(
            expectation.statistics, previous and previous.components, resolution
        )
        return Mixture(self.weights.mode(expectation.counts), components, frame)

    def regulariser(self, mixture: Mixture) -> float:
        """log p(π) + log p(θ)."""
        return float(
            self.weights.log_density(mixture.weights) + self.prior.log_density(mixture.components)
        )


@dataclass(frozen=True)
class VariationalBayes:
    """Minus the KL divergences of q(π) and q(θ) are added: the exact ELBO."""

    prior: Any = None
    weights: Any = None
    name = "variational_bayes"
    variational = True

    def update(
        self, expectation: Expectation, previous: Mixture | None, frame: Frame, resolution: Any
    ) -> Mixture:
        """Conjugate posteriors (Bishop 2006, eq. 10.57 and 10.59)."""
        components = self.prior.posterior(
            expectation.statistics, previous and previous.components, resolution
        )
        return Mixture(self.weights.posterior(expectation.counts), components, frame)

    def regulariser(self, mixture: Mixture) -> float:
        """-KL(q(π) || p(π)) - KL(q(θ) || p(θ)); what is learned of the prior is part of q."""
        return -float(self.weights.kl(mixture.weights) + self.prior.kl(mixture.components))
