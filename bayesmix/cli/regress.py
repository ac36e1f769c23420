"""The command that fits mixtures of regressions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from bayesmix.cli import options
from bayesmix.cli.fits import Work, results_folder
from bayesmix.cli.screen import Screen
from bayesmix.errors import InvalidInputError

Response = StrEnum("Response", "NORMAL POISSON BINOMIAL GAMMA NEGATIVE_BINOMIAL")
Column = str | None


def _column(text: str, metavar: str = "COLUMN") -> Any:
    return typer.Option(metavar=metavar, help=text)


def regress(
    *,
    rows: options.Numbers,
    target: Annotated[str, _column("Column of the response")],
    components: Annotated[str, _column(options.NUMBERS, "K")] = "1:4",
    response: Annotated[
        Response, _column("normal, poisson, binomial, gamma or negative_binomial", "NAME")
    ] = Response.NORMAL,
    gate: Annotated[Column, _column("Covariates of the mixing weights", "A,B")] = None,
    groups: Annotated[
        Column, _column("Column of group names; rows of a group share their component")
    ] = None,
    offset: Annotated[Column, _column("Column of offsets in the linear predictor")] = None,
    trials: Annotated[Column, _column("Column of binomial numbers of trials")] = None,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Fit mixtures of regressions.

    The number of components is selected by BIC. --out DIR saves result.json, table.csv with the
    coefficients, model.bayesmix and a figure.
    """
    from bayesmix.cli.data import indicators, of_data, text_format
    from bayesmix.cli.result_files import Figure
    from bayesmix.cli.shown_tables import candidate_table, frame_table, rows_sentence
    from bayesmix.estimators.regression_mixture import RegressionMixture
    from bayesmix.estimators.search import MixtureSearch
    from bayesmix.io.readers import frame_of
    from bayesmix.io.text import TextFormat
    from bayesmix.sources.border import as_source

    screen, text = Screen(run), TextFormat(**text_format(rows))
    frame = of_data(rows.data, lambda place: frame_of(place, None, None, text))
    gated = options.names(gate) or []
    roles = {"groups": groups, "offset": offset, "trials": trials, "sample_weight": rows.weight}
    used = [target, *gated, *filter(None, roles.values())]
    explanatory = options.names(rows.columns) or [str(name) for name in frame if name not in used]
    for name in (*used, *explanatory):
        if name not in frame:
            raise InvalidInputError(
                f"{rows.data} has no column {name!r}, it has {', '.join(map(str, frame))}"
            )
    X = indicators(frame[explanatory], "--columns")
    source = as_source(X.to_numpy(dtype=float), columns=tuple(map(str, X)))
    place = None if out is None else results_folder(out)
    work = Work("regress", screen, rows.data, source, rows.weight, place)
    screen.say(rows_sentence(rows.data, source, None))
    search = MixtureSearch(
        RegressionMixture(response=response.value),
        options.numbers(components) or 1,
        random_state=run.seed,
        n_jobs=run.jobs,
        progress=screen.progress,
    )
    data: dict[str, Any] = {name: frame[key] for name, key in roles.items() if key is not None}
    if gated:
        data["gate"] = indicators(frame[gated], "--gate")
    work.noting(lambda: search.fit(X, frame[target], **data))
    model = search.best_estimator_
    table = model.coefficients().reset_index()
    screen.table(candidate_table(search))
    screen.say()
    screen.answer("\n".join(model.summary().splitlines()[:2]))
    screen.table(frame_table("Coefficients", table))
    values = {
        "response": response.value,
        "n_components": model.n_components_,
        "weights": model.weights_,
        "log_likelihood": model.log_likelihood_,
        "bic": -0.5 * model.bic(),
        "candidates": search.results_.to_dict("records"),
        "coefficients": table.to_dict("records"),
        "warnings": work.warnings,
        "seconds": work.seconds,
    }
    contents = {
        "model.bayesmix": model,
        "table.csv": table.to_csv(index=False),
        "regression.png": Figure(lambda ax: model.plot(ax=ax)),
    }
    work.end(values, contents)
