"""L2: families of component densities; each family is one file (Gaussian: one folder)."""

from bayesmix.families.bernoulli import Bernoulli
from bayesmix.families.gaussian import Gaussian
from bayesmix.families.poisson import Poisson

__all__ = ["Bernoulli", "Gaussian", "Poisson"]
