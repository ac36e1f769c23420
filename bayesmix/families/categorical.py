"""Categorical family: independent columns of named levels, Dirichlet posterior: latent classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from bayesmix.core.coding import Coding, Level
from bayesmix.core.components import Named
from bayesmix.core.priors import Pymc
from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.independent.columns import (
    Columns,
    ColumnsFamily,
    ConjugatePrior,
    DrawnColumns,
    PointColumns,
    PosteriorColumns,
)
from bayesmix.families.independent.levels import LevelCoordinates, Levels, LevelsTwin
from bayesmix.families.independent.linear import NEVER, LinearInTotals, Sums
from bayesmix.numerics.arrays import Array, Integers, Stored
from bayesmix.numerics.logsumexp import IMPOSSIBLE
from bayesmix.numerics.special import log_gammas


def _linear(log_probabilities: Array, probabilities: Array, reading: Levels) -> LinearInTotals:
    """log p(x | θ_k) = Σ log p of the levels that a row has."""
    nothing = np.zeros((len(log_probabilities), len(reading.numbers)))
    # Σ √(p_j p_k) is exp(-½ |√p_j - √p_k|²) at most: see ``LinearInTotals.near``.
    places = np.sqrt(probabilities)
    return LinearInTotals(nothing, log_probabilities, reading, stabilised=places)


@dataclass(frozen=True)
class Categoricals(PointColumns):
    """Probabilities of levels (K, F) at a point, column after column; zero means: never."""

    probabilities: Array
    reading: Levels

    @cached_property
    def log_probabilities(self) -> Array:
        """log p (K, F), finite."""
        with np.errstate(divide="ignore"):
            return np.maximum(np.log(self.probabilities), NEVER)

    @cached_property
    def linear(self) -> LinearInTotals:
        """log p(x | θ_k), linear in which levels a row has."""
        return _linear(self.log_probabilities, self.probabilities, self.reading)

    def expected_log_density(self, values: Array) -> Array:
        """log p(x | θ_k) (n, K); minus infinity where it cannot be."""
        out = self.reading.gathered(self.log_probabilities, values)
        out[out < IMPOSSIBLE] = -np.inf
        return out

    @property
    def expected_totals(self) -> Array:
        return self.probabilities

    @property
    def means(self) -> Array:
        """E[code] (K, D): codes count the levels of a column from 0."""
        return self.reading.sums(self.probabilities * self.reading.codes)

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column's code (K, D)."""
        squares = self.reading.sums(self.probabilities * self.reading.codes**2)
        return np.sqrt(np.maximum(squares - self.means**2, 0.0))

    def marginal(self, columns: Integers) -> Categoricals:
        """The densities of some columns."""
        places = self.reading.places(columns)
        return Categoricals(self.probabilities[:, places], self.reading.subset(columns))

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order."""
        n = int(counts.sum())
        rows = np.empty((n, len(self.reading.numbers)))
        for d, (start, end) in enumerate(self.reading.pairs):
            reached = np.cumsum(self.probabilities[:, start : end - 1], axis=1)
            rows[:, d] = (generator.random((n, 1)) > np.repeat(reached, counts, axis=0)).sum(axis=1)
        return rows


@dataclass(frozen=True)
class CategoricalDraws(DrawnColumns):
    """S draws of probabilities by their logarithms (S, K, F)."""

    log_probabilities: Array
    reading: Levels

    @cached_property
    def components(self) -> LinearInTotals:
        """All S K densities, those of a draw together."""
        logs = self.log_probabilities.reshape(-1, self.log_probabilities.shape[2])
        return _linear(logs, np.exp(logs), self.reading)

    def at(self, draw: int) -> Categoricals:
        """One of the draws as K densities at a point."""
        return Categoricals(np.exp(self.log_probabilities[draw]), self.reading)

    def parameters(self, frame: Frame) -> Named:
        """Probabilities (S, K, F) and means of codes, with what axes after the first stand for."""
        shares = np.exp(self.log_probabilities)
        means = self.reading.sums(shares * self.reading.codes)
        return {
            "probabilities": (("component", "level"), shares),
            "means": (("component", "feature"), means),
        }


@dataclass(frozen=True)
class LevelProbabilities(PosteriorColumns):
    """q(θ) = Π Dirichlet over the levels of every column: concentrations (K, F)."""

    concentration: Array
    reading: Levels

    @property
    def shares(self) -> Array:
        """E[p] (K, F)."""
        return self.concentration / self.reading.spread(self.reading.sums(self.concentration))

    @property
    def expected_totals(self) -> Array:
        return self.shares

    @cached_property
    def log_shares(self) -> Array:
        """E[log p] (K, F)."""
        totals = self.reading.spread(self.reading.sums(self.concentration))
        logs: Array = digamma(self.concentration) - digamma(totals)
        return logs

    @cached_property
    def linear(self) -> LinearInTotals:
        """E[log p(x | θ_k)], linear in which levels a row has."""
        return _linear(self.log_shares, self.shares, self.reading)

    @property
    def means(self) -> Array:
        """E[code] (K, D)."""
        return self.plug_in().means

    def draws(self, n_draws: int, generator: np.random.Generator) -> CategoricalDraws:
        """Independent draws of θ."""
        logs = log_gammas(self.concentration, n_draws, generator)
        return CategoricalDraws(self.reading.normalised(logs), self.reading)

    def log_factors(self, draws: CategoricalDraws) -> tuple[Array, Array]:
        """Shared (S,): nothing. Entry (j, k) of (S, J, K): log q_j of the drawn θ_k."""
        normalisers = _log_normalisers(self.concentration, self.reading).sum(axis=1)
        pairs: Array = draws.log_probabilities @ (self.concentration - 1.0).T
        return np.zeros(len(pairs)), pairs.transpose(0, 2, 1) - normalisers[:, None]

    def coordinates(self) -> LevelCoordinates:
        """Log ratios of probabilities, standardised."""
        return LevelCoordinates(
            self.concentration,
            self.reading,
            lambda draws: draws.log_probabilities,
            lambda logs: CategoricalDraws(logs, self.reading),
        )

    def plug_in(self) -> Categoricals:
        """E[θ]."""
        return Categoricals(self.shares, self.reading)

    def predictive(self) -> Columns:
        """p(x | k, data): categorical at the mean."""
        return self.plug_in()


def _log_normalisers(concentration: Array, reading: Levels) -> Array:
    """log B(α) (K, D)."""
    totals = reading.sums(concentration)
    logs: Array = reading.sums(gammaln(concentration)) - gammaln(totals)
    return logs


@dataclass(frozen=True)
class CategoricalPrior(ConjugatePrior[LevelProbabilities]):
    """θ ~ Dirichlet(least + mass / L) over the L levels of every column, the same everywhere.

    Parameters
    ----------
    mass : float
        How many rows the prior is worth in every column, spread evenly over its levels.
    least : float, optional
        What every level has beside: 0 under variational Bayes, 1 under maximum a posteriori, whose
        mode then is that of ``mass`` rows more.

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
        """α (F,)."""
        assert self.reading is not None
        alpha: Array = (self.least or 0.0) + self.mass / self.reading.spread(self.reading.sizes)
        return alpha

    def over(self, default: Any, frame: Frame) -> CategoricalPrior:
        """The family's own prior with this mass."""
        if not isinstance(default, CategoricalPrior):
            raise InvalidInputError(f"prior must be like {default!r}, got {self!r}")
        if not self.mass > 0.0:
            raise InvalidInputError(f"mass must be a number above 0, got {self.mass!r}")
        least = default.least if self.least is None else self.least
        return CategoricalPrior(self.mass, least, default.reading)

    def given(self, statistics: Sums) -> LevelProbabilities:
        """Counts of levels added."""
        assert self.reading is not None
        return LevelProbabilities(self.concentration + statistics.totals, self.reading)

    def kl(self, q: LevelProbabilities) -> float:
        """Σ KL(Dirichlet || Dirichlet)."""
        own = self.concentration
        divergence = ((q.concentration - own) * q.log_shares).sum()
        mine = _log_normalisers(np.broadcast_to(own, q.concentration.shape), q.reading).sum()
        return float(divergence + mine - _log_normalisers(q.concentration, q.reading).sum())

    def mode_given(self, statistics: Sums) -> Categoricals:
        """Posterior mode; refused where a concentration is below 1 and no mode may exist."""
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

    def log_density(self, components: Categoricals) -> float:
        """log p(θ) at a point; 0 log 0 is 0."""
        p = components.probabilities
        own = np.broadcast_to(self.concentration, p.shape)
        normalisers = _log_normalisers(own, components.reading)
        return float(xlogy(own - 1.0, p).sum() - normalisers.sum())

    def log_density_of(self, draws: CategoricalDraws) -> Array:
        """log p(θ) (S,) of draws."""
        logs = draws.log_probabilities
        normalisers = _log_normalisers(self.concentration[None], draws.reading).sum()
        density: Array = ((self.concentration - 1.0) * logs).sum(axis=(1, 2))
        density -= logs.shape[1] * normalisers
        return density

    def pymc_distribution(self, pm: Pymc, q: LevelProbabilities, n_components: int) -> LevelsTwin:
        """The same prior over K components in PyMC, and their densities."""
        return LevelsTwin.declared(
            pm,
            np.broadcast_to(self.concentration, q.concentration.shape),
            q.reading,
            lambda log_probabilities: CategoricalDraws(log_probabilities, q.reading),
        )


@dataclass(frozen=True)
class Categorical(ColumnsFamily[Categoricals]):
    """Columns of levels without order, independent within a component: latent class analysis.

    Parameters
    ----------
    levels : sequence of sequences, optional
        The levels of every column by name, in the order of the columns. None takes those that the
        rows of the fit have, before any folds are cut. A level that is not among them is an error.

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
    continuous = False
    keeps_zeros = True

    def __post_init__(self) -> None:
        if self.levels is not None:
            object.__setattr__(self, "levels", tuple(tuple(one) for one in self.levels))

    @cached_property
    def reading(self) -> Levels:
        """Which level every column of a row has."""
        if self.levels is None:
            raise InvalidInputError("levels of a Categorical family are not known before a fit")
        return Levels(tuple(len(one) for one in self.levels))

    @property
    def coding(self) -> Coding | None:
        """The levels of columns by number, once they are known."""
        if self.levels is None:
            return None
        return Coding(tuple(map(str, range(len(self.levels)))), self.levels)

    @property
    def mean_where_empty(self) -> Array:
        """All levels as likely."""
        return 1.0 / self.reading.spread(self.reading.sizes)

    def marginal(self, columns: Integers) -> Categorical:
        """The family of some columns."""
        assert self.levels is not None
        return Categorical(tuple(self.levels[column] for column in columns))

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise where a value is no code of a level."""
        broken = (values != np.floor(values)) & ~np.isnan(values)
        wrong = (values < 0) | broken | (values >= self.reading.sizes)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise InvalidInputError(
                f"X must hold the codes 0 to {self.reading.sizes[column] - 1:g} of the levels of "
                f"column {column}, got {values[row, column]:g} in row {first + row}: name all "
                "levels in Categorical(levels=...)"
            )

    def at_means(self, means: Array) -> Categoricals:
        """Shares of levels."""
        return Categoricals(np.clip(means, 0.0, 1.0), self.reading)

    def feasible(self, statistics: Sums) -> bool:
        """Rows of every level, which add up in every column."""
        return bool((statistics.totals >= 0).all())

    def reference_prior(self, summary: Summary, frame: Frame) -> CategoricalPrior:
        """A mass of one row a column."""
        return CategoricalPrior(1.0, 0.0, self.reading)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> CategoricalPrior:
        """One row a column and component, spread evenly: no probability reaches 0."""
        return CategoricalPrior(1.0, 1.0, self.reading)

    def as_draws(self, points: Sequence[Categoricals]) -> CategoricalDraws:
        """Mixtures at points as draws."""
        return CategoricalDraws(np.array([one.log_probabilities for one in points]), self.reading)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """One a level, less one a column."""
        return n_components * int((self.reading.sizes - 1.0).sum())
