"""Likelihood, posterior density and evidence bound: one objective with three regularisers.

objective(θ) = Σ_n w_n log Σ_k exp(E[log π_k] + E[log p(x_n | θ_k)]) + regulariser(θ); for optimal
q(Z) the variational objective is the exact bound (Bishop 2006, eq. 10.70).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import Frame
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.core.priors import Prior, PriorChoice, WeightsPrior


@dataclass(frozen=True)
class MaximumLikelihood:
    """Log likelihood without a regulariser: EM (Dempster, Laird & Rubin 1977)."""

    family: Family | None = None
    weights: WeightsPrior | None = None
    name = "maximum_likelihood"
    variational = False

    @property
    def weights_prior(self) -> WeightsPrior:
        return self.weights  # type: ignore[return-value]  # em.model fills it in

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Return relative counts and moments (Bishop 2006, eq. 9.24 to 9.26)."""
        family: Any = self.family
        components = family.maximum_likelihood(
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
        return self.weights  # type: ignore[return-value]  # em.model fills it in

    @property
    def parameters_prior(self) -> Prior:
        return self.prior  # type: ignore[return-value]  # em.model fills it in

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Return modes, or the conjugate posteriors (Bishop 2006, eq. 10.57 and 10.59)."""
        of_parameters = getattr(self.parameters_prior, self.estimate)
        of_weights = getattr(self.weights_prior, self.estimate)
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
