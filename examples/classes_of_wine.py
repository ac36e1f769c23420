"""Which class a sample belongs to.

Three cultivars of wine along their discriminant directions; crosses have no known class.
"""

import numpy as np
from sklearn.datasets import load_wine

import bayesmix as bm

X, y = load_wine(return_X_y=True)
labels = np.where(np.random.default_rng(0).random(len(y)) < 0.3, y, np.nan)
classifier = bm.MixtureClassifier(random_state=0).fit(X, labels)
bm.discriminant_directions(classifier).plot(X)
