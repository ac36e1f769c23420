"""Where a fit keeps its finished passes, if anywhere."""

from __future__ import annotations

from typing import Any

from bayesmix.protocols import PassesKept, Source

# With others of these it is the same fit: it goes on further, or shows more.
CHANGE_NO_PASS = {
    "checkpoint", "max_iter", "max_passes", "max_seconds", "n_init", "n_jobs", "progress",
    "random_state", "verbose", "verbose_interval", "warm_start",
}  # fmt: skip


def passes_kept(estimator: Any, source: Source, seed: int) -> tuple[int, PassesKept | None]:
    """The seed to go on with, and the passes of an earlier attempt at the same fit."""
    if estimator.checkpoint is None:
        return seed, None
    from bayesmix.io.saved.checkpoint import open_checkpoint, search_identity
    from bayesmix.io.saved.passes import Passes

    parameters = estimator.get_params(deep=False).items()
    settings = {name: value for name, value in parameters if name not in CHANGE_NO_PASS}
    identity = search_identity(settings, source, None, None)
    seeded = estimator.random_state is not None
    opened, seed = open_checkpoint(estimator.checkpoint, identity, seed, seeded, "fit")
    return seed, Passes.of(opened.folder)
