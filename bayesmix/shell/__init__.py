"""Level 8: the command line. Commands are in ``app``; their dependencies load when they run."""

from __future__ import annotations


def main() -> None:
    """Run ``bayesmix``. Exit codes: 0 done, 2 bad input, 130 interrupted, 1 other errors."""
    from bayesmix.shell.app import app

    app(prog_name="bayesmix")
