"""L1: the vocabulary of the core.

A mixture is fitted by one loop: rows -> expected log density -> responsibilities -> statistics ->
ordered sum -> update. These are the nouns of that sentence; DESIGN section 3 says what each can do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.numerics.logsumexp import normalise

Result = TypeVar("Result")


@dataclass(frozen=True)
class Frame:
    """Coordinates of the computation: ``(x - centre) / scale``, scale a power of two.

    Everything inside the engine happens here, so that data far from the origin or in other units
    give the same bits.
    """

    centre: Array
    scale: Array

    @classmethod
    def identity(cls, n_features: int) -> Frame:
        """The frame of the data's own coordinates."""
        return cls(np.zeros(n_features), np.ones(n_features))

    @property
    def log_volume(self) -> float:
        """log of the volume of a unit cell: log density in data units = framed - log_volume."""
        return float(np.log(self.scale).sum())

    def apply(self, values: Any) -> Array:
        """Rows (n, D) of any real type as float64 in this frame (columns contiguous)."""
        framed = np.empty(values.shape[::-1], dtype=np.float64)
        np.subtract(values.T, self.centre[:, None], out=framed)
        framed /= self.scale[:, None]
        return framed.T

    def undo(self, values: Array) -> Array:
        """Framed rows or points (..., D) in the data's coordinates."""
        return values * self.scale + self.centre


@dataclass(frozen=True)
class Rows:
    """Values (n, D) of one chunk as stored, their weights, and the index of the first."""

    values: Any
    weights: Array | None = None
    first: int = 0

    def __len__(self) -> int:
        return len(self.values)

    def blocks(self, size: int) -> list[Rows]:
        """The chunk in cache-sized pieces."""
        if len(self) <= size:
            return [self]
        return [
            Rows(
                self.values[start : start + size],
                None if self.weights is None else self.weights[start : start + size],
                self.first + start,
            )
            for start in range(0, len(self), size)
        ]


@dataclass(frozen=True)
class Summary:
    """What is known of all rows before any fit, in data units (weights are repetition counts)."""

    n_rows: int
    total_weight: float
    centre: Array  # lower median of each column, an element of the data
    scale: Array  # IQR / 1.349, the standard deviation where that is 0, 1 where all rows agree
    minimum: Array
    maximum: Array
    gap: Array  # smallest step between distinct values where values tie, else 0
    constant: Any  # (D,) bool: all rows agree
    mean: Array

    @property
    def n_features(self) -> int:
        return len(self.centre)


class Statistics(Protocol):
    """Expected sufficient statistics of K components: additive over rows."""

    def __add__(self, other: Self) -> Self: ...

    def scaled(self, factor: float) -> Self: ...

    def pack(self) -> Array:
        """The statistics as one vector in which extrapolation makes sense."""
        ...

    def unpack(self, vector: Array) -> Self:
        """The statistics that ``pack`` to ``vector``."""
        ...


class Components(Protocol):
    """K densities in a frame: at a point, or averaged over a posterior."""

    @property
    def n_components(self) -> int: ...

    def expected_log_density(self, values: Array) -> Array:
        """E[log p(x | θ_k)] (n, K), exact and free of cancellation: the centred form."""
        ...

    def statistics(self, values: Array, responsibilities: Array) -> Statistics:
        """Statistics of framed rows; responsibilities (n, K) carry the row weights."""
        ...

    def subset(self, keep: Integers) -> Self: ...


class Linear(Protocol):
    """Components whose expected log density is linear in features of the row.

    One E-step then is one matrix product in each direction: coefficients (K, F) times features
    (F, n), and responsibilities times features. ``loss`` bounds what cancellation can cost.
    """

    def features(self, values: Array) -> Array:
        """Features (F, n) of framed rows; the first is 1."""
        ...

    @property
    def coefficients(self) -> Array: ...

    def from_sums(self, sums: Array) -> Statistics:
        """Statistics from Σ_n r_nk φ(x_n) (K, F)."""
        ...

    def loss(self, statistics: Any) -> float:
        """Bound on the rounding error of Σ w log p(x) computed through the features, in nats."""
        ...


class Weights(Protocol):
    """Mixing weights: at a point, or a distribution over them."""

    @property
    def n_components(self) -> int: ...

    def expected_log(self) -> Array:
        """E[log π_k] (K,)."""
        ...

    def mean(self) -> Array:
        """E[π_k] (K,)."""
        ...

    @property
    def exchangeable(self) -> bool:
        """Whether reordering components changes nothing else."""
        ...

    def subset(self, keep: Integers, counts: Array) -> Self: ...


class WeightsPrior(Protocol):
    """How weights follow from counts: a prior, or type-II maximum likelihood."""

    @property
    def name(self) -> str: ...

    def posterior(self, counts: Array) -> Weights: ...

    def kl(self, weights: Any) -> float:
        """KL(q(π) || p(π)), 0 where weights are a free parameter."""
        ...

    def mode(self, counts: Array) -> Weights:
        """Point weights that maximise likelihood times prior density."""
        ...

    def log_density(self, weights: Any) -> float:
        """Log prior density at point weights."""
        ...

    def n_parameters(self, n_components: int) -> int: ...


class Prior(Protocol):
    """A prior over component parameters, conjugate to the family."""

    def posterior(
        self, statistics: Any, previous: Any = None, resolution: Any = None
    ) -> Components: ...

    def kl(self, posterior: Any) -> float:
        """KL(q(θ) || p(θ)) over all components, in nats."""
        ...

    def mode(self, statistics: Any, previous: Any = None, resolution: Any = None) -> Components:
        """The joint posterior mode given statistics (section 4 of the design: MAP)."""
        ...

    def log_density(self, components: Any) -> float:
        """log p(θ) at point components."""
        ...

    def unframed(self, frame: Frame) -> Self:
        """From a frame into the data's coordinates."""
        ...


class PriorChoice(Protocol):
    """What a user says of the prior, in data units; what is not said is the default."""

    def over(self, default: Any, frame: Frame) -> Prior: ...


class Family(Protocol):
    """A family of component densities: the one file that knows all of it."""

    @property
    def name(self) -> str: ...

    @property
    def continuous(self) -> bool:
        """Whether densities change with the units of the data."""
        ...

    @property
    def linear(self) -> bool:
        """Whether its components are ``Linear``."""
        ...

    def check(self, values: Any) -> None:
        """Raise ``InvalidInputError`` if the family cannot produce these values."""
        ...

    def frame(self, summary: Summary) -> Frame: ...

    def statistics(self, values: Array, responsibilities: Array) -> Statistics: ...

    def maximum_likelihood(
        self,
        statistics: Any,
        previous: Any = None,
        resolution: Any = None,
        frame: Frame | None = None,
    ) -> Components: ...

    def reference_prior(self, summary: Summary, frame: Frame) -> Prior:
        """The default prior of variational Bayes."""
        ...

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> Prior:
        """The default prior of maximum a posteriori: nothing singular, nothing at an edge."""
        ...

    def n_parameters(self, n_components: int, n_features: int) -> int: ...

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """The largest K for which maximum likelihood is defined, or None for no limit."""
        ...

    def guard(self, source: Any, frame: Frame, summary: Summary, repair: bool) -> Guard:
        """What watches for collapsing components in fits to these rows.

        ``repair``: a collapsed component may be moved elsewhere (maximum likelihood).
        """
        ...


@dataclass(frozen=True)
class Mixture:
    """Weights and components, in a frame: all that the E-step needs."""

    weights: Any
    components: Any
    frame: Frame

    @property
    def n_components(self) -> int:
        return int(self.components.n_components)

    def subset(self, keep: Integers, counts: Array) -> Mixture:
        """The mixture of some components, in the order given."""
        return replace(
            self,
            weights=self.weights.subset(keep, counts[keep]),
            components=self.components.subset(keep),
        )

    def log_joint(self, values: Array) -> Array:
        """E[log π_k] + E[log p(x | θ_k)] (n, K) of framed rows, centred form."""
        joint: Array = self.components.expected_log_density(values)
        joint += self.weights.expected_log()
        return joint

    def responsibilities(self, values: Array) -> tuple[Array, Array]:
        """Responsibilities (n, K) and log normaliser (n,) of framed rows."""
        joint = self.log_joint(values)
        log_normaliser = normalise(joint)
        return joint, log_normaliser


@dataclass(frozen=True)
class Expectation:
    """The sums of one E-step: all that an update may see."""

    log_normaliser: float  # Σ w l, framed
    magnitude: float  # Σ w (1 + |l|): the unit of rounding
    counts: Array  # (K,) Σ w r
    statistics: Any

    def __add__(self, other: Expectation) -> Expectation:
        return Expectation(
            self.log_normaliser + other.log_normaliser,
            self.magnitude + other.magnitude,
            self.counts + other.counts,
            self.statistics + other.statistics,
        )


@dataclass(frozen=True)
class Event:
    """Something that happened in a run and that a person may want to know."""

    kind: str  # "relocated", "held", "flat", "pruned", "centred form", "split", "merged", ...
    message: str
    at_pass: int = 0
    components: tuple[int, ...] = ()
    rows: tuple[int, ...] = ()
    gain: float | None = None

    @property
    def text(self) -> str:
        """The message, with the components by their present numbers for ``{which}``."""
        if len(self.components) == 1:
            which = f"component {self.components[0]}"
        elif self.components:
            which = f"components {', '.join(map(str, self.components))}"
        else:
            which = "a component that is no longer there"
        return self.message.replace("{which}", which)


@dataclass(frozen=True)
class Repair:
    """What a guard asks for: an update at another resolution, or another mixture altogether."""

    events: tuple[Event, ...]
    resolution: Any
    mixture: Mixture | None = None


class Guard(Protocol):
    """Watches updated mixtures before they are used, and the only one who may change them."""

    @property
    def resolution(self) -> Any:
        """Variance below which the rows say nothing, for all components from the start, or None."""
        ...

    @property
    def events(self) -> tuple[Event, ...]:
        """What is known of the rows before any fit: directions without extent."""
        ...

    def examine(
        self, mixture: Mixture, resolution: Any, events: tuple[Event, ...], thorough: bool
    ) -> Repair | None:
        """None where no component has collapsed; ``events`` are those of the run so far."""
        ...


@dataclass(frozen=True)
class NoGuard:
    """For families whose likelihood is bounded."""

    resolution: None = None
    events: tuple[Event, ...] = ()

    def examine(
        self, mixture: Mixture, resolution: Any, events: tuple[Event, ...], thorough: bool
    ) -> Repair | None:
        """Nothing to see."""
        return None


class Objective(Protocol):
    """What is maximised: likelihood, posterior density or evidence bound."""

    @property
    def name(self) -> str: ...

    @property
    def variational(self) -> bool:
        """Whether components are a posterior, so that pruning and predictives make sense."""
        ...

    def update(
        self, expectation: Expectation, previous: Mixture | None, frame: Frame, resolution: Any
    ) -> Mixture:
        """The M-step: the mixture that maximises the objective at fixed responsibilities."""
        ...

    def regulariser(self, mixture: Mixture) -> float:
        """0, the log prior, or minus the KL divergences; added to Σ w log normaliser."""
        ...


class Source(Protocol):
    """Where rows come from: the only one who knows of chunks, threads or workers."""

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def total_weight(self) -> float: ...

    @property
    def summary(self) -> Summary: ...

    def reduce(self, step: Callable[[Rows], Any], width: int) -> Any:
        """Σ over chunks of ``step(rows)``, summed in a fixed tree; ``width`` is K."""
        ...

    def map(self, step: Callable[[Rows], Any], width: int) -> Any:
        """Per-row output of every chunk, in the order of the rows."""
        ...

    def subset(self, rows: Any) -> Source: ...

    def sample(self, n: int, generator: np.random.Generator) -> Source:
        """At most n rows drawn without replacement (all of them where there are fewer)."""
        ...
