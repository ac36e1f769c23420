"""States over time.

Large earthquakes per year, their most probable states, and the probabilities of all states.
"""

import bayesmix as bm

X = bm.datasets.load_earthquakes()
model = bm.HiddenMarkovModel(3, family=bm.Poisson(), random_state=0).fit(X)
bm.plots.plot_states(model, X)
