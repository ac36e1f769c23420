"""Regressions of unlabelled groups.

A parabola and a line: a mixture of two regressions on x and its square.
"""

import bayesmix as bm

data = bm.datasets.load_npreg()
X = data[["x"]].assign(square=data["x"] ** 2)
model = bm.RegressionMixture(2, random_state=0).fit(X, data["y"])
bm.plots.plot_regression(model, X, data["y"], "x")
