"""How many components.

Difference of each candidate from the best in nats, with a line per covariance structure.
"""

import bayesmix as bm

search = bm.select(bm.datasets.load_faithful())
bm.plot_selection(search)
