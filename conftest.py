"""What has to happen once before workers begin, and after each test."""

import contextlib
import sys
import warnings


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
