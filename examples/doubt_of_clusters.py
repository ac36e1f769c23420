"""How sure it is which component a row is from.

Each row's probability with its doubt, which comes from not knowing the parameters.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
bm.plot_assignment(vb, X)
