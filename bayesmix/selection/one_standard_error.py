"""The simplest candidate within one standard error of the best."""

from __future__ import annotations

from bayesmix.selection.scores import HeldOut, finite


def within_one_error(held: list[HeldOut | None], n_parameters: list[int]) -> int:
    """Return the candidate with fewest parameters within one standard error of the best.

    The standard error is that of the paired difference (Breiman et al. 1984, with pairs). ``held``
    is None for candidates without a value; at least one has a value.
    """
    best = max(
        (index for index, scores in enumerate(held) if scores is not None and finite(scores)),
        key=lambda index: (held[index].score.value, -index),  # type: ignore[union-attr]
    )
    leader = held[best]
    assert leader is not None
    fine = [best]
    for index, scores in enumerate(held):
        if scores is None or not finite(scores) or index == best:
            continue
        behind = leader.less(scores)
        if behind.value <= behind.standard_error:
            fine.append(index)
    return min(fine, key=lambda index: (n_parameters[index], -held[index].score.value))  # type: ignore[union-attr]
