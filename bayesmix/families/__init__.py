"""L2: families of component densities; each family is one file (Gaussian: one folder)."""
