"""Relabelling of posterior draws, assignment probabilities, and co-clustering.

Relabelling minimises the Kullback-Leibler divergence of each draw's responsibilities from their
average (Stephens 2000, algorithm 2), starting from the responsibilities of the fit. Co-clustering
p(z_i = z_j | X) = E[Σ_k r_ik r_jk] does not depend on labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from bayesmix.core.components import Named
from bayesmix.core.parallel import single_threaded_blas
from bayesmix.core.rows import Rows
from bayesmix.core.sources import Source
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.numerics.arrays import Array, Integers
from bayesmix.posterior import BATCH_VALUES
from bayesmix.posterior.bands import OF_COMPONENTS, check_draws, labels_of, tails
from bayesmix.posterior.density import averaged_density
from bayesmix.posterior.posterior_draws import DrawnMixtures, Draws, shares_of

# Most responsibilities held; larger data are thinned to evenly spaced samples.
MOST_VALUES = 2**25
# Floor of averages, so that no single sample decides the order.
LEAST_SHARE = 1e-6
MOST_SWEEPS = 50
# Names of axes along which components stand.


@dataclass(frozen=True)
class Alignment:
    """Correspondence between the components of each draw and those of the fit.

    Attributes
    ----------
    order : array (S, K) of int
        ``order[s, k]`` is the component of draw s that matches component k. Components that the fit
        pruned come last, in arbitrary order.
    responsibilities : array (m, K)
        Averages over relabelled draws, for the samples used.
    rows : array (m,) of int
        Indices of the samples used.
    n_sweeps : int
    """

    order: Integers = field(repr=False)
    responsibilities: Array = field(repr=False)
    rows: Integers = field(repr=False)
    n_sweeps: int

    def relabelled(self, values: Array, axes: tuple[str, ...] = ("component",)) -> Array:
        """Return values (S, ...) with components in the order of the fit, given names of axes."""
        return in_order(values, axes, self.order)


def in_order(values: Array, axes: tuple[str, ...], order: Integers) -> Array:
    """Return values (S, ...) with their axes of components in an order (S, K')."""
    for place, axis in enumerate(axes, start=1):
        if axis in OF_COMPONENTS:
            beside = [1] * (values.ndim - 1)
            beside[place - 1] = order.shape[1]
            values = np.take_along_axis(values, order.reshape(-1, *beside), axis=place)
    return values


def aligned(result: FitResult, source: Source, draws: Draws) -> Alignment:
    """Relabel draws to a fit by the responsibilities of its data.

    Uses evenly spaced samples if samples x draws x components exceed 2^25, of sequences the first.
    """
    n_draws, n_components = draws.weights.log_weights.shape
    most = max(1, MOST_VALUES // (n_draws * n_components))
    rows = np.arange(0, source.shape[0], -(-source.shape[0] // most))
    if result.side.ordered:  # neighbours count
        rows = np.arange(min(source.shape[0], most))
    samples = source.in_memory(rows).rows
    framed, weights = result.mixture.frame.apply(samples.values), samples.weights_or_ones
    with single_threaded_blas():
        of_fit, _ = result.mixture.responsibilities(samples)
        pivot = np.zeros((len(rows), n_components))
        pivot[:, : result.n_components] = of_fit
        size = max(1, BATCH_VALUES // (n_components * len(rows)))
        every = np.empty((n_draws, n_components, len(rows)))
        for start, part in zip(range(0, n_draws, size), draws.in_parts(size), strict=True):
            every[start : start + size] = shares_of(part, framed, samples).transpose(1, 2, 0)
        order, average, n_sweeps = relabelling(every, pivot, weights)
    return Alignment(order, average, rows, n_sweeps)


def relabelling(
    responsibilities: Array, pivot: Array, row_weights: Array
) -> tuple[Integers, Array, int]:
    """Return orders (S, K), the average (n, K) after relabelling, and the number of sweeps.

    Follows Stephens (2000), algorithm 2, from responsibilities (S, K, n) and a first average (n,
    K).
    """
    order = np.zeros((0, 0), dtype=np.intp)
    average, n_sweeps = pivot, 0
    for _ in range(MOST_SWEEPS):
        logs = np.log(np.maximum(average, LEAST_SHARE)) * row_weights[:, None]
        # The entropy of a draw is the same in all orders, so it is left out.
        gains = responsibilities @ logs
        best = np.array([linear_sum_assignment(gain.T, maximize=True)[1] for gain in gains])
        if np.array_equal(best, order):
            break
        order, n_sweeps = best, n_sweeps + 1
        average = np.zeros_like(pivot)
        for one, permutation in zip(responsibilities, order, strict=True):
            average += one[permutation].T
        average /= len(order)
    return order, average, n_sweeps


def assignment_band(drawn: DrawnMixtures, source: Source, level: float) -> Array:
    """Return quantiles (n, K, 2) over draws of the responsibility of each component.

    Draws with label switching are relabelled first (Stephens 2000); components that the fit pruned
    are left out.
    """
    check_draws(drawn.n_draws, level)
    draws, order = _in_order_of_fit(drawn)
    n_draws, every = draws.weights.log_weights.shape
    n_components = drawn.result.n_components
    band = np.empty((source.shape[0], n_components, 2))
    size = max(1, BATCH_VALUES // (n_draws * every))
    for start in range(0, source.shape[0], size):
        rows = slice(start, start + size)
        samples = source.in_memory(rows).rows
        framed = drawn.result.mixture.frame.apply(samples.values)
        shares = np.take_along_axis(shares_of(draws, framed, samples), order[None], axis=2)
        band[rows] = np.moveaxis(np.quantile(shares, tails(level), axis=1), 0, -1)
    return band


def credible_intervals(drawn: DrawnMixtures, level: float) -> Any:
    """Return mean and equal-tailed interval of every weight and parameter (DataFrame)."""
    import pandas as pd

    draws, order = _in_order_of_fit(drawn)
    named: Named = {"weights": (("component",), np.exp(draws.weights.log_weights))}
    named |= draws.components.parameters(drawn.result.mixture.frame) | draws.weights.named()
    named.pop("covariance_prior", None)  # a hyperparameter
    table = []
    for kind, (axes, values) in named.items():
        values = in_order(values, axes, order)
        columns = values.reshape(len(values), -1).T
        for place, name in labels_of(kind, axes, values.shape[1:], drawn.result):
            table.append((name, columns[place].mean(), *np.quantile(columns[place], tails(level))))
    return pd.DataFrame(table, columns=["parameter", "mean", "lower", "upper"])


def _in_order_of_fit(drawn: DrawnMixtures) -> tuple[Draws, Integers]:
    """Return draws of one K, and for each the matching components (S, K) of the fit."""
    if len(drawn.parts) > 1:
        raise UnsupportedError(
            "draws with varying K have no correspondence with the components of the fit: use draws "
            "with its number of components, or co_clustering"
        )
    draws, n_components = drawn.parts[0], drawn.result.n_components
    if drawn.align_by is None:
        return draws, np.tile(np.arange(n_components), (drawn.n_draws, 1))
    return draws, aligned(drawn.result, drawn.align_by, draws).order[:, :n_components]


def co_clustered(draws: Draws, framed: Array) -> Array:
    """Return the co-clustering matrix (m, m) of scaled samples (m, D), its diagonal one."""
    n_draws, n_components = draws.weights.log_weights.shape
    n_rows = len(framed)
    total = np.zeros((n_rows, n_rows))
    size = max(1, BATCH_VALUES // (n_components * n_rows))
    for part in draws.in_parts(size):
        shares = shares_of(part, framed, Rows(framed)).reshape(n_rows, -1)
        total += shares @ shares.T
    total /= n_draws
    np.fill_diagonal(total, 1.0)
    return total


@dataclass(frozen=True)
class Group:
    """All draws of one K, and their indices (S_K,) among all C S, chain after chain."""

    places: Integers
    draws: Draws

    @property
    def n_components(self) -> int:
        return self.draws.n_components

    def thinned(self, every: int) -> Draws | None:
        """Return every ``every``-th of all draws that is in this group; None if there is none."""
        chosen = np.flatnonzero(self.places % every == 0)
        return self.draws.some(chosen) if len(chosen) else None


MOST_ROWS_TOGETHER = 5_000
# Most products in a co-clustering matrix; beyond it draws are thinned.
MOST_PRODUCTS = 2e11


class GroupedDraws:
    """Draws of chains in groups by number of components, and what does not depend on labels."""

    result: FitResult
    source: Source
    log_likelihood: Array
    groups: tuple[Group, ...]

    @property
    def n_chains(self) -> int:
        return len(self.log_likelihood)

    @property
    def n_draws(self) -> int:
        """Number of draws per chain."""
        return int(self.log_likelihood.shape[1])

    def score_samples(self, X: Any) -> Array:
        """Return the log posterior mean density of each sample (n,) in nats, over all parameters.

        For a hidden Markov model X is one sequence, and each sample is given those before it.
        """
        parts = [group.draws for group in self.groups]
        return averaged_density(self.result, parts, X, self.source.n_jobs)

    def co_clustering(self, rows: Any = None) -> Array:
        """Return the probability (m, m) that two samples belong to the same component.

        The exact probability given (π, θ) is averaged over draws, which are thinned for large data.
        Samples of weight 0 are left out.

        Parameters
        ----------
        rows : array of sample indices (m,), optional
            Required above 5,000 samples, where the whole matrix would not fit.
        """
        if self.result.side.ordered:
            raise UnsupportedError(
                "co_clustering does not support sequences: use the model's predict_proba"
            )
        values = rows_together(self.source, rows)
        framed = self.result.mixture.frame.apply(values)
        n_products = sum(group.draws.n_draws * group.n_components for group in self.groups)
        every = max(1, -int(-n_products * len(values) ** 2 // MOST_PRODUCTS))
        thinned = [group.thinned(every) for group in self.groups]
        with single_threaded_blas():
            parts = [(part.n_draws, co_clustered(part, framed)) for part in thinned if part]
        numbers, together = zip(*parts, strict=True)
        return np.average(together, axis=0, weights=numbers)


def rows_together(source: Source, rows: Any) -> Any:
    """Return the values of the samples whose co-clustering is requested."""
    asked = n_rows = source.shape[0]
    numbers: Any = None
    if rows is not None:
        numbers = np.atleast_1d(np.asarray(rows))
        whole = numbers.dtype.kind in "iu" and numbers.ndim == 1 and len(numbers) > 0
        if not whole or numbers.min() < 0 or numbers.max() >= n_rows:
            raise InvalidInputError(
                f"rows must be sample indices from 0 to {n_rows - 1}, got {rows!r:.60}"
            )
        asked, numbers = len(numbers), numbers.astype(np.int64)
    if asked > MOST_ROWS_TOGETHER:
        raise InvalidInputError(
            f"rows must name at most {MOST_ROWS_TOGETHER:,} of the {n_rows:,} samples, got "
            f"{asked:,}: the matrix of all pairs would be too large"
        )
    return source.in_memory(numbers).values
