"""``components_`` of a product: the parameters of every part, in the user's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.families.product.components import Products
from bayesmix.families.product.family import Product
from bayesmix.numerics.arrays import Array
from bayesmix.protocols import Family
from bayesmix.records import Frame
from bayesmix.records.coding import Level

MOST_SHOWN = 12


@dataclass(frozen=True, repr=False)
class PartParameters(Mapping[str, Array]):
    """Parameters of a part by name, each (K, ...): ``means`` and ``covariances``, ``rates``, ...

    ``family`` is the part's; ``columns`` and ``levels`` what axes after the first stand for.
    """

    family: Family
    columns: tuple[str, ...]
    levels: tuple[tuple[Level, ...] | None, ...]
    named: Mapping[str, Array]

    def __getitem__(self, name: str) -> Array:
        value: Array = self.named[name]
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.named)

    def __len__(self) -> int:
        return len(self.named)

    def __repr__(self) -> str:
        lines = [f"<{self.family!r} of {', '.join(self.columns)}>"]
        for name, values in self.named.items():
            lines.append(f"  {name}:")
            shown = np.array2string(values[:MOST_SHOWN], precision=4, suppress_small=True)
            lines += [f"    {line}" for line in shown.splitlines()]
        said = [own for own in self.levels if own is not None]
        lines += [f"  levels: {', '.join(map(str, own))}" for own in said]
        return "\n".join(lines)


class ComponentsByColumn(Mapping[Any, PartParameters]):
    """The parts of a product by their keys, or by any of their columns."""

    def __init__(self, family: Product, components: Products) -> None:
        names = family.names or tuple(map(str, range(family.layout.n_columns)))
        coding = family.coding
        self._parts: dict[Any, PartParameters] = {}
        point = components.plug_in()
        for part, own, columns in zip(
            family.parts, point.parts, family.layout.columns, strict=True
        ):
            drawn = part.family.as_draws([own]).parameters(Frame.identity(len(columns)))
            drawn.pop("covariance_prior", None)
            values = {name: each[0] for name, (_, each) in drawn.items()}
            levels = tuple(None if coding is None else coding.levels[one] for one in columns)
            key = part.columns if len(part.columns) > 1 else part.columns[0]
            self._parts[key] = PartParameters(
                part.family, tuple(names[one] for one in columns), levels, values
            )

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
