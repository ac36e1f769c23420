"""How many components.

Nats behind the best candidate, one line per covariance structure. Structures that cross-validation
rules out are pale.
"""

import bayesmix as bm

search = bm.select(bm.datasets.load_faithful())
bm.plot_selection(search)
