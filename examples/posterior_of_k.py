"""Posterior of K by sampling.

The telescoping sampler draws the number of components together with all parameters.
"""

import bayesmix as bm

X = bm.datasets.load_galaxies()
vb = bm.BayesianGaussianMixture(
    6, weight_concentration_prior_type="dirichlet_distribution", prune=False, random_state=0
).fit(X)
bm.plots.plot_over_k(bm.gibbs(vb, X, n_components=None, n_draws=500, random_state=0))
