"""Residuals of units whose variance depends on time, or which are autocorrelated.

Residuals are σ² R_i. Rows of a unit multiplied by a root of R_i⁻¹ have independent residuals of
variance σ² (Pinheiro & Bates 2000, section 5.1), so that everything else is as without structure.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import helmert

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Booleans, Integers

# Distances between visits that differ by less than this share of a step are equal.
SAME_TIME = 1e-6


class Correlation(ABC):
    """Autocorrelation of first order, by its unknown u and distances in time."""

    @abstractmethod
    def correlations(self, u: float, distances: Array) -> tuple[Array, Array]:
        """Return correlations of neighbouring residuals, and their derivatives in u."""

    @abstractmethod
    def reported(self, u: float) -> tuple[float, float]:
        """Return ρ and its derivative in u."""

    @abstractmethod
    def check(self, distances: Array) -> None:
        """Raise ``InvalidInputError`` for distances without a correlation."""


@dataclass(frozen=True)
class OfSteps(Correlation):
    """ρ^m at a distance of m steps, -1 < ρ < 1 (corAR1 of nlme), with ρ = tanh u."""

    step: float

    def steps(self, distances: Array) -> Array:
        return np.rint(distances / self.step)

    def correlations(self, u: float, distances: Array) -> tuple[Array, Array]:
        m, rho = self.steps(distances), np.tanh(u)
        return rho**m, m * rho ** (m - 1.0) * (1.0 - rho**2)

    def reported(self, u: float) -> tuple[float, float]:
        return float(np.tanh(u)), float(1.0 - np.tanh(u) ** 2)

    def check(self, distances: Array) -> None:
        away = np.abs(distances / self.step - self.steps(distances))
        if (away > SAME_TIME * np.maximum(1.0, distances / self.step)).any():
            place = int(np.argmax(away))
            raise InvalidInputError(
                f"residual_correlation='ar1' needs visits at whole numbers of steps, but two are "
                f"{distances[place]:g} apart and others {self.step:g}: use 'car1', the correlation "
                "in continuous time"
            )


@dataclass(frozen=True)
class OfTime(Correlation):
    """ρ^Δ at a distance Δ in time, 0 < ρ < 1 (corCAR1 of nlme), with -log ρ = e^u."""

    def correlations(self, u: float, distances: Array) -> tuple[Array, Array]:
        phi = np.exp(-distances * np.exp(u))
        return phi, -distances * np.exp(u) * phi

    def reported(self, u: float) -> tuple[float, float]:
        rho = float(np.exp(-np.exp(u)))
        return rho, -float(np.exp(u)) * rho

    def check(self, distances: Array) -> None:
        """All distances above 0 have a correlation."""


# ``residual_correlation`` of estimators.
CORRELATIONS = ("ar1", "car1")


@dataclass(frozen=True)
class ResidualStructure:
    """Variances at ``times`` (T,), whose logarithms have sum 0, and an autocorrelation.

    ``place`` is the column of time in X. ``unknowns`` are T - 1 contrasts of log variances, by
    class where ``n_classes`` have their own, and then that of the correlation.
    """

    place: int
    times: Array | None
    correlation: OfSteps | OfTime | None
    unknowns: Array
    n_classes: int = 1

    @classmethod
    def of(
        cls,
        place: int,
        name: str,
        time: Array,
        units: Integers,
        by_time: bool,
        correlation: Any,
        n_classes: int = 1,
    ) -> ResidualStructure:
        """Return equal variances and residuals that are almost not correlated, for visits (n,)."""
        times: Array | None = None
        form: OfSteps | OfTime | None = None
        start = 0.0
        if by_time:
            times = np.unique(time)
            if (most := np.bincount(units).max()) < 2 or len(times) > len(time) / 2:
                raise InvalidInputError(
                    f"residual variances by time need times that units share, but column {name!r} "
                    f"has {len(times)} different values in {len(time)} rows"
                    f"{'' if most > 1 else ', one for each unit'}: round it to waves, or use "
                    "'shared'"
                )
        if correlation is not None:
            order = np.lexsort((time, units))
            distances = np.diff(time[order])[np.diff(units[order]) == 0]
            if not (distances > 0.0).any():
                raise InvalidInputError(
                    "residual_correlation needs units with several rows at different times: leave "
                    "it out"
                )
            smallest = float(distances[distances > 0.0].min())
            form, start = OfSteps(smallest), 0.05
            if correlation == "car1":
                form, start = OfTime(), -float(np.log(np.median(distances)))
        n = 0 if times is None else n_classes * (len(times) - 1)
        own = np.append(np.zeros(n), [start] * (form is not None))
        return cls(place, times, form, own, n_classes)

    @property
    def contrasts(self) -> Array:
        """Log variances by contrasts (T, T - 1)."""
        assert self.times is not None
        return np.asarray(helmert(len(self.times)).T)

    @property
    def n_contrasts(self) -> int:
        """Number of contrasts of a class."""
        return 0 if self.times is None else len(self.times) - 1

    @property
    def of_classes(self) -> list[ResidualStructure]:
        """Structures of the classes; a single one if all have the same."""
        return [self._with(own) for own in self._by_class]

    @property
    def equal(self) -> ResidualStructure:
        """The structure with the mean contrasts in all classes."""
        mean = np.tile(self._by_class.mean(axis=0), (self.n_classes, 1))
        return self.at(np.append(mean, self._beyond))

    def reordered(self, order: Integers) -> ResidualStructure:
        """Return the structure of classes in another order."""
        own = self._by_class if self.n_classes == 1 else self._by_class[order]
        return self.at(np.append(own, self._beyond))

    @property
    def _by_class(self) -> Array:
        own = self.unknowns[: self.n_classes * self.n_contrasts]
        return own.reshape(self.n_classes, self.n_contrasts)

    @property
    def _beyond(self) -> Array:
        """Unknown of the correlation, if there is one."""
        return self.unknowns[self.n_classes * self.n_contrasts :]

    def _with(self, contrasts: Array) -> ResidualStructure:
        """Return the structure of one class."""
        return replace(self, unknowns=np.append(contrasts, self._beyond), n_classes=1)

    @property
    def log_variances(self) -> Array:
        """Log variances (T,) relative to σ², of one class."""
        return np.asarray(self.contrasts @ self.unknowns[: self.n_contrasts])

    def at(self, unknowns: Array) -> ResidualStructure:
        return replace(self, unknowns=unknowns)

    def numbers(self, time: Array) -> Integers:
        """Return the number of each time; raise ``InvalidInputError`` for one without variance."""
        assert self.times is not None
        places = np.clip(np.searchsorted(self.times, time), 1, len(self.times) - 1)
        places -= time - self.times[places - 1] < self.times[places] - time
        wrong = np.abs(self.times[places] - time) > SAME_TIME * np.ptp(self.times)
        if wrong.any():
            known = ", ".join(f"{t:g}" for t in self.times)
            raise InvalidInputError(
                f"residual variances by time are those at {known}, got time "
                f"{time[np.argmax(wrong)]:g}: use 'shared' to predict at other times"
            )
        return np.asarray(places)

    def relative(self, time: Array) -> Array:
        """Return variances (n,) of times relative to σ²."""
        if self.times is None:
            return np.ones(len(time))
        return np.asarray(np.exp(self.log_variances)[self.numbers(time)])

    def in_order(self, time: Array, units: Integers) -> Visits:
        """Return the rows ordered by unit and time, with their variances and correlations."""
        order = np.lexsort((time, units))
        follows = np.diff(units[order], prepend=-1) == 0
        distances = np.diff(time[order], prepend=0.0)[follows]
        phi, slope = np.zeros((2, len(time)))
        if self.correlation is not None:
            if (distances <= 0.0).any():
                again = time[order][follows][np.argmax(distances <= 0.0)]
                raise InvalidInputError(
                    f"residual_correlation needs different times within a unit, but a unit has two "
                    f"rows at time {again:g}: leave one out"
                )
            self.correlation.check(distances)
            own = self.correlation.correlations(self.unknowns[-1], distances)
            phi[follows], slope[follows] = own
        return Visits(order, follows, self.relative(time)[order], phi, slope)

    def score(self, visits: Visits, time: Array, weights: Array, own: Array, pairs: Array) -> Array:
        """Return the gradient of Σ w log N(residuals) in the unknowns.

        ``own`` and ``pairs`` (n,) are weighted E[ε_j²] and E[ε_j ε_j-1] over σ², in order.
        """
        roots, phi = np.sqrt(visits.variances), visits.correlations
        before = np.roll(roots, 1)
        a, b = own / visits.variances, pairs / (roots * before) * visits.follows
        c = np.roll(a, 1) * visits.follows
        v = 1.0 - phi**2
        squares = a - 2.0 * phi * b + phi**2 * c
        gradient = np.zeros(len(self.unknowns))
        if self.times is not None:
            of_rows = -0.5 * (weights - (a - phi * b) / v)
            of_rows += np.roll(0.5 * (phi**2 * c - phi * b) / v, -1)
            numbers = self.numbers(time)[visits.order]
            sums = np.bincount(numbers, of_rows, len(self.times))
            gradient[: self.n_contrasts] = self.contrasts.T @ sums
        if self.correlation is not None:
            of_phi = (phi * weights + b - phi * c) / v - phi * squares / v**2
            gradient[-1] = of_phi @ visits.slopes
        return gradient


@dataclass(frozen=True)
class Visits:
    """Rows in order of unit and time: whether they follow another, variances, correlations."""

    order: Integers
    follows: Booleans
    variances: Array
    correlations: Array
    slopes: Array  # of the correlations in the unknown

    @property
    def log_determinants(self) -> Array:
        """Log variances (n,) given the residual before, in the order of the rows given."""
        return self._back(np.log(self.variances * (1.0 - self.correlations**2)))

    def whitened(self, rows: Array) -> Array:
        """Return rows (n, C) whose residuals are independent with variance σ²."""
        scaled = rows[self.order] / np.sqrt(self.variances)[:, None]
        phi = self.correlations[:, None]
        return self._back((scaled - phi * np.roll(scaled, 1, axis=0)) / np.sqrt(1.0 - phi**2))

    def coloured(self, noise: Array) -> Array:
        """Return residuals (n,) from independent ones, the inverse of ``whitened``."""
        out, phi = noise[self.order], self.correlations
        place = np.arange(len(out)) - np.maximum.accumulate(
            np.where(self.follows, 0, np.arange(len(out)))
        )
        for number in range(1, int(place.max(initial=0)) + 1):
            rows = np.flatnonzero(place == number)
            out[rows] = phi[rows] * out[rows - 1] + np.sqrt(1.0 - phi[rows] ** 2) * out[rows]
        return self._back(out * np.sqrt(self.variances))

    def _back(self, values: Array) -> Array:
        out = np.empty_like(values)
        out[self.order] = values
        return out
