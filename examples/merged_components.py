"""Components merged into clusters.

Components are joined step by step, those with the largest overlap first.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
gm = bm.GaussianMixture(5, random_state=0).fit(X)
bm.plots.plot_merging(bm.merge_components(gm, X))
