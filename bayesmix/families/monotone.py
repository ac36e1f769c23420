"""Monotone transforms of columns: logarithms, square roots, logits and Box-Cox powers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss, hermevander
from scipy.special import expit, factorial, logit

from bayesmix.core.rows import Frame, Summary
from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.columns import SMALLEST
from bayesmix.numerics.arrays import Array, Integers

# Interquartile range of a normal distribution in standard deviations.
IQR_OF_NORMAL = 1.349
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
        """Return the affine map from g(x / scale) to g(x)."""

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
