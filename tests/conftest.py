"""What has to happen once, before workers begin."""

import contextlib
import warnings


def pytest_configure(config):
    """ArviZ writes a file when it is first imported on a day; two workers at once would collide."""
    if hasattr(config, "workerinput"):
        return
    with warnings.catch_warnings(), contextlib.suppress(ImportError):
        warnings.simplefilter("ignore")
        import arviz  # noqa: F401
