"""Mixtures that may be the last step of a pipeline, and log densities in units of its data."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from bayesmix.core.procedures import prefix_of, takes_sequences
from bayesmix.em.refusals import WITHOUT_SEQUENCES
from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.scores import rows_of

# Points at which steps of a pipeline are evaluated, and the allowed deviation from affine maps.
PROBES = 8
AFFINE = 1e-8


def refuse_sequences(model: Any, what: str = "this analysis") -> None:
    """Raise an error for a model of sequences, which cannot be fitted to some of the samples."""
    if takes_sequences(model):
        raise UnsupportedError(WITHOUT_SEQUENCES.format(what))


def steps_before(model: Any) -> Any:
    """Return the steps of a pipeline before the mixture, as a pipeline; None if there are none."""
    return model[:-1] if isinstance(model, Pipeline) and len(model.steps) > 1 else None


def fit_weighted(model: Any, X: Any, sample_weight: Any, **options: Any) -> Any:
    """Fit, with sample weights if given; for a pipeline they go to its last step."""
    refuse_sequences(model)
    if sample_weight is None:
        return model.fit(X, **options)
    return model.fit(X, **{f"{prefix_of(model)}sample_weight": sample_weight}, **options)


def density_in_data_units(model: Any, X: Any) -> Array:
    """Return the log density (n,) in nats in the units of the given data, also for pipelines.

    The steps of a pipeline before its mixture must be affine and keep all columns, so that their
    Jacobian determinant is constant and densities are comparable across folds.
    """
    values: Array = model.score_samples(X)
    if (steps := steps_before(model)) is not None:
        values = values + log_stretch(steps, X)
    return values


def log_stretch(steps: Any, X: Any) -> float:
    """Return log |det| of fitted affine steps, from their values at points around the data."""
    rows = np.asarray(rows_of(X, slice(0, PROBES)), dtype=np.float64)
    n_features = rows.shape[1]
    origin = rows.mean(axis=0)
    generator = np.random.default_rng(0)
    reach = 1.0 + np.abs(origin)
    points = np.vstack(
        [
            origin,
            origin + np.diag(reach),
            origin + generator.standard_normal((PROBES, n_features)) * reach,
        ]
    )
    given = pd.DataFrame(points, columns=X.columns) if isinstance(X, pd.DataFrame) else points
    transformed = np.asarray(steps.transform(given), dtype=np.float64)
    if transformed.shape != points.shape:
        raise UnsupportedError(
            f"a pipeline that maps {n_features} columns to {transformed.shape[1]} has no density "
            "in units of the data: keep every column, or transform before the search"
        )
    slope = (transformed[1 : n_features + 1] - transformed[0]) / reach[:, None]
    rest = transformed[n_features + 1 :]
    expected = transformed[0] + (points[n_features + 1 :] - origin) @ slope
    if np.abs(rest - expected).max() > AFFINE * (1.0 + np.abs(rest).max()):
        raise UnsupportedError(
            "a pipeline with steps that are not affine has no comparable density in units of the "
            "data: transform before the search"
        )
    sign, log_det = np.linalg.slogdet(slope)
    return float(log_det) if sign else -math.inf
