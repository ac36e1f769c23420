"""Options that several commands have, and what becomes of them before a command runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bayesmix.cli.inputs import arguments
from bayesmix.cli.inputs.arguments import Criterion, Missing, SearchMethod
from bayesmix.errors import InvalidInputError

if TYPE_CHECKING:
    from bayesmix.cli.outputs.show import Screen
    from bayesmix.protocols import Source


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Rows: .csv, .tsv (or .gz of these), .txt, .parquet, .npy, a folder; -: from a pipe",
    ),
]
Model = Annotated[str, typer.Argument(metavar="MODEL", help="A model that bayesmix saved")]
Columns = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Columns to use. Without: every numeric one"),
]
Exclude = Annotated[str | None, typer.Option(metavar="A,B", help="Columns not to use")]
Categorical = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Columns whose values are categories, even if numbers"),
]
Weight = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column that says how often each row counts")
]
MissingValues = Annotated[
    Missing,
    typer.Option(metavar="NAME", help="Missing values: error, use (what rows have), or drop rows"),
]
Noise = Annotated[
    bool, typer.Option("--noise", help="Rows may belong to no component: uniform noise beside all")
]
Out = Annotated[str | None, typer.Option(metavar="DIR", help="Folder for what is found")]
Seed = Annotated[int, typer.Option(metavar="S", min=0, help="Same seed, same answer")]
Jobs = Annotated[
    int | None, typer.Option(metavar="N", help="Workers; they change no number. Without: all cores")
]
Static = Annotated[
    bool, typer.Option("--static", help="Keep the rows out of the report, but for its pictures")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the answer")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else")]
Components = Annotated[
    str | None,
    typer.Option(
        metavar="K",
        help="Numbers of components, as 3, 1:10 or 1,2,5. Without: until more are refuted",
    ),
]
Structure = Annotated[str, typer.Option(metavar="NAME", help="full, tied, diag or spherical")]
Structures = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        help="Structures: full,tied,diag,spherical (these without), mclust's letters, all",
    ),
]
Criteria = Annotated[
    Criterion | None,
    typer.Option(metavar="NAME", help="bic, icl, aicc, cv, elbo, ... Without: auto; bic if em"),
]
SearchMethods = Annotated[
    SearchMethod | None,
    typer.Option(metavar="NAME", help="em or variational. Without: as the criterion needs"),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask cluster that reads the files, as tcp://host:8786"),
]
Checkpoint = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Folder that keeps what is finished, for --resume"),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with what --checkpoint holds")]


def example(command: str) -> str:
    """An example for the end of a command's help."""
    # The sign in front keeps typer from joining the lines.
    return f"\b\nExample:\n  {command}"


def command_line(context: typer.Context) -> list[str]:
    """The command as it was given, without what stands on its default."""
    words = ["bayesmix", str(context.info_name)]
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if parameter.param_type_name == "argument":
            words.append(str(value))
        elif value is True:
            words.append(max(parameter.opts, key=len))
        elif value != parameter.default and value is not False:
            words += [parameter.opts[0], str(value)]
    return words


def screen_of(quiet: bool, machine: bool) -> Screen:
    """Where a command prints."""
    from bayesmix.cli.outputs.show import Screen

    return Screen(quiet, machine)


def rows_of(path: str, columns: str | None, weight: str | None) -> Source:
    """The rows of DATA, numbers alone."""
    from bayesmix.cli.inputs.rows_of_data import read_rows

    return read_rows(path, arguments.names(columns), weight)


def table_of(
    screen: Screen,
    path: str,
    columns: str | None,
    weight: str | None,
    exclude: str | None,
    categorical: str | None,
    missing: Missing = Missing.ERROR,
    scheduler: str | None = None,
) -> Source:
    """The rows of DATA, ``categorical`` columns as levels; what was left out becomes a note.

    A ``scheduler`` has its workers read them: numbers alone.
    """
    if scheduler is not None:
        from bayesmix.io import read

        if exclude or categorical:
            raise InvalidInputError(
                "--scheduler reads columns of numbers: name them with --columns, without "
                "--exclude and --categorical"
            )
        return read(path, arguments.names(columns), weight, scheduler=scheduler)
    from bayesmix.cli.inputs.rows_of_data import STANDARD_INPUT, of_data, read_rows, with_values
    from bayesmix.cli.wording import left_out_sentence
    from bayesmix.io.tables.mixed_tables import left_out, read_mixed

    kept = "error" if missing is Missing.ERROR else "keep"
    named, without, levels = map(arguments.names, (columns, exclude, categorical))
    with screen.noting_warnings():
        if without or levels:
            mixed = of_data(
                path,
                lambda place: read_mixed(place, named, weight, without or (), levels or (), kept),
            )
            rows: Source = mixed
            left = () if mixed.coding is None else mixed.coding.left_out
        else:
            found: list[str] = []
            left = ()
            if path != STANDARD_INPUT:  # which is read once
                found, left = of_data(path, lambda place: left_out(place, named, weight))
            rows = read_rows(path, found if left else named, weight, kept)
    if left:
        screen.remember(left_out_sentence(left))
    return with_values(screen.remember, rows)[0] if missing is Missing.USE else rows
