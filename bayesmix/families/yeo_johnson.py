"""Yeo-Johnson powers of columns, which make groups of observations more nearly normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from bayesmix.core.rows import Frame
from bayesmix.families.monotone import LARGEST_LOG, Function
from bayesmix.numerics.arrays import Array, Integers

# Median absolute deviation of a normal distribution in standard deviations.
MAD_OF_NORMAL = 0.6745
# Columns are visited twice: powers of columns that depend on each other settle in the first round.
ROUNDS, PRECISION = 2, 0.02
# A column keeps power 1 if one value has more than this share: a spike has no best power.
MOST_TIED = 0.1
# Below this a power is a logarithm.
FLAT = 1e-10
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

    def at(self, columns: Integers) -> YeoJohnson:
        fields = (self.centre, self.spread, self.powers)
        return YeoJohnson(*(tuple(np.asarray(each)[columns].tolist()) for each in fields))

    def refitted(self, values: Array, responsibilities: Array) -> YeoJohnson:
        return powers_of(values, responsibilities)[0]

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


def powers_of(values: Array, shares: Array) -> tuple[YeoJohnson, float]:
    """Return the powers of columns (n, D) given responsibilities (n, K), and the gain in nats.

    One power is changed at a time: the likelihood then depends on the residual variances of the
    column given the others, per component. Components too small for a covariance matrix are left
    out; all powers are 1 if these hold most observations.
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
    current = standard.copy()
    free = [
        d
        for d in range(D)
        if most and np.unique(values[:, d], return_counts=True)[1].max() <= MOST_TIED * n
    ]
    for _ in range(ROUNDS):
        for d in free:
            likelihood = Likelihood(standard[:, d], np.delete(current, d, axis=1), shares)
            found = minimize_scalar(
                lambda power, of=likelihood: -of(power),
                bounds=(0.0, 2.0),
                method="bounded",
                options={"xatol": PRECISION},
            )
            power = max((0.0, float(found.x), 2.0), key=likelihood)
            gain += likelihood(power) - likelihood(powers[d])
            powers[d] = power
            current[:, d] = powered(standard[:, d], power)
    fields = (centre, spread, powers)
    return YeoJohnson(*(tuple(each.tolist()) for each in fields)), float(gain)


class Likelihood:
    """Profile log likelihood of the power of one column, other columns and weights being fixed."""

    def __init__(self, standard: Array, others: Array, shares: Array) -> None:
        self.standard, self.shares, self.counts = standard, shares, shares.sum(axis=0)
        self.bend = float(shares.sum(axis=1) @ bend(standard))
        self.design = np.column_stack([np.ones(len(others)), others])
        ridge = LEAST_LEFT * np.eye(self.design.shape[1])
        grams = [self.design.T @ (share[:, None] * self.design) for share in shares.T]
        self.inverses = np.linalg.inv(np.stack(grams) + ridge * len(others))

    def __call__(self, power: float) -> float:
        values = powered(self.standard, power)
        products = (self.shares * values[:, None]).T @ self.design
        whole = self.shares.T @ (values * values)
        explained = np.einsum("ki,kij,kj->k", products, self.inverses, products)
        left = np.maximum(whole - explained, LEAST_LEFT * whole)
        spread = float(self.counts @ np.log(left / self.counts))
        return (power - 1.0) * self.bend - 0.5 * spread
