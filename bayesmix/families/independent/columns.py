"""Components whose columns are independent: at a point, under a posterior, drawn; and their family.

What is written here is the same for every such family. Arrays are (K, D), those of draws (S, K, D),
so that what is said of some components or columns is said of every field alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import Field, dataclass, fields, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from bayesmix.core.components import Coordinates, Densities, Named, PointComponents, Predictive
from bayesmix.core.engines import Whole
from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError
from bayesmix.families.defaults import FamilyDefaults
from bayesmix.families.independent.linear import (
    LinearInTotals,
    Reading,
    SeenColumns,
    SeenTotals,
    Sums,
    filled,
    sums,
    sums_of_seen,
    totals_of_seen,
)
from bayesmix.numerics.arrays import Array, Booleans, Integers, Stored, diagonal_matrices
from bayesmix.numerics.features import COUNTS, TOTALS
from bayesmix.numerics.gaps import has_gaps, seen, without_gaps

P = TypeVar("P", bound="PointColumns")
Q = TypeVar("Q", bound="PosteriorColumns")


class ByComponent(ABC):
    """A frozen record of which every array has an axis of components."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def picked(self, *places: Any) -> Self:
        """Every array at the same places."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {name: one[places] for name, one in named.items() if isinstance(one, np.ndarray)}
        return replace(self, **arrays)

    def subset(self, keep: Integers) -> Self:
        """Some of the components, in the order given."""
        return self.picked(keep)


class ColumnsOfComponents(ByComponent):
    """K densities of independent columns, in the data's own coordinates: known, or under q."""

    @property
    @abstractmethod
    def means(self) -> Array:
        """E[x | k] (K, D)."""

    @property
    def n_components(self) -> int:
        return len(self.means)

    @property
    def patterned(self) -> Booleans:
        """No column: none depends on others, given the component."""
        return np.zeros(self.means.shape[1], dtype=bool)

    def unframed(self, frame: Frame) -> Self:
        return self


class Columns(ColumnsOfComponents):
    """K densities of independent columns."""

    @property
    @abstractmethod
    def deviations(self) -> Array:
        """Standard deviation of every column (K, D)."""

    @abstractmethod
    def expected_log_density(self, values: Array) -> Array:
        """log p(x | k) (n, K)."""

    @abstractmethod
    def draw(self, counts: Integers, generator: np.random.Generator) -> Array:
        """counts_k rows of every component, in component order."""

    def seen_in(self, columns: Integers) -> Densities:
        """Without the factors of gaps."""
        return SeenColumns(self)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Rows with their gaps drawn from the components ``labels``."""
        return filled(self, values, labels, generator)

    @property
    def covariances(self) -> Array:
        """Covariance matrices (K, D, D): given the component, columns are independent."""
        return diagonal_matrices(self.deviations**2)

    def marginal(self, columns: Integers) -> Self:
        """The densities of some columns."""
        return self.picked(slice(None), columns)

    def conditional(self, columns: Integers, given: Integers, values: Array) -> Self:
        """The densities of ``columns``: given the component, columns are independent."""
        return self.marginal(columns)

    def conditional_means(self, columns: Integers, given: Integers, values: Array) -> Array:
        """E[x_columns | k] (n, K, C), whatever the given values (n, G) are."""
        own = self.means[:, columns]
        return np.broadcast_to(own, (len(values), *own.shape))


class PointColumns(Columns):
    """K densities at a point θ."""

    @property
    @abstractmethod
    def linear(self) -> LinearInTotals:
        """log p(x | θ_k), linear in what is read of a row."""

    @property
    def expected_totals(self) -> Array:
        """E[t(x) | k] (K, F)."""
        return self.means

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Counts and totals."""
        return self.linear.statistics(values, responsibilities)

    def released(self) -> Self:
        return self

    def plug_in(self) -> Self:
        return self

    def predictive(self) -> Self:
        return self


class PosteriorColumns(ColumnsOfComponents):
    """q(θ) = Π q(θ_kd)."""

    @property
    def expected_totals(self) -> Array:
        """E[t(x) | k] (K, F)."""
        return self.means

    @property
    @abstractmethod
    def linear(self) -> LinearInTotals:
        """E[log p(x | θ_k)], linear in what is read of a row."""

    @abstractmethod
    def coordinates(self) -> Coordinates:
        """q(θ) in coordinates of unit variance."""

    @abstractmethod
    def plug_in(self) -> PointColumns:
        """E[θ]."""

    @abstractmethod
    def predictive(self) -> Predictive:
        """p(x | k, data): parameters integrated out."""

    def expected_log_density(self, values: Array) -> Array:
        """E[log p(x | θ_k)] (n, K)."""
        return self.linear.expected_log_density(values)

    def seen_in(self, columns: Integers) -> SeenTotals:
        """Without the factors of gaps."""
        return SeenTotals(self.linear)

    def filled(self, values: Array, labels: Integers, generator: np.random.Generator) -> Array:
        """Rows with their gaps drawn at E[θ]."""
        return self.plug_in().filled(values, labels, generator)

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Counts and totals."""
        return self.linear.statistics(values, responsibilities)

    def released(self) -> Self:
        return self


class DrawnColumns(ByComponent):
    """S draws of the parameters of K components: every field is (S, K, ...)."""

    @property
    @abstractmethod
    def components(self) -> LinearInTotals:
        """All S K densities, those of a draw together."""

    @abstractmethod
    def at(self, draw: int) -> PointComponents:
        """One of the draws as K densities at a point."""

    @abstractmethod
    def parameters(self, frame: Frame) -> Named:
        """Parameters (S, ...) by name, with what axes after the first stand for."""

    def subset(self, keep: Integers) -> Self:
        """Some components of every draw."""
        return self.picked(slice(None), keep)


class ConjugatePrior(ABC, Generic[Q]):
    """A prior over the parameters of every column of every component, given or the default."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    fixes_scale = True
    conjugate = True

    @abstractmethod
    def given(self, statistics: Sums) -> Q:
        """q(θ) given counts and totals."""

    @abstractmethod
    def mode_given(self, statistics: Sums) -> PointColumns:
        """The joint posterior mode given counts and totals."""

    def posterior(
        self, statistics: Sums, previous: Q | None = None, resolution: Array | None = None
    ) -> Q:
        """q(θ) from counts and totals alone: nothing is learned of the prior, or held."""
        return self.given(statistics)

    def mode(
        self,
        statistics: Sums,
        previous: PointColumns | None = None,
        resolution: Array | None = None,
    ) -> PointColumns:
        """The joint posterior mode, from counts and totals alone."""
        return self.mode_given(statistics)

    def conditional(self, statistics: Sums, last: Any, generator: np.random.Generator) -> Q:
        """p(θ | X, Z): a step of Gibbs sampling."""
        return self.given(statistics)

    def unframed(self, frame: Frame) -> Self:
        return self

    def over(self, default: Any, frame: Frame) -> Any:
        """The family's own prior with these parameters."""
        names = [field.name for field in fields(self)]
        if not set(names) <= {field.name for field in fields(default)}:
            raise InvalidInputError(
                f"prior must be of the family's kind, like {default!r}, got {self!r}"
            )
        return replace(default, **{name: getattr(self, name) for name in names})


class ColumnsFamily(FamilyDefaults, ABC, Generic[P]):
    """What an E-step, a start and a search ask of a family, the same for all of them."""

    any_real = False  # what a column holds, each family checks
    drawn_columns = 0
    least = 0.0
    linear = True
    takes_gaps = True

    @property
    @abstractmethod
    def reading(self) -> Reading:
        """What it reads in a row."""

    @abstractmethod
    def at_means(self, means: Array) -> P:
        """The densities with these means (K, D)."""

    @property
    @abstractmethod
    def mean_where_empty(self) -> Array | float:
        """E[t(x)] of a component that never had rows."""

    @property
    def truncates(self) -> bool:
        """Whether it reads sums of the columns alone."""
        return self.reading.kind in (COUNTS, TOTALS)

    def frame(self, summary: Summary) -> Frame:
        """The data's own coordinates."""
        return Frame.identity(summary.n_features)

    def statistics(self, values: Array, responsibilities: Array) -> Sums:
        """Counts and totals; where rows have gaps by column."""
        if has_gaps(values):
            present, complete = seen(values), without_gaps(values)
            totals = totals_of_seen(self.reading, complete, present)
            return sums_of_seen(self.reading, totals, present, responsibilities)
        return sums(self.reading, values, responsibilities)

    def maximum_likelihood(
        self,
        statistics: Sums,
        previous: P | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> P:
        """The mean of a column is that of its rows."""
        # A component without rows stays what it was, where there is one to stay.
        before = None if previous is None else previous.expected_totals
        same = before is not None and before.shape == statistics.totals.shape
        empty = before if before is not None and same else self.mean_where_empty
        return self.at_means(statistics.shares(empty))

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """One a column."""
        return n_components * n_features

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> NoGuard:
        """The likelihood is bounded."""
        return NoGuard()


@dataclass(frozen=True)
class NoGuard:
    """For families whose likelihood is bounded."""

    resolution: None = None

    def among(self, whole: Whole) -> NoGuard:
        """Itself."""
        return self

    def examine(
        self, mixture: Mixture, resolution: Array | None, events: tuple[Event, ...], thorough: bool
    ) -> Repair | None:
        """Nothing to see."""
        return None


def refuse_where(wrong: Booleans, values: Stored, first: int, held: str, remedy: str) -> None:
    """Raise ``InvalidInputError`` for the first value that is not what X must hold."""
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InvalidInputError(
            f"X must hold {held} mixture, got {values[row, column]:g} in row {first + row}, "
            f"column {column}: {remedy}"
        )


SMALLEST = float(np.finfo(float).tiny)


class PositiveColumns(FamilyDefaults, ABC):
    """Columns of positive numbers of two parameters each, in powers of two near their medians."""

    continuous = True
    any_real = False
    drawn_columns = 1
    least = SMALLEST

    @property
    @abstractmethod
    def with_article(self) -> str:
        """The name with its article, in messages."""

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise where a value is not positive: zero has no logarithm."""
        refuse_not_positive(values, first, self.with_article)

    def frame(self, summary: Summary) -> Frame:
        """Powers of two near the medians, and no centre."""
        return frame_of_positive(summary)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Nothing; a constant column is refused: densities of it are without bound."""
        refuse_constant(source, self.with_article)
        return frame, ()

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Two a column."""
        return 2 * n_components * n_features


def frame_of_positive(summary: Summary) -> Frame:
    """Return powers of two near the medians, and no centre."""
    scale = np.exp2(np.floor(np.log2(summary.centre)))
    return Frame(np.zeros(summary.n_features), scale)


def refuse_constant(source: Source, with_article: str) -> None:
    """Raise where a column is constant: a density of it has no bound."""
    constant = np.flatnonzero(source.summary.constant)
    if len(constant):
        names = source.columns
        column = str(constant[0]) if names is None else repr(names[constant[0]])
        raise InvalidInputError(
            f"X must have columns that differ from row to row for {with_article} "
            f"mixture, but all values of column {column} are equal: leave out that column"
        )


def refuse_not_positive(values: Stored, first: int, with_article: str) -> None:
    """Raise where a value is not positive: rows of zeros would have a density without bound."""
    remedy = "give a zero half of the smallest step that is measured, or use another family"
    refuse_where(values <= 0, values, first, f"positive numbers for {with_article}", remedy)
