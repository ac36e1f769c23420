"""What the commands do, once their arguments are read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from bayesmix.cli.group import INTERRUPTED
from bayesmix.cli.inputs.arguments import Searched
from bayesmix.cli.outputs import describe, files
from bayesmix.cli.outputs.show import (
    Screen,
    candidate_table,
    component_table,
    fit_sentence,
    rows_sentence,
)
from bayesmix.errors import InvalidInputError, UnsupportedError
from bayesmix.protocols import Source
from bayesmix.selection.criteria.registry import POSTERIOR


def select(
    screen: Screen,
    path: str,
    source: Source,
    wanted: Searched,
    weight: str | None,
    out: str | None,
    report: Sequence[str] | None,
    checkpoint: str | None,
    interactive: bool,
) -> None:
    """Compare candidates, say which is best and by how much, write what was found.

    ``report`` is the command line that a report shows; None: no report is wanted.
    ``interactive`` is whether it holds rows.
    """
    began = time.perf_counter()
    place = None if out is None else files.folder(out)
    page = None if report is None else files.report_place(place)
    search = unfitted(wanted, source).set_params(checkpoint=checkpoint)
    screen.say(rows_sentence(path, source, weight))
    heard = fitted(screen, search, source)
    if search.interrupted_ and checkpoint is not None:
        screen.note(f"to go on: the same command with --checkpoint {checkpoint} --resume")
    screen.table(candidate_table(search))
    screen.say()
    screen.answer(search.summary())
    screen.table(component_table(search.best_estimator_, screen.out.width))
    values = describe.described("select", path, source, weight)
    values |= describe.search_values(search)
    interrupted = search.interrupted_
    values |= {"warnings": heard, "interrupted": interrupted}
    values["seconds"] = time.perf_counter() - began
    if page is not None and report is not None:
        title = Path(path).name
        values["files"] = [files.write_report(page, search, source, title, report, interactive)]
    finish(screen, place, values, search.best_estimator_, source, search)
    leave(interrupted)


def unfitted(wanted: Searched, source: Source) -> Any:
    """The search that was asked for; criterion and method each follow from the other."""
    from bayesmix.estimators.select import comparable, procedure

    method, criterion = wanted.method, wanted.criterion
    if method is None:
        method = "variational" if criterion is None or criterion in POSTERIOR else "em"
    if method == "em" and criterion in POSTERIOR:
        raise InvalidInputError(
            f"--criterion {criterion} needs --method variational: a maximum likelihood fit has no "
            "posterior"
        )
    plain = method == "em" or criterion is None or criterion in POSTERIOR
    return procedure(
        source,
        wanted.components,
        wanted.structures,
        criterion or ("bic" if method == "em" else "auto"),
        wanted.seed,
        estimator=None if plain else comparable(source),
        noise=wanted.noise,
        missing=wanted.missing,
        n_jobs=wanted.jobs,
    )


def fitted(screen: Screen, search: Any, source: Source) -> list[str]:
    """Fit a search; the warnings that came with it."""
    search.set_params(progress=screen.progress)
    with screen.noting_warnings() as heard:
        search.fit(source)
    return heard


def fit(
    screen: Screen,
    path: str,
    source: Source,
    components: int,
    structure: str,
    method: str,
    weight: str | None,
    out: str | None,
    seed: int,
    jobs: int | None,
    missing: str,
    checkpoint: str | None,
    noise: bool,
) -> None:
    """Fit one mixture, show it, write it."""
    place = None if out is None else files.folder(out)
    screen.say(rows_sentence(path, source, weight))
    model = _estimator(
        method,
        source,
        n_components=components,
        covariance_type=structure,
        random_state=seed,
        n_jobs=jobs,
        progress=screen.progress,
        missing=missing,
        checkpoint=checkpoint,
        noise=noise,
    )
    with screen.noting_warnings() as heard:
        model.fit(source)
    interrupted = model.result_.status == "interrupted"
    if interrupted and checkpoint is not None:
        screen.note(f"to go on: the same command with --checkpoint {checkpoint} --resume")
    screen.say()
    screen.answer(fit_sentence(model))
    screen.table(component_table(model, screen.out.width))
    values = describe.described("fit", path, source, weight)
    values |= {"model": describe.model_values(model), "warnings": heard, "interrupted": interrupted}
    finish(screen, place, values, model, source)
    leave(interrupted)


def _estimator(method: str, source: Source, noise: bool, **parameters: Any) -> Any:
    from bayesmix.estimators.bayesian import BayesianGaussianMixture
    from bayesmix.estimators.gaussian import GaussianMixture
    from bayesmix.estimators.rows.families_of_columns import is_mixed_table

    if is_mixed_table(source):
        if noise:
            raise UnsupportedError(
                "--noise is for columns of numbers: leave out the others (--columns), or the noise"
            )
        from bayesmix.engine.objectives import MaximumAPosteriori, VariationalBayes
        from bayesmix.estimators.mixture import Mixture

        inference = {"variational": VariationalBayes(), "map": MaximumAPosteriori()}.get(method)
        return Mixture(family="auto", inference=inference, **parameters)
    parameters["noise"] = "uniform" if noise else None
    if method == "variational":
        return BayesianGaussianMixture(**parameters)
    return GaussianMixture(prior="auto" if method == "map" else None, **parameters)


def finish(
    screen: Screen,
    place: Path | None,
    values: dict[str, Any],
    model: Any,
    source: Source,
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
