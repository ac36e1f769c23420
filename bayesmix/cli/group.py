"""How a command ends: its exit code, and one line on standard error where something is wrong."""

from __future__ import annotations

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from bayesmix.cli.wording import worded
from bayesmix.errors import BayesmixError

BAD_INPUT = 2
INTERRUPTED = 130


class Commands(TyperGroup):
    """The group of all commands, which turns what they raise into exit codes."""

    def main(self, *args: Any, **options: Any) -> Any:
        """0 done; 2 bad input or usage; 130 Ctrl-C; 1, with a traceback, for errors of our own."""
        try:
            outcome = super().main(*args, **{**options, "standalone_mode": False})
            sys.stdout.flush()
        except (KeyboardInterrupt, typer.Abort):
            _end(INTERRUPTED)
        except BayesmixError as problem:
            _end(BAD_INPUT, str(problem))
        except BrokenPipeError:
            _unheard()
            _end(0)
        except OSError as problem:
            _end(BAD_INPUT, f"{problem.filename or 'system'}: {problem.strerror or problem}")
        except Exception as problem:
            # What typer raises of usage has no public base class in all of its versions.
            if not hasattr(problem, "format_message"):
                raise
            _end(BAD_INPUT, _usage(problem))
        _end(outcome if isinstance(outcome, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a reader that has heard enough, as `head` has, is no error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            _unheard()
            raise typer.Exit() from None


def _unheard() -> None:
    # Python writes what is left in its buffers at exit: to nobody.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage(problem: Any) -> str:
    context = getattr(problem, "ctx", None)
    command = context.command_path if context is not None else "bayesmix"
    text = str(problem.format_message()).rstrip(".").replace("\n", " ")
    return f"{text} (see {command} --help)"


def _end(code: int, problem: str = "") -> None:
    if code == INTERRUPTED and not problem:
        problem = "interrupted"
    if problem:
        print(f"bayesmix: {worded(' '.join(problem.split()))}", file=sys.stderr)
    sys.exit(code)
