"""Features that differ between the clusters.

Irises with eight further columns of noise: the evidence of each column.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

iris = bm.datasets.load_iris()
noise = np.random.default_rng(0).normal(size=(len(iris), 8))
table = iris.join(pd.DataFrame(noise, columns=[f"noise {d}" for d in range(8)]))
search = bm.select(table, n_components=range(1, 6), variable_selection=True)
bm.plots.plot_feature_evidence(search)
