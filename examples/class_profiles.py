"""Profiles of latent classes.

Means of each class in standard deviations, with standard errors, for print in grey.
"""

import bayesmix as bm

X = bm.datasets.load_penguins().dropna().select_dtypes("number").drop(columns="year")
fit = bm.GaussianMixture(3, covariance_type="EEI", random_state=0).fit(X)
bm.plots.plot_class_profiles(bm.class_profiles(fit, X))
