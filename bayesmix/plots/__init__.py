"""L6: figures of a fit, its course and a search; matplotlib is imported when one is drawn."""

from bayesmix.plots.density import plot_density
from bayesmix.plots.em_steps import plot_em_steps
from bayesmix.plots.objective import plot_objective
from bayesmix.plots.selection import plot_selection

__all__ = ["plot_density", "plot_em_steps", "plot_objective", "plot_selection"]
