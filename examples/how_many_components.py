"""How many components.

Difference to the chosen candidate in nats, with a line per covariance structure.
"""

import bayesmix as bm

search = bm.select(bm.datasets.load_faithful())
bm.plot_selection(search)
