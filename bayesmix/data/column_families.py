"""The family for data: that of each kind of column, with levels known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bayesmix.errors import InvalidInputError
from bayesmix.families.categorical import Categorical
from bayesmix.families.coding import Coding
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.independent.levels import LevelsFamily
from bayesmix.families.names import family_named
from bayesmix.families.negative_binomial import NegativeBinomial
from bayesmix.families.product.family import Part, Product
from bayesmix.families.rates import Poisson
from bayesmix.families.successes import Bernoulli
from bayesmix.families.transformed import Transformed
from bayesmix.families.von_mises import VonMises
from bayesmix.sources.memory import (
    coding_of,
)

if TYPE_CHECKING:
    from bayesmix.core.sources import Source

# Columns of a family that are parts of their own. More are one part, as a pass calls each part.
MOST_PARTS = 16


def family_for(family: Any, source: Source) -> Any:
    """Return the family for the data, with "auto" and products resolved and levels known."""
    columns, n_columns, coding = source.columns, source.shape[1], coding_of(source)
    family = family_named(family)
    if isinstance(family, LevelsFamily):
        family = family.on_columns(columns, n_columns)
        if family.levels is not None:
            return family
        if coding is not None and None not in coding.levels:
            return family.with_levels(coding.levels)
        codes = source.summary.maximum  # from 0 to the largest
        return family.with_levels(tuple(tuple(range(int(most) + 1)) for most in codes))
    if isinstance(family, Product):
        return _knowing_levels(family.over(columns, n_columns, coding))
    if coding is None or not coding.is_mixed:
        plain = Product({tuple(columns or range(n_columns)): Gaussian()})
        return plain.over(columns, n_columns, coding)
    normal: Any = Gaussian()
    if coding.logs is not None:
        normal = Transformed(normal, coding.logs)
    parts = [Part(coding.continuous, normal)] if coding.continuous else []
    turns = zip(coding.circular, coding.turns, strict=True)
    parts += [Part((name,), VonMises(*turn)) for name, turn in turns]
    levels = dict(zip(coding.names, coding.levels, strict=True))
    discrete = [*coding.counts, *(name for name, own in levels.items() if own is not None)]
    kinds: dict[type, list[str]] = {}
    for name in discrete:
        kinds.setdefault(_kind_of(coding, levels[name], name), []).append(name)
    for name in discrete:
        kind = _kind_of(coding, levels[name], name)
        together = tuple(kinds[kind]) if len(kinds[kind]) > MOST_PARTS else (name,)
        if name == together[0]:
            own = tuple(levels[each] or () for each in together)
            parts.append(Part(together, Categorical(own) if kind is Categorical else kind()))
    return _knowing_levels(Product(tuple(parts)).over(columns, n_columns, coding))


def _kind_of(coding: Coding, levels: tuple[Any, ...] | None, name: str) -> type:
    """Return the family of a discrete column."""
    if levels is not None:
        return Bernoulli if len(levels) == 2 else Categorical
    return NegativeBinomial if name in coding.overdispersed else Poisson


def _knowing_levels(family: Product) -> Product:
    """Return the product with the levels of its categorical columns from the coding."""
    coding: Coding | None = family.coding
    coded = {} if coding is None else dict(zip(coding.names, coding.levels, strict=True))
    parts = []
    for part in family.parts:
        if isinstance(part.family, LevelsFamily):
            own: Any = part.family.on_columns(tuple(map(str, part.columns)), len(part.columns))
            part = replace(part, family=own)
        if isinstance(part.family, LevelsFamily) and part.family.levels is None:
            levels: Any = [coded.get(str(name)) for name in part.columns]
            if None in levels:
                raise InvalidInputError(
                    f"the levels of {part.label!r} are not known: pass a frame, or name the "
                    "levels, as in Categorical(levels=[[0, 1, 2]]), and pass codes 0, 1, 2"
                )
            part = replace(part, family=part.family.with_levels(tuple(levels)))
        parts.append(part)
    return replace(family, parts=tuple(parts))
