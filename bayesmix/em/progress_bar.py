"""A progress bar over passes or fits, which starts after a second."""

from __future__ import annotations

import time
from typing import Any

from bayesmix.em import progress


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
            from bayesmix.em.console import started_bar

            self.bar = started_bar(self.what, self.total, self.wanted)
        if self.bar is None:
            self.wanted = False
        else:
            task = self.bar.task_ids[0]
            self.bar.update(task, description=what, completed=self.done, detail=detail)
