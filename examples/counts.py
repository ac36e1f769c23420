"""Counts.

A mixture of Poisson components and the relative frequencies of the data.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

rng = np.random.default_rng(0)
visits = pd.DataFrame({"visits": rng.poisson(rng.choice([1.5, 9.0], 400, p=[0.7, 0.3]))})
mixture = bm.Mixture(2, family=bm.Poisson(), random_state=0).fit(visits)
bm.plot_density(mixture, visits)
