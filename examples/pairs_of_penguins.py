"""Pairs of numeric and categorical features.

Shares of categories per component on the diagonal; observations of a category are spread apart.
"""

import bayesmix as bm

X = bm.datasets.load_penguins().drop(columns=["species", "year"])
mixture = bm.Mixture(6, family="auto", missing="use", random_state=0).fit(X)
bm.plot_pairs(mixture, X, columns=["island", "bill_length_mm", "body_mass_g", "sex"])
