"""Uncertainty of the assignment.

Probability of the component for each observation, with credible intervals.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
bm.plot_assignment(vb, X)
