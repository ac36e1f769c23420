"""Several columns, each alone and each against each.

Rows and components below the diagonal; above it the density, with the rows whose component is not
sure.
"""

import bayesmix as bm

X = bm.datasets.load_iris()
gm = bm.GaussianMixture(3, random_state=0).fit(X)
bm.plot_pairs(gm, X)
