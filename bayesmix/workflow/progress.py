"""A bar for many fits: how many are done and to do, shown once they have taken a second."""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time
from typing import Any

SECONDS_BEFORE_BAR = 1.0


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
