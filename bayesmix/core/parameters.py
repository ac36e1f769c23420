"""Parameters of components, declared once: as metadata of the fields of their records.

A field ``rates: Array = field(metadata=parameter(POSITIVE, "rates"))`` states the domain of the
values, which saved files and given parameters are checked against, and the free coordinates at a
point, along which standard errors differentiate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Generic, TypeAlias, TypeVar

import numpy as np
from scipy.special import expit, logit

from bayesmix.numerics.arrays import Array

# Key of the metadata of a field.
DECLARED = "parameter"
# Column of a reported parameter that belongs to no column.
NO_COLUMN = -1
# Position in an array of a parameter, after the axis of components.
Place: TypeAlias = tuple[Any, ...]
# Components at a point, of any family.
PointDensities: TypeAlias = Any
Value = TypeVar("Value")
# Column and level of a reported parameter.
Cell: TypeAlias = tuple[int, "int | str | None"]


@dataclass(frozen=True)
class Coordinate(Generic[Value]):
    """A free parameter of every component, or one that all of them share.

    ``moved(values, steps)`` adds steps (K,), equal if ``shared``, to the values that it belongs to:
    first to the array of a field, and to components once a parameter has taken it up. Coordinates
    of different blocks have no mixed second derivative.

    Attributes
    ----------
    moved : callable
    units : array (K,)
        Size of a step of one, in data units.
    block : hashable
    shared : bool
    spread : bool
        Whether it is a variance, covariance or loading.
    field : str
        Field of the record.
    place : tuple
        Its index in the array of the field after the axis of components; empty if it moves several.
    """

    moved: Callable[[Value, Array], Value]
    units: Array
    block: Hashable = "all"
    shared: bool = False
    spread: bool = False
    field: str = ""
    place: Place = ()


@dataclass(frozen=True)
class Domain(ABC):
    """Set of values of a parameter, between ``low`` and ``high``, and its coordinates."""

    low: float
    high: float

    @abstractmethod
    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        """Yield the coordinates at a point; their steps change the array of the field."""

    def interval(self, values: Array, half: Array) -> tuple[Array, Array]:
        """Return lower and upper limits (n,) of intervals that stay in the domain.

        They have the half width ``half`` (n,), by the delta method on a scale without limits.
        """
        return values - half, values + half


@dataclass(frozen=True)
class ScalarDomain(Domain):
    """Numbers of which each entry of a component is one coordinate."""

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        values = getattr(components, parameter.field)
        for place in np.ndindex(*values.shape[1:]):
            units = _units(components, parameter, place)
            yield Coordinate(_Entry(self, place), units, place[:1] or "all", place=place)

    @abstractmethod
    def stepped(self, values: Array, steps: Array) -> Array:
        """Return values (K, ...) after steps (K,)."""


def _units(components: Any, parameter: Parameter, place: Place) -> Array:
    """Return the size of a step in each component (K,)."""
    if parameter.units is None:
        return np.ones(components.n_components)
    units: Array = getattr(components, parameter.units)
    return units[(slice(None), *place[: units.ndim - 1])]


@dataclass(frozen=True)
class _Entry:
    """Steps of one entry of each component."""

    domain: ScalarDomain
    place: Place

    def __call__(self, values: Array, steps: Array) -> Array:
        out, where = values.copy(), (slice(None), *self.place)
        out[where] = self.domain.stepped(values[where], steps)
        return out


class Real(ScalarDomain):
    """Real numbers; steps are added."""

    def stepped(self, values: Array, steps: Array) -> Array:
        return np.asarray((values.T + steps).T)


class Positive(ScalarDomain):
    """Positive numbers; steps are added to logarithms, and 0 stays 0."""

    def stepped(self, values: Array, steps: Array) -> Array:
        return np.asarray((values.T * np.exp(steps)).T)

    def interval(self, values: Array, half: Array) -> tuple[Array, Array]:
        """Return limits whose logarithms are as far from that of the value."""
        factor = np.exp(np.divide(half, values, out=np.zeros_like(values), where=half != 0.0))
        return values / factor, values * factor


class Share(ScalarDomain):
    """Probabilities; steps are added to log odds, and 0 and 1 stay."""

    def stepped(self, values: Array, steps: Array) -> Array:
        inside = (values > 0.0) & (values < 1.0)
        return np.where(inside, expit(logit(np.where(inside, values, 0.5)) + steps), values)

    def interval(self, values: Array, half: Array) -> tuple[Array, Array]:
        return _interval_of_log_odds(values, half)


def _interval_of_log_odds(values: Array, half: Array) -> tuple[Array, Array]:
    """Return limits whose log odds are as far from those of the probability."""
    spread, inside = values * (1.0 - values), half != 0.0
    steps = np.divide(half, spread, out=np.zeros_like(values), where=inside)
    middle = logit(np.where(inside, values, 0.5))
    low, high = (np.where(inside, expit(middle + sign * steps), values) for sign in (-1.0, 1.0))
    return low, high


@dataclass(frozen=True)
class Simplex(Domain):
    """Rows of probabilities; steps are added to log odds against the first of each group.

    ``groups(components)`` returns start and end of the entries that sum to 1.
    """

    groups: Callable[[PointDensities], Sequence[tuple[int, int]]]

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        one = np.ones(components.n_components)
        for column, (start, end) in enumerate(self.groups(components)):
            for level in range(start + 1, end):
                yield Coordinate(_Level(start, end, level), one, (column,), place=(level,))

    def interval(self, values: Array, half: Array) -> tuple[Array, Array]:
        return _interval_of_log_odds(values, half)


@dataclass(frozen=True)
class _Level:
    start: int
    end: int
    level: int

    def __call__(self, values: Array, steps: Array) -> Array:
        p, block = values.copy(), slice(self.start, self.end)
        p[:, self.level] *= np.exp(steps)
        p[:, block] /= p[:, block].sum(axis=1, keepdims=True)
        return p


class Direction(Domain):
    """Rows of length 1; steps go along an orthonormal basis of the tangent plane.

    ``units`` of the parameter is then the size of a step in each component.
    """

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        values = getattr(components, parameter.field)
        units = _units(components, parameter, ())
        across = np.linalg.svd(values[:, None])[2][:, 1:]
        for d in range(across.shape[1]):
            yield Coordinate(_Tilt(across[:, d]), units)


@dataclass(frozen=True)
class _Tilt:
    across: Array

    def __call__(self, values: Array, steps: Array) -> Array:
        tilted = values + steps[:, None] * self.across
        return np.asarray(tilted / np.linalg.norm(tilted, axis=1, keepdims=True))


class Fixed(Domain):
    """Numbers that are no free parameters, such as sums over the data."""

    def coordinates(self, parameter: Parameter, components: Any) -> Iterator[Coordinate[Array]]:
        return iter(())


INFINITY = float("inf")
# From the smallest double.
SMALLEST_POSITIVE = 5e-324
REAL = Real(-INFINITY, INFINITY)
POSITIVE = Positive(SMALLEST_POSITIVE, INFINITY)
NOT_NEGATIVE = Positive(0.0, INFINITY)
SHARE = Share(0.0, 1.0)
DIRECTION = Direction(-1.0, 1.0)


@dataclass(frozen=True)
class Parameter:
    """A parameter of K components: the array (K, ...) of a field of their record.

    Attributes
    ----------
    field : str
    label : str
        Name for users, as in ``from_parameters``.
    domain : Domain
    shared : bool
        Whether all components have the same value, which counts once.
    units : str, optional
        Attribute of the components with the size of a step; None: 1.
    spread : bool
        Whether it is a variance, covariance or loading.
    """

    field: str
    label: str
    domain: Domain
    shared: bool = False
    units: str | None = None
    spread: bool = False

    def coordinates(self, components: Any) -> Iterator[Coordinate[PointDensities]]:
        """Yield the coordinates, which move components."""
        for coordinate in self.domain.coordinates(self, components):
            shared, units = self.shared or coordinate.shared, coordinate.units
            yield replace(
                coordinate,
                moved=_OfField(self.field, coordinate.moved),
                units=np.full_like(units, units.mean()) if shared else units,
                block=coordinate.block if components.independent_columns else "all",
                shared=shared,
                spread=self.spread or coordinate.spread,
                field=self.field,
            )


@dataclass(frozen=True)
class _OfField:
    field: str
    moved: Callable[[Array, Array], Array]

    def __call__(self, components: Any, steps: Array) -> Any:
        changed = self.moved(getattr(components, self.field), steps)
        return replace(components, **{self.field: changed})


def parameter(
    domain: Domain,
    label: str = "",
    *,
    shared: bool = False,
    units: str | None = None,
    spread: bool = False,
) -> Mapping[str, Any]:
    """Return the metadata of a field; see ``Parameter``. The label is by default its name."""
    options = {"label": label, "domain": domain, "shared": shared, "units": units}
    return {DECLARED: options | {"spread": spread}}


def within(domain: Domain) -> Mapping[str, Any]:
    """Return the metadata of a field that is no parameter, but whose numbers are checked."""
    return parameter(Fixed(domain.low, domain.high))


def declared(record: Any) -> tuple[Parameter, ...]:
    """Return the parameters that a record, or its class, declares."""
    found = []
    for item in fields(record):
        if DECLARED in item.metadata:
            options = item.metadata[DECLARED]
            found.append(Parameter(item.name, **options | {"label": options["label"] or item.name}))
    return tuple(found)


@dataclass(frozen=True)
class Reported:
    """A reported parameter of every component (K,), or of the noise (1,)."""

    parameter: str
    column: int
    level: int | str | None
    values: Array
    domain: Domain = REAL


def by_column(components: Any, values: Array) -> list[Cell]:
    """Return the cells of an array (K, D), or (K,)."""
    return [(d, None) for d in range(values.shape[1])] if values.ndim > 1 else [(NO_COLUMN, None)]


@dataclass(frozen=True)
class ReportedQuantity:
    """What tables report of components: ``values(components)`` (K,) or (K, C).

    Intervals stay in the ``domain``. ``cells(components, values)`` are the column and level of each
    entry.
    """

    label: str
    values: Callable[[PointDensities], Array]
    domain: Domain = REAL
    cells: Callable[[PointDensities, Array], list[Cell]] = by_column

    def reported(self, components: Any, columns: tuple[int, ...] | None) -> list[Reported]:
        """Return the entries; ``columns`` are those of the table."""
        values = self.values(components)
        by_cell = values.T if values.ndim > 1 else [values]
        entries = []
        for (place, level), entry in zip(self.cells(components, values), by_cell, strict=True):
            column = place if columns is None or place == NO_COLUMN else columns[place]
            entries.append(Reported(self.label, column, level, entry, self.domain))
        return entries


def means_of(components: Any) -> Array:
    """Return E[x | k] (K, D)."""
    return np.asarray(components.means)


def variances_of(components: Any) -> Array:
    """Return the variance of each column (K, D)."""
    return np.asarray(components.deviations**2)


VARIANCE = ReportedQuantity("variance", variances_of, NOT_NEGATIVE)
# What tables report of components unless their record says otherwise.
MOMENTS = (ReportedQuantity("mean", means_of), VARIANCE)
# Of columns without negative values.
MOMENTS_OF_AMOUNTS = (ReportedQuantity("mean", means_of, NOT_NEGATIVE), VARIANCE)


def reported(
    components: Any, quantities: Sequence[ReportedQuantity], columns: tuple[int, ...] | None
) -> list[Reported]:
    """Return the entries of quantities; ``columns`` are those of the table."""
    return [entry for quantity in quantities for entry in quantity.reported(components, columns)]
