"""Posterior draws and MCMC diagnostics in ArviZ's formats (Vehtari et al. 2021)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any

import numpy as np

from bayesmix.core.sources import Source
from bayesmix.em.result import FitResult
from bayesmix.errors import missing_extra, warn
from bayesmix.numerics.arrays import Integers
from bayesmix.posterior.labels import Group
from bayesmix.posterior.pointwise import each_observation, pointwise, replicated
from bayesmix.version import versions

Named = Mapping[str, tuple[tuple[str, ...], Any]]


def tree(
    groups: Mapping[str, Named],
    coords: Mapping[str, Any],
    attrs: dict[str, str],
    draws_of: Mapping[str, Integers] | None = None,
) -> Any:
    """Return groups of named arrays as ``InferenceData`` (ArviZ 0) or ``DataTree`` (ArviZ 1).

    ``draws_of``: numbers of the draws in groups that do not have all of them.
    """
    try:
        arviz, xarray = import_module("arviz"), import_module("xarray")
    except ImportError:
        raise missing_extra("ArviZ", "pymc") from None
    datasets = {}
    for group, arrays in groups.items():
        axes = {axis for dims, _ in arrays.values() for axis in dims}
        labels = {axis: coords[axis] for axis in axes if axis in coords}
        if draws_of and group in draws_of:
            labels["draw"] = draws_of[group]
        datasets[group] = xarray.Dataset(dict(arrays), labels, attrs)
    # Decided by version, because ArviZ 1 warns when InferenceData is accessed.
    if int(arviz.__version__.partition(".")[0]) < 1:
        return arviz.InferenceData(**datasets)
    return xarray.DataTree.from_dict(datasets)


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


# Name of the log likelihood of all observations: ArviZ takes "log_likelihood" for pointwise values.
TOTAL = "total_log_likelihood"
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
        TOTAL: found.log_likelihood,
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
    statistics = {TOTAL: found.log_likelihood}
    prior = {
        "prior_over_k": (("k",), found.prior_over_k),
        "concentration_of_k": (("k",), found.concentration),
    }
    coords = {"k": np.arange(1, len(found.prior_over_k) + 1)}
    note = "parameters are left out because their number changes between draws"
    return _tree_of(found, posterior, statistics, prior, coords, ("telescoping sampler", note))


def of_observations(
    result: FitResult,
    source: Source,
    groups: Sequence[Group],
    n_chains: int,
    n_draws: int,
    seed: int,
) -> tuple[dict[str, Named], dict[str, Integers]]:
    """Return data, pointwise log likelihoods and replicated data, and which draws have them.

    Repeated samples are written out. Data with fractional weights, or too many, stand alone.
    """
    observations = each_observation(source)
    if observations is None:
        whole = source.in_memory()
        return {"observed_data": {"X": (("row", "feature"), np.asarray(whole.values))}}, {}
    where = result, observations, groups, n_chains, n_draws
    log_likelihood, of_likelihood = pointwise(*where)
    replicates, of_replicates = replicated(*where, seed)
    named: dict[str, Named] = {
        "observed_data": {"X": (("row", "feature"), np.asarray(observations.values))},
        "log_likelihood": {"X": (("chain", "draw", "row"), log_likelihood)},
        "posterior_predictive": {"X": (("chain", "draw", "row", "feature"), replicates)},
    }
    return named, {"log_likelihood": of_likelihood, "posterior_predictive": of_replicates}


def _tree_of(
    found: Any,
    posterior: Named,
    statistics: Mapping[str, Any],
    prior: Named,
    coords: Mapping[str, Any],
    words: tuple[str, str],
) -> Any:
    """Return draws (C, S, ...) with data, prior, axis names and sampler attributes."""
    result, source, n_chains, n_draws = found.result, found.source, found.n_chains, found.n_draws
    pointwise_groups, kept = of_observations(
        result, source, found.groups, n_chains, n_draws, found.seed
    )
    constants = prior_arrays(result) | dict(prior)
    if "log_likelihood" not in pointwise_groups and source.in_memory().weights is not None:
        constants["row_weights"] = (("row",), source.in_memory().weights)
    groups: dict[str, Named] = {
        "posterior": {
            name: (("chain", "draw", *dims), value) for name, (dims, value) in posterior.items()
        },
        "sample_stats": {name: (("chain", "draw"), value) for name, value in statistics.items()},
        "constant_data": constants,
    }
    coords = axes_of(result, n_chains, n_draws) | dict(coords)
    return tree(groups | pointwise_groups, coords, marked(*words), kept)


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
