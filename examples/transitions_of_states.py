"""Transitions of states.

Transition probabilities, long-run shares and expected durations of the states of a sequence.
"""

import bayesmix as bm

X = bm.datasets.load_earthquakes()
model = bm.HiddenMarkovModel(3, family=bm.Poisson(), random_state=0).fit(X)
bm.plots.plot_transitions(model)
