"""Integrals over the concentration κ of a von Mises distribution under its conjugate prior.

With a mean direction that is uniform and 1 / √κ with a half-t density of two degrees of freedom
(Gelman 2006), the density of κ is proportional to (1 + κ)^-3/2; it ends at a largest value. After
b observations with resultant length R the density of κ, the direction integrated out, is
proportional to (1 + κ)^-3/2 I0(κ R) / I0(κ)^b (Mardia & El-Atoum 1976).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import i0e, i1e

from bayesmix.numerics.arrays import Array, Booleans

# Nodes on each side of the mode, and the fall of the log density, in nats, where integrals end.
NODES, FALL = 48, 40.0
# Halvings that find the mode, and most doublings or halvings of the way to an end.
HALVINGS, DOUBLINGS = 26, 30
# Concentrations where the slope of A is 1/2, and where its terms cancel.
SMALL, LARGE = 1e-4, 1e4
# Points of the distribution function that draws are taken from.
CELLS = 4096


def log_i0(arguments: Array) -> Array:
    """Return log I0(κ) of κ >= 0."""
    return np.asarray(arguments + np.log(i0e(arguments)))


def mean_cosines(concentrations: Array) -> Array:
    """Return A(κ) = I1(κ) / I0(κ)."""
    return np.asarray(i1e(concentrations) / i0e(concentrations))


def _slopes(concentrations: Array) -> Array:
    """Return A'(κ) = 1 - A² - A / κ, 1/2 at 0."""
    mean = mean_cosines(concentrations)
    safe = np.where(concentrations > SMALL, concentrations, 1.0)
    # The terms cancel where κ is large: 1 - A is about 1 / (2 κ).
    exact = 1.0 - mean**2 - mean / safe
    far = 0.5 / np.square(safe)
    return np.where(concentrations > SMALL, np.where(safe > LARGE, far, exact), 0.5)


@lru_cache
def _legendre() -> tuple[Array, Array]:
    """Return nodes and weights between 0 and 1."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return 0.5 * (nodes + 1.0), 0.5 * weights


@dataclass(frozen=True)
class ConcentrationDensity:
    """Densities of κ given numbers b and resultant lengths R <= b, arrays of one shape."""

    amounts: Array
    lengths: Array
    most: float

    @property
    def _log_end(self) -> float:
        return float(np.log1p(self.most))

    def log_integrand(self, logs: Array) -> Array:
        """Return the log density of s = log (1 + κ), unnormalised; the prior has total 1."""
        kappa = np.expm1(logs)
        amounts, lengths = (
            own.reshape(own.shape + (1,) * (logs.ndim - own.ndim))
            for own in (self.amounts, self.lengths)
        )
        fit = kappa * (lengths - amounts) + np.log(i0e(kappa * lengths))
        fit -= amounts * np.log(i0e(kappa))
        # (1 + κ)^-3/2, the slope of κ in s, and the total of both.
        total = 2.0 * -np.expm1(-0.5 * self._log_end)
        return np.asarray(fit - 0.5 * logs - np.log(total))

    @cached_property
    def mode(self) -> Array:
        """The most likely s, by halving, where R A(κ R) - b A(κ) changes its sign."""
        low, high = np.zeros(self.lengths.shape), np.full(self.lengths.shape, self._log_end)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            kappa = np.expm1(middle)
            slope = self.lengths * mean_cosines(kappa * self.lengths)
            slope -= self.amounts * mean_cosines(kappa)
            rises = slope > 0.0
            low, high = np.where(rises, middle, low), np.where(rises, high, middle)
        return low

    @cached_property
    def ends(self) -> tuple[Array, Array]:
        """Ends in s beyond which the density is negligible.

        They begin where that of a normal density with the curvature at the mode would be.
        """
        mode, kappa = self.mode, np.expm1(self.mode)
        curvature = self.amounts * _slopes(kappa)
        curvature -= self.lengths**2 * _slopes(kappa * self.lengths)
        curvature *= (1.0 + kappa) ** 2
        # Below this the range of s is not longer.
        least = 2.0 * FALL / self._log_end**2
        width = np.sqrt(2.0 * FALL / np.maximum(curvature, least))
        limits = np.stack([mode, self._log_end - mode])
        signs = np.array([-1.0, 1.0]).reshape(2, *(1 for _ in mode.shape))
        widths = np.minimum(width, limits)
        bottom = self.log_integrand(mode) - FALL

        def inside(widths: Array) -> Booleans:
            at = np.moveaxis(mode + signs * widths, 0, -1)
            return np.asarray(np.moveaxis(self.log_integrand(at), -1, 0) > bottom)

        for _ in range(DOUBLINGS):
            short = inside(widths) & (widths < limits)
            if not short.any():
                break
            widths = np.where(short, np.minimum(2.0 * widths, limits), widths)
        for _ in range(DOUBLINGS):
            long = ~inside(0.5 * widths)
            if not long.any():
                break
            widths = np.where(long, 0.5 * widths, widths)
        return mode - widths[0], mode + widths[1]

    @cached_property
    def _quadrature(self) -> tuple[Array, Array, Array]:
        """Nodes κ, normalised weights (..., 2 M), and log integrals."""
        nodes, weights = _legendre()
        (low, high), mode = self.ends, self.mode
        pieces = [(low, mode - low), (mode, high - mode)]
        logs = np.concatenate([a[..., None] + w[..., None] * nodes for a, w in pieces], axis=-1)
        widths = np.concatenate([w[..., None] * weights for _, w in pieces], axis=-1)
        density = self.log_integrand(logs)
        peak = density.max(axis=-1, keepdims=True)
        shares = widths * np.exp(density - peak)
        total = shares.sum(axis=-1, keepdims=True)
        return np.expm1(logs), shares / total, (np.log(total) + peak)[..., 0]

    @property
    def log_normalisers(self) -> Array:
        """Log ∫ p(κ) I0(κ R) / I0(κ)^b dκ."""
        return self._quadrature[2]

    @property
    def expected_along(self) -> Array:
        """E[κ A(κ R)], the expectation of κ times the cosine with the resultant."""
        kappa, shares, _ = self._quadrature
        return np.asarray((shares * kappa * mean_cosines(kappa * self.lengths[..., None])).sum(-1))

    @property
    def expected_log_i0(self) -> Array:
        """E[log I0(κ)]."""
        kappa, shares, _ = self._quadrature
        return np.asarray((shares * log_i0(kappa)).sum(-1))

    @property
    def expected_length(self) -> Array:
        """E[A(κ) A(κ R)], the resultant length of the predictive density."""
        kappa, shares, _ = self._quadrature
        across = mean_cosines(kappa * self.lengths[..., None])
        return np.asarray((shares * mean_cosines(kappa) * across).sum(-1))

    def draws(self, n_draws: int, generator: np.random.Generator) -> Array:
        """Draw κ (S, ...) by the distribution function on a fine grid."""
        low, high = self.ends
        shape = (n_draws, *low.shape)
        out = np.empty(shape)
        middles = (np.arange(CELLS) + 0.5) / CELLS
        for place in np.ndindex(*low.shape):
            own = ConcentrationDensity(self.amounts[place], self.lengths[place], self.most)
            width = high[place] - low[place]
            density = own.log_integrand(low[place] + width * middles)
            sums = np.append(0.0, np.exp(density - density.max()).cumsum())
            chance = generator.random(n_draws) * sums[-1]
            at = np.interp(chance, sums, np.linspace(0.0, 1.0, CELLS + 1))
            out[(slice(None), *place)] = np.expm1(low[place] + width * at)
        return out
