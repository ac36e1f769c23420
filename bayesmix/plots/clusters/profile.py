"""``plot_profile``: what sets the components apart, over many columns of any family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import style
from bayesmix.plots.subject import column_names, column_number, fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns in the order of the fit up to so many, then those that differ most.
MOST_COLUMNS = 40
MOST_NAMED = 10
INCHES_A_COLUMN = 0.3
ROOM = 0.6  # of the place of a column, for its components


def plot_profile(
    model: Any,
    X: Any = None,
    ax: Axes | None = None,
    *,
    columns: Any = None,
    standardised: bool | None = None,
) -> Axes:
    """Mean of every component in every column, a line a column, of categories a line a level.

    Bars are one standard deviation to each side, of continuous families; of a level stands its
    probability, and of two levels the second.

    Parameters
    ----------
    model : fitted mixture or search
        Of a search, the best estimator.
    X : frame, optional
        Its names are those of the columns, where the fit knows none.
    ax : matplotlib Axes, optional
        Where to draw; None makes a new figure, as high as the columns are many.
    columns : list of names or numbers, optional
        None: all up to 40, else the 40 in which the components lie furthest apart.
    standardised : bool, optional
        Whether a column is shown in standard deviations from its mean, both of the mixture. None:
        where the family is continuous, so that columns of different units share an axis.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import bayesmix as bm
    >>> from matplotlib.figure import Figure
    >>> X = bm.datasets.load_iris()
    >>> gm = bm.GaussianMixture(n_components=3, random_state=0).fit(X)
    >>> ax = bm.plot_profile(gm, ax=Figure().subplots())
    >>> [label.get_text() for label in ax.get_yticklabels()][:2]
    ['sepal_length', 'sepal_width']
    """
    estimator = fitted(model, with_noise=True)
    result, names = estimator.result_, column_names(estimator, X)
    weights = result.mixture.mean_weights
    point = result.unframed.plug_in()
    lines = lines_of(result.family, point, names)
    apart = np.array([sum(line.apart(weights) for line in own) for own in lines])
    shown = _columns(names, columns, apart)
    drawn = [line for d in shown for line in lines[d]]
    standardised = result.family.continuous if standardised is None else standardised
    bars = result.family.continuous
    ax = style.axes_or_new(ax, 6.4, 1.4 + INCHES_A_COLUMN * len(drawn))
    places = np.arange(len(drawn))
    units = [line.unit(weights) if standardised else (0.0, 1.0) for line in drawn]
    origin, unit = np.array(units).T
    means = (np.array([line.means for line in drawn]).T - origin) / unit
    # A level's probability is a mean without a spread of its own.
    deviations = np.array([line.deviations * (not line.of_level) for line in drawn]).T / unit
    for k, weight in enumerate(weights):
        nudge = ROOM * ((k + 0.5) / len(weights) - 0.5)
        ax.errorbar(
            means[k], places + nudge, xerr=deviations[k] if bars else None,
            color=style.colour(k), marker=style.marker(k), ls="", ms=5, lw=1.2,
            label=f"{k}: weight {weight:.2f}", zorder=3,
        )  # fmt: skip
    for place in places[1:]:
        ax.axhline(place - 0.5, color=style.FILL, lw=0.8, zorder=1)
    if standardised:
        ax.axvline(0.0, color=style.FAINT, ls=":", lw=1.0, zorder=1)
    ax.set_yticks(places, [line.name for line in drawn])
    ax.set_ylim(len(drawn) - 0.5, -0.5)
    what = "mean ± standard deviation" if bars else "mean"
    if all(line.of_level for line in drawn):
        what = "probability"
    elif any(line.of_level for line in drawn):
        what += ", of levels their probability"
    ax.set_xlabel(f"{what}{', standardised' if standardised else ''}")
    style.quiet(ax)
    if len(shown) < len(names):
        style.note(ax, [f"{len(shown)} of {len(names)} columns, those that differ most"])
    if 1 < len(weights) <= MOST_NAMED:
        style.legend_beside(ax, *ax.get_legend_handles_labels())
    return ax


@dataclass(frozen=True)
class Line:
    """A column, or a level of one: mean and spread in every component."""

    name: str
    means: Array
    deviations: Array
    of_level: bool

    def unit(self, weights: Array) -> tuple[float, float]:
        """Mean and standard deviation of the mixture, 1 where it has none."""
        centre = float(weights @ self.means)
        spread = np.sqrt(weights @ (self.deviations**2 + (self.means - centre) ** 2))
        return centre, float(spread) or 1.0

    def apart(self, weights: Array) -> float:
        """How much of the variance is between components."""
        centre, spread = self.unit(weights)
        return float(weights @ ((self.means - centre) / spread) ** 2)


def lines_of(family: Any, point: Any, names: list[str]) -> list[list[Line]]:
    """Every column's lines: itself, or its levels; of two levels the second says both."""
    from bayesmix.families.level_probabilities import level_probabilities

    coding = family.coding
    levels = dict(enumerate(coding.levels)) if coding is not None else {}
    probabilities = level_probabilities(family, point)
    lines = []
    for column, name in enumerate(names):
        called = levels.get(column)
        if called is None or column not in probabilities:
            lines.append([Line(name, point.means[:, column], point.deviations[:, column], False)])
            continue
        each = zip(called, probabilities[column].T, strict=True)
        own = [Line(f"{name}: {one}", p, np.sqrt(p * (1.0 - p)), True) for one, p in each]
        lines.append(own[1:] if len(own) == 2 else own)
    return lines


def _columns(names: list[str], columns: Any, apart: Any) -> list[int]:
    """Numbers of the columns to draw; ``apart``: how much of each one's variance is between."""
    if columns is not None:
        listed = [columns] if isinstance(columns, str | int) else list(columns)
        if not listed:
            raise InvalidInputError("columns must name a column at least, got none")
        return [column_number(names, column) for column in listed]
    if len(names) <= MOST_COLUMNS:
        return list(range(len(names)))
    return sorted(int(d) for d in np.argsort(-apart, kind="stable")[:MOST_COLUMNS])
