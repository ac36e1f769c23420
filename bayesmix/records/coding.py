"""L1: what the columns of a table were before they became numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from bayesmix.numerics.arrays import Integers

Level: TypeAlias = str | int | float | bool


@dataclass(frozen=True)
class Coding:
    """Names of columns, the levels that codes 0, 1, ... stand for, and which columns are no part.

    ``levels`` is None for a column of numbers; ``left_out`` are names with the reason.
    """

    names: tuple[str, ...]
    levels: tuple[tuple[Level, ...] | None, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def has_levels(self) -> bool:
        """Whether a column was anything but numbers."""
        return any(own is not None for own in self.levels)

    def some(self, columns: Integers) -> Coding:
        """That of some columns."""
        picked = [int(column) for column in columns]
        return replace(
            self,
            names=tuple(self.names[column] for column in picked),
            levels=tuple(self.levels[column] for column in picked),
        )

    @property
    def sentence(self) -> str:
        """What was taken for what, and what was left out."""
        numbers = [n for n, own in zip(self.names, self.levels, strict=True) if own is None]
        levels = [
            f"{name} ({len(own)} levels)"
            for name, own in zip(self.names, self.levels, strict=True)
            if own is not None
        ]
        left = [f"{name} ({why})" for name, why in self.left_out]
        said = (("numbers", numbers), ("categories", levels), ("left out", left))
        return "; ".join(f"{what}: {', '.join(names)}" for what, names in said if names)
