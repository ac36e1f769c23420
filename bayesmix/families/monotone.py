"""Monotone transforms of columns: logarithms, roots, logits, Box-Cox and Yeo-Johnson powers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss, hermevander
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import expit, factorial, logit

from bayesmix.core.rows import Frame, Summary
from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.columns import SMALLEST, frame_of_positive
from bayesmix.numerics.arrays import IQR_OF_NORMAL, Array, Booleans, Integers, power_of_two
from bayesmix.numerics.memo import once

# Largest logarithm of a draw, since the exponential overflows beyond.
LARGEST_LOG = 690.0
# Gauss-Hermite nodes and weights, and orthonormal Hermite polynomials (nodes, degrees).
NODES, SHARES = hermegauss(64)
DEGREES = np.arange(31)
WEIGHTED = hermevander(NODES, 30) / np.sqrt(factorial(DEGREES)) * (SHARES / SHARES.sum())[:, None]


class Function(ABC):
    """A monotone function g of values between ``lower`` and ``upper``."""

    lower, upper, least = 0.0, np.inf, SMALLEST
    prefix = "transformed"  # prefix of parameter names over g(x)
    normal = "a Box-Cox-normal"  # for messages and descriptions of priors
    plural = "Box-Cox transformed values"
    n_learned = 0  # number of parameters that were learned from data

    @property
    def adjective(self) -> str:
        """Name of the density of x: "log-normal"."""
        return self.normal.removeprefix("a ")

    def at(self, columns: Integers) -> Function:
        """Return the function of some of the columns."""
        return self

    def refitted(self, values: Array, responsibilities: Array) -> Function:
        """Return the function with parameters learned from these data, if it has any."""
        return self

    @abstractmethod
    def apply(self, values: Array) -> Array:
        """Return g(x)."""

    @abstractmethod
    def inverse(self, transformed: Array) -> Array:
        """Return x from g(x), or the nearest possible value."""

    @abstractmethod
    def log_slopes(self, values: Array, transformed: Array) -> Array:
        """Return log g'(x)."""

    @abstractmethod
    def frame(self, scale: Array) -> Frame:
        """Return the affine map from g(x / scale) to g(x), where ``over`` has g of x / scale."""

    def working_frame(self, summary: Summary) -> Frame:
        """Return the frame of computations, without a centre."""
        return frame_of_positive(summary)

    def over(self, scale: Array) -> Function:
        """Return the function of x / scale; it differs if the function has units."""
        return self

    @property
    def framed(self) -> Function:
        """The function of observations in the working frame."""
        return self

    def step(self, values: Array, size: Array) -> Array:
        """Return the length of a step from x on the scale of g(x), to first order."""
        return np.exp(self.log_slopes(values, self.apply(values))) * size

    def summary(self, summary: Summary, frame: Frame) -> Summary:
        """Return the summary of g(x) of framed observations, with steps evaluated at the median."""
        middle = summary.centre / frame.scale
        names = ("centre", "minimum", "maximum", "mean", "lower", "upper")
        moved: Any = {name: self.apply(getattr(summary, name) / frame.scale) for name in names}
        scale = (moved["upper"] - moved["lower"]) / IQR_OF_NORMAL
        of_ties = self.step(middle, summary.scale / frame.scale)
        moved["scale"] = np.where(scale > 0.0, scale, of_ties)
        return replace(summary, gap=self.step(middle, summary.gap / frame.scale), **moved)

    def log_jacobian(self, values: Array, transformed: Array) -> Array:
        """Return Σ_d log g'(x_d) (n,) over the observed cells."""
        return np.nansum(self.log_slopes(values, transformed), axis=1)

    def expansion(self, means: Array, deviations: Array) -> Array:
        """Return E[x He_j(z)] / sqrt(j!) (..., j) for g(x) = mean + deviation z, z standard normal.

        Entry 0 is E[x]; covariances follow by Mehler's formula, derivatives by Stein's.
        """
        nodes = means + deviations * NODES.reshape(-1, *[1] * np.ndim(means))
        return np.moveaxis(self.inverse(nodes), 0, -1) @ WEIGHTED

    def means(self, means: Array, variances: Array) -> Array:
        """Return E[x] for normal g(x)."""
        return self.expansion(means, np.sqrt(variances))[..., 0]

    def covariances(self, means: Array, covariances: Array) -> Array:
        deviations = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
        correlations = covariances / (deviations[:, :, None] * deviations[:, None])
        terms = self.expansion(means, deviations)[..., 1:]
        powers = correlations[..., None] ** DEGREES[1:]
        return np.einsum("kij,kdj,kidj->kid", terms, terms, powers)


@dataclass(frozen=True)
class Log(Function):
    """g(x) = log x."""

    prefix, normal, plural = "log", "a log-normal", "logarithms"

    def apply(self, values: Array) -> Array:
        return np.log(values)

    def inverse(self, transformed: Array) -> Array:
        return np.exp(np.clip(transformed, -LARGEST_LOG, LARGEST_LOG))

    def log_slopes(self, values: Array, transformed: Array) -> Array:
        return -transformed

    def frame(self, scale: Array) -> Frame:
        return Frame(np.log(scale), np.ones(len(scale)))

    def step(self, values: Array, size: Array) -> Array:
        """Return log(x + size) - log x."""
        return np.log1p(size / values)

    def expansion(self, means: Array, deviations: Array) -> Array:
        """Return E[x] σ^j / sqrt(j!)."""
        first = self.means(means, deviations * deviations)[..., None]
        return first * deviations[..., None] ** DEGREES / np.sqrt(factorial(DEGREES))

    def means(self, means: Array, variances: Array) -> Array:
        """Return exp(μ + σ²/2), infinite on overflow."""
        with np.errstate(over="ignore"):
            expected: Array = np.exp(means + 0.5 * variances)
        return expected

    def covariances(self, means: Array, covariances: Array) -> Array:
        """Return E[x_i] E[x_j] (exp(Σ_ij) - 1)."""
        expected = self.means(means, np.diagonal(covariances, axis1=1, axis2=2))
        with np.errstate(over="ignore", invalid="ignore"):
            of_pairs = np.expm1(covariances) * (expected[:, :, None] * expected[:, None])
        return np.where(covariances == 0.0, 0.0, of_pairs)


@dataclass(frozen=True)
class Power(Function):
    """g(x) = (x^power - 1) / power (Box & Cox 1964)."""

    power: float
    origin = 1.0

    @property
    def unit(self) -> float:
        return self.power

    def apply(self, values: Array) -> Array:
        return (values**self.power - self.origin) / self.unit

    def inverse(self, transformed: Array) -> Array:
        powers = np.maximum(self.unit * transformed + self.origin, SMALLEST**self.power)
        values: Array = powers ** (1.0 / self.power)
        return np.maximum(values, SMALLEST)

    def log_slopes(self, values: Array, transformed: Array) -> Array:
        return np.log(self.power / self.unit) + (self.power - 1.0) * np.log(values)

    def frame(self, scale: Array) -> Frame:
        powers = scale**self.power
        return Frame(self.origin * (powers - 1.0) / self.unit, powers)


@dataclass(frozen=True)
class Root(Power):
    """g(x) = sqrt(x)."""

    power: float = 0.5
    origin, unit = 0.0, 1.0
    normal, plural = "a square-root-normal", "square roots"


@dataclass(frozen=True)
class Logit(Function):
    """g(x) = log(x / (1 - x))."""

    upper, normal, plural = 1.0, "a logit-normal", "logits"

    def apply(self, values: Array) -> Array:
        return logit(values)

    def inverse(self, transformed: Array) -> Array:
        return np.clip(expit(transformed), SMALLEST, np.nextafter(1.0, 0.0))

    def log_slopes(self, values: Array, transformed: Array) -> Array:
        return -np.log(values) - np.log1p(-values)

    def frame(self, scale: Array) -> Frame:
        return Frame.identity(len(scale))

    def working_frame(self, summary: Summary) -> Frame:
        return Frame.identity(summary.n_features)


LOG = Log()
NAMED: dict[str, Function] = {"log": LOG, "sqrt": Root(), "logit": Logit()}


@lru_cache
def function_of(transform: str | float | Function) -> Function:
    """Return the transform of a user's name or power."""
    if isinstance(transform, Function):
        return transform
    if isinstance(transform, str) and transform in NAMED:
        return NAMED[transform]
    if isinstance(transform, (int, float)) and 0.0 < transform < np.inf:
        return Power(float(transform))
    raise InvalidInputError(
        f"transform must be one of {', '.join(map(repr, NAMED))}, a positive Box-Cox power or a "
        f"YeoJohnson(), got {transform!r}"
    )


# Median absolute deviation of a normal distribution in standard deviations.
MAD_OF_NORMAL = 0.6745
# Columns are visited twice: powers of columns that depend on each other settle in the first round.
ROUNDS, PRECISION = 2, 0.02
# A column keeps power 1 if one value has more than this share: a spike has no best power.
MOST_TIED = 0.1
# Below this a power is a logarithm.
FLAT = 1e-10
# Start of logarithms in smallest values: below them by less than 0.001 of log x.
START = 1e-3
# Smallest share of a column's variance that the other columns leave.
LEAST_LEFT = 1e-8


@dataclass(frozen=True, repr=False)
class YeoJohnson(Function):
    """Powers of centred and scaled columns (Yeo & Johnson 2000), for ``Transformed``.

    Parameters
    ----------
    centre, spread, powers : sequence of float (D,)
        g(x) is a power of 1 + z for z >= 0, and of 1 - z with power 2 - λ for z < 0, where
        z = (x - centre) / spread. Power 1 changes nothing; powers lie between 0 and 2.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> X = np.random.default_rng(0).lognormal(0.0, 0.5, (500, 2))
    >>> function = bm.YeoJohnson.of(X)
    >>> family = bm.Transformed(bm.Gaussian("full"), function)
    >>> bm.Mixture(1, family=family).fit(X).score(X) > bm.GaussianMixture(1).fit(X).score(X)
    True
    """

    centre: tuple[float, ...]
    spread: tuple[float, ...]
    powers: tuple[float, ...]
    lower = -np.inf
    least = -float(np.finfo(np.float64).max)
    normal, plural = "a Yeo-Johnson-normal", "Yeo-Johnson transformed values"

    def __repr__(self) -> str:
        return f"YeoJohnson(powers={', '.join(f'{power:.2g}' for power in self.powers)})"

    @classmethod
    def of(cls, X: ArrayLike, responsibilities: ArrayLike | None = None) -> YeoJohnson:
        """Return the powers that maximise the likelihood of full-covariance normal components.

        Responsibilities (n, K) are held fixed, by default one component. Each column is centred at
        its median and scaled by its median absolute deviation.
        """
        values = np.asarray(X, dtype=np.float64)
        shares = np.ones((len(values), 1)) if responsibilities is None else responsibilities
        return powers_of(values, np.asarray(shares, dtype=np.float64))[0]

    @property
    def n_learned(self) -> int:  # type: ignore[override]
        return int((np.asarray(self.powers) != 1.0).sum())

    def at(self, columns: Integers) -> YeoJohnson:
        fields = (self.centre, self.spread, self.powers)
        return YeoJohnson(*(tuple(np.asarray(each)[columns].tolist()) for each in fields))

    def refitted(self, values: Array, responsibilities: Array) -> YeoJohnson:
        return powers_of(values, responsibilities, np.flatnonzero(np.asarray(self.powers) != 1.0))[
            0
        ]

    def _standard(self, values: Array) -> Array:
        return (values - np.asarray(self.centre)) / np.asarray(self.spread)

    def apply(self, values: Array) -> Array:
        return powered(self._standard(values), np.asarray(self.powers))

    def inverse(self, transformed: Array) -> Array:
        sign, size = np.sign(transformed), np.abs(transformed)
        powers = np.where(transformed < 0.0, 2.0 - np.asarray(self.powers), self.powers)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.where(powers < FLAT, size, np.log1p(powers * size) / powers)
        return self.centre + np.asarray(self.spread) * sign * np.expm1(
            np.minimum(logs, LARGEST_LOG)
        )

    def log_slopes(self, values: Array, transformed: Array) -> Array:
        return (np.asarray(self.powers) - 1.0) * bend(self._standard(values)) - np.log(self.spread)

    def frame(self, scale: Array) -> Frame:
        return Frame.identity(len(scale))

    @once
    def scale(self) -> Array:
        """Powers of two (D,) near the spreads, so that they do not affect rounding."""
        return power_of_two(np.asarray(self.spread))

    def working_frame(self, summary: Summary) -> Frame:
        return Frame(np.zeros(summary.n_features), self.scale)

    def over(self, scale: Array) -> YeoJohnson:
        centre, spread = (
            tuple((np.asarray(own) / scale).tolist()) for own in (self.centre, self.spread)
        )
        return replace(self, centre=centre, spread=spread)

    @once
    def framed(self) -> YeoJohnson:
        return self.over(self.scale)


@dataclass(frozen=True, repr=False)
class Logarithms(YeoJohnson):
    """Logarithms of some columns, started at a thousandth of their smallest value.

    As a Yeo-Johnson transform: power 0 for the logarithms log(1 + x / spread), and power 1, which
    changes nothing, for the other columns. All numbers have a density, also if they are 0 or less.
    """

    normal, plural = "a log-normal", "logarithms"
    n_learned = 0

    def __repr__(self) -> str:
        return f"Logarithms(columns={', '.join(map(str, np.flatnonzero(self.logged)))})"

    @property
    def adjective(self) -> str:
        """Log-normal if all columns are; which they are is told beside it."""
        return super().adjective if self.logged.all() else "normal"

    @property
    def logged(self) -> Booleans:
        """Which columns (D,) are logarithms."""
        return np.asarray(self.powers) == 0.0

    @classmethod
    def of_columns(cls, values: Array, logged: Booleans) -> Logarithms:
        """Return the logarithms of the columns ``logged`` (D,) of values (n, D), NaN if missing."""
        centre, spread = np.nanmedian(values, axis=0), np.nanstd(values, axis=0)
        spread = np.where(spread > 0.0, spread, 1.0)
        centre = np.where(logged, 0.0, centre)
        spread = np.where(logged, START * np.nanmin(values, axis=0), spread)
        powers = np.where(logged, 0.0, 1.0)
        return cls(*(tuple(each.tolist()) for each in (centre, spread, powers)))

    def at(self, columns: Integers) -> Logarithms:
        fields = (self.centre, self.spread, self.powers)
        return Logarithms(*(tuple(np.asarray(each)[columns].tolist()) for each in fields))

    def refitted(self, values: Array, responsibilities: Array) -> Logarithms:
        return self

    def apply(self, values: Array) -> Array:
        """Return g(x), where columns are logarithms without powers of the others."""
        out, logged = self._standard(values), np.flatnonzero(self.logged)
        out[..., logged] = powered(out[..., logged], 0.0)
        return out

    def log_slopes(self, values: Array, transformed: Array) -> Array:
        logged = np.flatnonzero(self.logged)
        out = np.where(np.isnan(values), np.nan, 0.0)
        out[..., logged] = -bend(values[..., logged] / np.asarray(self.spread)[logged])
        return out - np.log(self.spread)


def bend(standard: Array) -> Array:
    """Return the derivative of the log slope by the power."""
    return np.copysign(np.log1p(np.abs(standard)), standard)


def powered(standard: Array, powers: Array | float) -> Array:
    """Return Yeo-Johnson powers of centred and scaled values."""
    logs = np.log1p(np.abs(standard))
    powers = np.where(standard < 0.0, 2.0 - np.asarray(powers), powers)
    flat = powers < FLAT
    sizes = np.where(flat, logs, np.expm1(powers * logs) / np.where(flat, 1.0, powers))
    return np.copysign(sizes, standard)


def powers_of(
    values: Array, shares: Array, columns: Integers | None = None
) -> tuple[YeoJohnson, float]:
    """Return the powers of columns (n, D) given responsibilities (n, K), and the gain in nats.

    One power is changed at a time: the likelihood then depends on the residual variances of the
    column given the others, per component. Components too small for a covariance matrix are left
    out; all powers are 1 if these hold most observations. ``columns`` are those with a power, by
    default all.
    """
    n, D = values.shape
    large = shares.sum(axis=0) > 2 * (D + 2)
    most = shares[:, large].sum() > 0.5 * shares.sum()
    shares = shares[:, large]
    centre = np.median(values, axis=0)
    spread = np.median(np.abs(values - centre), axis=0) / MAD_OF_NORMAL
    spread = np.where(spread > 0.0, spread, values.std(axis=0))
    spread[spread == 0.0] = 1.0
    standard, powers, gain = (values - centre) / spread, np.ones(D), 0.0
    free = [
        d
        for d in (range(D) if columns is None else columns)
        if most and np.unique(values[:, d], return_counts=True)[1].max() <= MOST_TIED * n
    ]
    design = np.column_stack([np.ones(n), standard])
    grams = np.empty((shares.shape[1], 1 + D, 1 + D))
    for gram, share in zip(grams, shares.T, strict=True):
        gram[:] = design.T @ (share[:, None] * design)
    for _ in range(ROUNDS):
        for d in free:
            likelihood = Likelihood(standard[:, d], d, design, grams, shares)
            found = minimize_scalar(
                lambda power, of=likelihood: -of(power),
                bounds=(0.0, 2.0),
                method="bounded",
                options={"xatol": PRECISION},
            )
            power = max((0.0, float(found.x), 2.0), key=likelihood)
            gain += likelihood(power) - likelihood(powers[d])
            powers[d] = power
            design[:, 1 + d] = powered(standard[:, d], power)
            grams[:, 1 + d] = (shares * design[:, [1 + d]]).T @ design
            grams[:, :, 1 + d] = grams[:, 1 + d]
    fields = (centre, spread, powers)
    return YeoJohnson(*(tuple(each.tolist()) for each in fields)), float(gain)


def gain_of(function: Function, values: Array, shares: Array) -> float:
    """Return the gain in nats of full-covariance normals of g(x) over x, given responsibilities."""
    transformed = function.apply(values)
    jacobian = function.log_jacobian(values, transformed) @ shares.sum(axis=1)
    return float(jacobian) + _profile(transformed, shares) - _profile(values, shares)


def _profile(values: Array, shares: Array) -> float:
    """Return the largest log likelihood of normals, without terms that transforms share."""
    counts, profile = shares.sum(axis=0), 0.0
    for own, count in zip(shares.T, counts, strict=True):
        if count > 2 * (values.shape[1] + 2):
            covariance = np.atleast_2d(np.cov(values.T, aweights=own, ddof=0))
            profile -= 0.5 * count * np.linalg.slogdet(covariance)[1]
    return float(profile)


class Likelihood:
    """Profile log likelihood of the power of a column, other columns and weights being fixed.

    ``design`` (n, 1 + D) has ones and all columns, ``grams`` (K, 1 + D, 1 + D) their products by
    component, weighted with ``shares`` (n, K).
    """

    def __init__(
        self, standard: Array, column: int, design: Array, grams: Array, shares: Array
    ) -> None:
        self.standard, self.shares, self.counts = standard, shares, shares.sum(axis=0)
        self.bend = float(shares.sum(axis=1) @ bend(standard))
        others = np.delete(np.arange(design.shape[1]), 1 + column)
        self.design = design[:, others]
        ridge = LEAST_LEFT * len(design) * np.eye(len(others))
        self.inverses = np.linalg.inv(grams[:, others[:, None], others] + ridge)

    def __call__(self, power: float) -> float:
        values = powered(self.standard, power)
        products = (self.shares * values[:, None]).T @ self.design
        whole = self.shares.T @ (values * values)
        explained = np.einsum("ki,kij,kj->k", products, self.inverses, products)
        left = np.maximum(whole - explained, LEAST_LEFT * whole)
        spread = float(self.counts @ np.log(left / self.counts))
        return (power - 1.0) * self.bend - 0.5 * spread
