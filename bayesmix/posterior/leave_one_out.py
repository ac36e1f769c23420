"""Leave-one-out predictive densities of variational fits (Magnusson et al. 2019).

Pareto smoothed importance sampling with weights p(X, θ) / q(θ) / p(x_i | θ) corrects both for the
sample left out and for the approximation q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from bayesmix.core.sources import Source
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, frozen
from bayesmix.posterior import BATCH_VALUES, MOST_VALUES
from bayesmix.posterior.evidence import checked, weighted_draws
from bayesmix.posterior.pareto import TRUSTED_UP_TO, pareto_smoothed
from bayesmix.posterior.posterior_draws import log_densities
from bayesmix.sources.memory import all_weights


@dataclass(frozen=True)
class LogDensityDifference:
    """Difference of the total log densities of two models in nats, first minus second.

    The standard error is that of the paired differences of the observations.
    """

    value: float
    standard_error: float

    def __repr__(self) -> str:
        return f"<LogDensityDifference: {self.value:+.2f} ± {self.standard_error:.2f} nats>"


@dataclass(frozen=True, repr=False)
class LeaveOneOut:
    """Leave-one-out log densities log p(x_i | other observations), in nats and data units."""

    values: Array  # (n,)
    pareto_k: Array  # (n,)
    total: float  # Σ w_i values_i
    standard_error: float  # of the total, with observations as a random sample
    note: str = ""
    weights: Array | None = None  # (n,), None: all 1

    def __post_init__(self) -> None:
        frozen(self)

    def compare(self, other: LeaveOneOut) -> LogDensityDifference:
        """Return the difference of the totals, this one minus the other, with its standard error.

        Parameters
        ----------
        other : LeaveOneOut
            Of another model of the same observations, with the same sample weights.

        Raises
        ------
        ValueError
            If the numbers of observations or the weights differ.

        Examples
        --------
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> fits = [bm.BayesianGaussianMixture(k, random_state=0).fit(X) for k in (2, 1)]
        >>> two, one = (bm.leave_one_out(fit, X) for fit in fits)
        >>> two.compare(one).value > 100.0
        True
        """
        if not isinstance(other, LeaveOneOut):
            raise InvalidInputError(
                f"other must be a LeaveOneOut, as leave_one_out returns, got {type(other).__name__}"
            )
        weights, of_other = (_weights(one) for one in (self, other))
        if len(weights) != len(of_other) or not np.array_equal(weights, of_other):
            raise InvalidInputError(
                "other must have the same observations and sample weights, got "
                f"{len(self.values):,} and {len(other.values):,} observations"
            )
        return LogDensityDifference(*_total(self.values - other.values, weights))

    def summary(self) -> str:
        """Return the total with its standard error, and whether importance sampling is reliable."""
        # Where the largest is not a number there is no estimate of k.
        largest, doubtful = float(np.max(self.pareto_k)), _doubtful(self.pareto_k)
        reliable = f"Pareto k is at most {largest:.2f}: importance sampling is reliable."
        unreliable = (
            f"Pareto k is above {TRUSTED_UP_TO} for {doubtful} of {len(self.values):,} "
            "observations: use cross-validation."
        )
        return (
            f"Leave-one-out log density: {self.total:.2f} ± {self.standard_error:.2f} nats "
            f"(n = {len(self.values):,}).\n{unreliable if doubtful else reliable}"
        )

    def __repr__(self) -> str:
        return f"<LeaveOneOut: {self.total:.2f} ± {self.standard_error:.2f} nats, " + (
            f"{len(self.values):,} observations, Pareto k at most {np.max(self.pareto_k):.2f}>"
        )


def leave_one_out(
    result: FitResult, source: Source, n_draws: int = 1000, seed: int = 0
) -> LeaveOneOut:
    """Return the leave-one-out log density of every sample from one variational fit.

    With Dirichlet weights the draws are those of the log evidence, averaged over relabellings;
    otherwise they come from q. Pruned components are left out, and values learned by type-II
    maximum likelihood are treated as known. A sample of weight w loses one repetition (all of it if
    w < 1). Raises ``InvalidInputError`` if the fit is not variational, source is not the data of
    the fit, or samples times draws are more than 50 million.
    """
    seed = checked(result, source, n_draws, seed)
    if not result.variational:
        raise InvalidInputError(
            "leave-one-out needs posterior draws, which a fit by "
            f"{result.inference.name.replace('_', ' ')} does not have: use a variational fit, or "
            "cross-validation"
        )
    if result.n_rows * n_draws > MOST_VALUES:
        raise InvalidInputError(
            f"n_draws={n_draws} for {result.n_rows} samples makes more than {MOST_VALUES:.0e} "
            f"values: use at most {int(MOST_VALUES // result.n_rows)} draws, or cross-validation"
        )
    weighted = weighted_draws(result, source, n_draws, seed)
    batches = weighted.draws.batches()
    densities = np.hstack([log_densities(result, batch, source) for batch in batches])
    weights = all_weights(source)
    values, k = np.empty(len(densities)), np.empty(len(densities))
    size = max(1, BATCH_VALUES // n_draws)
    for start in range(0, len(densities), size):
        rows = slice(start, start + size)
        density = densities[rows]
        gone = np.minimum(weights[rows, None], 1.0) * density
        smoothed, k[rows] = pareto_smoothed(weighted.log_weights - gone)
        values[rows] = np.logaddexp.reduce(smoothed + density, axis=1)
        values[rows] -= np.logaddexp.reduce(smoothed, axis=1)
    total, error = _total(values, weights)
    doubtful, note = _doubtful(k), ""
    if doubtful:
        note = (
            f"Pareto k exceeds {TRUSTED_UP_TO} for {doubtful} of {len(k)} samples: unreliable there"
        )
    return LeaveOneOut(values, k, total, error, note, np.array(weights))


def _weights(estimate: LeaveOneOut) -> Array:
    return np.ones(len(estimate.values)) if estimate.weights is None else estimate.weights


def _total(values: Array, weights: Array) -> tuple[float, float]:
    """Return Σ w v, and its standard error with observations as a random sample."""
    n, total = float(weights.sum()), float(weights @ values)
    return total, math.sqrt(float(weights @ (values - total / n) ** 2))


def _doubtful(k: Array) -> int:
    return int(np.sum(~(k <= TRUSTED_UP_TO)))
