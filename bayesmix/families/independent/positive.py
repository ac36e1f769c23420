"""What families of positive columns share: which rows they refuse, and their frame.

Framed rows are x / scale, scale a power of two near the median: data in other units give the same
bits where the units differ by powers of two.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.families.defaults import FamilyDefaults
from bayesmix.families.independent.columns import refuse_where
from bayesmix.numerics.arrays import Stored
from bayesmix.protocols import Source
from bayesmix.records import Event, Frame, Summary

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
