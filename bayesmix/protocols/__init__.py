"""L1: the vocabulary of the core, as protocols.

A mixture is fitted by one loop: rows -> expected log density -> responsibilities -> statistics ->
ordered sum -> update. These are the nouns of that sentence that come in several kinds; DESIGN
section 3 says what each can do; where rows come from is in ``protocols.source``. The records that
they exchange are in ``records``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import numpy as np

from bayesmix.numerics.arrays import Array, Integers
from bayesmix.protocols.source import InMemory, Source
from bayesmix.records import Event, Expectation, Frame, Known, Mixture, Repair, Summary, Sweep

__all__ = [
    "CompiledCentred",
    "Components",
    "Family",
    "Guard",
    "InMemory",
    "Linear",
    "Objective",
    "Posterior",
    "Prior",
    "PriorChoice",
    "Source",
    "Statistics",
    "Weights",
    "WeightsPrior",
]


class Statistics(Protocol):
    """Expected sufficient statistics of K components: additive over rows."""

    def __add__(self, other: Self) -> Self: ...

    @property
    def shared(self) -> bool:
        """Whether components have sums in common, so that some of them cannot be told apart."""
        ...

    def scaled(self, factor: float) -> Self: ...

    def subset(self, keep: Integers) -> Self:
        """Those of some components that have all rows: the others are empty."""
        ...

    @staticmethod
    def joined(parts: Sequence[Any]) -> Any:
        """Those of all components of several."""
        ...

    def merged(self, first: int, second: int) -> Self:
        """Those of K - 1 components: ``second`` added to ``first`` and left out."""
        ...

    def split(self, k: int, halves: Any) -> Self:
        """Those of K + 1 components: two in the place of component k, the second at the end."""
        ...

    def exchanged(self, keep: Integers, others: Any) -> Self:
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


class Posterior(Components, Protocol):
    """q(θ), or p(θ | X, Z): components averaged over it, and draws from it (``sampling``)."""

    def draws(self, n_draws: int, generator: np.random.Generator) -> Any:
        """Independent draws; their ``components`` are all densities, those of a draw together."""
        ...

    def coordinates(self) -> Any:
        """q(θ) in coordinates of unit variance, as linear response needs it."""
        ...

    def log_factors(self, draws: Any) -> tuple[Array, Array]:
        """log q(θ) of S draws in parts: what all components share (S,), and (S, J, K).

        Entry (j, k) of the latter is the log density of the drawn component k under factor j.
        """
        ...


class Linear(Protocol):
    """Log densities that are linear in features of the row: ``components.linear``.

    One E-step then is one matrix product in each direction: coefficients (K, F) times features
    (F, n), and responsibilities times features. ``loss`` bounds what cancellation can cost.
    """

    def features(self, values: Array) -> Array:
        """Features (F, n) of framed rows; the first is 1."""
        ...

    @property
    def coefficients(self) -> Array: ...

    @property
    def kind(self) -> int:
        """Which features these are: one of ``numerics.features``."""
        ...

    def from_sums(self, sums: Array) -> Statistics:
        """Statistics from Σ_n r_nk φ(x_n) (K, F)."""
        ...

    def near(self, log_weights: Array) -> Array:
        """How near component k is to j, about in nats (K, K): what it may take of j's rows."""
        ...

    def loss(self, statistics: Any, most: float = 0.0) -> float:
        """Bound on the rounding error of Σ w log p(x) computed through the features, in nats.

        A rough bound is enough where it is no more than ``most``.
        """
        ...


class CompiledCentred(Linear, Protocol):
    """Linear forms of which the centred form has a compiled twin as well."""

    def centred_pass(
        self, values: Any, weights: Array, frame: Frame, log_weights: Array, known: Known
    ) -> tuple[Sweep, Any]:
        """Sums over rows as stored that know some of the components, and their statistics."""
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

    def draws(self, n_draws: int, generator: np.random.Generator) -> Any:
        """Independent draws, with ``log_weights`` (S, K)."""
        ...

    def log_density_of(self, draws: Any) -> Array:
        """log q(π) (S,) of draws, in the coordinates of its kind: 0 at a point."""
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

    def log_density_of(self, draws: Any) -> Array:
        """log p(π) (S,) of draws, in the coordinates of their kind."""
        ...

    def pymc_distribution(self, pm: Any, q: Any, n_components: int) -> Any:
        """K weights declared in a PyMC model, what is not drawn as in ``q``: a twin of draws."""
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

    def log_density_of(self, draws: Any) -> Array:
        """log p(θ) (S,) of draws, what is learned of the prior integrated out or known."""
        ...

    def pymc_distribution(self, pm: Any, q: Any, n_components: int) -> Any:
        """K components declared in a PyMC model, what is not drawn as in ``q``: a twin of draws.

        It has log densities of rows, tensors in data units by name, and what draws are made of.
        """
        ...

    def conditional(self, statistics: Any, last: Any, generator: np.random.Generator) -> Posterior:
        """p(θ | X, Z) at hard assignments: a step of Gibbs sampling after the ``last`` draw.

        Raises ``DegenerateFitError`` where a learned scale vanishes.
        """
        ...

    def unframed(self, frame: Frame) -> Self:
        """From a frame into the data's coordinates."""
        ...


class PriorChoice(Protocol):
    """What a user says of the prior, in data units; what is not said is the default."""

    @property
    def fixes_scale(self) -> bool:
        """Whether the prior alone keeps every variance away from zero."""
        ...

    def over(self, default: Any, frame: Frame) -> Prior: ...


class Family(Protocol):
    """A family of component densities: the one file that knows all of it."""

    @property
    def name(self) -> str: ...

    @property
    def continuous(self) -> bool:
        """Whether columns are, so that densities change with their units."""
        ...

    @property
    def drawn_columns(self) -> int:
        """Over how many columns together a density is drawn: 2, of counts 1 (bars).

        0 where a column shows nothing of the components.
        """
        ...

    @property
    def linear(self) -> bool:
        """Whether its components are ``Linear``."""
        ...

    @property
    def centred_kernel(self) -> bool:
        """Whether its components have a compiled pass of the centred form."""
        ...

    def linear_is_faster(self, n_features: int) -> bool:
        """Whether, compiled, the linear form takes less time than the centred one."""
        ...

    def check(self, values: Any, first: int = 0) -> None:
        """Raise ``InvalidInputError`` if the family cannot produce these values.

        ``first`` is the number of the first of these rows, so that the message names the right one.
        """
        ...

    def frame(self, summary: Summary) -> Frame: ...

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """The frame without directions in which all rows agree, and events that name them."""
        ...

    def statistics(self, values: Array, responsibilities: Array) -> Statistics: ...

    def maximum_likelihood(
        self,
        statistics: Any,
        previous: Any = None,
        resolution: Any = None,
        frame: Frame | None = None,
    ) -> Components: ...

    def feasible(self, statistics: Any) -> bool:
        """Whether rows could have these statistics: extrapolated ones need not."""
        ...

    def reference_prior(self, summary: Summary, frame: Frame) -> Prior:
        """The default prior of variational Bayes."""
        ...

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> Prior:
        """The default prior of maximum a posteriori: nothing singular, nothing at an edge."""
        ...

    def as_draws(self, points: Sequence[Any]) -> Any:
        """Mixtures at points as draws."""
        ...

    def n_parameters(self, n_components: int, n_features: int) -> int: ...

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """The largest K for which maximum likelihood is defined, or None for no limit."""
        ...

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> Guard:
        """What watches for collapsing components in fits to these rows.

        ``repair``: a collapsed component may be moved elsewhere (maximum likelihood).
        """
        ...


class Guard(Protocol):
    """Watches updated mixtures before they are used, and the only one who may change them."""

    @property
    def resolution(self) -> Any:
        """Variance below which the rows say nothing, for all components from the start, or None."""
        ...

    def examine(
        self, mixture: Mixture, resolution: Any, events: tuple[Event, ...], thorough: bool
    ) -> Repair | None:
        """None where no component has collapsed; ``events`` are those of the run so far."""
        ...


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
