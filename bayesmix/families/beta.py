"""Beta family: independent columns of shares, with masses at 0 and 1, by maximum likelihood.

A share is 0 or 1 with probabilities of their own, and otherwise has a beta density. Shapes solve
ψ(a) - ψ(a + b) = mean log x and ψ(b) - ψ(a + b) = mean log (1 - x) (Johnson, Kotz & Balakrishnan
1995, sec. 25.4). The measure is that of lengths in (0, 1), with points at 0 and 1.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import betaln, polygamma, psi

from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import POSITIVE, SHARE, ReportedQuantity, parameter
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR, variance_floor
from bayesmix.families.gaussian.unusable_columns import refuse_constant
from bayesmix.families.independent.columns import ColumnsFamily, PointColumns
from bayesmix.families.independent.linear import LinearInTotals, Reading, Sums
from bayesmix.families.without_prior import WithoutPrior, events_of_limited
from bayesmix.numerics.arrays import Array, Booleans, Integers, Stored
from bayesmix.numerics.distributions import ColumnDistribution

# Newton steps for the shapes, from a start that is exact in the limit of large ones.
STEPS = 30
# Limits of shapes: beyond, logarithms of values next to 0 and 1 lose all digits.
SMALLEST_SHAPE, LARGEST_SHAPE = 1e-6, 1e9
# Sections of an interval of means, to 1e-12 of it, and the largest variance of a beta density.
GOLDEN, SECTIONS = 0.5 * (np.sqrt(5.0) - 1.0), 60
LARGEST_VARIANCE = 0.2499
# Nats that stand for impossible, where infinities would cancel.
SURE = 700.0


@dataclass(frozen=True)
class Shares(Reading):
    """Sufficient statistics 1{x = 0}, 1{x = 1}, and log x and log (1 - x) of the others."""

    def totals(self, values: Array) -> Array:
        columns = values.T
        inside = (columns > 0.0) & (columns < 1.0)
        safe = np.where(inside, columns, 0.5)
        logs, mirrored = (np.where(inside, own, 0.0) for own in (np.log(safe), np.log1p(-safe)))
        return np.concatenate([columns <= 0.0, columns >= 1.0, logs, mirrored])

    def spread(self, values: Array) -> Array:
        return np.concatenate([values] * 4, axis=-1)


SHARES = Shares()


def shapes_of(logs: Array, mirrored: Array) -> tuple[Array, Array]:
    """Return the shapes whose mean of log x and of log (1 - x) are these, by Newton's method."""
    near, far = np.exp(logs), np.exp(mirrored)
    rest = np.maximum(1.0 - near - far, 1.0 / LARGEST_SHAPE)
    a, b = 0.5 + 0.5 * near / rest, 0.5 + 0.5 * far / rest
    for _ in range(STEPS):
        both = psi(a + b)
        first, second = logs - psi(a) + both, mirrored - psi(b) + both
        common = polygamma(1, a + b)
        over, under = polygamma(1, a) - common, polygamma(1, b) - common
        scale = over * under - common * common
        scale = np.where(np.abs(scale) > 0.0, scale, 1.0)
        steps = (under * first + common * second) / scale, (over * second + common * first) / scale
        # A shape at most halves or doubles in a step.
        a = np.clip(a + steps[0], 0.5 * a, 2.0 * a)
        b = np.clip(b + steps[1], 0.5 * b, 2.0 * b)
        a, b = (np.clip(own, SMALLEST_SHAPE, LARGEST_SHAPE) for own in (a, b))
    return a, b


def limited_shapes(logs: Array, mirrored: Array, variance: Array) -> tuple[Array, Array]:
    """Return the most probable shapes with a variance, by golden section in the mean."""
    variance = np.broadcast_to(np.minimum(variance, LARGEST_VARIANCE), logs.shape)
    # Below this mean, and above its mirror image, no beta density has the variance.
    least = 0.5 - np.sqrt(0.25 - variance)
    low, high = least, 1.0 - least

    def shapes_at(mean: Array) -> tuple[Array, Array]:
        total = np.maximum(mean * (1.0 - mean) / variance - 1.0, 1.0 / LARGEST_SHAPE)
        return mean * total, (1.0 - mean) * total

    def value(mean: Array) -> Array:
        a, b = shapes_at(mean)
        density: Array = a * logs + b * mirrored - betaln(a, b)
        return density

    for _ in range(SECTIONS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        above = value(left) > value(right)
        low, high = np.where(above, low, left), np.where(above, right, high)
    return shapes_at(0.5 * (low + high))


class BetaColumns(PointColumns):
    """K densities of independent columns of shares."""

    left_shapes: Array
    right_shapes: Array

    @property
    @abstractmethod
    def masses(self) -> tuple[Array, Array]:
        """Probabilities of 0 and of 1 (K, D)."""

    @property
    def inside_means(self) -> Array:
        """Mean (K, D) of the shares between 0 and 1."""
        return self.left_shapes / (self.left_shapes + self.right_shapes)

    @property
    def means(self) -> Array:
        zeros, ones = self.masses
        return ones + (1.0 - zeros - ones) * self.inside_means

    @property
    def deviations(self) -> Array:
        zeros, ones = self.masses
        mean, inside = self.inside_means, 1.0 - zeros - ones
        variance = mean * (1.0 - mean) / (self.left_shapes + self.right_shapes + 1.0)
        squares = ones + inside * (variance + mean * mean)
        return np.sqrt(np.maximum(squares - self.means**2, 0.0))

    @property
    def distribution(self) -> ColumnDistribution:
        inside = stats.beta(self.left_shapes[:, 0], self.right_shapes[:, 0])
        return ColumnDistribution(inside, *(mass[:, 0] for mass in self.masses))

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return (*self.masses, self.left_shapes, self.right_shapes)

    @property
    def expected_totals(self) -> Array:
        """E[t(x)] (K, 4 D)."""
        zeros, ones = self.masses
        a, b = self.left_shapes, self.right_shapes
        inside, both = 1.0 - zeros - ones, psi(a + b)
        return np.hstack([zeros, ones, inside * (psi(a) - both), inside * (psi(b) - both)])

    @cached_property
    def _log_probabilities(self) -> tuple[Array, Array, Array]:
        """Log probabilities (K, D) of 0, of 1 and of shares between them."""
        zeros, ones = self.masses
        with np.errstate(divide="ignore"):
            return np.log(zeros), np.log(ones), np.log(np.maximum(1.0 - zeros - ones, 0.0))

    @cached_property
    def linear(self) -> LinearInTotals:
        zero, one, inside = self._log_probabilities
        a, b = self.left_shapes, self.right_shapes
        # An impossible value costs ``SURE`` nats, more than any other component loses on it.
        constants = np.maximum(inside, -SURE) - betaln(a, b)
        at_ends = (np.maximum(own, -SURE) - constants for own in (zero, one))
        return LinearInTotals(constants, np.hstack([*at_ends, a - 1.0, b - 1.0]), SHARES)

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K), minus infinity where a value is impossible."""
        zero, one, inside = self._log_probabilities
        at_zero, at_one = values <= 0.0, values >= 1.0
        between = ~(at_zero | at_one)
        safe = np.where(between, values, 0.5)
        logs, mirrored = np.log(safe), np.log1p(-safe)
        out = np.empty((len(values), self.n_components))
        for k in range(self.n_components):
            a, b = self.left_shapes[k], self.right_shapes[k]
            density = (a - 1.0) * logs + (b - 1.0) * mirrored - betaln(a, b) + inside[k]
            cells = np.where(at_zero, zero[k], np.where(at_one, one[k], density))
            out[:, k] = cells.sum(axis=1)
        out[((values < 0.0) | (values > 1.0)).any(axis=1)] = -np.inf
        return out

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        a, b = (np.repeat(own, counts, axis=0) for own in (self.left_shapes, self.right_shapes))
        zeros, ones = (np.repeat(own, counts, axis=0) for own in self.masses)
        chance = generator.random(a.shape)
        inside = generator.beta(a, b)
        return np.where(chance < zeros, 0.0, np.where(chance < zeros + ones, 1.0, inside))


@dataclass(frozen=True)
class Betas(BetaColumns):
    """Shapes (K, D) of shares strictly between 0 and 1."""

    left_shapes: Array = field(metadata=parameter(POSITIVE))
    right_shapes: Array = field(metadata=parameter(POSITIVE))

    named = ("left_shapes", "right_shapes", "means")

    @property
    def masses(self) -> tuple[Array, Array]:
        none = np.zeros_like(self.left_shapes)
        return none, none


@dataclass(frozen=True)
class BetasWithMasses(BetaColumns):
    """Probabilities of 0 and 1, and shapes of the shares between them (K, D)."""

    zeros: Array = field(metadata=parameter(SHARE))
    ones: Array = field(metadata=parameter(SHARE))
    left_shapes: Array = field(metadata=parameter(POSITIVE))
    right_shapes: Array = field(metadata=parameter(POSITIVE))

    named = ("zeros", "ones", "left_shapes", "right_shapes", "means")
    reports = (
        ReportedQuantity("mean", lambda components: components.means, SHARE),
        ReportedQuantity("zero", lambda components: components.zeros, SHARE),
        ReportedQuantity("one", lambda components: components.ones, SHARE),
    )

    @property
    def masses(self) -> tuple[Array, Array]:
        return self.zeros, self.ones


@dataclass(frozen=True)
class Beta(WithoutPrior, ColumnsFamily[BetaColumns]):
    """Independent columns of shares between 0 and 1, such as methylation or cover.

    Maximum likelihood only, as shapes have no conjugate prior.

    Parameters
    ----------
    masses : bool, optional
        Whether each component has probabilities of exactly 0 and 1. None: if the data have any. A
        density with masses is compared with no other family.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.beta(2.0, 20.0, (200, 1)), rng.beta(30.0, 5.0, (100, 1))])
    >>> X[:20] = 0.0
    >>> m = bm.Mixture(2, family=bm.Beta(), random_state=0).fit(X)
    >>> round(float(m.weights_ @ m.zeros_.ravel()), 2)
    0.07
    """

    masses: bool | None = None

    name = "beta"
    continuous = True
    drawn_columns = 1
    keeps_zeros = True
    no_prior = "a Beta has no conjugate prior: use inference=MaximumLikelihood()"
    reading = SHARES

    @property
    def measure_apart(self) -> str | None:
        """The measure of densities with masses, which other families do not have."""
        return "shares with masses at 0 and 1" if self.masses else None

    def knowing(self, summary: Summary) -> Beta:
        """Return the family for data, with masses if any value is 0 or 1."""
        if self.masses is not None:
            return self
        at_ends = (summary.minimum <= 0.0) | (summary.maximum >= 1.0)
        return replace(self, masses=bool(at_ends.any()))

    @property
    def mean_where_empty(self) -> Array | float:
        """Statistics that are read as the uniform density."""
        return np.nan

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise an error for values outside [0, 1], or at its ends if there are no masses."""
        strict = self.masses is False
        wrong: Any = (values < 0.0) | (values > 1.0)
        if strict:
            wrong = wrong | (values == 0.0) | (values == 1.0)
        if not wrong.any():
            return
        row, column = np.argwhere(wrong)[0]
        remedy = "use Beta(masses=True)" if strict else "use another family"
        if 1.0 < np.nanmax(values) <= 100.0 and np.nanmin(values) >= 0.0:
            remedy = "divide percentages by 100"
        between = "between 0 and 1, both excluded," if strict else "from 0 to 1"
        raise InvalidInputError(
            f"X must hold shares {between} for a Beta mixture, got {values[row, column]:g} in row "
            f"{first + row}, column {column}: {remedy}"
        )

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        refuse_constant(source, mixture=" for a Beta mixture")
        return frame, ()

    def at_means(self, means: Array) -> BetaColumns:
        """Return the estimates for mean statistics (K, 4 D), uniform where there are none."""
        zeros, ones, logs, mirrored = np.split(means, 4, axis=1)
        inside = 1.0 - zeros - ones
        known = inside > 1e-12  # rounding of a component of zeros and ones only
        share = np.where(known, inside, 1.0)
        # Means of logarithms of the uniform density are -1.
        of_logs, of_mirrored = (np.where(known, own / share, -1.0) for own in (logs, mirrored))
        a, b = shapes_of(np.minimum(of_logs, -1e-15), np.minimum(of_mirrored, -1e-15))
        if self.masses is False:
            return Betas(a, b)
        empty = np.isnan(zeros)
        zeros, ones = (np.where(empty, 1.0 / 3.0, np.clip(own, 0.0, 1.0)) for own in (zeros, ones))
        return BetasWithMasses(zeros, np.minimum(ones, 1.0 - zeros), a, b)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: BetaColumns | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> BetaColumns:
        """Match the mean statistics; variances stay above the resolution of the data."""
        fitted: Any = super().maximum_likelihood(statistics, previous)
        if resolution is None:
            return fitted
        mean, total = fitted.inside_means, fitted.left_shapes + fitted.right_shapes
        limited = mean * (1.0 - mean) / (total + 1.0) < resolution
        if not limited.any():
            return fitted
        _, _, logs, mirrored = np.split(statistics.shares(0.0), 4, axis=1)
        share = np.maximum(1.0 - fitted.masses[0] - fitted.masses[1], 1e-12)
        a, b = limited_shapes(logs / share, mirrored / share, resolution)
        return replace(
            fitted,
            left_shapes=np.where(limited, a, fitted.left_shapes),
            right_shapes=np.where(limited, b, fitted.right_shapes),
        )

    def feasible(self, statistics: Sums) -> bool:
        """Whether logarithms are those of shares between 0 and 1 (Jensen)."""
        if statistics.counts.min() < 0.0:
            return False
        zeros, ones, logs, mirrored = np.split(statistics.shares(0.0), 4, axis=1)
        inside = 1.0 - zeros - ones
        if min(zeros.min(), ones.min(), inside.min()) < 0.0:
            return False
        share = np.where(inside > 0.0, inside, 1.0)
        room = np.exp(logs / share) + np.exp(mirrored / share)
        return bool((room < 1.0)[inside > 1e-12].all())

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> Any:
        """Return the guard that bounds variances by the resolution of the data."""
        floor = variance_floor(summary.scale, summary.gap)
        return FloorGuard(floor, self._limited)

    def _limited(self, mixture: Mixture[Any], floor: Array) -> list[Event]:
        """Return events for components with a variance at its limit."""
        own = mixture.components
        mean, total = own.inside_means, own.left_shapes + own.right_shapes
        limited: Booleans = mean * (1.0 - mean) / (total + 1.0) <= AT_THE_FLOOR * floor
        used = 1.0 - own.masses[0] - own.masses[1] > 1e-12
        return events_of_limited(
            np.logical_or.reduce(limited & used, axis=1),
            "{which} collapsed onto equal values of a column, so the likelihood has no maximum. "
            "Its variance was limited: use fewer components",
        )

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count two shapes for each component and column, and two masses if there are any."""
        return (2 if self.masses is False else 4) * n_components * n_features
