"""Probabilities of levels in any family with categorical columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from bayesmix.families.bernoulli import Bernoulli
from bayesmix.families.categorical import Categorical
from bayesmix.families.product.family import Product
from bayesmix.numerics.arrays import Array


def level_probabilities(family: Any, components: Any) -> dict[int, Array]:
    """Return probabilities (K, L) of the levels of each categorical column."""
    if isinstance(family, Product):
        parts = zip(family.families, components.parts, components.layout.columns, strict=True)
        return {
            own[column]: of_levels
            for part, one, own in parts
            for column, of_levels in level_probabilities(part, one).items()
        }
    if isinstance(family, Categorical):
        pairs = enumerate(components.reading.pairs)
        return {column: components.probabilities[:, start:end] for column, (start, end) in pairs}
    if isinstance(family, Bernoulli):
        each = enumerate(components.probabilities.T)
        return {column: np.column_stack([1.0 - ones, ones]) for column, ones in each}
    return {}
