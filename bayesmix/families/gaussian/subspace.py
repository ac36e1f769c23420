"""Gaussian components in a common subspace, for many columns that a few directions tie together.

(x - m) / ψ = V z + e: components differ in z, the q coordinates along orthonormal directions V, and
the rest e is one isotropic normal that all share, orthogonal to V. It is a density on all columns,
as mixtures of common factor analysers (Baek, McLachlan & Flack 2010). ψ are the deviations of the
columns about the directions, so that units do not matter, and V the leading principal directions of
the columns so scaled (principal factors; Tipping & Bishop 1999 for the rest).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from scipy.linalg import eigh

from bayesmix.core import validation
from bayesmix.core.families import FamilyOf
from bayesmix.core.rows import Event, Frame, Rows, Summary
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.gaussian.collapse import GaussianGuard, at_floor
from bayesmix.families.gaussian.covariance.models import STRUCTURES, Structure
from bayesmix.families.gaussian.family import Gaussian, Gaussians, maximum_likelihood
from bayesmix.families.gaussian.moments import Moments, moments
from bayesmix.families.gaussian.prior_mode import fixed_prior
from bayesmix.families.gaussian.subspace_cells import FactorPass
from bayesmix.numerics.arrays import Array, Booleans, Integers, without_gaps
from bayesmix.numerics.memo import cached

if TYPE_CHECKING:
    from bayesmix.core.sources import Source
    from bayesmix.families.gaussian.draws import GaussianDraws
    from bayesmix.families.gaussian.prior import NormalWishart

# Of more columns and observations, only the leading directions are computed, by random projections.
MANY = 1_000
# Further directions and powers of the randomised decomposition (Halko, Martinsson & Tropp 2011).
FURTHER, POWERS = 10, 6
# Rounds in which columns are scaled by what the directions leave, and the least share of a
# deviation that counts as left: a column that others explain has no noise (Heywood 1931).
SCALINGS, LEAST_LEFT = 5, 0.1
# Passes over observed cells, and the gain of log likelihood per observation that ends them.
MOST_PASSES, LEAST_GAIN = 100, 1e-4
# Passes that find moments of coordinates seen in part, from a normal this wide.
FEW_PASSES, WIDE = 20, 1e3
# Variance of the rest, relative to the columns, below which it is rounding.
LEAST_REST = 1e-12


@dataclass(frozen=True)
class CommonSubspace(FamilyOf[Moments, Gaussians]):
    """Gaussian components that differ in ``n_directions`` directions, for ``covariance_type``.

    The directions are the leading principal ones of the columns, each scaled by its deviation about
    the directions. Along them components have the structure ``covariance``; all share one isotropic
    normal of the other directions. After one decomposition a pass costs what ``n_directions``
    columns cost.

    Parameters
    ----------
    n_directions : int
        Number of directions, less than the number of columns.
    covariance : str, default="full"
        Structure of the components along the directions, as in ``GaussianMixture``.

    Examples
    --------
    >>> import numpy as np, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> z = rng.normal(size=(90, 2)) + np.repeat([[-4, 0], [4, 0], [0, 5]], 30, axis=0)
    >>> X = z @ rng.normal(size=(2, 200)) + rng.normal(size=(90, 200))
    >>> gm = bm.GaussianMixture(3, covariance_type=bm.CommonSubspace(2), random_state=0).fit(X)
    >>> gm.directions_.shape, np.bincount(gm.predict(X)).tolist()
    ((200, 2), [30, 30, 30])
    """

    n_directions: int
    covariance: str = "full"

    name = "common_subspace"
    adjective = "normal"
    title = "Gaussian in a common subspace"
    continuous = True
    linear = True
    far_densities = True
    takes_gaps = True

    def __post_init__(self) -> None:
        validation.integer("n_directions", self.n_directions, 1)
        if not isinstance(self.covariance, str):
            raise UnsupportedError(
                "covariance must name a structure of normal components along the directions, such "
                f"as 'tied', got {self.covariance!r}: Student-t and other components are not "
                "available in a common subspace"
            )
        _ = self.inside_subspace  # checks the structure

    def __repr__(self) -> str:
        structure = "" if self.covariance == "full" else f", {self.covariance!r}"
        return f"CommonSubspace({self.n_directions}{structure})"

    @cached_property
    def inside_subspace(self) -> Gaussian:
        """The family of the coordinates along the directions."""
        return Gaussian(self.covariance)

    @property
    def structure(self) -> Structure:
        return self.inside_subspace.structure

    @property
    def n_extended_directions(self) -> int:
        return self.n_directions

    @property
    def has_posterior(self) -> bool:
        return self.inside_subspace.has_posterior

    def made(self, components: Any) -> bool:
        return self.inside_subspace.made(components)

    def linear_is_faster(self, n_features: int) -> bool:
        return self.inside_subspace.linear_is_faster(n_features)

    def frame(self, summary: Summary) -> Frame:
        """Return the frame of the columns, before directions are known."""
        if self.n_directions >= summary.n_features:
            raise InvalidInputError(
                f"CommonSubspace({self.n_directions}) needs more columns than directions, got "
                f"{summary.n_features}: use fewer directions, or covariance_type='full'"
            )
        return Gaussian("diag").frame(summary)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Return the frame of the leading principal directions, with the variance of the rest.

        Constant columns are flat. Raises ``InvalidInputError`` if the columns vary in no more than
        ``n_directions`` directions.
        """
        key = ("subspace", self.n_directions, frame.centre.tobytes(), frame.scale.tobytes())
        return cached(source, key, lambda: (subspace(frame, source, self.n_directions), ()))

    def statistics(self, values: Array, responsibilities: Array) -> Moments:
        return self.inside_subspace.statistics(values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: Moments,
        previous: Gaussians | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> Gaussians:
        return self.inside_subspace.maximum_likelihood(statistics, previous, resolution)

    def feasible(self, statistics: Moments) -> bool:
        return self.inside_subspace.feasible(statistics)

    def reference_prior(self, summary: Summary, frame: Frame) -> NormalWishart:
        if frame.rest is None:
            raise UnsupportedError(
                f"covariance_prior is not available with {self!r}, whose directions are not those "
                "of columns: leave it out, or use covariance_type='diag'"
            )
        along = _along(frame.directions(summary.scale), summary)
        return self.inside_subspace.reference_prior(along, Frame.identity(self.n_directions))

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> NormalWishart:
        """Return the fixed prior of ``prior="auto"`` for the coordinates along the directions."""
        whole = moments_along(frame, source)
        covariance = whole.scatter[0] / whole.counts[0]
        return fixed_prior(self.structure, whole.means[0], covariance, n_components)

    def as_draws(self, points: Sequence[Gaussians]) -> GaussianDraws:
        return self.inside_subspace.as_draws(points)

    def marginal(self, columns: Integers) -> Gaussian:
        """Return the family of some columns, in which components have full covariances."""
        return Gaussian("full")

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count the parameters along the directions, and their rotation where it matters.

        ``Frame`` has those of the subspace. One component is a factor analyser.
        """
        q, letters = self.n_directions, self.structure.letters
        turned = q * (q - 1) // 2 if letters[2] == "I" and letters[1] != "I" else 0
        return turned + self.inside_subspace.n_parameters(n_components, q)

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        return self.structure.max_components(n_distinct, self.n_directions)

    def at_floor(self, components: Gaussians, resolution: Any) -> Booleans:
        return at_floor(components, resolution)

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> GaussianGuard:
        return GaussianGuard(self.structure, source, frame, summary, repair, None)


def subspace(frame: Frame, source: Source, n_directions: int) -> Frame:
    """Return the frame along the leading principal directions of the scaled columns."""
    constant = source.summary.constant
    D, n_varying = len(constant), int((~constant).sum())
    if source.summary.n_missing:  # cells to fill are at the means
        frame = replace(frame, centre=source.summary.mean)
    if n_directions >= min(n_varying, source.shape[0] - 1):
        raise InvalidInputError(
            f"CommonSubspace({n_directions}) needs more columns that vary, and more observations, "
            f"than directions, got {n_varying} columns of {source.shape[0]:,} observations"
        )
    factors = principal_factors(spectrum_of(frame, source), constant, n_directions)
    if factors.rest < LEAST_REST:
        raise InvalidInputError(
            f"the columns vary in {n_directions} directions or fewer: use fewer directions in "
            f"CommonSubspace({n_directions})"
        )
    if source.summary.n_missing:
        factors = of_observed_cells(factors, frame, source)
    basis = factors.basis
    # Signs are arbitrary: the largest coefficient of each direction is positive.
    largest = basis[np.abs(basis).argmax(axis=0), np.arange(n_directions)]
    basis = np.ascontiguousarray(basis * np.where(largest < 0.0, -1.0, 1.0))
    flat = np.eye(D)[:, constant] if constant.any() else None
    centre = frame.centre + frame.scale * factors.means
    scale = frame.scale * factors.scale
    return replace(frame, centre=centre, scale=scale, basis=basis, flat=flat, rest=factors.rest)


@dataclass(frozen=True)
class PrincipalFactors:
    """Leading directions (D, q) of columns over ``scale``, and variances along and beside them."""

    means: Array
    scale: Array
    basis: Array
    variances: Array
    rest: float


def principal_factors(
    spectrum: Spectrum, constant: Booleans, n_directions: int
) -> PrincipalFactors:
    """Return leading directions of columns that are scaled by what the directions leave."""
    deviations = np.where(constant, 1.0, np.sqrt(spectrum.variances))
    scale = deviations
    for _ in range(SCALINGS):
        values, basis = spectrum.leading(np.where(constant, 0.0, 1.0 / scale), n_directions)
        left = (deviations / scale) ** 2 - (basis * basis) @ values
        explained = scale * np.sqrt(np.maximum(left, 0.0))
        scale = np.where(constant, 1.0, np.maximum(explained, LEAST_LEFT * deviations))
    values, basis = spectrum.leading(np.where(constant, 0.0, 1.0 / scale), n_directions)
    total = float(((deviations / scale)[~constant] ** 2).sum())
    rest = (total - float(values.sum())) / (int((~constant).sum()) - n_directions)
    return PrincipalFactors(spectrum.means, scale, basis, values, rest)


def of_observed_cells(factors: PrincipalFactors, frame: Frame, source: Source) -> PrincipalFactors:
    """Return the factors of maximum likelihood for the observed cells, from such of filled ones.

    By EM (Rubin & Thayer 1982), which integrates missing cells out.
    """
    along = np.sqrt(np.maximum(factors.variances - factors.rest, factors.rest))
    step = FactorPass(
        frame,
        factors.basis * factors.scale[:, None] * along,
        factors.means,
        factors.rest * factors.scale**2,
    )
    floor, before = None, -np.inf
    for _ in range(MOST_PASSES):
        sums = source.reduce(step, 1)
        if sums.log_likelihood - before < LEAST_GAIN * source.total_weight:
            break
        before = sums.log_likelihood
        if floor is None:
            varies = LEAST_LEFT**2 * sums.squares / sums.counts
            floor = np.where(source.summary.constant, 1.0, varies)
        step = step.updated(sums, floor)
    scale = np.sqrt(step.variances)
    basis, sizes, _ = np.linalg.svd(step.loadings / scale[:, None], full_matrices=False)
    return PrincipalFactors(step.means, scale, basis, 1.0 + sizes**2, 1.0)


class Spectrum(Protocol):
    """Means and variances of columns in a frame, and their leading directions."""

    @property
    def means(self) -> Array: ...

    @property
    def variances(self) -> Array: ...

    def leading(self, factors: Array, n_directions: int) -> tuple[Array, Array]:
        """Return variances (q,) and directions (D, q) of columns times factors (D,)."""


@dataclass(frozen=True)
class OfCovariance:
    """The spectrum of a covariance matrix, of data in any source."""

    means: Array
    covariance: Array

    @property
    def variances(self) -> Array:
        return np.maximum(np.diag(self.covariance), 0.0)

    def leading(self, factors: Array, n_directions: int) -> tuple[Array, Array]:
        D = len(factors)
        scaled = self.covariance * np.multiply.outer(factors, factors)
        values, basis = eigh(scaled, subset_by_index=(D - n_directions, D - 1))
        return values[::-1], basis[:, ::-1]


@dataclass(frozen=True)
class OfValues:
    """The spectrum of weighted, centred values (n, D) in memory, of more columns than rows or many.

    By products of rows, or by random projections.
    """

    means: Array
    values: Array

    @property
    def variances(self) -> Array:
        return np.einsum("nd,nd->d", self.values, self.values)

    def leading(self, factors: Array, n_directions: int) -> tuple[Array, Array]:
        scaled, n = self.values * factors, len(self.values)
        if n <= MANY:
            products = scaled @ scaled.T
            values, vectors = eigh(products, subset_by_index=(n - n_directions, n - 1))
            basis = scaled.T @ vectors[:, ::-1]
            return values[::-1], basis / np.linalg.norm(basis, axis=0)
        from sklearn.utils.extmath import randomized_svd

        _, singular, directions = randomized_svd(
            scaled, n_directions, n_oversamples=FURTHER, n_iter=POWERS, random_state=0
        )
        return singular**2, directions.T


def spectrum_of(frame: Frame, source: Source) -> Spectrum:
    """Return the spectrum of data in a frame, by sums of products of columns if these are fewer."""
    n_rows, n_columns = source.shape
    if n_columns <= min(n_rows, MANY):
        whole = source.reduce(ColumnMoments(frame), 1)
        return OfCovariance(whole.means[0], whole.scatter[0] / whole.counts[0])
    rows = source.in_memory().rows
    weights = rows.weights_or_ones
    values, total = without_gaps(rows.framed(frame)), float(weights.sum())
    means = weights @ values / total
    values -= means  # in place, as data may fill half of the memory
    values *= np.sqrt(weights / total)[:, None]
    return OfValues(means, values)


def moments_along(frame: Frame, source: Source) -> Moments:
    """Return the moments of all coordinates along the directions of a frame.

    Of cells seen in part they are those that a few passes of EM expect under one normal.
    """
    if not source.summary.n_missing:
        return source.reduce(ColumnMoments(frame), 1)
    q = frame.n_directions
    normal = Gaussians(STRUCTURES["full"], np.zeros((1, q)), WIDE * np.eye(q)[None])
    for _ in range(FEW_PASSES):
        whole = source.reduce(ExpectedMoments(frame, normal), 1)
        normal = maximum_likelihood(STRUCTURES["full"], whole, None, None, None)
    return whole


@dataclass(frozen=True)
class ExpectedMoments:
    """Moments of coordinates that components of one normal expect, a step of a source."""

    frame: Frame
    normal: Gaussians

    def __call__(self, rows: Rows) -> Moments:
        of_shares = self.normal.linear.seen_along(self.frame, np.asarray(rows.values))[1]
        return cast("Moments", of_shares(rows.weights_or_ones[:, None]))


@dataclass(frozen=True)
class ColumnMoments:
    """Moments of all columns in a frame, a step of a source; missing cells are at its centre."""

    frame: Frame

    def __call__(self, rows: Rows) -> Moments:
        values = np.ascontiguousarray(without_gaps(rows.framed(self.frame)))
        return moments(STRUCTURES["full"], values, rows.weights_or_ones[:, None])


def _along(scale: Array, summary: Summary) -> Summary:
    """Return a summary of coordinates of such scales along directions."""
    zeros = np.zeros(len(scale))
    return replace(
        summary, centre=zeros, scale=scale, minimum=-scale, maximum=scale, gap=zeros,
        constant=np.zeros(len(scale), dtype=bool), mean=zeros, lower=-scale, upper=scale,
    )  # fmt: skip
