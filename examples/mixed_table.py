"""A table of numbers and categories.

Measurements, island and sex of penguins in six components, feature by feature.
"""

import bayesmix as bm

penguins = bm.datasets.load_penguins().drop(columns=["species", "year"]).dropna()
mixture = bm.Mixture(6, family="auto", random_state=0).fit(penguins)
bm.plot_profile(mixture)
