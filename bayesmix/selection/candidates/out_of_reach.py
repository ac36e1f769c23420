"""When a chain of candidates that grows by itself may end before more components are refuted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bayesmix.selection.candidates.candidate import Candidate

# How many of a chain's latest steps tell what the next ones may gain.
STEPS_SEEN = 3


def hopeless(
    chain: list[Candidate],
    others: Sequence[list[Candidate]],
    name: str,
    ended: Callable[[list[Candidate]], bool],
) -> bool:
    """Whether a chain, at the rate of its last steps, cannot reach a richer one that has ended.

    The evidence (column ``name``) is slow to see that a rich structure predicts better, so that it
    may be believed where it says so all the same. The chain may gain as much again as all steps so
    far would have at the rate of the best of the last few.
    """
    values = [row.value(name) for row in chain]
    steps = np.diff(values[-1 - STEPS_SEEN :])
    if len(steps) < STEPS_SEEN or not np.isfinite(steps).all():
        return False
    reach = values[-1] + max(float(steps.max()), 0.0) * len(chain)
    return any(
        other
        and _richer(other, chain)
        and ended(other)
        and reach
        < max((row.value(name) for row in other if row.sound is not None), default=-np.inf)
        for other in others
    )


def _richer(one: list[Candidate], other: list[Candidate]) -> bool:
    """Whether a chain has more parameters at a number of components: at one many have as many."""
    there = {row.asked: row.sound.n_parameters for row in other if row.sound is not None}
    return any(
        row.sound.n_parameters > there[row.asked]
        for row in one
        if row.sound is not None and row.asked in there
    )
