from bayesmix.assess.apa import ApaTable as ApaTable
from bayesmix.assess.averaging import AveragedDensity as AveragedDensity
from bayesmix.assess.description import Description as Description
from bayesmix.assess.discriminant_directions import DiscriminantDirections as DiscriminantDirections
from bayesmix.assess.divergence import Divergence as Divergence
from bayesmix.assess.goodness_of_fit import GoodnessOfFit as GoodnessOfFit
from bayesmix.assess.likelihood_ratio import LikelihoodRatioTest as LikelihoodRatioTest
from bayesmix.assess.merging import Merging as Merging
from bayesmix.assess.model_comparison import ModelComparison as ModelComparison
from bayesmix.assess.nested import NestedResult as NestedResult
from bayesmix.assess.prior_sensitivity import PriorSensitivity as PriorSensitivity
from bayesmix.assess.restriction_test import RestrictionTest as RestrictionTest
from bayesmix.assess.stability import Stability as Stability
from bayesmix.classification.thresholds import DecisionThreshold as DecisionThreshold
from bayesmix.em.result import FitResult as FitResult
from bayesmix.latent_class_analysis.class_report import ClassReport as ClassReport
from bayesmix.latent_class_analysis.enumeration import Enumeration as Enumeration
from bayesmix.latent_class_analysis.group_similarity import GroupSimilarity as GroupSimilarity
from bayesmix.latent_class_analysis.latent_classes import LatentClasses as LatentClasses
from bayesmix.latent_class_analysis.profile_tables import ClassProfiles as ClassProfiles
from bayesmix.mcmc.crosscheck import CrossCheck as CrossCheck
from bayesmix.posterior.bootstrap import WeightedBootstrap as WeightedBootstrap
from bayesmix.posterior.chains import Gibbs as Gibbs
from bayesmix.posterior.density import MixtureDensity as MixtureDensity
from bayesmix.posterior.evidence import Evidence as Evidence
from bayesmix.posterior.leave_one_out import LeaveOneOut as LeaveOneOut
from bayesmix.posterior.leave_one_out import LogDensityDifference as LogDensityDifference
from bayesmix.posterior.posterior_draws import PosteriorSample as PosteriorSample
from bayesmix.posterior.regions import DensityRegion as DensityRegion
from bayesmix.posterior.telescoping import GibbsOverK as GibbsOverK
from bayesmix.regressions.lags import Lagged as Lagged
from bayesmix.regressions.switching_means import (
    SwitchingAutoregression as SwitchingAutoregression,
)
from bayesmix.selection.answer import Answer as Answer
from bayesmix.sequences.sequence_data import Forecast as Forecast
