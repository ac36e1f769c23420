"""The commands that look again: merge, stability, sensitivity, nested, report."""

from __future__ import annotations

from typing import Annotated

import typer

from bayesmix.cli.inputs import arguments
from bayesmix.cli.inputs.arguments import Parts
from bayesmix.cli.inputs.groups import (
    PrintOptions,
    RowOptions,
    RunOptions,
    SearchOptions,
    TableOptions,
    spelled_out,
)
from bayesmix.cli.inputs.options import (
    Components,
    Data,
    Model,
    Out,
    Static,
    Structures,
    command_line,
    example,
)


def add_to(app: typer.Typer) -> None:
    """These commands, with the line that lists each and an example."""
    found = "found/model.bayesmix"
    for command, summary, line in (
        (merge, "Which components make one cluster.", f"{found} iris.csv --out merged"),
        (stability, "What remains on halves of the rows.", "iris.csv --components 1:4"),
        (sensitivity, "The number of components under other priors.", "iris.csv --covariance full"),
        (nested, "What the whole search achieves on new rows.", "iris.csv --components 1:4"),
        (report, "A saved model and its rows on one page.", f"{found} iris.csv --out report.html"),
    ):
        epilog = example(f"bayesmix {command.__name__} {line}")
        app.command(short_help=summary, epilog=epilog)(spelled_out(command))


def merge(
    *,
    model: Model,
    data: Data,
    rows: RowOptions,
    clusters: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="How many clusters. Without: as the rows suggest"),
    ] = None,
    out: Out = None,
    shown: PrintOptions,
) -> None:
    """Clusters out of components that the rows hardly tell apart; the density stays as it is.

    With --out the folder holds result.json, tree.csv, labels.csv and a figure.
    """
    from bayesmix.cli.commands import answers

    names = arguments.names(rows.columns)
    answers.merge(shown.screen, model, data, names, rows.weight, clusters, out)


def stability(
    *,
    data: Data,
    table: TableOptions,
    search: SearchOptions,
    parts: Annotated[
        Parts, typer.Option(metavar="NAME", help="half (of the rows), or bootstrap")
    ] = Parts.HALF,
    resamples: Annotated[int, typer.Option(metavar="N", min=1, help="How many parts")] = 20,
    out: Out = None,
    run: RunOptions,
    shown: PrintOptions,
) -> None:
    """Search parts of the rows, and see how much of the answer remains.

    With --out the folder holds result.json, stability.csv and a figure.
    """
    wanted, screen = search.searched(run), shown.screen
    from bayesmix.cli.commands import answers

    rows = table.read(screen, data)
    asked = answers.Asked.of("stability", screen, data, rows, table.weight, out)
    answers.stability(asked, wanted, parts.value, resamples)


def sensitivity(
    *,
    data: Data,
    table: TableOptions,
    components: Components = None,
    covariance: Structures = None,
    out: Out = None,
    run: RunOptions,
    shown: PrintOptions,
) -> None:
    """Choose the number of components by its evidence, and again under other priors.

    With --out the folder holds result.json, priors.csv and a figure.
    """
    wanted = SearchOptions(components, covariance).searched(run)
    screen = shown.screen
    from bayesmix.cli.commands import answers

    rows = table.read(screen, data)
    asked = answers.Asked.of("sensitivity", screen, data, rows, table.weight, out)
    answers.sensitivity(asked, wanted)


def nested(
    *,
    data: Data,
    table: TableOptions,
    search: SearchOptions,
    folds: Annotated[int, typer.Option(metavar="N", min=2, help="Outer folds")] = 5,
    out: Out = None,
    run: RunOptions,
    shown: PrintOptions,
) -> None:
    """Run the whole search in every fold, and judge it on the rows that it has not seen.

    With --out the folder holds result.json, folds.csv and a figure.
    """
    wanted, screen = search.searched(run), shown.screen
    from bayesmix.cli.commands import answers

    rows = table.read(screen, data)
    asked = answers.Asked.of("nested", screen, data, rows, table.weight, out)
    answers.nested(asked, wanted, folds)


def report(
    *,
    context: typer.Context,
    model: Model,
    data: Data,
    rows: RowOptions,
    out: Annotated[str, typer.Option(metavar="FILE", help="The page to write")] = "report.html",
    static: Static = False,
    run: RunOptions,
    shown: PrintOptions,
) -> None:
    """One page on a saved model: how well it fits these rows, its components, its clusters.

    Of a whole search: bayesmix select DATA --report.
    """
    screen = shown.screen
    from bayesmix.cli.commands import answers

    names, words = arguments.names(rows.columns), command_line(context)
    seed, jobs = run.seed, run.jobs
    answers.report(screen, model, data, names, rows.weight, out, words, seed, jobs, not static)
