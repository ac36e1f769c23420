"""Logarithms and ratios of modified Bessel functions I_ν, for any order and argument.

The recurrence I_ν-1 - I_ν+1 = (2 ν / κ) I_ν runs downwards, which damps errors, from an order
where Olver's expansion is exact in double precision (DLMF 10.41.3 and 10.41.5).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial
from scipy.special import ive

from bayesmix.numerics.arrays import Array

# Arguments for which SciPy's functions of lower order neither vanish nor lose digits.
MODERATE = (1e-6, 1e6)
# From this order on, the first term that is left out is below 1e-15.
HIGH, TERMS = 30, 12
# Steps of the recurrence from Amos' bound where 2 κ is below the order: each divides errors by 15.
STEPS = 12


@lru_cache
def _polynomials() -> tuple[list[Polynomial], list[Polynomial]]:
    """Return u_k and v_k of Olver's expansions (DLMF 10.41.10 and 10.41.11)."""
    p, one = Polynomial([0.0, 1.0]), Polynomial([1.0])
    us, vs = [one], [one]
    for _ in range(TERMS):
        u = us[-1]
        us.append(0.5 * p**2 * (1 - p**2) * u.deriv() + ((1 - 5 * p**2) * u).integ() / 8.0)
        vs.append(us[-1] + p * (p**2 - 1) * (0.5 * u + p * u.deriv()))
    return us, vs


@lru_cache
def _expansions(order: float) -> Array:
    """Return the coefficients (2, 3 TERMS + 1) of Σ u_k(p) / ν^k and Σ v_k(p) / ν^k."""
    coefficients = np.zeros((2, 3 * TERMS + 1))
    for sums, polynomials in zip(coefficients, _polynomials(), strict=True):
        for k, each in enumerate(polynomials):
            own = np.asarray(each.coef, dtype=np.float64)
            sums[: len(own)] += own / order**k
    return coefficients


def _olver(order: float, arguments: Array) -> tuple[Array, Array]:
    """Return log (e^-κ (κ / 2)^-ν I_ν(κ)) and I'_ν / I_ν times κ, for a high order ν."""
    length = np.hypot(order, arguments)
    powers = (order / length)[..., None] ** np.arange(3 * TERMS + 1)
    of_value, of_slope = np.moveaxis(powers @ _expansions(order).T, -1, 0)
    # √(ν² + κ²) - κ, and ν log (2 / (ν + √(ν² + κ²))) of the exponent.
    exponent = order**2 / (length + arguments) + order * np.log(2.0 / (order + length))
    log_value = exponent - 0.5 * np.log(2.0 * np.pi * length) + np.log(of_value)
    return log_value, length * of_slope / of_value


def log_bessel_and_ratio(order: float, arguments: Array) -> tuple[Array, Array]:
    """Return log (e^-κ (κ / 2)^-ν I_ν(κ)) and I_ν+1(κ) / I_ν(κ) for arguments κ >= 0.

    The first is finite at 0, where it is -log Γ(ν + 1).
    """
    if order < HIGH and MODERATE[0] < arguments.min() and arguments.max() < MODERATE[1]:
        value = np.asarray(ive(order, arguments), dtype=np.float64)
        following = np.asarray(ive(order + 1.0, arguments), dtype=np.float64)
        return np.log(value) - order * np.log(0.5 * arguments), following / value
    extra = max(0, int(np.ceil(HIGH - order)))
    high = order + extra
    log_value, slope = _olver(high, arguments)
    # R = I_ν+1 / I_ν = I'_ν / I_ν - ν / κ; its terms cancel where κ is small.
    quarter = 0.25 * arguments**2
    length = np.hypot(high + STEPS + 1.5, arguments)
    reduced = 2.0 / (high + STEPS + 0.5 + length)  # 2 R / κ (Amos 1974)
    for step in range(STEPS, 0, -1):
        reduced = 1.0 / (high + step + quarter * reduced)
    with np.errstate(divide="ignore", invalid="ignore"):
        direct = 2.0 * (slope - high) / arguments**2
    reduced = np.where(arguments > 0.5 * high, direct, reduced)
    for step in range(extra, 0, -1):
        reduced = 1.0 / (order + step + quarter * reduced)
        log_value = log_value - np.log(reduced)
    return log_value, 0.5 * arguments * reduced
