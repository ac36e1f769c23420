"""What a person sees of work that takes a while: how many fits are done, how one fit goes on."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from typing import Any

from bayesmix.engine.monitor import Monitor
from bayesmix.sources import Passed

# A bar is shown once the work has taken so long.
SECONDS_BEFORE_BAR = 1.0
SECONDS_BETWEEN_UPDATES = 0.1


class FitProgress:
    """A context that counts fits; ``wanted`` None shows a bar where somebody looks."""

    def __init__(self, total: int, wanted: bool | None, what: str = "fits") -> None:
        self.total = total
        self.wanted = wanted
        self.what = what
        self.began = time.perf_counter()
        self.done = 0
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> FitProgress:
        return self

    def __exit__(self, *problem: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self, label: str) -> None:
        """One more is done."""
        self.done += 1
        if self.bar is None and self.wanted is not False:
            if time.perf_counter() - self.began < SECONDS_BEFORE_BAR:
                return
            self.bar = self._new_bar()
            self.wanted = self.wanted if self.bar is not None else False
        if self.bar is not None:
            self.bar.update(self.task, completed=self.done, label=label)

    def _new_bar(self) -> Any:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = console_for(self.wanted)
        if console is None:
            return None
        bar = Progress(
            TextColumn(self.what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[label]}", style="dim"),
            console=console,
            transient=console.is_terminal or console.is_jupyter,
        )
        self.task = bar.add_task(self.what, total=self.total, label="")
        bar.start()
        return bar


class Reporter:
    """One fit, by scikit-learn's lines or a bar: a monitor's ``on_pass``, and a context.

    ``per_row`` divides the gains in the lines, so that they are the changes that ``tol`` is about;
    ``rows`` counts those that passes have gone over.
    """

    def __init__(
        self,
        label: str,
        verbose: int,
        interval: int,
        progress: bool | None,
        per_row: float = 1.0,
        rows: Passed | None = None,
    ) -> None:
        self.label = label
        self.verbose = verbose
        self.interval = interval
        self.wanted = progress
        self.per_row = per_row
        self.rows = rows
        self.seen = 0 if rows is None else rows.n_rows
        self.began = time.perf_counter()
        self.last = self.began
        self.printed = self.began
        self.runs: list[str] = []
        self.bar: Any = None
        self.task: Any = None

    def attach(self, monitor: Monitor) -> Monitor:
        """Hear of every pass of this monitor."""
        monitor.on_pass = self.on_pass
        monitor.told = self.verbose > 0
        return monitor

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *problem: Any) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def on_pass(self, stage: str, iteration: int, objective: float, gain: float) -> None:
        """One pass is done."""
        if self.verbose:
            self._lines(stage, iteration, gain)
        if self.wanted is False:
            return
        now = time.perf_counter()
        if now - self.began < SECONDS_BEFORE_BAR or now - self.last < SECONDS_BETWEEN_UPDATES:
            return
        speed = self._speed(now)
        self.last = now
        if self.bar is None:
            self.bar = self._new_bar()
            if self.bar is None:
                self.wanted = False
                return
        where = f"{stage}  " if stage else ""
        what = f"{self.label}  {where}pass {iteration}"
        self.bar.update(self.task, description=what, gain=f"{gain:+.2e}", speed=speed)

    def _speed(self, now: float) -> str:
        """Rows a second since the last update; nothing while passes are over a sample."""
        if self.rows is None:
            return ""
        found, self.seen = self.rows.n_rows - self.seen, self.rows.n_rows
        return f"{found / (now - self.last):,.0f} rows/s" if found else ""

    def finished(self, converged: bool, lower_bound: float) -> None:
        """scikit-learn's last line."""
        if not self.verbose:
            return
        line = f"Initialization {'converged' if converged else 'did not converge'}."
        if self.verbose > 1:
            seconds = time.perf_counter() - self.began
            line += f" time lapse {seconds:.5f}s\t lower bound {lower_bound:.5f}."
        print(line)

    def _lines(self, stage: str, iteration: int, gain: float) -> None:
        """scikit-learn's lines; a search's short runs each count their own iterations."""
        if stage not in self.runs:
            print(f"Initialization {len(self.runs)}")
            self.runs.append(stage)
        if iteration % self.interval:
            return
        line = f"  Iteration {iteration}"
        if self.verbose > 1:
            now = time.perf_counter()
            change = gain / self.per_row
            line += f"\t time lapse {now - self.printed:.5f}s\t ll change {change:.5f}"
            self.printed = now
        print(line)

    def _new_bar(self) -> Any:
        """A bar on standard error, or None where nobody looks."""
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        console = console_for(self.wanted)
        if console is None:
            return None
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TextColumn("gain {task.fields[gain]}", style="dim"),
            TextColumn("{task.fields[speed]}", style="dim"),
            TimeElapsedColumn(),
            console=console,
            transient=console.is_terminal or console.is_jupyter,
        )
        self.task = bar.add_task(self.label, total=None, gain="", speed="")
        bar.start()
        return bar


def console_for(wanted: bool | None) -> Any:
    """Where a bar can be drawn; None where nobody asked for one and nobody looks.

    Workers share their parent's terminal, and two bars would write over each other.
    """
    from rich.console import Console

    console = Console(file=sys.stderr)
    if wanted:
        return console
    alone = multiprocessing.parent_process() is None and not _in_a_thread()
    return console if alone and (console.is_terminal or console.is_jupyter) else None


def _in_a_thread() -> bool:
    return threading.current_thread() is not threading.main_thread()
