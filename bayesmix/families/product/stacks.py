"""Parts of one kind of independent columns, evaluated by one product."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from bayesmix.core.components import DensitiesAndStatistics, Statistics
from bayesmix.families.independent.columns import PosteriorColumns
from bayesmix.families.independent.levels import Levels
from bayesmix.families.independent.linear import Counts, LinearInTotals, Plain, Sums
from bayesmix.numerics.arrays import Array, Integers


class OfPart(Protocol):
    """K densities of some columns, at a point, posterior, or linear form of either."""

    @property
    def n_components(self) -> int: ...

    def seen(self, values: Array) -> DensitiesAndStatistics:
        """Return log densities (n, K) of the observed cells, and a function to statistics."""

    def expected_log_density(self, values: Array) -> Array:
        """Return log densities (n, K) of complete rows."""

    def statistics(self, values: Array, responsibilities: Array) -> Statistics:
        """Return the statistics under responsibilities (n, K)."""


@dataclass(frozen=True)
class Stack:
    """Densities of some parts at once: their numbers, columns, and ends of their totals."""

    form: OfPart
    parts: tuple[int, ...]
    columns: Integers
    ends: tuple[int, ...]

    def of(self, values: Array) -> Array:
        """Return the columns of a frame (n, D') that belong to the parts, contiguous by column."""
        return values.T[self.columns].T

    def split(self, statistics: Any) -> Iterable[tuple[int, Statistics]]:
        """Yield the number and the statistics of each part."""
        if len(self.parts) == 1:
            return [(self.parts[0], statistics)]
        starts = (0, *self.ends[:-1])
        known = statistics.known_counts
        return [
            (
                part,
                Sums(
                    statistics.counts,
                    statistics.totals[:, start:end],
                    statistics.measured,
                    None if known is None else known[:, start:end],
                ),
            )
            for part, start, end in zip(self.parts, starts, self.ends, strict=True)
        ]


@dataclass(frozen=True)
class Stacks:
    """All parts of a product, those of one kind together."""

    members: tuple[Stack, ...]

    @classmethod
    def of(cls, forms: Sequence[Any], places: Sequence[Integers]) -> Stacks:
        """Return the stacks of parts with these densities and framed columns."""
        alike: dict[object, list[int]] = {}
        for part, form in enumerate(map(_linear, forms)):
            alike.setdefault(_kind(form, part), []).append(part)
        return cls(tuple(_stack(forms, places, tuple(parts)) for parts in alike.values()))

    def seen(self, values: Array) -> tuple[Array, Callable[[Array], tuple[Statistics, ...]]]:
        """Return log densities (n, K) of the observed cells, and a function to statistics."""
        found = [stack.form.seen(stack.of(values)) for stack in self.members]
        total = found[0][0]
        for density, _ in found[1:]:
            total = total + density

        def statistics(shares: Array) -> tuple[Statistics, ...]:
            return self._in_order(of_shares(shares) for _, of_shares in found)

        return total, statistics

    def expected_log_density(self, values: Array) -> Array:
        """Return log densities (n, K) of complete rows."""
        out = np.zeros((len(values), self.members[0].form.n_components), order="F")
        for stack in self.members:
            out += stack.form.expected_log_density(stack.of(values))
        return out

    def statistics(self, values: Array, responsibilities: Array) -> tuple[Statistics, ...]:
        """Return the statistics of each part, of complete rows."""
        return self._in_order(
            stack.form.statistics(stack.of(values), responsibilities) for stack in self.members
        )

    def _in_order(self, statistics: Iterable[Any]) -> tuple[Statistics, ...]:
        by_part: dict[int, Statistics] = {}
        for stack, together in zip(self.members, statistics, strict=True):
            by_part.update(stack.split(together))
        return tuple(by_part[part] for part in range(len(by_part)))


def _linear(form: Any) -> Any:
    """Return the linear form of a posterior whose densities are those of the form."""
    return form.linear if isinstance(form, PosteriorColumns) else form


def _kind(form: Any, part: int) -> object:
    """Return what parts that can be read at once have in common; others have their number."""
    if not (isinstance(form, LinearInTotals) and form.exact):
        return part
    if isinstance(form.reading, Levels):
        return Levels
    return form.reading if isinstance(form.reading, Plain | Counts) else part


def _stack(forms: Sequence[Any], places: Sequence[Integers], parts: tuple[int, ...]) -> Stack:
    if len(parts) == 1:
        return Stack(forms[parts[0]], parts, places[parts[0]], ())
    linear: list[LinearInTotals] = [_linear(forms[part]) for part in parts]
    reading = linear[0].reading
    if isinstance(reading, Levels):
        reading = Levels(tuple(size for form in linear for size in form.reading.numbers))  # type: ignore[attr-defined]
    form = LinearInTotals(
        np.hstack([form.constants for form in linear]),
        np.hstack([form.slopes for form in linear]),
        reading,
    )
    ends = np.cumsum([form.slopes.shape[1] for form in linear])
    columns = np.concatenate([places[part] for part in parts])
    return Stack(form, parts, columns, tuple(ends.tolist()))
