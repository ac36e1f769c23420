"""Random streams keyed by purpose, so that draws do not depend on threads or their order.

PCG64 generators are seeded by ``SeedSequence`` with (seed, purpose, run, pass, chunk).
"""

from __future__ import annotations

from enum import IntEnum
from numbers import Integral
from typing import Any

import numpy as np

from bayesmix.errors import InvalidInputError
from bayesmix.numerics.arrays import Array, Integers


class Purpose(IntEnum):
    """Purpose of a stream, the first part of its key."""

    START = 1
    SUBSAMPLE = 2
    SAMPLE = 4
    FOLD = 5
    CANDIDATE = 6
    DRAW = 7
    RESAMPLE = 8
    GAPS = 9
    ROUNDING = 10


def root_seed(random_state: Any) -> int:
    """Return the non-negative seed of all streams of a fit.

    ``random_state`` is None (fresh entropy), an integer, a ``RandomState`` or a ``Generator``
    (which is advanced by one draw).
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(2, np.uint64)[0])
    if isinstance(random_state, Integral):
        if random_state < 0:
            raise InvalidInputError(f"random_state must not be negative, got {random_state}")
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    if random_state is np.random:
        return int(np.random.mtrand._rand.randint(2**31 - 1))
    raise InvalidInputError(
        "random_state must be None, an integer, a numpy RandomState or Generator, "
        f"got {random_state!r}"
    )


def stream(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """Return the generator of ``(seed, purpose, *key)``.

    Examples
    --------
    >>> from bayesmix.core.random import Purpose, stream
    >>> bool(stream(0, Purpose.START, 1).random() == stream(0, Purpose.START, 1).random())
    True
    """
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, int(purpose), *key])))


def drawn_labels(shares: Array, generator: np.random.Generator) -> Integers:
    """Return a column (n,) for each row of shares (n, K), with probabilities proportional to it."""
    reached = np.cumsum(shares, axis=1)
    below = reached < generator.random((len(shares), 1)) * reached[:, -1:]
    return np.asarray(below.sum(axis=1))
