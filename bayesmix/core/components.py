"""Protocols of component densities: point estimates, posteriors and posterior draws.

Type parameters stand for the statistics and draws of a family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field
from functools import singledispatch
from typing import Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from bayesmix.core.rows import Frame
from bayesmix.numerics.arrays import Array, Booleans, Integers
from bayesmix.numerics.distributions import ColumnDistribution

S = TypeVar("S", contravariant=True)  # statistics of a family
D = TypeVar("D", contravariant=True)  # draws of a family

# Parameters in data units by name, with the names of their axes after the first.
Named: TypeAlias = dict[str, tuple[tuple[str, ...], Array]]


class Additive(Protocol):
    """Sums over observations: statistics, or sums from which they are computed."""

    @property
    def counts(self) -> Array:
        """Σ w r (K,)."""

    def __add__(self, other: Self) -> Self: ...


class Statistics(Additive, Protocol):
    """Expected sufficient statistics of K components, additive over observations."""

    @property
    def shared(self) -> bool:
        """Whether components share sums, so that they cannot be selected exactly."""

    def scaled(self, factor: float) -> Self: ...

    def subset(self, keep: Integers) -> Self:
        """Return the statistics of some components, if the others are empty."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the components of several statistics."""

    def merged(self, first: int, second: int) -> Self:
        """Add component ``second`` to ``first`` and drop it."""

    def split(self, k: int, halves: Self) -> Self:
        """Replace component k by two, the second of them last."""

    def exchanged(self, keep: Integers, others: Self) -> Self:
        """Return the components ``keep`` followed by ``others``."""

    def pack(self) -> Array:
        """Return the statistics as a vector that may be extrapolated."""

    def units(self) -> Array | float:
        """Return factors that make the entries of ``pack`` dimensionless."""

    def unpack(self, vector: Array) -> Self:
        """Return the statistics that ``pack`` to ``vector``."""


# Log densities (n, K), and a function from responsibilities (n, K) to statistics.
DensitiesAndStatistics: TypeAlias = tuple[Array, Callable[[Array], Additive]]


class Densities(Protocol):
    """K log densities in a frame."""

    @property
    def n_components(self) -> int: ...

    def expected_log_density(self, values: Array) -> Array:
        """Return E[log p(x | θ_k)] (n, K) in centred form, free of cancellation."""


class AlongSubspace(Protocol):
    """Forms of coordinates along the basis of a frame, for samples seen in part."""

    def seen_along(self, frame: Frame, values: Array) -> DensitiesAndStatistics:
        """Return log densities (n, K) of data with missing values, and a function to statistics.

        Densities are those of the observed cells over their part beside the basis.
        """

    def filled_along(
        self,
        frame: Frame,
        values: Array,
        labels: Integers,
        generator: np.random.Generator | None,
    ) -> Array:
        """Draw missing cells in data units from components ``labels``, or expect them."""


class InSubspace(Densities, Protocol):
    """Densities of coordinates in a common subspace."""

    @property
    def of_coordinates(self) -> AlongSubspace: ...


class Incomplete(Densities, Protocol):
    """Densities that allow missing values."""

    @property
    def patterned(self) -> Booleans:
        """Dependent columns (D,), whose patterns of missing values are treated one by one.

        In the other columns the factors of missing cells are left out.
        """

    def seen_in(self, columns: Integers) -> Densities:
        """Return log ∫ exp E[log p(x | θ_k)] over all but these columns.

        ``columns`` includes those that are not ``patterned``, which may still have missing values.
        """


class Filling(Densities, Protocol):
    """Densities that can impute missing values."""

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Draw missing cells from components ``labels``, given the observed cells."""


class Components(Densities, Protocol):
    """Densities with what an E-step needs."""

    def statistics(self, values: Array, responsibilities: Array) -> Statistics:
        """Return statistics of framed data; responsibilities (n, K) include sample weights."""

    def subset(self, keep: Integers) -> Self: ...


class LinearComponents(Components, Protocol):
    """Components with log densities that are linear in features; see ``Family.linear``."""

    @property
    def linear(self) -> Linear:
        """Linear forms; raises ``DegenerateFitError`` for a collapsed component."""


class FarDensities(Densities, Protocol):
    """Log densities at distances whose squares overflow; see ``Family.far_densities``."""

    @property
    def precision_root(self) -> Array:
        """Factors of distances, in blocks."""


class LinearOf(Components, Protocol[S]):
    """Log densities that are linear in features, so that an E-step is two matrix products.

    Coefficients are (K, F), features (F, n); ``loss`` bounds the cancellation.
    """

    def features(self, values: Array, out: Array | None = None) -> Array:
        """Return features (F, n) of framed data, in ``out`` if given; the first is 1."""

    @property
    def coefficients(self) -> Array: ...

    @property
    def kind(self) -> object:
        """Kind of the features, by which those of small data are cached."""

    def from_sums(self, sums: Array, /) -> Statistics:
        """Return statistics from Σ_n r_nk φ(x_n) (K, F)."""

    def expected_log_likelihood(self, statistics: S) -> float:
        """Return Σ_k Σ_n r_nk E[log p(x_n | θ_k)] from statistics, without constants."""

    def loss(self, statistics: S, most: float = 0.0) -> float:
        """Return a bound on the rounding of Σ w log p(x); a rough one if it is at most ``most``."""


class CompletingOf(LinearOf[S], Protocol[S]):
    """Linear forms that allow missing values and compute their expectations."""

    @property
    def dense(self) -> bool:
        """Whether all columns are dependent: a ``ByPattern`` form."""

    def seen(self, values: Array) -> DensitiesAndStatistics:
        """Return log ∫ exp(.) (n, K) over missing cells, and a function to statistics.

        Missing cells enter the statistics by their expectations, or are not counted.
        """

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        """Draw missing cells where they are counted in statistics."""


class ByPatternOf(CompletingOf[S], Protocol[S]):
    """Forms that treat each pattern of missing values in its observed columns."""

    def completed(self, columns: Integers, sums: S) -> Statistics:
        """Return statistics of all columns from those of the observed ones."""


class FittedComponents(Components, Protocol):
    """Components of a fit: densities at a point, or averaged over q(θ)."""

    @property
    def means(self) -> Array:
        """E[x | k] (K, D)."""

    def released(self) -> Self:
        """Drop what the run added to avoid collapse."""

    def unframed(self, frame: Frame) -> Self:
        """Transform from a frame to data coordinates."""

    def plug_in(self) -> PointComponents:
        """Return the point estimate that summarises q(θ), used by criteria."""

    def predictive(self) -> Predictive:
        """Return p(x | k, data), with parameters integrated out."""


class Predictive(Densities, Protocol):
    """Densities with marginals, conditionals and draws."""

    @property
    def means(self) -> Array:
        """E[x | k] (K, D)."""

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D), NaN where undefined."""

    def marginal(self, columns: Integers) -> Predictive:
        """Return the marginal densities of some columns."""

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Predictive:
        """Return the densities of ``columns`` given values (G,) of the columns ``given``."""

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """Return E[x_columns | x_given, k] (n, K, C) for values of the given columns (n, G)."""

    def unframed(self, frame: Frame) -> Self:
        """Transform from a frame to data coordinates."""

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """Draw counts_k observations of each component, in component order."""


class PointComponents(FittedComponents, Predictive, Protocol):
    """K densities at a point θ."""

    @property
    def deviations(self) -> Array:
        """Standard deviation of each column (K, D)."""


@singledispatch
def elliptical(components: Any) -> tuple[Any, Array]:
    """Return densities in coordinates in which they are about elliptical, and scales (K, D, D)."""
    return components, components.covariances


class OfOneColumn(PointComponents, Protocol):
    """K densities of one continuous column at a point."""

    @property
    def distribution(self) -> ColumnDistribution: ...


class PosteriorOf(FittedComponents, Protocol[D]):
    """q(θ), or p(θ | X, Z): averaged components, and draws of them."""

    def draws(self, n_draws: int, generator: np.random.Generator) -> DrawnComponents:
        """Return independent draws."""

    def log_factors(self, draws: D) -> tuple[Array, Array]:
        """Return log q(θ) of S draws: a shared part (S,) and factors (S, J, K).

        Entry (j, k) of the latter is the log density of the drawn component k under factor j.
        """


class Record(Protocol):
    """A dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class DrawnComponents(Record, Protocol):
    """S draws of the parameters of K components, as arrays with first axis S."""

    @property
    def components(self) -> Components:
        """All S K densities, grouped by draw."""

    def subset(self, keep: Integers) -> Self:
        """Select components in each draw."""

    def at(self, draw: int) -> PointComponents:
        """Return a draw as K densities at a point."""

    def parameters(self, frame: Frame) -> Named:
        """Return parameters (S, ...) in data units."""


# Protocols for any family.
Linear: TypeAlias = LinearOf[Any]
Completing: TypeAlias = CompletingOf[Any]
ByPattern: TypeAlias = ByPatternOf[Any]
Posterior: TypeAlias = PosteriorOf[Any]
