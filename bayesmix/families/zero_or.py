"""Positive amounts with a mass at zero: rainfall, expenses, catches, lengths of steps.

A value of a column is 0 with a probability of its own, and otherwise has a gamma, log-normal or
Weibull density (a hurdle, or delta, model; Aitchison 1955). Zeros and amounts have separate
likelihoods, so that the update is the share of zeros and that of the amounts without them. The
measure is that of lengths, with a point at 0.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Self, cast

import numpy as np
from scipy import stats

from bayesmix.core.families import Family, FamilyOf, Rearranged
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import (
    NOT_NEGATIVE,
    POSITIVE,
    REAL,
    SHARE,
    ReportedQuantity,
    parameter,
)
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.gamma import Gamma, Gammas, TwoTotals
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR
from bayesmix.families.gaussian.unusable_columns import refuse_constant
from bayesmix.families.independent.columns import SMALLEST, refuse_where
from bayesmix.families.independent.linear import NEVER, SeenColumns, Sums
from bayesmix.families.weibull import PowerSums, Weibull, Weibulls
from bayesmix.families.without_prior import (
    PointsByColumn,
    PositiveFamily,
    PositivePoints,
    WithoutPrior,
    events_of_limited,
)
from bayesmix.numerics.arrays import IMPOSSIBLE, LOG_2PI, Array, Integers, Stored
from bayesmix.numerics.distributions import ColumnDistribution

# Share of zeros of a component that never had observations.
WHERE_EMPTY = 0.5


@dataclass(frozen=True)
class LogarithmsWithSquares(TwoTotals):
    """Sufficient statistics log x and (log x)²."""

    def totals(self, values: Array) -> Array:
        logs = np.log(values.T)
        return np.concatenate([logs, logs * logs])


LOGARITHMS = LogarithmsWithSquares()


@dataclass(frozen=True)
class LogNormals(PositivePoints):
    """Means and variances (K, D) of logarithms at a point."""

    log_means: Array = field(metadata=parameter(REAL))
    log_variances: Array = field(metadata=parameter(POSITIVE))

    @property
    def means(self) -> Array:
        return np.exp(self.log_means + 0.5 * self.log_variances)

    @property
    def deviations(self) -> Array:
        return self.means * np.sqrt(np.expm1(self.log_variances))

    @property
    def distribution(self) -> ColumnDistribution:
        deviations, medians = np.sqrt(self.log_variances[:, 0]), np.exp(self.log_means[:, 0])
        return ColumnDistribution(stats.lognorm(deviations, scale=medians))

    @property
    def expected_totals(self) -> Array:
        return np.hstack([self.log_means, self.log_means**2 + self.log_variances])

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K), minus infinity for x <= 0."""
        logs = np.log(np.maximum(values, SMALLEST))
        out = np.empty((len(values), self.n_components))
        for k, (mean, variance) in enumerate(zip(self.log_means, self.log_variances, strict=True)):
            out[:, k] = -0.5 * ((logs - mean) ** 2 / variance).sum(axis=1)
            out[:, k] -= 0.5 * (np.log(variance) + LOG_2PI).sum()
        out -= logs.sum(axis=1)[:, None]
        out[(values <= 0.0).any(axis=1)] = -np.inf
        return out

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return LOGARITHMS.sums(values, responsibilities)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        mean, variance = (
            np.repeat(own, counts, axis=0) for own in (self.log_means, self.log_variances)
        )
        drawn: Array = np.exp(generator.normal(mean, np.sqrt(variance)))
        return drawn


@dataclass(frozen=True)
class LogNormalAmounts(PositiveFamily, FamilyOf[Sums, LogNormals]):
    """Log-normal amounts by maximum likelihood, beside zeros."""

    name = "log_normal"
    with_article = "a LogNormal"
    least_variance = SMALLEST
    no_prior = "amounts beside zeros have no prior"

    def variances_of_logs(self, shapes: Array) -> Array:
        return shapes

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        return LOGARITHMS.sums(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: LogNormals | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> LogNormals:
        """Match mean and variance of the logarithms of each column."""
        empty: Array | float = 1.0
        if previous is not None and previous.expected_totals.shape == statistics.totals.shape:
            empty = previous.expected_totals
        means, squares = np.split(statistics.shares(empty), 2, axis=1)
        least = SMALLEST if resolution is None else resolution
        return LogNormals(means, np.maximum(squares - means * means, least))

    def feasible(self, statistics: Sums) -> bool:
        """Whether mean squares of logarithms are at least the squares of their means."""
        means, squares = np.split(statistics.shares(1.0), 2, axis=1)
        return bool(statistics.counts.min() >= 0.0 and (squares >= means * means).all())

    def _limited(self, mixture: Mixture[Any], floor: Array) -> list[Event]:
        """Return events for components with a variance at its limit."""
        variances = mixture.components.log_variances
        return events_of_limited(
            np.logical_or.reduce(variances <= AT_THE_FLOOR * floor, axis=1),
            "{which} collapsed onto equal values of a column, so the likelihood has no maximum. "
            "Its variance was limited: use fewer components",
        )


@dataclass(frozen=True)
class ZeroSums(Rearranged):
    """Sums (K, D) of weights over observed cells and over zeros, and the sums of the amounts."""

    known: Array
    zeros: Array
    amounts: Sums | PowerSums
    shared = False

    @classmethod
    def of(
        cls, values: Array, responsibilities: Array, statistics: Callable[[Array, Array], Any]
    ) -> ZeroSums:
        """Return the sums of values (n, D), NaN where missing; ``statistics`` are of amounts."""
        known, zeros = (
            (responsibilities.T @ own.astype(np.float64))
            for own in (~np.isnan(values), values == 0.0)
        )
        return cls(known, zeros, statistics(without_zeros(values), responsibilities))

    @property
    def counts(self) -> Array:  # type: ignore[override]  # a field of other sums
        return self.amounts.counts

    def __add__(self, other: ZeroSums) -> ZeroSums:
        amounts: Any = self.amounts
        return ZeroSums(self.known + other.known, self.zeros + other.zeros, amounts + other.amounts)

    def scaled(self, factor: float) -> ZeroSums:
        return ZeroSums(factor * self.known, factor * self.zeros, self.amounts.scaled(factor))

    def subset(self, keep: Integers) -> ZeroSums:
        return ZeroSums(self.known[keep], self.zeros[keep], self.amounts.subset(keep))

    @classmethod
    def joined(cls, parts: Sequence[ZeroSums]) -> ZeroSums:
        amounts: Any = [part.amounts for part in parts]
        return cls(
            np.concatenate([part.known for part in parts]),
            np.concatenate([part.zeros for part in parts]),
            type(amounts[0]).joined(amounts),
        )

    def pack(self) -> Array:
        return np.concatenate([self.known.ravel(), self.zeros.ravel(), self.amounts.pack()])

    def units(self) -> float:
        return 1.0

    def unpack(self, vector: Array) -> ZeroSums:
        known, zeros, amounts = np.split(vector, [self.known.size, 2 * self.known.size])
        shape = self.known.shape
        return ZeroSums(known.reshape(shape), zeros.reshape(shape), self.amounts.unpack(amounts))


def without_zeros(values: Array) -> Array:
    """Return values with NaN in the place of zeros."""
    return np.where(values == 0.0, np.nan, values)


class ZeroOrPoints(PointsByColumn):
    """K densities of independent columns with a probability of 0 (K, D)."""

    zeros: Array
    of_amounts: ClassVar[type[PositivePoints]]
    reports = (
        ReportedQuantity("mean", lambda components: components.means, NOT_NEGATIVE),
        ReportedQuantity("zero", lambda components: components.zeros, SHARE),
    )

    @property
    @abstractmethod
    def named(self) -> tuple[str, ...]:
        """Names of the parameters that users read."""

    @property
    def amounts(self) -> Any:
        """The densities of the positive values."""
        record: Any = self.of_amounts
        return record(*(getattr(self, own.name) for own in fields(record)))

    @classmethod
    def over(cls, zeros: Array, amounts: Any) -> Self:
        """Return the densities with these probabilities of 0 and densities of amounts."""
        record: Any = cls
        return cast("Self", record(zeros, *(getattr(amounts, own.name) for own in fields(amounts))))

    @property
    def means(self) -> Array:
        return np.asarray((1.0 - self.zeros) * self.amounts.means)

    @property
    def deviations(self) -> Array:
        amounts = self.amounts
        squares = (1.0 - self.zeros) * (amounts.deviations**2 + amounts.means**2)
        return np.sqrt(np.maximum(squares - self.means**2, 0.0))

    @property
    def distribution(self) -> ColumnDistribution:
        return ColumnDistribution(self.amounts.distribution.continuous, self.zeros[:, 0])

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K), minus infinity where a value is impossible."""
        zero = values == 0.0
        out = SeenColumns(self.amounts).expected_log_density(without_zeros(values))
        with np.errstate(divide="ignore"):
            logs = np.log(self.zeros), np.log1p(-self.zeros)
        for own, cells in zip(logs, (zero, ~zero), strict=True):
            out += cells.astype(np.float64) @ np.maximum(own, NEVER).T
        out[out < IMPOSSIBLE] = -np.inf
        return out

    def statistics(self, values: Array, responsibilities: Array) -> ZeroSums:
        return ZeroSums.of(values, responsibilities, self.amounts.statistics)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        zeros = np.repeat(self.zeros, counts, axis=0)
        amounts = self.amounts.draw(counts, generator)
        return np.where(generator.random(zeros.shape) < zeros, 0.0, amounts)


@dataclass(frozen=True)
class ZeroOrGammas(ZeroOrPoints):
    """Probabilities of 0, and shapes and rates of the amounts (K, D)."""

    zeros: Array = field(metadata=parameter(SHARE))
    shapes: Array = field(metadata=parameter(POSITIVE))
    rates: Array = field(metadata=parameter(POSITIVE))

    named = ("zeros", "shapes", "rates", "means")
    of_amounts = Gammas


@dataclass(frozen=True)
class ZeroOrWeibulls(ZeroOrPoints):
    """Probabilities of 0, and shapes and scales of the amounts (K, D)."""

    zeros: Array = field(metadata=parameter(SHARE))
    shapes: Array = field(metadata=parameter(POSITIVE))
    scales: Array = field(metadata=parameter(POSITIVE))

    named = ("zeros", "shapes", "scales", "means")
    of_amounts = Weibulls


@dataclass(frozen=True)
class ZeroOrLogNormals(ZeroOrPoints):
    """Probabilities of 0, and means and variances of the logarithms of the amounts (K, D)."""

    zeros: Array = field(metadata=parameter(SHARE))
    log_means: Array = field(metadata=parameter(REAL))
    log_variances: Array = field(metadata=parameter(POSITIVE))

    named = ("zeros", "log_means", "log_variances", "means")
    of_amounts = LogNormals


# Families of amounts, and their components beside zeros.
AMOUNTS: dict[str, tuple[Any, type[ZeroOrPoints]]] = {
    "gamma": (Gamma(), ZeroOrGammas),
    "weibull": (Weibull(), ZeroOrWeibulls),
    "log_normal": (LogNormalAmounts(), ZeroOrLogNormals),
}


@dataclass(frozen=True)
class ZeroOr(WithoutPrior, FamilyOf[ZeroSums, ZeroOrPoints]):
    """Independent columns of positive amounts and zeros, such as rainfall or expenses.

    Each component has a probability of exactly 0 in each column. Maximum likelihood only.
    Densities with a mass at 0 are compared with those of other families of this kind only.

    Parameters
    ----------
    family : Gamma, LogNormal or Weibull, default=Gamma()
        Family of the positive amounts.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.gamma(2.0, 1.0, (200, 1)), rng.gamma(90.0, 0.5, (100, 1))])
    >>> X[:100] = 0.0
    >>> m = bm.Mixture(2, family=bm.ZeroOr(bm.Gamma()), random_state=0).fit(X)
    >>> m.weights_.round(2), m.zeros_.ravel().round(2)
    (array([0.67, 0.33]), array([0.5, 0. ]))
    """

    family: Family = field(default_factory=Gamma)

    name = "zero_or"
    continuous = True
    any_real = False
    drawn_columns = 1
    least = SMALLEST  # figures draw densities of amounts
    keeps_zeros = True
    takes_gaps = True
    measure_apart = "amounts with a mass at 0"
    no_prior = "a ZeroOr family has no conjugate prior: use inference=MaximumLikelihood()"

    def __post_init__(self) -> None:
        family: Any = self.family
        if isinstance(family, type) or getattr(family, "name", None) not in AMOUNTS:
            raise InvalidInputError(
                f"family must be Gamma(), LogNormal() or Weibull(), got {self.family!r:.80}"
            )

    @property
    def _amounts(self) -> Any:
        """The family of the amounts."""
        return AMOUNTS[self.family.name][0]

    @property
    def adjective(self) -> str:
        return f"zero-or-{self.family.name.replace('_', '-')}"

    @property
    def rearranged(self) -> bool:
        return bool(self._amounts.rearranged)

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for negative values."""
        held = "numbers from 0 on for a ZeroOr"
        refuse_where(values < 0.0, values, first, held, "use another family")

    def frame(self, summary: Summary) -> Frame:
        """Return data units, as a mass has none."""
        return Frame.identity(summary.n_features)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Raise an error for columns of zeros, or of one value."""
        if len(empty := np.flatnonzero(source.summary.maximum <= 0.0)):
            raise InvalidInputError(
                f"X must hold positive numbers beside zeros, but column {empty[0]} has only "
                "zeros: leave it out"
            )
        refuse_constant(source, mixture=" for a ZeroOr mixture")
        return frame, ()

    def guard(
        self, source: Source, frame: Frame, summary: Summary, repair: bool
    ) -> FloorGuard[Any]:
        """Return the guard of the amounts, by the resolution of the values.

        Quantiles that are 0 are replaced by the mean, so that logarithms exist.
        """
        centre = np.where(summary.centre > 0.0, summary.centre, summary.mean)
        upper = np.where(summary.upper > 0.0, summary.upper, centre)
        lower = np.where(summary.lower > 0.0, summary.lower, upper)
        minimum = np.where(summary.minimum > 0.0, summary.minimum, centre)
        positive = replace(summary, centre=centre, upper=upper, lower=lower, minimum=minimum)
        guard: FloorGuard[Any] = self._amounts.guard(source, frame, positive, repair)
        return guard

    def statistics(self, values: Array, responsibilities: Array) -> ZeroSums:
        return ZeroSums.of(values, responsibilities, self._amounts.statistics)

    def maximum_likelihood(
        self,
        statistics: ZeroSums,
        previous: ZeroOrPoints | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> ZeroOrPoints:
        """Return the shares of zeros, and the estimates of the amounts without them."""
        same = previous is not None and previous.zeros.shape == statistics.zeros.shape
        before = previous if same else None
        share = np.full(statistics.zeros.shape, WHERE_EMPTY)
        if before is not None:
            share = before.zeros.copy()
        np.divide(statistics.zeros, statistics.known, out=share, where=statistics.known > 0.0)
        amounts = self._amounts.maximum_likelihood(
            statistics.amounts, None if before is None else before.amounts, resolution, frame
        )
        return AMOUNTS[self.family.name][1].over(np.clip(share, 0.0, 1.0), amounts)

    def feasible(self, statistics: ZeroSums) -> bool:
        """Whether zeros are some of the cells, and the sums of amounts those of amounts."""
        zeros, known = statistics.zeros, statistics.known
        if zeros.min() < 0.0 or (zeros > known).any():
            return False
        return bool(self._amounts.feasible(statistics.amounts))

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count a probability and two parameters for each component and column."""
        return 3 * n_components * n_features
