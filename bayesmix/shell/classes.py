"""Command for latent profiles and latent classes: the tables, figures and text of a paper."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

from bayesmix.allocation.designs import CodedColumn, CodedFrame, coded_frame, coding_of_frame
from bayesmix.errors import InvalidInputError
from bayesmix.shell import options
from bayesmix.shell.fits import Work, results_folder
from bayesmix.shell.screen import Screen
from bayesmix.shell.supervised import weight_type

if TYPE_CHECKING:
    import pandas as pd

    from bayesmix.latent_class_analysis.profile_tables import ClassProfiles


def classes(
    *,
    rows: options.Numbers,
    classes: Annotated[str, options.option("K", "Numbers of classes: 3, 1:6 or 1,2,5")] = "1:6",
    models: Annotated[
        str | None,
        options.option(
            "LIST",
            "Models of continuous columns: tidyLPA's 1, 2, 3, 6, or covariance structures. "
            "Default: all four",
        ),
    ] = None,
    bootstrap: Annotated[
        int, options.option("N", "Samples of each likelihood ratio test; 0 for no tests", min=0)
    ] = 100,
    kinds: options.Kinds,
    covariates: options.Covariates = None,
    distal: Annotated[str | None, options.option("A,B", "Outcomes to compare by class")] = None,
    cluster: Annotated[str | None, options.option("COLUMN", "Clusters of a survey")] = None,
    strata: Annotated[str | None, options.option("COLUMN", "Strata of a survey")] = None,
    select: Annotated[
        str | None,
        options.option("MODEL:K", "Fit to describe, such as 1:3, or 3. Default: the suggested one"),
    ] = None,
    missing: options.MissingValues = options.Missing.USE,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Enumerate latent classes or profiles.

    Ratings such as 1 to 5 are categories; --continuous all makes latent profiles of them. Weights
    are those of a survey, unless --weight-type is frequency.

    --out DIR saves a report for a paper (report.html, report.md), every table as CSV and Markdown
    (and Word, if python-docx is installed), figures as PDF and PNG, model.bayesmix and result.json.
    """
    from bayesmix.data.table_columns import coded
    from bayesmix.latent_class_analysis.class_enumeration import enumerate_classes
    from bayesmix.latent_class_analysis.class_profiles import class_profiles
    from bayesmix.latent_class_analysis.class_report import class_report
    from bayesmix.latent_class_analysis.distal import unusable_outcomes
    from bayesmix.posterior.survey_design import SurveyDesign
    from bayesmix.shell.data import csv_text, features_of, missing_for, n_rows_text, whole_table
    from bayesmix.shell.result_files import Figure

    screen = Screen(run)
    beside, outcomes = options.names(covariates) or [], options.names(distal) or []
    design = [name for name in (rows.weight, cluster, strata) if name is not None]
    other_columns = [*beside, *outcomes, *design]
    with screen.noting_warnings(screen.postpone):
        table = whole_table(rows, [*other_columns, *(options.names(rows.columns) or [])])
    X, columns = features_of(screen, table, rows, kinds, other_columns)
    # Mixtures integrate over missing values of X, but not of what the classes depend on.
    needed = [*beside, *(name for name in (cluster, strata) if name is not None)]
    if missing is options.Missing.DROP:
        needed += list(X.columns)
    empty = X.isna().all(axis=1)
    lacking = table[needed].isna().any(axis=1) | empty
    if n_lacking := int(lacking.sum()):
        absent = table[needed].columns[table[needed].isna().any()]
        names = " or ".join([*absent, *["any indicator"] * bool(empty.any())])
        screen.postpone(f"left out: {n_rows_text(n_lacking)} without a value of {names}")
        table, X = table[~lacking], X[~lacking]
    if (beside or outcomes) and (doubts := coded(table, None, [*beside, *outcomes])[1].doubts):
        screen.postpone(f"columns: {doubts}")
    unusable = unusable_outcomes({name: table[name] for name in outcomes}, len(table))
    survey: dict[str, Any] = {"clusters": cluster and table[cluster]}
    survey["strata"] = strata and table[strata]
    SurveyDesign.of(len(table), **survey)
    weights: dict[str, Any] = {}
    if rows.weight is not None:
        weights["sample_weight"] = table[rows.weight].to_numpy()
        weights["weight_type"] = weight_type(rows) or ("sampling" if cluster or strata else None)
    in_numbers = against_most_frequent(table[beside]) if beside else None
    named = options.names(models)
    settings: dict[str, Any] = {
        "models": named and [int(name) if name.isdigit() else name for name in named],
        "n_bootstrap": bootstrap,
        "columns": columns,
        "missing": missing_for(missing, int(X.isna().any(axis=1).sum()), None),
        "random_state": run.seed,
        "n_jobs": run.jobs,
        "progress": screen.progress,
        "clusters": survey["clusters"],
        **weights,
    }
    numbers = options.numbers(classes) or []
    selected = None if select is None else select.rpartition(":")[2]
    if selected is not None and selected not in map(str, numbers):
        raise InvalidInputError(
            f"--select must be MODEL:K with K of --classes {classes}, got {select!r}"
        )
    folder = None if out is None else results_folder(out)
    with screen.noting_warnings(screen.postpone) as messages:
        enumeration = enumerate_classes(X, numbers, covariates=in_numbers, **settings)
        plain = enumerate_classes(X, numbers, **settings) if beside else None
    enumeration = replace(
        enumeration,
        n_dropped=enumeration.n_dropped + n_lacking,
        n_empty=enumeration.n_empty + int(empty.sum()),
    )
    model, n_classes = _chosen(enumeration, select)
    fit = enumeration.fit(model, n_classes)
    source = replace(fit._seen(X, weights.get("sample_weight")), columns=tuple(map(str, X.columns)))
    work = replace(Work.on("classes", screen, rows, source, None), place=folder)

    def described(correction: str) -> tuple[ClassProfiles, list[str]]:
        notes: list[str] = []
        three_step: dict[str, Any] = {"outcomes": {name: table[name] for name in outcomes}}
        three_step |= {"correction": correction, "random_state": run.seed, "covariates": in_numbers}
        with screen.noting_warnings(notes.append):
            return class_profiles(fit, X, **three_step, **survey, **weights), notes

    try:  # too few values for normal outcomes in classes
        profiles, notes = described("ML")
        failed = [name for name in profiles.left_out if name not in unusable]
        problems = [f"outcome {name!r}: {profiles.left_out[name]}" for name in failed]
    except InvalidInputError as problem:
        if not outcomes:
            raise
        problems = [str(problem)]
    if problems:
        profiles, notes = described("BCH")
        screen.postpone(f"outcomes have the BCH correction: {problems[0].partition(': use ')[0]}")
    for note in notes:
        screen.note(note)
    work.warnings += notes
    fits = (enumeration.fits.get((model, K)) for K in (n_classes - 1, n_classes + 1))
    adjacent = [fit for fit in fits if fit is not None]
    rivals = work.noting(lambda: [class_profiles(fit, X, **survey, **weights) for fit in adjacent])
    report = class_report(
        enumeration, profiles, model, n_classes, rivals=rivals, unconditional=plain
    )
    screen.table()
    for shown in report.tables.values():
        screen.say(f"\n{shown}")
    screen.answer(str(enumeration.suggested) if select is None else profiles.summary())
    contents: dict[str, Any] = {"model.bayesmix": fit}
    contents |= {"report.html": report.to_html(), "report.md": report.to_markdown()}
    contents["enumeration_full.csv"] = csv_text(enumeration.table)
    for name, shown in report.tables.items():
        place = name.replace(" ", "_")
        contents |= {f"{place}.csv": shown.to_csv(), f"{place}.md": shown.to_markdown()}
        contents |= {f"{place}.docx": shown} if find_spec("docx") is not None else {}
    for drawn in report.figures.values():
        figure = Figure(drawn.draw, drawn.size, drawn.panels)
        contents |= {f"{drawn.name}.{kind}": figure for kind in ("pdf", "png")}
    values: dict[str, Any] = {
        "enumeration": enumeration.table.to_dict("records"),
        "model": str(model),
        "n_classes": n_classes,
        "reasons": list(enumeration.suggested.reasons),
        "profiles": profiles.profiles.reset_index().to_dict("records"),
        "warnings": [*messages, *work.warnings],
    }
    work.end(values, contents)


def against_most_frequent(table: pd.DataFrame) -> CodedFrame:
    """Return indicators of the levels of text against the most frequent, which their names tell."""
    coding = [
        _against_most_frequent(column, table[column.name]) if column.levels else column
        for column in coding_of_frame("--covariates", table)
    ]
    return coded_frame("--covariates", table, tuple(coding))


def _against_most_frequent(column: CodedColumn, values: Any) -> CodedColumn:
    levels = tuple(values.astype(str).value_counts().index)
    terms = tuple(f"{column.name} ({level} vs. {levels[0]})" for level in levels[1:])
    return CodedColumn(column.name, terms, levels)


def _chosen(enumeration: Any, select: str | None) -> Any:
    """Return the model and number of classes to describe."""
    if select is None:
        return enumeration.key()
    model, _, number = select.rpartition(":")
    if not model and len(enumeration.models) > 1:
        raise InvalidInputError(
            f"--select must be MODEL:K, such as {next(iter(enumeration.models))}:3, got {select!r}"
        )
    return enumeration.key(model or next(iter(enumeration.models)), int(number))
