from bayesmix import datasets as datasets
from bayesmix import errors as errors
from bayesmix import plots as plots
from bayesmix import results as results
from bayesmix.allocation.dirichlet import DirichletPrior as DirichletPrior
from bayesmix.allocation.point import FreeWeights as FreeWeights
from bayesmix.allocation.stick_breaking import StickBreakingPrior as StickBreakingPrior
from bayesmix.assess.conformal import conformal_region as conformal_region
from bayesmix.assess.discriminant_directions import (
    discriminant_directions as discriminant_directions,
)
from bayesmix.assess.distal import distal as distal
from bayesmix.assess.goodness_of_fit import goodness_of_fit as goodness_of_fit
from bayesmix.assess.latent_classes import latent_classes as latent_classes
from bayesmix.assess.likelihood_ratio import likelihood_ratio_test as likelihood_ratio_test
from bayesmix.assess.merging import merge_components as merge_components
from bayesmix.assess.nested import nested_cv as nested_cv
from bayesmix.assess.prior_sensitivity import prior_sensitivity as prior_sensitivity
from bayesmix.assess.stability import stability as stability
from bayesmix.checking.crosscheck import crosscheck as crosscheck
from bayesmix.checking.sampling import pymc_model as pymc_model
from bayesmix.em.objectives import MaximumAPosteriori as MaximumAPosteriori
from bayesmix.em.objectives import MaximumLikelihood as MaximumLikelihood
from bayesmix.em.objectives import VariationalBayes as VariationalBayes
from bayesmix.estimators.bayesian import BayesianGaussianMixture as BayesianGaussianMixture
from bayesmix.estimators.classifier import MixtureClassifier as MixtureClassifier
from bayesmix.estimators.gaussian import GaussianMixture as GaussianMixture
from bayesmix.estimators.gaussian import from_sklearn as from_sklearn
from bayesmix.estimators.hidden_markov_model import HiddenMarkovModel as HiddenMarkovModel
from bayesmix.estimators.mixture import Mixture as Mixture
from bayesmix.estimators.regression_mixture import RegressionMixture as RegressionMixture
from bayesmix.estimators.search import MixtureSearch as MixtureSearch
from bayesmix.estimators.select import select as select
from bayesmix.families.bayesian_regression import RegressionPrior as RegressionPrior
from bayesmix.families.categorical import Categorical as Categorical
from bayesmix.families.categorical import CategoricalPrior as CategoricalPrior
from bayesmix.families.factor_analytic.family import FactorAnalytic as FactorAnalytic
from bayesmix.families.gamma import Gamma as Gamma
from bayesmix.families.gaussian.family import Gaussian as Gaussian
from bayesmix.families.gaussian.prior import GaussianPrior as GaussianPrior
from bayesmix.families.product.family import Product as Product
from bayesmix.families.product.prior import ProductPrior as ProductPrior
from bayesmix.families.rates import Exponential as Exponential
from bayesmix.families.rates import GammaPrior as GammaPrior
from bayesmix.families.rates import Poisson as Poisson
from bayesmix.families.student_t.family import StudentT as StudentT
from bayesmix.families.student_t.posterior import StudentPrior as StudentPrior
from bayesmix.families.successes import Bernoulli as Bernoulli
from bayesmix.families.successes import BetaPrior as BetaPrior
from bayesmix.families.successes import Binomial as Binomial
from bayesmix.families.transformed import LogNormal as LogNormal
from bayesmix.families.transformed import LogNormalPrior as LogNormalPrior
from bayesmix.families.transformed import Transformed as Transformed
from bayesmix.io import load as load
from bayesmix.io import read as read
from bayesmix.plots import plot_assignment as plot_assignment
from bayesmix.plots import plot_conditional_mean as plot_conditional_mean
from bayesmix.plots import plot_density as plot_density
from bayesmix.plots import plot_em_steps as plot_em_steps
from bayesmix.plots import plot_objective as plot_objective
from bayesmix.plots import plot_pairs as plot_pairs
from bayesmix.plots import plot_profile as plot_profile
from bayesmix.plots import plot_selection as plot_selection
from bayesmix.plots import plot_structures as plot_structures
from bayesmix.plots import plot_uncertainty as plot_uncertainty
from bayesmix.posterior.bootstrap import weighted_bootstrap as weighted_bootstrap
from bayesmix.posterior.gibbs import gibbs as gibbs
from bayesmix.selection.fit_evidence import leave_one_out as leave_one_out
from bayesmix.selection.fit_evidence import log_evidence as log_evidence
from bayesmix.selection.scores import Score as Score
from bayesmix.version import __version__ as __version__
from bayesmix.version import show_versions as show_versions

log_marginal_likelihood = log_evidence
loo = leave_one_out
read_table = read
