"""How a fit got where it is.

What the search tried, in its order, and the evidence lower bound of every pass of the run returned.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(8, random_state=0).fit(X)
bm.plot_objective(vb)
