"""Gibbs draws as ArviZ has them, and its measures of convergence (Vehtari et al. 2021)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from bayesmix.errors import warn
from bayesmix.sampling.draws.arviz_tree import Named, axes_of, marked, prior_arrays, tree

FEWEST_DRAWS = 4
# What Vehtari et al. (2021) ask for before a number is relied on.
LARGEST_RHAT, FEWEST_EFFECTIVE = 1.01, 400.0


class ToArviz(ABC):
    """What holds draws hands them to ArviZ."""

    @abstractmethod
    def to_arviz(self) -> Any:
        """The draws as ArviZ has them: ``InferenceData``, or the ``DataTree`` of ArviZ 1.

        Raises
        ------
        ImportError
            Where ArviZ is not installed.
        """

    @property
    def idata(self) -> Any:
        """Former name of ``to_arviz()``."""
        warn("idata is now to_arviz()", FutureWarning)
        return self.to_arviz()


def inference_data(found: Any) -> Any:
    """Draws, statistics, rows and prior of a ``Gibbs``."""
    note = "components are not identified: their labels change between draws"
    return _of_parameters(found, "n_occupied", ("blocked Gibbs", note))


def inference_data_of_nuts(found: Any) -> Any:
    """Draws, statistics, rows and prior of a ``NutsDraws``."""
    note = "components are not identified: their labels change between chains"
    return _of_parameters(found, "diverging", (f"NUTS ({found.sampler})", note))


def _of_parameters(found: Any, statistic: str, words: tuple[str, str]) -> Any:
    """Draws of K components, with a statistic of their sampler."""
    posterior = {"weights": (("component",), found.weights)} | found.named_parameters
    statistics = {
        "lp": found.log_joint,
        "log_likelihood": found.log_likelihood,
        statistic: getattr(found, statistic),
    }
    coords = {"component": np.arange(found.n_components)}
    return _tree_of(found, posterior, statistics, {}, coords, words)


def inference_data_over_k(found: Any) -> Any:
    """K, K+, entropy of weights, log likelihood, rows and prior of a ``GibbsOverK``."""
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
    note = "parameters are left out: their number changes between draws"
    return _tree_of(found, posterior, statistics, prior, coords, ("telescoping sampler", note))


def _tree_of(
    found: Any,
    posterior: Named,
    statistics: Mapping[str, Any],
    prior: Named,
    coords: Mapping[str, Any],
    words: tuple[str, str],
) -> Any:
    """Arrays (C, S, ...) of draws with rows, prior, names of axes, and what sampled them."""
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


def convergence(name: str, values: Any) -> str:
    """R-hat and effective draws of one quantity (C, S) in words; empty where ArviZ is not there."""
    try:
        import arviz
    except ImportError:
        return ""
    if np.ptp(values) == 0:
        return f"{name}: the same in every draw."
    if values.shape[1] < FEWEST_DRAWS:
        return f"{name}: too few draws to judge."
    rhat, effective = float(arviz.rhat(values)), float(arviz.ess(values))
    enough = rhat <= LARGEST_RHAT and effective >= FEWEST_EFFECTIVE
    remedy = "" if enough else " Take more."
    return f"{name}: R-hat {rhat:.2f}, {effective:.0f} effective draws.{remedy}"
