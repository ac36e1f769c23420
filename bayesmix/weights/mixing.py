"""The allocation of mixing weights: each sample chooses its component by itself."""

from __future__ import annotations

import numpy as np

from bayesmix.numerics.arrays import Array
from bayesmix.numerics.logsumexp import normalise
from bayesmix.records import Allocated, Rows


def sample_by_sample(weights: object, joint: Array, rows: Rows) -> Allocated:
    """Turn log joints (n, K) into responsibilities in place (Bishop 2006, eq. 9.23 and 10.49).

    A known label excludes all other components; logarithms of soft labels are added to the log
    joints (Côme, Oukhellou, Denoeux & Aknin 2009).
    """
    if rows.labels is not None:
        if rows.labels.ndim == 2:
            joint += rows.labels
        else:
            known = rows.labels >= 0
            others = rows.labels[:, None] != np.arange(joint.shape[1])
            joint[known[:, None] & others] = -np.inf
    return Allocated(normalise(joint))
