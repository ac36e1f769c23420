"""The bar of a progress display, drawn by rich on a console."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from typing import Any

from rich import progress as bars
from rich.console import Console


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

    Bars of workers would overwrite that of the main process, so workers show none.
    """
    console = Console(file=sys.stderr)
    if wanted:
        return console
    main = threading.current_thread() is threading.main_thread()
    alone = multiprocessing.parent_process() is None and main
    return console if alone and (console.is_terminal or console.is_jupyter) else None
