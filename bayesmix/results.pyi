from bayesmix.assess.discriminant_directions import (
    DiscriminantDirections as DiscriminantDirections,
)
from bayesmix.assess.goodness_of_fit import GoodnessOfFit as GoodnessOfFit
from bayesmix.assess.latent_classes import LatentClasses as LatentClasses
from bayesmix.assess.likelihood_ratio import LikelihoodRatioTest as LikelihoodRatioTest
from bayesmix.assess.merging import Merging as Merging
from bayesmix.assess.nested import NestedResult as NestedResult
from bayesmix.assess.prior_sensitivity import PriorSensitivity as PriorSensitivity
from bayesmix.assess.stability import Stability as Stability
from bayesmix.checking.crosscheck import CrossCheck as CrossCheck
from bayesmix.em.result import FitResult as FitResult
from bayesmix.estimators.hidden_markov_model import Forecast as Forecast
from bayesmix.posterior.bootstrap import WeightedBootstrap as WeightedBootstrap
from bayesmix.posterior.chains import Gibbs as Gibbs
from bayesmix.posterior.density import MixtureDensity as MixtureDensity
from bayesmix.posterior.evidence import Evidence as Evidence
from bayesmix.posterior.leave_one_out import LeaveOneOut as LeaveOneOut
from bayesmix.posterior.linear_response import LinearResponse as LinearResponse
from bayesmix.posterior.posterior_draws import PosteriorSample as PosteriorSample
from bayesmix.posterior.regions import DensityRegion as DensityRegion
from bayesmix.posterior.telescoping import GibbsOverK as GibbsOverK
from bayesmix.selection.averaging import AveragedDensity as AveragedDensity
