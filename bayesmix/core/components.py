"""L1: component densities as protocols: at a point, averaged over a posterior, drawn from one.

What a method takes of one family's own (its statistics, its draws) is a type parameter, which
``conformance`` fills in: ``PosteriorOf[PoissonDraws]``. Upper floors hold a ``Posterior`` of any
family; that they hand it statistics and draws of the same family is their business.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field
from typing import Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from bayesmix.core.rows import Frame, Spread
from bayesmix.numerics.arrays import Array, Booleans, Integers

S = TypeVar("S", contravariant=True)  # a family's own statistics
D = TypeVar("D", contravariant=True)  # its own draws

# Parameters in data units by name: what their axes after the first stand for, and their values.
Named: TypeAlias = dict[str, tuple[tuple[str, ...], Array]]


class Additive(Protocol):
    """What a pass adds up over rows: statistics, or what they are made of."""

    @property
    def counts(self) -> Array:
        """Σ w r (K,)."""
        ...

    def __add__(self, other: Self) -> Self: ...


class Statistics(Additive, Protocol):
    """Expected sufficient statistics of K components: additive over rows."""

    @property
    def shared(self) -> bool:
        """Whether components have sums in common, so that some of them cannot be told apart."""
        ...

    def scaled(self, factor: float) -> Self: ...

    def subset(self, keep: Integers) -> Self:
        """Those of some components that have all rows: the others are empty."""
        ...

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Those of all components of several."""
        ...

    def merged(self, first: int, second: int) -> Self:
        """Those of K - 1 components: ``second`` added to ``first`` and left out."""
        ...

    def split(self, k: int, halves: Self) -> Self:
        """Those of K + 1 components: two in the place of component k, the second at the end."""
        ...

    def exchanged(self, keep: Integers, others: Self) -> Self:
        """Those of the components ``keep``, then others in the place of the rest."""
        ...

    def pack(self) -> Array:
        """The statistics as one vector in which extrapolation makes sense."""
        ...

    def units(self) -> Array | float:
        """What entries of ``pack`` are multiplied by, so that no path depends on their units."""
        ...

    def unpack(self, vector: Array) -> Self:
        """The statistics that ``pack`` to ``vector``."""
        ...


# Log densities (n, K) of rows with gaps, and what makes statistics of responsibilities.
Seen: TypeAlias = tuple[Array, Callable[[Array], Statistics]]


class Densities(Protocol):
    """K log densities in a frame."""

    @property
    def n_components(self) -> int: ...

    def expected_log_density(self, values: Array) -> Array:
        """E[log p(x | θ_k)] (n, K), exact and free of cancellation: the centred form."""
        ...


class Incomplete(Densities, Protocol):
    """Densities that say what they do of rows with gaps."""

    @property
    def patterned(self) -> Booleans:
        """Which columns (D,) are dense together: rows are looked at by patterns of gaps in these.

        Of the others factors are left out, cell by cell.
        """
        ...

    def seen_in(self, columns: Integers) -> Densities:
        """log ∫ exp E[log p(x | θ_k)] over all but these columns, of rows that have these.

        Among them all that are not ``patterned``, in which rows still may have gaps.
        """
        ...


class Filling(Densities, Protocol):
    """Densities that draw what rows do not have."""

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Framed rows with their gaps drawn from the components ``labels``, given the rest."""
        ...


class Components(Densities, Protocol):
    """All that an E-step needs of K densities."""

    def statistics(self, values: Array, responsibilities: Array) -> Statistics:
        """Statistics of framed rows; responsibilities (n, K) carry the row weights."""
        ...

    def subset(self, keep: Integers) -> Self: ...


class LinearComponents(Components, Protocol):
    """Components whose log densities are linear in features: a capability, ``Family.linear``."""

    @property
    def linear(self) -> Linear:
        """Their linear forms; raises ``DegenerateFitError`` where one has collapsed."""
        ...


class FarDensities(Densities, Protocol):
    """Log densities of rows so far away that squares of distances are no doubles.

    A capability: ``Family.far_densities``.
    """

    @property
    def precision_root(self) -> Array:
        """What distances are multiplied by, in blocks."""
        ...

    def beyond(self, units: Array, exponent: int) -> tuple[Array, Array | float]:
        """Log density (n, K) of framed rows ``units`` times 2^exponent, and what to add (n,)."""
        ...


class LinearOf(Components, Protocol[S]):
    """Log densities that are linear in features of the row: ``components.linear``.

    One E-step then is one matrix product in each direction: coefficients (K, F) times features
    (F, n), and responsibilities times features. ``loss`` bounds what cancellation can cost.
    """

    def features(self, values: Array, out: Array | None = None) -> Array:
        """Features (F, n) of framed rows, in ``out`` where it is given; the first is 1."""
        ...

    @property
    def coefficients(self) -> Array: ...

    @property
    def kind(self) -> int:
        """Which features these are: one of ``numerics.features``."""
        ...

    def from_sums(self, sums: Array, /) -> Statistics:
        """Statistics from Σ_n r_nk φ(x_n) (K, F)."""
        ...

    def near(self, log_weights: Array) -> Array:
        """How near component k is to j, about in nats (K, K): what it may take of j's rows."""
        ...

    def expected_log_likelihood(self, statistics: S) -> float:
        """Σ_k Σ_n r_nk E[log p(x_n | θ_k)] from statistics, less what no parameter touches."""
        ...

    def loss(self, statistics: S, most: float = 0.0) -> float:
        """Bound on the rounding of Σ w log p(x); a rough one where it is at most ``most``."""
        ...


class CompletingOf(LinearOf[S], Protocol[S]):
    """Linear forms that say what they do of rows with gaps, and what they expect of these."""

    @property
    def dense(self) -> bool:
        """Whether all columns depend on one another: a ``ByPattern`` form."""
        ...

    def seen(self, values: Array) -> Seen:
        """log ∫ exp(.) (n, K) over what framed rows lack, and what makes statistics of them.

        These are of all columns: gaps are what is expected of them, or are not counted.
        """
        ...

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        """Framed rows with gaps drawn where they are counted; others stay."""
        ...


class ByPatternOf(CompletingOf[S], Protocol[S]):
    """Forms of which rows with the same gaps have one of their own, in their columns."""

    def completed(self, columns: Integers, sums: S) -> Statistics:
        """Statistics of rows that have only these columns, from those of the columns."""
        ...


class TruncatingOf(LinearOf[S], Protocol[S]):
    """Linear forms of which rows may know a few only: a capability, ``Family.truncates``."""

    def local(self, anchors: Integers, candidates: Integers) -> tuple[Self, Array]:
        """Forms of candidates (P, G) over rows less the places (P, D) of anchors (P,)."""
        ...

    def gathered(self, sums: Array, components: Integers, places: Array) -> Additive:
        """What K components have, of sums of features (P G, F) of ``components`` (P G,)."""
        ...


class FittedComponents(Components, Protocol):
    """What an update makes: densities at a point, or averaged over q(θ)."""

    @property
    def means(self) -> Array:
        """E[x | k] (K, D)."""
        ...

    def released(self) -> Self:
        """Without what held them during the run."""
        ...

    def unframed(self, frame: Frame) -> Self:
        """From a frame into the data's coordinates."""
        ...

    def plug_in(self) -> PointComponents:
        """The point that summarises q(θ): what plug-in criteria are computed at."""
        ...

    def predictive(self) -> Predictive:
        """p(x | k, data): parameters integrated out."""
        ...


class Predictive(Densities, Protocol):
    """Densities that are asked what they say of some columns, and drawn from."""

    @property
    def means(self) -> Array:
        """E[x | k] (K, D)."""
        ...

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D), NaN where there are none."""
        ...

    def marginal(self, columns: Integers) -> Predictive:
        """The densities of some columns, the others integrated out."""
        ...

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Predictive:
        """The densities of ``columns`` where those ``given`` have these values (G,)."""
        ...

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | x_given, k] (n, K, C) for rows of the given columns (n, G)."""
        ...

    def unframed(self, frame: Frame) -> Self:
        """From a frame into the data's coordinates."""
        ...

    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order."""
        ...


class PointComponents(FittedComponents, Predictive, Protocol):
    """K densities at a point θ."""

    @property
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D)."""
        ...


class PosteriorOf(FittedComponents, Protocol[D]):
    """q(θ), or p(θ | X, Z): components averaged over it, and draws from it (``sampling``)."""

    @property
    def expected_totals(self) -> Array:
        """E[t(x) | k] (K, F): means, of levels probabilities (codes have no order)."""
        ...

    def draws(self, n_draws: int, generator: np.random.Generator) -> DrawnComponents:
        """Independent draws."""
        ...

    def coordinates(self) -> CoordinatesOf[D]:
        """q(θ) in coordinates of unit variance, as linear response needs it."""
        ...

    def log_factors(self, draws: D) -> tuple[Array, Array]:
        """log q(θ) of S draws in parts: what all components share (S,), and (S, J, K).

        Entry (j, k) of the latter is the log density of the drawn component k under factor j.
        """
        ...


class Record(Protocol):
    """A dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


class DrawnComponents(Record, Protocol):
    """S draws of the parameters of K components: a record of arrays that begin with S."""

    @property
    def components(self) -> Components:
        """All S K densities, those of a draw together."""
        ...

    def subset(self, keep: Integers) -> Self:
        """Some components of every draw."""
        ...

    def at(self, draw: int) -> PointComponents:
        """One of the draws as K densities at a point."""
        ...

    def parameters(self, frame: Frame) -> Named:
        """Parameters (S, ...) in data units."""
        ...


class CoordinatesOf(Protocol[D]):
    """q(θ) in P uncorrelated coordinates z of unit variance."""

    @property
    def size(self) -> int:
        """P."""
        ...

    def places(self, k: int) -> Integers:
        """What the log density of component k depends on."""
        ...

    def slopes(self, values: Array, k: int) -> Array:
        """d E[log p(x | θ_k)] / d E[z] (n, p) over ``places(k)``, for framed rows."""
        ...

    def coupling(self) -> Array | float:
        """Second derivatives (P, P) of what couples components beside the rows, or 0."""
        ...

    def parameters(self, frame: Frame) -> dict[str, Spread]:
        """Parameters in data units: their covariances with z, and their own."""
        ...

    @property
    def moved(self) -> Integers:
        """Coordinates that ``standardised`` has: the others vary as 1/n², and nothing else."""
        ...

    def standardised(self, draws: D) -> Array:
        """Draws of q in unconstrained coordinates (S, ...) that are z to first order."""
        ...

    def drawn(self, standardised: Array) -> DrawnComponents:
        """The draws that have these unconstrained coordinates."""
        ...


# Those of any family.
Linear: TypeAlias = LinearOf[Any]
Truncating: TypeAlias = TruncatingOf[Any]
Completing: TypeAlias = CompletingOf[Any]
ByPattern: TypeAlias = ByPatternOf[Any]
Posterior: TypeAlias = PosteriorOf[Any]
Coordinates: TypeAlias = CoordinatesOf[Any]
