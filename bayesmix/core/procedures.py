"""Estimators as criteria and folds see them: what fits, and what has a density."""

from __future__ import annotations

from typing import Any


def last_step(model: Any) -> Any:
    """Return the mixture: an estimator itself, or the last step of a pipeline."""
    return named_step(model)[1]


def named_step(model: Any) -> tuple[str, Any]:
    """Return the name and the last step of a pipeline; "" and the model if it is none."""
    from sklearn.pipeline import Pipeline

    return model.steps[-1] if isinstance(model, Pipeline) else ("", model)


def features_read(model: Any, X: Any) -> Any:
    """Return data as the mixture of a model reads them: of a search, coded and selected columns."""
    pick = getattr(model, "features_read", None)
    return X if X is None or pick is None else pick(X)


def takes_sequences(model: Any) -> bool:
    """Whether the order of samples matters to a model, or to the model of a search."""
    return noun_of(model) == "state"


def noun_of(model: Any) -> str:
    """Return what a component of a model, or of a search, is called: a state in sequences."""
    return getattr(last_step(getattr(model, "estimator", model)), "noun", "component")


def dependent_data_of(model: Any) -> str | None:
    """Return what the data of a model, or of a search, are called if samples are dependent."""
    return getattr(last_step(getattr(model, "estimator", model)), "_dependent_data", None)


def prefix_of(model: Any) -> str:
    """Return the prefix of the mixture's parameters: the name of the last step of a pipeline."""
    name, _ = named_step(model)
    return f"{name}__" if name else ""
