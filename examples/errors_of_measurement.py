"""Errors of measurement: three groups that they blur.

Each value has its own known error (bars); triangles are values below a limit of detection. The
mixture of the values as they are is too wide. ``Measured`` gives that of the true values.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

import bayesmix as bm

rng = np.random.default_rng(4)
shares, means, deviations = np.array([0.4, 0.35, 0.25]), [0.0, 2.0, 4.5], [0.3, 0.3, 0.5]
group = rng.choice(3, 900, p=shares)
true = rng.normal(np.take(means, group), np.take(deviations, group))[:, None]
error = rng.uniform(0.1, 1.4, true.shape)
seen = true + error * rng.normal(size=true.shape)
limit = np.sort(seen[:, 0])[25]
fits = {
    "As they are": seen,
    "Measured": bm.Measured(seen, error=error, limits=(limit, None)),
}
x = np.linspace(-3, 8, 400)
density = norm.pdf(x[:, None], means, deviations) @ shares
figure, axes = plt.subplots(
    2, 1, figsize=(9, 5), sharex=True, layout="constrained", height_ratios=[2, 1]
)
axes[0].fill_between(x, density, color="0.85", label="true density")
for name, X in fits.items():
    search = bm.select(X, [1, 2, 3, 4], criterion="bic")
    K = search.best_params_["n_components"]
    axes[0].plot(x, np.exp(search.score_samples(x[:, None])), label=f"{name}: K = {K}")
axes[0].legend()
axes[0].set_ylabel("density")
some = np.arange(0, 900, 9)
shown = some[seen[some, 0] > limit]
height = rng.random(900)
axes[1].errorbar(seen[shown, 0], height[shown], xerr=error[shown, 0], fmt=".", alpha=0.5)
below = np.flatnonzero(seen[:, 0] <= limit)
axes[1].plot(np.full(len(below), limit), height[below], "<", color="C3")
axes[1].set_yticks([])
axes[1].set_xlabel("value")
