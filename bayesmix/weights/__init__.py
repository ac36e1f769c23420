"""L2: mixing weights, at a point or with a posterior; each treatment in its file."""

from typing import TYPE_CHECKING

from bayesmix import lazy

if TYPE_CHECKING:
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

__getattr__ = lazy.names(
    __name__,
    {
        "Dirichlet": "dirichlet",
        "DirichletPrior": "dirichlet",
        "FreeWeights": "point",
        "PointWeights": "point",
        "StickBreaking": "stick_breaking",
        "StickBreakingPrior": "stick_breaking",
    },
)
