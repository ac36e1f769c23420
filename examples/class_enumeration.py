"""Criteria for the number of latent classes.

Each line is a model of the covariances; a circle marks the best fit by each criterion.
"""

import bayesmix as bm

X = bm.datasets.load_iris()
classes = bm.enumerate_classes(X, range(1, 5), [1, 2, 3], n_bootstrap=0, random_state=0)
bm.plots.plot_enumeration(classes)
