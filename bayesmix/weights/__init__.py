"""L2: mixing weights, at a point or with a posterior; each treatment in its file."""

from bayesmix.weights.dirichlet import Dirichlet, DirichletPrior
from bayesmix.weights.point import FreeWeights, PointWeights
from bayesmix.weights.stick_breaking import StickBreaking, StickBreakingPrior

__all__ = [
    "Dirichlet",
    "DirichletPrior",
    "FreeWeights",
    "PointWeights",
    "StickBreaking",
    "StickBreakingPrior",
]
