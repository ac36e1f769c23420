"""Objectives with a prior: posterior density and evidence bound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.rows import Frame
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.sources.condensed import members_of

if TYPE_CHECKING:
    from bayesmix.core.engines import Objective
    from bayesmix.core.families import Family
    from bayesmix.core.priors import Prior, PriorChoice, WeightsPrior
    from bayesmix.core.sources import Source


@dataclass(frozen=True)
class UnderAPrior:
    """An objective with a prior, whose update is the mode or the posterior of π and θ."""

    prior: PriorChoice | Prior | None = None
    weights: WeightsPrior | None = None

    restriction = None
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


def with_priors(
    inference: Objective, family: Family, source: Source, frame: Frame, n_components: int
) -> Objective:
    """Return an inference with its default priors, or with those that the user chose."""
    if isinstance(inference, VariationalBayes):
        prior = family.reference_prior(source.summary, frame)
        weights = inference.weights or DirichletPrior(1.0 / n_components)
    elif isinstance(inference, MaximumAPosteriori):
        prior = family.map_prior(members_of(source), frame, n_components)
        weights = inference.weights or DirichletPrior(1.0)
    else:
        raise InvalidInputError(
            "inference must be bayesmix.MaximumLikelihood(), MaximumAPosteriori() or "
            f"VariationalBayes(), got {inference!r}"
        )
    if inference.prior is not None:
        prior = cast("PriorChoice", inference.prior).over(prior, frame)
    return replace(inference, prior=prior, weights=weights)
