"""Pairs of the most informative features.

Four of the thirteen features of wine, with a tied covariance.
"""

from sklearn.datasets import load_wine

import bayesmix as bm

X = load_wine(as_frame=True).data
gm = bm.GaussianMixture(3, covariance_type="tied", random_state=0).fit(X)
bm.plot_pairs(gm, X, columns=["alcohol", "flavanoids", "color_intensity", "proline"])
