"""Prior sensitivity.

Probabilities of K under a grid of priors.
"""

import bayesmix as bm

X = bm.datasets.load_galaxies()
search = bm.select(X, n_components=range(2, 6), criterion="elbo_log_k")
bm.plots.plot_sensitivity(bm.prior_sensitivity(search, X))
