"""The inference of a fit with covariates, whose weights are a gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bayesmix.allocation.chain import DirichletChainPrior
from bayesmix.allocation.covariate_chain import CovariateChainPrior
from bayesmix.allocation.dirichlet import DirichletPrior
from bayesmix.allocation.gate import WEAK_PRECISION, GatePrior
from bayesmix.allocation.gated_chain import GatedChainPrior
from bayesmix.allocation.stick_breaking import StickBreakingPrior
from bayesmix.core.sources import Source
from bayesmix.errors import UnsupportedError


def gated(inference: Any, source: Source, n_components: int) -> Any:
    """Return the inference with a gate, or a chain that begins with one, as its weights."""
    rows, weights = source.in_memory().rows, inference.weights
    sparse = 1.0 / n_components
    defaults = (None, DirichletPrior(1.0), DirichletPrior(sparse), StickBreakingPrior(sparse))
    chained = isinstance(weights, DirichletChainPrior)
    if chained and (weights.stationary or inference.variational):
        raise UnsupportedError(
            "covariates of the first state need initial='free', and maximum likelihood or "
            "MaximumAPosteriori()"
        )
    whole_chain = isinstance(weights, CovariateChainPrior)
    if whole_chain and inference.variational:
        raise UnsupportedError(
            "covariate_effects='all' needs maximum likelihood or MaximumAPosteriori()"
        )
    if not chained and not whole_chain and weights not in defaults:
        raise UnsupportedError(
            "covariates replace the prior of the weights: leave out its concentration"
        )
    if inference.variational:
        gate = GatePrior.variational(rows)
    else:
        precision = 0.0 if inference.name == "maximum_likelihood" else WEAK_PRECISION
        gate = GatePrior.normal(rows.side.n_covariates, precision)
    if whole_chain:
        return replace(inference, weights=CovariateChainPrior(gate))
    return replace(inference, weights=GatedChainPrior(gate, weights) if chained else gate)
