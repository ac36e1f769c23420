from bayesmix.assess.apa import ApaTable as ApaTable
from bayesmix.assess.averaging import AveragedDensity as AveragedDensity
from bayesmix.assess.description import Description as Description
from bayesmix.assess.discriminant_directions import DiscriminantDirections as DiscriminantDirections
from bayesmix.assess.divergence import Divergence as Divergence
from bayesmix.assess.enumeration import Enumeration as Enumeration
from bayesmix.assess.goodness_of_fit import GoodnessOfFit as GoodnessOfFit
from bayesmix.assess.group_similarity import GroupSimilarity as GroupSimilarity
from bayesmix.assess.latent_classes import LatentClasses as LatentClasses
from bayesmix.assess.likelihood_ratio import LikelihoodRatioTest as LikelihoodRatioTest
from bayesmix.assess.merging import Merging as Merging
from bayesmix.assess.model_comparison import ModelComparison as ModelComparison
from bayesmix.assess.nested import NestedResult as NestedResult
from bayesmix.assess.prior_sensitivity import PriorSensitivity as PriorSensitivity
from bayesmix.assess.profile_tables import ClassProfiles as ClassProfiles
from bayesmix.assess.restriction_test import RestrictionTest as RestrictionTest
from bayesmix.assess.stability import Stability as Stability
from bayesmix.assess.thresholds import DecisionThreshold as DecisionThreshold
from bayesmix.checking.crosscheck import CrossCheck as CrossCheck
from bayesmix.em.result import FitResult as FitResult
from bayesmix.estimators.inputs.sequences import Forecast as Forecast
from bayesmix.estimators.regression.lags import Lagged as Lagged
from bayesmix.estimators.regression.switching_means import (
    SwitchingAutoregression as SwitchingAutoregression,
)
from bayesmix.posterior.bootstrap import WeightedBootstrap as WeightedBootstrap
from bayesmix.posterior.chains import Gibbs as Gibbs
from bayesmix.posterior.density import MixtureDensity as MixtureDensity
from bayesmix.posterior.evidence import Evidence as Evidence
from bayesmix.posterior.leave_one_out import LeaveOneOut as LeaveOneOut
from bayesmix.posterior.leave_one_out import LogDensityDifference as LogDensityDifference
from bayesmix.posterior.posterior_draws import PosteriorSample as PosteriorSample
from bayesmix.posterior.regions import DensityRegion as DensityRegion
from bayesmix.posterior.telescoping import GibbsOverK as GibbsOverK
from bayesmix.report.class_report import ClassReport as ClassReport
from bayesmix.selection.answer import Answer as Answer
