"""Profiles by wave.

States of a panel whose item probabilities are free by wave, with their shares at each wave.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

rng = np.random.default_rng(0)
items, n_waves = ["like", "good", "useful", "nervous"], 3
states = rng.choice(2, size=(400, 1), p=[0.4, 0.6])
for _ in range(n_waves - 1):
    moved = rng.random((400, 1)) < np.where(states[:, -1:], 0.35, 0.05)
    states = np.column_stack([states, np.where(moved, 1 - states[:, -1:], states[:, -1:])])
answers = np.full((400, n_waves, n_waves, len(items)), np.nan)
for wave in range(n_waves):
    low, high = [0.3 - 0.1 * wave, 0.2, 0.2, 0.7], [0.7 + 0.1 * wave, 0.9, 0.8, 0.2]
    chances = np.where(states[:, wave, None], high, low)
    answers[:, wave, wave] = rng.random((400, len(items))) < chances
columns = {f"Wave {wave}": [f"{item}{wave}" for item in items] for wave in (1, 2, 3)}
names = [name for own in columns.values() for name in own]
X = pd.DataFrame(answers.reshape(400 * n_waves, -1), columns=names)
model = bm.HiddenMarkovModel(2, family="bernoulli", missing="use", random_state=0)
model.fit(X, groups=np.repeat(np.arange(400), n_waves))
bm.plots.plot_wave_profiles(bm.class_profiles(model, X), columns, items=items)
