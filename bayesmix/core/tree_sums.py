"""Sums over chunks in a fixed binary tree, so that rounding does not depend on threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from bayesmix.core.parallel import Item, Result, share_out, threads_for


def reduced(step: Callable[[Item], Result], items: Sequence[Item], n_jobs: int) -> Result:
    """Sum ``step(item)`` in a fixed binary tree, so that rounding does not depend on threads.

    Pairs are added as soon as both are available, so that few sums are in memory.
    """
    n_items = len(items)
    n_jobs = threads_for(n_items, n_jobs)
    waiting: dict[tuple[int, int], Any] = {}
    lock = threading.Lock()

    def work(index: int) -> None:
        climb(waiting, (0, index), step(items[index]), n_items, height(n_items), lock)

    if n_jobs <= 1:
        for index in range(n_items):
            work(index)
    else:
        share_out(work, n_items, n_jobs)
    total: Result
    (total,) = waiting.values()
    return total


def climb(
    waiting: dict[tuple[int, int], Any],
    node: tuple[int, int],
    total: Any,
    n_items: int,
    top: int,
    lock: threading.Lock,
) -> None:
    """Add the sum of a node (level, index) to its neighbour's if that waits, up to level ``top``.

    Otherwise the sum waits there.
    """
    level, index = node
    while level < top:
        if index ^ 1 <= (n_items - 1) >> level:
            with lock:
                other = waiting.pop((level, index ^ 1), None)
                if other is None:
                    waiting[level, index] = total
                    return
            total = other + total if index % 2 else total + other
        level, index = level + 1, index // 2
    waiting[level, index] = total


def height(n_items: int) -> int:
    """Return the level of the root of a tree."""
    return (n_items - 1).bit_length()
