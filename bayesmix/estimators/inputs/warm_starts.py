"""Comparison of a warm start with a fresh one, so that a lost cluster is found again."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame
from bayesmix.core.sources import Source
from bayesmix.em.model import Model, Settings, resolve_objective, working_frame
from bayesmix.em.result import FitResult
from bayesmix.em.run import AMONG_CANDIDATES, Monitor
from bayesmix.errors import BayesmixError
from bayesmix.search.fit import FEW_ITERATIONS, fit

# A fresh start that gains less, in nats, would only exchange the order of components.
GAIN = 1.0
# Samples on which components of the two fits are compared.
SAMPLES_COMPARED = 2000


def better_start(
    warm: FitResult, model: Model, source: Source, settings: Settings, monitor: Monitor
) -> Mixture | None:
    """Return the mixture of one fresh quick start if it is better than the warm start, else None.

    Its components are in the order of the warm start. Fits of few iterations are not compared, as
    they are parts of a longer one.
    """
    if settings.max_iter < FEW_ITERATIONS or monitor.stopped is not None:
        return None
    quick = replace(settings, search=False, n_init=1, stopping=AMONG_CANDIDATES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fresh = fit(model, source, quick, monitor)
        except BayesmixError:
            return None
    gained = fresh.objective > warm.objective + GAIN
    if fresh.degenerate is not None or not (gained or warm.degenerate is not None):
        return None
    if fresh.n_components != warm.n_components:
        return fresh.mixture
    sample = source.spread(SAMPLES_COMPARED)
    values = np.asarray(sample.values, dtype=np.float64)
    shared = warm.responsibilities(values).T @ fresh.responsibilities(values)
    places = linear_sum_assignment(-shared[: warm.n_components, : fresh.n_components])[1]
    return fresh.mixture.subset(places, fresh.counts)


def last_mixture(last: FitResult, model: Model, source: Source) -> Mixture | None:
    """Return the mixture of the last fit, from which a warm start of the same model continues."""
    pruned = model.prune and model.inference.variational
    same_size = last.n_components == model.n_components or (
        pruned and last.n_components < model.n_components
    )
    same = (last.n_features, last.family.name) == (source.shape[1], model.family.name)
    averaged = replace(last.mixture, weights=last.density.weights)
    mixture = last.mixture if last.side.covariates is None else averaged
    return mixture if same and same_size else None


def same_prior(last: FitResult, model: Model, source: Source, frame: Frame) -> bool:
    """Whether the frame and the kind of prior are those of the last fit."""
    new, _ = working_frame(model, source)
    inference = resolve_objective(model, source, new)
    return new.equals(frame) and _kind(inference) == _kind(last.inference)


def _kind(inference: Any) -> tuple[Any, ...]:
    """Return what must agree for one fit's mixture to be a starting point of another."""
    prior = getattr(inference, "prior", None)
    scale = getattr(prior, "scale", None)
    return inference.name, type(inference.weights), type(prior), type(scale)
