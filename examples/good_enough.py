"""Absolute fit.

Shares of observations inside the contours of their components, and shares for data drawn from the
fit.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
gm = bm.GaussianMixture(2, random_state=0).fit(X)
bm.plots.plot_goodness_of_fit(bm.goodness_of_fit(gm, X, random_state=0))
