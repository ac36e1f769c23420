"""Columns of levels read as indicators, one feature a level, and their twin in PyMC."""

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
from bayesmix.families.independent.coordinates import Read, Write, data
from bayesmix.numerics import features
from bayesmix.numerics.arrays import Array, Integers


@dataclass(frozen=True)
class OneColumn:
    """One Dirichlet factor of L levels."""

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
        """The factor with these concentrations (L,)."""
        total, of_log = alpha.sum(), polygamma(1, alpha)
        contrasts: Any = helmert(len(alpha)) if len(alpha) > 1 else np.zeros((0, 1))
        root: Any = np.linalg.cholesky((contrasts * of_log) @ contrasts.T)
        slopes: Any = np.linalg.solve(root, contrasts * of_log).T
        mean = alpha / total
        with_logs = np.diag(mean / alpha) - mean[:, None] / total  # Cov(p_i, log p_j)
        across = np.linalg.solve(root, contrasts @ with_logs.T).T
        left = of_log[0] - polygamma(1, total) - slopes[0] @ slopes[0]
        return cls(
            contrasts,
            contrasts @ digamma(alpha),
            root,
            slopes,
            float(max(left, 0.0)),
            across,
            with_logs[:, 0] - across @ slopes[0],
            (np.diag(mean) - np.outer(mean, mean)) / (total + 1.0),
        )


@dataclass(frozen=True)
class LevelCoordinates:
    """Of a component z of all columns, then what their w add up to."""

    concentration: Array  # (K, F)
    reading: Levels
    read: Read
    write: Write

    @cached_property
    def columns(self) -> list[list[OneColumn]]:
        """Every factor, component by component."""
        pairs = self.reading.pairs
        return [
            [OneColumn.of(row[start:end]) for start, end in pairs] for row in self.concentration
        ]

    @property
    def _each(self) -> int:
        """How many coordinates a component has."""
        return int((self.reading.sizes - 1.0).sum()) + 1

    @property
    def size(self) -> int:
        return len(self.concentration) * self._each

    def places(self, k: int) -> Integers:
        """What the log density of component k depends on."""
        return np.arange(k * self._each, (k + 1) * self._each)

    def _left(self, k: int) -> float:
        return float(np.sqrt(sum(column.left for column in self.columns[k])))

    def slopes(self, values: Array, k: int) -> Array:
        """d E[log p(x | θ_k)] / d E[z] over ``places(k)``."""
        slopes = block_diag(*(column.slopes for column in self.columns[k]))
        moved = self.reading.totals(values).T @ slopes
        return np.hstack([moved, np.full((len(values), 1), self._left(k))])

    def coupling(self) -> float:
        """Nothing but rows couples components."""
        return 0.0

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Probabilities, and means of codes: their covariances with z, and their own."""
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
        """Coordinates that ``standardised`` has: the others vary as 1/n², and nothing else."""
        return np.concatenate([self.places(k)[:-1] for k in range(len(self.concentration))])

    def standardised(self, draws: Any) -> Array:
        """z of draws, all components' after one another."""
        logs, parts = self.read(draws), []
        for k, columns in enumerate(self.columns):
            for column, (start, end) in zip(columns, self.reading.pairs, strict=True):
                away = logs[:, k, start:end] @ column.contrasts.T - column.expected
                parts.append(np.linalg.solve(column.root, away.T).T)
        return np.hstack(parts)

    def drawn(self, standardised: Array) -> Any:
        """The draws with these z."""
        logs, first = np.empty((len(standardised), *self.concentration.shape)), 0
        for k, columns in enumerate(self.columns):
            for column, (start, end) in zip(columns, self.reading.pairs, strict=True):
                z = standardised[:, first : first + len(column.root)]
                first += len(column.root)
                logs[:, k, start:end] = (column.expected + z @ column.root.T) @ column.contrasts
        return self.write(self.reading.normalised(logs))


@dataclass(frozen=True)
class Levels:
    """Codes 0 to L - 1 in every column: t(x) says which level each column has.

    Arrays over levels (..., F) hold those of the first column, then those of the next.
    """

    numbers: tuple[int, ...]  # L of every column

    kind = features.LEVELS
    measured = False
    has_base = False

    @cached_property
    def sizes(self) -> Array:
        """L (D,)."""
        return np.array(self.numbers, dtype=np.float64)

    @cached_property
    def ends(self) -> Integers:
        """Where the levels of a column end (D,)."""
        return np.cumsum(self.numbers)

    @cached_property
    def starts(self) -> Integers:
        """Where they begin (D,)."""
        starts: Integers = self.ends - np.array(self.numbers)
        return starts

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Where the levels of every column begin and end."""
        return list(zip(self.starts.tolist(), self.ends.tolist(), strict=True))

    @cached_property
    def codes(self) -> Array:
        """The code of every level (F,)."""
        return np.concatenate([np.arange(number, dtype=np.float64) for number in self.numbers])

    def places(self, columns: Integers) -> Integers:
        """Where the levels of some columns are."""
        return np.concatenate([np.arange(self.starts[d], self.ends[d]) for d in columns])

    def subset(self, columns: Integers) -> Levels:
        """The levels of some columns."""
        return Levels(tuple(self.numbers[d] for d in columns))

    def sums(self, values: Array) -> Array:
        """Sums over the levels of every column (..., D)."""
        summed: Array = np.add.reduceat(values, self.starts, axis=-1)
        return summed

    def spread(self, values: Array) -> Array:
        """What columns (..., D) have, for every level (..., F)."""
        return np.repeat(values, self.numbers, axis=-1)

    def normalised(self, logs: Array) -> Array:
        """Logarithms (..., F) of what sums to one over the levels of every column."""
        totals = [logsumexp(logs[..., start:end], axis=-1) for start, end in self.pairs]
        return logs - self.spread(np.stack(totals, axis=-1))

    def totals(self, values: Array) -> Array:
        """1 where a row has the level, else 0 (F, n)."""
        out = np.zeros((int(self.ends[-1]), len(values)))
        places = values.T.astype(np.intp) + self.starts[:, None]
        out[places, np.arange(len(values))] = 1.0
        return out

    def gathered(self, by_level: Array, values: Array) -> Array:
        """Sums (n, K) over columns of what rows' levels have in ``by_level`` (K, F)."""
        out = np.zeros((len(values), len(by_level)))
        for start, column in zip(self.starts, values.T, strict=True):
            out += by_level.T[column.astype(np.intp) + start]
        return out

    def log_base(self, values: Array) -> Array:
        return np.zeros(len(values))


@dataclass(frozen=True)
class LevelsTwin:
    """K densities in PyMC: a Dirichlet variable for every column."""

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
        """Variables with these concentrations (K, F)."""
        from pytensor import tensor as pt

        pm.modelcontext(None).add_coord("level", np.arange(len(reading.codes)))
        parts = [
            pm.Dirichlet(f"probabilities_{d}", a=concentration[:, start:end])
            for d, (start, end) in enumerate(reading.pairs)
        ]
        return cls({"log_probabilities": pt.log(pt.concatenate(parts, axis=1))}, reading, record)

    def log_density(self, pm: Pymc, values: Array) -> Tensor:
        """log p(x_n | θ_k) (n, K)."""
        return data(pm, self.reading.totals(values)) @ self.drawn["log_probabilities"].T

    def named(self, frame: Frame) -> NamedTensors:
        """Probabilities of all columns, and means of codes."""
        from pytensor import tensor as pt

        shares = pt.exp(self.drawn["log_probabilities"])
        pairs = zip(self.reading.pairs, self.reading.numbers, strict=True)
        means = [(shares[:, a:b] * np.arange(number)).sum(axis=1) for (a, b), number in pairs]
        return {
            "probabilities": (("component", "level"), shares),
            "means": (("component", "feature"), pt.stack(means, axis=1)),
        }

    def draws(self, values: Mapping[str, Array]) -> Any:
        """S draws from the values (S, ...) of ``drawn``."""
        return self.record(values["log_probabilities"])

    def point(self, draws: Any) -> dict[str, Array]:
        """Values (S, K, L) of the model's variables at draws."""
        shares = np.exp(draws.log_probabilities)
        return {
            f"probabilities_{d}": shares[:, :, start:end]
            for d, (start, end) in enumerate(self.reading.pairs)
        }
