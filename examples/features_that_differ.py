"""Features that differ between the clusters.

Seven of 120 simulated markers differ between clusters. The figure shows the 20 with the largest
evidence.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

rng = np.random.default_rng(51)
group = rng.integers(0, 3, 200)
X = pd.DataFrame(rng.normal(size=(200, 120)), columns=[f"marker {d}" for d in range(120)])
X.loc[group == 1, ["marker 8", "marker 21", "marker 35"]] += 2.2
X.loc[group == 2, ["marker 47", "marker 62", "marker 70"]] += 2.2
X["marker 9"] = X["marker 8"] + 0.5 * X["marker 9"]
search = bm.select(X, variable_selection=True)
bm.plots.plot_feature_evidence(search)
