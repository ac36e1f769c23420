"""What the commands that look again do, once their arguments are read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bayesmix.cli.commands.jobs import fitted, unfitted
from bayesmix.cli.commands.predict import model_of, rows_for
from bayesmix.cli.inputs.arguments import Searched
from bayesmix.cli.outputs import describe, files
from bayesmix.cli.outputs.show import Screen, frame_table, rows_sentence
from bayesmix.writing import write


def merge(
    screen: Screen,
    model_path: str,
    path: str,
    columns: list[str] | None,
    weight: str | None,
    clusters: int | None,
    out: str | None,
) -> None:
    """Which components make one cluster."""
    from bayesmix.selection.clustering.merging import merge_components

    place = None if out is None else files.folder(out)
    model = model_of("merge", model_path, path)
    source = rows_for(model, path, columns, weight)
    screen.say(rows_sentence(path, source, weight))
    with screen.noting_warnings() as heard:
        merging = merge_components(model, source)
    groups = merging.groups(clusters)
    screen.answer(merging.summary())
    if clusters is not None:
        screen.answer(
            f"{clusters} clusters, as asked for: "
            + " | ".join(" ".join(map(str, group)) for group in groups)
        )
    values = describe.described("merge", path, source, weight) | {
        "model": model_path,
        "n_clusters": len(groups),
        "suggested": merging.n_clusters,
        "groups": groups,
        "tree": merging.tree.to_dict("records"),
    }
    tables = {"tree.csv": merging.tree.to_csv(index=False)}
    labels = merging.predict(source, clusters)
    tables["labels.csv"] = "cluster\n" + "".join(f"{label}\n" for label in labels)
    _end(screen, place, values, heard, merging, tables)


def stability(
    screen: Screen,
    path: str,
    source: Any,
    wanted: Searched,
    parts: str,
    resamples: int,
    weight: str | None,
    out: str | None,
) -> None:
    """How much of the answer remains on parts of the rows."""
    from bayesmix.selection.clustering.stability_of_clusters import stability as repeated

    place = None if out is None else files.folder(out)
    search = unfitted(wanted, source).set_params(progress=False)
    screen.say(rows_sentence(path, source, weight))
    with screen.noting_warnings() as heard:
        found = repeated(
            search, source, resamples, parts, n_jobs=wanted.jobs, random_state=wanted.seed
        )
    screen.answer(found.summary())
    values = describe.described("stability", path, source, weight) | {
        "summary": found.summary(),
        "n_components": found.n_components,
        "shares": found.k_shares.to_dict(),
        "adjusted_rand": found.adjusted_rand.to_dict(),
        "fits": found.table.to_dict("records"),
    }
    _end(screen, place, values, heard, found, {"stability.csv": found.table.to_csv(index=False)})


def sensitivity(
    screen: Screen,
    path: str,
    source: Any,
    wanted: Searched,
    weight: str | None,
    out: str | None,
) -> None:
    """The number of components under other priors."""
    from bayesmix.selection.checks.prior_sensitivity import prior_sensitivity

    place = None if out is None else files.folder(out)
    search = unfitted(wanted, source)
    screen.say(rows_sentence(path, source, weight))
    heard = fitted(screen, search, source)
    with screen.noting_warnings() as later:
        found = prior_sensitivity(search, source, n_jobs=wanted.jobs, progress=screen.progress)
    screen.answer(found.summary())
    screen.table(frame_table("The number of components by prior", found.table))
    values = describe.described("sensitivity", path, source, weight) | {
        "summary": found.summary(),
        "n_components": found.n_components,
        "shares": found.shares.to_dict(),
        "priors": found.table.to_dict("records"),
    }
    tables = {"priors.csv": found.table.to_csv(index=False)}
    _end(screen, place, values, [*heard, *later], found, tables)


def nested(
    screen: Screen,
    path: str,
    source: Any,
    wanted: Searched,
    folds: int,
    weight: str | None,
    out: str | None,
) -> None:
    """What the whole search achieves on rows that it has not seen."""
    from bayesmix.selection.checks.nested_folds import nested_cv

    place = None if out is None else files.folder(out)
    search = unfitted(wanted, source).set_params(progress=False)
    screen.say(rows_sentence(path, source, weight))
    with screen.noting_warnings() as heard:
        found = nested_cv(
            {"the search": search},
            source,
            folds,
            n_jobs=wanted.jobs,
            random_state=wanted.seed,
            progress=screen.progress,
        )
    screen.answer(found.summary())
    screen.table(frame_table("Outer folds, in nats a row", found.table))
    values = describe.described("nested", path, source, weight) | {
        "summary": found.summary(),
        **found.scores.iloc[0].to_dict(),
        "folds": found.table.to_dict("records"),
    }
    _end(screen, place, values, heard, found, {"folds.csv": found.table.to_csv(index=False)})


def report(
    screen: Screen,
    model_path: str,
    path: str,
    columns: list[str] | None,
    weight: str | None,
    out: str,
    command: Sequence[str],
    seed: int,
    jobs: int | None,
    interactive: bool,
) -> None:
    """One page on a saved model and its rows."""
    from bayesmix.report import report_place
    from bayesmix.report.of_fit import write_fit_report

    report_place(out)
    model = model_of("report", model_path, path)
    source = rows_for(model, path, columns, weight)
    screen.say(rows_sentence(path, source, weight))
    with screen.noting_warnings() as heard:
        written = write_fit_report(
            model,
            out,
            source,
            title=Path(path).name,
            command=command,
            random_state=seed,
            n_jobs=jobs,
            interactive=interactive,
        )
    screen.answer(f"Wrote {written}")
    if screen.machine:
        values = describe.described("report", path, source, weight)
        values |= {"model": model_path, "warnings": heard, "files": [str(written)]}
        print(files.as_json(describe.plain(values)))


def _end(
    screen: Screen,
    place: Path | None,
    values: dict[str, Any],
    heard: list[str],
    found: Any,
    tables: dict[str, str],
) -> None:
    """Write the files, name them, and print the JSON where it is asked for."""
    values = describe.plain(values | {"warnings": heard})
    if place is not None:
        names = [str(place / "result.json")]
        for name, text in tables.items():
            write(place / name, text.encode("utf-8"))
            names.append(str(place / name))
        names += files.draw_plot(place / f"{values['command']}.png", found, screen.note)
        values["files"] = names
        files.write_json(place / "result.json", values)
        screen.wrote(place, names)
    if screen.machine:
        print(files.as_json(values))
