"""Categorical columns as indicators of levels: statistics, coordinates and PyMC version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import block_diag, helmert
from scipy.special import digamma, logsumexp, polygamma

from bayesmix.core.components import DrawnComponents
from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import Frame, Spread
from bayesmix.families.independent.factors import Read, Write, data
from bayesmix.families.independent.linear import Reading
from bayesmix.numerics import arrays as features
from bayesmix.numerics.arrays import Array, Integers


@dataclass(frozen=True)
class OneColumn:
    """A Dirichlet factor of L levels, in standardised coordinates."""

    contrasts: Array  # C (L - 1, L)
    expected: Array  # E[y]
    root: Array  # M
    slopes: Array  # B (L, L - 1)
    left: float  # Var(w)
    across: Array  # Cov(p, z) (L, L - 1)
    across_left: Array  # Cov(p, w) (L,)
    own: Array  # Cov(p) (L, L)

    @classmethod
    def of(cls, alpha: Array) -> OneColumn:
        """Return the factor with concentrations (L,)."""
        total, of_log = alpha.sum(), polygamma(1, alpha)
        contrasts: Any = helmert(len(alpha)) if len(alpha) > 1 else np.zeros((0, 1))
        root: Any = np.linalg.cholesky((contrasts * of_log) @ contrasts.T)
        slopes: Any = np.linalg.solve(root, contrasts * of_log).T
        mean = alpha / total
        with_logs = np.diag(mean / alpha) - mean[:, None] / total  # Cov(p_i, log p_j)
        across = np.linalg.solve(root, contrasts @ with_logs.T).T
        residual = of_log[0] - polygamma(1, total) - slopes[0] @ slopes[0]
        return cls(
            contrasts,
            contrasts @ digamma(alpha),
            root,
            slopes,
            float(max(residual, 0.0)),
            across,
            with_logs[:, 0] - across @ slopes[0],
            (np.diag(mean) - np.outer(mean, mean)) / (total + 1.0),
        )


@dataclass(frozen=True)
class LevelCoordinates:
    """Coordinates of Dirichlet factors: z of all columns, then the sum of residuals w."""

    concentration: Array  # (K, F)
    reading: Levels
    read: Read
    write: Write

    @cached_property
    def columns(self) -> list[list[OneColumn]]:
        pairs = self.reading.pairs
        return [
            [OneColumn.of(row[start:end]) for start, end in pairs] for row in self.concentration
        ]

    @property
    def _each(self) -> int:
        """Number of coordinates per component."""
        return int((self.reading.sizes - 1.0).sum()) + 1

    @property
    def size(self) -> int:
        return len(self.concentration) * self._each

    def places(self, k: int) -> Integers:
        return np.arange(k * self._each, (k + 1) * self._each)

    def _left(self, k: int) -> float:
        return float(np.sqrt(sum(column.left for column in self.columns[k])))

    def slopes(self, values: Array, k: int) -> Array:
        slopes = block_diag(*(column.slopes for column in self.columns[k]))
        moved = self.reading.totals(values).T @ slopes
        return np.hstack([moved, np.full((len(values), 1), self._left(k))])

    def coupling(self) -> float:
        return 0.0

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        shape = self.concentration.shape
        across = np.zeros((*shape, self.size))
        for k, columns in enumerate(self.columns):
            places = self.places(k)
            across[k][:, places[:-1]] = block_diag(*(column.across for column in columns))
            left = np.concatenate([column.across_left for column in columns])
            across[k][:, places[-1]] = left / (self._left(k) or 1.0)
        own = block_diag(*(column.own for columns in self.columns for column in columns))
        spread = Spread(shape, across.reshape(-1, self.size), own)
        codes = block_diag(*(np.arange(number) for number in self.reading.numbers))
        every = block_diag(*[codes] * shape[0])
        of_means = (shape[0], len(codes))
        means = Spread(of_means, every @ spread.across, every @ own @ every.T)
        return {"probabilities": spread, "means": means}

    @property
    def moved(self) -> Integers:
        return np.concatenate([self.places(k)[:-1] for k in range(len(self.concentration))])

    def standardised(self, draws: Any) -> Array:
        logs, parts = self.read(draws), []
        for k, columns in enumerate(self.columns):
            for column, (start, end) in zip(columns, self.reading.pairs, strict=True):
                away = logs[:, k, start:end] @ column.contrasts.T - column.expected
                parts.append(np.linalg.solve(column.root, away.T).T)
        return np.hstack(parts)

    def drawn(self, standardised: Array) -> Any:
        logs, first = np.empty((len(standardised), *self.concentration.shape)), 0
        for k, columns in enumerate(self.columns):
            for column, (start, end) in zip(columns, self.reading.pairs, strict=True):
                z = standardised[:, first : first + len(column.root)]
                first += len(column.root)
                logs[:, k, start:end] = (column.expected + z @ column.root.T) @ column.contrasts
        return self.write(self.reading.normalised(logs))


@dataclass(frozen=True)
class Levels(Reading):
    """Sufficient statistics of codes 0 to L - 1: indicators of levels.

    Arrays over levels (..., F) are ordered by column.
    """

    numbers: tuple[int, ...]  # L of each column

    kind = features.LEVELS

    @cached_property
    def sizes(self) -> Array:
        """Number of levels L (D,)."""
        return np.array(self.numbers, dtype=np.float64)

    @cached_property
    def ends(self) -> Integers:
        """End of the levels of each column (D,)."""
        return np.cumsum(self.numbers)

    @cached_property
    def starts(self) -> Integers:
        """Start of the levels of each column (D,)."""
        return self.ends - np.array(self.numbers)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Start and end of the levels of each column."""
        return list(zip(self.starts.tolist(), self.ends.tolist(), strict=True))

    @cached_property
    def codes(self) -> Array:
        """Code of each level (F,)."""
        return np.concatenate([np.arange(number, dtype=np.float64) for number in self.numbers])

    def places(self, columns: Integers) -> Integers:
        """Return the positions of the levels of some columns."""
        return np.concatenate([np.arange(self.starts[d], self.ends[d]) for d in columns])

    def subset(self, columns: Integers) -> Levels:
        return Levels(tuple(self.numbers[d] for d in columns))

    def sums(self, values: Array) -> Array:
        """Return sums over the levels of each column (..., D)."""
        return np.add.reduceat(values, self.starts, axis=-1)

    def spread(self, values: Array) -> Array:
        """Repeat values of columns (..., D) for each level (..., F)."""
        return np.repeat(values, self.numbers, axis=-1)

    def normalised(self, logs: Array) -> Array:
        """Normalise logarithms (..., F) over the levels of each column."""
        totals = [logsumexp(logs[..., start:end], axis=-1) for start, end in self.pairs]
        return logs - self.spread(np.stack(totals, axis=-1))

    def totals(self, values: Array) -> Array:
        """Return indicators of levels (F, n)."""
        out = np.zeros((int(self.ends[-1]), len(values)))
        places = values.T.astype(np.intp) + self.starts[:, None]
        out[places, np.arange(len(values))] = 1.0
        return out

    def gathered(self, by_level: Array, values: Array) -> Array:
        """Return sums (n, K) over columns of ``by_level`` (K, F) at the observed levels."""
        out = np.zeros((len(values), len(by_level)))
        for start, column in zip(self.starts, values.T, strict=True):
            out += by_level.T[column.astype(np.intp) + start]
        return out


@dataclass(frozen=True)
class LevelsTwin:
    """K densities in PyMC, with a Dirichlet variable per column."""

    drawn: dict[str, Tensor]  # log p (K, F)
    reading: Levels
    record: Callable[[Array], DrawnComponents]

    @classmethod
    def declared(
        cls,
        pm: Pymc,
        concentration: Array,
        reading: Levels,
        record: Callable[[Array], DrawnComponents],
    ) -> LevelsTwin:
        """Declare variables with concentrations (K, F)."""
        from pytensor import tensor as pt

        pm.modelcontext(None).add_coord("level", np.arange(len(reading.codes)))
        parts = [
            pm.Dirichlet(f"probabilities_{d}", a=concentration[:, start:end])
            for d, (start, end) in enumerate(reading.pairs)
        ]
        return cls({"log_probabilities": pt.log(pt.concatenate(parts, axis=1))}, reading, record)

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        return data(pm, self.reading.totals(values)) @ self.drawn["log_probabilities"].T

    def named(self, frame: Frame) -> NamedTensors:
        from pytensor import tensor as pt

        shares = pt.exp(self.drawn["log_probabilities"])
        pairs = zip(self.reading.pairs, self.reading.numbers, strict=True)
        means = [(shares[:, a:b] * np.arange(number)).sum(axis=1) for (a, b), number in pairs]
        return {
            "probabilities": (("component", "level"), shares),
            "means": (("component", "feature"), pt.stack(means, axis=1)),
        }

    def draws(self, values: Mapping[str, Array]) -> Any:
        return self.record(values["log_probabilities"])

    def point(self, draws: Any) -> dict[str, Array]:
        shares = np.exp(draws.log_probabilities)
        return {
            f"probabilities_{d}": shares[:, :, start:end]
            for d, (start, end) in enumerate(self.reading.pairs)
        }
