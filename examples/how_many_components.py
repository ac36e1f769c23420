"""How many components.

Difference to the best candidate in nats, with a line per covariance structure. Structures that
cross-validation rules out are pale.
"""

import bayesmix as bm

search = bm.select(bm.datasets.load_faithful())
bm.plot_selection(search)
