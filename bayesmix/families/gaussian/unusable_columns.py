"""Columns that a family cannot have, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bayesmix.core.rows import FARTHEST
from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from bayesmix.core.sources import Source


def refuse_constant(source: Source, data: str = "X", mixture: str = "") -> None:
    """Raise an error for constant columns, whose density is unbounded."""
    constant = np.flatnonzero(source.summary.constant)
    if len(constant):
        column = str(constant[0]) if source.columns is None else repr(source.columns[constant[0]])
        raise InvalidInputError(
            f"{data} must have no constant columns{mixture}, but all values of column {column} are "
            "equal: leave out that column"
        )


def refuse_columns_apart(covariance: str, scale: Array) -> None:
    """Raise an error for column scales too different for a common unit."""
    least, most = int(scale.argmin()), int(scale.argmax())
    if scale[most] > FARTHEST * scale[least]:
        raise InvalidInputError(
            f"covariance_type={covariance!r} needs columns of similar scale, but the spread of "
            f"column {least} is {scale[least]:.3g} and that of column {most} {scale[most]:.3g}: "
            "standardise the columns, or use covariance_type='full'"
        )
