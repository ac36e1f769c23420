"""Progress of a fit: printed passes, or a bar after a second."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from bayesmix.em.run import Monitor

if TYPE_CHECKING:
    from bayesmix.sources.partitions_of_rows import Passed

SECONDS_BEFORE_BAR = 1.0
SECONDS_BETWEEN_UPDATES = 0.1


class FitProgress:
    """Progress bar over fits; ``wanted=None`` shows it in terminals and notebooks only.

    Without a ``total`` it shows the time elapsed.
    """

    def __init__(self, total: int | None, wanted: bool | None, what: str = "fits") -> None:
        self.total = total
        self.wanted = wanted
        self.what = what
        self.began = time.perf_counter()
        self.done = 0
        self.bar: Any = None

    def __enter__(self) -> FitProgress:
        return self

    def __exit__(self, *problem: Any) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    def advance(self, label: str) -> None:
        """Count a finished fit."""
        self.done += 1
        self.show(self.what, label)

    @property
    def hidden(self) -> bool:
        """Whether there is no bar, or none yet."""
        return self.wanted is False or time.perf_counter() - self.began < SECONDS_BEFORE_BAR

    def show(self, what: str, detail: str) -> None:
        """Update the bar, which starts after a second."""
        if self.hidden:
            return
        if self.bar is None:
            self.bar = self._started()
        if self.bar is None:
            self.wanted = False
        else:
            task = self.bar.task_ids[0]
            self.bar.update(task, description=what, completed=self.done, detail=detail)

    def _started(self) -> Any:
        """Return a bar on the console, None without a console."""
        from rich import progress

        if (console := console_for(self.wanted)) is None:
            return None
        counted: tuple[Any, ...] = (progress.SpinnerColumn(),)
        if self.total is not None:
            counted = progress.BarColumn(), progress.MofNCompleteColumn()
        bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            *counted,
            progress.TimeElapsedColumn() if self.total is None else progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[detail]}", style="dim"),
            console=console,
            transient=console.is_terminal or console.is_jupyter,
        )
        bar.add_task(self.what, total=self.total, detail="")
        bar.start()
        return bar


class Reporter:
    """Progress of a fit, as scikit-learn's verbose lines or as a bar.

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
        rows: Passed | None = None,
    ) -> None:
        self.label = label
        self.verbose = verbose
        self.interval = interval
        self.bar = FitProgress(None, progress, label)
        self.per_row = per_row
        self.rows = rows
        self.seen = 0 if rows is None else rows.n_rows
        self.began = self.last = self.printed = time.perf_counter()
        self.runs: list[str] = []

    def attach(self, monitor: Monitor) -> Monitor:
        monitor.on_pass = self.on_pass
        monitor.told = self.verbose > 0
        return monitor

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *problem: Any) -> None:
        self.bar.__exit__()

    def on_pass(self, stage: str, iteration: int, objective: float, gain: float) -> None:
        if self.verbose:
            self._lines(stage, iteration, gain)
        now = time.perf_counter()
        if self.bar.hidden or now - self.last < SECONDS_BETWEEN_UPDATES:
            return
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

    def _lines(self, stage: str, iteration: int, gain: float) -> None:
        """Print scikit-learn's lines; each short run counts its iterations from zero."""
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


def console_for(wanted: bool | None) -> Any:
    """Return a console for a bar, or None outside terminals and notebooks unless wanted.

    Bars of workers would overwrite that of the main process, so workers show none.
    """
    from rich.console import Console

    console = Console(file=sys.stderr)
    if wanted:
        return console
    main = threading.current_thread() is threading.main_thread()
    alone = multiprocessing.parent_process() is None and main
    return console if alone and (console.is_terminal or console.is_jupyter) else None
