"""bayesmix: mixture models a person can trust.

Names load when they are first used (PEP 562), so that importing the package is quick. The list of
them, with types, is in ``__init__.pyi``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bayesmix import lazy

_HOMES = {
    "GaussianMixture": "estimators.gaussian",
    "BayesianGaussianMixture": "estimators.bayesian",
    "Mixture": "estimators.mixture",
    "MixtureSearch": "estimators.search",
    "select": "estimators.select",
    "Score": "selection.criteria",
    "Gaussian": "families.gaussian",
    "Bernoulli": "families.bernoulli",
    "Poisson": "families.poisson",
    "BetaPrior": "families.bernoulli",
    "GammaPrior": "families.poisson",
    "GaussianPrior": "families.gaussian",
    "MaximumLikelihood": "engine.objectives",
    "MaximumAPosteriori": "engine.objectives",
    "VariationalBayes": "engine.objectives",
    "DirichletPrior": "weights",
    "FreeWeights": "weights",
    "StickBreakingPrior": "weights",
    "FitResult": "workflow.result",
    "Gibbs": "sampling.chains",
    "GibbsOverK": "sampling.chains_over_k",
    "gibbs": "sampling.gibbs",
    "CrossCheck": "checking.found",
    "crosscheck": "checking.check",
    "pymc_model": "checking.model",
    "MixtureDensity": "sampling.density",
    "DensityRegion": "sampling.regions",
    "conformal_region": "selection.conformal",
    "PosteriorSample": "sampling.posterior",
    "LinearResponse": "sampling.linear_response",
    "linear_response": "sampling.linear_response",
    "WeightedBootstrap": "sampling.bootstrap_posterior",
    "weighted_bootstrap": "sampling.bootstrap_posterior",
    "Evidence": "sampling.importance",
    "log_evidence": "selection.bracket",
    "LeaveOneOut": "sampling.leave_one_out",
    "leave_one_out": "selection.bracket",
    "GoodnessOfFit": "selection.absolute_fit",
    "goodness_of_fit": "selection.absolute_fit",
    "LikelihoodRatioTest": "selection.bootstrap",
    "likelihood_ratio_test": "selection.bootstrap",
    "Merging": "selection.merging",
    "merge_components": "selection.merging",
    "Stability": "selection.stability",
    "stability": "selection.stability",
    "AveragedDensity": "selection.averaging",
    "NestedResult": "selection.nested",
    "nested_cv": "selection.nested",
    "plot_averaged": "plots",
    "plot_assignment": "plots",
    "plot_conditional_mean": "plots",
    "plot_crosscheck": "plots",
    "plot_density": "plots",
    "plot_goodness_of_fit": "plots",
    "plot_likelihood_ratio": "plots",
    "plot_merging": "plots",
    "plot_nested": "plots",
    "plot_occupied": "plots",
    "plot_over_k": "plots",
    "plot_region": "plots",
    "plot_uncertainty": "plots",
    "plot_stability": "plots",
    "plot_objective": "plots",
    "plot_selection": "plots",
    "plot_sensitivity": "plots",
    "PriorSensitivity": "selection.sensitivity",
    "prior_sensitivity": "selection.sensitivity",
    "plot_em_steps": "plots",
    "read": "io",
    "load": "io",
    "from_sklearn": "estimators.exchange",
    "show_versions": "version",
    "__version__": "version",
}
_MODULES = ("datasets", "errors")

__all__ = [*(name for name in _HOMES if not name.startswith("_")), "datasets", "errors"]


_named = lazy.names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    return import_module(f"bayesmix.{name}") if name in _MODULES else _named(name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
