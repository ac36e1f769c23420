"""The smallest region that holds 90 %.

Where the next row is expected, in as many pieces as it takes.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
gm = bm.GaussianMixture(2, random_state=0).fit(X)
gm.density_region(0.9).plot(X)
