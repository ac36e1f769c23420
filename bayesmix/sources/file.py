"""Numeric files that are mapped into memory rather than read."""

from __future__ import annotations

from os import PathLike, fspath

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.sources.array import ArraySource


def open_npy(
    path: str | PathLike[str], weights: Array | None = None, n_jobs: int | None = 1
) -> ArraySource:
    """A two-dimensional numeric ``.npy`` file as a source; its pages are read as they are used.

    Raises ``InvalidInputError`` for any other content.
    """
    try:
        values = np.load(fspath(path), mmap_mode="r", allow_pickle=False)
    except ValueError as problem:
        raise InvalidInputError(f"{path}: not a readable .npy file: {problem}") from None
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise InvalidInputError(
            f"{path}: expected a two-dimensional array of real numbers, "
            f"got shape {values.shape} of {values.dtype}"
        )
    return ArraySource(values, weights, n_jobs)
