"""Result classes, which functions and methods return.

They load on first use; ``results.pyi`` has their types.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "AveragedDensity": "selection.averaging",
    "CrossCheck": "checking.crosscheck",
    "DensityRegion": "posterior.regions",
    "DiscriminantDirections": "assess.discriminant_directions",
    "Evidence": "posterior.evidence",
    "FitResult": "em.result",
    "Forecast": "estimators.hidden_markov_model",
    "Gibbs": "posterior.chains",
    "GibbsOverK": "posterior.telescoping",
    "GoodnessOfFit": "assess.goodness_of_fit",
    "LatentClasses": "assess.latent_classes",
    "LeaveOneOut": "posterior.leave_one_out",
    "LikelihoodRatioTest": "assess.likelihood_ratio",
    "LinearResponse": "posterior.linear_response",
    "Merging": "assess.merging",
    "MixtureDensity": "posterior.density",
    "NestedResult": "assess.nested",
    "PosteriorSample": "posterior.posterior_draws",
    "PriorSensitivity": "assess.prior_sensitivity",
    "Stability": "assess.stability",
    "WeightedBootstrap": "posterior.bootstrap",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"bayesmix.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
