"""Fits that go on: batch by batch, or warm starts, which are compared with a fresh one."""

from __future__ import annotations

from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, cast

from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame
from bayesmix.core.sources import Source
from bayesmix.em.model import Model, resolve_objective, working_frame
from bayesmix.em.refusals import refuse_covariates
from bayesmix.em.result import FitResult
from bayesmix.errors import (
    BayesmixWarning,
    InvalidInputError,
    InvalidTypeError,
    UnsupportedError,
    warn,
)
from bayesmix.estimators.inputs import incoming
from bayesmix.estimators.inputs.given_sources import new_rows
from bayesmix.observation.instrument import refuse_measured
from bayesmix.sources import streaming

if TYPE_CHECKING:
    from bayesmix.estimators.base import MixtureEstimator


def with_batch(
    estimator: MixtureEstimator, X: Any, y: Any, sample_weight: Any, batch: Any, forgetting: Any
) -> None:
    """Update a fit with one batch; see ``partial_fit``."""
    if isinstance(y, (str, Integral)):
        raise InvalidInputError(f"y must be None, got {y!r}: name a batch with batch={y!r}")
    name: Any = batch
    if isinstance(name, bool) or not isinstance(name, Integral | str | None):
        raise InvalidInputError(
            f"batch must be a string or an integer that names these rows, got {batch!r:.60}"
        )
    name = int(name) if isinstance(name, Integral) else name
    if hasattr(type(X), "nnz"):
        raise InvalidTypeError(
            "X must be dense for partial_fit, got a sparse matrix: pass X.toarray() of each batch"
        )
    if forgetting is not None:
        validation.number("forgetting", forgetting, 0.0, strict=True)
        if not forgetting < 1.0:
            raise InvalidInputError(
                f"forgetting must be a number between 0 and 1, got {forgetting!r}"
            )
    if incoming.missing_of(estimator) != "error":
        raise UnsupportedError(
            f"missing={estimator.missing!r} is not supported by partial_fit: pass rows without "
            "missing values, and missing='error'"
        )
    model = estimator._model()
    with incoming.unchanged_on_error(estimator):
        fitted: FitResult | None = getattr(estimator, "result_", None)
        if fitted is not None:
            refuse_covariates(fitted, "partial_fit")
        if fitted is not None and fitted.stream is None:
            warn(
                "partial_fit begins a new stream and discards the previous fit: pass its data "
                "again as the first batch",
                BayesmixWarning,
            )
        if fitted is None or fitted.stream is None:
            n_jobs = validation.jobs(estimator.n_jobs)
            source = incoming.training_rows(estimator, X, sample_weight, n_jobs)
            refuse_measured(source, "partial_fit", "use fit")
            streaming.check_first(model, source)
            estimator._fit(lambda _: source)
            result = streaming.begun(estimator.result_, source, name)
        else:
            stream = cast("streaming.Stream", fitted.stream)
            if forgetting is not None and (name is not None or stream.named.names):
                raise InvalidInputError(
                    "forgetting must be None in a stream with named batches: a repeated batch "
                    "would count in full"
                )
            source = new_rows(estimator, X, sample_weight)
            refuse_measured(source, "partial_fit", "use fit")
            incoming.refuse(source, large=True)
            source = source.present()
            result = streaming.arrived(estimator.result_, source, name, forgetting)
    estimator._adopt(result)


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
