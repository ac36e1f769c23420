"""The tree of merges.

A search begins at small clusters, which are merged pair by pair. The last merge of the eruptions
loses 130 nats of log evidence, and no other merge more than one.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
bm.plots.plot_tree(bm.select(X))
