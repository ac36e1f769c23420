"""Likelihood, posterior density and evidence bound: one objective with three regularisers.

objective(θ) = Σ_n w_n log Σ_k exp(E[log π_k] + E[log p(x_n | θ_k)]) + regulariser(θ); for optimal
q(Z) the variational objective is the exact bound (Bishop 2006, eq. 10.70).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import Frame
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.core.priors import WeightsPrior


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
