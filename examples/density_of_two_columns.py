"""The density over two columns.

Regions that hold 25, 50, 75 and 95 % of the density, ellipses of the components, and rows in the
colour of their component: paler and smaller the less certain that is.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
bm.plot_density(bm.select(X), X)
