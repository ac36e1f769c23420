"""What a mixture says of values that are missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix import validation
from bayesmix.engine.gapped_step import drawn
from bayesmix.errors import UnsupportedError
from bayesmix.estimators.rows import incoming
from bayesmix.estimators.rows.families_of_columns import decoded
from bayesmix.estimators.rows.frames import like_given
from bayesmix.families.level_probabilities import level_probabilities
from bayesmix.numerics.arrays import Array
from bayesmix.numerics.gaps import patterns
from bayesmix.random import Purpose, root_seed, stream
from bayesmix.sources import eager
from bayesmix.workflow.model import Model
from bayesmix.workflow.result import FitResult


def refuse_gaps(model: Model) -> None:
    """Refuse models that cannot say what a row with gaps does."""
    family = model.family
    if model.noise is not None:
        raise UnsupportedError(
            "noise takes no missing values yet: drop such rows (missing='drop'), or leave out noise"
        )
    if not family.takes_gaps:
        raise UnsupportedError(
            f"{family!r} takes no missing values: drop such rows (missing='drop'), or use "
            "Gaussian('full') or Gaussian('diag')"
        )


class Imputing:
    """``impute``, for every estimator whose components say what is missing."""

    def impute(self, X: Any, n_draws: int | None = None, random_state: Any = None) -> Any:
        """Rows with their missing values (NaN) filled in.

        Parameters
        ----------
        X : array, frame or source (n, D)
            Every row needs one value at least. What is there stays as it is.
        n_draws : int, optional
            None: what is expected given the values that a row has, of categories and of columns
            of 0 and 1 the most probable level; one table. Else so many tables drawn: with the
            spread of the values, and of a variational fit with that of the posterior, as multiple
            imputation needs it.
        random_state : optional
            None uses the estimator's own.

        Returns
        -------
        array (n, D) or (n_draws, n, D)
            Of a frame (pandas, polars) a frame with its columns, categories as levels, or a list of
            n_draws frames.

        Examples
        --------
        >>> import numpy as np
        >>> import bayesmix as bm
        >>> X = bm.datasets.load_faithful()
        >>> X.loc[::10, "waiting"] = np.nan
        >>> vb = bm.BayesianGaussianMixture(2, missing="use", random_state=0).fit(X)
        >>> vb.impute(X).head(2).round(1)
           eruptions  waiting
        0        3.6     76.1
        1        1.8     54.0
        >>> tables = vb.impute(X, n_draws=100, random_state=0)
        >>> np.std([table.loc[0, "waiting"] for table in tables]).round(1)
        np.float64(5.3)
        """
        estimator: Any = self
        result: FitResult = estimator._fitted()
        refuse_gaps(Model(result.n_components, result.family, result.inference))
        X = eager(X)
        names = getattr(self, "feature_names_in_", None)
        rows = incoming.new_rows(self, X, gaps=True).in_memory()
        values = np.array(rows.values, dtype=np.float64)
        if n_draws is None:
            return like_given(decoded(result.family, expected(result, values)), X, names)
        number = validation.integer("n_draws", n_draws, 1)
        validation.in_memory(f"n_draws={number:,}", 8.0 * number * values.size, "draw fewer")
        seed = root_seed(estimator.random_state if random_state is None else random_state)
        drawn_tables = imputations(result, values, number, stream(seed, Purpose.GAPS))
        tables = [like_given(decoded(result.family, one), X, names) for one in drawn_tables]
        return np.stack(tables) if isinstance(tables[0], np.ndarray) else tables


def expected(result: FitResult, values: Array) -> Array:
    """E[gaps | what the row has] in their places, under the predictive density.

    Of columns that have levels the most probable of them.
    """
    from bayesmix.sampling.density.partition import conditional_means

    out = values.copy()
    for columns, rows in patterns(values):
        hidden = np.setdiff1d(np.arange(values.shape[1]), columns)
        if len(hidden):
            known = values[np.ix_(rows, columns)]
            means = conditional_means(result.density, hidden, columns, known)
            if not np.isfinite(means).all():  # of tails so heavy that a density has no mean
                means = conditional_means(result.plug_in, hidden, columns, known)
            out[np.ix_(rows, hidden)] = means
    shares = result.probabilities(values)
    for column, of_levels in level_probabilities(result.family, result.density.components).items():
        gaps = np.isnan(values[:, column])
        out[gaps, column] = (shares[gaps] @ of_levels).argmax(axis=1)
    return out


def imputations(
    result: FitResult, values: Array, n_draws: int, generator: np.random.Generator
) -> list[Array]:
    """Tables with gaps drawn, each under other parameters where the fit has a posterior."""
    if not result.variational:
        return [drawn(result.plug_in, values, generator) for _ in range(n_draws)]
    from bayesmix.sampling.draws.parameters import Draws
    from bayesmix.sampling.draws.posterior_sample import mixtures_of

    q = result.posterior
    draws = Draws(q.weights.draws(n_draws, generator), q.components.draws(n_draws, generator))
    return [drawn(mixture, values, generator) for mixture in mixtures_of(result, draws)]
