"""Densities and probabilities of data at any distance.

Beyond about 1e150 standard deviations, where sums of squares would overflow, a log density is that
of a sample nearer to the centre in the same direction, times the square of the ratio of distances,
or plus a multiple of its logarithm where tails are those of powers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import NO_SIDE_INFORMATION, Rows, SideInformation
from bayesmix.em.display import as_html, as_text, of_search, summary
from bayesmix.em.expectation import Assessment, AssessmentStep
from bayesmix.errors import BayesmixWarning, warn
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from bayesmix.core.components import (
        Densities,
        FarDensities,
        Predictive,
    )
    from bayesmix.core.families import Family


# Difference, in nats per observation, within which two starts reached the same optimum.
ALIKE = 1e-6
# Longest distance, in standard deviations, whose sums of squares do not overflow.
LONGEST = 1e150
# Values by this factor nearer than the longest distance do not change its square in any digit.
NEGLIGIBLE = 1e50
# Factor between the distances by which tails of powers are told.
NEARER = 1024.0
# Lower log densities are those of squared distances, not of their logarithms.
QUADRATIC = -1e100


class Predictions:
    """Predictions and displays of a ``FitResult``, which defers to them."""

    @property
    def search_summary(self: Any) -> str:
        """Summary of a search: starts that reached the best optimum, moves tried, and gains.

        Starts are compared after short runs on a subsample.
        """
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
        """Return probabilities of the components (n, K), with noise (n, K + 1).

        Those of samples of density 0 are the mixing weights, with a warning.
        """
        found = self._probabilities_and_density(self.density_at(side), values, side)
        return self._with_noise(self._told(*found), values)

    def shares(self: Any, values: Array, side: SideInformation = NO_SIDE_INFORMATION) -> Array:
        """Return ``probabilities`` without the warning."""
        found = self._probabilities_and_density(self.density_at(side), values, side)
        return self._with_noise(found[0], values)

    def _told(self: Any, shares: Array, log_density: Array) -> Array:
        """Return probabilities (n, K), after a warning about samples of density 0."""
        if not self.family.far_densities and np.isneginf(log_density).any():
            warn(
                "a sample is impossible under every component: its probabilities are the mixing "
                "weights",
                BayesmixWarning,
            )
        return shares

    def _with_noise(self: Any, shares: Array, values: Array) -> Array:
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
        found = self._probabilities_and_density(mixture, values, side)
        return np.ascontiguousarray(self._told(*found))

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
        return summary(self)

    def __repr__(self: Any) -> str:
        return as_text(self)

    def _repr_html_(self: Any) -> str:
        return as_html(self)


def probabilities_and_density(
    mixture: Mixture[Densities], rows: Rows, family: Family
) -> tuple[Array, Array]:
    """Return probabilities (n, K) of data in data units, and log densities (n,) in nats.

    They are densities of what was seen, for counts log P(x). Noise, if any, is the last column of
    (n, K + 1).
    """
    near, ratios = within_reach(mixture, rows, family)
    shares, log_density = mixture.responsibilities(near)
    impossible = np.isneginf(log_density)
    if mixture.noise is None and impossible.any():
        prior = np.tile(mixture.log_weights, (len(shares), 1))
        mixture.weights.allocate(prior, near)
        shares[impossible] = prior[impossible]
    log_density = beyond(mixture, near, ratios, log_density)
    if family.continuous:
        log_density = log_density - near.observation.log_volume(mixture, near)
    return shares, log_density


def within_reach(
    mixture: Mixture[Densities], rows: Rows, family: Family
) -> tuple[Rows, Array | None]:
    """Return samples whose squares do not overflow, and their ratios (n,) of distances, at most 1.

    Farther ones are moved towards the centre. Columns of moderate values keep them: counts beside
    far measurements are part of the density. The ratios are None if all samples are near.
    """
    if not family.far_densities:
        return rows, None
    values = np.asarray(rows.values, dtype=np.float64)
    if not has_far_rows(mixture, values, family):
        return rows, None
    half_centre, half_reach = 0.5 * mixture.frame.centre, 0.5 * reach(mixture)
    half_away = 0.5 * values - half_centre  # halves, as differences may overflow
    with np.errstate(divide="ignore"):
        ratios = np.fmin.reduce(half_reach / np.abs(half_away), axis=1, initial=1.0)
    moved = 2.0 * (half_centre + ratios[:, None] * half_away)
    far = (ratios[:, None] < 1.0) & (np.abs(half_away) > half_reach / NEGLIGIBLE)
    return replace(rows, values=np.where(far, moved, values)), ratios


def beyond(
    mixture: Mixture[Densities], near: Rows, ratios: Array | None, log_density: Array
) -> Array:
    """Return log densities (n,) of the samples that ``within_reach`` moved, by their ratios."""
    side = near.side
    if ratios is None or side.measurement is not None or side.ordered or side.grouped:
        return log_density
    values = np.asarray(near.values)
    centre = mixture.frame.centre
    nearer = np.where(ratios[:, None] < 1.0, centre + (values - centre) / NEARER, values)
    nearby = mixture.responsibilities(replace(near, values=nearer))[1]
    slope = (nearby - log_density) / np.log(NEARER)
    with np.errstate(over="ignore"):
        quadratic = log_density / ratios**2
    of_powers = log_density + slope * np.log(ratios)
    return np.where(log_density < QUADRATIC, quadratic, of_powers)


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
    centre, limit = mixture.frame.centre, reach(mixture)
    return centre - limit, centre + limit


def log_density(
    mixture: Mixture[Densities],
    values: Array,
    family: Family,
    side: SideInformation = NO_SIDE_INFORMATION,
) -> Array:
    """Return log p(x) (n,) of the observed cells in nats and data units; for counts log P(x)."""
    return probabilities_and_density(mixture, Rows(values, side=side), family)[1]


def reach(mixture: Mixture[Densities]) -> Array:
    """Return the distances (D,) from the centre within which squared distances are finite."""
    frame, components = mixture.frame, cast("FarDensities", mixture.components)
    largest = max(1.0, float(np.abs(components.precision_root).max()))
    return LONGEST / (4.0 * frame.n_directions * largest) * frame.scale


def at_any_distance(family: Family, mixture: Mixture, rows: Rows) -> Assessment:
    """Return the assessment of a chunk at any distance."""
    near, ratios = within_reach(mixture, rows, family)
    assessment = AssessmentStep(mixture)(near)
    if ratios is None:
        return assessment
    at_hand = mixture.responsibilities(near)[1]
    far = np.flatnonzero((ratios < 1.0) & (rows.weights_or_ones > 0.0))
    more = (beyond(mixture, near, ratios, at_hand) - at_hand)[far] @ rows.weights_or_ones[far]
    return replace(assessment, log_likelihood=assessment.log_likelihood + float(more))


# Label of noise.
NOISE = -1


def most_probable(shares: Array, n_components: int) -> Integers:
    """Return the most probable component (n,), -1 for noise, the last of (n, K + 1)."""
    most: Integers = shares.argmax(axis=1)
    return most if shares.shape[1] == n_components else np.where(most < n_components, most, NOISE)
