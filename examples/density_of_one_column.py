"""The density of one column, with its doubt.

82 velocities of galaxies: the density, its components, and a credible band beside the histogram.
"""

import bayesmix as bm

X = bm.datasets.load_galaxies()
vb = bm.BayesianGaussianMixture(6, random_state=0).fit(X)
bm.plot_density(vb, X, band=0.9)
