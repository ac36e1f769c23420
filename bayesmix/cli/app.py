"""The commands and their arguments; each loads what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from bayesmix.cli.commands import questions
from bayesmix.cli.group import Commands
from bayesmix.cli.inputs import arguments
from bayesmix.cli.inputs.arguments import Method, Missing, Sampler
from bayesmix.cli.inputs.groups import (
    PrintOptions,
    RowOptions,
    RunOptions,
    SearchOptions,
    TableOptions,
    spelled_out,
)
from bayesmix.cli.inputs.options import (
    Checkpoint,
    Data,
    MissingValues,
    Model,
    Noise,
    Out,
    Resume,
    Scheduler,
    Static,
    Structure,
    command_line,
    example,
)

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


@app.command(
    short_help="The main job on bundled data: Old Faithful's eruptions.",
    epilog=example("bayesmix demo --out figures"),
)
@spelled_out
def demo(
    *,
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for what is found")] = (
        "bayesmix-demo"
    ),
    run: RunOptions,
    shown: PrintOptions,
) -> None:
    """The main job on bundled data: how many clusters, how sure, what density."""
    from bayesmix.cli.commands.demo import demo as shown_on_data

    shown_on_data(shown.screen, out, run.seed, run.jobs)


@app.command(
    short_help="How many components, of what covariance.",
    epilog=example("bayesmix select iris.csv --components 1:9 --covariance full,tied --out found"),
)
@spelled_out
def select(
    *,
    context: typer.Context,
    data: Data,
    table: TableOptions,
    missing: MissingValues = Missing.ERROR,
    scheduler: Scheduler = None,
    noise: Noise = False,
    search: SearchOptions,
    out: Out = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write report.html, into --out or here")
    ] = False,
    static: Static = False,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    run: RunOptions,
    shown: PrintOptions,
) -> None:
    """How many components, of what covariance: fit all candidates, compare them, keep the best.

    With --out the folder holds result.json, table.csv, model.bayesmix and figures; with --report a
    page that says all of it, in one file.
    """
    wanted, screen = search.searched(run, missing, noise), shown.screen
    from bayesmix.cli.commands import jobs as work
    from bayesmix.cli.outputs.files import resumable

    kept = resumable(checkpoint, resume)
    rows = table.read(screen, data, missing, scheduler)
    words = command_line(context) if report else None
    work.select(screen, data, rows, wanted, table.weight, out, words, kept, not static)


@app.command(
    short_help="One mixture with K components.",
    epilog=example("bayesmix fit iris.csv --components 3 --covariance tied --out found"),
)
@spelled_out
def fit(
    *,
    data: Data,
    components: Annotated[
        int,
        typer.Option(metavar="K", min=1, help="Number of components; variational: at most"),
    ],
    table: TableOptions,
    missing: MissingValues = Missing.ERROR,
    scheduler: Scheduler = None,
    noise: Noise = False,
    covariance: Structure = "full",
    method: Annotated[
        Method,
        typer.Option(
            metavar="NAME",
            help="em (maximum likelihood), variational or map (maximum a posteriori)",
        ),
    ] = Method.EM,
    out: Out = None,
    checkpoint: Checkpoint = None,
    resume: Resume = False,
    run: RunOptions,
    shown: PrintOptions,
) -> None:
    """Fit one mixture with K components.

    With --out the folder holds result.json, model.bayesmix and a figure.
    """
    structure, screen = arguments.structure(covariance), shown.screen
    from bayesmix.cli.commands import jobs as work
    from bayesmix.cli.outputs.files import resumable

    kept = resumable(checkpoint, resume)
    work.fit(
        screen,
        data,
        table.read(screen, data, missing, scheduler),
        components,
        structure,
        method.value,
        table.weight,
        out,
        run.seed,
        run.jobs,
        missing.value,
        kept,
        noise,
    )


@app.command(
    short_help="Component, probability, log density of rows.",
    epilog=example("bayesmix predict found/model.bayesmix iris.csv --out labels.csv"),
)
@spelled_out
def predict(
    *,
    model: Model,
    data: Data,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns to use. Without: those of the fit, by name"),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="CSV to write. Without: standard output")
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns of DATA to carry along, such as an id"),
    ] = None,
    posterior: Annotated[bool, typer.Option("--posterior", hidden=True)] = False,
    rows: Annotated[bool, typer.Option("--rows", help="With --json: every row as well")] = False,
    shown: PrintOptions,
) -> None:
    """Component, probabilities of all components and log density (nats) of every row, as CSV."""
    from bayesmix.cli.commands.predict import predict as predicted

    screen, kept = shown.screen, arguments.names(keep) or []
    if posterior:
        screen.note("--posterior is always on, and will be no option from version 0.3 on")
    predicted(screen, model, data, arguments.names(columns), out, kept, rows)


@app.command(
    short_help="A variational fit against MCMC: how sure is it rightly?",
    epilog=example("bayesmix crosscheck iris.csv --components 3 --covariance full --out checked"),
)
@spelled_out
def crosscheck(
    *,
    data: Data,
    components: Annotated[int, typer.Option(metavar="K", min=1, help="Number of components")],
    rows: RowOptions,
    covariance: Structure = "full",
    sampler: Annotated[
        Sampler,
        typer.Option(metavar="NAME", help="nuts, or gibbs, which needs no PyMC. Without: nuts"),
    ] = Sampler.AUTO,
    draws: Annotated[int, typer.Option(metavar="N", min=20, help="Kept of every chain")] = 1000,
    chains: Annotated[int, typer.Option(metavar="C", min=2, help="How many chains")] = 4,
    out: Out = None,
    run: RunOptions,
    shown: PrintOptions,
) -> None:
    """Fit one variational mixture, draw from the posterior of the same model, compare the two.

    Weights have a Dirichlet prior with concentration 1, and nothing is pruned. With --out the
    folder holds result.json, parameters.csv, invariants.csv, model.bayesmix and a figure.
    """
    structure, screen = arguments.structure(covariance), shown.screen
    from bayesmix.cli.commands.crosscheck import crosscheck as compared

    compared(
        screen,
        data,
        rows.read(data),
        components,
        structure,
        sampler.value,
        draws,
        chains,
        rows.weight,
        out,
        run.seed,
        run.jobs,
    )


questions.add_to(app)
