"""A progress bar over passes or fits, which starts after a second; rich draws it on a console."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from importlib.util import find_spec
from typing import Any

from rich import progress as bars
from rich.console import Console

from bayesmix.em import progress


def started_bar(what: str, total: int | None, wanted: bool | None) -> Any:
    """Return a running bar with one task, None without a console; see ``FitProgress``."""
    if (console := console_for(wanted)) is None:
        return None
    counted: tuple[Any, ...] = (bars.SpinnerColumn(),)
    if total is not None:
        counted = bars.BarColumn(), bars.MofNCompleteColumn()
    bar = bars.Progress(
        bars.TextColumn("{task.description}"),
        *counted,
        bars.TimeElapsedColumn() if total is None else bars.TimeRemainingColumn(),
        bars.TextColumn("{task.fields[detail]}", style="dim"),
        console=console,
        transient=console.is_terminal or console.is_jupyter,
    )
    bar.add_task(what, total=total, detail="")
    bar.start()
    return bar


def console_for(wanted: bool | None) -> Any:
    """Return a console for a bar, or None outside terminals and notebooks unless wanted.

    Bars of workers would overwrite that of the main process, so workers show none. In a notebook
    without ipywidgets, rich draws no bar and warns.
    """
    console = Console(file=sys.stderr)
    if console.is_jupyter and find_spec("ipywidgets") is None:
        return None
    if wanted:
        return console
    main = threading.current_thread() is threading.main_thread()
    alone = multiprocessing.parent_process() is None and main
    return console if alone and (console.is_terminal or console.is_jupyter) else None


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
        return (
            self.wanted is False or time.perf_counter() - self.began < progress.SECONDS_BEFORE_BAR
        )

    def show(self, what: str, detail: str) -> None:
        """Update the bar, which starts after a second."""
        if self.hidden:
            return
        if self.bar is None:
            self.bar = started_bar(self.what, self.total, self.wanted)
        if self.bar is None:
            self.wanted = False
        else:
            task = self.bar.task_ids[0]
            self.bar.update(task, description=what, completed=self.done, detail=detail)
