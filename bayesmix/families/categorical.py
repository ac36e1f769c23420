"""Categorical family: independent columns of levels, Dirichlet posterior."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import digamma, gammaln

from bayesmix.core.components import DrawnComponents
from bayesmix.core.parameters import POSITIVE, parameter, within
from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.coding import Level
from bayesmix.families.independent.columns import (
    Columns,
    ConjugatePrior,
    PosteriorColumns,
    dirichlet_over,
)
from bayesmix.families.independent.factors import data
from bayesmix.families.independent.levels import (
    LEVEL_SHARES,
    LevelColumns,
    LevelDraws,
    Levels,
    LevelsFamily,
    linear_in_levels,
)
from bayesmix.families.independent.linear import NEVER, LinearInTotals, Sums
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.special import log_gammas


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

    probabilities: Array = field(metadata=parameter(LEVEL_SHARES))
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
class CategoricalDraws(LevelDraws):
    """S draws of log probabilities (S, K, F)."""

    log_probabilities: Array
    reading: Levels

    @property
    def sufficient(self) -> tuple[Array, ...]:
        return (self.log_probabilities,)

    def at(self, draw: int) -> Categoricals:
        return Categoricals(np.exp(self.log_probabilities[draw]), self.reading)


@dataclass(frozen=True)
class LevelProbabilities(PosteriorColumns):
    """q(θ) = Π Dirichlet over the levels of each column, concentrations (K, F)."""

    concentration: Array = field(metadata=within(POSITIVE))
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

    @cached_property
    def log_normalisers(self) -> Array:
        sums = self.reading.sums
        return sums(gammaln(self.concentration)) - gammaln(sums(self.concentration))

    @cached_property
    def linear(self) -> LinearInTotals:
        return linear_in_levels(self.log_shares, self.reading)

    @property
    def means(self) -> Array:
        return self.plug_in().means

    def draws(self, n_draws: int, generator: np.random.Generator) -> CategoricalDraws:
        logs = log_gammas(self.concentration, n_draws, generator)
        return CategoricalDraws(self.reading.normalised(logs), self.reading)

    def plug_in(self) -> Categoricals:
        return Categoricals(self.shares, self.reading)

    def predictive(self) -> Columns:
        return self.plug_in()


@dataclass(frozen=True)
class CategoricalPrior(ConjugatePrior[LevelProbabilities]):
    """θ ~ Dirichlet(least + mass / L) over the L levels of each column.

    Parameters
    ----------
    mass : float, optional
        Prior sample size of each column, spread evenly over its levels. None: ``per_share`` for
        each of the L - 1 free shares of the column.
    least : float, optional
        Constant added to each level: 0 for variational Bayes, 1 for MAP, whose mode is then
        that of ``mass`` further observations.
    per_share : float, default=1
        Prior sample size of each free share where there is no ``mass``: concentrations of 1/2 for
        two levels, as Jeffreys' prior, and of nearly 1, as the uniform prior, for many.

    Examples
    --------
    >>> import bayesmix as bm
    >>> bm.CategoricalPrior(mass=2.0).mass
    2.0
    """

    mass: float | None = None
    least: float | None = None
    reading: Levels | None = None
    per_share: float = 1.0

    @property
    def concentration(self) -> Array:
        """Concentrations α (F,)."""
        assert self.reading is not None
        sizes = self.reading.sizes
        mass = self.per_share * np.maximum(sizes - 1.0, 1.0) if self.mass is None else self.mass
        return (self.least or 0.0) + self.reading.spread(mass / sizes)

    def over(self, default: Any, frame: Frame) -> CategoricalPrior:
        if not self.per_share > 0.0:
            raise InvalidInputError(f"per_share must be a number above 0, got {self.per_share!r}")
        own: CategoricalPrior = dirichlet_over(self, default)
        return replace(own, per_share=self.per_share)

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


@dataclass(frozen=True, repr=False)
class Categorical(LevelsFamily[Categoricals]):
    """Independent columns of unordered levels (latent class analysis).

    Parameters
    ----------
    levels : sequence of sequences, optional
        Levels of each column, in the order of the columns. None takes the levels of the data
        passed to ``fit``. Any other level in ``fit`` raises an error.

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
    separable = True
    with_article = "a Categorical"
    keeps_zeros = True

    def at_means(self, means: Array) -> Categoricals:
        return Categoricals(np.clip(means, 0.0, 1.0), self.reading)

    def reference_prior(self, summary: Summary, frame: Frame) -> CategoricalPrior:
        """Return the prior with a mass of one observation per free share."""
        return CategoricalPrior(None, 0.0, self.reading)

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
