"""Fourteen covariance structures.

All structures by K, from few to many parameters. The three best are marked.
"""

import bayesmix as bm

search = bm.select(bm.datasets.load_faithful(), range(1, 5), "all", criterion="bic")
bm.plot_structures(search)
