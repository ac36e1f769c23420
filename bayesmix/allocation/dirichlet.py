"""Dirichlet weights (Bishop 2006, eq. 10.39, 10.57, 10.58, 10.66, 10.73)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import digamma, gammaln, polygamma, xlogy

from bayesmix.allocation.point import PointWeights, WeightDraws, sample_by_sample
from bayesmix.core.priors import NamedTensors, Pymc, Tensor
from bayesmix.core.rows import WeightSpread
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers, frozen
from bayesmix.numerics.memo import once
from bayesmix.numerics.special import log_gammas


@dataclass(frozen=True)
class Dirichlet:
    """q(π) = Dirichlet(concentration (K,))."""

    concentration: Array
    exchangeable = True
    allocate = sample_by_sample

    @property
    def n_components(self) -> int:
        return len(self.concentration)

    @once
    def total(self) -> float:
        """Σ_k α_k."""
        return float(self.concentration.sum())

    def expected_log(self) -> Array:
        """E[log π_k] (Bishop 2006, eq. 10.66)."""
        return self._expected_log

    @once
    def _expected_log(self) -> Array:
        expected: Array = digamma(self.concentration) - digamma(self.total)
        return frozen(expected)

    def mean(self) -> Array:
        """E[π_k]."""
        share: Array = self.concentration / self.total
        return share

    def spread(self) -> WeightSpread:
        """Covariances of log π and of π."""
        total, share = self.total, self.mean()
        identity = np.eye(self.n_components)
        return WeightSpread(
            np.diag(polygamma(1, self.concentration)) - polygamma(1, total),
            (identity - share[:, None]) / total,
            (np.diag(share) - np.outer(share, share)) / (total + 1.0),
        )

    def log_normaliser(self) -> float:
        """log of C(α) (Bishop 2006, eq. B.23)."""
        return float(gammaln(self.total) - gammaln(self.concentration).sum())

    def draws(self, n_draws: int, generator: np.random.Generator) -> WeightDraws:
        """Independent draws of π: Gamma variables divided by their sum."""
        logs = log_gammas(self.concentration, n_draws, generator)
        return WeightDraws(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))

    def log_density_of(self, draws: WeightDraws) -> Array:
        """log q(π) (S,) of draws, a density over π_1, ..., π_{K-1} (Bishop 2006, eq. B.16)."""
        density: Array = self.log_normaliser() + draws.log_weights @ (self.concentration - 1.0)
        return density

    def log_factors(self, draws: WeightDraws) -> Array:
        """(α_j - 1) log π_k (S, J, K): what the density has for every pair, but for C(α)."""
        pairs: Array = (self.concentration - 1.0)[:, None] * draws.log_weights[:, None, :]
        return pairs

    def subset(self, keep: Integers, counts: Array) -> Dirichlet:
        """A Dirichlet is closed under dropping and reordering components."""
        return Dirichlet(self.concentration[keep])


@dataclass(frozen=True)
class DirichletTwin:
    """Dirichlet weights in PyMC: π is a variable of the model."""

    weights: Tensor

    @cached_property
    def log_weights(self) -> Tensor:
        """log π_k (K,)."""
        from pytensor import tensor as pt

        return pt.log(self.weights)

    def named(self) -> NamedTensors:
        """Nothing beside the variable."""
        return {}

    @property
    def drawn(self) -> dict[str, Tensor]:
        """What a draw is made of, by the fields of ``WeightDraws``."""
        return {"log_weights": self.log_weights}

    def draws(self, values: Mapping[str, Array], n_draws: int) -> WeightDraws:
        """S draws from the values (S, K) of ``drawn``."""
        return WeightDraws(**values)

    def point(self, draws: WeightDraws) -> dict[str, Array]:
        """Values (S, K) of the model's variable at draws."""
        return {"weights": np.exp(draws.log_weights)}


@dataclass(frozen=True)
class DirichletPrior:
    """p(π) = Dirichlet(α0, ..., α0), the same α0 for any number of components."""

    concentration: float
    name = "dirichlet_distribution"

    def posterior(self, counts: Array) -> Dirichlet:
        """α_k = α0 + N_k (Bishop 2006, eq. 10.58)."""
        return Dirichlet(self.concentration + counts)

    def kl(self, weights: Dirichlet) -> float:
        """KL(q || p); with eq. 10.73 and 10.76 of Bishop 2006."""
        return float(
            weights.log_normaliser()
            - _normaliser_of_symmetric(self.concentration, weights.n_components)
            + (weights.concentration - self.concentration) @ weights.expected_log()
        )

    def mode(self, counts: Array) -> PointWeights:
        """(N_k + α0 - 1) normalised; refused where α0 < 1, since the density has no maximum."""
        if self.concentration < 1.0:
            raise InvalidInputError(
                "weight_concentration_prior must be at least 1 for a maximum a posteriori fit "
                f"(below 1 the posterior density has no maximum), got {self.concentration}"
            )
        return PointWeights.shares(counts + (self.concentration - 1.0))

    def log_density(self, weights: PointWeights) -> float:
        """Log prior density at point weights; 0 log 0 is 0."""
        return _normaliser_of_symmetric(self.concentration, weights.n_components) + float(
            xlogy(self.concentration - 1.0, weights.probabilities).sum()
        )

    def log_density_of(self, draws: WeightDraws) -> Array:
        """log p(π) (S,) of draws."""
        return _symmetric(self.concentration, draws.log_weights.shape[1]).log_density_of(draws)

    def pymc_distribution(self, pm: Pymc, q: Dirichlet, n_components: int) -> DirichletTwin:
        """The same prior over K weights in PyMC."""
        concentration = _symmetric(self.concentration, n_components).concentration
        return DirichletTwin(pm.Dirichlet("weights", a=concentration, dims="component"))

    def n_parameters(self, n_components: int) -> int:
        """Free parameters of the weights."""
        return n_components - 1


def _symmetric(concentration: float, n_components: int) -> Dirichlet:
    return Dirichlet(np.full(n_components, float(concentration)))


@lru_cache(maxsize=256)
def _normaliser_of_symmetric(concentration: float, n_components: int) -> float:
    """log C(α0, ..., α0): the same in every pass."""
    return _symmetric(concentration, n_components).log_normaliser()
