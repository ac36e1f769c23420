"""The density over two features.

Regions that contain 25, 50, 75 and 95 % of the density, ellipses of the components, observations
in the colour of their component, paler where the assignment is uncertain.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
bm.plot_density(bm.select(X), X)
