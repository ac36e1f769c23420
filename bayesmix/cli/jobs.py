"""What the commands do, once their arguments are read."""

from __future__ import annotations

import codecs
import csv
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import typer

from bayesmix.cli import describe, files
from bayesmix.cli.group import INTERRUPTED
from bayesmix.cli.show import (
    Screen,
    candidate_table,
    component_table,
    fit_sentence,
    rows_sentence,
)
from bayesmix.errors import InvalidInputError
from bayesmix.selection.criteria import OF_A_POSTERIOR
from bayesmix.writing import written


def select(
    screen: Screen,
    path: str,
    source: Any,
    components: Sequence[int] | None,
    structures: Sequence[str] | None,
    criterion: str | None,
    method: str | None,
    weight: str | None,
    out: str | None,
    report: Sequence[str] | None,
    seed: int,
    jobs: int | None,
) -> None:
    """Compare candidates, say which is best and by how much, write what was found.

    ``report`` is the command line that a report shows; None: no report is wanted.
    """
    began = time.perf_counter()
    place = None if out is None else files.folder(out)
    page = None if report is None else files.report_place(place)
    options, criterion = _how(method, criterion)
    screen.say(rows_sentence(path, source, weight))
    search, interrupted = search_for(
        screen, source, components, structures, criterion, seed, jobs, **options
    )
    screen.table(candidate_table(search))
    screen.say()
    screen.answer(search.summary())
    screen.table(component_table(search.best_estimator_, screen.out.width))
    values = describe.described("select", path, source, weight)
    values |= describe.search_values(search)
    values |= {"interrupted": interrupted, "seconds": time.perf_counter() - began}
    if page is not None and report is not None:
        values["files"] = [files.write_report(page, search, source, Path(path).name, report)]
    finish(screen, place, values, search.best_estimator_, source, search)
    leave(interrupted)


def _how(method: str | None, criterion: str | None) -> tuple[dict[str, Any], str]:
    """Options of the search and its criterion, each from the other where only one is given."""
    if method is None:
        method = "variational" if criterion is None or criterion in OF_A_POSTERIOR else "em"
    if method == "em":
        if criterion in OF_A_POSTERIOR:
            raise InvalidInputError(
                f"--criterion {criterion} needs --method variational: a maximum likelihood fit "
                "has no posterior"
            )
        return {}, criterion or "bic"
    if criterion is not None and criterion not in OF_A_POSTERIOR:
        from bayesmix.estimators.select import comparable

        return {"estimator": comparable()}, criterion
    return {}, criterion or "auto"


def search_for(
    screen: Screen,
    source: Any,
    components: Sequence[int] | None,
    structures: Sequence[str] | None,
    criterion: str,
    seed: int,
    jobs: int | None,
    **options: Any,
) -> tuple[Any, bool]:
    """The fitted search, and whether Ctrl-C ended it early."""
    from bayesmix.estimators.select import select as select_model

    with screen.noting_warnings() as heard:
        search = select_model(
            source,
            components,
            structures,
            criterion,
            random_state=seed,
            n_jobs=jobs,
            progress=screen.progress,
            **options,
        )
    return search, any(text.startswith("interrupted") for text in heard)


def fit(
    screen: Screen,
    path: str,
    source: Any,
    components: int,
    structure: str,
    method: str,
    weight: str | None,
    out: str | None,
    seed: int,
    jobs: int | None,
) -> None:
    """Fit one mixture, show it, write it."""
    place = None if out is None else files.folder(out)
    screen.say(rows_sentence(path, source, weight))
    model = _estimator(
        method,
        n_components=components,
        covariance_type=structure,
        random_state=seed,
        n_jobs=jobs,
        progress=screen.progress,
    )
    with screen.noting_warnings():
        model.fit(source)
    screen.say()
    screen.answer(fit_sentence(model))
    screen.table(component_table(model, screen.out.width))
    interrupted = model.result_.status == "interrupted"
    values = describe.described("fit", path, source, weight)
    values |= {"model": describe.model_values(model), "interrupted": interrupted}
    finish(screen, place, values, model, source)
    leave(interrupted)


def _estimator(method: str, **parameters: Any) -> Any:
    from bayesmix.estimators.bayesian import BayesianGaussianMixture
    from bayesmix.estimators.gaussian import GaussianMixture

    if method == "variational":
        return BayesianGaussianMixture(**parameters)
    return GaussianMixture(prior="auto" if method == "map" else None, **parameters)


def finish(
    screen: Screen,
    place: Path | None,
    values: dict[str, Any],
    model: Any,
    source: Any,
    search: Any = None,
) -> None:
    """Write the files, name them, and print the JSON where it is asked for."""
    if place is not None:
        written = [files.write_model(place / "model.bayesmix", model)]
        if search is not None:
            written.append(files.write_table(place / "table.csv", search))
            written += files.draw_selection(place, search, screen.note)
        written += files.draw_density(place, model, source, screen.note)
        result = str(place / "result.json")
        values["files"] = [result, *written, *values.get("files", ())]
        files.write_json(Path(result), values)
        screen.wrote(place, values["files"])
    elif "files" in values:
        screen.say(f"\nWrote {', '.join(values['files'])}")
    if screen.machine:
        print(files.as_json(values))


def leave(interrupted: bool) -> None:
    """End with the exit code of Ctrl-C where there was one."""
    if interrupted:
        raise typer.Exit(INTERRUPTED)


def predict(
    screen: Screen, model_path: str, path: str, columns: list[str] | None, out: str | None
) -> None:
    """Component, probability and log density of every row, as CSV."""
    from bayesmix.io import load, read

    if not model_path.endswith(".bayesmix") and path.endswith(".bayesmix"):
        raise InvalidInputError(f"the model comes first: bayesmix predict {path} {model_path}")
    place = None if out is None else files.labels_place(out)
    model = load(model_path)
    names = getattr(model, "feature_names_in_", None)
    if columns is not None:
        # Asked for one by one, they may have other names than at the fit.
        source = replace(read(path, columns), columns=None)
    elif names is None or path.lower().endswith(".npy"):
        source = read(path)
    else:
        source = read(path, list(names))
    probabilities = model.predict_proba(source)
    labels = probabilities.argmax(axis=1)
    densities = model.score_samples(source)
    largest = probabilities.max(axis=1)
    if place is not None:
        with written(place) as stream:
            _write_labels(codecs.getwriter("utf-8")(stream), labels, largest, densities)
    elif not screen.machine:
        _write_labels(sys.stdout, labels, largest, densities)
        return
    counts = np.bincount(labels, minlength=model.n_components_).tolist()
    values = describe.described("predict", path, source, None)
    values |= {
        "model": model_path,
        "rows_per_component": counts,
        "mean_log_density": float(densities.mean()),
        "files": [] if out is None else [out],
    }
    screen.answer(
        f"{len(labels):,} rows to {model.n_components_} components: "
        + ", ".join(f"{count:,}" for count in counts)
        + f"; mean log density {densities.mean():.4f} nats"
    )
    if out is not None:
        screen.say(f"Wrote {out}")
    if screen.machine:
        print(files.as_json(describe.plain(values)))


def _write_labels(stream: Any, labels: Any, probabilities: Any, densities: Any) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["component", "probability", "log_density"])
    writer.writerows(zip(labels.tolist(), probabilities.tolist(), densities.tolist(), strict=True))
