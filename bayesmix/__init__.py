"""bayesmix: mixture models a person can trust.

Names load when they are first used (PEP 562), so that importing the package is quick. The list of
them, with types, is in ``__init__.pyi``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bayesmix.core import lazy
from bayesmix.families.registry import HOMES as FAMILY_HOMES

_HOMES = {
    "GaussianMixture": "estimators.gaussian",
    "BayesianGaussianMixture": "estimators.bayesian",
    "Mixture": "estimators.mixture",
    "MixtureSearch": "estimators.search",
    "select": "estimators.select",
    **FAMILY_HOMES,
    "Score": "selection.scores",
    "MaximumLikelihood": "em.objectives",
    "MaximumAPosteriori": "em.objectives",
    "VariationalBayes": "em.objectives",
    "DirichletPrior": "allocation.dirichlet",
    "FreeWeights": "allocation.point",
    "StickBreakingPrior": "allocation.stick_breaking",
    "FitResult": "em.result",
    "Gibbs": "posterior.chains",
    "GibbsOverK": "posterior.telescoping",
    "gibbs": "posterior.gibbs",
    "CrossCheck": "checking.crosscheck",
    "crosscheck": "checking.crosscheck",
    "pymc_model": "checking.pymc_model",
    "MixtureDensity": "posterior.density",
    "DensityRegion": "posterior.regions",
    "conformal_region": "assess.conformal",
    "PosteriorSample": "posterior.posterior_draws",
    "LinearResponse": "posterior.linear_response",
    "linear_response": "posterior.linear_response",
    "WeightedBootstrap": "posterior.bootstrap",
    "weighted_bootstrap": "posterior.bootstrap",
    "Evidence": "posterior.evidence",
    "log_evidence": "selection.fit_evidence",
    "LeaveOneOut": "posterior.leave_one_out",
    "leave_one_out": "selection.fit_evidence",
    "GoodnessOfFit": "assess.goodness_of_fit",
    "goodness_of_fit": "assess.goodness_of_fit",
    "LatentClasses": "assess.latent_classes",
    "latent_classes": "assess.latent_classes",
    "plot_latent_classes": "plots",
    "LikelihoodRatioTest": "assess.likelihood_ratio",
    "likelihood_ratio_test": "assess.likelihood_ratio",
    "Merging": "assess.merging",
    "merge_components": "assess.merging",
    "Stability": "assess.stability",
    "stability": "assess.stability",
    "AveragedDensity": "selection.averaging",
    "NestedResult": "assess.nested",
    "nested_cv": "assess.nested",
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
    "plot_pairs": "plots",
    "plot_profile": "plots",
    "plot_region": "plots",
    "plot_uncertainty": "plots",
    "plot_stability": "plots",
    "plot_objective": "plots",
    "plot_selection": "plots",
    "plot_structures": "plots",
    "plot_sensitivity": "plots",
    "PriorSensitivity": "assess.prior_sensitivity",
    "prior_sensitivity": "assess.prior_sensitivity",
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
