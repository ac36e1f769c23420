"""Memory-mapped arrays of NumPy's files."""

from __future__ import annotations

import tokenize
import warnings
from os import PathLike, fspath

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array
from bayesmix.sources.memory import ArraySource

# Errors of damaged files; the headers of arrays are parsed as Python.
DAMAGED = (
    ArithmeticError,
    LookupError,
    MemoryError,
    OSError,
    RecursionError,
    SyntaxError,
    TypeError,
    UserWarning,
    ValueError,
    tokenize.TokenError,
)


def open_npy(
    path: str | PathLike[str], weights: Array | None = None, n_jobs: int | None = 1
) -> ArraySource:
    """Open a two-dimensional numerical ``.npy`` file as a memory-mapped source."""
    try:
        # A header of Python 2, or a damaged one.
        with warnings.catch_warnings(action="error", category=UserWarning):
            values = np.load(fspath(path), mmap_mode="r", allow_pickle=False)
    except DAMAGED as problem:
        remedy = ": save rows.astype(float)" if "Python objects" in str(problem) else ""
        raise InvalidInputError(
            f"{path}: not a readable .npy file: {problem!r:.200}{remedy}"
        ) from None
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        remedy = "save rows[:, None]" if values.ndim == 1 else "save rows and columns"
        if values.dtype.kind not in "fiub":
            remedy = "save an array of floats, with a column for each part or field"
        raise InvalidInputError(
            f"{path}: expected a two-dimensional array of real numbers, "
            f"got shape {values.shape} of {values.dtype}: {remedy}"
        )
    return ArraySource(values, weights, n_jobs)
