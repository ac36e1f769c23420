"""EM, step by step.

Plain EM from a poor start, as in the textbooks.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
start = bm.GaussianMixture.from_parameters(
    weights=[0.5, 0.5],
    means=[[2.5, 85.0], [4.0, 55.0]],
    covariances=[[[1.0, 0.0], [0.0, 100.0]], [[1.0, 0.0], [0.0, 100.0]]],
)
bm.plot_em_steps(start, X, (0, 1, 5, 20))
