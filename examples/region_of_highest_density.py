"""The smallest region with 90 % coverage.

A highest-density region may have several parts.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
gm = bm.GaussianMixture(2, random_state=0).fit(X)
gm.density_region(0.9).plot(X)
