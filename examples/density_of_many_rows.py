"""The density of more rows than can be drawn.

A sample of the rows stands for them; ellipses and regions are of the fit to all 100,000.
"""

import numpy as np

import bayesmix as bm

rng = np.random.default_rng(0)
centres = np.array([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]])
X = centres[rng.integers(3, size=100_000)] + rng.normal(size=(100_000, 2))
vb = bm.BayesianGaussianMixture(8, random_state=0).fit(X)
bm.plot_density(vb, X)
