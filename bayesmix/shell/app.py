"""The list of commands, and their exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bayesmix.errors import BayesmixError
from bayesmix.shell import checks, classes, fits, supervised
from bayesmix.shell.fits import INTERRUPTED
from bayesmix.shell.options import spelled_out
from bayesmix.shell.screen import discard_output, worded

BAD_INPUT = 2


class Commands(TyperGroup):
    """The group of all commands, which converts exceptions to exit codes."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run a command: 0 done; 2 bad input; 130 Ctrl-C; 1, with a traceback, other errors."""
        try:
            outcome = super().main(*args, **{**options, "standalone_mode": False})
            sys.stdout.flush()
        except (KeyboardInterrupt, typer.Abort):
            outcome = INTERRUPTED
        except BayesmixError as problem:
            _fail(str(problem))
        except BrokenPipeError:
            discard_output()
            outcome = 0
        except OSError as problem:
            _fail(f"{problem.filename or 'system'}: {problem.strerror or problem}")
        except Exception as problem:
            # Typer's usage errors have no public base class in some versions.
            if not hasattr(problem, "format_message"):
                raise
            context = getattr(problem, "ctx", None)
            command = context.command_path if context is not None else "bayesmix"
            _fail(f"{str(problem.format_message()).rstrip('.')} (see {command} --help)")
        if outcome == INTERRUPTED:
            print("bayesmix: interrupted", file=sys.stderr)
        sys.exit(outcome if isinstance(outcome, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a closed pipe, as after `head`, is not an error."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            discard_output()
            raise typer.Exit() from None


def _fail(problem: str) -> None:
    print(f"bayesmix: {worded(' '.join(problem.split()))}", file=sys.stderr)
    sys.exit(BAD_INPUT)


app = typer.Typer(
    cls=Commands,
    epilog="Exit codes: 0 success, 1 internal error, 2 bad input, 130 interrupted.",
    rich_markup_mode=None,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from bayesmix.version import __version__

        print(f"bayesmix {__version__}")
        raise typer.Exit()


@app.callback()
def bayesmix(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Fit mixture models: clustering, density estimation, model selection."""
    if context.invoked_subcommand is None:
        print(context.get_help())


SAVED = "results/model.bayesmix"
EXAMPLES: dict[Callable[..., None], str] = {
    fits.demo: "--out figures",
    fits.select: "iris.csv --components 1:9 --covariance full --out results",
    fits.fit: "iris.csv --components 3 --covariance tied --out results",
    supervised.classify: "iris.csv --target species --predict new.csv --out results",
    classes.classes: "survey.csv --classes 1:6 --bootstrap 100 --covariates age --out paper",
    supervised.regress: "data.csv --target y --components 1:4 --out results",
    supervised.trajectories: "data.csv --unit id --time age --target score",
    checks.predict: f"{SAVED} iris.csv --out labels.csv",
    checks.crosscheck: "iris.csv --components 3 --covariance full --out results",
    checks.merge: f"{SAVED} iris.csv --out merged",
    checks.stability: "iris.csv --components 1:4",
    checks.sensitivity: "iris.csv --covariance full",
    checks.nested: "iris.csv --components 1:4",
    checks.report: f"{SAVED} iris.csv --out report.html",
}
for command, example in EXAMPLES.items():
    # The leading sign keeps typer from joining the lines.
    epilog = f"\b\nExample:\n  bayesmix {command.__name__} {example}"
    app.command(epilog=epilog)(spelled_out(command))
