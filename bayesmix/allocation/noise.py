"""Noise: a fixed density beside the components, in (1 - ε) Σ π_k p_k + ε p_0.

Sources: Banfield & Raftery 1993; Fraley & Raftery 2002.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
from scipy.special import betaln, digamma

from bayesmix.core.engines import Bayesian, Objective
from bayesmix.core.mixture import Expectation, Mixture
from bayesmix.core.priors import Prior, WeightsPrior
from bayesmix.core.protocols import NoiseDensity
from bayesmix.core.restrictions import Restriction
from bayesmix.core.rows import NO_ROWS, Frame
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Stored

# Relative tolerance of the box, for rounding in rotations.
ROUNDING = 1e-9
# Eigenvalues of a correlation matrix below this are rounding.
FLAT = 1e-13


@dataclass(frozen=True)
class UniformNoise:
    """Density 1 / V in a box around the data, along columns or principal axes.

    ``discrete`` columns contribute the number of integers from their lowest to their highest value.
    """

    origin: Array  # (D,)
    lower: Array  # (D,) from the origin, along the axes
    upper: Array
    axes: Array | None = None  # (D, D), orthonormal
    discrete: Booleans | None = None  # (D,)

    @property
    def n_learned(self) -> int:
        return 2 * len(self.lower)

    @property
    def log_volume(self) -> float:
        """Log V, minus infinity if the data have no extent along an axis."""
        with np.errstate(divide="ignore"):
            return float(np.log(self.upper - self.lower).sum())

    def inside(self, values: Array) -> Booleans:
        """Whether observations (n,) are in the box."""
        away = values - self.origin
        along = away if self.axes is None else away @ self.axes
        room = ROUNDING * (self.upper - self.lower)
        within = (along >= self.lower - room) & (along <= self.upper + room)
        return np.asarray(within.all(axis=1))

    def log_density(self, values: Array) -> Array:
        return np.where(self.inside(values), -self.log_volume, -np.inf)

    def draw(self, n: int, generator: np.random.Generator) -> Array:
        along = generator.uniform(self.lower, self.upper, (n, len(self.lower)))
        values = self.origin + (along if self.axes is None else along @ self.axes.T)
        return values if self.discrete is None else np.where(self.discrete, np.rint(values), values)


@dataclass(frozen=True)
class OwnNoise:
    """A density given by the user as a function, with draws if available."""

    log_densities: Callable[[Array], Array]
    draws: Callable[[int, np.random.Generator], Array] | None = None
    n_learned = 0

    def log_density(self, values: Array) -> Array:
        return np.asarray(self.log_densities(values), dtype=np.float64)

    def draw(self, n: int, generator: np.random.Generator) -> Array:
        if self.draws is None:
            raise UnsupportedError(
                "sample cannot draw from noise given as a function: use a fitted estimator, or "
                "noise='uniform'"
            )
        return self.draws(n, generator)


@dataclass(frozen=True)
class Noise:
    """Noise of a mixture: its density, E[log ε], E[log (1 - ε)] and E[ε]."""

    density: NoiseDensity
    log_weight: float
    log_rest: float
    weight: float

    @classmethod
    def at(cls, density: NoiseDensity, weight: float) -> Noise:
        """Return noise of fixed weight."""
        with np.errstate(divide="ignore"):
            logs = float(np.log(weight)), float(np.log1p(-weight))
        return cls(density, *logs, weight)

    @property
    def averaged(self) -> Noise:
        return self.at(self.density, self.weight)

    def joined(
        self, joint: Array, log_normaliser: Array, values: Array, log_volume: Array | float
    ) -> tuple[Array, Array]:
        """Return the log normaliser with noise, and the responsibility (n,) of the noise.

        ``joint`` (n, K), the responsibilities of the components, is scaled in place.
        """
        log_noise = self.log_weight + self.log_density(values, log_volume)
        total = np.logaddexp(log_normaliser, log_noise)
        # If both densities are zero, the observation stays with the components.
        somewhere = ~np.isneginf(total)
        share = np.zeros(len(total))
        np.subtract(log_noise, total, out=share, where=somewhere)
        share = np.where(somewhere, np.exp(np.minimum(share, 0.0)), 0.0)
        joint *= (1.0 - share)[:, None]
        return total, share

    def log_density(self, values: Array, log_volume: Array | float) -> Array:
        return self.density.log_density(values) + log_volume


def hypervolume(values: Stored, discrete: Booleans | None = None) -> UniformNoise:
    """Return the smaller of two boxes, along columns or principal axes (mclust's ``hypvol``).

    The volume is zero if columns are linearly dependent. With discrete columns the box is along
    columns.
    """
    rows = np.asarray(values, dtype=np.float64)
    origin = rows.min(axis=0)
    away = rows - origin
    if discrete is not None and discrete.any():
        half: Array = 0.5 * discrete.astype(np.float64)
        return UniformNoise(origin, -half, away.max(axis=0) + half, discrete=discrete)
    along_columns = UniformNoise(origin, np.zeros_like(origin), away.max(axis=0))
    if rows.shape[1] == 1:
        return along_columns
    covariance = np.cov(away.T)
    unit = np.sqrt(np.diagonal(covariance))
    if not unit.all() or np.linalg.eigvalsh(covariance / np.outer(unit, unit))[0] <= FLAT:
        return UniformNoise(origin, np.zeros_like(origin), np.zeros_like(origin))
    _, axes = np.linalg.eigh(covariance)
    along = away @ axes
    along_axes = UniformNoise(origin, along.min(axis=0), along.max(axis=0), axes)
    return min(along_columns, along_axes, key=lambda box: box.log_volume)


def given_noise(value: Any) -> OwnNoise:
    """Return the noise density that a user gives: a fitted estimator, or log densities."""
    if hasattr(value, "score_samples"):
        draws = partial(_draws, value) if hasattr(value, "sample") else None
        return OwnNoise(value.score_samples, draws)
    if callable(value) and not isinstance(value, type):
        return OwnNoise(value)
    raise InvalidInputError(
        "noise must be None, a boolean, 'uniform', a fitted estimator with score_samples, or a "
        f"function that returns log densities, got {value!r:.60}"
    )


def _draws(estimator: Any, n: int, generator: Any) -> Any:
    drawn = estimator.sample(n) if n else []
    return drawn[0] if isinstance(drawn, tuple) else drawn  # scikit-learn returns labels too


@dataclass(frozen=True)
class WithNoise:
    """An objective of mixtures with noise of weight ε ~ Beta(1, 1).

    Point objectives use the mode of ε, bounds q(ε) = Beta(1 + N_0, 1 + N - N_0), N_0 being the
    expected number of noise observations.
    """

    inner: Objective
    density: NoiseDensity
    total_weight: float  # Σ w of all observations

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def variational(self) -> bool:
        return self.inner.variational

    @property
    def weights_prior(self) -> WeightsPrior:
        return self.inner.weights_prior

    @property
    def restriction(self) -> Restriction | None:
        return self.inner.restriction

    @property
    def parameters_prior(self) -> Prior:
        return cast("Bayesian", self.inner).parameters_prior

    @property
    def prior(self) -> Any:
        return getattr(self.inner, "prior", None)

    @property
    def weights(self) -> Any:
        return getattr(self.inner, "weights", None)

    def update(
        self,
        expectation: Expectation,
        previous: Mixture | None,
        frame: Frame,
        resolution: Array | None,
    ) -> Mixture:
        """Update the components, unless all observations are noise, and the weight of the noise."""
        clean_share = float(expectation.counts.sum()) / self.total_weight
        share = 1.0 - clean_share
        if previous is not None and clean_share < NO_ROWS:
            return replace(previous, noise=self.noise(1.0))
        mixture = self.inner.update(expectation, previous, frame, resolution)
        return replace(mixture, noise=self.noise(min(max(share, 0.0), 1.0)))

    def noise(self, share: float) -> Noise:
        """Return the noise for a given fraction of the observations."""
        if not self.variational:
            return Noise.at(self.density, share)
        noisy = 1.0 + share * self.total_weight
        clean = 1.0 + (1.0 - share) * self.total_weight
        total = digamma(noisy + clean)
        log_weight, log_rest = digamma(noisy) - total, digamma(clean) - total
        return Noise(self.density, float(log_weight), float(log_rest), noisy / (noisy + clean))

    def regulariser(self, mixture: Mixture) -> float:
        """Return the regulariser of the components, minus KL(q(ε) || p(ε)) for a bound."""
        value = self.inner.regulariser(mixture)
        if not self.variational or mixture.noise is None:
            return value
        noise = mixture.noise
        total = self.total_weight + 2.0
        noisy, clean = noise.weight * total, (1.0 - noise.weight) * total
        kl = (noisy - 1.0) * noise.log_weight + (clean - 1.0) * noise.log_rest
        return value - float(kl - betaln(noisy, clean))
