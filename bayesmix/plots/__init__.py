"""L6: figures of a fit, its course and a search; matplotlib is imported when one is drawn."""

from bayesmix.plots.clusters.assignment import plot_assignment
from bayesmix.plots.clusters.latent_classes import plot_latent_classes
from bayesmix.plots.clusters.merging import plot_merging
from bayesmix.plots.clusters.profile import plot_profile
from bayesmix.plots.clusters.stability import plot_stability
from bayesmix.plots.density.averaged import plot_averaged
from bayesmix.plots.density.conditional_mean import plot_conditional_mean
from bayesmix.plots.density.density_plot import plot_density
from bayesmix.plots.density.highest_density import plot_region
from bayesmix.plots.density.pairs import plot_pairs
from bayesmix.plots.density.uncertainty import plot_uncertainty
from bayesmix.plots.iterations.em_steps import plot_em_steps
from bayesmix.plots.iterations.objective import plot_objective
from bayesmix.plots.posterior.crosscheck import plot_crosscheck
from bayesmix.plots.posterior.number_of_components import plot_over_k
from bayesmix.plots.posterior.occupied import plot_occupied
from bayesmix.plots.selection.goodness_of_fit import plot_goodness_of_fit
from bayesmix.plots.selection.likelihood_ratio import plot_likelihood_ratio
from bayesmix.plots.selection.nested_folds import plot_nested
from bayesmix.plots.selection.prior_sensitivity import plot_sensitivity
from bayesmix.plots.selection.scores import plot_selection
from bayesmix.plots.selection.structures import plot_structures

__all__ = [
    "plot_assignment",
    "plot_averaged",
    "plot_conditional_mean",
    "plot_crosscheck",
    "plot_density",
    "plot_em_steps",
    "plot_goodness_of_fit",
    "plot_latent_classes",
    "plot_likelihood_ratio",
    "plot_merging",
    "plot_nested",
    "plot_objective",
    "plot_occupied",
    "plot_over_k",
    "plot_pairs",
    "plot_profile",
    "plot_region",
    "plot_selection",
    "plot_sensitivity",
    "plot_stability",
    "plot_structures",
    "plot_uncertainty",
]
