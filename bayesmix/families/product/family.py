"""Product of families: each part has its columns, independent of the others within a component."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from itertools import chain
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from bayesmix.core.engines import Resolved, Whole
from bayesmix.core.families import Family, dense_needed
from bayesmix.core.mixture import Mixture, Repair
from bayesmix.core.parameters import Parameter
from bayesmix.core.restrictions import Restriction
from bayesmix.core.rows import Event, Frame, Rows, Summary
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.families.coding import Coding
from bayesmix.families.independent.levels import LevelsFamily
from bayesmix.families.product.components import ProductDraws, Products
from bayesmix.families.product.layout import (
    CoordinatesOfParts,
    Layout,
    PerPart,
    ProductStatistics,
    each,
)
from bayesmix.numerics.arrays import Array, Booleans, Integers, Stored
from bayesmix.numerics.cell_coordinates import Coordinates
from bayesmix.numerics.memo import once

if TYPE_CHECKING:
    from bayesmix.families.product.prior import PartPriors
    from bayesmix.numerics.sparse import SparseRows


Columns: TypeAlias = tuple[str | int, ...]
# A dict as passed by the user, then a tuple of ``Part``.
Parts: TypeAlias = Any
# A column in the message of a family.
NUMBERED = re.compile(r"\bcolumn (\d+)")


@dataclass(frozen=True)
class Part:
    """Columns, as named by the user, and their family."""

    columns: Columns
    family: Family

    @property
    def label(self) -> str:
        return ", ".join(map(str, self.columns))


class OfParts:
    """A property that ``any`` or ``all`` of the parts' families have."""

    def __init__(self, holds: Callable[[Iterable[bool]], bool]) -> None:
        self.holds = holds

    def __set_name__(self, owner: Any, name: str) -> None:
        self.name = name

    def __get__(self, product: Any, owner: Any) -> bool:
        return self.holds(bool(getattr(family, self.name)) for family in product.families)


def _joined(parts: Sequence[Part]) -> Part:
    """Return one part of the columns of parts of one family."""
    family: Any = parts[0].family
    if len(parts) > 1 and isinstance(family, LevelsFamily):
        levels: Any = [part.family for part in parts]
        family = family.with_levels(tuple(chain.from_iterable(each.levels for each in levels)))
    return Part(tuple(name for part in parts for name in part.columns), family)


@dataclass(frozen=True)
class Product:
    """Different families for different columns, independent within a component.

    Parameters
    ----------
    parts : dict
        Family of each column or tuple of columns, by name or number. Each column of the data
        belongs to one part.

    Examples
    --------
    >>> import numpy as np, pandas as pd, bayesmix as bm
    >>> rng = np.random.default_rng(0)
    >>> bird = rng.integers(0, 2, 200)
    >>> frame = pd.DataFrame({"bill": rng.normal(40 + 9 * bird), "eggs": rng.poisson(1 + 3 * bird)})
    >>> family = bm.Product({"bill": bm.Gaussian(), "eggs": bm.Poisson()})
    >>> m = bm.Mixture(2, family=family, random_state=0).fit(frame)
    >>> bool((m.predict(frame) == m.predict(frame[["eggs", "bill"]])).all())
    True
    """

    parts: Parts
    names: tuple[str, ...] | None = field(default=None, repr=False)
    coding: Coding | None = field(default=None, repr=False)

    name = "product"
    drawn_columns = 0
    measure_apart = None
    draws_given = None
    takes_sparse = False

    def __post_init__(self) -> None:
        if isinstance(self.parts, Mapping):
            object.__setattr__(self, "parts", _parts_of(self.parts))

    def __repr__(self) -> str:
        keys = [one.columns if len(one.columns) > 1 else one.columns[0] for one in self.parts]
        pairs = zip(keys, self.families, strict=True)
        inner = ", ".join(f"{key!r}: {family!r}" for key, family in pairs)
        return f"Product({{{inner}}})"

    def over(
        self, names: Sequence[str] | None, n_columns: int, coding: Coding | None = None
    ) -> Product:
        """Return the product for data with these columns.

        Raises ``InvalidInputError`` unless each column belongs to one part.
        """
        numbers = [tuple(_number(one, names, n_columns) for one in p.columns) for p in self.parts]
        used = [number for of_part in numbers for number in of_part]
        called = [str(number) for number in range(n_columns)] if names is None else list(names)
        if twice := sorted({number for number in used if used.count(number) > 1}):
            raise InvalidInputError(
                f"family must contain each column once, but {called[twice[0]]!r} is in two parts"
            )
        if left := [called[number] for number in range(n_columns) if number not in used]:
            raise InvalidInputError(
                f"family must contain every column of X, but {', '.join(map(repr, left))} "
                f"{'is' if len(left) == 1 else 'are'} in no part: add them to a part, or drop them"
            )
        parts = tuple(
            replace(part, columns=of_part if names is None else tuple(called[d] for d in of_part))
            for part, of_part in zip(self.parts, numbers, strict=True)
        )
        return Product(parts, None if names is None else tuple(called), coding)

    @property
    def only_part(self) -> Any:
        """The family of all columns beside those of masses, None if there are several parts."""
        of_masses = set() if self.coding is None else self.coding.names_of_masses
        parts = [part for part in self.parts if not of_masses.issuperset(part.columns)]
        return parts[0].family if len(parts) == 1 else None

    @property
    def adjective(self) -> str:
        """Term for the components, that of the part if there is one."""
        only = self.only_part
        return "mixed" if only is None else str(only.adjective)

    @property
    def title(self) -> str:
        """Name of the model in sentences."""
        only = self.only_part
        return "mixed-type" if only is None else str(only.title)

    @property
    def families(self) -> tuple[Any, ...]:
        return tuple(part.family for part in self.parts)

    @once
    def layout(self) -> Layout:
        """Columns of each part."""
        n_columns = sum(len(part.columns) for part in self.parts)
        columns = tuple(
            tuple(_number(one, self.names, n_columns) for one in part.columns)
            for part in self.parts
        )
        labels = tuple(part.label for part in self.parts)
        continuous = tuple(bool(family.loses_directions) for family in self.families)
        far = tuple(bool(family.far_densities) for family in self.families)
        return Layout(labels, columns, columns, continuous, far)

    separable = OfParts(all)
    takes_intervals = OfParts(all)
    continuous = OfParts(any)
    loses_directions = OfParts(any)
    far_densities = OfParts(any)
    heavy_tails = OfParts(any)
    keeps_zeros = OfParts(any)
    any_real = OfParts(all)
    linear = OfParts(all)
    has_posterior = OfParts(all)
    takes_gaps = OfParts(all)
    rearranged = OfParts(all)
    n_extended_directions = None
    takes_noise = True
    holds_counts = OfParts(all)

    @property
    def n_learned(self) -> int:
        return sum(family.n_learned for family in self.families)

    def coordinates(self, values: Array) -> Coordinates:
        parts = each(self.families, "coordinates", self.layout.split(values))
        return CoordinatesOfParts(self.layout, parts)

    @property
    def needs_measurement(self) -> str | None:
        """Message of an error for parts that need a measurement, None if none does."""
        if all(family.needs_measurement is None for family in self.families):
            return None
        return "a part of a Product must be Binomial([5, 20]), with a number for each column"

    @property
    def prefers_prior(self) -> bool:
        """Whether some part prefers a prior and all others have one."""
        preferring = [bool(family.prefers_prior) for family in self.families]
        pairs = zip(preferring, self.families, strict=True)
        return any(preferring) and all(own or family.has_posterior for own, family in pairs)

    @property
    def least(self) -> float:
        return float(min(family.least for family in self.families))

    def made(self, components: Any) -> bool:
        """Whether components have the same parts and covariance structures."""
        same_columns = self.layout.columns == components.layout.columns
        return same_columns and all(
            family.made(part) for family, part in zip(self.families, components.parts, strict=True)
        )

    def marginal(self, columns: Integers) -> Family:
        """Return the product of the parts with any of the columns, or a single part's family."""
        names = None if self.names is None else tuple(self.names[column] for column in columns)
        parts, picked = [], self.layout.picked(columns)
        for family, (numbers, places) in zip(self.families, picked, strict=True):
            if len(numbers):
                called = places.tolist() if names is None else [names[place] for place in places]
                parts.append(Part(tuple(called), family.marginal(numbers)))
        return parts[0].family if len(parts) == 1 else Product(tuple(parts), names)

    def knowing(self, summary: Summary) -> Product:
        return self

    def families_of_columns(self, n_columns: int) -> list[tuple[list[int], Family]]:
        return list(zip(map(list, self.layout.columns), self.families, strict=True))

    def with_covariance(self, covariance: Any) -> Product:
        parts = (replace(p, family=p.family.with_covariance(covariance)) for p in self.parts)
        return replace(self, parts=tuple(parts))

    def by_kind(self) -> Product:
        """Return the same densities with all discrete columns of a family in one part."""
        kinds: dict[object, list[Part]] = {}
        for number, part in enumerate(self.parts):
            family: Any = part.family
            names = {item.name for item in fields(family)} if is_dataclass(family) else {"unknown"}
            alike = not family.continuous and names <= {"levels"}
            kinds.setdefault(type(family) if alike else number, []).append(part)
        return replace(self, parts=tuple(_joined(parts) for parts in kinds.values()))

    def structures(self, n_columns: int) -> Iterator[tuple[str | Family, int]]:
        for part in self.parts:
            yield from part.family.structures(len(part.columns))

    def refitted(self, values: Array, responsibilities: Array) -> Product:
        return self

    def side_by_side(self, n_mixtures: int) -> Product:
        parts = (replace(p, family=p.family.side_by_side(n_mixtures)) for p in self.parts)
        return replace(self, parts=tuple(parts))

    def linear_is_faster(self, n_features: int) -> bool:
        return True

    def at_floor(self, components: Products, resolution: Resolved | None) -> Booleans:
        floors = of_parts(resolution, len(self.parts))
        parts = each(self.families, "at_floor", components.parts, floors)
        return np.asarray(np.all(parts, axis=0))

    def check_sparse(self, values: SparseRows) -> None:
        raise dense_needed(self)

    def check(self, values: Stored, first: int = 0) -> None:
        for part, columns in zip(self.parts, self.layout.columns, strict=True):
            try:
                part.family.check(values[:, list(columns)], first)
            except InvalidInputError as problem:
                # Families number their own columns.
                told = NUMBERED.sub(partial(_named, part.columns), str(problem))
                raise InvalidInputError(told) from None

    def frame(self, summary: Summary) -> Frame:
        layout = self.layout
        return layout.joined(each(self.families, "frame", layout.summaries(summary)))

    def set_aside(self, frame: Frame, source: Source) -> tuple[Frame, tuple[Event, ...]]:
        """Set aside directions of zero variance in the continuous part.

        Raises ``InvalidInputError`` if several parts have such directions.
        """
        layout = self.layout
        found = each(self.families, "set_aside", layout.frames(frame), layout.sources(source))
        for family, (of_part, _) in zip(self.families, found, strict=True):
            if of_part.rest is not None:
                raise UnsupportedError(
                    f"a part of Product must not be {family!r}, whose components share a density "
                    "of the other directions: use Gaussian('diag'), or fit its columns alone"
                )
        flat = [
            part for part, (own, _) in zip(self.parts, found, strict=True) if own.flat is not None
        ]
        if flat and sum(layout.continuous) > 1:
            raise InvalidInputError(
                f"X does not vary in some direction of the part {flat[0].label!r}, which products "
                "of several continuous parts do not support: drop constant and linearly dependent "
                "columns"
            )
        events = tuple(
            replace(event, message=f"in the part {part.label!r}, {event.message}")
            for part, (_, own) in zip(self.parts, found, strict=True)
            for event in own
        )
        return layout.joined([own for own, _ in found]), events

    # Estimation.

    def statistics(self, values: Array, responsibilities: Array) -> ProductStatistics:
        layout = self.layout.narrowed(values.shape[1])
        same = {"responsibilities": responsibilities}
        parts = each(self.families, "statistics", layout.split(values), **same)
        return ProductStatistics(layout, parts)

    def maximum_likelihood(
        self,
        statistics: ProductStatistics,
        previous: Products | None = None,
        resolution: Array | None = None,
        frame: Frame | None = None,
    ) -> Products:
        layout, n_parts = statistics.layout, len(self.parts)
        frames = (None,) * n_parts if frame is None else layout.frames(frame)
        before = (None,) * n_parts if previous is None else previous.parts
        resolutions = of_parts(resolution, n_parts)
        given = statistics.parts, before, resolutions, frames
        return Products(layout, each(self.families, "maximum_likelihood", *given))

    def restricted(
        self,
        statistics: ProductStatistics,
        previous: Products | None,
        resolution: Array | None,
        frame: Frame,
        restriction: Restriction,
    ) -> Products:
        """Raise an error: only the weights of a product can be held."""
        raise UnsupportedError("parameters of products cannot be held: hold only weights")

    def feasible(self, statistics: ProductStatistics) -> bool:
        return all(each(self.families, "feasible", statistics.parts))

    def inside(
        self, statistics: ProductStatistics, present: ProductStatistics
    ) -> ProductStatistics:
        parts = each(self.families, "inside", statistics.parts, present.parts)
        return replace(statistics, parts=parts)

    def reference_prior(self, summary: Summary, frame: Frame) -> PartPriors:
        from bayesmix.families.product.prior import PartPriors

        layout = self.layout.narrowed(frame.n_directions)
        given = layout.summaries(summary), layout.frames(frame)
        return PartPriors(layout, each(self.families, "reference_prior", *given))

    def map_prior(self, source: Source, frame: Frame, n_components: int) -> PartPriors:
        from bayesmix.families.product.prior import PartPriors

        layout = self.layout.narrowed(frame.n_directions)
        given = layout.sources(source), layout.frames(frame)
        parts = each(self.families, "map_prior", *given, n_components=n_components)
        return PartPriors(layout, parts)

    def as_draws(self, points: Sequence[Products]) -> ProductDraws:
        by_part = list(zip(*(point.parts for point in points), strict=True))
        return ProductDraws(points[0].layout, each(self.families, "as_draws", by_part))

    def parameters(self, components: Products) -> tuple[Parameter, ...]:
        """Return the parameters of all parts."""
        parts = zip(self.families, components.parts, strict=True)
        return tuple(own for family, part in parts for own in family.parameters(part))

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Sum over the parts; ``n_features`` counts framed columns."""
        numbers = [(n_components, len(own)) for own in self.layout.narrowed(n_features).framed]
        return sum(each(self.families, "n_parameters", *zip(*numbers, strict=True)))

    def max_components(self, n_distinct: int, n_features: int) -> int | None:
        pairs = zip(self.families, self.layout.columns, strict=True)
        limits = [family.max_components(n_distinct, len(columns)) for family, columns in pairs]
        return min((limit for limit in limits if limit is not None), default=None)

    def level_probabilities(self, components: Any) -> dict[int, Array]:
        parts = zip(self.families, components.parts, components.layout.columns, strict=True)
        return {
            own[column]: of_levels
            for family, one, own in parts
            for column, of_levels in family.level_probabilities(one).items()
        }

    def guard(self, source: Source, frame: Frame, summary: Summary, repair: bool) -> ProductGuard:
        layout = self.layout.narrowed(frame.n_directions)
        given = [source] * len(self.parts), layout.frames(frame), layout.summaries(summary)
        return ProductGuard(layout, each(self.families, "guard", *given, repair=repair))


def _parts_of(parts: Mapping[Any, Any]) -> tuple[Part, ...]:
    """Return checked parts from the user's dict."""
    if not parts:
        raise InvalidInputError("Product must have at least one part, {column: family}, got none")
    listed = []
    for key, family in parts.items():
        columns = tuple(key) if isinstance(key, tuple | list) else (key,)
        fine = all(isinstance(one, str | Integral) and not isinstance(one, bool) for one in columns)
        if not columns or not fine:
            raise InvalidInputError(
                f"the keys of Product must be columns, or tuples of them, by name or number, got "
                f"{key!r}"
            )
        if not callable(getattr(family, "maximum_likelihood", None)):
            raise InvalidInputError(
                f"Product must have a family for {key!r}, such as bayesmix.Gaussian(), got "
                f"{family!r}"
            )
        if isinstance(family, Product):
            raise UnsupportedError(f"a part of Product must not be a Product, but {key!r} is")
        named = tuple(one if isinstance(one, str) else int(one) for one in columns)
        listed.append(Part(named, family))
    return tuple(listed)


def _named(columns: Columns, numbered: re.Match[str]) -> str:
    """Return the column of a part that a message numbers, by the name of the user."""
    return f"column {columns[int(numbered[1])]!r}"


def _number(column: str | int, names: Sequence[str] | None, n_columns: int) -> int:
    """Return the number of a column."""
    if isinstance(column, str) and names is not None and column in names:
        return list(names).index(column)
    if isinstance(column, int) and 0 <= column < n_columns:
        return column
    there = f"from 0 to {n_columns - 1}" if names is None else ", ".join(map(repr, names))
    raise InvalidInputError(f"family must name columns of X, which are {there}, got {column!r}")


@dataclass(frozen=True)
class Resolutions:
    """Floors of each part (K, ...) or (1, ...), or None."""

    parts: tuple[Array | None, ...]

    def __len__(self) -> int:
        return max(len(part) for part in self.parts if part is not None)

    def __getitem__(self, keep: Any) -> Resolutions:
        chosen = (part if part is None or len(part) == 1 else part[keep] for part in self.parts)
        return Resolutions(tuple(chosen))


def of_parts(resolution: Any, n_parts: int) -> tuple[Array | None, ...]:
    """Return the floors of each part."""
    return (None,) * n_parts if resolution is None else resolution.parts


def together(parts: Sequence[Array | None]) -> Array | None:
    """Combine the floors of all parts, None if no part has any."""
    if all(part is None for part in parts):
        return None
    # Other code only indexes it by component, as an array.
    return cast("Array", Resolutions(tuple(parts)))


def with_part(components: Any, part: int, replacement: Any) -> Any:
    """Replace the components of a part."""
    parts = components.parts
    return replace(components, parts=(*parts[:part], replacement, *parts[part + 1 :]))


@dataclass(frozen=True)
class WholeRows:
    """Mixture of a product, for the guard of one of its parts."""

    mixture: Mixture
    part: int
    columns: Integers

    def log_joint(self, values: Stored, components: Any) -> Array:
        changed = with_part(self.mixture.components, self.part, components)
        mixture = replace(self.mixture, components=changed)
        return mixture.log_joint(Rows(values))


class ProductGuard(PerPart):
    """Guards of all parts."""

    @property
    def resolution(self) -> Array | None:
        return together([guard.resolution for guard in self.parts])

    def among(self, whole: Whole) -> ProductGuard:
        return self

    def examine(
        self, mixture: Mixture, resolution: Array | None, events: tuple[Event, ...], thorough: bool
    ) -> Repair | None:
        """Return the repair of the first part with collapsed components."""
        resolutions = of_parts(resolution, len(self.parts))
        for part, guard in enumerate(self.parts):
            of_part, whole = self._part(mixture, part)
            repair = guard.among(whole).examine(of_part, resolutions[part], events, thorough)
            if repair is not None:
                return self._whole(repair, mixture, resolutions, part)
        return None

    def spurious(self, mixture: Mixture) -> tuple[int, ...]:
        """Return the spurious components of any part."""
        found: set[int] = set()
        for part, guard in enumerate(self.parts):
            of_part, whole = self._part(mixture, part)
            found.update(guard.among(whole).spurious(of_part))
        return tuple(sorted(found))

    def _part(self, mixture: Mixture, part: int) -> tuple[Mixture, WholeRows]:
        """Return a part as a mixture, and the whole that it is a part of."""
        components: Any = mixture.components
        frame = self.layout.frames(mixture.frame)[part]
        whole = WholeRows(mixture, part, np.array(self.layout.columns[part]))
        return Mixture(mixture.weights, components.parts[part], frame), whole

    def _whole(
        self, repair: Repair, mixture: Mixture, resolutions: tuple[Array | None, ...], part: int
    ) -> Repair:
        """Extend the repair of a part to the whole mixture."""
        resolved = [*resolutions[:part], repair.resolution, *resolutions[part + 1 :]]
        moved = repair.mixture
        if moved is not None:
            changed = with_part(mixture.components, part, moved.components)
            moved = replace(mixture, weights=moved.weights, components=changed)
        return Repair(repair.events, together(resolved), moved)
