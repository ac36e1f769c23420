"""Which class a sample belongs to.

Three cultivars of wine, most without a label, along their discriminant directions.
"""

import numpy as np
from sklearn.datasets import load_wine

import bayesmix as bm

X, y = load_wine(return_X_y=True)
labels = np.where(np.random.default_rng(0).random(len(y)) < 0.3, y, np.nan)
classifier = bm.MixtureClassifier(random_state=0).fit(X, labels)
bm.plots.plot_directions(bm.discriminant_directions(classifier), X)
