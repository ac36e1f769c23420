"""The objective of a fit.

Starts and moves of the search, and the evidence lower bound of the returned run.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(8, random_state=0).fit(X)
bm.plot_objective(vb)
