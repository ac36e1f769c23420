"""Whether rows lie as far from their components as the model says: fit in absolute terms.

The best of bad candidates is not good. Each row is turned into the probability, under a component,
of lying nearer to it than the row does; under the model these values, weighted with the
responsibilities, are uniform on average. How far they are from uniform is judged by the parametric
bootstrap.

How far out a row lies in a component, as the share of the component's rows that lie nearer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammainc
from sklearn.base import clone

from bayesmix.assess.stability import fit_quietly, no_starts, repeated, to_refit
from bayesmix.core import validation
from bayesmix.core.components import PointComponents
from bayesmix.core.mixture import Mixture
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import Rows
from bayesmix.core.sources import Procedure, Source
from bayesmix.em.expectation import block_rows
from bayesmix.em.result import FitResult, plug_in_density
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.point import Gaussians
from bayesmix.numerics.arrays import Array, frozen
from bayesmix.selection.fit_evidence import fitted_mixture, seen_rows
from bayesmix.sources.border import as_source, complete

# Contours at which shares are counted.
GRID = 100
REFERENCE_ROWS = 5000
# Equal rows have log densities that differ by rounding.
DECIMALS = 8
# Rows that belong to a component with no more than this are not looked at for it.
NO_SHARE = 1e-9


@dataclass(frozen=True)
class Distances:
    """Of Gaussian components: the chi-squared probability of the squared Mahalanobis distance."""

    components: Gaussians

    def mass(self, values: Array, k: int, weights: Array) -> Array:
        """Weights of rows by the cell of the grid that they lie in (G,)."""
        held = weights > NO_SHARE
        values, weights = values[held], weights[held]
        structure = self.components.structure
        one = structure.blocks.keep(self.components.precision_root, np.array([k]))
        squared = structure.algebra.squared(values, self.components.means[[k]], one)[:, 0]
        nearer = gammainc(0.5 * values.shape[1], 0.5 * squared)
        cells = np.minimum((nearer * GRID).astype(np.int64), GRID - 1)
        mass: Array = np.bincount(cells, weights, GRID).astype(np.float64)
        return mass


@dataclass(frozen=True)
class Ranks:
    """Of discrete components: log densities among those (K, M, sorted) of rows drawn from each.

    A row that ties with others is spread evenly over what lies between the share of more probable
    rows and that of as probable ones as well (Czado, Gneiting & Held 2009), which is the average of
    the randomised transform.
    """

    components: PointComponents
    drawn: Array

    def mass(self, values: Array, k: int, weights: Array) -> Array:
        """Weights of rows by the cell of the grid that they lie in (G,)."""
        held = weights > NO_SHARE
        values, weights = values[held], weights[held]
        one = self.components.subset(np.array([k]))
        log_density = one.expected_log_density(values)[:, 0].round(DECIMALS)
        drawn = self.drawn[k]
        # The row itself is one of those as probable: no rank is 0 or 1.
        total = len(drawn) + 1.0
        low = (len(drawn) - np.searchsorted(drawn, log_density, side="right")) / total
        high = (len(drawn) - np.searchsorted(drawn, log_density, side="left") + 1.0) / total
        edges = np.linspace(0.0, 1.0, GRID + 1)
        reached = np.clip((edges - low[:, None]) / (high - low)[:, None], 0.0, 1.0)
        mass: Array = np.diff(weights @ reached)
        return mass


def reference(
    mixture: Mixture[PointComponents], generator: np.random.Generator
) -> Distances | Ranks:
    """What rows are compared with: a distribution, or rows drawn where none is known."""
    components = mixture.components
    if isinstance(components, Gaussians):
        return Distances(components)
    K = components.n_components
    rows = components.draw(np.full(K, REFERENCE_ROWS), generator)
    drawn = np.empty((K, REFERENCE_ROWS))
    for k in range(K):
        own = rows[k * REFERENCE_ROWS : (k + 1) * REFERENCE_ROWS]
        one = components.subset(np.array([k]))
        drawn[k] = np.sort(one.expected_log_density(own)[:, 0].round(DECIMALS))
    return Ranks(components, drawn)


@dataclass(frozen=True)
class ReachStep:
    """Rows to responsibilities by component and cell of the grid (K, G)."""

    mixture: Mixture
    reference: Distances | Ranks

    def __call__(self, rows: Rows) -> Array:
        mixture = self.mixture
        mass = np.zeros((mixture.n_components, GRID))
        for block in rows.blocks(block_rows(rows.values.shape[1], mixture.n_components)):
            values = mixture.frame.apply(block.values)
            shares, _ = mixture.responsibilities(values)
            if block.weights is not None:
                shares *= block.weights[:, None]
            for k in range(mixture.n_components):
                mass[k] += self.reference.mass(values, k, shares[:, k])
        return mass


@dataclass(frozen=True)
class Inside:
    """Expected rows of every component (K,), and how many lie inside each contour (K, G + 1)."""

    counts: Array
    reached: Array

    @property
    def shares(self) -> Array:
        """Of all rows (G + 1,)."""
        shares: Array = self.reached.sum(axis=0) / self.counts.sum()
        return shares

    @property
    def by_component(self) -> Array:
        """Of each component's rows (K, G + 1); those of a component without rows are as expected.

        A component that no row belongs to has nothing to be judged by.
        """
        held = self.counts > 0
        shares = np.tile(np.linspace(0.0, 1.0, GRID + 1), (len(self.counts), 1))
        shares[held] = self.reached[held] / self.counts[held, None]
        return shares


MOST_ROWS = 10_000
DOUBTFUL = 0.05
# Places on the grid: the contours that should hold half of the rows, and 95 in 100.
HALF, FAR = int(0.5 * GRID), int(0.95 * GRID)
# Streams of the rows looked at, and of the reference; replicates count from 0.
OF_ROWS, OF_REFERENCE = 2**30, 2**30 + 1


@dataclass(frozen=True, repr=False, eq=False)
class GoodnessOfFit:
    """How far rows lie from their components, against what the model says; see ``goodness_of_fit``.

    Attributes
    ----------
    statistic : float
        Cramér-von Mises distance of the observed shares from uniform, times the number of rows.
    p_value : float
        (1 + replicates as far or failed) / (1 + replicates).
    grid : array (G + 1,)
        Contours of the components, by the share of rows that should lie inside.
    shares : array (G + 1,)
        The share of rows that does.
    replicates : array (n_resamples, G + 1)
        ``shares`` of data drawn from the fitted model; NaN where one could not be fitted.
    components : DataFrame
        The same for every component: ``rows`` (expected), ``mean`` (0.5 where it fits; above: rows
        lie further out), ``half`` and ``far`` (shares inside half, and beyond 95 %), ``statistic``,
        ``p_value``.
    n_rows : float
        How many were looked at (Σ w).
    notes : tuple of str
        What was done otherwise than by default.
    """

    statistic: float
    p_value: float
    grid: Array
    shares: Array
    replicates: Array
    components: pd.DataFrame
    n_rows: float
    notes: tuple[str, ...] = ()

    @property
    def n_failed(self) -> int:
        """Replicates without a value; each counts as one further from uniform than the rows."""
        return int(np.isnan(self.replicates[:, 0]).sum())

    @property
    def fits(self) -> bool:
        """Whether the rows do not contradict the model at the 5 % level."""
        return self.p_value > DOUBTFUL

    def band(self, level: float = 0.95) -> tuple[Array, Array]:
        """Lower and upper ``shares`` between which the model's own data lie all along, jointly."""
        fitted = self.replicates[~np.isnan(self.replicates[:, 0])]
        away = fitted - self.grid
        deviation = np.sqrt(np.mean(away * away, axis=0))
        unit = np.where(deviation > 0, deviation, 1.0)
        reach = float(np.quantile(np.abs(away / unit).max(axis=1), level))
        return self.grid - reach * deviation, self.grid + reach * deviation

    def summary(self) -> str:
        """The verdict, in which way the rows differ, and which component they are in."""
        p = f"(p = {self.p_value:.2g})"
        if self.fits:
            lines = [f"Rows lie as far from their components as this model says {p}."]
        else:
            lines = [f"{self._difference()} {p}."]
            k = int(self.components["p_value"].argmin())
            worst = self.components.iloc[k]
            if len(self.components) > 1 and worst["p_value"] <= DOUBTFUL:
                lines.append(
                    f"Component {k} fits worst: {worst['half']:.0%} of its rows inside "
                    f"the contour for 50%, {worst['far']:.1%} beyond that for 95%."
                )
        if self.n_failed:
            lines.append(
                f"{self.n_failed} of {len(self.replicates)} replicates could not be fitted; they "
                "count as further from the model than the rows."
            )
        return "\n".join([*lines, *self.notes])

    def _difference(self) -> str:
        """In which way the rows differ most from the model."""
        away = self.shares - self.grid
        half, far = self.shares[HALF], 1.0 - self.shares[FAR]
        spread = np.nanstd(self.replicates[:, [HALF, FAR]], axis=0) + 1e-12
        if abs(away[FAR]) / spread[1] > abs(away[HALF]) / spread[0]:
            if far > 1.0 - self.grid[FAR]:
                return (
                    "More rows than expected lie far out: the tails are heavier than the model's, "
                    f"{far:.1%} of the rows beyond the contour for 95%"
                )
            return (
                "Fewer rows than expected lie far out: the tails are lighter than the model's, "
                f"{far:.1%} of the rows beyond the contour for 95%"
            )
        if half > self.grid[HALF]:
            return (
                "More rows than expected lie near the centres, as where tails are heavier than the "
                f"model's: {half:.0%} of the rows inside the contour for 50%"
            )
        return (
            "Fewer rows than expected lie near the centres, as where clusters are flat, hollow or "
            f"several in one: {half:.0%} of the rows inside the contour for 50%"
        )

    def plot(self, ax: Any = None) -> Any:
        """Observed less expected shares with the model's band; see ``plot_goodness_of_fit``."""
        from bayesmix.plots.assess import plot_goodness_of_fit

        return plot_goodness_of_fit(self, ax=ax)

    def __repr__(self) -> str:
        return f"<GoodnessOfFit: {self.summary().splitlines()[0]}>"


def goodness_of_fit(
    model: Any,
    X: Any,
    sample_weight: Any = None,
    n_resamples: int = 99,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: bool | None = None,
) -> GoodnessOfFit:
    """Test whether rows could have come from the fitted mixture.

    Of a Gaussian component, u_nk = F(d²_nk), F the chi-squared distribution with as many degrees
    of freedom as columns and d the Mahalanobis distance; of a discrete one, the probability that a
    row of the component is more probable than row n, as ranks among 5,000 drawn rows have it, ties
    shared evenly. A row counts for component k with its responsibility. Under the model the
    weighted distribution of the u is uniform in expectation, exactly. The distance from uniform is
    compared with that of data sets drawn from the fitted model and refitted, beginning at it. Of a
    variational fit all this is done at its summary (``means_``, ``covariances_``).

    What it sees: tails, flat or hollow clusters, two clusters under one component. It does not see
    all: a mixture with many components can imitate most shapes, and then passes.

    Parameters
    ----------
    model : fitted estimator, search or pipeline
    X : array, frame or source (n, D)
        The rows of the fit. For other rows, and for a model that was given and not fitted,
        parameters are taken as known: nothing is refitted.
    sample_weight : array (n,), optional
        How often each row counts.
    n_resamples : int, default=99
        The p-value is a multiple of 1 / (n_resamples + 1).
    n_jobs : int, optional
        Number of worker processes (results do not depend on it); None: all cores.
    random_state : None, int, RandomState or Generator
    progress : None or bool, default=None
        As in the estimators. Ctrl-C ends it with the data sets that are done, and a warning.

    Returns
    -------
    GoodnessOfFit

    Notes
    -----
    Of rows with gaps (a fit with ``missing="use"``) those that have all values are looked at, and
    parameters are taken as known. Of more than 10,000 rows so many are drawn, and parameters are
    taken as known; where they were estimated from not many more, the p-value is then too large.

    Raises
    ------
    ValueError
        For a model that is not fitted, bad rows or parameters.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_faithful()
    >>> gm = bm.GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> bm.goodness_of_fit(gm, X, random_state=0).fits
    True
    """
    estimator, rows = fitted_mixture(model, X)
    n_resamples = validation.integer("n_resamples", n_resamples, 1)
    seed = root_seed(random_state)
    seen = seen_rows(estimator, rows, sample_weight)
    source = complete(seen)
    if not source.shape[0]:
        raise InvalidInputError(
            f"X must have rows without missing values to judge the fit by, but all {seen.shape[0]} "
            "have some: fill them in (impute)"
        )
    result = estimator.result_
    notes = []
    refit = True
    if source.shape[0] != seen.shape[0]:
        refit = False
        notes.append(
            f"Looked at were the {source.shape[0]:,} of {seen.shape[0]:,} rows that have all "
            "values, with parameters taken as known: right where gaps do not depend on the values."
        )
    elif source.shape[0] != result.n_rows:
        refit = False
        notes.append("These are not the rows of the fit: its parameters are taken as known.")
    if source.total_weight > MOST_ROWS:
        refit = False
        notes.append(
            f"{MOST_ROWS:,} of {source.total_weight:,.0f} rows were looked at, with parameters "
            "taken as known."
        )
        source = some_rows(source, stream(seed, Purpose.RESAMPLE, OF_ROWS))
    null = result.plug_in
    n_drawn = max(2, round(source.total_weight))
    again = None
    if refit:
        again = to_refit(estimator, seed, n_jobs, **no_starts(estimator), warm_start=True)
    task = ReplicateFit(again, result, n_drawn, seed)
    with single_threaded_blas():
        observed = inside(null, source, seed)
        replicates = repeated(task, n_resamples, n_jobs, "data sets", progress)
    return _judged(observed, replicates, tuple(notes))


def inside(mixture: Mixture[PointComponents], source: Source, seed: int) -> Inside:
    """How many rows lie inside the contours of a plug-in mixture's components."""
    generator = stream(seed, Purpose.RESAMPLE, OF_REFERENCE)
    mass = source.reduce(ReachStep(mixture, reference(mixture, generator)), mixture.n_components)
    reached = np.concatenate([np.zeros((len(mass), 1)), np.cumsum(mass, axis=1)], axis=1)
    return Inside(reached[:, -1].copy(), reached)


def some_rows(source: Source, generator: np.random.Generator) -> Source:
    """10,000 rows, each row as often as it counts."""
    weights = source.in_memory().weights
    if weights is None:
        return source.sample(MOST_ROWS, generator)
    drawn = generator.multinomial(MOST_ROWS, weights / weights.sum())
    rows = np.flatnonzero(drawn)
    values = source.in_memory(rows).values
    return as_source(values, drawn[rows].astype(np.float64), source.n_jobs)


@dataclass(frozen=True, eq=False)
class ReplicateFit:
    """Draw rows from the fitted model, refit (unless ``estimator`` is None), and look at them."""

    estimator: Procedure | None
    result: FitResult
    n_rows: int
    seed: int

    def __call__(self, number: int) -> Inside | None:
        generator = stream(self.seed, Purpose.RESAMPLE, number)
        null = plug_in_density(self.result.mixture)
        counts = generator.multinomial(self.n_rows, null.weights.mean())
        values = null.frame.undo(null.components.draw(counts, generator))
        mixture = null
        if self.estimator is not None:
            again = clone(self.estimator)
            again.result_ = self.result
            try:
                fit_quietly(again, values)
            except ValueError:
                return None
            mixture = again.result_.plug_in
        return inside(mixture, as_source(values), self.seed)


def _judged(
    observed: Inside, replicates: list[Inside | None], notes: tuple[str, ...]
) -> GoodnessOfFit:
    K, n = len(observed.counts), float(observed.counts.sum())
    nothing = np.full((1 + K, GRID + 1), np.nan)
    of_replicates = np.array(
        [
            nothing
            if each is None
            # A variational refit may have fewer components: then only the whole is compared.
            else np.vstack(
                [each.shares, each.by_component if len(each.counts) == K else nothing[1:]]
            )
            for each in replicates
        ]
    )
    of_rows = np.vstack([observed.shares, observed.by_component])
    distances = _distance(of_rows)
    others = _distance(of_replicates)
    known = ~np.isnan(others)
    exceeding = (~(others < distances)).sum(axis=0)
    failed_components = (~known[:, 1:]).sum(axis=0)
    p_values: Array = (1.0 + exceeding) / (1.0 + len(replicates))
    p_values[1:] = (1.0 + exceeding[1:] - failed_components) / (1.0 + known[:, 1:].sum(axis=0))
    shares = of_rows[1:]
    components = pd.DataFrame(
        {
            "rows": observed.counts,
            "mean": 1.0 - np.trapezoid(shares, dx=1.0 / GRID, axis=1),
            "half": shares[:, HALF],
            "far": 1.0 - shares[:, FAR],
            "statistic": observed.counts * distances[1:],
            "p_value": p_values[1:],
        }
    ).rename_axis("component")
    return GoodnessOfFit(
        statistic=float(n * distances[0]),
        p_value=float(p_values[0]),
        grid=frozen(np.linspace(0.0, 1.0, GRID + 1)),
        shares=frozen(of_rows[0]),
        replicates=frozen(of_replicates[:, 0]),
        components=components,
        n_rows=n,
        notes=notes,
    )


def _distance(shares: Array) -> Array:
    """∫ (share - expected)² of curves (..., G + 1)."""
    away = shares - np.linspace(0.0, 1.0, GRID + 1)
    return np.asarray(np.trapezoid(away * away, dx=1.0 / GRID, axis=-1), dtype=np.float64)
