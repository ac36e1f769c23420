"""Profile of components over many features.

Thirteen measurements of wine in three components, in standard deviations.
"""

from sklearn.datasets import load_wine

import bayesmix as bm

X = load_wine(as_frame=True).data
gm = bm.GaussianMixture(3, covariance_type="diag", random_state=0).fit(X)
bm.plot_profile(gm)
