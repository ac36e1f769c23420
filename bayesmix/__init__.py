"""bayesmix: mixture models for clustering and density estimation.

Names load on first use (PEP 562), so that importing the package is fast. ``__init__.pyi`` lists
them with types.
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
    "MixtureClassifier": "estimators.classifier",
    "RegressionMixture": "estimators.regression_mixture",
    "HiddenMarkovModel": "estimators.hidden_markov_model",
    "select": "estimators.select",
    **FAMILY_HOMES,
    "Score": "selection.scores",
    "MaximumLikelihood": "em.objectives",
    "MaximumAPosteriori": "em.objectives",
    "VariationalBayes": "em.objectives",
    "RegressionPrior": "families.bayesian_regression",
    "DirichletPrior": "allocation.dirichlet",
    "FreeWeights": "allocation.point",
    "StickBreakingPrior": "allocation.stick_breaking",
    "gibbs": "posterior.gibbs",
    "crosscheck": "checking.crosscheck",
    "pymc_model": "checking.sampling",
    "conformal_region": "assess.conformal",
    "linear_response": "posterior.linear_response",
    "weighted_bootstrap": "posterior.bootstrap",
    "log_evidence": "selection.fit_evidence",
    "log_marginal_likelihood": "selection.fit_evidence:log_evidence",
    "leave_one_out": "selection.fit_evidence",
    "loo": "selection.fit_evidence:leave_one_out",
    "goodness_of_fit": "assess.goodness_of_fit",
    "latent_classes": "assess.latent_classes",
    "discriminant_directions": "assess.discriminant_directions",
    "distal": "assess.distal",
    "likelihood_ratio_test": "assess.likelihood_ratio",
    "merge_components": "assess.merging",
    "stability": "assess.stability",
    "nested_cv": "assess.nested",
    "plot_assignment": "plots",
    "plot_conditional_mean": "plots",
    "plot_density": "plots",
    "plot_pairs": "plots",
    "plot_profile": "plots",
    "plot_uncertainty": "plots",
    "plot_objective": "plots",
    "plot_selection": "plots",
    "plot_structures": "plots",
    "prior_sensitivity": "assess.prior_sensitivity",
    "plot_em_steps": "plots",
    "read": "io",
    "read_table": "io:read",
    "load": "io",
    "from_sklearn": "estimators.exchange",
    "show_versions": "version",
    "__version__": "version",
}
_MODULES = ("datasets", "errors", "plots", "results")
# Old names of these modules' contents.
_MOVED = {
    "plots": (
        "plot_averaged",
        "plot_crosscheck",
        "plot_goodness_of_fit",
        "plot_latent_classes",
        "plot_likelihood_ratio",
        "plot_merging",
        "plot_nested",
        "plot_occupied",
        "plot_over_k",
        "plot_region",
        "plot_sensitivity",
        "plot_stability",
    ),
    "results": (
        "AveragedDensity",
        "CrossCheck",
        "DensityRegion",
        "Evidence",
        "FitResult",
        "Gibbs",
        "GibbsOverK",
        "GoodnessOfFit",
        "LatentClasses",
        "LeaveOneOut",
        "LikelihoodRatioTest",
        "LinearResponse",
        "Merging",
        "MixtureDensity",
        "NestedResult",
        "PosteriorSample",
        "PriorSensitivity",
        "Stability",
        "WeightedBootstrap",
    ),
}

__all__ = [*(name for name in _HOMES if not name.startswith("_")), *_MODULES]


_named = lazy.names(__name__, _HOMES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"bayesmix.{name}")
    for module, names in _MOVED.items():
        if name in names:
            from bayesmix.core.deprecated import warn_renamed

            warn_renamed(f"bayesmix.{name}", f"bayesmix.{module}.{name}")
            return getattr(import_module(f"bayesmix.{module}"), name)
    return _named(name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
