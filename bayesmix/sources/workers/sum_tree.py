"""The one tree in which sums over parts are added, and pieces of it that are added apart.

Its leaves are the parts in their order; on every level neighbours are added, and the last of an odd
number goes up as it is. A run of parts that is a whole node of the tree can be added anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Node:
    """Of some level, by number; it holds the parts from ``start`` to ``stop``."""

    level: int
    index: int
    start: int
    stop: int


def runs(n_parts: int, most: int, holders: Sequence[Any] | None) -> list[Node]:
    """The parts as nodes of at most so many, each with one holder (None: anyone)."""

    def node(level: int, index: int) -> list[Node]:
        start, stop = index << level, min((index + 1) << level, n_parts)
        alone = holders is None or len(set(holders[start:stop]) - {None}) <= 1
        if level == 0 or (stop - start <= most and alone):
            return [Node(level, index, start, stop)]
        halves = node(level - 1, 2 * index)
        if (2 * index + 1) << (level - 1) < n_parts:
            halves += node(level - 1, 2 * index + 1)
        return halves

    return node(height(n_parts), 0)


def climbed(sums: Iterable[tuple[Node, Any]], n_parts: int, top: int | None = None) -> Any:
    """Sums at nodes that make up one node at level ``top``, by default the root, added."""
    top = height(n_parts) if top is None else top
    waiting: dict[tuple[int, int], Any] = {}
    for node, total in sums:
        level, index = node.level, node.index
        while level < top:
            last = (n_parts - 1) >> level
            if index ^ 1 <= last:
                other = waiting.pop((level, index ^ 1), None)
                if other is None:
                    break
                total = other + total if index % 2 else total + other
            level, index = level + 1, index // 2
        waiting[level, index] = total
    (total,) = waiting.values()
    return total


def height(n_parts: int) -> int:
    """The level of the root."""
    return (n_parts - 1).bit_length()
