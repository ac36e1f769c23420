"""Clusters that come back.

How much the clusters of resampled rows agree with those of all rows.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
gm = bm.GaussianMixture(3, random_state=0)
bm.plot_stability(bm.stability(gm, X, n_resamples=40, random_state=0))
