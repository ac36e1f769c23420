"""Directive ``{command-help} select``: the output of `bayesmix select --help`."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

WIDTH = 88


class CommandHelp(SphinxDirective):
    """Help of one command as a literal block."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the output of `--help`."""
        from typer.testing import CliRunner

        from bayesmix.shell.app import app

        words = [*self.arguments, "--help"]
        result = CliRunner().invoke(
            app, words, prog_name="bayesmix", terminal_width=WIDTH, env={"COLUMNS": str(WIDTH)}
        )
        if result.exit_code:
            raise self.error(f"bayesmix {' '.join(words)} ended with {result.exit_code}")
        text = f"$ bayesmix {' '.join(words)}\n{result.output.rstrip()}"
        block = nodes.literal_block(text, text)
        block["language"] = "console"
        return [block]


def setup(app: Any) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
