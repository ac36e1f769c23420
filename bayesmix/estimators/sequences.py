"""``lengths`` and ``groups`` of sequences, checked, beside the samples that they divide."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bayesmix.core.rows import SideInformation
from bayesmix.core.sources import Source
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.estimators.constraints import group_codes
from bayesmix.numerics.arrays import Booleans
from bayesmix.sources.memory import ArraySource


def in_sequences(source: Source, lengths: Any, groups: Any) -> ArraySource:
    """Return the source with the starts of its sequences; by default all samples are one."""
    if not isinstance(source, ArraySource):
        raise UnsupportedError(
            "a hidden Markov model needs X in memory, got X in parts or on a device: give an array"
        )
    if source.weights is not None:
        raise UnsupportedError("samples of a sequence have no weights: leave them out")
    begins = starts_of_sequences(lengths, groups, source.shape[0])
    return replace(source, side=SideInformation(begins=begins))


def starts_of_sequences(lengths: Any, groups: Any, n_rows: int) -> Booleans:
    """Return where sequences begin (n,)."""
    if lengths is not None and groups is not None:
        raise InvalidInputError("give lengths or groups, not both")
    if groups is not None:
        codes = group_codes(groups, n_rows, n_rows)
        begins: Booleans = np.append(True, np.diff(codes) != 0)
        again = np.flatnonzero(begins)[1:]
        again = again[np.diff(codes[begins]) < 0]
        if len(again):
            raise InvalidInputError(
                "groups must be contiguous, each a sequence in order of time, but the group of "
                f"sample {again[0]} appeared before: sort X by group and time"
            )
        return begins
    begins = np.zeros(n_rows, dtype=bool)
    begins[0] = True
    if lengths is None:
        return begins
    sizes = np.asarray(lengths)
    if sizes.ndim != 1 or sizes.dtype.kind not in "iu":
        raise InvalidInputError(
            f"lengths must be a sequence of integers, the number of samples of each sequence, got "
            f"{lengths!r:.60}"
        )
    if (sizes < 1).any():
        raise InvalidInputError(
            f"lengths must be at least 1, got {sizes.min()}: leave out empty sequences"
        )
    if sizes.sum() != n_rows:
        raise InvalidInputError(
            f"lengths must sum to the number of samples, {n_rows}, got a sum of {sizes.sum()}"
        )
    begins[np.cumsum(sizes)[:-1]] = True
    return begins
