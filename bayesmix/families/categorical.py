"""Categorical family: independent columns of levels, Dirichlet posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import block_diag, helmert
from scipy.special import digamma, gammaln, polygamma

from bayesmix.core.coding import Level
from bayesmix.core.components import DrawnComponents, Named
from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import Frame, Spread, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.columns import (
    Columns,
    ConjugatePrior,
    DrawnColumns,
    PosteriorColumns,
)
from bayesmix.families.independent.factors import Read, Write, data
from bayesmix.families.independent.levels import (
    LevelColumns,
    Levels,
    LevelsFamily,
    linear_in_levels,
)
from bayesmix.families.independent.linear import NEVER, LinearInTotals, Sums
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.special import log_gammas


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


@dataclass(frozen=True)
class Categoricals(LevelColumns):
    """Probabilities of levels (K, F) at a point, column by column; 0 is allowed."""

    probabilities: Array
    reading: Levels

    @property
    def sufficient(self) -> tuple[Array, ...]:
        with np.errstate(divide="ignore"):
            return (np.log(self.probabilities),)

    @cached_property
    def log_probabilities(self) -> Array:
        """Finite log p (K, F)."""
        return np.maximum(self.sufficient[0], NEVER)

    @property
    def expected_totals(self) -> Array:
        return self.probabilities

    def marginal(self, columns: Integers) -> Categoricals:
        places = self.reading.places(columns)
        return Categoricals(self.probabilities[:, places], self.reading.subset(columns))


@dataclass(frozen=True)
class CategoricalDraws(DrawnColumns):
    """S draws of log probabilities (S, K, F)."""

    log_probabilities: Array
    reading: Levels

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return (self.log_probabilities,)

    @cached_property
    def components(self) -> LinearInTotals:
        logs = self.log_probabilities.reshape(-1, self.log_probabilities.shape[2])
        return linear_in_levels(logs, np.exp(logs), self.reading)

    def at(self, draw: int) -> Categoricals:
        return Categoricals(np.exp(self.log_probabilities[draw]), self.reading)

    def parameters(self, frame: Frame) -> Named:
        shares = np.exp(self.log_probabilities)
        means = self.reading.sums(shares * self.reading.codes)
        return {
            "probabilities": (("component", "level"), shares),
            "means": (("component", "feature"), means),
        }


@dataclass(frozen=True)
class LevelProbabilities(PosteriorColumns):
    """q(θ) = Π Dirichlet over the levels of each column, concentrations (K, F)."""

    concentration: Array
    reading: Levels

    @property
    def shares(self) -> Array:
        """E[p] (K, F)."""
        return self.concentration / self.reading.spread(self.reading.sums(self.concentration))

    @property
    def expected_totals(self) -> Array:
        return self.shares

    @property
    def natural(self) -> tuple[Array, ...]:
        return (self.concentration - 1.0,)

    @cached_property
    def log_shares(self) -> Array:
        """E[log p] (K, F)."""
        totals = self.reading.spread(self.reading.sums(self.concentration))
        return digamma(self.concentration) - digamma(totals)

    @property
    def expected(self) -> tuple[Array, ...]:
        return (self.log_shares,)

    @property
    def log_normalisers(self) -> Array:
        sums = self.reading.sums
        return sums(gammaln(self.concentration)) - gammaln(sums(self.concentration))

    @cached_property
    def linear(self) -> LinearInTotals:
        return linear_in_levels(self.log_shares, self.shares, self.reading)

    @property
    def means(self) -> Array:
        return self.plug_in().means

    def draws(self, n_draws: int, generator: np.random.Generator) -> CategoricalDraws:
        logs = log_gammas(self.concentration, n_draws, generator)
        return CategoricalDraws(self.reading.normalised(logs), self.reading)

    def coordinates(self) -> LevelCoordinates:
        return LevelCoordinates(
            self.concentration,
            self.reading,
            lambda draws: draws.log_probabilities,
            lambda logs: CategoricalDraws(logs, self.reading),
        )

    def plug_in(self) -> Categoricals:
        return Categoricals(self.shares, self.reading)

    def predictive(self) -> Columns:
        return self.plug_in()


@dataclass(frozen=True)
class CategoricalPrior(ConjugatePrior[LevelProbabilities]):
    """θ ~ Dirichlet(least + mass / L) over the L levels of each column.

    Parameters
    ----------
    mass : float
        Prior sample size of each column, spread evenly over its levels.
    least : float, optional
        Constant added to each level: 0 for variational Bayes, 1 for MAP, whose mode is then
        that of ``mass`` further observations.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.CategoricalPrior(mass=2.0).mass
    2.0
    """

    mass: float = 1.0
    least: float | None = None
    reading: Levels | None = None

    @property
    def concentration(self) -> Array:
        """Concentrations α (F,)."""
        assert self.reading is not None
        return (self.least or 0.0) + self.mass / self.reading.spread(self.reading.sizes)

    def over(self, default: Any, frame: Frame) -> CategoricalPrior:
        if not isinstance(default, CategoricalPrior):
            raise InvalidInputError(f"prior must be such as {default!r}, got {self!r}")
        if not self.mass > 0.0:
            raise InvalidInputError(f"mass must be a number above 0, got {self.mass!r}")
        least = default.least if self.least is None else self.least
        return CategoricalPrior(self.mass, least, default.reading)

    def given(self, statistics: Sums) -> LevelProbabilities:
        """Add counts of levels to the prior."""
        assert self.reading is not None
        return LevelProbabilities(self.concentration + statistics.totals, self.reading)

    def mode_given(self, statistics: Sums) -> Categoricals:
        """Return the posterior mode, or raise an error for concentrations below 1."""
        if self.concentration.min() < 1.0:
            raise InvalidInputError(
                "a maximum a posteriori fit needs Dirichlet concentrations of at least 1, got "
                f"{self.concentration.min():g}"
            )
        q = self.given(statistics)
        totals = q.reading.sums(q.concentration - 1.0)
        over = q.reading.spread(totals)
        even = 1.0 / q.reading.spread(q.reading.sizes)
        p = np.where(over > 0.0, (q.concentration - 1.0) / np.where(over > 0.0, over, 1.0), even)
        return Categoricals(p, q.reading)

    def pymc_distribution(self, pm: Pymc, q: LevelProbabilities, n_components: int) -> LevelsTwin:
        return LevelsTwin.declared(
            pm,
            np.broadcast_to(self.concentration, q.concentration.shape),
            q.reading,
            lambda log_probabilities: CategoricalDraws(log_probabilities, q.reading),
        )


@dataclass(frozen=True)
class Categorical(LevelsFamily[Categoricals]):
    """Independent columns of unordered levels (latent class analysis).

    Parameters
    ----------
    levels : sequence of sequences, optional
        Levels of each column, in the order of the columns. None takes the levels of the data
        passed to ``fit``. Any other level raises an error.

    Examples
    --------
    >>> import bayesmix as bm
    >>> rows = [["red", "yes"], ["red", "yes"], ["blue", "no"], ["blue", "no"]] * 10
    >>> m = bm.Mixture(2, family=bm.Categorical(), random_state=0).fit(rows)
    >>> m.predict([["red", "yes"], ["blue", "no"]]).tolist()
    [0, 1]
    """

    levels: tuple[tuple[Level, ...], ...] | None = None

    name = "categorical"
    with_article = "a Categorical"
    keeps_zeros = True

    def at_means(self, means: Array) -> Categoricals:
        return Categoricals(np.clip(means, 0.0, 1.0), self.reading)

    def reference_prior(self, summary: Summary, frame: Frame) -> CategoricalPrior:
        """Return the prior with a mass of one observation per column."""
        return CategoricalPrior(1.0, 0.0, self.reading)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> CategoricalPrior:
        """Return the prior that adds one observation per column and component, spread evenly."""
        return CategoricalPrior(1.0, 1.0, self.reading)

    def as_draws(self, points: Sequence[Categoricals]) -> CategoricalDraws:
        return CategoricalDraws(
            np.array([point.log_probabilities for point in points]), self.reading
        )

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count the levels, less one per column."""
        return n_components * int((self.reading.sizes - 1.0).sum())
