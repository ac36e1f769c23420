"""Does it agree with a sampler?

Every parameter of a variational fit beside the posterior, and what mixes worst, chain by chain.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(2, random_state=0).fit(X)
bm.plot_crosscheck(bm.crosscheck(vb, X, sampler="gibbs", draws=250, random_state=0))
