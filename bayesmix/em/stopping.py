"""Convergence by the estimated remaining gain (Aitken), or by the last change as in scikit-learn.

The estimate δ_t a / (1 - a), a = δ_t / δ_(t-1), must stay small for several plain passes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

# Remaining gain in nats per observation of a converged run and of one that is only compared with
# others, and the relative rounding of a sum.
REMAINING_GAIN = 1e-9
REMAINING_IN_SEARCH = 1e-6
ROUNDING = 1e-13
CONFIRMATIONS = 3


@dataclass(frozen=True)
class Aitken:
    """tol="auto": the estimated remaining gain per observation is small several times in a row."""

    remaining: float = REMAINING_GAIN
    confirmations: int = CONFIRMATIONS

    def converged(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether the run converged; ``recent``: objectives of plain passes, oldest first."""
        if len(recent) < self.confirmations + 2:
            return False
        return self._little_is_left(recent[-(self.confirmations + 2) :], n_rows, magnitude)

    def expected(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether the last two gains indicate convergence."""
        return len(recent) > 2 and self._little_is_left(recent[-3:], n_rows, magnitude)

    def is_small(self, gain: float, n_rows: float) -> bool:
        """Whether a gain is below ten times the tolerance."""
        return gain < 10.0 * self.remaining * n_rows

    def _little_is_left(self, values: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether the remaining gain is small after each step, extrapolated geometrically."""
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
    """Numerical ``tol``: the last change is smaller (per observation for maximum likelihood)."""

    tol: float
    per_row: bool

    def converged(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Whether the last change is below ``tol``."""
        if len(recent) < 2:
            return False
        scale = n_rows if self.per_row else 1.0
        return abs(recent[-1] - recent[-2]) / scale < self.tol

    def expected(self, recent: tuple[float, ...], n_rows: float, magnitude: float) -> bool:
        """Return False: no confirmation is needed."""
        return False

    def is_small(self, gain: float, n_rows: float) -> bool:
        """Whether a gain is below ``tol``."""
        return gain / (n_rows if self.per_row else 1.0) < self.tol


# Rule for candidates, which are only compared with one another.
AMONG_CANDIDATES = Aitken(REMAINING_IN_SEARCH, confirmations=2)
