"""The Gaussian family with its four covariance structures."""

from typing import TYPE_CHECKING

from bayesmix import lazy

if TYPE_CHECKING:
    from bayesmix.families.gaussian.family import Gaussian
    from bayesmix.families.gaussian.point import Gaussians
    from bayesmix.families.gaussian.prior.given_prior import GaussianPrior
    from bayesmix.families.gaussian.prior.normal_wishart import GaussianPosterior, NormalWishart
    from bayesmix.families.gaussian.prior.wishart_scale import FixedScale, LearnedScale, Wishart
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
        "FixedScale": "prior.wishart_scale",
        "Gaussian": "family",
        "GaussianPosterior": "prior.normal_wishart",
        "GaussianPrior": "prior.given_prior",
        "Gaussians": "point",
        "LearnedScale": "prior.wishart_scale",
        "NormalWishart": "prior.normal_wishart",
        "Students": "students",
        "Wishart": "prior.wishart_scale",
    },
)
