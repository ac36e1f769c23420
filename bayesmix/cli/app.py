"""The program: its list of commands, and the exit code of each."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bayesmix.cli import checks, fits
from bayesmix.cli.fits import INTERRUPTED
from bayesmix.cli.options import spelled_out
from bayesmix.cli.screen import discard_output, worded
from bayesmix.errors import BayesmixError

BAD_INPUT = 2


class Commands(TyperGroup):
    """The group of all commands, which turns exceptions into exit codes."""

    def main(self, *args: Any, **options: Any) -> Any:
        """0 done; 2 bad input or usage; 130 Ctrl-C; 1, with a traceback, for errors of our own."""
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
            # Typer's errors of usage have no public base class in all of its versions.
            if not hasattr(problem, "format_message"):
                raise
            context = getattr(problem, "ctx", None)
            command = context.command_path if context is not None else "bayesmix"
            _fail(f"{str(problem.format_message()).rstrip('.')} (see {command} --help)")
        if outcome == INTERRUPTED:
            print("bayesmix: interrupted", file=sys.stderr)
        sys.exit(outcome if isinstance(outcome, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a reader that closes the pipe, as `head` does, is no error."""
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
    help="Mixture models: how many clusters, how sure, what density.",
    epilog="Exit codes: 0 done, 2 bad input or usage, 130 interrupted, 1 an error of bayesmix.",
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
        bool,
        typer.Option("--version", help="Print the version", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Mixture models: how many clusters, how sure, what density."""
    if context.invoked_subcommand is None:
        print(context.get_help())


MODEL = "found/model.bayesmix"
for command, summary, example in (
    (fits.demo, "Select a model for bundled data: Old Faithful's eruptions.", "--out figures"),
    (
        fits.select,
        "Choose the number of components and their covariance.",
        "iris.csv --components 1:9 --covariance full,tied --out found",
    ),
    (
        fits.fit,
        "Fit one mixture with K components.",
        "iris.csv --components 3 --covariance tied --out found",
    ),
    (
        checks.predict,
        "Component, probabilities and log density of rows.",
        f"{MODEL} iris.csv --out labels.csv",
    ),
    (
        checks.crosscheck,
        "Compare a variational fit with MCMC.",
        "iris.csv --components 3 --covariance full --out checked",
    ),
    (checks.merge, "Merge components into clusters.", f"{MODEL} iris.csv --out merged"),
    (checks.stability, "Repeat the search on halves of the rows.", "iris.csv --components 1:4"),
    (checks.sensitivity, "Repeat the choice under other priors.", "iris.csv --covariance full"),
    (checks.nested, "Cross-validate the whole search.", "iris.csv --components 1:4"),
    (
        checks.report,
        "Write a report on a saved model and its rows.",
        f"{MODEL} iris.csv --out report.html",
    ),
):
    # The sign in front keeps typer from joining the lines.
    app.command(
        short_help=summary, epilog=f"\b\nExample:\n  bayesmix {command.__name__} {example}"
    )(spelled_out(command))
