"""A fitted mixture as records and arrays, and back."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from bayesmix.errors import BayesmixWarning, DamagedFileError, UnsupportedError, warn
from bayesmix.io.saved.records import Reader, Writer, fits
from bayesmix.workflow.result import FitResult

# Estimators lie above this layer: the file names the class, and its home is looked up here.
ESTIMATORS = {
    "GaussianMixture": "bayesmix.estimators.gaussian",
    "BayesianGaussianMixture": "bayesmix.estimators.bayesian",
    "Mixture": "bayesmix.estimators.mixture",
}


def described(model: Any, writer: Writer) -> dict[str, Any]:
    """A fitted mixture: its class, its parameters, the names of its columns, its result."""
    name = class_name(model)
    if not hasattr(model, "result_"):
        raise UnsupportedError(f"this {name} is not fitted yet: fit it before saving it")
    return {
        "class": name,
        "parameters": parameters(model, writer, model.result_.seed),
        "features": list(map(str, getattr(model, "feature_names_in_", ()))),
        "result": writer.value(model.result_),
    }


def class_name(model: Any) -> str:
    """The name of a class of mixtures; ``UnsupportedError`` for others."""
    name = type(model).__name__
    if ESTIMATORS.get(name) == type(model).__module__:
        return name
    raise UnsupportedError(
        f"only {', '.join(ESTIMATORS)} and a MixtureSearch of them can be saved, got "
        f"{type(model).__module__}.{name}"
    )


def parameters(model: Any, writer: Writer, seed: int | None) -> dict[str, Any]:
    """Constructor parameters: a generator becomes its seed, and a function the default, aloud."""
    saved = {}
    defaults = type(model)().get_params(deep=False)
    for name, value in model.get_params(deep=False).items():
        if isinstance(value, np.random.Generator | np.random.RandomState):
            value = seed
        elif callable(value):
            value = defaults[name]
            warn(
                f"{name} is a function and is not saved: the loaded model has {name}={value!r}",
                BayesmixWarning,
            )
        try:
            saved[name] = writer.value(value)
        except UnsupportedError as problem:
            raise UnsupportedError(f"{name} cannot be saved: {problem}") from None
    return saved


def restored(described: dict[str, Any], reader: Reader) -> Any:
    """The fitted mixture that was described."""
    model = unfitted(described, reader)
    adopt(model, reader.value(described["result"]), described["features"])
    return model


def unfitted(described: dict[str, Any], reader: Reader) -> Any:
    """The estimator with the parameters that were described."""
    name = described["class"]
    if name not in ESTIMATORS:
        raise DamagedFileError(f"holds a {name!r}, which this bayesmix does not know")
    return made(getattr(importlib.import_module(ESTIMATORS[name]), name), described, reader)


def made(kind: Any, described: dict[str, Any], reader: Reader) -> Any:
    """An estimator of this class with the parameters that were described."""
    values = {name: reader.value(value) for name, value in described["parameters"].items()}
    if unknown := sorted(values.keys() - kind().get_params(deep=False).keys()):
        raise DamagedFileError(
            f"holds a {kind.__name__} with {', '.join(map(repr, unknown))}, which this bayesmix "
            "does not know"
        )
    return kind(**values)


def adopt(model: Any, result: Any, features: Any) -> None:
    """Make an estimator a fitted one; ``DamagedFileError`` for a result that does not hold up."""
    _check(result, features)
    model._adopt(result)
    if features:
        model.feature_names_in_ = np.array(features, dtype=object)
    # A trial row: what does not fit together fails here, not in the user's hands.
    trial = result.mixture.frame.centre[None]
    shares = result.n_components + (result.mixture.noise is not None)
    if (
        result.log_density(trial).shape != (1,)
        or result.probabilities(trial).shape != (1, shares)
        or result.responsibilities(trial).shape != (1, shares)
    ):
        raise DamagedFileError("is damaged: its parts do not fit together")


def _check(result: Any, features: Any) -> None:
    """The sizes that must agree, before anything is computed with them."""
    if not isinstance(result, FitResult):
        raise DamagedFileError("is damaged: it holds no result")
    if not fits(features, list[str]) or len(features) not in (0, result.n_features):
        raise DamagedFileError(f"is damaged: it has {result.n_features} features, named {features}")
    K, D = result.n_components, result.n_features
    sizes = {
        "components": (result.mixture.components.means.shape, (K, D)),
        "weights": (result.mixture.weights.mean().shape, (K,)),
        "centre": (result.mixture.frame.centre.shape, (D,)),
        "scale": (result.mixture.frame.scale.shape, (D,)),
        "counts": (result.counts.shape, (K,)),
        "hard counts": (result.hard_counts.shape, (K,)),
    }
    if result.stream is not None:
        total = result.stream.total
        sizes["sums"] = (total.statistics.counts.shape, (K,))
        sizes["entropies"] = (total.entropies.shape, (K,))
    for part, (found, expected) in sizes.items():
        if found != expected:
            raise DamagedFileError(
                f"is damaged: its {part} should have the shape {expected} and have {found}"
            )
