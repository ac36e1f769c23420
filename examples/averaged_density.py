"""A density that knows that K was chosen.

The average over candidates with its credible band, and the candidates behind it.
"""

import bayesmix as bm

X = bm.datasets.load_galaxies()
search = bm.select(X)
bm.plot_averaged(search, X)
