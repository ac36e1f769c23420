"""When a run has converged: on what is still to be gained, never on one small step.

Aitken's estimate of the remaining gain is δ_t a / (1 - a) with a = δ_t / δ_(t-1), taken over plain
passes only, and has to stay small for several of them. A float ``tol`` is scikit-learn's rule
instead: one change of the objective below it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

# Nats per row that may remain when a run is called converged; where runs are only compared with
# one another, in a search or among candidates; and the rounding of a sum.
REMAINING_GAIN = 1e-9
REMAINING_IN_SEARCH = 1e-6
ROUNDING = 1e-13
CONFIRMATIONS = 3


@dataclass(frozen=True)
class Aitken:
    """tol="auto": the estimated gain that is left is so small (nats a row), some times running."""

    remaining: float = REMAINING_GAIN
    confirmations: int = CONFIRMATIONS

    def converged(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """``recent``: objective values of consecutive plain passes, oldest first."""
        if len(recent) < self.confirmations + 2:
            return False
        return self._little_is_left(recent[-(self.confirmations + 2) :], n_rows, magnitude)

    def expected(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """The same of the last two gains alone."""
        return len(recent) > 2 and self._little_is_left(recent[-3:], n_rows, magnitude)

    def is_small(self, gain: float, n_rows: float) -> bool:
        """Ten times what may be left."""
        return gain < 10.0 * self.remaining * n_rows

    def _little_is_left(self, values: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether every gain but the first leaves little, if it is to shrink as it did."""
        gains = [b - a for a, b in pairwise(values)]
        if all(abs(gain) <= ROUNDING * magnitude for gain in gains):
            return True
        for before, gain in pairwise(gains):
            if gain <= ROUNDING * magnitude:
                continue
            if before <= gain:
                return False
            if gain * gain / (before - gain) > self.remaining * n_rows:
                return False
        return True


@dataclass(frozen=True)
class Change:
    """A number: the objective changed by less than ``tol`` (per row for maximum likelihood)."""

    tol: float
    per_row: bool

    def converged(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """scikit-learn's rule."""
        if len(recent) < 2:
            return False
        scale = n_rows if self.per_row else 1.0
        return abs(recent[-1] - recent[-2]) / scale < self.tol

    def expected(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """One small change is the end."""
        return False

    def is_small(self, gain: float, n_rows: float) -> bool:
        """No more than what a plain pass would end at."""
        return gain / (n_rows if self.per_row else 1.0) < self.tol


# Where fits are there to be compared with others that ended alike.
AMONG_CANDIDATES = Aitken(REMAINING_IN_SEARCH, confirmations=2)
