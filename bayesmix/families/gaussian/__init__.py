"""The Gaussian family with its four covariance structures."""

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
