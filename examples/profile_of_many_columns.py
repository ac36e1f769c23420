"""What sets the components apart, over many columns.

Thirteen measurements of three kinds of wine, each in its own standard deviations.
"""

from sklearn.datasets import load_wine

import bayesmix as bm

X = load_wine(as_frame=True).data
gm = bm.GaussianMixture(3, covariance_type="diag", random_state=0).fit(X)
bm.plot_profile(gm)
