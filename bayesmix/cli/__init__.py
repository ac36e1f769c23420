"""L7: the command line. The commands are in ``app``; what they stand on loads when they run."""

from __future__ import annotations


def main() -> None:
    """The program ``bayesmix``: 0 done, 2 bad input or usage, 130 interrupted, 1 our own error."""
    from bayesmix.cli.app import app

    app(prog_name="bayesmix")
