"""Comparison with MCMC.

Intervals of every parameter by the variational fit and by the sampler, and the traces of the
parameter that mixes worst.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
bm.plots.plot_crosscheck(bm.crosscheck(vb, X, sampler="gibbs", n_draws=250, random_state=0))
