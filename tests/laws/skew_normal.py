"""A family of somebody else: independent skew-normal columns, written by the guide to contributing.

Given |z|, x = location + slope |z| + deviation e (Azzalini 2014, eq. 2.13), so that the M-step is a
regression on E[|z|], and its sums have fixed size (Lin, Lee & Yen 2007).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_ndtr

from bayesmix.core.families import FamilyOf, Rearranged
from bayesmix.core.parameters import POSITIVE, REAL, parameter
from bayesmix.core.rows import Frame
from bayesmix.families.independent.columns import NoGuard
from bayesmix.families.without_prior import PointsByColumn, WithoutPrior


@dataclass(frozen=True)
class SkewSums(Rearranged):
    """Counts (K,), and sums (K, D, 6) of 1, x, h, x², x h and h² over observed cells, h = |z|."""

    counts: np.ndarray
    sums: np.ndarray

    shared = False

    def __add__(self, other):
        return SkewSums(self.counts + other.counts, self.sums + other.sums)

    def scaled(self, factor):
        return SkewSums(factor * self.counts, factor * self.sums)

    def subset(self, keep):
        return SkewSums(self.counts[keep], self.sums[keep])

    @classmethod
    def joined(cls, parts):
        counts = np.concatenate([part.counts for part in parts])
        return cls(counts, np.concatenate([part.sums for part in parts]))

    def pack(self):
        return np.concatenate([self.counts, self.sums.ravel()])

    def units(self):
        return 1.0

    def unpack(self, vector):
        counts, sums = np.split(vector, [len(self.counts)])
        return SkewSums(counts, sums.reshape(self.sums.shape))


@dataclass(frozen=True)
class SkewNormals(PointsByColumn):
    """Locations, slopes and variances of the rest (K, D) at a point."""

    locations: np.ndarray = field(metadata=parameter(REAL, units="deviations"))
    slopes: np.ndarray = field(metadata=parameter(REAL, units="deviations"))
    variances: np.ndarray = field(metadata=parameter(POSITIVE))

    named = ("locations", "slopes", "variances")

    @property
    def means(self):
        return self.locations + np.sqrt(2.0 / np.pi) * self.slopes

    @property
    def deviations(self):
        return np.sqrt(self.variances + (1.0 - 2.0 / np.pi) * self.slopes**2)

    def _parts(self, values):
        total = self.variances + self.slopes**2
        away = values[:, None] - self.locations
        expected = self.slopes * away / total  # of z before it is restricted to z > 0
        deviation = np.sqrt(self.variances / total)
        return away, total, expected, deviation

    def expected_log_density(self, values):
        away, total, expected, deviation = self._parts(values)
        logs = -0.5 * (np.log(0.5 * np.pi * total) + away**2 / total)
        return (logs + log_ndtr(expected / deviation)).sum(axis=2)

    def statistics(self, values, responsibilities):
        present = ~np.isnan(values)
        values = np.where(present, values, 0.0)
        _, _, expected, deviation = self._parts(values)
        ratio = expected / deviation
        mills = np.exp(-0.5 * ratio**2 - 0.5 * np.log(2.0 * np.pi) - log_ndtr(ratio))
        first = expected + deviation * mills
        second = expected**2 + deviation**2 + expected * deviation * mills
        x = np.broadcast_to(values[:, None], first.shape)
        terms = np.stack([np.ones_like(x), x, first, x * x, x * first, second], axis=-1)
        shares = responsibilities[:, :, None] * present[:, None]
        return SkewSums(responsibilities.sum(axis=0), np.einsum("nkd,nkdj->kdj", shares, terms))

    def unframed(self, frame):
        scale = frame.scale
        locations = frame.centre + self.locations * scale
        return SkewNormals(locations, self.slopes * scale, self.variances * scale**2)

    @property
    def expected_totals(self):
        return self.means

    def draw(self, counts, generator):
        location, slope, variance = (
            np.repeat(one, counts, axis=0) for one in (self.locations, self.slopes, self.variances)
        )
        hidden = np.abs(generator.normal(size=location.shape))
        return location + slope * hidden + np.sqrt(variance) * generator.normal(size=slope.shape)


@dataclass(frozen=True)
class SkewNormal(WithoutPrior, FamilyOf[SkewSums, SkewNormals]):
    """Independent skew-normal columns, by maximum likelihood."""

    name = "skew_normal"
    continuous = True
    takes_gaps = True
    takes_intervals = True
    no_prior = "a SkewNormal has no conjugate prior: use inference=MaximumLikelihood()"

    def frame(self, summary):
        return Frame(summary.centre, np.exp2(np.floor(np.log2(summary.scale))))

    def statistics(self, values, responsibilities):
        K, columns = responsibilities.shape[1], np.nan_to_num(values)
        means = responsibilities.T @ columns / responsibilities.sum(axis=0)[:, None]
        squares = responsibilities.T @ columns**2 / responsibilities.sum(axis=0)[:, None]
        deviations = np.sqrt(np.maximum(squares - means**2, 0.01))
        third = np.stack([
            np.average((columns - means[k]) ** 3, axis=0, weights=responsibilities[:, k] + 1e-9)
            for k in range(K)
        ])  # fmt: skip
        slopes = np.where(third >= 0.0, 1.0, -1.0) * deviations
        start = means - np.sqrt(2.0 / np.pi) * slopes
        return SkewNormals(start, slopes, 0.5 * deviations**2).statistics(values, responsibilities)

    def maximum_likelihood(self, statistics, previous=None, resolution=None, frame=None):
        n, x, h, xx, xh, hh = np.moveaxis(statistics.sums, 2, 0)
        n = np.maximum(n, 1e-300)
        slopes = (xh - x * h / n) / np.maximum(hh - h * h / n, 1e-300)
        locations = (x - slopes * h) / n
        rest = xx - locations * x - slopes * xh
        return SkewNormals(locations, slopes, np.maximum(rest / n, 1e-6))

    def feasible(self, statistics):
        n, _, h, _, _, hh = np.moveaxis(statistics.sums, 2, 0)
        point = self.maximum_likelihood(statistics)
        return bool((n > 0.0).all() and (n * hh > h * h).all() and (point.variances > 1e-5).all())

    def n_parameters(self, n_components, n_features):
        return 3 * n_components * n_features

    def guard(self, source, frame, summary, repair):
        return NoGuard()
