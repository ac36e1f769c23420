"""Draws from q as ArviZ has them: ``InferenceData``, or the ``DataTree`` that ArviZ 1 has instead.

The one place that knows of the two generations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError, missing_extra
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Source
from bayesmix.sampling.draws.posterior_sample import (
    log_densities_at,
    parameters_of,
    posterior_draws,
)
from bayesmix.version import versions
from bayesmix.workflow.result import FitResult

# Rows times draws of the log likelihood.
MOST_VALUES = 5e7

Named = Mapping[str, tuple[tuple[str, ...], Any]]


def tree(groups: Mapping[str, Named], coords: Mapping[str, Any], attrs: dict[str, str]) -> Any:
    """Groups of arrays with named axes, for ArviZ; an axis without coordinates counts from 0."""
    try:
        arviz, xarray = import_module("arviz"), import_module("xarray")
    except ImportError:
        raise missing_extra("ArviZ", "pymc") from None
    datasets = {}
    for group, arrays in groups.items():
        axes = {axis for dims, _ in arrays.values() for axis in dims}
        labels = {axis: coords[axis] for axis in axes if axis in coords}
        datasets[group] = xarray.Dataset(dict(arrays), labels, attrs)
    # By its version: ArviZ 1 warns where its InferenceData is asked for.
    if int(arviz.__version__.partition(".")[0]) < 1:
        return arviz.InferenceData(**datasets)
    return xarray.DataTree.from_dict(datasets)


def variational_tree(
    result: FitResult,
    source: Source | None,
    n_draws: int,
    seed: int,
) -> Any:
    """Draws from q, the fit's trace and prior, and of rows the log likelihood; see ``to_arviz``."""
    if source is not None and source.shape[0] * n_draws > MOST_VALUES:
        raise InvalidInputError(
            f"X with {source.shape[0]:,} rows and n_draws={n_draws} make more than "
            f"{MOST_VALUES:.0e} log likelihoods: give fewer rows or draws, or leave X out"
        )
    draws = posterior_draws(result, n_draws, seed)
    weights = (("component",), np.exp(draws.weights.log_weights))
    posterior = {"weights": weights} | parameters_of(result, draws)
    groups: dict[str, Named] = {
        "posterior": {name: _drawn(dims, values) for name, (dims, values) in posterior.items()},
        "sample_stats": {"objective": (("iteration",), result.trace)},
        "constant_data": prior_arrays(result),
    }
    if source is not None:
        values = np.asarray(source.in_memory().values, dtype=np.float64)
        groups["observed_data"] = {"X": (("row", "feature"), values)}
        densities = log_densities_at(result, draws, source)
        groups["log_likelihood"] = {"X": _drawn(("row",), densities.T)}
    coords = {"component": np.arange(result.n_components)} | axes_of(result, 1, n_draws)
    note = (
        "independent draws from a variational approximation, in one chain: R-hat and effective "
        "sample sizes say nothing of how good it is"
    )
    return tree(groups, coords, marked("variational", note))


def axes_of(result: FitResult, n_chains: int, n_draws: int) -> dict[str, Any]:
    """Coordinates of chains, draws and features; features have names where the fit knows any."""
    features = np.arange(result.n_features) if result.columns is None else np.array(result.columns)
    return {
        "chain": np.arange(n_chains),
        "draw": np.arange(n_draws),
        "feature": features,
        "other_feature": features,
    }


def marked(inference: str, note: str) -> dict[str, str]:
    """What every group says of where it is from."""
    return {
        "inference": inference,
        "inference_library": "bayesmix",
        "inference_library_version": versions()["bayesmix"],
        "note": note,
    }


def _drawn(dims: tuple[str, ...], values: Array) -> tuple[tuple[str, ...], Array]:
    """Values (S, ...) as those of one chain."""
    return ("chain", "draw", *dims), values[None]


def prior_arrays(result: FitResult) -> dict[str, tuple[tuple[str, ...], Any]]:
    """The numbers of the prior in data units; of what is learned the value or mean under q."""
    prior: Any = result.prior  # a record of any family
    found = {f"prior_{field.name}": getattr(prior, field.name) for field in fields(prior)}
    found["prior_weight_concentration"] = getattr(
        result.inference.weights_prior, "concentration", None
    )
    q: Any = result.unframed
    if hasattr(prior, "scale"):
        found["prior_mean_precision"] = float(q.prior_mean_precision)
        found["prior_scale"] = q.scale.mean[0]
    return {
        name: (tuple(f"{name}_{axis}" for axis in range(np.ndim(value))), value)
        for name, value in found.items()
        if isinstance(value, float | np.ndarray)
    }
