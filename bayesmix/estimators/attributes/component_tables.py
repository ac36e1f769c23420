"""Parameters of products by column."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.core.rows import Frame
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.families.coding import Level
    from bayesmix.families.product.components import Products
    from bayesmix.families.product.family import Product


MOST_SHOWN = 12


class PartParameters(UserDict[str, Array]):
    """Parameters of a part by name, each (K, ...), such as ``means`` or ``rates``.

    ``family`` is the family of the part; ``columns`` and ``levels`` label the axes after the first.
    """

    family: Family
    columns: tuple[str, ...]
    levels: tuple[tuple[Level, ...] | None, ...]

    def __repr__(self) -> str:
        lines = [f"<{self.family!r} of {', '.join(self.columns)}>"]
        for name, values in self.items():
            lines.append(f"  {name}:")
            shown = np.array2string(values[:MOST_SHOWN], precision=4, suppress_small=True)
            lines += [f"    {line}" for line in shown.splitlines()]
        named = [levels for levels in self.levels if levels is not None]
        lines += [f"  levels: {', '.join(map(str, levels))}" for levels in named]
        return "\n".join(lines)


class ComponentsByColumn(Mapping[Any, PartParameters]):
    """The parts of a product, by key or by any of their columns."""

    def __init__(self, family: Product, components: Products) -> None:
        names = family.names or tuple(map(str, range(family.layout.n_columns)))
        coding = family.coding
        self._parts: dict[Any, PartParameters] = {}
        point = components.plug_in()
        for part, part_components, columns in zip(
            family.parts, point.parts, family.layout.columns, strict=True
        ):
            drawn = part.family.as_draws([part_components]).parameters(Frame.identity(len(columns)))
            drawn.pop("covariance_prior", None)
            own = PartParameters({name: array[0] for name, (_, array) in drawn.items()})
            own.family, own.columns = part.family, tuple(names[column] for column in columns)
            own.levels = tuple(None if coding is None else coding.levels[d] for d in columns)
            self._parts[part.columns if len(part.columns) > 1 else part.columns[0]] = own

    def __getitem__(self, key: Any) -> PartParameters:
        if key in self._parts:
            return self._parts[key]
        for columns, part in self._parts.items():
            if isinstance(columns, tuple) and key in columns:
                return part
        raise KeyError(f"{key!r}: the parts are {', '.join(map(repr, self._parts))}")

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return "\n".join(f"{key!r}: {part!r}" for key, part in self._parts.items())
