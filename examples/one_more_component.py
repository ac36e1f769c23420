"""Likelihood ratio test.

The likelihood ratio of three components against two, and its distribution under two.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
gm = bm.GaussianMixture(2, covariance_type="tied", random_state=0)
bm.plots.plot_likelihood_ratio(bm.likelihood_ratio_test(gm, X, n_resamples=30, random_state=0))
