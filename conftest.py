"""What has to happen once before workers begin, and after each test."""

import contextlib
import os
import sys
import warnings

# PyTensor compiles C on first use, for half a minute, of which no test needs anything.
os.environ.setdefault("PYTENSOR_FLAGS", "cxx=")


def pytest_configure(config):
    """Pin workers to a core each, so that their fits begin no processes unless a test asks.

    ArviZ writes a file when it is first imported on a day; two workers at once would collide.
    """
    if hasattr(config, "workerinput"):
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            number = int(config.workerinput["workerid"].removeprefix("gw"))
            os.sched_setaffinity(0, {cores[number % len(cores)]})
        return
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.simplefilter("ignore")
        import arviz  # noqa: F401


def pytest_runtest_teardown():
    """Matplotlib warns of the twenty-first open figure."""
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
