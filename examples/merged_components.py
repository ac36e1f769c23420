"""Components merged to clusters.

Which components overlap so much that they are one cluster, step by step.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
gm = bm.GaussianMixture(5, random_state=0).fit(X)
bm.plot_merging(bm.merge_components(gm, X))
