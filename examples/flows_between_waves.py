"""Flows between waves.

Shares of the persons of a panel in each state at each wave, and those who change between waves.
"""

import numpy as np

import bayesmix as bm

rng = np.random.default_rng(0)
states = rng.choice(3, size=(300, 1), p=[0.5, 0.3, 0.2])
for _ in range(3):
    moved = rng.random((300, 1)) < 0.25
    states = np.column_stack(
        [states, np.where(moved, rng.integers(3, size=(300, 1)), states[:, -1:])]
    )
items = rng.random((1200, 6)) < np.array([0.1, 0.5, 0.9])[states.reshape(-1, 1)]
model = bm.HiddenMarkovModel(3, family="bernoulli", random_state=0)
model.fit(items.astype(float), groups=np.repeat(np.arange(300), 4))
bm.plots.plot_alluvial(model)
