"""How unsure the density is, place by place.

The density, and how wide its credible band is relative to it.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
bm.plot_uncertainty(vb, X)
