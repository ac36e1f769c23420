"""Groups between gaps: two half moons.

By overlap, pieces of a half moon are clusters of their own; gaps in the density separate the two.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import make_moons

import bayesmix as bm

X, _ = make_moons(600, noise=0.07, random_state=3)
fig, axes = plt.subplots(1, 2, figsize=(11, 4.8), layout="constrained")
for ax, clusters, title in zip(
    axes, (None, "gaps"), ("by overlap", 'clusters="gaps"'), strict=True
):
    search = bm.select(X, clusters=clusters)
    bm.plot_density(search, X, ax=ax)
    ax.set_title(f"{title}: {search.answer_.headline}", fontsize="medium")
