"""Values of all criteria.

Each criterion on its own scale, from its best value to its median.
"""

import bayesmix as bm

X = bm.datasets.load_faithful()
search = bm.MixtureSearch(n_components=range(1, 7), also=("cv",), cv=3, random_state=0).fit(X)
bm.plot_selection(search, criterion="all")
