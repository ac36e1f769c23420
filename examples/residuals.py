"""Residuals.

Quantiles of residuals for earthquakes: counts of one Poisson distribution, and three states.
"""

import matplotlib.pyplot as plt

import bayesmix as bm

X = bm.datasets.load_earthquakes()
_, axes = plt.subplots(1, 2, figsize=(8.6, 4.2), layout="constrained", sharey=True)
for number, ax in zip((1, 3), axes, strict=True):
    model = bm.HiddenMarkovModel(number, family=bm.Poisson(), random_state=0).fit(X)
    bm.plots.plot_residuals(model.pseudo_residuals(X), ax)
    ax.set_title("one Poisson distribution" if number == 1 else "three states", loc="left")
