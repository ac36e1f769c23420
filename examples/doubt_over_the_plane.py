"""Uncertainty of the density.

The density, and the width of its credible band relative to it.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
bm.plot_uncertainty(vb, X)
