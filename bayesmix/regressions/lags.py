"""Lagged responses as explanatory variables of an autoregression."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bayesmix.allocation.designs import columns_of, in_pandas
from bayesmix.core import validation
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.sequences.sequence_data import starts_of_sequences
from bayesmix.sources.containers import tabular


class Lagged(NamedTuple):
    """Explanatory variables with lags, responses, and numbers of samples of sequences.

    Attributes
    ----------
    X : DataFrame (n - n_lags * n_sequences, n_lags + D)
        Lags 1, 2, ... of the response, and then further columns.
    y : Series or array (n - n_lags * n_sequences,)
        Responses without the first ``n_lags`` of each sequence.
    lengths : list of int
    """

    X: pd.DataFrame
    y: Any
    lengths: list[int]


def lagged(
    y: Any, n_lags: int = 1, X: Any = None, *, lengths: Any = None, sequences: Any = None
) -> Lagged:
    """Return lags of a response as columns, for a switching autoregression.

    The first ``n_lags`` samples of each sequence have no lags, and are left out: the likelihood of
    a fit conditions on them.

    Parameters
    ----------
    y : array or Series (n,)
        Response in order of time; a series keeps its name and index.
    n_lags : int, default=1
        Order of the autoregression.
    X : array or frame (n, D), optional
        Further explanatory variables of the same samples.
    lengths, sequences : optional
        Sequences as in ``RegressionMixture.fit``; by default y is one.

    Returns
    -------
    Lagged
        ``X``, ``y`` and ``lengths``, which ``fit`` takes.

    Raises
    ------
    InvalidInputError
        For a sequence that is not longer than ``n_lags``.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> X, y, lengths = bm.lagged(np.arange(6.0), 2)
    >>> X.to_numpy()
    array([[1., 0.],
           [2., 1.],
           [3., 2.],
           [4., 3.]])
    >>> y, lengths
    (array([2., 3., 4., 5.]), [4])
    """
    n_lags = validation.integer("n_lags", n_lags, 1)
    y = tabular(y, "y")
    values: Array = np.asarray(y)
    if values.ndim != 1:
        raise InvalidInputError(f"y must be one column, got shape {values.shape}")
    n = len(values)
    starts = np.flatnonzero(starts_of_sequences(lengths, sequences, n, "sequences"))
    sizes = np.diff(np.append(starts, n))
    if (sizes <= n_lags).any():
        short = int(np.argmax(sizes <= n_lags))
        raise InvalidInputError(
            f"sequences must be longer than n_lags={n_lags}, but sequence {short} has "
            f"{sizes[short]} samples: use fewer lags, or leave it out"
        )
    place = np.arange(n) - np.repeat(starts, sizes)
    kept: Integers = np.flatnonzero(place >= n_lags)
    index = y.index[kept] if hasattr(y, "iloc") else None
    name = str(getattr(y, "name", None) or "y")
    columns = {f"{name}_lag{lag}": values[kept - lag] for lag in range(1, n_lags + 1)}
    table = pd.DataFrame(columns, index=index)
    if X is not None:
        others = in_pandas(tabular(X))
        if not hasattr(others, "columns"):
            values, names, _ = columns_of("X", others, n)
            others = pd.DataFrame(values, columns=list(names))
        if len(others) != n:
            raise InvalidInputError(f"X must have {n} rows as y has, got {len(others)}")
        # Text remains text, so that predictions have the levels of the fit.
        table = pd.concat([table, others.iloc[kept].set_axis(table.index)], axis=1)
    left = y.iloc[kept] if hasattr(y, "iloc") else values[kept]
    return Lagged(table, left, (sizes - n_lags).tolist())
