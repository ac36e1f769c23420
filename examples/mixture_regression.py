"""One column given another.

The conditional mean of a mixture bends where one component gives way to the next.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
vb = bm.BayesianGaussianMixture(3, random_state=0).fit(X)
bm.plot_conditional_mean(vb, "eruptions", "waiting", X, level=0.9)
