"""Outliers: Gaussians, a noise component, Student-t.

Two clusters and ten outliers. A Gaussian mixture needs a third component for them. With noise, or
with Student-t components, two components suffice. Crosses are noise.
"""

import matplotlib.pyplot as plt
import numpy as np

import bayesmix as bm

rng = np.random.default_rng(1)
clusters = [rng.normal([0, 0], 1.0, (150, 2)), rng.normal([6, 2], [0.7, 1.2], (150, 2))]
X = np.vstack([*clusters, rng.uniform(-12, 18, (10, 2))])
candidates = {
    "Gaussian": {},
    "Gaussian and noise": {"noise": True},
    "Student-t": {"family": bm.StudentT(degrees_of_freedom=4)},
}
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharex=True, sharey=True, layout="constrained")
for ax, (name, options) in zip(axes, candidates.items(), strict=True):
    search = bm.select(X, [1, 2, 3, 4], "full", "bic", **options)
    bm.plot_density(search, X, ax=ax, legend=False)
    ax.set_title("", loc="right")
    ax.set_title(f"{name}: K = {search.best_params_['n_components']}")
