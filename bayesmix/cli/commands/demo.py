"""The main job on bundled data: how many clusters, how sure, what density."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import numpy as np

from bayesmix.cli.commands.jobs import finish, fitted, leave, unfitted
from bayesmix.cli.inputs.arguments import Searched
from bayesmix.cli.outputs import describe, files
from bayesmix.cli.outputs.show import Screen, candidate_table, component_table
from bayesmix.sources import as_source


def demo(screen: Screen, out: str, seed: int, jobs: int | None) -> None:
    """Old Faithful: two numbers for each of 272 eruptions, and no labels."""
    from bayesmix.datasets import load_faithful

    began = time.perf_counter()
    place = files.folder(out)
    frame = load_faithful()
    source = as_source(np.asarray(frame, dtype=np.float64), columns=tuple(map(str, frame.columns)))
    screen.say(
        "Old Faithful, a geyser: the length of 272 eruptions and the waiting time until the next, "
        "in minutes."
    )
    search = unfitted(Searched(None, None, None, None, seed, jobs), source)
    heard = fitted(screen, search, source)
    best = search.best_estimator_
    screen.heading("How many clusters?")
    screen.table(candidate_table(search))
    screen.heading("How sure?")
    screen.answer(search.summary())
    screen.heading("What density?")
    screen.table(component_table(best, screen.out.width))
    values = describe.described("demo", "faithful (bundled)", source, None)
    values |= describe.search_values(search)
    interrupted = search.interrupted_
    values |= {"warnings": heard, "interrupted": interrupted}
    values["seconds"] = time.perf_counter() - began
    finish(screen, place, values, best, source, search)
    screen.say(f"Took {time.perf_counter() - began:.1f} s. Your data: {program()} select data.csv")
    leave(interrupted)


def program() -> str:
    """What the shell finds this program by: in an environment that is not active, its place."""
    called = Path(sys.argv[0])
    return str(called) if called.name == "bayesmix" and not shutil.which("bayesmix") else "bayesmix"
