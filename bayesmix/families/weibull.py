"""Weibull family: independent positive columns, such as durations, by maximum likelihood.

Log p(x) = log k + k log(x / s) - log x - (x / s)^k, for shape k and scale s. Given k, s^k is the
mean of x^k, and k maximises log k + k E[log x] - log E[x^k]. No finite statistics give E[x^k] for
all k, so that statistics hold x^k and its first two derivatives at the current shape. They give a
lower bound that is tight there up to the second derivative, since |f'''| <= R f'' for f(k) = log
E[x^k], with R the range of log x (Bach 2010). The update maximises the bound, so that the
likelihood never falls, and it converges like Newton's method. A value above c, whose log
probability is -(c / s)^k, adds c^k to the sum of x^k alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import stats
from scipy.special import gammaln

from bayesmix.core.families import FamilyOf, Rearranged
from bayesmix.core.parameters import POSITIVE, parameter
from bayesmix.core.rows import Frame
from bayesmix.families.independent.columns import SMALLEST
from bayesmix.families.without_prior import PositiveFamily, PositivePoints
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.distributions import ColumnDistribution
from bayesmix.numerics.memo import once

# The variance of log x is π² / (6 k²).
VARIANCE_OF_LOGS = np.pi**2 / 6.0
# Outside of these shapes powers of the data overflow, or a column is constant to double precision.
LOWEST_SHAPE, HIGHEST_SHAPE = 1e-3, 1e6
LOG_LOWEST, LOG_HIGHEST = np.log(LOWEST_SHAPE), np.log(HIGHEST_SHAPE)
# Bisections of the logarithm of a shape, to rounding.
STEPS = 60
# Larger exponents overflow; such observations have density 0 anyway.
LARGEST_POWER = 700.0


@dataclass(frozen=True)
class PowerSums(Rearranged):
    """Sums at given shapes k and scales s (K, D), additive over observations at the same ones.

    With z = log(x / s): Σ w r, Σ w r z, and Σ w r e^(k z) times 1, z and z². ``lowest`` and
    ``highest`` (D,) are the limits of log x. Packed are shapes and scales after the update, which
    may be extrapolated where sums at different shapes may not.
    """

    counts: Array  # (K,)
    known: Array  # (K, D)
    logs: Array  # (K, D)
    powers: Array  # (K, D, 3)
    shapes: Array
    scales: Array
    lowest: Array
    highest: Array
    shared = False

    @classmethod
    def of(cls, values: Array, responsibilities: Array, before: Weibulls) -> PowerSums:
        """Return the sums of values (n, D); missing ones add nothing, and -x is a value above x."""
        present, exact = ~np.isnan(values), values > 0.0
        logs = np.log(np.where(present, np.abs(values), 1.0))
        shape = before.shapes.shape
        known, sums, powers = np.empty(shape), np.empty(shape), np.empty((*shape, 3))
        for k in range(shape[0]):
            shares = responsibilities[:, [k]] * present
            z = logs - np.log(before.scales[k])
            weighted = shares * np.exp(np.minimum(before.shapes[k] * z, LARGEST_POWER))
            shares = shares * exact
            known[k], sums[k] = shares.sum(axis=0), (shares * z).sum(axis=0)
            for order in range(3):
                powers[k, :, order] = weighted.sum(axis=0)
                weighted = weighted * z
        lowest = np.where(present, logs, np.inf).min(axis=0, initial=np.inf)
        highest = np.where(present, logs, -np.inf).max(axis=0, initial=-np.inf)
        counts = responsibilities.sum(axis=0)
        return cls(counts, known, sums, powers, before.shapes, before.scales, lowest, highest)

    def _each(self, change: Callable[..., Array], *others: PowerSums) -> PowerSums:
        """Return the record with every sum changed, together with those of other records."""
        names = ("counts", "known", "logs", "powers")
        sums = {
            name: change(getattr(self, name), *(getattr(other, name) for other in others))
            for name in names
        }
        return replace(self, **sums)

    def __add__(self, other: PowerSums) -> PowerSums:
        lowest = np.minimum(self.lowest, other.lowest)
        highest = np.maximum(self.highest, other.highest)
        return replace(self._each(np.add, other), lowest=lowest, highest=highest)

    def scaled(self, factor: float) -> PowerSums:
        return self._each(lambda sums: factor * sums)

    def subset(self, keep: Integers) -> PowerSums:
        own = {"shapes": self.shapes[keep], "scales": self.scales[keep]}
        return replace(self._each(lambda sums: sums[keep]), **own)

    @classmethod
    def joined(cls, parts: Sequence[PowerSums]) -> PowerSums:
        first, rest = parts[0], parts[1:]
        own = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("shapes", "scales")
        }
        own["lowest"] = np.min([part.lowest for part in parts], axis=0)
        own["highest"] = np.max([part.highest for part in parts], axis=0)
        return replace(first._each(lambda *each: np.concatenate(each), *rest), **own)

    def pack(self) -> Array:
        scales = self.best_scales(self.best_shapes)
        return np.concatenate(
            [self.counts, np.log(self.best_shapes).ravel(), np.log(scales).ravel()]
        )

    def units(self) -> float:
        return 1.0

    def unpack(self, vector: Array) -> PowerSums:
        """Return sums at shapes and scales that the update keeps."""
        counts, logs = np.split(vector, [len(self.counts)])
        limits = [[[LOG_LOWEST]], [[-LARGEST_POWER]]], [[[LOG_HIGHEST]], [[LARGEST_POWER]]]
        shapes, scales = np.exp(np.clip(logs.reshape(2, *self.known.shape), *limits))
        powers = self.known[..., None] * [1.0, 0.0, 0.0]
        sums = {"counts": counts, "logs": -self.known / shapes, "powers": powers}
        return replace(self, **sums, shapes=shapes, scales=scales)

    @once
    def _bound(self) -> tuple[Array, ...]:
        """B0, B1 and B2 (K, D), mean z, and R."""
        known = np.where(self.known > 0.0, self.known, 1.0)
        total = np.maximum(self.powers[..., 0], SMALLEST)
        first = self.powers[..., 1] / total
        second = np.maximum(self.powers[..., 2] / total - first**2, 0.0)
        span = np.maximum(self.highest - self.lowest, SMALLEST) + np.zeros(first.shape)
        return np.log(total / known), first, second, self.logs / known, span

    @once
    def best_shapes(self) -> Array:
        """Shapes (K, D) that maximise the lower bound; empty components have those before.

        With t the step of the shape from k: log(k + t) + (k + t) E[z] - B(t), where B(t) = B0 + t
        B1 + B2 (e^(R |t|) - R |t| - 1) / R² and B0, B1, B2 are log E[e^(k z)] and its derivatives.
        """
        _, first, second, mean, span = self._bound
        low, high = np.full(first.shape, LOG_LOWEST), np.full(first.shape, LOG_HIGHEST)
        for _ in range(STEPS):
            middle = 0.5 * (low + high)
            shape = np.exp(middle)
            step = shape - self.shapes
            slope = np.sign(step) * second * _growth(span, step)
            rising = 1.0 / shape + mean - first - slope > 0.0
            low, high = np.where(rising, middle, low), np.where(rising, high, middle)
        return np.where(self.known > 0.0, np.exp(0.5 * (low + high)), self.shapes)

    def best_scales(self, shapes: Array) -> Array:
        """Return the scales (K, D) that maximise the lower bound given shapes."""
        level, first, second, _, span = self._bound
        step = shapes - self.shapes
        curved = second * (_growth(span, step) - np.abs(step)) / span
        moved = np.log(self.scales) + (level + step * first + curved) / shapes
        moved = np.exp(np.clip(moved, -LARGEST_POWER, LARGEST_POWER))
        return np.where(self.known > 0.0, moved, self.scales)


def _growth(span: Array, step: Array) -> Array:
    """Return (e^(R |t|) - 1) / R."""
    return np.expm1(np.minimum(span * np.abs(step), LARGEST_POWER)) / span


@dataclass(frozen=True)
class Weibulls(PositivePoints):
    """Shapes and scales (K, D) at a point."""

    shapes: Array = field(metadata=parameter(POSITIVE))
    scales: Array = field(metadata=parameter(POSITIVE))

    named = ("shapes", "scales", "means")
    reads_bounds = True

    @property
    def means(self) -> Array:
        # Shapes below a hundredth occur on the way to others; their mean overflows.
        return self.scales * np.exp(np.minimum(gammaln(1.0 + 1.0 / self.shapes), LARGEST_POWER))

    @property
    def deviations(self) -> Array:
        one, two = (gammaln(1.0 + order / self.shapes) for order in (1.0, 2.0))
        square = np.expm1(np.clip(two - 2.0 * one, 0.0, LARGEST_POWER))
        return self.scales * np.exp(np.minimum(one, LARGEST_POWER)) * np.sqrt(square)

    @property
    def distribution(self) -> ColumnDistribution:
        return ColumnDistribution(stats.weibull_min(self.shapes[:, 0], scale=self.scales[:, 0]))

    @property
    def expected_totals(self) -> Array:
        return np.hstack([self.means, self.shapes])

    def expected_log_density(self, values: Array) -> Array:
        """Return log p(x | k) (n, K), minus infinity for x <= 0."""
        out = np.empty((len(values), self.n_components), order="F")
        logs = np.log(np.maximum(values, SMALLEST))
        for k, (shape, scale) in enumerate(zip(self.shapes, self.scales, strict=True)):
            power = shape * (logs - np.log(scale))
            terms = power - np.exp(np.minimum(power, LARGEST_POWER))
            out[:, k] = terms.sum(axis=1) + np.log(shape).sum()
        out -= logs.sum(axis=1)[:, None]
        out[(values <= 0.0).any(axis=1)] = -np.inf
        return out

    def log_survival(self, bounds: Array) -> Array:
        """Return log P(x > bound) (n, K, D); the statistics read minus a bound as such a value."""
        with np.errstate(divide="ignore"):
            away = np.log(np.maximum(bounds, 0.0))[:, None] - np.log(self.scales)
        return -np.exp(np.minimum(self.shapes * away, LARGEST_POWER))

    def statistics(self, values: Array, responsibilities: Array) -> PowerSums:
        return PowerSums.of(values, responsibilities, self)

    def unframed(self, frame: Frame) -> Weibulls:
        return Weibulls(self.shapes, self.scales * frame.scale)

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        shapes = np.repeat(self.shapes, counts, axis=0)
        powers = np.maximum(generator.standard_exponential(shapes.shape), SMALLEST)
        return np.repeat(self.scales, counts, axis=0) * powers ** (1.0 / shapes)


@dataclass(frozen=True)
class Weibull(PositiveFamily, FamilyOf[PowerSums, Weibulls]):
    """Independent positive columns, such as durations and strengths.

    Maximum likelihood only, as there is no conjugate prior.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.weibull(1.5, (200, 1)), 30.0 * rng.weibull(5.0, (100, 1))])
    >>> m = bm.Mixture(2, family=bm.Weibull(), random_state=0).fit(X)
    >>> m.weights_.round(2)
    array([0.67, 0.33])
    """

    name = "weibull"
    takes_intervals = True
    adjective = "Weibull"
    with_article = "a Weibull"
    least_variance = VARIANCE_OF_LOGS / HIGHEST_SHAPE**2
    no_prior = (
        "a Weibull has no conjugate prior: use inference=MaximumLikelihood(), or LogNormal(), "
        "whose prior is conjugate"
    )
    rearranged = False  # sums at different shapes cannot be added

    def variances_of_logs(self, shapes: Array) -> Array:
        return np.asarray(VARIANCE_OF_LOGS / shapes**2)

    def statistics(self, values: Array, responsibilities: Array) -> PowerSums:
        """Return the sums at shape 1 and scale 1, which is near the median in the frame."""
        ones = np.ones((responsibilities.shape[1], values.shape[1]))
        return PowerSums.of(values, responsibilities, Weibulls(ones, ones))

    def maximum_likelihood(
        self,
        statistics: PowerSums,
        previous: Weibulls | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> Weibulls:
        """Maximise a lower bound of the expected log likelihood, tight where sums were taken."""
        shapes = statistics.best_shapes
        if resolution is not None:
            shapes = np.minimum(np.sqrt(VARIANCE_OF_LOGS / resolution), shapes)
        return Weibulls(shapes, statistics.best_scales(shapes))
