"""Von Mises family: independent columns on circles, such as hours, with a conjugate posterior.

Log p(x | μ, κ) = κ cos a - log I0(κ) - log P, where a = 2 π (x - μ) / P is the angle from the mean
and P the period: a density per unit of the column. It is linear in the cosine and sine of the
angle. The prior is uniform in μ; that of κ and its integrals are in ``numerics.circular``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NoReturn

import numpy as np

from bayesmix.core.components import Named
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import NOT_NEGATIVE, REAL, ReportedQuantity, parameter, within
from bayesmix.core.priors import NamedTensors, Pymc
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR, variance_floor
from bayesmix.families.independent.columns import (
    Columns,
    ColumnsFamily,
    ConjugatePrior,
    DrawnColumns,
    PointColumns,
    PosteriorColumns,
)
from bayesmix.families.independent.factors import TotalsTwin
from bayesmix.families.independent.linear import LinearInTotals, Reading, Sums
from bayesmix.families.von_mises_fisher import most_likely_concentrations
from bayesmix.families.without_prior import events_of_limited
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.cell_coordinates import Coordinates
from bayesmix.numerics.circular import ConcentrationDensity, log_i0, mean_cosines

# Standard deviation of the uniform distribution, in angles, which is the largest.
OF_UNIFORM = np.pi / np.sqrt(3.0)
PERIOD = 24.0
# Least deviation of recorded values, in their steps: the sum of equal components on all of them
# then differs from the uniform density by 0.2 %, so that they are no clusters.
OF_A_STEP = 0.6
NO_MODE = (
    "a VonMises has no posterior mode: use inference=MaximumLikelihood() or VariationalBayes()"
)


@dataclass(frozen=True)
class Circle(Reading):
    """Sufficient statistics cos a and sin a of the angles of columns of one period.

    Means are between ``start`` and ``start`` + ``period``.
    """

    period: float
    start: float = 0.0

    def angles(self, values: Array) -> Array:
        """Return angles between -π and π, exact to rounding for values of many turns."""
        return 2.0 * np.pi / self.period * self.away(values)

    def away(self, values: Array) -> Array:
        """Return values less whole turns, between -period / 2 and period / 2."""
        return values - self.period * np.round(values / self.period)

    def values_at(self, angles: Array) -> Array:
        """Return values at angles, in the turn that begins at ``start``."""
        values = angles * (self.period / (2.0 * np.pi)) - self.start
        return np.asarray(self.start + np.mod(values, self.period))

    def totals(self, values: Array) -> Array:
        angles = self.angles(values).T
        return np.concatenate([np.cos(angles), np.sin(angles)])

    def cosines_and_sines(self, values: Array) -> Array:
        """Return cosines and sines (n, 2 D), of mean square 1 if angles are uniform."""
        return np.sqrt(2.0) * self.totals(values).T

    def spread(self, values: Array) -> Array:
        return np.concatenate([values, values], axis=-1)

    def linear(self, along: Array, log_bessels: Array) -> LinearInTotals:
        """Return densities by (expected) κ (cos, sin) of the mean (K, 2 D) and log I0(κ) (K, D)."""
        return LinearInTotals(-log_bessels - np.log(self.period), along, self)


def halves(totals: Array) -> tuple[Array, Array]:
    """Return the cosines and sines (..., D) of totals (..., 2 D)."""
    first, second = np.split(totals, 2, axis=-1)
    return first, second


def lengths_of(totals: Array) -> Array:
    """Return resultant lengths (..., D)."""
    return np.hypot(*halves(totals))


def angles_of(totals: Array) -> Array:
    """Return angles of resultants (..., D)."""
    cosines, sines = halves(totals)
    return np.arctan2(sines, cosines)


def along(angles: Array, lengths: Array) -> Array:
    """Return vectors (..., 2 D) with these angles and lengths (..., D)."""
    return np.concatenate([lengths * np.cos(angles), lengths * np.sin(angles)], axis=-1)


def circular_deviations(reading: Circle, lengths: Array) -> Array:
    """Return circular standard deviations √(-2 log R), at most that of the uniform distribution."""
    with np.errstate(divide="ignore"):
        angles = np.sqrt(-2.0 * np.log(np.minimum(lengths, 1.0)))
    return np.minimum(angles, OF_UNIFORM) * (reading.period / (2.0 * np.pi))


@dataclass(frozen=True)
class VonMisesColumns(PointColumns):
    """Angles of means and concentrations (K, D) at a point; concentration 0 is uniform."""

    angles: Array = field(metadata=parameter(REAL, units="units_of_angles"))
    concentrations: Array = field(metadata=parameter(NOT_NEGATIVE))
    reading: Circle

    named = ("concentrations", "means")
    reports = (
        ReportedQuantity("mean", lambda components: components.means),
        ReportedQuantity(
            "concentration", lambda components: components.concentrations, NOT_NEGATIVE
        ),
    )

    @property
    def units_of_angles(self) -> Array:
        """About the deviation of an angle (K, D)."""
        return np.asarray(1.0 / np.sqrt(1.0 + self.concentrations))

    @property
    def means(self) -> Array:
        """Mean directions (K, D), in units of the columns."""
        return self.reading.values_at(self.angles)

    @property
    def deviations(self) -> Array:
        return circular_deviations(self.reading, mean_cosines(self.concentrations))

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return along(self.angles, self.concentrations), -log_i0(self.concentrations)

    @property
    def expected_totals(self) -> Array:
        return along(self.angles, mean_cosines(self.concentrations))

    @cached_property
    def linear(self) -> LinearInTotals:
        vectors, negative = self.sufficient
        return self.reading.linear(vectors, -negative)

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K) by κ (cos a - 1) = -2 κ sin² (a / 2), free of cancellation."""
        angles = self.reading.angles(values)
        bessels = log_i0(self.concentrations) - self.concentrations
        out = np.empty((len(values), self.n_components), order="F")
        for k, (mean, kappa) in enumerate(zip(self.angles, self.concentrations, strict=True)):
            out[:, k] = -2.0 * np.sin(0.5 * (angles - mean)) ** 2 @ kappa
            out[:, k] -= (bessels[k] + np.log(self.reading.period)).sum()
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        angles, kappas = (
            np.repeat(own, counts, axis=0) for own in (self.angles, self.concentrations)
        )
        return self.reading.values_at(angles + generator.vonmises(0.0, kappas))


@dataclass(frozen=True)
class VonMisesDraws(DrawnColumns):
    """S draws of angles of means and of concentrations (S, K, D)."""

    angles: Array
    concentrations: Array
    reading: Circle

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return along(self.angles, self.concentrations), -log_i0(self.concentrations)

    @cached_property
    def components(self) -> LinearInTotals:
        vectors, negative = (own.reshape(-1, own.shape[2]) for own in self.sufficient)
        return self.reading.linear(vectors, -negative)

    def at(self, draw: int) -> VonMisesColumns:
        return VonMisesColumns(self.angles[draw], self.concentrations[draw], self.reading)

    def parameters(self, frame: Frame) -> Named:
        axes = ("component", "feature")
        means = self.reading.values_at(self.angles)
        return {"means": (axes, means), "concentrations": (axes, self.concentrations)}


@dataclass(frozen=True)
class AveragedVonMises(Columns):
    """Predictive densities of columns with resultants (K, 2 D) and amounts (K, D)."""

    resultants: Array
    amounts: Array
    reading: Circle
    most: float

    @cached_property
    def _density(self) -> ConcentrationDensity:
        return ConcentrationDensity(self.amounts, lengths_of(self.resultants), self.most)

    @property
    def means(self) -> Array:
        return self.reading.values_at(angles_of(self.resultants))

    @property
    def deviations(self) -> Array:
        return circular_deviations(self.reading, self._density.expected_length)

    def marginal(self, columns: Integers) -> AveragedVonMises:
        cosines, sines = halves(self.resultants)
        resultants = np.concatenate([cosines[:, columns], sines[:, columns]], axis=1)
        return AveragedVonMises(resultants, self.amounts[:, columns], self.reading, self.most)

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k, data) (n, K): the ratio of evidence with x and without."""
        seen = self.reading.totals(values).T
        before = self._density.log_normalisers + np.log(self.reading.period)
        out = np.empty((len(values), self.n_components))
        for k, (resultants, amounts) in enumerate(zip(self.resultants, self.amounts, strict=True)):
            lengths = lengths_of(seen + resultants)
            with_x = ConcentrationDensity(
                np.broadcast_to(amounts + 1.0, lengths.shape), lengths, self.most
            )
            out[:, k] = (with_x.log_normalisers - before[k]).sum(axis=1)
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        drawn = []
        for k, n in enumerate(counts):
            own = VonMisesPosterior(
                self.resultants[[k]], self.amounts[[k]], self.reading, self.most
            ).draws(int(n), generator)
            angles = own.angles[:, 0] + generator.vonmises(0.0, own.concentrations[:, 0])
            drawn.append(self.reading.values_at(angles))
        return np.concatenate(drawn)


@dataclass(frozen=True)
class VonMisesPosterior(PosteriorColumns):
    """q(μ, κ) after amounts (K, D) of observations with resultants (K, 2 D)."""

    resultants: Array
    amounts: Array = field(metadata=within(NOT_NEGATIVE))
    reading: Circle
    most: float

    @cached_property
    def _density(self) -> ConcentrationDensity:
        return ConcentrationDensity(self.amounts, lengths_of(self.resultants), self.most)

    @property
    def means(self) -> Array:
        return self.reading.values_at(angles_of(self.resultants))

    @property
    def concentrations(self) -> Array:
        """Concentrations (K, D) of the point estimate."""
        return self._density.expected_along

    @property
    def expected_totals(self) -> Array:
        return self.plug_in().expected_totals

    @property
    def natural(self) -> tuple[Array, ...]:
        return self.resultants, self.amounts

    @cached_property
    def expected(self) -> tuple[Array, ...]:
        vectors = along(angles_of(self.resultants), self._density.expected_along)
        return vectors, -self._density.expected_log_i0

    @property
    def log_normalisers(self) -> Array:
        return self._density.log_normalisers

    @cached_property
    def linear(self) -> LinearInTotals:
        vectors, negative = self.expected
        return self.reading.linear(vectors, -negative)

    def plug_in(self) -> VonMisesColumns:
        """Return the point at E[κ (cos, sin)]."""
        return VonMisesColumns(angles_of(self.resultants), self.concentrations, self.reading)

    def predictive(self) -> AveragedVonMises:
        return AveragedVonMises(self.resultants, self.amounts, self.reading, self.most)

    def draws(self, n_draws: int, generator: np.random.Generator) -> VonMisesDraws:
        density = self._density
        kappas = density.draws(n_draws, generator)
        away = generator.vonmises(0.0, kappas * density.lengths)
        return VonMisesDraws(angles_of(self.resultants) + away, kappas, self.reading)


class VonMisesTwin(TotalsTwin):
    """Von Mises columns in PyMC, with angles and quantiles of concentrations as variables."""

    most: float
    reading: Circle

    @classmethod
    def declared(cls, pm: Pymc, q: VonMisesPosterior) -> VonMisesTwin:
        """Declare angles within half a turn of those of ``q``, and concentrations to ``most``."""
        from pytensor import tensor as pt

        axes, centre = ("component", "feature"), angles_of(q.resultants)
        angles = pm.Uniform("angles", centre - np.pi, centre + np.pi, dims=axes)
        ranks = pm.Uniform("ranks", 0.0, 1.0, dims=axes)
        kappas = (1.0 - _rank_scale(q.most) * ranks) ** -2.0 - 1.0
        slopes = pt.concatenate([kappas * pt.cos(angles), kappas * pt.sin(angles)], axis=1)
        bessels = kappas + pt.log(pt.ive(np.array(0.0), kappas))
        constants = -(bessels + np.log(q.reading.period)).sum(axis=1)
        drawn = {"angles": angles, "concentrations": kappas}
        record = partial(VonMisesDraws, reading=q.reading)
        twin = cls(constants, slopes, drawn, record, q.reading)
        object.__setattr__(twin, "most", q.most)
        return twin

    def named(self, frame: Frame) -> NamedTensors:
        return {"concentrations": (("component", "feature"), self.drawn["concentrations"])}

    def point(self, draws: Any) -> Mapping[str, Array]:  # type: ignore[override]  # read only
        ranks = (1.0 - (1.0 + draws.concentrations) ** -0.5) / _rank_scale(self.most)
        return {"angles": draws.angles, "ranks": ranks}


def _rank_scale(most: float) -> float:
    """Return the part of (1 + κ)^-3/2 that is below the largest κ."""
    return float(1.0 - (1.0 + most) ** -0.5)


@dataclass(frozen=True)
class VonMisesPrior(ConjugatePrior[VonMisesPosterior]):
    """Uniform mean directions, and 1 / √κ half-t with two degrees of freedom (Gelman 2006).

    Concentrations end at ``most``, that of the resolution of the data.
    """

    most: float
    reading: Circle

    fixes_scale = True

    def given(self, statistics: Sums) -> VonMisesPosterior:
        """Return q after these sums."""
        resultants = statistics.totals
        n_columns = resultants.shape[1] // 2
        amounts = np.broadcast_to(statistics.counts_of_totals, resultants.shape)[:, :n_columns]
        # Extrapolated sums may be longer than their number.
        lengths = lengths_of(resultants)
        amounts = np.maximum(amounts, 0.0)
        shrink = np.minimum(1.0, amounts / np.where(lengths > 0.0, lengths, 1.0))
        shrink = np.where(lengths > 0.0, shrink, 1.0)
        resultants = resultants * np.concatenate([shrink, shrink], axis=1)
        return VonMisesPosterior(resultants, amounts, self.reading, self.most)

    def mode_given(self, statistics: Sums) -> NoReturn:
        """Raise an error, as the mode of a concentration may be at 0."""
        raise UnsupportedError(NO_MODE)

    def pymc_distribution(self, pm: Pymc, q: VonMisesPosterior, n_components: int) -> VonMisesTwin:
        return VonMisesTwin.declared(pm, q)


@dataclass(frozen=True)
class VonMises(ColumnsFamily[VonMisesColumns]):
    """Independent columns on a circle, such as hours, months, weekdays and compass bearings.

    Densities are per unit of the column. ``means_`` are mean directions in units of the column.

    Parameters
    ----------
    period : float, default=24
        Length of a turn in units of the columns, such as 24 for hours, 360 for degrees.
    start : float, default=0
        Means are between ``start`` and ``start`` + ``period``.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> hours = np.concatenate([rng.normal(0.0, 1.0, 200), rng.normal(12.0, 2.0, 100)]) % 24
    >>> m = bm.Mixture(2, family=bm.VonMises(24), random_state=0).fit(hours[:, None])
    >>> np.abs(np.cos(2 * np.pi * m.means_.ravel() / 24)).round(1)
    array([1., 1.])
    """

    period: float = PERIOD
    start: float = 0.0

    name = "von_mises"
    adjective = "von Mises"
    continuous = True
    any_real = False  # recorded values are not spread, as circles have no ends
    drawn_columns = 1
    least = -np.inf
    loses_directions = False
    mean_where_empty = 0.0

    def __post_init__(self) -> None:
        given: list[tuple[str, Any, bool]] = [
            ("period", self.period, True),
            ("start", self.start, False),
        ]
        for name, value, positive in given:
            number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
            if not number or not np.isfinite(value) or (positive and not value > 0.0):
                kind = "a positive number" if positive else "a number"
                raise InvalidInputError(f"{name} must be {kind}, got {value!r}")

    @property
    def reading(self) -> Circle:
        return Circle(float(self.period), float(self.start))

    def coordinates(self, values: Array) -> Coordinates:
        """Return the map to cosines and sines, of mean square 1 if angles are uniform."""
        return self.reading.cosines_and_sines

    def at_means(self, means: Array) -> VonMisesColumns:
        return self._limited_at(means, 1.0 / variance_floor(np.array(1.0), np.array(0.0)))

    def _limited_at(self, means: Array, most: Array) -> VonMisesColumns:
        lengths = np.minimum(lengths_of(means), 1.0)
        kappas = most_likely_concentrations(2, lengths, np.broadcast_to(most, lengths.shape))
        return VonMisesColumns(angles_of(means), kappas, self.reading)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: VonMisesColumns | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> VonMisesColumns:
        """Match the mean of cosines and sines, with concentrations up to 1 / ``resolution``."""
        # An empty component keeps its previous parameters, if there are any.
        before = None if previous is None else previous.expected_totals
        same = before is not None and before.shape == statistics.totals.shape
        empty: Any = before if same else self.mean_where_empty
        if resolution is None:
            return self.at_means(statistics.shares(empty))
        return self._limited_at(statistics.shares(empty), 1.0 / resolution)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count two parameters a component and column."""
        return 2 * n_components * n_features

    def feasible(self, statistics: Sums) -> bool:
        """Whether resultants are no longer than the numbers of observations."""
        known = np.broadcast_to(statistics.counts_of_totals, statistics.totals.shape)
        lengths = lengths_of(statistics.totals)
        return bool(known.min() >= 0.0 and (lengths <= known[:, : lengths.shape[1]]).all())

    def reference_prior(self, summary: Summary, frame: Frame) -> VonMisesPrior:
        """Return the prior up to the concentration that the resolution of the data supports."""
        return VonMisesPrior(float((1.0 / self._floor(summary)).min()), self.reading)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> NoReturn:
        """Raise an error, as the posterior mode of a concentration may be at 0."""
        raise UnsupportedError(NO_MODE)

    def as_draws(self, points: Sequence[VonMisesColumns]) -> VonMisesDraws:
        angles, kappas = (
            np.array([getattr(point, name) for point in points])
            for name in ("angles", "concentrations")
        )
        return VonMisesDraws(angles, kappas, self.reading)

    def _floor(self, summary: Summary) -> Array:
        """Return the smallest variances of angles (D,) that the data can support."""
        gap = 2.0 * np.pi / self.period * summary.gap
        return np.maximum(variance_floor(np.ones_like(gap), gap), (OF_A_STEP * gap) ** 2)

    def guard(  # type: ignore[override]  # limits concentrations
        self, source: Source, frame: Frame, summary: Summary, repair: bool
    ) -> FloorGuard[VonMisesColumns]:
        """Return the guard that bounds concentrations by the resolution of the data."""
        return FloorGuard(self._floor(summary), _held)


def _held(mixture: Mixture[Any], floor: Array) -> list[Event]:
    """Return events for components with a concentration at its limit."""
    concentrations = np.maximum(mixture.components.concentrations, 1e-300)
    return events_of_limited(
        (1.0 / concentrations <= AT_THE_FLOOR * floor).any(axis=1),
        "{which} collapsed onto equal angles of a column, so the likelihood has no maximum. The "
        "concentration was limited: use fewer components",
    )
