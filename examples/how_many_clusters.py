"""How many clusters.

Probability of each number of clusters, and the clusters of the answer.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
bm.plot_answer(bm.select(X), X)
