"""Conditional means of Gaussians and Student-t densities (Bishop 2006, sec. 2.3)."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array, Integers


def regressed(
    means: Array, slopes: Array | float, columns: Integers, given: Integers, values: Array
) -> Array:
    """Return m_k + B_k (x_given - m_k,given) (n, K, C) for values of the given columns (n, G).

    ``slopes`` are (K, C, G), (1, C, G) if shared, or 0.
    """
    n_components = len(means)
    own = means[:, columns]
    if np.isscalar(slopes):
        return np.broadcast_to(own, (len(values), *own.shape))
    each = np.broadcast_to(slopes, (n_components, len(columns), len(given)))
    out = np.empty((len(values), *own.shape))
    for k in range(n_components):
        out[:, k] = own[k] + (values - means[k, given]) @ each[k].T
    return out
