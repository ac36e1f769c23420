"""Pairs of features.

Observations and components below the diagonal, densities and uncertain assignments above it.
"""

import bayesmix as bm

X = bm.datasets.load_iris()
gm = bm.GaussianMixture(3, random_state=0).fit(X)
bm.plot_pairs(gm, X)
