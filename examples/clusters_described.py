"""A coloured table of clusters.

Means and shares of three groups of customers, coloured by how far each is from the rest.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

rng = np.random.default_rng(1)
kind = rng.choice(3, 600, p=[0.5, 0.3, 0.2])
customers = pd.DataFrame(
    {
        "income": np.exp(rng.normal(np.array([10.2, 10.8, 11.4])[kind], 0.3)).round(-2),
        "age": rng.normal(np.array([35, 50, 45])[kind], 6).round(1),
        "visits": rng.poisson(np.array([2, 3, 9])[kind]),
        "home": np.where(rng.random(600) < np.array([0.2, 0.5, 0.9])[kind], "own", "rent"),
        "plan": rng.choice(["basic", "plus", "pro"], 600),
    }
)
model = bm.Mixture(3, family="auto", random_state=0).fit(customers)
bm.plots.plot_description(model.describe(customers))
