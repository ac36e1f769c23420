"""Stability of the clustering.

Agreement of clusterings of half-samples with the clustering of all observations.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
gm = bm.GaussianMixture(3, random_state=0)
bm.plots.plot_stability(bm.stability(gm, X, n_resamples=40, random_state=0))
