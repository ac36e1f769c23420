"""L6: figures of a fit, its course and a search; matplotlib is imported when one is drawn."""

from bayesmix.plots.absolute_fit import plot_goodness_of_fit
from bayesmix.plots.assignment import plot_assignment
from bayesmix.plots.averaged import plot_averaged
from bayesmix.plots.bootstrap import plot_likelihood_ratio
from bayesmix.plots.crosscheck import plot_crosscheck
from bayesmix.plots.density import plot_density
from bayesmix.plots.em_steps import plot_em_steps
from bayesmix.plots.gibbs import plot_occupied
from bayesmix.plots.latent_classes import plot_latent_classes
from bayesmix.plots.merging import plot_merging
from bayesmix.plots.nested import plot_nested
from bayesmix.plots.objective import plot_objective
from bayesmix.plots.pairs import plot_pairs
from bayesmix.plots.profile import plot_profile
from bayesmix.plots.regions import plot_region
from bayesmix.plots.regression import plot_conditional_mean
from bayesmix.plots.selection import plot_selection
from bayesmix.plots.sensitivity import plot_sensitivity
from bayesmix.plots.stability import plot_stability
from bayesmix.plots.telescoping import plot_over_k
from bayesmix.plots.uncertainty import plot_uncertainty

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
    "plot_uncertainty",
]
