"""Pairs of directions of a common subspace.

Four groups of 150 samples along three factors of 60 features. Axes name the features with the
largest loadings.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

rng = np.random.default_rng(0)
centres = 5.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
factors = centres[rng.integers(0, 4, 150)] + rng.normal(size=(150, 3))
X = factors @ rng.normal(size=(3, 60)) + 2.0 * rng.normal(size=(150, 60))
data = pd.DataFrame(X, columns=[f"gene {d}" for d in range(1, 61)])
gm = bm.GaussianMixture(4, covariance_type=bm.CommonSubspace(3), random_state=0).fit(data)
bm.plot_pairs(gm, data)
