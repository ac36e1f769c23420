"""Partitions of trees of merges, as starts of fits with a given number of components."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from bayesmix.errors import DegenerateFitError
from bayesmix.numerics.memo import cached
from bayesmix.selection.merge_tree import MergeTree, cells_of_tree, tree_of
from bayesmix.sources.condensed import condensed, is_condensed

if TYPE_CHECKING:
    from bayesmix.core.families import Family
    from bayesmix.numerics.arrays import Integers
    from bayesmix.sources.memory import ArraySource

# Cells of a tree: enough to divide every component, and as few as that, as the cost is that of the
# merges. As many observations in each, on average.
FEWEST, CELLS_OF_EACH = 30, 4


def partitions_of_tree(
    family: Family, source: ArraySource, n_components: int, seed: int
) -> Iterator[Integers]:
    """Yield the labels (n,) of the partition with K clusters; none without a tree or for gaps."""
    n_cells = min(max(FEWEST, CELLS_OF_EACH * n_components), source.shape[0])
    if not family.has_posterior or not family.linear or source.summary.n_missing:
        return
    if is_condensed(source):  # cells come with starts from their own tree
        return
    if (weights := source.weights) is not None:
        # On any scale of weights the data decide, not the prior; those that count rows repeat them.
        counts = np.asarray(weights) / np.min(weights, where=weights > 0.0, initial=np.max(weights))
        source = cached(source, ("least weight 1",), lambda: replace(source, weights=counts))
    cells = cells_of_tree(source, family, n_cells, seed)

    def found() -> MergeTree:
        return tree_of(family, condensed(source, cells))

    try:
        tree = cached(source, ("tree", repr(family), n_cells, seed), found)
    except DegenerateFitError:  # rows so far away that sums have no digits left
        return
    if tree.n_cells >= n_components:
        yield tree.clusters(n_components)[cells]
