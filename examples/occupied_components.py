"""Number of occupied components by Gibbs sampling.

Marks show the chains; they should agree.
"""

import bayesmix as bm

X = bm.datasets.load_galaxies()
vb = bm.BayesianGaussianMixture(10, prune=False, random_state=0).fit(X)
bm.plots.plot_occupied(bm.gibbs(vb, X, n_draws=500, random_state=0))
