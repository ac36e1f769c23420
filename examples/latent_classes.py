"""Latent classes of a survey.

Probabilities of the answers in each class, with intervals. If a question has two answers, only one
is shown.
"""

import numpy as np
import pandas as pd

import bayesmix as bm

rng = np.random.default_rng(0)
reads = rng.random((800, 1)) < 0.35
yes = rng.random((800, 4)) < np.where(reads, [0.9, 0.8, 0.7, 0.85], [0.1, 0.3, 0.2, 0.1])
survey = pd.DataFrame(np.where(yes, "yes", "no"), columns=["books", "press", "poems", "library"])
likely = np.where(reads, [0.2, 0.3, 0.5], [0.6, 0.3, 0.1]).cumsum(axis=1)
survey["trust"] = np.array(["low", "middle", "high"])[(rng.random((800, 1)) > likely).sum(axis=1)]
model = bm.Mixture(2, family=bm.Categorical(), n_init=10, random_state=0).fit(survey)
bm.plots.plot_latent_classes(bm.latent_classes(model, survey))
