"""The density of many observations.

The points are a sample of the data. Density and ellipses are those of the fit to all 100,000
observations.
"""

import numpy as np

import bayesmix as bm

rng = np.random.default_rng(0)
centres = np.array([[0.0, 0.0], [4.0, 1.0], [1.0, 5.0]])
X = centres[rng.integers(3, size=100_000)] + rng.normal(size=(100_000, 2))
vb = bm.BayesianGaussianMixture(8, random_state=0).fit(X)
bm.plot_density(vb, X)
