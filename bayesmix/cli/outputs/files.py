"""What the commands write: a JSON result, a table, a saved model, figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bayesmix.errors import BayesmixError, InvalidInputError
from bayesmix.protocols import Source
from bayesmix.writing import file_to_write, folder_to_write, try_to_write, write, written

PANEL = (6.4, 4.4)
INCHES_OF_A_LEVEL = 0.3
ONE: Mapping[str, Any] = {}
DOTS_PER_INCH = 150
# Rows that are drawn; of more, so many evenly spaced ones.
MOST_DRAWN = 200_000


def folder(path: str) -> Path:
    """The folder to write into, made where it is not there."""
    folder_to_write(path, "--out", parents=True)
    return Path(path)


def resumable(checkpoint: str | None, resume: bool) -> str | None:
    """Where what is finished is kept: a new folder, or with ``resume`` one that holds some."""
    if checkpoint is None:
        if resume:
            raise InvalidInputError("--resume needs --checkpoint DIR, the folder to go on from")
        return None
    held = Path(checkpoint).is_dir() and any(Path(checkpoint).iterdir())
    if held and not resume:
        raise InvalidInputError(
            f"--checkpoint {checkpoint} holds files already: add --resume to go on with what it "
            "holds, or name a new folder"
        )
    if resume and not held:
        raise InvalidInputError(f"--checkpoint {checkpoint} holds nothing to resume")
    return checkpoint


def as_json(values: dict[str, Any]) -> str:
    """Readable and strict JSON."""
    return json.dumps(values, indent=2, allow_nan=False, ensure_ascii=False)


def write_json(path: Path, values: dict[str, Any]) -> str:
    """Write ``result.json``."""
    write(path, (as_json(values) + "\n").encode("utf-8"))
    return str(path)


def write_model(path: Path, model: Any) -> str:
    """Save the model; ``bayesmix predict`` and ``bayesmix.load`` read it."""
    model.save(path)
    return str(path)


def write_table(path: Path, search: Any) -> str:
    """A row per candidate."""
    write(path, search.results_.to_csv(index=False).encode("utf-8"))
    return str(path)


def labels_place(path: str) -> Path:
    """Where labels will stand, once it is known that a file can be written there."""
    place = file_to_write(path, "--out")
    try_to_write(place.parent)
    return place


def report_place(out: Path | None) -> Path:
    """Where the report will stand, once it is known that it can be made."""
    from bayesmix.report import report_place

    place = (out or Path()) / "report.html"
    report_place(place)
    return place


def write_report(
    path: Path,
    search: Any,
    source: Source,
    title: str,
    command: Sequence[str],
    interactive: bool,
) -> str:
    """The page that says all of it."""
    from bayesmix.report import write_report as write

    return str(write(search, path, source, title, command, interactive))


def draw_density(place: Path, model: Any, source: Source, note: Callable[[str], None]) -> list[str]:
    """``density.png``: the density over its rows, of a product that of the first part that has one.

    Of levels alone ``profile.png``, what every component answers.
    """
    family = model.result_.family
    parts = getattr(family, "parts", ())
    drawn = [part.columns for part in parts if part.family.drawn_columns]

    def draw(ax: Any) -> None:
        from bayesmix.plots import plot_density

        if drawn:
            model.marginal(list(drawn[0][:2])).plot(ax=ax)
        else:
            few = source if source.shape[0] <= MOST_DRAWN else source.spread(MOST_DRAWN)
            plot_density(model, few, ax=ax)

    def draw_levels(ax: Any) -> None:
        from bayesmix.plots import plot_profile

        plot_profile(model, ax=ax)

    if drawn or family.drawn_columns:
        return _figure(place / "density.png", draw, note)
    levels = family.coding.levels if family.coding is not None else ()
    n_lines = sum(len(own or ()) for own in levels)
    size = PANEL[0], max(PANEL[1], INCHES_OF_A_LEVEL * n_lines)
    return _figure(place / "profile.png", draw_levels, note, size)


def draw_selection(place: Path, search: Any, note: Callable[[str], None]) -> list[str]:
    """``selection.png``: the criterion over the number of components."""

    def draw(ax: Any) -> None:
        from bayesmix.plots import plot_selection

        plot_selection(search, ax=ax)

    return _figure(place / "selection.png", draw, note)


def draw_plot(place: Path, found: Any, note: Callable[[str], None]) -> list[str]:
    """A figure of what was found, as its ``plot`` draws it."""

    def draw(ax: Any) -> None:
        found.plot(ax=ax)

    return _figure(place, draw, note)


def draw_crosscheck(place: Path, check: Any, note: Callable[[str], None]) -> list[str]:
    """``crosscheck.png``: a fit beside the posterior."""

    def draw(axes: Any) -> None:
        from bayesmix.plots.posterior.crosscheck import plot_crosscheck

        plot_crosscheck(check, axes=axes)

    from bayesmix.plots.posterior.crosscheck import PANELS, size_of

    return _figure(place / "crosscheck.png", draw, note, size_of(check), PANELS)


def _figure(
    path: Path,
    draw: Callable[[Any], None],
    note: Callable[[str], None],
    size: tuple[float, float] = PANEL,
    panels: Mapping[str, Any] = ONE,
) -> list[str]:
    """Panels on their own, outside pyplot: no window, whatever the backend."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        note("no figures: matplotlib is not installed (pip install 'bayesmix[plot]')")
        return []
    figure = Figure(figsize=size, layout="constrained")
    try:
        draw(figure.subplots(**panels))
    except BayesmixError as problem:
        note(f"no {path.name}: {problem}")
        return []
    with written(path) as stream:
        figure.savefig(stream, dpi=DOTS_PER_INCH)
    return [str(path)]
