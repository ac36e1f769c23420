"""Families that are fitted by maximum likelihood only, and their draws from bootstrap refits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import Field, dataclass, fields, replace
from functools import partial
from typing import Any, ClassVar, Generic, NoReturn, Protocol, Self, TypeVar

import numpy as np

from bayesmix.core.components import DensitiesAndStatistics, Named, PointComponents
from bayesmix.core.families import AtAPoint, Support
from bayesmix.core.mixture import Mixture
from bayesmix.core.parameters import MOMENTS_OF_AMOUNTS
from bayesmix.core.rows import Event, Frame, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import UnsupportedError
from bayesmix.families.floor_guard import FloorGuard
from bayesmix.families.gaussian.collapse import AT_THE_FLOOR, variance_floor
from bayesmix.families.gaussian.unusable_columns import refuse_constant
from bayesmix.families.independent.columns import (
    SMALLEST,
    Columns,
    frame_of_positive,
    refuse_not_positive,
)
from bayesmix.families.independent.linear import SeenColumns
from bayesmix.families.monotone import LOG
from bayesmix.numerics.arrays import Array, Booleans, Integers, Stored
from bayesmix.numerics.cell_coordinates import Coordinates, StandardisedCells


class NamedPoint(PointComponents, Protocol):
    """K densities at a point, a record of arrays (K, ...) some of which users read."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def named(self) -> tuple[str, ...]: ...

    def picked(self, *places: Any) -> Self: ...


C = TypeVar("C", bound=NamedPoint)


@dataclass(frozen=True)
class BootstrapDraws(Generic[C]):
    """S points from bootstrap refits, as one record of arrays (S, K, ...)."""

    stacked: C

    @classmethod
    def of(cls, points: Sequence[C]) -> Self:
        """Return the draws that these points are."""
        names = [field.name for field in fields(points[0])]
        arrays = {name: np.array([getattr(point, name) for point in points]) for name in names}
        return cls(replace(points[0], **arrays))

    @property
    def components(self) -> C:
        point = self.stacked
        arrays = {field.name: getattr(point, field.name) for field in fields(point)}
        flat = {name: array.reshape(-1, *array.shape[2:]) for name, array in arrays.items()}
        return replace(point, **flat)

    def subset(self, keep: Integers) -> Self:
        return replace(self, stacked=self.stacked.picked(slice(None), keep))

    def at(self, draw: int) -> C:
        return self.stacked.picked(draw)

    def parameters(self, frame: Frame) -> Named:
        point = self.stacked.unframed(frame)
        values = {name: getattr(point, name) for name in self.stacked.named}
        axes = ("component", "feature")
        return {name: (axes[: array.ndim - 1], array) for name, array in values.items()}


class WithoutPrior:
    """Methods of families that are fitted by maximum likelihood only."""

    has_posterior = False
    no_prior: ClassVar[str]

    def reference_prior(self, summary: Summary, frame: Frame) -> NoReturn:
        """Raise an error, as there is no prior."""
        raise UnsupportedError(self.no_prior)

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> NoReturn:
        """Raise an error, as there is no prior."""
        raise UnsupportedError(self.no_prior)

    def as_draws(self, points: Sequence[Any]) -> BootstrapDraws[Any]:
        return BootstrapDraws.of(points)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Count two parameters a component and column."""
        return 2 * n_components * n_features


class PointsByColumn(AtAPoint, Columns):
    """Densities of independent columns that read missing values column by column."""

    dense = False

    @property
    def independent_columns(self) -> bool:
        return True

    @abstractmethod
    def statistics(self, values: Array, responsibilities: Array) -> Any:
        """Return additive statistics of the observed cells."""

    @property
    def linear(self) -> Self:
        """Return self, as missing values need no linear form."""
        return self

    def seen(self, values: Array) -> DensitiesAndStatistics:
        joint = SeenColumns(self).expected_log_density(values)
        return joint, partial(self.statistics, values)

    def dense_filled(
        self, values: Array, labels: Integers, generator: np.random.Generator
    ) -> Array:
        return values


class PositivePoints(PointsByColumn):
    """Densities of independent positive columns, in a frame that scales them."""

    support = Support.POSITIVE
    reports = MOMENTS_OF_AMOUNTS


class PositiveFamily(WithoutPrior, ABC):
    """Families of positive columns with a shape and a scale each.

    The variance of log x falls as shapes grow; it is bounded below by the resolution of the data.
    """

    continuous = True
    any_real = False
    drawn_columns = 1
    least = SMALLEST
    takes_gaps = True
    with_article: ClassVar[str]
    least_variance: ClassVar[float]  # of log x

    @abstractmethod
    def variances_of_logs(self, shapes: Array) -> Array:
        """Return the variance of log x, or about that."""

    def coordinates(self, values: Array) -> Coordinates:
        """Return logarithms, on which components are nearly symmetric."""
        return StandardisedCells.of(values, np.log)

    def check(self, values: Stored, first: int = 0) -> None:
        refuse_not_positive(values, first, self.with_article)

    def frame(self, summary: Summary) -> Frame:
        return frame_of_positive(summary)

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        refuse_constant(source, mixture=f" for {self.with_article} mixture")
        return frame, ()

    def guard(
        self, source: Source, frame: Frame, summary: Summary, repair: bool
    ) -> FloorGuard[Any]:
        """Return the guard that bounds shapes by the resolution of the data."""
        logs = LOG.summary(summary, frame)
        floor = np.maximum(variance_floor(logs.scale, logs.gap), self.least_variance)
        return FloorGuard(floor, self._limited)

    def _limited(self, mixture: Mixture[Any], floor: Array) -> list[Event]:
        """Return events for components with a shape at its limit."""
        variances = self.variances_of_logs(mixture.components.shapes)
        return events_of_limited(
            np.logical_or.reduce(variances <= AT_THE_FLOOR * floor, axis=1),
            "{which} collapsed onto equal values of a column, so the likelihood has no maximum. "
            "The shape parameter was limited: use fewer components, or Gaussian('diag') for "
            "columns of small relative variance",
        )


def events_of_limited(limited: Booleans, text: str) -> list[Event]:
    """Return an event for each of the components (K,) with a parameter at its limit."""
    return [Event("held", text, components=(k,)) for k in np.flatnonzero(limited).tolist()]
