"""The command for courses over time."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from bayesmix.cli import options
from bayesmix.cli.fits import Work
from bayesmix.cli.screen import Screen
from bayesmix.cli.supervised import weight_type

Response = StrEnum(
    "Response",
    "NORMAL POISSON BINOMIAL GAMMA NEGATIVE_BINOMIAL ZERO_INFLATED_POISSON CENSORED_NORMAL ORDINAL",
)


def trajectories(
    *,
    rows: options.Numbers,
    target: Annotated[str, options.option("COLUMN", "Column of the response")],
    time: Annotated[str, options.option("COLUMN", "Column of the time of each visit")],
    unit: Annotated[str, options.option("COLUMN", "Column of the identifier of the unit")],
    components: Annotated[str, options.option("K", options.NUMBERS)] = "1:5",
    degree: Annotated[int, options.option("N", "Degree of the polynomial in time", min=1)] = 1,
    random: Annotated[
        str,
        options.option(
            "A,B",
            "Random effects of a normal response: intercept, such columns as the time, or none",
        ),
    ] = "intercept",
    fixed: Annotated[
        str | None, options.option("A,B", "Columns with one coefficient for all classes")
    ] = None,
    gate: Annotated[
        str | None, options.option("A,B", "Columns that predict class membership")
    ] = None,
    response: Annotated[
        Response,
        options.option(
            "NAME", "As for bayesmix regress, or zero_inflated_poisson, censored_normal or ordinal"
        ),
    ] = Response.NORMAL,
    limits: Annotated[
        str | None,
        options.option("LOW,HIGH", "Limits of --response censored_normal, such as 0,10 or 0,"),
    ] = None,
    missing: Annotated[
        options.Missing | None,
        options.option("NAME", "Rows with missing values: drop or error (default)"),
    ] = None,
    inflation: Annotated[
        str | None,
        options.option("A,B", "Columns of time that change the odds of extra zeros"),
    ] = None,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Find classes of courses over time, one class per unit.

    The number of classes is selected by BIC over units. --out DIR saves result.json, table.csv with
    the coefficients, units.csv with the class of each unit, report.html with the items of GRoLTS
    (2017), which are also in checklist.csv, model.bayesmix and a figure.
    """
    import numpy as np

    from bayesmix.assess.trajectory_tables import (
        class_assignment,
        trajectory_checklist,
        trajectory_table,
        unit_table,
    )
    from bayesmix.cli.data import complete, whole_table
    from bayesmix.cli.result_files import Figure
    from bayesmix.cli.shown_tables import frame_table
    from bayesmix.estimators.trajectories import trajectories as search_trajectories
    from bayesmix.plots.trajectories import plot_trajectories
    from bayesmix.report.page import trajectory_page
    from bayesmix.sources.memory import as_source

    screen = Screen(run)
    others = [*(options.names(fixed) or []), *(options.names(gate) or [])]
    used = [target, time, unit, *others, *filter(None, [rows.weight])]
    frame = complete(screen, whole_table(rows, used), used, target, missing)
    source = as_source(np.empty((len(frame), 1)), columns=(time,))
    work = Work.on("trajectories", screen, rows, source, out)
    search: Any = work.noting(
        lambda: search_trajectories(
            frame,
            y=target,
            time=time,
            unit=unit,
            n_components=options.numbers(components) or 1,
            degree=degree,
            random=None if random == "none" else tuple(options.names(random) or ()),
            limits=options.pair("limits", limits),
            inflation=options.names(inflation),
            fixed=options.names(fixed) or (),
            class_predictors=options.names(gate) or (),
            response=response.value,
            sample_weight=rows.weight,
            weight_type=weight_type(rows),
            random_state=run.seed,
            n_jobs=run.jobs,
            progress=screen.progress,
        )
    )
    model = search.best_estimator_
    enumeration = trajectory_table(search).reset_index()
    coefficients = model.coefficients().reset_index()
    classes = class_assignment(model).reset_index()
    few = ["classes", "log_likelihood", "bic", "relative_entropy", "smallest_share"]
    screen.table(frame_table("Numbers of classes", enumeration[few]))
    screen.say()
    screen.answer("\n".join(model.summary().splitlines()[:2]))
    short = {"odds_of_correct_classification": "odds_correct", "standard_error": "error",
             "component": "class"}  # fmt: skip
    screen.table(frame_table("Classes", classes.rename(columns=short)))
    screen.table(frame_table("Coefficients", coefficients.rename(columns=short)))
    values = {
        "n_components": model.n_components_,
        "weights": model.weights_,
        "log_likelihood": model.log_likelihood_,
        "candidates": enumeration.to_dict("records"),
        "classes": classes.to_dict("records"),
        "coefficients": coefficients.to_dict("records"),
        "warnings": work.warnings,
        "seconds": work.seconds,
    }
    contents = {
        "model.bayesmix": model,
        "table.csv": coefficients.to_csv(index=False),
        "units.csv": unit_table(model).to_csv(index_label=unit),
        "report.html": trajectory_page(search, "Trajectories"),
        "checklist.csv": trajectory_checklist(search).to_csv(),
        "trajectories.png": Figure(lambda ax: plot_trajectories(model, ax=ax)),
    }
    work.end(values, contents)
