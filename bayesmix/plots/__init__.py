"""Level 6: figures of fits, searches and comparisons; Matplotlib is imported when one is drawn."""

from bayesmix.plots.answer import plot_answer
from bayesmix.plots.assess import (
    plot_goodness_of_fit,
    plot_latent_classes,
    plot_likelihood_ratio,
    plot_merging,
    plot_residuals,
    plot_sensitivity,
    plot_stability,
)
from bayesmix.plots.assignment import plot_assignment, plot_profile
from bayesmix.plots.averages import plot_averaged, plot_conditional_mean, plot_uncertainty
from bayesmix.plots.density import plot_density
from bayesmix.plots.description import plot_description
from bayesmix.plots.iterations import plot_em_steps, plot_objective
from bayesmix.plots.merges import plot_tree
from bayesmix.plots.pairs import plot_pairs
from bayesmix.plots.posterior import plot_crosscheck, plot_occupied, plot_over_k
from bayesmix.plots.profiles import (
    plot_class_profiles,
    plot_classification,
    plot_enumeration,
    plot_wave_profiles,
)
from bayesmix.plots.regions import plot_classes, plot_directions, plot_region
from bayesmix.plots.regression import plot_gate, plot_regression, plot_trajectories
from bayesmix.plots.selection import (
    plot_feature_evidence,
    plot_nested,
    plot_selection,
    plot_structures,
)
from bayesmix.plots.sequences import plot_alluvial, plot_states, plot_transitions

__all__ = [
    "plot_alluvial",
    "plot_answer",
    "plot_assignment",
    "plot_averaged",
    "plot_class_profiles",
    "plot_classes",
    "plot_classification",
    "plot_conditional_mean",
    "plot_crosscheck",
    "plot_density",
    "plot_description",
    "plot_directions",
    "plot_em_steps",
    "plot_enumeration",
    "plot_feature_evidence",
    "plot_gate",
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
    "plot_regression",
    "plot_residuals",
    "plot_selection",
    "plot_sensitivity",
    "plot_stability",
    "plot_states",
    "plot_structures",
    "plot_trajectories",
    "plot_transitions",
    "plot_tree",
    "plot_uncertainty",
    "plot_wave_profiles",
]
