"""What has to happen once before workers begin, and after each test."""

import contextlib
import os
import sys
import warnings

# PyTensor compiles C on first use, for half a minute, of which no test needs anything.
os.environ.setdefault("PYTENSOR_FLAGS", "cxx=")


def pytest_configure(config):
    """ArviZ writes a file when it is first imported on a day; two workers at once would collide."""
    if hasattr(config, "workerinput"):
        return
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.simplefilter("ignore")
        import arviz  # noqa: F401


def pytest_runtest_teardown():
    """Matplotlib warns of the twenty-first open figure."""
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
