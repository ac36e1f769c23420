"""Pairs of mixed columns.

Numbers, categories and gaps: shares of levels by component on the diagonal, rows of a level spread
so that they do not hide one another.
"""

import bayesmix as bm

X = bm.datasets.load_penguins().drop(columns=["species", "year"])
mixture = bm.Mixture(6, family="auto", missing="use", random_state=0).fit(X)
bm.plot_pairs(mixture, X, columns=["island", "bill_length_mm", "body_mass_g", "sex"])
