"""Three regressions instead of one.

Bills of penguins: within each species longer bills are deeper. Weights depend on the length.
"""

import bayesmix as bm

penguins = bm.datasets.load_penguins().dropna(subset=["bill_length_mm"])
X, y = penguins[["bill_length_mm"]], penguins["bill_depth_mm"]
model = bm.RegressionMixture(3, random_state=0).fit(X, y, gate=X)
model.plot().set_ylabel("bill_depth_mm")
