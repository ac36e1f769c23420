"""Progress, interruption and deadlines, handed down through everything that takes time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Monitor:
    """Told of every pass; says when to stop. The one mutable thing that runs carry."""

    max_passes: int | None = None
    max_seconds: float | None = None
    on_pass: Callable[[str, int, float, float], None] | None = None
    passes: int = 0
    stopped: str | None = None
    stage: str = ""
    told: bool = False  # whether somebody reads every pass
    latest: tuple[int, float, float] | None = None  # what was told of the last pass
    parent: Monitor | None = None  # what this one stops with
    _began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._began

    @property
    def countable(self) -> bool:
        """Whether passes may be made elsewhere: nobody has to stop them or reads each."""
        return self.max_passes is None and self.max_seconds is None and not self.told

    def child(self) -> Monitor:
        """One for work in another thread, which ends with this one; see ``counted``."""
        return Monitor(parent=self)

    def counted(self, other: Monitor) -> None:
        """Passes made elsewhere are passes once what they led to is taken."""
        self.passes += other.passes
        if self.on_pass is not None and other.latest is not None:
            self.on_pass(self.stage, *other.latest)

    def tick(self, iteration: int, objective: float, gain: float) -> None:
        """One pass over rows is done."""
        self.passes += 1
        self.latest = iteration, objective, gain
        if self.parent is not None:
            self.stopped = self.parent.stopped
        if self.on_pass is not None:
            self.on_pass(self.stage, iteration, objective, gain)
        if self.stopped is None:
            if self.max_passes is not None and self.passes >= self.max_passes:
                self.stopped = "max_passes"
            elif self.max_seconds is not None and self.seconds >= self.max_seconds:
                self.stopped = "max_seconds"

    def interrupt(self) -> None:
        """Ctrl-C came: the innermost fit ends with its best so far, and all above it too."""
        self.stopped = "interrupted"
        if self.parent is not None:
            self.parent.interrupt()
