"""Goodness of fit: whether distances of observations from their components agree with the model.

Each observation is transformed to the probability, under a component, of being nearer to it. Under
the model these values, weighted by responsibilities, are uniform on average. Deviations from
uniform are tested by a parametric bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import gammainc
from sklearn.base import clone

from bayesmix.assess import LEVEL
from bayesmix.assess.fit_evidence import fitted_mixture, seen_rows
from bayesmix.assess.stability import fit_quietly, no_starts, repeated, to_refit
from bayesmix.core import validation
from bayesmix.core.components import PointComponents
from bayesmix.core.mixture import Mixture
from bayesmix.core.nouns import part_index
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.printed_numbers import percent
from bayesmix.core.protocols import Procedure
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.core.rows import Rows
from bayesmix.core.sources import Source
from bayesmix.em.expectation import block_rows
from bayesmix.em.result import FitResult, plug_in_density
from bayesmix.em.shown import Shown, ShownTable
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.family import Gaussians
from bayesmix.numerics.arrays import Array, frozen
from bayesmix.observation.instrument import refuse_measured
from bayesmix.sources.memory import as_source
from bayesmix.sources.partitions_of_rows import complete

# Contours at which coverage is computed.
GRID = 100
REFERENCE_ROWS = 5000
# Log densities of identical observations differ by rounding.
DECIMALS = 8
# Responsibilities up to this are ignored.
NO_SHARE = 1e-9
# Sums of weights per grid cell (G,) of values, a component and weights.
Reference: TypeAlias = Callable[[Array, int, Array], Array]


def by_distances(components: Gaussians, values: Array, k: int, weights: Array) -> Array:
    """Return sums of weights per grid cell (G,) of chi-squared probabilities of distances."""
    structure = components.structure
    root = structure.blocks.keep(components.precision_root, np.array([k]))
    squared = structure.algebra.squared(values, components.means[[k]], root)[:, 0]
    nearer = gammainc(0.5 * values.shape[1], 0.5 * squared)
    cells = np.minimum((nearer * GRID).astype(np.int64), GRID - 1)
    return np.bincount(cells, weights, GRID).astype(np.float64)


def by_ranks(
    components: PointComponents, densities: Array, values: Array, k: int, weights: Array
) -> Array:
    """Return sums of weights per grid cell (G,) of ranks among log densities of draws (K, M).

    Ties are spread evenly over their range of ranks (Czado, Gneiting & Held 2009), which is the
    average of the randomised transform.
    """
    log_density, drawn = _log_density(components, k, values), densities[k]
    # Count the observation itself among the ties, so that no rank is 0 or 1.
    total = len(drawn) + 1.0
    low = (len(drawn) - np.searchsorted(drawn, log_density, side="right")) / total
    high = (len(drawn) - np.searchsorted(drawn, log_density, side="left") + 1.0) / total
    edges = np.linspace(0.0, 1.0, GRID + 1)
    reached = np.clip((edges - low[:, None]) / (high - low)[:, None], 0.0, 1.0)
    return np.diff(weights @ reached)


def reference(mixture: Mixture[PointComponents], generator: np.random.Generator) -> Reference:
    """Return the reference distribution, or draws where none is known in closed form."""
    components = mixture.components
    if isinstance(components, Gaussians):
        return partial(by_distances, components)
    K = components.n_components
    draws = np.split(components.draw(np.full(K, REFERENCE_ROWS), generator), K)
    densities = [np.sort(_log_density(components, k, rows)) for k, rows in enumerate(draws)]
    return partial(by_ranks, components, np.array(densities))


def _log_density(components: PointComponents, k: int, values: Array) -> Array:
    density: Array = components.subset(np.array([k])).expected_log_density(values)[:, 0]
    return density.round(DECIMALS)


def _masses(mixture: Mixture, reference: Reference, rows: Rows) -> Array:
    """Return sums of responsibilities per component and grid cell (K, G) over a chunk."""
    mass = np.zeros((mixture.n_components, GRID))
    for block in rows.blocks(block_rows(rows.values.shape[1], mixture.n_components)):
        values = block.framed(mixture.frame)
        shares, _ = mixture.responsibilities(block.as_seen)
        if block.weights is not None:
            shares *= block.weights[:, None]
        for k in range(mixture.n_components):
            held = shares[:, k] > NO_SHARE
            mass[k] += reference(values[held], k, shares[held, k])
    return mass


def coverage(inside: Array) -> Array:
    """Return the coverage of all components together and of each (1 + K, G + 1) from counts.

    Empty components have the expected coverage.
    """
    reached = np.vstack([inside.sum(axis=0), inside])
    n = reached[:, -1:]
    return np.where(n > 0, reached / np.where(n > 0, n, 1.0), np.linspace(0, 1, GRID + 1))


MOST_ROWS = 10_000
# Grid positions of the contours for 50 % and 95 %.
HALF, FAR = int(0.5 * GRID), int(0.95 * GRID)
# Random streams of the subsample and of the reference; replicates count from 0.
OF_ROWS, OF_REFERENCE = 2**30, 2**30 + 1


@dataclass(frozen=True, repr=False, eq=False)
class GoodnessOfFit:
    """Result of a goodness-of-fit test; see ``goodness_of_fit``.

    Attributes
    ----------
    statistic : float
        Cramér-von Mises distance of the observed coverage from uniform, times n.
    p_value : float
        (1 + number of replicates as extreme or failed) / (1 + number of replicates).
    grid : array (G + 1,)
        Nominal coverage of the contours.
    shares : array (G + 1,)
        Observed coverage of the contours.
    replicates : array (n_resamples, G + 1)
        ``shares`` of data simulated from the fitted model; NaN for failed fits.
    components : DataFrame
        The test per component: ``rows`` (expected observations), ``mean`` (0.5 under the model,
        larger if observations lie too far out), ``half`` and ``far`` (shares inside the 50 %
        contour and outside the 95 % contour), ``statistic``, ``p_value``.
    n_rows : float
        Number of observations used (sum of weights).
    notes : tuple of str
        Deviations from the default procedure.
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
        """Number of failed replicates; each counts as more extreme than the data."""
        return int(np.isnan(self.replicates[:, 0]).sum())

    @property
    def fits(self) -> bool:
        """Whether the test does not reject the model at the 5 % level."""
        return self.p_value > LEVEL

    def band(self, level: float = 0.95) -> tuple[Array, Array]:
        """Return a simultaneous band (lower, upper) of ``shares`` under the model."""
        fitted = self.replicates[~np.isnan(self.replicates[:, 0])]
        away = fitted - self.grid
        deviation = np.sqrt(np.mean(away * away, axis=0))
        unit = np.where(deviation > 0, deviation, 1.0)
        reach = float(np.quantile(np.abs(away / unit).max(axis=1), level))
        return self.grid - reach * deviation, self.grid + reach * deviation

    @property
    def shown(self) -> Shown:
        """What text, notebooks and files show."""
        p, lines, cautions = f"(p = {self.p_value:.2g})", [], []
        title = f"The test does not reject the model {p}."
        if not self.fits:
            title = f"The test rejects the model {p}. {self._difference()}."
            worst = self.components.iloc[int(self.components["p_value"].argmin())]
            if len(self.components) > 1 and worst["p_value"] <= LEVEL:
                lines.append(
                    f"{str(worst.name).capitalize()} fits worst: {percent(worst['half'])} of its "
                    "observations are inside the 50 % contour, "
                    f"{percent(worst['far'], 1)} outside the 95 % contour."
                )
        if self.n_failed:
            cautions.append(
                f"{self.n_failed} of {len(self.replicates)} replicates could not be fitted and "
                "count as more extreme than the data."
            )
        components = self.components.rename_axis("").reset_index()
        tables = (ShownTable("components", "", components),)
        return Shown(title, tuple(lines), tables, (*cautions, *self.notes))

    def summary(self) -> str:
        """Return the test result, the kind of misfit and the component with the worst fit."""
        return self.shown.text()

    def _difference(self) -> str:
        """Describe the largest deviation from the model."""
        away = self.shares - self.grid
        half, far = self.shares[HALF], 1.0 - self.shares[FAR]
        spread = np.nanstd(self.replicates[:, [HALF, FAR]], axis=0) + 1e-12
        if abs(away[FAR]) / spread[1] > abs(away[HALF]) / spread[0]:
            kind = "light" if far > 1.0 - self.grid[FAR] else "heavy"
            return (
                f"Its tails are too {kind}: {percent(far, 1)} of the data are outside the 95 % "
                "contour"
            )
        if half > self.grid[HALF]:
            return (
                "Too many observations are near the centres, as when tails are heavier than "
                f"assumed: {percent(half)} of the data are inside the 50 % contour"
            )
        return (
            "Too few observations are near the centres, as when clusters are flat or hollow: "
            f"{percent(half)} of the data are inside the 50 % contour"
        )

    def plot(self, ax: Any = None) -> Any:
        """Plot observed minus expected coverage with its band; see ``plot_goodness_of_fit``."""
        from bayesmix.plots.assess import plot_goodness_of_fit

        return plot_goodness_of_fit(self, ax=ax)

    def __repr__(self) -> str:
        return f"<GoodnessOfFit: {self.shown.title}>"

    def _repr_html_(self) -> str:
        return self.shown.html()


def goodness_of_fit(
    model: Any,
    X: Any,
    sample_weight: Any = None,
    n_resamples: int = 99,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: bool | None = None,
) -> GoodnessOfFit:
    """Test the goodness of fit of a mixture by the parametric bootstrap.

    For Gaussian components u_nk = F(d²_nk), where F is the chi-squared distribution function with D
    degrees of freedom and d the Mahalanobis distance. For discrete components u_nk is the
    probability that a draw from component k is more probable than observation n, estimated by ranks
    among 5,000 draws with ties spread evenly. Weighted by responsibilities, the u are uniform in
    expectation under the model. Their distance from uniform is compared with that of data sets
    simulated from the fitted model and refitted from it. A variational fit is tested at its point
    summary (``means_``, ``covariances_``).

    The test detects heavy tails, flat or hollow clusters, and two clusters under one component. A
    mixture with many components can imitate most shapes and then passes.

    Parameters
    ----------
    model : fitted estimator, search or pipeline
    X : array, frame or source (n, D)
        The data of the fit. For other data, and for a mixture with given parameters, parameters are
        taken as known and nothing is refitted.
    sample_weight : array (n,), optional
        Sample weights.
    n_resamples : int, default=99
        The p-value is a multiple of 1 / (n_resamples + 1).
    n_jobs : int, optional
        Number of worker processes (results do not depend on it); None: all cores.
    random_state : None, int, RandomState or Generator
    progress : None or bool, default=None
        As in the estimators. Ctrl-C returns the result for the replicates so far, with a warning.

    Returns
    -------
    GoodnessOfFit

    Notes
    -----
    With missing values (``missing="use"``) only complete observations are used, and parameters are
    taken as known. Above 10,000 observations a random subsample of 10,000 is used, and parameters
    are taken as known. The p-value is then too large unless there are far more observations.

    Raises
    ------
    ValueError
        If the model is not fitted, or data or parameters are invalid.

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
    refuse_measured(seen)
    source = complete(seen)
    if not source.shape[0]:
        raise InvalidInputError(
            f"X must have complete rows to test the fit, but all {seen.shape[0]} have missing "
            "values: fill them in (impute)"
        )
    result = estimator.result_
    notes = []
    if source.shape[0] != seen.shape[0]:
        notes.append(
            f"Used the {source.shape[0]:,} of {seen.shape[0]:,} observations without missing "
            "values, and treated the parameters as known. This is valid if values are missing "
            "completely at random."
        )
    elif source.shape[0] != result.n_rows:
        notes.append("X is not the data of the fit, so the parameters are treated as known.")
    if source.total_weight > MOST_ROWS:
        notes.append(
            f"{MOST_ROWS:,} of {source.total_weight:,.0f} observations were used, and the "
            "parameters were treated as known."
        )
        source = some_rows(source, stream(seed, Purpose.RESAMPLE, OF_ROWS))
    n_drawn = max(2, round(source.total_weight))
    refitted = None
    if not notes:
        refitted = to_refit(estimator, seed, n_jobs, **no_starts(estimator), warm_start=True)
    task = partial(_replicate, refitted, result, n_drawn, seed)
    with single_threaded_blas():
        observed = inside(result.plug_in, source, seed)
        replicates = repeated(task, n_resamples, n_jobs, "data sets", progress)
    return _judged(observed, replicates, result.noun, tuple(notes))


def inside(mixture: Mixture[PointComponents], source: Source, seed: int) -> Array:
    """Return the counts (K, G + 1) of a plug-in mixture's components within contours."""
    generator = stream(seed, Purpose.RESAMPLE, OF_REFERENCE)
    step = partial(_masses, mixture, reference(mixture, generator))
    mass = source.reduce(step, mixture.n_components)
    return np.concatenate([np.zeros((len(mass), 1)), np.cumsum(mass, axis=1)], axis=1)


def some_rows(source: Source, generator: np.random.Generator) -> Source:
    """Draw 10,000 observations with probabilities proportional to their weights."""
    weights = source.in_memory().weights
    if weights is None:
        return source.sample(MOST_ROWS, generator)
    drawn = generator.multinomial(MOST_ROWS, weights / weights.sum())
    rows = np.flatnonzero(drawn)
    values = source.in_memory(rows).values
    return as_source(values, drawn[rows].astype(np.float64), source.n_jobs)


def _replicate(
    estimator: Procedure | None, result: FitResult, n_rows: int, seed: int, number: int
) -> Array | None:
    """Simulate data, refit unless ``estimator`` is None, and compute coverage."""
    generator = stream(seed, Purpose.RESAMPLE, number)
    null = plug_in_density(result.mixture)
    counts = generator.multinomial(n_rows, null.weights.mean())
    values = null.drawn(counts, generator)
    mixture = null
    if estimator is not None:
        refitted = clone(estimator)
        refitted.result_ = result
        try:
            fit_quietly(refitted, values)
        except ValueError:
            return None
        mixture = refitted.result_.plug_in
    return inside(mixture, as_source(values), seed)


def _judged(
    observed: Array, replicates: list[Array | None], noun: str, notes: tuple[str, ...]
) -> GoodnessOfFit:
    counts = observed[:, -1]
    K, n = len(counts), float(counts.sum())
    of_replicates = np.full((len(replicates), 1 + K, GRID + 1), np.nan)
    for curves, replicate in zip(of_replicates, replicates, strict=True):
        if replicate is not None:
            # A variational refit may have fewer components, so only the total is compared.
            n_compared = 1 + K if len(replicate) == K else 1
            curves[:n_compared] = coverage(replicate)[:n_compared]
    of_rows = coverage(observed)
    distances = _distance(of_rows)
    replicated = _distance(of_replicates)
    # A failed replicate counts as exceeding in the total, and not at all in a component.
    counted = ~np.isnan(replicated)
    counted[:, 0] = True
    exceeding = (~(replicated < distances) & counted).sum(axis=0)
    p_values: Array = (1.0 + exceeding) / (1.0 + counted.sum(axis=0))
    shares = of_rows[1:]
    components = pd.DataFrame(
        {
            "rows": counts,
            "mean": 1.0 - np.trapezoid(shares, dx=1.0 / GRID, axis=1),
            "half": shares[:, HALF],
            "far": 1.0 - shares[:, FAR],
            "statistic": counts * distances[1:],
            "p_value": p_values[1:],
        }
    ).set_index(part_index(noun, len(counts)))
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
    """Return the integral of (share - expected)² for curves (..., G + 1)."""
    away = shares - np.linspace(0.0, 1.0, GRID + 1)
    return np.asarray(np.trapezoid(away * away, dx=1.0 / GRID, axis=-1), dtype=np.float64)
