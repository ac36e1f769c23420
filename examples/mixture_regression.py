"""Regression by a mixture.

The conditional mean of one feature given another.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
bm.plot_conditional_mean(vb, "eruptions", "waiting", X, level=0.9)
