"""What came out of Gibbs sampling where K is unknown: draws of (K, π, θ), and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import entr

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Source
from bayesmix.sampling.density.predictive_average import averaged_density
from bayesmix.sampling.draws.parameters import Draws
from bayesmix.sampling.draws.posterior_sample import parameters_of
from bayesmix.sampling.gibbs.by_chain import in_chains
from bayesmix.sampling.gibbs.chains import (
    MOST_PRODUCTS,
    closing,
    convergence_lines,
    listed,
    rows_together,
    shares_by_number,
)
from bayesmix.sampling.gibbs.inference_data import ToArviz, inference_data_over_k
from bayesmix.sampling.labels.co_clustering import co_clustered
from bayesmix.workflow.result import FitResult

# Probability beyond the last K that ``k_probabilities`` lists.
NOT_LISTED = 1e-4


@dataclass(frozen=True)
class Group:
    """All draws of one K, and their places (S_K,) among all C S, chain after chain."""

    places: Integers
    draws: Draws

    @property
    def n_components(self) -> int:
        return int(self.draws.weights.log_weights.shape[1])

    def thinned(self, every: int) -> Group | None:
        """Those of every so manieth of all draws; None where there is none of them."""
        chosen = np.flatnonzero(self.places % every == 0)
        return Group(self.places[chosen], self.draws.some(chosen)) if len(chosen) else None


@dataclass(frozen=True, repr=False, eq=False)
class GibbsOverK(ToArviz):
    """Draws from p(K, π, θ | X) by the telescoping sampler; see ``gibbs`` with n_components=None.

    Arrays begin with (C, S): chains and draws. Labels of components mean nothing across draws.

    Attributes
    ----------
    result : FitResult
        The variational fit whose prior of components this is, and from which chains began.
    source : Source
        The rows, not copied.
    groups : tuple of Group
        The draws in the frame of the fit, those of one K together.
    n_components : array (C, S) of int
        K: how many components the mixture has.
    n_occupied : array (C, S) of int
        K+: how many of them had rows.
    log_likelihood : array (C, S)
        log p(X | K, π, θ) in nats and data units, assignments summed out.
    k_of_chains : array (C, M)
        p(K | X), K = 1, ..., M, as every chain has it.
    prior_over_k : array
        p(K), K = 1, 2, ...
    concentration : array
        Of the Dirichlet prior of K weights, K = 1, 2, ...
    warmup : int
        Sweeps of every chain that were left out.
    status : {"finished", "interrupted"}
    seed : int
    seconds : float
    """

    result: FitResult
    source: Source
    groups: tuple[Group, ...]
    n_components: Integers
    n_occupied: Integers
    log_likelihood: Array
    k_of_chains: Array
    prior_over_k: Array
    concentration: Array
    warmup: int
    status: str
    seed: int
    seconds: float

    @property
    def n_chains(self) -> int:
        return len(self.n_components)

    @property
    def n_draws(self) -> int:
        """Of every chain."""
        return int(self.n_components.shape[1])

    @cached_property
    def k_probabilities(self) -> Any:
        """p(K | X) (Series): p(K | partition), which is known exactly, averaged over the draws.

        Listed up to where less than 1 in 10,000 is left; ``attrs`` holds the prior over these K.
        """
        import pandas as pd

        shares = self.k_of_chains.mean(axis=0)
        beyond = np.cumsum(shares[::-1])[::-1]
        last = int(np.flatnonzero(beyond > NOT_LISTED)[-1]) + 1
        numbers = range(1, last + 1)
        index = pd.Index(numbers, name="n_components")
        series = pd.Series(shares[:last], index=index, name="probability")
        series.attrs = {"prior": dict(zip(numbers, self.prior_over_k.tolist(), strict=False))}
        return series

    @cached_property
    def occupied(self) -> Any:
        """Posterior of the number of occupied components: share of the draws by number (Series)."""
        return shares_by_number(self.n_occupied)

    @cached_property
    def weights(self) -> Array:
        """π (C, S, largest K drawn), NaN beyond the K of a draw."""
        return self._padded(
            (group, ("component",), np.exp(group.draws.weights.log_weights))
            for group in self.groups
        )

    @cached_property
    def parameters(self) -> dict[str, Array]:
        """θ by name as in ``Gibbs``, (C, S, ...) in data units, NaN beyond the K of a draw."""
        found = [(group, parameters_of(self.result, group.draws)) for group in self.groups]
        return {
            name: self._padded((group, *named[name]) for group, named in found)
            for name in found[0][1]
        }

    @cached_property
    def entropy(self) -> Array:
        """-Σ π log π (C, S) in nats: how evenly rows are spread over components."""
        entropy: Array = np.nansum(entr(self.weights), axis=2)
        return entropy

    def score_samples(self, X: Any) -> Array:
        """Log of the posterior mean density (n,) in nats of rows: K, π and θ averaged over."""
        parts = [group.draws for group in self.groups]
        return averaged_density(self.result, parts, X, self.source.n_jobs)

    def co_clustering(self, rows: Any = None) -> Array:
        """Probability (m, m) that two rows are in the same component, as in ``Gibbs``.

        Parameters
        ----------
        rows : array of row numbers (m,), optional
            Which rows; needed above 5,000, where the whole matrix would not fit.
        """
        values = rows_together(self.source, rows)
        framed = self.result.mixture.frame.apply(values)
        products = len(values) ** 2 * float(self.n_components.sum())
        every = max(1, int(np.ceil(products / MOST_PRODUCTS)))
        with single_threaded_blas():
            some = [group.thinned(every) for group in self.groups]
            parts = [
                (group.draws.n_draws, co_clustered(group.draws, framed)) for group in some if group
            ]
        numbers, together = zip(*parts, strict=True)
        average: Array = np.average(together, axis=0, weights=numbers)
        return average

    def to_arviz(self) -> Any:
        """K, K+ and the log likelihood as ArviZ has them, with rows and prior; needs ArviZ."""
        return inference_data_over_k(self)

    def summary(self) -> str:
        """The posteriors of K and of the number of occupied components; whether chains agree."""
        lines = [
            f"{self.n_chains} chains of {self.n_draws} draws after {self.warmup} sweeps of warm-up,"
            " K unknown.",
            f"Components (K): {listed(self.k_probabilities)}.",
            f"Occupied components: {listed(self.occupied)} of the draws.",
            *convergence_lines(
                {
                    "number of components": self.n_components,
                    "number occupied": self.n_occupied,
                    "log likelihood": self.log_likelihood,
                    "entropy of weights": self.entropy,
                }
            ),
            "K depends on its prior, and more so than the number of occupied components does.",
            *closing(self.status),
        ]
        return "\n".join(lines)

    def plot(self, ax: Any = None) -> Any:
        """The posteriors of K and of K+ beside the prior; see ``plot_over_k``."""
        from bayesmix.plots.posterior.number_of_components import plot_over_k

        return plot_over_k(self, ax=ax)

    def _padded(self, parts: Iterator[tuple[Group, tuple[str, ...], Array]]) -> Array:
        """Values (S_K, ...) of all groups as (C, S, ...), NaN where components are not there."""
        largest = self.groups[-1].n_components
        whole: Array | None = None
        for group, axes, values in parts:
            shape = [
                largest if axis == "component" else length
                for axis, length in zip(axes, values.shape[1:], strict=True)
            ]
            if whole is None:
                whole = np.full((self.n_components.size, *shape), np.nan)
            # Where there are components, theirs is the first axis.
            own = whole[:, : values.shape[1]] if "component" in axes else whole
            own[group.places] = values
        assert whole is not None
        return in_chains(whole, self.n_chains)

    def __repr__(self) -> str:
        largest = listed(self.k_probabilities)
        return f"<GibbsOverK: {self.n_chains} x {self.n_draws} draws, components {largest}>"
