"""The commands and their arguments; each loads what it needs when it runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bayesmix.cli import arguments
from bayesmix.cli.arguments import Criterion, Method, Sampler, SearchMethod
from bayesmix.cli.group import Commands

app = typer.Typer(
    cls=Commands,
    help="Mixture models: how many clusters, how sure, what density.",
    epilog="Exit codes: 0 done, 2 bad input or usage, 130 interrupted, 1 an error of bayesmix.",
    rich_markup_mode=None,
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="Rows: .csv, .tsv (or .gz of these), .parquet, .npy")
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="A,B", help="Columns to use. Without: every numeric one"),
]
Weight = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Column that says how often each row counts")
]
Out = Annotated[str | None, typer.Option(metavar="DIR", help="Folder for what is found")]
Seed = Annotated[int, typer.Option(metavar="S", min=0, help="Same seed, same answer")]
Jobs = Annotated[
    int | None, typer.Option(metavar="N", help="Workers; they change no number. Without: all cores")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the answer")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else")]


def _example(command: str) -> str:
    # The sign in front keeps typer from joining the lines.
    return f"\b\nExample:\n  {command}"


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
    epilog=_example("bayesmix demo --out figures"),
)
def demo(
    out: Annotated[str, typer.Option(metavar="DIR", help="Folder for what is found")] = (
        "bayesmix-demo"
    ),
    seed: Seed = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """The main job on bundled data: how many clusters, how sure, what density."""
    from bayesmix.cli.demo import demo as run

    run(_screen(quiet, json), out, seed, jobs)


@app.command(
    short_help="How many components, of what covariance.",
    epilog=_example("bayesmix select iris.csv --components 1:9 --covariance full,tied --out found"),
)
def select(
    context: typer.Context,
    data: Data,
    columns: Columns = None,
    weight: Weight = None,
    components: Annotated[
        str | None,
        typer.Option(
            metavar="K",
            help="Numbers of components, as 3, 1:10 or 1,2,5. Without: until more are refuted",
        ),
    ] = None,
    covariance: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Structures, of full,tied,diag,spherical (these without), EII,EEI,VEI,EVI",
        ),
    ] = None,
    criterion: Annotated[
        Criterion | None,
        typer.Option(
            metavar="NAME",
            help="bic, icl, aicc, cv, elbo, ... Without: auto; bic if em",
        ),
    ] = None,
    method: Annotated[
        SearchMethod | None,
        typer.Option(metavar="NAME", help="em or variational. Without: as the criterion needs"),
    ] = None,
    out: Out = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write report.html, into --out or here")
    ] = False,
    seed: Seed = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """How many components, of what covariance: fit all candidates, compare them, keep the best.

    With --out the folder holds result.json, table.csv, model.bayesmix and figures; with --report a
    page that says all of it, in one file.
    """
    numbers, structures = arguments.numbers(components), arguments.structures(covariance)
    screen = _screen(quiet, json)
    from bayesmix.cli import jobs as work

    work.select(
        screen,
        data,
        _read(data, columns, weight),
        numbers,
        structures,
        None if criterion is None else criterion.value,
        None if method is None else method.value,
        weight,
        out,
        _command_line(context) if report else None,
        seed,
        jobs,
    )


@app.command(
    short_help="One mixture with K components.",
    epilog=_example("bayesmix fit iris.csv --components 3 --covariance tied --out found"),
)
def fit(
    data: Data,
    components: Annotated[
        int,
        typer.Option(metavar="K", min=1, help="Number of components; variational: at most"),
    ],
    columns: Columns = None,
    weight: Weight = None,
    covariance: Annotated[
        str, typer.Option(metavar="NAME", help="full, tied, diag or spherical")
    ] = "full",
    method: Annotated[
        Method,
        typer.Option(
            metavar="NAME",
            help="em (maximum likelihood), variational or map (maximum a posteriori)",
        ),
    ] = Method.EM,
    out: Out = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fit one mixture with K components.

    With --out the folder holds result.json, model.bayesmix and a figure.
    """
    structure = arguments.structure(covariance)
    screen = _screen(quiet, json)
    from bayesmix.cli import jobs as work

    work.fit(
        screen,
        data,
        _read(data, columns, weight),
        components,
        structure,
        method.value,
        weight,
        out,
        seed,
        jobs,
    )


@app.command(
    short_help="Component, probability, log density of rows.",
    epilog=_example("bayesmix predict found/model.bayesmix iris.csv --out labels.csv"),
)
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model that bayesmix saved")],
    data: Data,
    columns: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Columns to use. Without: those of the fit, by name"),
    ] = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="CSV to write. Without: standard output")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Component, probability and log density (nats) of every row, as CSV."""
    screen = _screen(quiet, json)
    from bayesmix.cli import jobs as work

    work.predict(screen, model, data, arguments.names(columns), out)


@app.command(
    short_help="A variational fit against MCMC: how sure is it rightly?",
    epilog=_example("bayesmix crosscheck iris.csv --components 3 --covariance full --out checked"),
)
def crosscheck(
    data: Data,
    components: Annotated[int, typer.Option(metavar="K", min=1, help="Number of components")],
    columns: Columns = None,
    weight: Weight = None,
    covariance: Annotated[
        str, typer.Option(metavar="NAME", help="full, tied, diag or spherical")
    ] = "full",
    sampler: Annotated[
        Sampler,
        typer.Option(metavar="NAME", help="nuts, or gibbs, which needs no PyMC. Without: nuts"),
    ] = Sampler.AUTO,
    draws: Annotated[int, typer.Option(metavar="N", min=20, help="Kept of every chain")] = 1000,
    chains: Annotated[int, typer.Option(metavar="C", min=2, help="How many chains")] = 4,
    out: Out = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fit one variational mixture, draw from the posterior of the same model, compare the two.

    Weights have a Dirichlet prior with concentration 1, and nothing is pruned. With --out the
    folder holds result.json, parameters.csv, invariants.csv, model.bayesmix and a figure.
    """
    structure = arguments.structure(covariance)
    screen = _screen(quiet, json)
    from bayesmix.cli.crosscheck import crosscheck as run

    run(
        screen,
        data,
        _read(data, columns, weight),
        components,
        structure,
        sampler.value,
        draws,
        chains,
        weight,
        out,
        seed,
        jobs,
    )


def _command_line(context: typer.Context) -> list[str]:
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


def _screen(quiet: bool, machine: bool) -> Any:
    from bayesmix.cli.show import Screen

    return Screen(quiet, machine)


def _read(path: str, columns: str | None, weight: str | None) -> Any:
    from bayesmix.io import read

    return read(path, arguments.names(columns), weight)
