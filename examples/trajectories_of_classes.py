"""Trajectories of latent classes.

Mean course of each class with its interval, and a sample of units behind.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

rng = np.random.default_rng(0)
unit = np.repeat(np.arange(120), 5)
time = rng.uniform(0, 6, 600)
level = np.where(unit < 70, 6 - 0.8 * time, 2 + 0.5 * time) + rng.normal(0, 0.7, 120)[unit]
frame = pd.DataFrame({"id": unit, "age": time, "score": level + rng.normal(0, 0.6, 600)})
search = bm.trajectories(frame, y="score", time="age", unit="id", n_components=2, random_state=0)
bm.plots.plot_trajectories(search)
