"""Commands for a saved model or a search: predict, merge, stability, ..., report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bayesmix.errors import InvalidInputError
from bayesmix.shell import options
from bayesmix.shell.fits import Work, command_line, estimator_for, for_survey, unfitted_search
from bayesmix.shell.screen import Screen


def predict(
    *,
    model: options.Model,
    data: options.Data,
    columns: Annotated[
        str | None, options.option("A,B", "Columns to use. Default: those of the fit, by name")
    ] = None,
    out: Annotated[
        str | None, options.option("FILE", "Output CSV. Default: standard output")
    ] = None,
    keep: Annotated[
        str | None, options.option("A,B", "Columns of DATA to copy to the output, such as an id")
    ] = None,
    sep: options.Sep = None,
    decimal: options.Decimal = None,
    encoding: options.Encoding = None,
    na: options.Na = None,
    measured: options.MeasuredAs,
    rows: Annotated[
        bool, options.flag("rows", "With --json, print the prediction of every row")
    ] = False,
    sequences: options.Sequences,
    shown: options.Print,
) -> None:
    """Predict the components and clusters of new data, as CSV.

    For each row, the output has the most probable component, its probability, the log density in
    nats, and the probabilities of all components. For a model of select, the most probable cluster
    and its probability come first. Clusters and components count from 1; -1 is outlying. With
    --out, the groups are described by the columns. Without --sequence, a hidden Markov model treats
    all rows as one sequence.
    """
    import pandas as pd

    from bayesmix.core.nouns import counted
    from bayesmix.core.procedures import takes_sequences
    from bayesmix.em.prediction import most_probable
    from bayesmix.shell.data import (
        answers_by_row,
        copied_columns,
        covariates_of,
        model_and_rows,
        rows_in_time,
        saved_model,
        say_left_out,
        written,
    )
    from bayesmix.shell.result_files import description_values, from_one, labels_from_one
    from bayesmix.shell.supervised import PREDICTIONS, predict_table
    from bayesmix.sources.writing import file_to_write, try_to_write

    screen = Screen(shown)
    place = None if out is None else file_to_write(out, "--out")
    if place is not None:
        try_to_write(place.parent)
    asked = options.Numbers(data, columns, None, sep, decimal, encoding, na)
    saved = saved_model("predict", model, data)
    best = getattr(saved, "best_estimator_", saved)
    if type(best).__name__ in PREDICTIONS:
        predict_table(screen, best, model, asked, keep, place)
        return
    fit, source, present = model_and_rows(screen, "predict", model, saved, asked, measured)
    beside: dict[str, Any] = {}
    in_time: Any = slice(None)
    in_file = in_time
    K = fit.n_components_
    if sequences.names:
        if not takes_sequences(fit):
            raise InvalidInputError("--sequence and --order are for hidden Markov models")
        columns_of_time = copied_columns(asked, sequences.by_option)
        in_time, beside = rows_in_time(columns_of_time, sequences, source.shape[0])
        source, in_file = source.subset(in_time), in_time.argsort()
    if (design := fit.result_.side.design) is not None:
        covariates = covariates_of(asked, design)
        if takes_sequences(fit):  # their rows are never left out
            beside["covariates"] = covariates.iloc[in_time]
        else:
            complete = covariates.notna().all(axis=1).to_numpy()
            say_left_out(screen.note, complete, "without a value of a covariate")
            source, present = source.subset(complete[present].nonzero()[0]), complete & present
            beside["covariates"] = covariates[present]
    probabilities = fit.predict_proba(source, **beside)[in_file]
    labels = most_probable(probabilities, K)
    densities = fit.score_samples(source, **beside)[in_file]
    columns_of_p = [*(f"p{k + 1}" for k in range(K)), "p_noise"][: probabilities.shape[1]]
    predicted = {"component": from_one(labels), "probability": probabilities.max(axis=1)}
    noun, groups, number = fit.result_.noun, labels, K
    if saved is not best:
        predicted, answer = labels_from_one(saved, probabilities), saved.answer_
        noun, groups, number = answer.noun, predicted["cluster"] - 1, answer.number
    predicted |= {"log_density": densities}
    predicted |= dict(zip(columns_of_p, probabilities.T, strict=True))
    answers = answers_by_row(asked, keep, pd.DataFrame(predicted), present)
    if not written(screen, answers, place):
        return
    counts = [int((labels == k).sum()) for k in range(K)]
    values: dict[str, Any] = {"model": model, "rows_per_component": counts}
    if fit.result_.mixture.noise is not None:
        values["rows_of_noise"] = len(labels) - sum(counts)
    sizes = [int((groups == k).sum()) for k in range(number)]
    if saved is not best:
        values["rows_per_cluster"] = sizes
    values |= {"mean_log_density": densities.mean(), "files": [] if out is None else [out]}
    if rows:
        values["rows"] = answers.where(answers.notna(), None).to_dict("records")
    outside = len(labels) - sum(sizes)
    screen.answer(
        f"{len(labels):,} rows to {counted(number, noun)}: "
        + ", ".join(f"{size:,}" for size in sizes)
        + (f", {outside:,} {'of noise' if saved is best else 'outlying'}" if outside else "")
        + f"; mean log density {densities.mean():.4f} nats"
    )
    work = Work("predict", screen, data, source)
    if len(labels) > 1:
        description = work.described(saved, beside)
        work.show_groups(saved, description)
        values |= description_values(description)
    work.end(values, {})


def crosscheck(
    *,
    rows: options.Numbers,
    components: Annotated[int, options.option("K", "Number of components", min=1)],
    covariance: options.Structure = "full",
    sequences: options.Sequences,
    sampler: Annotated[
        options.Sampler,
        options.option("NAME", "gibbs, nuts (needs PyMC, slow), or auto (gibbs)"),
    ] = options.Sampler.AUTO,
    draws: Annotated[
        int, options.option("N", "Number of posterior draws per chain", min=20)
    ] = 1000,
    chains: Annotated[int, options.option("C", "Number of chains", min=2)] = 4,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Compare a variational fit with MCMC.

    Mixing weights have a Dirichlet(1, ..., 1) prior; so have the transitions from each state of a
    hidden Markov model. No components are pruned. --out DIR saves result.json, parameters.csv,
    invariants.csv, model.bayesmix and a figure.
    """
    structure = options.structure(covariance)
    from bayesmix.estimators.select import comparable
    from bayesmix.mcmc.crosscheck import crosscheck as compare
    from bayesmix.mcmc.crosscheck_plots import PANELS, plot_crosscheck, size_of
    from bayesmix.mcmc.verdict import by_kind
    from bayesmix.shell.data import csv_text, read_beside, read_table
    from bayesmix.shell.result_files import Figure, check_values, model_values
    from bayesmix.shell.shown_tables import frame_table

    screen = Screen(run)
    if sequences.names:
        table = options.Table(**vars(rows))
        source, beside = read_beside(screen, table, None, sequences)
        model = estimator_for(source, None, options.Method.VARIATIONAL, False, True)
    else:
        source, beside = read_table(screen, options.Table(**vars(rows))), {}
        model = comparable(source)
    work = Work.on("crosscheck", screen, rows, source, out)
    same: dict[str, Any] = {"random_state": run.seed, "n_jobs": run.jobs}
    work.fit(model.set_params(n_components=components, covariance_type=structure, **same), **beside)
    how: dict[str, Any] = {"n_draws": draws, "chains": chains, "sampler": sampler.value}
    check = work.noting(lambda: compare(model, source, **how, **same, progress=screen.progress))
    screen.say()
    screen.answer(check.summary())
    title = "Fit and sampler: median ratio of standard deviations, otherwise the worst value"
    screen.table(frame_table(title, by_kind(check).reset_index()))
    values = check_values(check)
    values |= {"model": model_values(model), "warnings": work.warnings, "seconds": work.seconds}
    contents = {
        "model.bayesmix": model,
        "parameters.csv": csv_text(check.parameters, index=True),
        "invariants.csv": csv_text(check.invariants, index=True),
        "crosscheck.png": Figure(
            lambda axes: plot_crosscheck(check, axes=axes), size_of(check), PANELS
        ),
    }
    work.end(values, contents, values["interrupted"])


def merge(
    *,
    model: options.Model,
    rows: options.Numbers,
    clusters: Annotated[
        int | None, options.option("N", "Number of clusters. Default: chosen by overlap", min=1)
    ] = None,
    gaps: options.Gaps = False,
    out: options.Out = None,
    shown: options.Print,
) -> None:
    """Merge overlapping components into clusters.

    The density stays the same. --out DIR saves result.json, tree.csv, labels.csv and a figure.
    """
    import pandas as pd

    from bayesmix.assess.merging import in_words, merge_components
    from bayesmix.core.nouns import counted
    from bayesmix.shell.data import answers_by_row, csv_text, model_and_rows, saved_model
    from bayesmix.shell.result_files import Figure, from_one

    screen, saved = Screen(shown), saved_model("merge", model, rows.data)
    _, source, present = model_and_rows(screen, "merge", model, saved, rows)
    work = Work.on("merge", screen, rows, source, out)
    rule = "gaps" if gaps else None
    merging = work.noting(lambda: merge_components(saved, source, clusters=rule))
    groups = merging.groups(clusters)
    screen.answer(merging.summary())
    if clusters is not None:
        named = " | ".join(" ".join(str(k + 1) for k in group) for group in groups)
        screen.answer(f"{counted(clusters, 'cluster')} as requested, of components {named}.")
    labels = pd.DataFrame({"cluster": from_one(merging.predict(source, clusters))})
    merges = merging.tree.assign(merged=[in_words(pair) for pair in merging.tree["merged"]])
    values = {
        "model": model,
        "n_clusters": len(groups),
        "suggested": merging.n_clusters,
        "groups": groups,
        "tree": merging.tree.to_dict("records"),
        "warnings": work.warnings,
    }
    contents = {
        "tree.csv": csv_text(merges),
        "labels.csv": csv_text(answers_by_row(rows, None, labels, present)),
        "merge.png": Figure(lambda ax: merging.plot(ax=ax)),
    }
    work.end(values, contents)


def stability(
    *,
    table: options.Table,
    candidates: options.Candidates,
    parts: Annotated[
        options.Parts,
        options.option("NAME", "Resamples: half (random halves of the data) or bootstrap"),
    ] = options.Parts.HALF,
    resamples: Annotated[int, options.option("N", "Number of resamples", min=1)] = 20,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Repeat the search on resamples and compare the clusterings.

    --out DIR saves result.json, stability.csv and a figure.
    """
    search_for = unfitted_search(for_survey(candidates, table), run, table.missing)
    from bayesmix.assess.stability import stability as repeated

    work = work_on_table("stability", table, out, run, candidates.family)
    search, work.source = search_for(work.source)
    search.set_params(progress=False)
    how: Any = {"n_jobs": run.jobs, "random_state": run.seed}
    result = work.noting(lambda: repeated(search, work.source, resamples, parts.value, **how))
    values = {
        "n_components": result.n_components,
        "shares": result.k_shares.to_dict(),
        "adjusted_rand": result.adjusted_rand.to_dict(),
    }
    end_with_table(work, result, values, "stability.csv")


def sensitivity(
    *,
    table: options.Table,
    components: options.Components = None,
    covariance: options.Structures = None,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Select the number of components under several priors.

    --out DIR saves result.json, priors.csv and a figure.
    """
    candidates = options.Candidates(components, covariance)
    search_for = unfitted_search(candidates, run, table.missing)
    from bayesmix.assess.prior_sensitivity import prior_sensitivity

    work = work_on_table("sensitivity", table, out, run)
    search, work.source = search_for(work.source)
    work.fit(search)
    how: Any = {"n_jobs": run.jobs, "progress": work.screen.progress}
    result = work.noting(lambda: prior_sensitivity(search, work.source, **how))
    values = {
        "n_components": result.n_components,
        "shares": result.shares.to_dict(),
    }
    end_with_table(work, result, values, "priors.csv")


def nested(
    *,
    table: options.Table,
    candidates: options.Candidates,
    folds: Annotated[int, options.option("N", "Number of outer folds", min=2)] = 5,
    out: options.Out = None,
    run: options.Run,
) -> None:
    """Assess the search by nested cross-validation.

    --out DIR saves result.json, folds.csv and a figure.
    """
    search_for = unfitted_search(for_survey(candidates, table), run, table.missing)
    from bayesmix.assess.nested import nested_cv

    work = work_on_table("nested", table, out, run, candidates.family)
    search, work.source = search_for(work.source)
    searches = {"the search": search.set_params(progress=False)}
    how: Any = {"n_jobs": run.jobs, "random_state": run.seed, "progress": work.screen.progress}
    result = work.noting(lambda: nested_cv(searches, work.source, folds, **how))
    end_with_table(work, result, result.scores.iloc[0].to_dict(), "folds.csv")


def work_on_table(
    command: str, table: options.Table, out: str | None, run: options.Run, family: str | None = None
) -> Work:
    """Run a command that writes tables into a folder."""
    from bayesmix.shell.data import read_table

    screen = Screen(run)
    source = read_table(screen, table, family=family)
    return Work.on(command, screen, table, source, out)


def end_with_table(work: Work, result: Any, values: dict[str, Any], name: str) -> None:
    """End a command whose result has a table, which is shown if it has a title, and a figure."""
    from bayesmix.shell.data import csv_text
    from bayesmix.shell.result_files import Figure
    from bayesmix.shell.shown_tables import frame_table

    shown = result.shown
    work.screen.answer(shown.text())
    for table in shown.tables:
        if table.title:
            work.screen.table(frame_table(table.title, table.frame))
    figure = Figure(lambda ax: result.plot(ax=ax))
    contents = {name: csv_text(result.table), f"{work.command}.png": figure}
    work.end(shown.values() | values | {"warnings": work.warnings}, contents)


def report(
    *,
    context: typer.Context,
    model: options.Model,
    rows: options.Numbers,
    out: Annotated[str, options.option("FILE", "Output page")] = "report.html",
    static: options.Static = False,
    run: options.Run,
) -> None:
    """Write an HTML report on a saved model or search and its data.

    The page of a search is that of: bayesmix select DATA --report.
    """
    from bayesmix.report import report_place, write_report
    from bayesmix.report.page import write_fit_report
    from bayesmix.shell.data import model_and_rows, saved_model

    report_place(out)
    screen = Screen(run)
    saved = saved_model("report", model, rows.data)
    fit, source, _ = model_and_rows(screen, "report", model, saved, rows)
    work = Work.on("report", screen, rows, source, None)
    title, command = Path(rows.data).name, command_line(context)
    page = work.noting(
        lambda: (
            write_report(saved, out, source, title, command, not static)
            if saved is not fit
            else write_fit_report(
                fit,
                out,
                source,
                title=title,
                command=command,
                random_state=run.seed,
                n_jobs=run.jobs,
                interactive=not static,
            )
        )
    )
    work.end({"model": model, "warnings": work.warnings, "files": [str(page)]}, {})
