"""A density averaged over candidates.

The average with its credible band, and the densities of the candidates.
"""

import bayesmix as bm

X = bm.datasets.load_galaxies()
search = bm.select(X)
bm.plots.plot_averaged(search, X)
