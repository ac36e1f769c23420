"""The Gaussian family with its four covariance structures."""

from typing import TYPE_CHECKING

from bayesmix import lazy

if TYPE_CHECKING:
    from bayesmix.families.gaussian.choice import GaussianPrior
    from bayesmix.families.gaussian.conjugate import GaussianPosterior, NormalWishart
    from bayesmix.families.gaussian.family import Gaussian
    from bayesmix.families.gaussian.point import Gaussians
    from bayesmix.families.gaussian.scale import FixedScale, LearnedScale, Wishart
    from bayesmix.families.gaussian.students import Students

__all__ = [
    "FixedScale",
    "Gaussian",
    "GaussianPosterior",
    "GaussianPrior",
    "Gaussians",
    "LearnedScale",
    "NormalWishart",
    "Students",
    "Wishart",
]

__getattr__ = lazy.names(
    __name__,
    {
        "FixedScale": "scale",
        "Gaussian": "family",
        "GaussianPosterior": "conjugate",
        "GaussianPrior": "choice",
        "Gaussians": "point",
        "LearnedScale": "scale",
        "NormalWishart": "conjugate",
        "Students": "students",
        "Wishart": "scale",
    },
)
