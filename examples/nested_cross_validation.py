"""Nested cross-validation.

Held-out scores of the model that the inner search selects in each outer fold.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
search = bm.MixtureSearch(n_components=(1, 2, 3, 4), random_state=0)
bm.plots.plot_nested(bm.nested_cv({"BIC": search, "two": bm.GaussianMixture(2)}, X, random_state=0))
