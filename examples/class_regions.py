"""Regions of classes.

The most probable species of iris over two features; regions fade where it is uncertain.
"""

from sklearn.datasets import load_iris

import bayesmix as bm

X, y = load_iris(return_X_y=True, as_frame=True)
classifier = bm.MixtureClassifier(random_state=0).fit(X, y)
bm.plots.plot_classes(classifier, X, y, features=["petal length (cm)", "petal width (cm)"])
