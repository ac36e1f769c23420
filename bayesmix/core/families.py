"""L1: a family of component densities as a protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from bayesmix.core.coding import Coding
from bayesmix.core.components import Components, DrawnComponents, PointComponents, Statistics
from bayesmix.core.engines import Guard
from bayesmix.core.priors import Prior
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.numerics.arrays import Array, Integers, Stored

S = TypeVar("S", contravariant=True)  # a family's own statistics
P = TypeVar("P", contravariant=True)  # densities at a point


class FamilyOf(Protocol[S, P]):
    """A family of component densities: the one file that knows all of it."""

    @property
    def name(self) -> str: ...

    @property
    def continuous(self) -> bool:
        """Whether columns are, so that densities change with their units."""
        ...

    @property
    def coding(self) -> Coding | None:
        """What the codes of its columns stand for, where values do not stand for themselves."""
        ...

    @property
    def any_real(self) -> bool:
        """Whether every finite number will do, so that no row has to be looked at."""
        ...

    @property
    def drawn_columns(self) -> int:
        """Over how many columns together a density is drawn: 2, of counts 1 (bars).

        0 where a column shows nothing of the components.
        """
        ...

    @property
    def least(self) -> float:
        """Below which there are no values: where the axes of figures begin at the latest."""
        ...

    @property
    def linear(self) -> bool:
        """Whether its components are ``LinearComponents``.

        Where they are not, updates raise ``DegenerateFitError`` if a component collapses.
        """
        ...

    @property
    def far_densities(self) -> bool:
        """Whether its densities are ``FarDensities``; otherwise theirs are sound at any row."""
        ...

    @property
    def takes_gaps(self) -> bool:
        """Whether its components are ``Incomplete`` and ``Filling``, and its statistics start."""
        ...

    def made(self, components: Components) -> bool:
        """Whether components are of this very family, and of its structure where it has several."""
        ...

    def marginal(self, columns: Integers) -> Family:
        """The family of some of the columns."""
        ...

    @property
    def truncates(self) -> bool:
        """Whether its linear forms are ``Truncating``: rows know the nearest of many components."""
        ...

    @property
    def heavy_tails(self) -> bool:
        """Whether far rows belong to clusters, so that no start is to begin at one of them."""
        ...

    @property
    def keeps_zeros(self) -> bool:
        """Whether a probability of 0 stays 0 from pass to pass: starts then avoid it."""
        ...

    @property
    def own_directions(self) -> int | None:
        """Along how few directions a component lies, where starts are to see these; None: all."""
        ...

    @property
    def has_posterior(self) -> bool:
        """Whether there are variational fits of it, so that it has a bound and an evidence."""
        ...

    @property
    def rearranged(self) -> bool:
        """Whether a search may split, merge and exchange components by their statistics."""
        ...

    def linear_is_faster(self, n_features: int) -> bool:
        """Whether the linear form takes less time than the centred one."""
        ...

    def check(self, values: Stored, first: int = 0) -> None:
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
        statistics: S,
        previous: P | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> PointComponents: ...

    def feasible(self, statistics: S) -> bool:
        """Whether rows could have these statistics: extrapolated ones need not."""
        ...

    def reference_prior(self, summary: Summary, frame: Frame) -> Prior:
        """The default prior of variational Bayes."""
        ...

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> Prior:
        """The default prior of maximum a posteriori: nothing singular, nothing at an edge."""
        ...

    def as_draws(self, points: Sequence[P]) -> DrawnComponents:
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


# Of any family, as in ``components``.
Family: TypeAlias = FamilyOf[Any, Any]
