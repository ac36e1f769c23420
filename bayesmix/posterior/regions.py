"""Highest-density regions (Hyndman 1996) and tail probabilities.

The threshold is a quantile of log densities of calibration samples (split conformal prediction:
Papadopoulos et al. 2002; Lei, Robins & Wasserman 2013), or of draws from the density.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import betaincinv

from bayesmix.core.procedures import features_read
from bayesmix.core.protocols import Procedure
from bayesmix.core.random import Purpose, stream
from bayesmix.em.shown import Shown
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, frozen
from bayesmix.posterior.bands import checked_level, tails

if TYPE_CHECKING:
    from bayesmix.posterior.density import MixtureDensity


# Draws per component that define the search grid, and points between neighbours.
DRAWS = 256
BETWEEN = 4
HALVINGS = 80


def intervals_above(density: Any, threshold: float) -> Array:
    """Return the intervals (m, 2) where the log density of one feature reaches the threshold.

    ``density`` is a ``MixtureDensity`` over one continuous feature.
    """
    mixture = getattr(density, "mixture", None)
    if mixture is None or not density.family.continuous:
        raise UnsupportedError(
            "intervals need a continuous density in data units: for counts, binary features and "
            "pipelines use contains"
        )
    if len(density.columns) != 1:
        raise UnsupportedError(
            "intervals need a density over one feature: use contains, or take "
            "marginal(column).density_region()"
        )

    def above(places: Array) -> Array:
        return density.score_samples(places[:, None]) - threshold

    places = _places(mixture, above)
    inside = above(places) >= 0.0
    changes = np.flatnonzero(inside[1:] != inside[:-1])
    if not len(changes):
        return np.empty((0, 2))
    ends = _crossings(above, places[changes], places[changes + 1])
    return ends.reshape(-1, 2)


def _places(mixture: Any, above: Callable[[Array], Array]) -> Array:
    """Return a grid that is dense around components; its ends lie outside the region."""
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
    """Return the sign changes between neighbours by simultaneous bisection."""
    left, right = left.copy(), right.copy()
    begins_inside = above(left) >= 0.0
    for _ in range(HALVINGS):
        middle = 0.5 * (left + right)
        same = (above(middle) >= 0.0) == begins_inside
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return np.where(begins_inside, left, right)


# Tolerance for ties: the same sample may differ by rounding between batches.
TIE = 1e-9
ROUNDING = 1e-9


@dataclass(frozen=True)
class Scores:
    """Ascending log densities and cumulative sample weights."""

    values: Array
    up_to: Array

    @classmethod
    def of(cls, log_densities: Array, weights: Array | None = None) -> Scores:
        """Sort log densities and accumulate their weights."""
        counted = np.ones(len(log_densities)) if weights is None else weights
        order = np.argsort(log_densities, kind="stable")
        order = order[counted[order] > 0.0]
        return frozen(cls(log_densities[order], np.cumsum(counted[order])))

    @property
    def n_rows(self) -> float:
        return float(self.up_to[-1]) if len(self.up_to) else 0.0

    def rank(self, level: float) -> int:
        """Return the rank of the threshold, counted from the lowest score."""
        return rank_of(self.n_rows, level)

    def threshold(self, level: float) -> float:
        """Return the score of that rank."""
        place = np.searchsorted(self.up_to, self.rank(level) - ROUNDING)
        return float(self.values[place])

    def tail(self, log_densities: Array) -> Array:
        """Return (1 + number of scores at most this) / (n + 1) for each log density (m,)."""
        no_larger = np.searchsorted(self.values, log_densities + TIE, side="right")
        counts = np.concatenate([[0.0], self.up_to])[no_larger]
        return (1.0 + counts) / (1.0 + self.n_rows)


@dataclass(frozen=True, repr=False, eq=False)
class DensityRegion:
    """Highest-density region: the samples whose log density reaches a threshold.

    Returned by ``density_region`` and ``conformal_region``.

    Attributes
    ----------
    density : MixtureDensity or pipeline
        Provides the log density, by ``score_samples``.
    level : float
        The share of new samples that the region should contain.
    scores : Scores
        Log densities whose quantile is the threshold.
    calibrated : bool
        Whether ``scores`` come from calibration samples; otherwise from draws, and the level holds
        only if the model is correct.
    model : estimator, search or pipeline, optional
        The model that ``conformal_region`` fitted.
    transformed : bool
        Whether ``density`` is a pipeline whose mixture has transformed features.

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
        """The lowest log density (nats) inside the region."""
        return self.scores.threshold(self.level)

    @property
    def n_calibration(self) -> float:
        """Number of calibration samples; 0 for a region based on draws."""
        return self.scores.n_rows if self.calibrated else 0.0

    @property
    def expected_coverage(self) -> float:
        """Expected share of new samples inside, at least the level.

        It is the average over calibration sets, exact for scores without ties. For uncalibrated
        regions, it is the share under the fitted density.
        """
        n, rank = self.scores.n_rows, self.scores.rank(self.level)
        return (n + 1.0 - rank) / (n + 1.0)

    def coverage_interval(self, level: float = 0.9) -> Array:
        """Return the interval (2,) of coverage over repeated calibration sets.

        Given the calibration samples, coverage follows a Beta(n + 1 - k, k) distribution with k the
        rank of the threshold (Vovk 2012).
        """
        n, rank = self.scores.n_rows, self.scores.rank(self.level)
        return np.asarray(betaincinv(n + 1.0 - rank, rank, tails(checked_level(level))))

    def contains(self, X: Any) -> Any:
        """Return whether each sample (n,) is inside the region or on its boundary."""
        return self._log_density(X) + TIE >= self.threshold

    def coverage(self, X: Any) -> float:
        """Return the share of samples inside, with standard error √(share (1 - share) / n)."""
        return float(self.contains(X).mean())

    def tail_probability(self, X: Any) -> Array:
        """Return the probability (n,) of a density at most as high as the observation's.

        At most 1 - level for the samples outside; see ``MixtureDensity.tail_probability``.
        """
        return self.scores.tail(self._log_density(X))

    def _log_density(self, X: Any) -> Array:
        """Return the log density (n,) of data, which are read as by the model that was fitted."""
        return self.density.score_samples(features_read(self.model, X))

    def intervals(self) -> Array:
        """Return the region over one continuous feature as ascending intervals (m, 2)."""
        return intervals_above(self.density, self.threshold)

    def plot(self, X: Any = None, ax: Any = None, **options: Any) -> Any:
        """Plot the region over one or two features, with samples inside and outside."""
        from bayesmix.plots.regions import plot_region

        return plot_region(self, X, ax=ax, **options)

    @property
    def shown(self) -> Shown:
        """What text and notebooks show."""
        title = (
            f"Highest density, level {self.level:g}: log density of at least {self.threshold:.4g}."
        )
        low, high = self.coverage_interval()
        if not self.calibrated:
            based = (
                f"Based on {self.scores.n_rows:,.0f} draws from the density, so the level "
                "assumes a correct model. Calibration samples that were not used in the fit avoid "
                "this assumption."
            )
            return Shown(title, cautions=(based,))
        coverage = (
            f"Calibrated on {self.n_calibration:,.0f} samples. Expected coverage "
            f"{self.expected_coverage:.3f}, 90 % interval over calibration sets "
            f"[{low:.3f}, {high:.3f}]."
        )
        return Shown(title, (coverage,))

    def summary(self) -> str:
        """Return the level, the threshold and the coverage of the region."""
        return self.shown.text()

    def __repr__(self) -> str:
        how = (
            f"calibrated on {self.n_calibration:,.0f} samples" if self.calibrated else "model-based"
        )
        return (
            f"<DensityRegion: level {self.level:g}, {how}, log density of at least "
            f"{self.threshold:.4g}>"
        )

    def _repr_html_(self) -> str:
        return self.shown.html()


def rank_of(n_rows: float, level: float) -> int:
    """Return ⌊(1 - level)(n + 1)⌋, the rank of the threshold; 0 if there are too few samples."""
    return int((1.0 - level) * (n_rows + 1.0) + ROUNDING)


def check_enough(name: str, n_rows: float, level: float) -> None:
    """Raise if there are too few scores for a level."""
    if rank_of(n_rows, level) < 1:
        fewest = int(np.ceil(1.0 / (1.0 - level) - ROUNDING)) - 1
        raise InvalidInputError(
            f"{name} must be at least {fewest} samples for level={level:g}: the threshold would "
            f"lie beyond all of them, got {n_rows:g}"
        )


def region_of(density: Any, level: Any, scores: Scores, calibrated: bool) -> DensityRegion:
    """Return the region of a density, or raise if the scores are too few for its level."""
    number = checked_level(level)
    check_enough("calibration" if calibrated else "n_draws", scores.n_rows, number)
    return DensityRegion(density, number, scores, calibrated)
