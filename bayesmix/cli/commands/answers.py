"""What the commands that look again do, once their arguments are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bayesmix.cli.commands.jobs import fitted, unfitted
from bayesmix.cli.commands.predict import model_of, rows_for, spread
from bayesmix.cli.inputs.arguments import Searched
from bayesmix.cli.outputs import describe, files
from bayesmix.cli.outputs.show import Screen, frame_table, rows_sentence
from bayesmix.protocols import Source
from bayesmix.writing import write


@dataclass(frozen=True)
class Asked:
    """What all of them are asked: of which rows, where to print, where to write."""

    command: str
    screen: Screen
    path: str
    source: Source
    weight: str | None
    place: Path | None

    @classmethod
    def of(
        cls,
        command: str,
        screen: Screen,
        path: str,
        source: Source,
        weight: str | None,
        out: str | None,
    ) -> Asked:
        """With the folder ``out`` made, if one is wanted, and the rows named on the screen."""
        place = None if out is None else files.folder(out)
        screen.say(rows_sentence(path, source, weight))
        return cls(command, screen, path, source, weight, place)

    def answered(self, look: Callable[[], Any], table: str | None = None) -> tuple[Any, list[str]]:
        """What was found, its summary and its table said under a title, and the warnings heard."""
        with self.screen.noting_warnings() as heard:
            found = look()
        self.screen.answer(found.summary())
        if table is not None:
            self.screen.table(frame_table(table, found.table))
        return found, heard

    def end(
        self, found: Any, heard: list[str], values: dict[str, Any], tables: dict[str, str]
    ) -> None:
        """Write the files, name them, and print the JSON where it is asked for."""
        screen, place = self.screen, self.place
        values = describe.described(self.command, self.path, self.source, self.weight) | values
        values = describe.plain(values | {"warnings": heard})
        if place is not None:
            names = [str(place / "result.json")]
            for name, text in tables.items():
                write(place / name, text.encode("utf-8"))
                names.append(str(place / name))
            names += files.draw_plot(place / f"{self.command}.png", found, screen.note)
            values["files"] = names
            files.write_json(place / "result.json", values)
            screen.wrote(place, names)
        if screen.machine:
            print(files.as_json(values))


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

    model = model_of("merge", model_path, path)
    source, some = rows_for(screen, model, path, columns, weight)
    asked = Asked.of("merge", screen, path, source, weight, out)

    def merged() -> Any:
        merging = merge_components(model, source)
        merging.groups(clusters)  # what cannot be is refused before anything is said
        return merging

    merging, heard = asked.answered(merged)
    groups = merging.groups(clusters)
    if clusters is not None:
        screen.answer(
            f"{clusters} clusters, as asked for: "
            + " | ".join(" ".join(map(str, group)) for group in groups)
        )
    values = {
        "model": model_path,
        "n_clusters": len(groups),
        "suggested": merging.n_clusters,
        "groups": groups,
        "tree": merging.tree.to_dict("records"),
    }
    labels = spread(merging.predict(source, clusters), some)
    tables = {
        "tree.csv": merging.tree.to_csv(index=False),
        "labels.csv": "cluster\n"
        + "".join(f"{'' if label is None else label}\n" for label in labels),
    }
    asked.end(merging, heard, values, tables)


def stability(asked: Asked, wanted: Searched, parts: str, resamples: int) -> None:
    """How much of the answer remains on parts of the rows."""
    from bayesmix.selection.clustering.stability_of_clusters import stability as repeated

    search = unfitted(wanted, asked.source).set_params(progress=False)
    found, heard = asked.answered(
        lambda: repeated(
            search, asked.source, resamples, parts, n_jobs=wanted.jobs, random_state=wanted.seed
        )
    )
    values = {
        "summary": found.summary(),
        "n_components": found.n_components,
        "shares": found.k_shares.to_dict(),
        "adjusted_rand": found.adjusted_rand.to_dict(),
        "fits": found.table.to_dict("records"),
    }
    asked.end(found, heard, values, {"stability.csv": found.table.to_csv(index=False)})


def sensitivity(asked: Asked, wanted: Searched) -> None:
    """The number of components under other priors."""
    from bayesmix.selection.checks.prior_sensitivity import prior_sensitivity

    screen, source = asked.screen, asked.source
    search = unfitted(wanted, source)
    heard = fitted(screen, search, source)
    found, later = asked.answered(
        lambda: prior_sensitivity(search, source, n_jobs=wanted.jobs, progress=screen.progress),
        "The number of components by prior",
    )
    values = {
        "summary": found.summary(),
        "n_components": found.n_components,
        "shares": found.shares.to_dict(),
        "priors": found.table.to_dict("records"),
    }
    asked.end(found, [*heard, *later], values, {"priors.csv": found.table.to_csv(index=False)})


def nested(asked: Asked, wanted: Searched, folds: int) -> None:
    """What the whole search achieves on rows that it has not seen."""
    from bayesmix.selection.checks.nested_folds import nested_cv

    search = unfitted(wanted, asked.source).set_params(progress=False)
    found, heard = asked.answered(
        lambda: nested_cv(
            {"the search": search},
            asked.source,
            folds,
            n_jobs=wanted.jobs,
            random_state=wanted.seed,
            progress=asked.screen.progress,
        ),
        "Outer folds, in nats a row",
    )
    values = {
        "summary": found.summary(),
        **found.scores.iloc[0].to_dict(),
        "folds": found.table.to_dict("records"),
    }
    asked.end(found, heard, values, {"folds.csv": found.table.to_csv(index=False)})


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
    source, _ = rows_for(screen, model, path, columns, weight)
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
