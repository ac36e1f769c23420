"""Pipelines that end in a mixture: the mixture, the steps before it, the density of their rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.selection.scores import rows_of

# Points at which a step of a pipeline is tried, and how far from affine it may be.
PROBES = 8
AFFINE = 1e-8


def last_step(model: Any) -> Any:
    """The mixture itself, of a pipeline its last step."""
    return model.steps[-1][1] if hasattr(model, "steps") else model


def steps_before(model: Any) -> Any:
    """Of a pipeline the steps before the mixture, as a pipeline; None where there are none."""
    return model[:-1] if hasattr(model, "steps") and len(model.steps) > 1 else None


def prefix_of(model: Any) -> str:
    """What the mixture's parameters begin with: of a pipeline the name of its last step."""
    return f"{model.steps[-1][0]}__" if hasattr(model, "steps") else ""


def fit_weighted(model: Any, X: Any, sample_weight: Any, **options: Any) -> Any:
    """Fit, with weights where there are any; of a pipeline they go to its last step."""
    if sample_weight is None:
        return model.fit(X, **options)
    return model.fit(X, **{f"{prefix_of(model)}sample_weight": sample_weight}, **options)


def log_density(model: Any, X: Any) -> Array:
    """Log density (n,) of rows in nats and in *their* units, whatever a pipeline makes of them.

    A pipeline's mixture lives on transformed rows; its steps before the last must be affine and
    keep every column, so that their Jacobian determinant is one number.

    Raises
    ------
    UnsupportedError
        Where it is not: densities of transformed rows do not compare between folds or procedures.
    """
    values: Array = model.score_samples(X)
    if (steps := steps_before(model)) is not None:
        values = values + log_stretch(steps, X)
    return values


def log_stretch(steps: Any, X: Any) -> float:
    """log |det| of fitted affine steps, from what they make of points around the rows."""
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
    made = np.asarray(_transformed(steps, points, X), dtype=np.float64)
    if made.shape != points.shape:
        raise UnsupportedError(
            f"a pipeline that turns {n_features} columns into {made.shape[1]} has no density in "
            "units of the rows: keep every column, or transform before the search"
        )
    slope = (made[1 : n_features + 1] - made[0]) / reach[:, None]
    rest = made[n_features + 1 :]
    expected = made[0] + (points[n_features + 1 :] - origin) @ slope
    if np.abs(rest - expected).max() > AFFINE * (1.0 + np.abs(rest).max()):
        raise UnsupportedError(
            "a pipeline whose steps are not affine has no comparable density in units of the "
            "rows: transform before the search"
        )
    sign, log_det = np.linalg.slogdet(slope)
    return float(log_det) if sign else -math.inf


def _transformed(steps: Any, points: Array, X: Any) -> Any:
    """Points through the steps, as a frame where the rows are one."""
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        import pandas as pd

        return steps.transform(pd.DataFrame(points, columns=X.columns))
    return steps.transform(points)
