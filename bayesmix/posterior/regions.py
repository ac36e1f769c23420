"""Regions of highest density (Hyndman 1996), and how far out in its tails a row is.

The score of a row is its log density. A region's threshold is a quantile of scores: of calibration
rows (split conformal prediction: Papadopoulos et al. 2002; Lei, Robins & Wasserman 2013), or of
rows that are drawn from the density itself.

Where a density over one column is at least as high as a threshold: intervals.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv

from bayesmix.core import validation
from bayesmix.core.random import Purpose, stream
from bayesmix.core.sources import Procedure
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, frozen
from bayesmix.posterior.bands import checked_level, tails

if TYPE_CHECKING:
    from bayesmix.posterior.density import MixtureDensity


# Rows drawn of every component, between which the density is looked at, and how often in between.
DRAWS = 256
BETWEEN = 4
HALVINGS = 80


def intervals_above(density: Any, threshold: float) -> Array:
    """Intervals (m, 2) in which the log density of one column is at least the threshold.

    ``density``: a ``MixtureDensity`` over one continuous column.
    """
    mixture = getattr(density, "mixture", None)
    if mixture is None or not density.family.continuous:
        raise UnsupportedError(
            "intervals are those of a continuous density in data units: of counts, coins and "
            "pipelines ask contains"
        )
    if len(density.columns) != 1:
        raise UnsupportedError(
            "intervals are those of a density over one column: ask contains for more, or take "
            "marginal(column).density_region()"
        )

    def above(places: Array) -> Array:
        scores: Array = density.score_samples(places[:, None]) - threshold
        return scores

    places = _places(mixture, above)
    inside = above(places) >= 0.0
    changes = np.flatnonzero(inside[1:] != inside[:-1])
    if not len(changes):
        return np.empty((0, 2))
    ends = _crossings(above, places[changes], places[changes + 1])
    return ends.reshape(-1, 2)


def _places(mixture: Any, above: Callable[[Array], Array]) -> Array:
    """Places close to one another where components are, the first and the last outside."""
    counts = np.full(mixture.n_components, DRAWS)
    drawn = mixture.components.draw(counts, stream(0, Purpose.SAMPLE))
    rows = np.vstack([drawn, mixture.components.means])
    known = np.unique(mixture.frame.undo(rows))
    steps = np.arange(BETWEEN) / BETWEEN
    close = known[:-1, None] + np.diff(known)[:, None] * steps
    width = float(np.ptp(known)) or 1.0
    first, last = known[0] - width, known[-1] + width
    while above(np.array([first]))[0] >= 0.0:
        first -= known[0] - first
    while above(np.array([last]))[0] >= 0.0:
        last += last - known[-1]
    return np.concatenate([[first], close.ravel(), [known[-1], last]])


def _crossings(above: Callable[[Array], Array], left: Array, right: Array) -> Array:
    """Where the sign changes between neighbours, by bisection of all at once."""
    left, right = left.copy(), right.copy()
    begins_inside = above(left) >= 0.0
    for _ in range(HALVINGS):
        middle = 0.5 * (left + right)
        same = (above(middle) >= 0.0) == begins_inside
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return np.where(begins_inside, left, right)


# Scores this near are ties: the density of one row, computed in two batches.
TIE = 1e-9
ROUNDING = 1e-9


@dataclass(frozen=True)
class Scores:
    """Log densities of rows, ascending, and how many rows there are up to each (repeated ones)."""

    values: Array
    up_to: Array

    @classmethod
    def of(cls, log_densities: Array, weights: Array | None = None) -> Scores:
        """Of rows in any order, each of which counts as often as its weight says."""
        counted = np.ones(len(log_densities)) if weights is None else weights
        order = np.argsort(log_densities, kind="stable")
        order = order[counted[order] > 0.0]
        return frozen(cls(log_densities[order], np.cumsum(counted[order])))

    @property
    def n_rows(self) -> float:
        return float(self.up_to[-1]) if len(self.up_to) else 0.0

    def rank(self, level: float) -> int:
        """Which score, counted from the least, is the threshold."""
        return rank_of(self.n_rows, level)

    def threshold(self, level: float) -> float:
        """The score of that rank: the n + 1 - rank largest are no less."""
        place = np.searchsorted(self.up_to, self.rank(level) - ROUNDING)
        return float(self.values[place])

    def tail(self, log_densities: Array) -> Array:
        """(1 + how many scores are no larger) / (n + 1), of every log density (m,)."""
        no_larger = np.searchsorted(self.values, log_densities + TIE, side="right")
        counts = np.concatenate([[0.0], self.up_to])[no_larger]
        shares: Array = (1.0 + counts) / (1.0 + self.n_rows)
        return shares


@dataclass(frozen=True, repr=False, eq=False)
class DensityRegion:
    """Where a density is highest: the rows whose log density is at least a threshold.

    Made by ``density_region`` of a fitted mixture or of a part of its density, and by
    ``conformal_region``.

    Attributes
    ----------
    density : MixtureDensity or pipeline
        Whose log density it is, by its ``score_samples``.
    level : float
        The share of new rows that the region is to hold.
    scores : Scores
        Log densities that the threshold is a quantile of.
    calibrated : bool
        Whether those are of calibration rows. If not, they are of rows drawn from the density, and
        the level is right only as far as the density is.
    model : estimator, search or pipeline, optional
        What ``conformal_region`` fitted.
    transformed : bool
        Whether ``density`` is a pipeline, of which the mixture lives on transformed columns.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(2, random_state=0).fit(X[:150])
    >>> region = gm.density_region(0.9, calibration=X[150:])
    >>> region.contains([[2.0, 55.0], [2.0, 80.0]]).tolist()
    [True, False]
    >>> region.coverage_interval().round(2).tolist()
    [0.86, 0.94]
    """

    density: MixtureDensity
    level: float
    scores: Scores
    calibrated: bool
    model: Procedure | None = None
    transformed: bool = False

    @property
    def threshold(self) -> float:
        """The least log density (nats) within the region."""
        return self.scores.threshold(self.level)

    @property
    def n_calibration(self) -> float:
        """How many calibration rows the threshold rests on; 0 where it rests on none."""
        return self.scores.n_rows if self.calibrated else 0.0

    @property
    def expected_coverage(self) -> float:
        """The share of new rows inside, averaged over sets of calibration rows: at least the level.

        Exactly this for scores without ties, more with them. Of a region that is not calibrated,
        the share of rows of the density itself.
        """
        n, rank = self.scores.n_rows, self.scores.rank(self.level)
        return (n + 1.0 - rank) / (n + 1.0)

    def coverage_interval(self, level: float = 0.9) -> Array:
        """Between what (2,) coverage varies from one set of calibration rows to the next.

        Given the calibration rows, the share of new rows inside follows a Beta(n + 1 - k, k)
        distribution, k the rank of the threshold (Vovk 2012); these are its quantiles.
        """
        n, rank = self.scores.n_rows, self.scores.rank(self.level)
        return np.asarray(betaincinv(n + 1.0 - rank, rank, tails(checked_level(level))))

    def contains(self, X: Any) -> Any:
        """Whether every row (n,) is inside; ties with the threshold are."""
        inside = self.density.score_samples(X) + TIE >= self.threshold
        return inside

    def coverage(self, X: Any) -> float:
        """The share of rows inside; of n rows its standard error is √(share (1 - share) / n)."""
        return float(self.contains(X).mean())

    def tail_probability(self, X: Any) -> Array:
        """How probable (n,) a row is that is no denser, by the scores of the region.

        At most 1 - level exactly for the rows outside; see ``MixtureDensity.tail_probability``.
        """
        return self.scores.tail(self.density.score_samples(X))

    def intervals(self) -> Array:
        """The region over one continuous column as intervals (m, 2), in data units, ascending."""
        return intervals_above(self.density, self.threshold)

    def plot(self, X: Any = None, ax: Any = None, **options: Any) -> Any:
        """The region over one or two columns, with rows inside and outside; see ``plot_region``."""
        from bayesmix.plots.regions import plot_region

        return plot_region(self, X, ax=ax, **options)

    def summary(self) -> str:
        """What the region is, and how far its level can be relied on."""
        head = (
            f"Highest density, level {self.level:g}: log density of at least {self.threshold:.4g}."
        )
        low, high = self.coverage_interval()
        if not self.calibrated:
            return (
                f"{head}\nBy {self.scores.n_rows:,.0f} rows drawn from the density: right as far "
                "as the density is. Give calibration rows, which the fit has not seen, for a level "
                "that holds whether it is or not."
            )
        return (
            f"{head}\nCalibrated on {self.n_calibration:,.0f} rows: of new rows it holds "
            f"{self.expected_coverage:.3f} on average over sets of so many, and between "
            f"{low:.3f} and {high:.3f} for nine such sets in ten."
        )

    def __repr__(self) -> str:
        how = f"calibrated on {self.n_calibration:,.0f} rows" if self.calibrated else "by the model"
        return (
            f"<DensityRegion: level {self.level:g}, {how}, log density of at least "
            f"{self.threshold:.4g}>"
        )

    def _repr_html_(self) -> str:
        lines = self.summary().splitlines()
        return "".join(f"<div>{html.escape(line)}</div>" for line in lines)


def repetitions(value: Any, n_rows: int) -> Array:
    """How often each of the rows to calibrate on counts (n,), checked."""
    validation.unmasked("sample_weight", value)
    try:
        weights = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
    fine = weights.shape == (n_rows,) and bool(np.isfinite(weights).all())
    if not fine or weights.min() < 0.0 or not weights.any():
        raise InvalidInputError(
            f"sample_weight must hold {n_rows} finite numbers, one for each row, none negative and "
            f"not all of them 0, got {value!r:.60}"
        )
    return weights


def rank_of(n_rows: float, level: float) -> int:
    """⌊(1 - level)(n + 1)⌋: of n + 1 rows so many may lie outside; 0 where there are too few."""
    return int((1.0 - level) * (n_rows + 1.0) + ROUNDING)


def check_enough(name: str, n_rows: float, level: float) -> None:
    """Refuse scores that are too few for a level."""
    if rank_of(n_rows, level) < 1:
        fewest = int(np.ceil(1.0 / (1.0 - level) - ROUNDING)) - 1
        raise InvalidInputError(
            f"{name} must be at least {fewest} rows for level={level:g}: the threshold would lie "
            f"beyond all of them, got {n_rows:g}"
        )


def region_of(density: Any, level: Any, scores: Scores, calibrated: bool) -> DensityRegion:
    """The region of a density; refused where the scores are too few for its level."""
    number = checked_level(level)
    check_enough("calibration" if calibrated else "n_draws", scores.n_rows, number)
    return DensityRegion(density, number, scores, calibrated)
