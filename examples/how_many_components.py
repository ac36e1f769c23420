"""How many components.

Nats behind the best candidate, a line for every covariance structure; those that held-out rows
refute are faint.
"""

import bayesmix as bm

search = bm.select(bm.datasets.load_faithful())
bm.plot_selection(search)
