"""Masses: values that many observations share exactly, such as zeros and the limits of a scale.

A density beside such a value depends on the unit of the column; a mass does not.
"""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.rounding import FEW_VALUES, TIMES_THE_NEXT, grids_of

# A mass is held by this share of the observations, and so many times as often as its neighbours and
# any value that is none; at the ends of the range, where limits are, ``TIMES_THE_NEXT`` the next.
LEAST_SHARE, TIMES_THE_NEIGHBOURS = 0.03, 10
# Observations beside the masses that a density needs: five for each of four normals.
FEWEST_BESIDE = 20


def masses_of(column: Array) -> tuple[float, ...]:
    """Return the values that are masses, of a column with NaN where missing; often ().

    Neighbours are the next values on the same grid, and other values that are frequent too speak
    against a mass, so that round numbers are none.
    """
    seen = column[~np.isnan(column)]
    values, times = np.unique(seen, return_counts=True)
    if len(values) <= FEW_VALUES:
        return ()
    found = times >= LEAST_SHARE * len(seen)
    if not found.any():
        return ()
    grids = grids_of(seen)
    steps = np.zeros(len(values)) if grids is None else grids.steps
    for i in np.flatnonzero(found):
        alike = np.flatnonzero((steps >= steps[i]) & (np.arange(len(values)) != i))
        place = int(np.searchsorted(alike, i))
        beside = times[alike[max(0, place - 1) : place + 1]]
        at_end = i in (0, len(values) - 1)
        least = TIMES_THE_NEXT if at_end else TIMES_THE_NEIGHBOURS
        found[i] = times[i] >= least * beside.max(initial=1)
    within = found & ~np.isin(np.arange(len(values)), (0, len(values) - 1))
    found[within] = times[within] >= TIMES_THE_NEIGHBOURS * times[~found].max(initial=1)
    rest = times[~found]
    if rest.sum() < FEWEST_BESIDE or len(rest) <= FEW_VALUES:
        return ()
    return tuple(values[found].tolist())
