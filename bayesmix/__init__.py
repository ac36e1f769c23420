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
    "Score": "selection.criteria.scores",
    "Gaussian": "families.gaussian",
    "Bernoulli": "families.bernoulli",
    "Poisson": "families.poisson",
    "Exponential": "families.exponential",
    "Gamma": "families.gamma",
    "LogNormal": "families.transformed",
    "Transformed": "families.transformed",
    "FactorAnalytic": "families.factor_analytic",
    "Product": "families.product",
    "StudentT": "families.student_t",
    "StudentPrior": "families.student_t.prior",
    "Binomial": "families.binomial",
    "Categorical": "families.categorical",
    "CategoricalPrior": "families.categorical",
    "BetaPrior": "families.bernoulli",
    "GammaPrior": "families.poisson",
    "GaussianPrior": "families.gaussian",
    "LogNormalPrior": "families.transformed",
    "ProductPrior": "families.product",
    "MaximumLikelihood": "engine.objectives",
    "MaximumAPosteriori": "engine.objectives",
    "VariationalBayes": "engine.objectives",
    "DirichletPrior": "weights",
    "FreeWeights": "weights",
    "StickBreakingPrior": "weights",
    "FitResult": "workflow.result",
    "Gibbs": "sampling.gibbs.chains",
    "GibbsOverK": "sampling.gibbs.chains_over_k",
    "gibbs": "sampling.gibbs.sampler",
    "CrossCheck": "checking.cross_check",
    "crosscheck": "checking.check",
    "pymc_model": "checking.pymc_model",
    "MixtureDensity": "sampling.density.mixture_density",
    "DensityRegion": "sampling.density.regions",
    "conformal_region": "selection.checks.conformal_regions",
    "PosteriorSample": "sampling.draws.posterior_sample",
    "LinearResponse": "sampling.linear_response.covariances",
    "linear_response": "sampling.linear_response.covariances",
    "WeightedBootstrap": "sampling.weighted_bootstrap",
    "weighted_bootstrap": "sampling.weighted_bootstrap",
    "Evidence": "sampling.evidence.importance",
    "log_evidence": "selection.criteria.evidence_of_fit",
    "LeaveOneOut": "sampling.evidence.leave_one_out",
    "leave_one_out": "selection.criteria.evidence_of_fit",
    "GoodnessOfFit": "selection.checks.goodness_of_fit",
    "goodness_of_fit": "selection.checks.goodness_of_fit",
    "LatentClasses": "selection.checks.latent_classes",
    "latent_classes": "selection.checks.latent_classes",
    "plot_latent_classes": "plots",
    "LikelihoodRatioTest": "selection.checks.likelihood_ratio",
    "likelihood_ratio_test": "selection.checks.likelihood_ratio",
    "Merging": "selection.clustering.merging",
    "merge_components": "selection.clustering.merging",
    "Stability": "selection.clustering.stability_of_clusters",
    "stability": "selection.clustering.stability_of_clusters",
    "AveragedDensity": "selection.averaging",
    "NestedResult": "selection.checks.nested_folds",
    "nested_cv": "selection.checks.nested_folds",
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
    "PriorSensitivity": "selection.checks.prior_sensitivity",
    "prior_sensitivity": "selection.checks.prior_sensitivity",
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
