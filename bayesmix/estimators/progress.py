"""What a person sees while a fit goes on: scikit-learn's lines, or a bar after a second."""

from __future__ import annotations

import sys
import time
import warnings
from typing import Any

from bayesmix.engine.monitor import Monitor
from bayesmix.errors import BayesmixWarning

SECONDS_BEFORE_BAR = 1.0
SECONDS_BETWEEN_UPDATES = 0.1


class Reporter:
    """A monitor's ``on_pass`` and a context: the bar goes away when the work is done."""

    def __init__(self, label: str, verbose: int, interval: int, progress: bool | None) -> None:
        self.label = label
        self.verbose = verbose
        self.interval = interval
        self.wanted = progress
        self.began = time.perf_counter()
        self.last = self.began
        self.bar: Any = None
        self.task: Any = None

    def attach(self, monitor: Monitor) -> Monitor:
        """Hear of every pass of this monitor."""
        monitor.on_pass = self.on_pass
        return monitor

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *problem: Any) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_pass(self, stage: str, iteration: int, objective: float, gain: float) -> None:
        """One pass is done."""
        if self.verbose and iteration % self.interval == 0:
            self._line(iteration, gain)
        if self.wanted is False:
            return
        now = time.perf_counter()
        if now - self.began < SECONDS_BEFORE_BAR or now - self.last < SECONDS_BETWEEN_UPDATES:
            return
        self.last = now
        if self.bar is None:
            self.bar = self._new_bar()
            if self.bar is None:
                self.wanted = False
                return
        where = f"{stage}  " if stage else ""
        self.bar.update(
            self.task, description=f"{self.label}  {where}pass {iteration}", gain=f"{gain:+.2e}"
        )

    def _line(self, iteration: int, gain: float) -> None:
        print(f"  Iteration {iteration}" + (f"\t ll change {gain:.5f}" if self.verbose > 1 else ""))

    def _new_bar(self) -> Any:
        """A bar on standard error, or None where nobody looks."""
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = Console(file=sys.stderr)
        if self.wanted is None and not (console.is_terminal or console.is_jupyter):
            return None
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("gain {task.fields[gain]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self.task = bar.add_task(self.label, total=None, gain="")
        bar.start()
        return bar


class SearchReporter:
    """Candidates done and to do, shown once a search has taken a second."""

    def __init__(self, total: int, progress: bool | None) -> None:
        self.total = total
        self.wanted = progress
        self.began = time.perf_counter()
        self.done = 0
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> SearchReporter:
        return self

    def __exit__(self, *problem: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self, label: str) -> None:
        """One more candidate is fitted."""
        self.done += 1
        if self.bar is None and self.wanted is not False:
            if time.perf_counter() - self.began < SECONDS_BEFORE_BAR:
                return
            self.bar = self._new_bar()
            self.wanted = self.wanted if self.bar is not None else False
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, label=label)

    def interrupted(self, done: int) -> None:
        """Ctrl-C: what is done is kept."""
        warnings.warn(
            f"interrupted: compared the first {done} of {self.total} candidates",
            BayesmixWarning,
            stacklevel=4,
        )

    def _new_bar(self) -> Any:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(file=sys.stderr)
        if self.wanted is None and not (console.is_terminal or console.is_jupyter):
            return None
        bar = Progress(
            TextColumn("candidates"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[label]}", style="dim"),
            console=console,
            transient=True,
        )
        self.task = bar.add_task("candidates", total=self.total, label="")
        bar.start()
        return bar
