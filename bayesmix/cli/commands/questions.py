"""The commands that look again: merge, stability, sensitivity, nested, report."""

from __future__ import annotations

from typing import Annotated

import typer

from bayesmix.cli.inputs import arguments
from bayesmix.cli.inputs.arguments import Parts
from bayesmix.cli.inputs.options import (
    Categorical,
    Columns,
    Components,
    Criteria,
    Data,
    Exclude,
    Jobs,
    Json,
    Model,
    Out,
    Quiet,
    SearchMethods,
    Seed,
    Static,
    Structures,
    Weight,
    command_line,
    example,
    screen_of,
    table_of,
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
        app.command(short_help=summary, epilog=epilog)(command)


def merge(
    model: Model,
    data: Data,
    columns: Columns = None,
    weight: Weight = None,
    clusters: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="How many clusters. Without: as the rows suggest"),
    ] = None,
    out: Out = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Clusters out of components that the rows hardly tell apart; the density stays as it is.

    With --out the folder holds result.json, tree.csv, labels.csv and a figure.
    """
    from bayesmix.cli.commands import answers

    answers.merge(
        screen_of(quiet, json), model, data, arguments.names(columns), weight, clusters, out
    )


def stability(
    data: Data,
    columns: Columns = None,
    exclude: Exclude = None,
    categorical: Categorical = None,
    weight: Weight = None,
    components: Components = None,
    covariance: Structures = None,
    criterion: Criteria = None,
    method: SearchMethods = None,
    parts: Annotated[
        Parts, typer.Option(metavar="NAME", help="half (of the rows), or bootstrap")
    ] = Parts.HALF,
    resamples: Annotated[int, typer.Option(metavar="N", min=1, help="How many parts")] = 20,
    out: Out = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Search parts of the rows, and see how much of the answer remains.

    With --out the folder holds result.json, stability.csv and a figure.
    """
    wanted = arguments.searched(components, covariance, criterion, method, seed, jobs)
    screen = screen_of(quiet, json)
    from bayesmix.cli.commands import answers

    rows = table_of(screen, data, columns, weight, exclude, categorical)
    asked = answers.Asked.of("stability", screen, data, rows, weight, out)
    answers.stability(asked, wanted, parts.value, resamples)


def sensitivity(
    data: Data,
    columns: Columns = None,
    exclude: Exclude = None,
    categorical: Categorical = None,
    weight: Weight = None,
    components: Components = None,
    covariance: Structures = None,
    out: Out = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Choose the number of components by its evidence, and again under other priors.

    With --out the folder holds result.json, priors.csv and a figure.
    """
    wanted = arguments.searched(components, covariance, None, None, seed, jobs)
    screen = screen_of(quiet, json)
    from bayesmix.cli.commands import answers

    rows = table_of(screen, data, columns, weight, exclude, categorical)
    answers.sensitivity(answers.Asked.of("sensitivity", screen, data, rows, weight, out), wanted)


def nested(
    data: Data,
    columns: Columns = None,
    exclude: Exclude = None,
    categorical: Categorical = None,
    weight: Weight = None,
    components: Components = None,
    covariance: Structures = None,
    criterion: Criteria = None,
    method: SearchMethods = None,
    folds: Annotated[int, typer.Option(metavar="N", min=2, help="Outer folds")] = 5,
    out: Out = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Run the whole search in every fold, and judge it on the rows that it has not seen.

    With --out the folder holds result.json, folds.csv and a figure.
    """
    wanted = arguments.searched(components, covariance, criterion, method, seed, jobs)
    screen = screen_of(quiet, json)
    from bayesmix.cli.commands import answers

    rows = table_of(screen, data, columns, weight, exclude, categorical)
    answers.nested(answers.Asked.of("nested", screen, data, rows, weight, out), wanted, folds)


def report(
    context: typer.Context,
    model: Model,
    data: Data,
    columns: Columns = None,
    weight: Weight = None,
    out: Annotated[str, typer.Option(metavar="FILE", help="The page to write")] = "report.html",
    static: Static = False,
    seed: Seed = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """One page on a saved model: how well it fits these rows, its components, its clusters.

    Of a whole search: bayesmix select DATA --report.
    """
    screen = screen_of(quiet, json)
    from bayesmix.cli.commands import answers

    names = arguments.names(columns)
    shown = command_line(context)
    answers.report(screen, model, data, names, weight, out, shown, seed, jobs, not static)
