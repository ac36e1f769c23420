"""Who belongs to which class.

Weights of two classes of readers along age: a latent class regression.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

rng = np.random.default_rng(0)
age = rng.uniform(20, 80, 800)
reads = rng.random(800) < 1 / (1 + np.exp(4 - 0.08 * age))
items = rng.random((800, 4)) < np.where(reads[:, None], [0.9, 0.8, 0.7, 0.85], [0.1, 0.3, 0.2, 0.1])

model = bm.Mixture(2, family=bm.Bernoulli(), random_state=0)
model.fit(items.astype(float), covariates=pd.DataFrame({"age": age}))
bm.plots.plot_gate(model, "age")
