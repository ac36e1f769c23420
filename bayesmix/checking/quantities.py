"""What a fit and a sampler are compared in: parameters under one labelling, and what has no labels.

Every quantity is a function of (π, θ): its values at draws from q stand beside those at the draws
of the sampler.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import entr

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.parallel import single_threaded_blas
from bayesmix.protocols import Source
from bayesmix.sampling.draws.likelihood import log_likelihoods, shares_of
from bayesmix.sampling.draws.parameters import Draws, log_prior
from bayesmix.sampling.draws.posterior_sample import (
    log_densities_at,
    parameters_of,
    posterior_draws,
)
from bayesmix.sampling.labels.alignment import BATCH_VALUES, Alignment
from bayesmix.workflow.result import FitResult

# Rows whose log density is looked at: where so large a share of the rows is less likely.
PLACES = (0.05, 0.5, 0.95)
# A row that is in a component for certain, within rounding.
CERTAIN = 1e-15
# Of a number: what varies by less, such as the variance of a constant column, does so by rounding.
ROUNDING = 1e-10
OCCUPIED = "occupied components"
# Axes along which the columns of the fit stand.
OF_COLUMNS = ("feature", "other_feature")


@dataclass(frozen=True)
class FitDraws:
    """Draws from q, with log p(X | π, θ) and log p(X, π, θ) (M,) in nats and data units."""

    draws: Draws = field(repr=False)
    log_likelihood: Array = field(repr=False)
    log_joint: Array = field(repr=False)


def fit_draws(result: FitResult, source: Source, n_draws: int, seed: int) -> FitDraws:
    """So many draws from q."""
    draws = posterior_draws(result, n_draws, seed)
    likelihood = log_likelihoods(result, draws, source)
    return FitDraws(draws, likelihood, likelihood + log_prior(result.bayesian, draws))


@dataclass(frozen=True)
class Quantity:
    """One number of every draw: ``fitted`` (M,) of q, NaN where it has none; ``sampled`` (C, S)."""

    name: str
    fitted: Array = field(repr=False)
    sampled: Array = field(repr=False)


def of_parameters(
    result: FitResult, own: Draws, draws: Draws, alignment: Alignment, n_chains: int
) -> list[Quantity]:
    """Weights and parameters of the fit's components in data units; of matrices one triangle."""
    mine, theirs = _named(result, own), _named(result, draws)
    found = []
    for kind, (axes, values) in theirs.items():
        fitted = mine[kind][1]
        each = axes[:1] == ("component",)
        arranged = alignment.relabelled(values)[:, : result.n_components] if each else values
        columns = fitted.reshape(len(fitted), -1).T
        theirs_by_column = arranged.reshape(len(arranged), -1).T
        for number, place in enumerate(np.ndindex(fitted.shape[1:])):
            if axes[-2:] == ("feature", "other_feature") and place[-1] < place[-2]:
                continue
            name = _labelled(kind, axes, place, result.columns)
            sampled = theirs_by_column[number].reshape(n_chains, -1)
            found.append(Quantity(name, columns[number], sampled))
    return _that_vary(found)


def _named(result: FitResult, draws: Draws) -> dict[str, tuple[tuple[str, ...], Array]]:
    weights = (("component",), np.exp(draws.weights.log_weights))
    return {"weights": weights} | parameters_of(result, draws)


def _labelled(
    kind: str, axes: tuple[str, ...], place: tuple[int, ...], columns: tuple[str, ...] | None
) -> str:
    parts = [
        columns[number] if columns is not None and axis in OF_COLUMNS else str(number)
        for axis, number in zip(axes, place, strict=True)
    ]
    return f"{kind}[{', '.join(parts)}]" if parts else kind


def of_all_draws(
    result: FitResult, source: Source, own: FitDraws, found: Any, alignment: Alignment
) -> list[Quantity]:
    """What does not depend on labels: densities, weights by size, entropy, occupied components."""
    draws, n_chains = found.draws, found.n_chains
    mine, theirs = _by_size(own.draws), _by_size(draws)
    same_size = mine.shape[1] == theirs.shape[1]
    pairs: dict[str, tuple[Array, Array]] = {
        # Densities over other numbers of components cannot be compared.
        "log joint density": (
            own.log_joint if same_size else np.full(len(own.log_joint), np.nan),
            found.log_joint.ravel(),
        ),
        "log likelihood": (own.log_likelihood, found.log_likelihood.ravel()),
    }
    rows = _typical_rows(result, source, alignment.rows)
    some = source.subset(rows)
    densities = (log_densities_at(result, each, some) for each in (own.draws, draws))
    for row, *both in zip(rows, *densities, strict=True):
        pairs[f"log density of row {row}"] = (both[0], both[1])
    for place in range(mine.shape[1]):
        pairs[f"weight {place + 1} by size"] = (mine[:, place], theirs[:, place])
    pairs["entropy of weights"] = (entropies(own.draws), entropies(draws))
    with single_threaded_blas():
        pairs[OCCUPIED] = (
            occupied(result, source, own.draws, alignment.rows),
            occupied(result, source, draws, alignment.rows),
        )
    return _that_vary(
        [
            Quantity(name, mine, theirs.reshape(n_chains, -1))
            for name, (mine, theirs) in pairs.items()
        ]
    )


def _typical_rows(result: FitResult, source: Source, rows: Integers) -> Integers:
    """From a row in a tail to one in the middle of a component."""
    ascending = rows[np.argsort(result.log_density(source.in_memory(rows).values), kind="stable")]
    places = (np.array(PLACES) * (len(rows) - 1)).round().astype(np.intp)
    return np.unique(ascending[places])


def _by_size(draws: Draws) -> Array:
    weights: Array = -np.sort(-np.exp(draws.weights.log_weights), axis=1)
    return weights


def entropies(draws: Draws) -> Array:
    """-Σ π log π (S,) in nats."""
    entropy: Array = entr(np.exp(draws.weights.log_weights)).sum(axis=1)
    return entropy


def occupied(result: FitResult, source: Source, draws: Draws, rows: Integers) -> Array:
    """E[number of components with rows | π, θ, X] (S,); of some rows, as if they were all."""
    some = source.in_memory(rows).rows
    framed = result.mixture.frame.apply(some.values)
    counted = some.weights_or_ones
    counted = counted * (source.total_weight / counted.sum())
    n_draws, n_components = draws.weights.log_weights.shape
    size = max(1, BATCH_VALUES // (n_components * len(rows)))
    numbers = []
    for start in range(0, n_draws, size):
        shares = shares_of(draws, framed, start, start + size)
        without = np.log(np.maximum(1.0 - shares, CERTAIN))
        numbers.append(-np.expm1(np.tensordot(counted, without, axes=1)).sum(axis=1))
    return np.concatenate(numbers)


def _that_vary(quantities: list[Quantity]) -> list[Quantity]:
    """Without those that are the same in every draw: weights of one component, a sure number."""
    return [one for one in quantities if one.sampled.std() > _least_of(one)]


def _least_of(one: Quantity) -> float:
    """A standard deviation up to which a quantity is taken as known."""
    if one.name == OCCUPIED:
        return 0.01
    return ROUNDING * float(np.abs(one.sampled).max())
