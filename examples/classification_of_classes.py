"""Classification of a sample by latent classes.

Mean posterior probabilities of the classes among samples assigned to each of them.
"""

import bayesmix as bm

X = bm.datasets.load_iris()
fit = bm.GaussianMixture(3, covariance_type="EEI", random_state=0).fit(X)
bm.plots.plot_classification(bm.class_profiles(fit, X))
