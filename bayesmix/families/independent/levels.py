"""Columns of levels read as indicators, one feature a level, and their twin in PyMC."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp

from bayesmix.families.independent.twin import data
from bayesmix.numerics import features
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols import DrawnComponents, NamedTensors, Pymc, Tensor
from bayesmix.records import Frame


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
