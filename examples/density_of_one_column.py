"""The density of one feature, with a credible band.

82 velocities of galaxies: density, components, credible band and histogram.
"""

import bayesmix as bm

X = bm.datasets.load_galaxies()
vb = bm.BayesianGaussianMixture(6, random_state=0).fit(X)
bm.plot_density(vb, X, band=0.9)
