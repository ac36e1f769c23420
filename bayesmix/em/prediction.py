"""Densities and probabilities of data at any distance.

Distances whose squares would overflow, beyond about 1e150 standard deviations, are clipped.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import NO_SIDE_INFORMATION, Rows, SideInformation
from bayesmix.em.expectation import Assessment, AssessmentStep
from bayesmix.em.result import ALIKE
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.core.components import (
        Densities,
        FarDensities,
        Predictive,
    )
    from bayesmix.core.families import Family


# Longest distance, in standard deviations, whose sums of squares do not overflow.
LONGEST = 1e150


class Predictions:
    """Predictions and displays of a ``FitResult``, which defers to them."""

    @property
    def search_summary(self: Any) -> str:
        """Summary of a search: starts that reached the best optimum, moves tried, and gains.

        Starts are compared after short runs on a subsample.
        """
        from bayesmix.em.display import of_search

        return of_search(self.search_trace, self.total_weight, ALIKE)

    def density_at(self: Any, side: SideInformation) -> Mixture[Predictive]:
        """Return the predictive density at given covariates, or averaged over those of the fit."""
        if side.covariates is None:
            return self.density
        return replace(self.density, weights=self.mixture.weights)

    def log_density(self: Any, values: Array, side: SideInformation = NO_SIDE_INFORMATION) -> Array:
        """Return the predictive log density (n,) in nats and data units."""
        return self._probabilities_and_density(self.density_at(side), values, side)[1]

    def probabilities(
        self: Any, values: Array, side: SideInformation = NO_SIDE_INFORMATION
    ) -> Array:
        """Return probabilities of the components (n, K), with noise (n, K + 1)."""
        shares = self._probabilities_and_density(self.density_at(side), values, side)[0]
        noise = self.density.noise
        if noise is not None:
            # Beyond the support of the noise are no data of the fit, which counts as noise.
            beyond = np.isneginf(noise.density.log_density(np.asarray(values, dtype=np.float64)))
            shares[beyond] = 0.0
            shares[beyond, -1] = 1.0
        return np.ascontiguousarray(shares)

    def labels(self: Any, values: Array, side: SideInformation = NO_SIDE_INFORMATION) -> Integers:
        """Return the most probable component (n,), -1 for noise."""
        return most_probable(self.probabilities(values, side), self.n_components)

    def responsibilities(
        self: Any, values: Array, side: SideInformation = NO_SIDE_INFORMATION
    ) -> Array:
        """Return q(Z) (n, K); for point estimates the same as ``probabilities``."""
        mixture = self.mixture if self.side.covariates is None else self.density_at(side)
        return np.ascontiguousarray(self._probabilities_and_density(mixture, values, side)[0])

    def _probabilities_and_density(
        self: Any, mixture: Mixture[Densities], values: Array, side: SideInformation
    ) -> tuple[Array, Array]:
        return probabilities_and_density(mixture, Rows(values, side=side), self.family)

    def draw(self: Any, n: int, generator: np.random.Generator) -> tuple[Array, Any]:
        """Draw n observations from the predictive density, sorted by label, noise last."""
        from bayesmix.em.predictive_draws import drawn_from

        return drawn_from(self.density, n, generator)

    def summary(self: Any) -> str:
        """Return the fit in words, with a table of its components."""
        from bayesmix.em.display import summary

        return summary(self)

    def __repr__(self: Any) -> str:
        from bayesmix.em.display import as_text

        return as_text(self)

    def _repr_html_(self: Any) -> str:
        from bayesmix.em.display import as_html

        return as_html(self)


def probabilities_and_density(
    mixture: Mixture[Densities], rows: Rows, family: Family
) -> tuple[Array, Array]:
    """Return probabilities (n, K) of data in data units, and log densities (n,) in nats.

    They are densities of what was seen, for counts log P(x). Noise, if any, is the last column of
    (n, K + 1).
    """
    clipped = within_reach(mixture, rows, family)
    shares, log_density = mixture.responsibilities(clipped)
    if family.continuous:
        log_density = log_density - clipped.observation.log_volume(mixture, clipped)
    return shares, log_density


def within_reach(mixture: Mixture[Densities], rows: Rows, family: Family) -> Rows:
    """Return samples with distances clipped where their squares would overflow."""
    values = np.asarray(rows.values)
    if not has_far_rows(mixture, values, family):
        return rows
    clipped = np.clip(values, *cast("tuple[Array, Array]", limits(mixture, family)))
    return replace(rows, values=clipped)


def has_far_rows(mixture: Mixture[Densities], values: Array, family: Family) -> bool:
    """Whether squared distances may overflow."""
    bounds = limits(mixture, family)
    if bounds is None:
        return False
    lowest, highest = bounds
    farthest = np.fmax.reduce(values, axis=0), np.fmin.reduce(values, axis=0)
    return bool((farthest[0] > highest).any() or (farthest[1] < lowest).any())


def limits(mixture: Mixture[Densities], family: Family) -> tuple[Array, Array] | None:
    """Return the lowest and highest values (D,) whose squared distances are finite; None: any."""
    if not family.far_densities:
        return None
    frame = mixture.frame
    limit = _reach(cast("FarDensities", mixture.components), frame.n_directions) * frame.scale
    return frame.centre - limit, frame.centre + limit


def log_density(
    mixture: Mixture[Densities],
    values: Array,
    family: Family,
    side: SideInformation = NO_SIDE_INFORMATION,
) -> Array:
    """Return log p(x) (n,) of the observed cells in nats and data units; for counts log P(x)."""
    return probabilities_and_density(mixture, Rows(values, side=side), family)[1]


def _reach(components: FarDensities, n_features: int) -> float:
    """Return the radius, in the frame, within which squared distances are finite."""
    largest = max(1.0, float(np.abs(components.precision_root).max()))
    return LONGEST / (4.0 * n_features * largest)


def at_any_distance(family: Family, mixture: Mixture, rows: Rows) -> Assessment:
    """Return the assessment of a chunk; distances are clipped where their squares overflow."""
    return AssessmentStep(mixture)(within_reach(mixture, rows, family))


# Label of noise.
NOISE = -1


def most_probable(shares: Array, n_components: int) -> Integers:
    """Return the most probable component (n,), -1 for noise, the last of (n, K + 1)."""
    most: Integers = shares.argmax(axis=1)
    return most if shares.shape[1] == n_components else np.where(most < n_components, most, NOISE)
