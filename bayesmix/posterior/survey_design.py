"""Samples of a survey: clusters that were drawn within strata (Binder 1983; Rao & Wu 1988)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers

# Smallest shape of the random weights; two clusters in a stratum would need 0.
LEAST_SHAPE = 0.05


@dataclass(frozen=True)
class SurveyDesign:
    """The clusters of each stratum, each by the numbers of its samples, of n in all."""

    strata: tuple[tuple[Integers, ...], ...]
    n: int

    @classmethod
    def of(cls, n: int, clusters: Any, strata: Any) -> SurveyDesign | None:
        """Return the design of n samples; None if neither clusters nor strata are given."""
        if clusters is None and strata is None:
            return None
        groups = _codes("clusters", np.arange(n) if clusters is None else clusters, n)[1]
        names, layers = _codes("strata", np.zeros(n) if strata is None else strata, n)
        samples = [np.flatnonzero(layers == layer) for layer in range(len(names))]
        by_stratum = tuple(_clusters(groups, inside) for inside in samples)
        for name, members in zip(names, by_stratum, strict=True):
            if len(members) < 2:
                raise InvalidInputError(
                    "every stratum must have at least two clusters, but stratum "
                    f"{str(name)!r} has one: merge strata"
                    if strata is not None
                    else "there must be at least two clusters, got one: leave clusters out"
                )
        return cls(by_stratum, n)

    @property
    def degrees_of_freedom(self) -> int:
        """Number of clusters minus number of strata."""
        return sum(map(len, self.strata)) - len(self.strata)

    def variance_of_total(self, scores: Array) -> Array:
        """Return the variance (p, p) of Σ scores (n, p) under sampling of clusters."""
        away = self._deviations(scores)
        return away.T @ away

    def degrees_of_freedom_of(self, scores: Array) -> Array:
        """Return the degrees of freedom (p,) of the variances of Σ scores (n, p).

        Satterthwaite's: twice the square of a variance by its own variance, from squares of cluster
        totals; at most clusters minus strata, which assume normal totals. Squares, as in scores of
        variances, have fewer.
        """
        squares = self._deviations(scores) ** 2
        total = squares.sum(axis=0)
        spread = (squares**2).sum(axis=0) - total**2 / len(squares)
        most = np.full_like(total, self.degrees_of_freedom)
        return np.divide(2.0 * total**2, spread, out=most, where=most * spread > 2.0 * total**2)

    def _deviations(self, scores: Array) -> Array:
        """Return deviations (G, p) of cluster totals; squares add to the variance of Σ scores.

        They are from the mean of the stratum, times √(G / (G - 1)) for G clusters (Binder 1983).
        """
        parts = []
        for clusters in self.strata:
            sums = np.array([scores[rows].sum(axis=0) for rows in clusters])
            parts.append(np.sqrt(len(sums) / (len(sums) - 1.0)) * (sums - sums.mean(axis=0)))
        return np.vstack(parts)

    def factors(self, generator: np.random.Generator) -> Array:
        """Return random weights (n,), of mean 1 in each stratum and equal within clusters.

        Totals of scores then have the variance of ``variance_of_total``: weights of G clusters are
        G times a Dirichlet draw with variance 1, as by the bootstrap of Rao & Wu (1988).
        """
        drawn = np.empty(self.n)
        for clusters in self.strata:
            G = len(clusters)
            weights = generator.standard_gamma(max((G - 2.0) / G, LEAST_SHAPE), size=G)
            for rows, weight in zip(clusters, G * weights / weights.sum(), strict=True):
                drawn[rows] = weight
        return drawn

    def subset(self, kept: Integers) -> SurveyDesign:
        """Return the design of some samples, by number; clusters without any are left out."""
        places = np.full(self.n, -1)
        places[kept] = np.arange(len(kept))
        strata = [
            [own for rows in clusters if len(own := places[rows][places[rows] >= 0])]
            for clusters in self.strata
        ]
        return SurveyDesign(tuple(map(tuple, filter(None, strata))), len(kept))


def _clusters(groups: Integers, inside: Integers) -> tuple[Integers, ...]:
    _, own = np.unique(groups[inside], return_inverse=True)
    return tuple(inside[own == cluster] for cluster in range(own.max() + 1))


def _codes(name: str, values: Any, n: int) -> tuple[Any, Integers]:
    """Return the distinct values, and the place of each sample among them."""
    import pandas as pd

    given = np.asarray(values)
    if given.shape != (n,):
        raise InvalidInputError(
            f"{name} must have one entry for each of the {n} samples, got shape {given.shape}"
        )
    if (absent := pd.isna(given)).any():
        raise InvalidInputError(
            f"{name} is missing in row {np.flatnonzero(absent)[0]}: drop such rows, or give each a "
            "value of its own"
        )
    return np.unique(given, return_inverse=True)
