"""Progress of a fit: printed passes, or a bar after a second."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from bayesmix.core.printed_numbers import significant
from bayesmix.em.run import Monitor

if TYPE_CHECKING:
    from bayesmix.core.protocols import RowsRead
    from bayesmix.em.progress_bar import FitProgress

SECONDS_BEFORE_BAR = 1.0
SECONDS_BETWEEN_UPDATES = 0.1


class Reporter:
    """Progress of a fit, as scikit-learn's verbose lines or as a bar.

    Lines on a search are those of starts and moves that improved it; passes are those of the run
    that is returned.

    ``per_row`` divides the gains in the lines to the scale of ``tol``; ``rows`` counts the
    observations that passes have read.
    """

    def __init__(
        self,
        label: str,
        verbose: int,
        interval: int,
        progress: bool | None,
        per_row: float = 1.0,
        rows: RowsRead | None = None,
    ) -> None:
        self.label = label
        self.verbose = verbose
        self.interval = interval
        self.wanted = progress
        self.bar: FitProgress | None = None
        self.per_row = per_row
        self.rows = rows
        self.seen = 0 if rows is None else rows.n_rows
        self.began = self.last = self.printed = time.perf_counter()
        self.runs: list[str] = []
        self.monitor = Monitor()

    def attach(self, monitor: Monitor) -> Monitor:
        monitor.on_pass = self.on_pass
        if self.verbose:
            monitor.on_gain = self.on_gain
        self.monitor = monitor
        monitor.reports_passes = self.verbose > 0
        return monitor

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *problem: Any) -> None:
        if self.bar is not None:
            self.bar.__exit__()

    def on_pass(self, stage: str, iteration: int, objective: float, gain: float) -> None:
        if self.verbose and not self.monitor.searching:
            self._lines(stage, iteration, gain)
        now = time.perf_counter()
        early = now - self.began < SECONDS_BEFORE_BAR
        if self.wanted is False or early or now - self.last < SECONDS_BETWEEN_UPDATES:
            return
        if self.bar is None:
            from bayesmix.em.progress_bar import FitProgress

            self.bar = FitProgress(None, self.wanted, self.label)
            self.bar.began = self.began
        speed = self._speed(now)
        self.last = now
        where = f"{stage}  " if stage else ""
        self.bar.show(f"{self.label}  {where}pass {iteration}", f"gain {gain:+.2e}  {speed}")

    def _speed(self, now: float) -> str:
        """Return observations per second since the last update, empty for subsamples."""
        if self.rows is None:
            return ""
        n_rows, self.seen = self.rows.n_rows - self.seen, self.rows.n_rows
        return f"{n_rows / (now - self.last):,.0f} rows/s" if n_rows else ""

    def finished(self, converged: bool, lower_bound: float) -> None:
        """Print scikit-learn's last line."""
        if not self.verbose:
            return
        line = f"Initialization {'converged' if converged else 'did not converge'}."
        if self.verbose > 1:
            seconds = time.perf_counter() - self.began
            line += f" time lapse {seconds:.5f}s\t lower bound {lower_bound:.5f}."
        print(line)

    def on_gain(self, stage: str, what: str, gain: float) -> None:
        """Print which start or move improved the search."""
        self._begin(stage)
        gained = f"+{significant(gain)} nats" if math.isfinite(gain) else "first optimum"
        print(f"  {what}: {gained}")

    def _begin(self, stage: str) -> None:
        """Print scikit-learn's first line of each run."""
        if stage not in self.runs:
            print(f"Initialization {len(self.runs)}")
            self.runs.append(stage)

    def _lines(self, stage: str, iteration: int, gain: float) -> None:
        """Print scikit-learn's lines."""
        self._begin(stage)
        if iteration % self.interval:
            return
        line = f"  Iteration {iteration}"
        if self.verbose > 1:
            now = time.perf_counter()
            change = gain / self.per_row
            line += f"\t time lapse {now - self.printed:.5f}s\t ll change {change:.5f}"
            self.printed = now
        print(line)
