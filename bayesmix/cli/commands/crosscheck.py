"""A variational fit against draws from the posterior of the same model, in the shell."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rich.markup import escape

from bayesmix.cli.commands.jobs import leave
from bayesmix.cli.outputs import describe, files
from bayesmix.cli.outputs.show import Screen, new_table, rows_sentence
from bayesmix.protocols import Source


def crosscheck(
    screen: Screen,
    path: str,
    source: Source,
    components: int,
    structure: str,
    sampler: str,
    draws: int,
    chains: int,
    weight: str | None,
    out: str | None,
    seed: int,
    jobs: int | None,
) -> None:
    """Fit, sample, compare; say whether they agree, write what was found."""
    from bayesmix.checking.check import crosscheck as compare
    from bayesmix.estimators.select import comparable

    began = time.perf_counter()
    place = None if out is None else files.folder(out)
    screen.say(rows_sentence(path, source, weight))
    model = comparable().set_params(
        n_components=components,
        covariance_type=structure,
        random_state=seed,
        n_jobs=jobs,
        progress=screen.progress,
    )
    with screen.noting_warnings() as heard:
        model.fit(source)
        check = compare(
            model,
            source,
            draws=draws,
            chains=chains,
            sampler=sampler,
            random_state=seed,
            n_jobs=jobs,
            progress=screen.progress,
        )
    screen.say()
    screen.answer(check.summary())
    screen.table(_table(check))
    values = describe.described("crosscheck", path, source, weight)
    values |= _values(check)
    values |= {"model": describe.model_values(model), "warnings": heard}
    values["seconds"] = time.perf_counter() - began
    if place is not None:
        values["files"] = [str(place / "result.json"), *_write(place, check, model, screen)]
        files.write_json(place / "result.json", values)
        screen.wrote(place, values["files"])
    if screen.machine:
        print(files.as_json(values))
    leave(values["interrupted"])


def _table(check: Any) -> Any:
    """The worst of every kind of quantity."""
    from bayesmix.checking.summary_text import by_kind

    frame = by_kind(check)
    table = new_table("Fit and sampler: median ratio of standard deviations, else the worst")
    table.add_column("kind", no_wrap=True)
    for name in frame.columns:
        table.add_column(name, justify="right")
    for row in frame.itertuples():
        table.add_row(*(escape(str(cell)) for cell in row))
    return table


def _values(check: Any) -> dict[str, Any]:
    found: dict[str, Any] = describe.plain(
        {
            "agrees": check.agrees,
            "verdict": check.verdict,
            "findings": [{"kind": one.kind, "text": one.text} for one in check.findings],
            "sampler": check.sampler,
            "note": check.note,
            "chains": check.found.n_chains,
            "draws": check.found.n_draws,
            "divergences": check.n_divergent,
            "overconfidence": check.overconfidence,
            "pareto_k": check.pareto_k,
            "predictive_distance": {
                "value": check.predictive.value,
                "standard_error": check.predictive.standard_error,
            },
            "log_evidence": {
                "lower": check.evidence.lower,
                "estimate": check.evidence.estimate,
                "standard_error": check.evidence.standard_error,
                "upper": check.evidence.upper,
                "upper_error": check.evidence.upper_error,
                "note": check.evidence.note,
            },
            "modes": [
                {name: value for name, value in vars(mode).items() if name != "responsibilities"}
                for mode in check.modes
            ],
            "parameters": check.parameters.reset_index().to_dict("records"),
            "invariants": check.invariants.reset_index().to_dict("records"),
            "interrupted": check.found.status != "finished",
        }
    )
    return found


def _write(place: Path, check: Any, model: Any, screen: Screen) -> list[str]:
    written = [files.write_model(place / "model.bayesmix", model)]
    for name in ("parameters", "invariants"):
        getattr(check, name).to_csv(place / f"{name}.csv")
        written.append(str(place / f"{name}.csv"))
    return written + files.draw_crosscheck(place, check, screen.note)
