"""Trajectories of latent classes.

Mean course of each class with its interval, and the units behind: distances of the jaws of 27
children (Potthoff & Roy 1964), without random effects.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

girls = """21 20 21.5 23 21 21.5 24 25.5 20.5 24 24.5 26 23.5 24.5 25 26.5 21.5 23 22.5 23.5
20 21 21 22.5 21.5 22.5 23 25 23 23 23.5 24 20 21 22 21.5 16.5 19 19 19.5 24.5 25 28 28"""
boys = """26 25 29 31 21.5 22.5 23 26.5 23 22.5 24 27.5 25.5 27.5 26.5 27 20 23.5 22.5 26
24.5 25.5 27 28.5 22 22 24.5 26.5 24 21.5 24.5 25.5 23 20.5 31 26 27.5 28 31 31.5
23 23 23.5 25 21.5 23.5 24 28 17 24.5 26 29.5 22.5 25.5 25.5 26 23 24.5 26 30 22 21.5 23.5 25"""
names = [f"F{i}" for i in range(1, 12)] + [f"M{i}" for i in range(1, 17)]
frame = pd.DataFrame({"child": np.repeat(names, 4), "age": np.tile([8.0, 10, 12, 14], 27)})
frame["distance"] = np.array(f"{girls} {boys}".split(), dtype=float)
search = bm.trajectories(frame, y="distance", time="age", unit="child", random=(), random_state=0)
bm.plots.plot_trajectories(search)
