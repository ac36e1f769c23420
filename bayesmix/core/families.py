"""Protocol of a family of component densities, with the defaults of families of real columns."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import Field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from bayesmix.core.parameters import (
    MOMENTS,
    Coordinate,
    Parameter,
    Reported,
    ReportedQuantity,
    declared,
    reported,
)
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.errors import InvalidInputError, InvalidTypeError, UnsupportedError
from bayesmix.numerics.arrays import Array, Booleans, Integers, Stored
from bayesmix.numerics.cell_coordinates import Coordinates, StandardisedCells

if TYPE_CHECKING:
    from bayesmix.core.components import Components, DrawnComponents, PointComponents, Statistics
    from bayesmix.core.engines import Guard, Resolved
    from bayesmix.core.priors import Prior
    from bayesmix.core.protocols import ColumnCoding
    from bayesmix.core.restrictions import Restriction
    from bayesmix.core.sources import Source
    from bayesmix.numerics.sparse import SparseRows

S = TypeVar("S", bound="Statistics", contravariant=True)  # statistics of a family
P = TypeVar("P", contravariant=True)  # densities at a point


class FamilyOf(Protocol[S, P]):
    """A family of component densities."""

    @property
    def name(self) -> str: ...

    @property
    def continuous(self) -> bool:
        """Whether columns are continuous, so that densities depend on their units."""

    @property
    def adjective(self) -> str:
        """Term of the field for components, as in "2 negative binomial components"."""
        return re.sub(r"(?<!^)(?=[A-Z])", " ", type(self).__name__).lower()

    @property
    def title(self) -> str:
        """Name of the model in sentences, as in "Student-t, 2 components"."""
        return self.adjective

    @property
    def separable(self) -> bool:
        """Whether features can be selected: independent columns have evidence in closed form."""
        return False

    @property
    def takes_intervals(self) -> bool:
        """Whether values may be intervals: densities are log-concave.

        The ``support`` of the components says whether of x, of log x or of counts.
        """
        return False

    @property
    def coding(self) -> ColumnCoding | None:
        """Levels behind the codes of categorical columns, or None."""
        return None

    @property
    def any_real(self) -> bool:
        """Whether all finite numbers are valid."""
        return True

    @property
    def drawn_columns(self) -> int:
        """Number of columns in a density plot: 2, or 1 for counts (bars), or 0 for none."""
        return 2

    @property
    def least(self) -> float:
        """Lower limit of the support; plots start here."""
        return -np.inf

    @property
    def linear(self) -> bool:
        """Whether components are ``LinearComponents``.

        If not, updates raise ``DegenerateFitError`` for a collapsed component.
        """
        return False

    @property
    def far_densities(self) -> bool:
        """Whether distances are clipped, as squares overflow: densities are ``FarDensities``."""
        return False

    @property
    def draws_given(self) -> str | None:
        """Argument of ``sample`` that draws need, such as "totals"; components have ``draw_in``."""
        return None

    @property
    def needs_measurement(self) -> str | None:
        """Message of an error for data without a measurement, None if it is not needed."""
        return None

    @property
    def takes_sparse(self) -> bool:
        """Whether rows may be sparse: statistics are the columns, and zeros add nothing."""
        return False

    @property
    def takes_gaps(self) -> bool:
        """Whether missing values are allowed: components are ``Incomplete`` and ``Filling``."""
        return False

    @property
    def loses_directions(self) -> bool:
        """Whether directions of zero variance are set aside, so that frames have fewer columns."""
        return self.continuous

    @property
    def takes_noise(self) -> bool:
        """Whether mixtures can have a noise component."""
        return False

    @property
    def n_learned(self) -> int:
        """Number of values that were learned from the data before the fit, such as powers."""
        return 0

    @property
    def holds_counts(self) -> bool:
        """Whether columns are counts, rather than levels or real numbers."""
        return not self.continuous and self.drawn_columns == 1

    @property
    def measure_apart(self) -> str | None:
        """What densities are of, if not of counts or real numbers: no criterion compares them."""
        return None

    def made(self, components: Components) -> bool:
        """Whether components are of this family and covariance structure."""
        return True

    def level_probabilities(self, components: P) -> dict[int, Array]:
        """Return probabilities (K, L) of the levels of each column that has levels."""
        return {}

    def marginal(self, columns: Integers) -> Family:
        """Return the family of some columns."""
        return self

    def knowing(self, summary: Summary) -> Family:
        """Return the family with what it takes from all data, such as whether shares are 0 or 1."""
        return self

    def families_of_columns(self, n_columns: int) -> list[tuple[list[int], Family]]:
        """Return the columns of each part of a product with their family, by default one part."""
        return [(list(range(n_columns)), self)]

    def with_covariance(self, covariance: str | Family) -> Family:
        """Return the family with this covariance structure for its Gaussians, if it has any.

        A family of Gaussians, such as ``FactorAnalytic(q)``, takes their place.
        """
        return self

    def structures(self, n_columns: int) -> Iterator[tuple[str | Family, int]]:
        """Yield covariance structures, each with its number of columns."""
        if self.n_extended_directions is not None:
            yield self, n_columns

    def refitted(self, values: Array, responsibilities: Array) -> Family:
        """Return the family with what it learned from data, such as powers, learned from these."""
        return self

    def coordinates(self, values: Array) -> Coordinates:
        """Return coordinates in which k-means finds small clusters, by complete data (n, D)."""
        return StandardisedCells.of(values)

    @property
    def heavy_tails(self) -> bool:
        """Whether tails are heavy, so that starts should not be at outliers."""
        return False

    @property
    def keeps_zeros(self) -> bool:
        """Whether a probability of 0 remains 0 in each update, so that starts must avoid it."""
        return False

    @property
    def n_extended_directions(self) -> int | None:
        """Number of directions along which components extend, for graph starts; None: all."""
        return None

    @property
    def has_posterior(self) -> bool:
        """Whether variational fits exist."""
        return True

    @property
    def prefers_prior(self) -> bool:
        """Whether estimators fit by MAP by default, as estimates may be infinite otherwise."""
        return False

    @property
    def rearranged(self) -> bool:
        """Whether moves can split, merge and exchange components by their statistics."""
        return True

    def side_by_side(self, n_mixtures: int) -> Family:
        """Return the family of several mixtures in one product, component 0 of each first."""
        return self

    def linear_is_faster(self, n_features: int) -> bool:
        """Whether the linear form is faster than the centred one."""
        return self.linear

    def check(self, values: Stored, first: int = 0) -> None:
        """Raise ``InvalidInputError`` for values outside the support.

        ``first`` is the number of the first observation, for the message.
        """
        return

    def check_sparse(self, values: SparseRows) -> None:
        """Raise an error where sparse rows are not read, or outside the support by entries."""
        if not self.takes_sparse:
            raise dense_needed(self)
        try:
            self.check(values.matrix.data[:, None])
        except InvalidInputError:  # name its row and column
            for row in range(len(values)):
                self.check(np.asarray(values[row : row + 1]), row)

    def frame(self, summary: Summary) -> Frame: ...

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Return the frame without directions of zero variance, and events that name them."""
        return frame, ()

    def statistics(self, values: Array, responsibilities: Array) -> Statistics: ...

    def maximum_likelihood(
        self,
        statistics: S,
        previous: P | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> PointComponents: ...

    def restricted(
        self,
        statistics: S,
        previous: P | None,
        resolution: Array | None,
        frame: Frame,
        restriction: Restriction,
    ) -> PointComponents:
        """Return the M-step under a restriction."""
        raise UnsupportedError(f"hold and equal do not support {type(self).__name__}")

    def feasible(self, statistics: S) -> bool:
        """Whether the statistics, if extrapolated, are in the domain of the M-step."""
        return True

    def inside(self, statistics: S, present: S) -> Statistics:
        """Return extrapolated statistics without crossing a boundary that present ones approach."""
        return statistics

    def reference_prior(self, summary: Summary, frame: Frame) -> Prior:
        """Return the default prior of variational Bayes."""

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> Prior:
        """Return the default prior of MAP, which prevents singular and boundary estimates."""

    def as_draws(self, points: Sequence[P]) -> DrawnComponents:
        """Return point estimates of mixtures as draws."""

    def n_parameters(self, n_components: int, n_features: int) -> int: ...

    def parameters(self, components: P) -> tuple[Parameter, ...]:
        """Return the parameters that a fit estimates, by default all that components declare."""
        point: Any = components
        return tuple(point.parameters)

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        """Return the largest K for which maximum likelihood is defined, or None."""
        return None

    def at_floor(self, components: P, resolution: Array | Resolved | None) -> Booleans:
        """Return which components (K,) are as narrow in every direction as a floor that held them.

        ``resolution``: floors of degenerate components, in the frame of the fit.
        """
        point: Any = components
        return np.zeros(point.n_components, dtype=np.bool_)

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> Guard:
        """Return the guard against collapse; ``repair`` allows it to move a component."""


def dense_needed(family: Any) -> InvalidTypeError:
    """Return the error of a family that reads dense rows."""
    return InvalidTypeError(
        f"X must be dense for {family!r}, got a sparse matrix: pass X.toarray(), or use "
        "Multinomial(), Poisson(), Bernoulli() or VonMisesFisher()"
    )


class Support(Enum):
    """Values that a column may have."""

    REAL = "real numbers"
    POSITIVE = "positive numbers"
    COUNTS = "counts"


class AtAPoint:
    """Components at a point, which stand for themselves.

    ``parameters`` are declared by the fields of the record, ``reports`` are what tables show.
    ``support`` are the values of a column where these may be intervals. ``reads_bounds``:
    statistics read a negative value as one above its size, and components have ``log_survival``.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    reports: ClassVar[tuple[ReportedQuantity, ...]] = MOMENTS
    support: ClassVar[Support] = Support.REAL
    reads_bounds: ClassVar[bool] = False

    @property
    def independent_columns(self) -> bool:
        """Whether densities are products over columns."""
        return False

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Parameters that the record declares."""
        return declared(self)

    def coordinates(self, family: Any) -> list[Coordinate[Any]]:
        """Return the free coordinates at this point, for a fit of the family."""
        return [own for one in family.parameters(self) for own in one.coordinates(self)]

    def reported(self, columns: tuple[int, ...] | None = None) -> list[Reported]:
        """Return what tables report; ``columns`` are those of the table."""
        return reported(self, self.reports, columns)

    def released(self) -> Self:
        return self

    def plug_in(self) -> Self:
        return self

    def predictive(self) -> Self:
        return self


class ByMeans:
    """Components with an array of means (K, D)."""

    means: Array

    @property
    def n_components(self) -> int:
        return len(self.means)


class Rearranged(ABC):
    """Statistics whose components are replaced by selecting, adding and concatenating."""

    counts: Array

    def merged(self, first: int, second: int) -> Self:
        both = self.subset(np.array([first])) + self.subset(np.array([second]))
        places = np.arange(len(self.counts))
        places[first] = len(places)
        return self.joined([self, both]).subset(np.delete(places, second))

    def split(self, k: int, halves: Self) -> Self:
        places = np.arange(len(self.counts) + 1)
        places[k], places[-1] = len(self.counts), len(self.counts) + 1
        return self.joined([self, halves]).subset(places)

    def exchanged(self, keep: Integers, others: Self) -> Self:
        return self.joined([self.subset(keep), others])

    @abstractmethod
    def __add__(self, other: Self) -> Self: ...

    @abstractmethod
    def subset(self, keep: Integers) -> Self: ...

    @classmethod
    @abstractmethod
    def joined(cls, parts: Sequence[Self]) -> Self: ...


# Any family, as in ``components``.
Family: TypeAlias = FamilyOf[Any, Any]
