"""``parameter_table`` of a mixture of regressions: all parameters with their standard errors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from bayesmix.core import validation
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.em.run import Monitor, begin_at, run
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.bands import checked_level
from bayesmix.posterior.bootstrap import MOST_PASSES
from bayesmix.posterior.parameter_errors import KINDS, bounded_intervals
from bayesmix.posterior.regression_vector import ParameterVector

if TYPE_CHECKING:
    import pandas as pd


def regression_table(
    data: Any, mixture: Mixture, kind: str, level: float, n_draws: int, random_state: Any
) -> pd.DataFrame:
    """Return estimates, standard errors and intervals by parameter, column and class, from 1.

    Bootstrap: refits to random weights of the units, from the fit.
    """
    import pandas as pd

    validation.one_of("standard_errors", kind, KINDS)
    level, vector = checked_level(level), ParameterVector(data, mixture)
    names, estimates, back = _parameters(vector)
    with single_threaded_blas():
        if kind == "bootstrap":
            n_draws = validation.integer("n_draws", n_draws, 2)
            draws = [_refit(data, mixture, root_seed(random_state), one) for one in range(n_draws)]
            errors = np.std(
                [_parameters(ParameterVector(data, own))[1] for own in draws], 0, ddof=1
            )
        else:
            errors = vector.errors(back, kind == "sandwich")
    rows = [(part, term, k if k == "all" else int(k) + 1) for part, k, term in names]
    index = pd.MultiIndex.from_tuples(rows, names=["parameter", "column", "class"])
    return bounded_intervals(index, estimates, errors, float(ndtri(0.5 + 0.5 * level)))


def _parameters(vector: ParameterVector) -> tuple[list[Any], Array, Array]:
    """Return names, values and derivatives of shares, coefficients and dispersions."""
    names, located, back = vector.reported
    components, K = vector.components, vector.mixture.n_components
    further: list[Any] = []
    values, slopes = [located], [back]
    if vector.data.gate is None:
        shares = vector.mixture.weights.mean()
        slope = np.zeros((K, len(vector.theta)))
        slope[:, : K - 1] = (np.diag(shares) - np.outer(shares, shares))[:, 1:]
        names = [("share", k, "") for k in range(K)] + names
        values, slopes = [shares, *values], [slope, *slopes]
    if components.response.dispersed and not vector.data.further_terms(vector.mixture)[0]:
        slope = np.zeros((K, len(vector.theta)))
        slope[:, vector.n_located :] = np.diag(components.dispersion)
        further = [("dispersion", k, "") for k in range(K)]
        values, slopes = [*values, components.dispersion], [*slopes, slope]
    return names + further, np.concatenate(values), np.concatenate(slopes)


def _refit(data: Any, mixture: Mixture, seed: int, number: int) -> Mixture:
    """Return the optimum nearest to a fit for random weights of the units."""
    problem = data.problem()
    factors = stream(seed, Purpose.RESAMPLE, number).standard_exponential(data.n_units)
    factors /= factors.mean()
    rows = problem.source.shape[0]
    by_row = factors if rows == data.n_units else factors[data.units]
    problem = replace(problem, source=problem.source.reweighted(by_row))
    state = run(problem, begin_at(problem, mixture), Monitor(), MOST_PASSES)
    if state.status == "interrupted":
        raise KeyboardInterrupt
    return state.current_mixture()
