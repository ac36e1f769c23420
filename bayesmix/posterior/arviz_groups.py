"""Posterior draws and MCMC diagnostics in ArviZ's formats (Vehtari et al. 2021)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

import numpy as np

from bayesmix.core.sources import Source
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, missing_extra, warn
from bayesmix.numerics.arrays import Array
from bayesmix.posterior import MOST_VALUES
from bayesmix.posterior.posterior_draws import log_densities_at, parameters_of, posterior_draws
from bayesmix.version import versions

Named = Mapping[str, tuple[tuple[str, ...], Any]]


def tree(groups: Mapping[str, Named], coords: Mapping[str, Any], attrs: dict[str, str]) -> Any:
    """Return groups of named arrays as ``InferenceData`` (ArviZ 0) or ``DataTree`` (ArviZ 1)."""
    try:
        arviz, xarray = import_module("arviz"), import_module("xarray")
    except ImportError:
        raise missing_extra("ArviZ", "pymc") from None
    datasets = {}
    for group, arrays in groups.items():
        axes = {axis for dims, _ in arrays.values() for axis in dims}
        labels = {axis: coords[axis] for axis in axes if axis in coords}
        datasets[group] = xarray.Dataset(dict(arrays), labels, attrs)
    # Decided by version, because ArviZ 1 warns when InferenceData is accessed.
    if int(arviz.__version__.partition(".")[0]) < 1:
        return arviz.InferenceData(**datasets)
    return xarray.DataTree.from_dict(datasets)


def variational_tree(result: FitResult, source: Source | None, n_draws: int, seed: int) -> Any:
    """Return draws from q with trace, prior and log likelihood; see ``to_arviz``."""
    if source is not None and source.shape[0] * n_draws > MOST_VALUES:
        raise InvalidInputError(
            f"X with {source.shape[0]:,} samples and n_draws={n_draws} makes more than "
            f"{MOST_VALUES:.0e} log likelihoods: use fewer samples or draws, or leave X out"
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
        "sample size do not measure its accuracy"
    )
    return tree(groups, coords, marked("variational", note))


def axes_of(result: FitResult, n_chains: int, n_draws: int) -> dict[str, Any]:
    """Return the coordinates of chains, draws and features (with their names if known)."""
    features = np.arange(result.n_features) if result.columns is None else np.array(result.columns)
    return {
        "chain": np.arange(n_chains),
        "draw": np.arange(n_draws),
        "feature": features,
        "other_feature": features,
    }


def marked(inference: str, note: str) -> dict[str, str]:
    """Return the attributes that every group carries."""
    return {
        "inference": inference,
        "inference_library": "bayesmix",
        "inference_library_version": versions()["bayesmix"],
        "note": note,
    }


def _drawn(dims: tuple[str, ...], values: Array) -> tuple[tuple[str, ...], Array]:
    """Add the chain axis to draws (S, ...)."""
    return ("chain", "draw", *dims), values[None]


def prior_arrays(result: FitResult) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Return the prior's hyperparameters in data units; learned ones as value or mean under q."""
    prior: Any = result.prior
    arrays = {f"prior_{field.name}": getattr(prior, field.name) for field in fields(prior)}
    arrays["prior_weight_concentration"] = getattr(
        result.inference.weights_prior, "concentration", None
    )
    q: Any = result.unframed
    if hasattr(prior, "scale"):
        arrays["prior_mean_precision"] = float(q.prior_mean_precision)
        arrays["prior_scale"] = q.scale.mean[0]
    return {
        name: (tuple(f"{name}_{axis}" for axis in range(np.ndim(value))), value)
        for name, value in arrays.items()
        if isinstance(value, float | np.ndarray)
    }


FEWEST_DRAWS = 4
# Thresholds for reliable estimates recommended by Vehtari et al. (2021).
LARGEST_RHAT, FEWEST_EFFECTIVE = 1.01, 400.0


class ToArviz(ABC):
    """Results whose draws can be exported to ArviZ."""

    @abstractmethod
    def to_arviz(self) -> Any:
        """Return the draws as ``InferenceData``, or ``DataTree`` with ArviZ 1.

        Raises
        ------
        ImportError
            If ArviZ is not installed.
        """

    @property
    def idata(self) -> Any:
        """Former name of ``to_arviz()``."""
        warn("idata is now to_arviz()", FutureWarning)
        return self.to_arviz()


def inference_data(found: Any, statistic: str, sampler: str, between: str) -> Any:
    """Return draws for fixed K, data, prior and statistic; ``between``: where labels change."""
    note = f"components are not identified: their labels change between {between}"
    posterior = {"weights": (("component",), found.weights)} | found.named_parameters
    statistics = {
        "lp": found.log_joint,
        "log_likelihood": found.log_likelihood,
        statistic: getattr(found, statistic),
    }
    coords = {"component": np.arange(found.n_components)}
    return _tree_of(found, posterior, statistics, {}, coords, (sampler, note))


def inference_data_over_k(found: Any) -> Any:
    """Return K, K+, weight entropy, log likelihood, data and prior of a ``GibbsOverK``."""
    posterior = {
        "n_components": ((), found.n_components),
        "n_occupied": ((), found.n_occupied),
        "entropy": ((), found.entropy),
    }
    statistics = {"log_likelihood": found.log_likelihood}
    prior = {
        "prior_over_k": (("k",), found.prior_over_k),
        "concentration_of_k": (("k",), found.concentration),
    }
    coords = {"k": np.arange(1, len(found.prior_over_k) + 1)}
    note = "parameters are left out because their number changes between draws"
    return _tree_of(found, posterior, statistics, prior, coords, ("telescoping sampler", note))


def _tree_of(
    found: Any,
    posterior: Named,
    statistics: Mapping[str, Any],
    prior: Named,
    coords: Mapping[str, Any],
    words: tuple[str, str],
) -> Any:
    """Return draws (C, S, ...) with data, prior, axis names and sampler attributes."""
    result, rows = found.result, found.source.in_memory().rows
    constants = prior_arrays(result) | dict(prior)
    if rows.weights is not None:
        constants["row_weights"] = (("row",), rows.weights)
    groups: dict[str, Named] = {
        "posterior": {
            name: (("chain", "draw", *dims), value) for name, (dims, value) in posterior.items()
        },
        "sample_stats": {name: (("chain", "draw"), value) for name, value in statistics.items()},
        "observed_data": {"X": (("row", "feature"), np.asarray(rows.values))},
        "constant_data": constants,
    }
    coords = axes_of(result, found.n_chains, found.n_draws) | dict(coords)
    return tree(groups, coords, marked(*words))


def convergence_lines(measured: Mapping[str, Any]) -> list[str]:
    """Describe R-hat and effective sample size of quantities (C, S); empty without ArviZ."""
    try:
        import arviz
    except ImportError:
        return []
    return [_convergence(arviz, name, values) for name, values in measured.items()]


def _convergence(arviz: Any, name: str, values: Any) -> str:
    if np.ptp(values) == 0:
        return f"{name}: constant over all draws."
    if values.shape[1] < FEWEST_DRAWS:
        return f"{name}: too few draws for diagnostics."
    rhat, effective = float(arviz.rhat(values)), float(arviz.ess(values))
    enough = rhat <= LARGEST_RHAT and effective >= FEWEST_EFFECTIVE
    remedy = "" if enough else " Take more draws."
    return f"{name}: R-hat {rhat:.2f}, effective sample size {effective:.0f}.{remedy}"
