"""Standard errors of transition probabilities, at given covariates or averaged over the samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.nouns import part_names
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.parameters import SHARE
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.chain_scores import ChainScores
from bayesmix.posterior.gate_errors import DIFFERENCE
from bayesmix.posterior.parameter_errors import bounded_intervals, normal_quantile, scores_of

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.posterior.unit_scores import FitScores


def shares_of_states(scores: Any, kind: str = "information") -> tuple[Array, Array]:
    """Return the shares (K,) of the samples of a fit in each state, and their standard errors.

    They are averages over the samples of the probabilities of states before any value is known.
    """
    shares, slopes = scores.shares_by_wave
    if shares.shape[1] == 1:  # it is known
        return np.ones(1), np.zeros(1)
    totals = np.bincount(scores.rows.side.waves, scores.row_weights)
    weights = totals / totals.sum()
    return weights @ shares, scores.errors_of(np.tensordot(weights, slopes, 1), kind)


def sizes_by_wave(scores: Any, kind: str = "information") -> pd.DataFrame:
    """Return the shares of the persons of a panel in each state at each wave, with their errors."""
    import pandas as pd

    shares, slopes = scores.shares_by_wave
    errors = np.zeros(shares.size)
    if shares.shape[1] > 1:
        errors = scores.errors_of(slopes.reshape(shares.size, -1), kind)
    waves, states = part_names("wave", len(shares)), part_names("state", shares.shape[1])
    index = pd.MultiIndex.from_product([waves, states], names=["wave", "state"])
    return pd.DataFrame({"share": shares.ravel(), "standard_error": errors}, index)


def transitions_by_wave(scores: Any, kind: str = "information") -> pd.DataFrame | None:
    """Return transitions between consecutive waves with their errors; None if all are the same.

    They are averages over the sequences, weighted by the probability of the state before.
    """
    import pandas as pd

    if not (isinstance(scores, ChainScores) and scores.moves_vary):
        return None
    waves, states = scores.rows.side.waves, part_names("state", scores.result.n_components)
    names, values, slopes = [], [], []
    for wave in range(1, int(waves.max()) + 1):
        moves, own = scores.mean_moves(np.flatnonzero(waves == wave))
        names.append(f"wave {wave} to {wave + 1}")
        values.append(moves.ravel())
        slopes.append(own.reshape(moves.size, -1))
    index = pd.MultiIndex.from_product([names, states, states], names=["waves", "from", "to"])
    by_all = np.zeros((len(index), scores.places[0]))
    by_all[:, : scores.allocation.size] = np.concatenate(slopes)
    errors = scores.errors_of(by_all, kind)
    return pd.DataFrame({"estimate": np.concatenate(values), "standard_error": errors}, index)


def _slopes(scores: FitScores, values: Callable[[Array], Array]) -> Array:
    """Return the derivatives (m, p) of functions of the allocation by all parameters."""
    size = scores.allocation.size
    slopes = np.zeros((len(values(np.zeros(size))), len(scores.information)))
    for place, step in enumerate(DIFFERENCE * np.eye(size)):
        slopes[:, place] = (values(step) - values(-step)) / (2.0 * DIFFERENCE)
    return slopes


def transition_table(
    estimator: Any, X: Any, design: Array | None, level: float, sample_weight: Any = None
) -> pd.DataFrame:
    """Return transition probabilities of a likelihood fit with standard errors and intervals.

    ``design`` (m, P) are covariates as the chain has them; None: averages over the samples, as in
    ``parameter_table``. ``X`` are the data of the fit. With sample weights errors are those of the
    sandwich.
    """
    import pandas as pd

    level = checked_level(level)
    K = estimator._fitted().n_components
    states = part_names("state", K)
    if design is None:
        kind = "information" if sample_weight is None else "sandwich"
        table = estimator.parameter_table(X, kind, level=level, sample_weight=sample_weight)
        table = table.loc["transition"]
        index = pd.MultiIndex.from_product([states, states], names=["from", "to"])
        return table.set_axis(index, axis="index")
    if not len(design):
        raise InvalidInputError("covariates must have at least one row, got none")
    with single_threaded_blas():
        scores = scores_of(estimator, X, sample_weight)

        def values(step: Array) -> Array:
            return np.asarray(scores.allocation.moved(step).transitions_of(design)).ravel()

        estimates = values(np.zeros(scores.allocation.size))
        kind = "information" if sample_weight is None else "sandwich"
        errors = scores.errors_of(_slopes(scores, values), kind)
    product = [range(len(design)), states, states]
    index = pd.MultiIndex.from_product(product, names=["row", "from", "to"])
    domains = [SHARE] * len(index)
    return bounded_intervals(index, estimates, errors, normal_quantile(level), domains)
