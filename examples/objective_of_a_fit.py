"""How a fit got where it is.

The evidence lower bound of every pass: it never falls between two marks.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(8, search=None, random_state=0).fit(X)
bm.plot_objective(vb)
