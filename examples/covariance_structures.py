"""Which covariance structure.

All fourteen, from what every component shares to what each has of its own, over K: the three best
are marked.
"""

import bayesmix as bm

search = bm.select(bm.datasets.load_faithful(), range(1, 5), "all", criterion="bic")
bm.plot_structures(search)
