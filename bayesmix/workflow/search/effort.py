"""How many starts a family is worth, and how soft they are."""

from __future__ import annotations

from dataclasses import dataclass

from bayesmix.protocols import Family


@dataclass(frozen=True)
class StartEffort:
    """What small data are worth: batches of starts, and how many are settled and improved.

    Where ``alike`` starts end in one place (nats a row) and none in a better one, no more are made.
    Starts spread a share of every row over all components. Some are clusters ``by_graph``.
    """

    batches: tuple[range, ...]
    alike: int
    settled: int
    spread: float
    by_graph: tuple[int, ...] = ()


USUAL = StartEffort((range(11), range(11, 22)), 4, 3, 0.0, (4, 7))
# Where a probability of 0 would stay 0 optima are many, and a pass costs little (decision 50).
WITH_ZEROS = StartEffort((range(27), range(27, 54)), 9, 4, 0.5)


def effort_of(family: Family) -> StartEffort:
    """What a family needs."""
    return WITH_ZEROS if family.keeps_zeros else USUAL
