"""Likelihood, posterior density and evidence bound: one form, three regularisers.

objective(θ) = Σ_n w_n log Σ_k exp(E[log π_k] + E[log p(x_n | θ_k)]) + regulariser(θ). With q(Z) at
its optimum the variational one is the exact bound (Bishop 2006, eq. 10.70).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast

from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Family, Prior, PriorChoice, WeightsPrior
from bayesmix.records import Expectation, Frame, Mixture

Value = TypeVar("Value")


def resolved(value: Value | None) -> Value:
    """What ``workflow.model`` fills in before a run, where a user left it out."""
    assert value is not None, "the objective is not resolved against rows yet"
    return value


@dataclass(frozen=True)
class MaximumLikelihood:
    """Nothing is added: EM (Dempster, Laird & Rubin 1977)."""

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
        """Shares and moments (Bishop 2006, eq. 9.24 to 9.26)."""
        components = resolved(self.family).maximum_likelihood(
            expectation.statistics, previous and previous.components, resolution, frame
        )
        return Mixture(self.weights_prior.mode(expectation.of_allocation), components, frame)

    def regulariser(self, mixture: Mixture) -> float:
        """0."""
        return 0.0


@dataclass(frozen=True)
class MaximumAPosteriori:
    """The log prior density is added; the mode is joint in (π, θ)."""

    prior: PriorChoice | Prior | None = None
    weights: WeightsPrior | None = None
    name = "maximum_a_posteriori"
    variational = False

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
        """Modes of the conjugate posteriors."""
        components = self.parameters_prior.mode(
            expectation.statistics, previous and previous.components, resolution
        )
        return Mixture(self.weights_prior.mode(expectation.of_allocation), components, frame)

    def regulariser(self, mixture: Mixture) -> float:
        """log p(π) + log p(θ)."""
        return float(
            self.weights_prior.log_density(mixture.weights)
            + self.parameters_prior.log_density(mixture.components)
        )


@dataclass(frozen=True)
class VariationalBayes:
    """Minus the KL divergences of q(π) and q(θ) are added: the exact ELBO."""

    prior: PriorChoice | Prior | None = None
    weights: WeightsPrior | None = None
    name = "variational_bayes"
    variational = True

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
        """Conjugate posteriors (Bishop 2006, eq. 10.57 and 10.59)."""
        components = self.parameters_prior.posterior(
            expectation.statistics, previous and previous.components, resolution
        )
        return Mixture(self.weights_prior.posterior(expectation.of_allocation), components, frame)

    def regulariser(self, mixture: Mixture) -> float:
        """-KL(q(π) || p(π)) - KL(q(θ) || p(θ)); what is learned of the prior is part of q."""
        return -float(
            self.weights_prior.kl(mixture.weights) + self.parameters_prior.kl(mixture.components)
        )
