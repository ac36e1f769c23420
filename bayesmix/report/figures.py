"""Figures of a report as SVG in the page, for screens and for telephones."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np

from bayesmix import plots
from bayesmix.core.nouns import counted
from bayesmix.errors import UnsupportedError
from bayesmix.plots import style
from bayesmix.plots import subject as views
from bayesmix.plots.selection import MOST_LINES
from bayesmix.report.subject import Subject, capital, listed
from bayesmix.selection.criteria import record
from bayesmix.selection.structures import labels_beside

WIDE = (6.6, 4.3)
NARROW = (4.4, 4.6)
# Above this number of points, clouds are drawn as pixels at this resolution.
MOST_POINTS = 500
DOTS_PER_INCH = 220
LOOK: Any = {
    # Reproducible output, and dollar signs in column names are not formulas.
    "svg.hashsalt": "bayesmix",
    "text.parse_math": False,
}


@dataclass(frozen=True)
class Picture:
    """A drawing for wide and for narrow screens, its caption, and words for who cannot see it."""

    wide: str
    narrow: str
    caption: str
    alt: str


def drawn(
    draw: Callable[[Any], Any], caption: str, alt: str = "", height: float | None = None
) -> Picture:
    """Return the picture that ``draw`` makes in axes; with ``height``, in a figure so high."""
    sizes = [(width, height or usual) for width, usual in (WIDE, NARROW)]
    wide, narrow = (
        "data:image/svg+xml;base64," + base64.b64encode(svg(draw, size, height)).decode("ascii")
        for size in sizes
    )
    return Picture(wide, narrow, caption, alt or caption)


def svg(
    draw: Callable[[Any], Any], size: tuple[float, float], height: float | None, kind: str = "svg"
) -> bytes:
    """Return a figure as SVG, or another kind of file, drawn without pyplot."""
    import matplotlib
    from matplotlib.figure import Figure

    stream = io.BytesIO()
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        # A long name is given more space below.
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        figure = Figure(figsize=size, layout="constrained")
        draw(figure if height else figure.subplots())
        for ax in figure.axes:
            for cloud in ax.collections:
                if np.shape(cloud.get_offsets())[0] > MOST_POINTS:
                    cloud.set_rasterized(True)
        figure.savefig(
            stream, format=kind, dpi=DOTS_PER_INCH, metadata={"Date": None}, bbox_inches="tight"
        )
    return stream.getvalue()


def clusters_figure(subject: Subject) -> Picture | None:
    """Return middle and spread of the clusters in the columns that tell them apart."""
    lines, clusters = subject.differences, subject.clusters
    if len(clusters) < 2 or not lines:
        return None

    def draw(figure: Any) -> None:
        panels = np.ravel(figure.subplots(len(lines), 1))
        for ax, line in zip(panels, lines, strict=True):
            factor = 100.0 if line.level else 1.0
            for place, cluster in enumerate(clusters):
                low, middle, high = (
                    factor * ends[place] for ends in (line.lower, line.middles, line.upper)
                )
                ax.errorbar(
                    middle, place, xerr=[[middle - low], [high - middle]], color=cluster.colour,
                    lw=2.2, ms=6, marker=style.marker(place),
                )  # fmt: skip
                ax.annotate(
                    cluster.name, (high, place), (5, 0), color=style.INK, size=7,
                    textcoords="offset points", va="center_baseline", annotation_clip=False,
                )  # fmt: skip
            ax.set(ylim=(len(clusters) - 0.4, -0.6), yticks=[])
            if line.level:
                ax.set_xlim(-4, 104)
                ax.xaxis.set_major_formatter("{x:g} %")
            ax.grid(axis="x", color=style.FILL, lw=0.6)
            ax.set_axisbelow(True)
            ax.spines[["left", "top", "right"]].set_visible(False)
            ax.spines["bottom"].set_color(style.FILL)
            ax.tick_params(axis="x", labelsize=8, colors=style.FAINT, length=0)
            name = style.in_two_lines(line.title, line.level)
            ax.set_ylabel(name, rotation=0, ha="right", va="center", color=style.INK)

    spread = not all(line.level for line in lines)
    kinds_shown = {
        "mean ± standard deviation": any(not (line.level or line.median) for line in lines),
        "median and quartiles": any(line.median for line in lines),
        "shares of levels": any(line.level for line in lines),
    }
    what = ", ".join(kind for kind, drawn_here in kinds_shown.items() if drawn_here)
    columns = "Columns" if spread else "Levels"
    names = [f"{line.name}: {line.level}" if line.level else line.name for line in lines]
    kinds = f"{subject.kind}{'es' if subject.kind == 'class' else 's'}"
    return drawn(
        draw,
        f"What tells the {kinds} apart: {what}. {columns} with the largest differences first.",
        f"{columns} that tell the {kinds} apart: {listed(names)}.",
        len(lines) * subject.inches_per_column,
    )


def pictures(subject: Subject) -> list[Picture]:
    """Return the density of the chosen fit, the criterion over K, and all criteria."""
    return [*density_figure(subject), *_of_search(subject)]


def _of_search(subject: Subject) -> Iterator[Picture]:
    search, criterion, frame = subject.search, subject.criterion, subject.table
    name, noun = capital(subject.criterion_name), subject.noun
    distance = capital(record(criterion).distance)
    yield drawn(
        lambda ax: plots.plot_selection(search, ax=ax, criterion=criterion),
        f"{distance}, for every candidate; the chosen one has a ring.",
        f"{name} over the number of {noun}s; chosen: {subject.label(search.best_index_)}.",
    )
    structures = 1 if "covariance_type" not in frame else frame["covariance_type"].nunique()
    if structures > MOST_LINES:
        best = search.matrix(criterion).attrs["best"]
        names = labels_beside(list(search.matrix(criterion).columns))
        first = listed([f"{names[structure]} with {k}" for structure, k, _ in best])
        yield drawn(
            lambda ax: plots.plot_structures(search, ax=ax, criterion=criterion),
            f"{distance}, for every structure and number of {noun}s. The best three are {first}.",
        )
    if frame.loc[frame[criterion].notna(), "n_components"].nunique() > 1:
        yield drawn(
            lambda ax: plots.plot_selection(search, ax=ax, criterion="all"),
            f"All criteria over the number of {noun}s, rescaled to a common maximum. Marks show "
            "the best candidate of each criterion.",
        )
    if getattr(search, "variable_selection", False):
        yield drawn(
            lambda ax: plots.plot_feature_evidence(search, ax=ax),
            "Evidence of a difference between components, for at most 20 columns.",
        )


def density_figure(subject: Subject) -> list[Picture]:
    """Return the figure of the chosen fit, if there is one: density, profile, or transitions."""
    model, rows, result = subject.estimator, subject.rows, subject.result
    shown = SimpleNamespace(best_estimator_=model, answer_=subject.search.answer_)
    if subject.noun == "state":
        caption = "States with expected durations; areas are long-run shares, arrows transitions."
        return [drawn(lambda ax: plots.plot_transitions(model, ax), caption)]
    if not result.family.drawn_columns:
        caption = "The chosen fit: means ± standard deviations, and probabilities of levels."
        return [drawn(lambda ax: plots.plot_profile(shown, rows, ax=ax), caption)]
    columns = _column_to_draw(subject)
    parts = ["Density of the chosen fit and its components"]
    if len(subject.clusters) > 1:
        parts[0] += f", in the colours of the {counted(len(subject.clusters), subject.kind)}"
    if subject.X is not None:
        parts[0] += ", with the data"
    if columns is not None:
        parts.append(f"over the column in which components differ most, {subject.columns[columns]}")
    elif result.n_features > 2:
        subspace = result.mixture.frame.rest is not None
        axes = "directions" if subspace else "columns"
        parts.append(f"over the two {axes} in which components overlap least")
        if subspace:
            parts.append("axes name the columns with the largest loadings")
    if subject.steps is not None:
        parts.append("in the columns of the pipeline's output")
    if result.variational:
        parts.append("averaged over the posterior")
    about = (
        f"Density of the chosen fit: {counted(result.n_components, 'component')} over "
        f"{counted(result.n_features, 'column')} ({listed(subject.columns)})."
    )
    try:
        return [
            drawn(
                lambda ax: plots.plot_density(shown, rows, ax=ax, columns=columns),
                f"{'; '.join(parts)}.",
                about,
            )
        ]
    except UnsupportedError as problem:
        return [Picture("", "", f"No figure of the density: {problem}.", "")]


def _column_to_draw(subject: Subject) -> int | None:
    """Return the column to draw of several counts: that with the most different rates."""
    result = subject.result
    if result.family.drawn_columns != 1 or result.n_features == 1:
        return None
    means, weights = result.unframed.means, result.mixture.weights.mean()
    middle = weights @ means
    between = weights @ (means - middle) ** 2
    return int(np.argmax(between / np.maximum(middle, 1e-12)))


# Limits: larger data are shown by evenly spaced rows, and the most informative columns.
MOST_ROWS = 1_000
MOST_COLUMNS = 8
DIGITS = 5
# Percentage below which a component is not listed for a row.
LEAST_SHARE = 1


def individual_rows(subject: Subject) -> dict[str, Any] | None:
    """Return what the page's script draws row by row, if there are two columns to draw."""
    result = subject.result
    columns = _columns(subject)
    if subject.X is None or len(columns) < 2 or subject.noun == "state":
        return None
    values, _ = views.raw_rows(subject.rows)
    places = np.unique(np.linspace(0, len(values) - 1, MOST_ROWS).astype(int))
    probabilities = subject.estimator.predict_proba(
        views.as_fitted(subject.estimator, values[places])
    )
    K, noise = result.n_components, result.mixture.noise
    point = result.plug_in.components.unframed(result.mixture.frame)
    pair = views.least_overlapping(result, combinations(columns, 2))[0]
    weights = [*result.density.mean_weights, *([] if noise is None else [noise.weight])]
    # Components have the colours of their clusters; noise is last, and has no ellipse.
    labels = subject.labels if len(subject.clusters) > 1 else np.arange(K)
    numbers = [*labels.tolist(), *([] if noise is None else [-1])]
    members = {k: of.name for of in subject.clusters for k in of.components}
    several = len(subject.clusters) > 1 and list(members) != list(range(len(subject.clusters)))
    within = [f", {members[k]}" if several and k in members else "" for k in range(len(weights))]
    index = subject.row_names  # of a frame
    named = index is not None and not callable(index) and len(index) == len(values)
    names = np.asarray(index, dtype=object) if named else np.arange(len(values))
    return {
        "n_rows": len(values),
        "columns": [subject.columns[column] for column in columns],
        "shown": [columns.index(column) for column in pair],
        "rows": [str(name) for name in names[places]],
        "values": [
            [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in row]
            for row in values[places][:, columns]
        ],
        "shares": [_shares(row) for row in probabilities],
        "names": [*(str(k + 1) for k in range(K)), *([] if noise is None else ["noise"])],
        "weights": [
            f"weight {weight:.2f}{whose}" for weight, whose in zip(weights, within, strict=True)
        ],
        "means": point.means[:, columns].tolist(),
        "covariances": point.covariances[:, columns][:, :, columns].tolist(),
        "colours": [style.colour(k) for k in numbers],
        "markers": [style.marker(k) for k in numbers],
    }


def _columns(subject: Subject) -> list[int]:
    try:
        if views.most_columns(subject.result.family) < 2:
            return []
    except UnsupportedError:
        return []
    return views.columns_that_vary(subject.result, MOST_COLUMNS)


def _shares(probabilities: Any) -> list[tuple[int, int]]:
    """Return (component, per cent) of a row, always with the largest."""
    percent = np.rint(100 * probabilities).astype(int)
    largest = int(probabilities.argmax())
    return [(k, int(p)) for k, p in enumerate(percent) if p >= LEAST_SHARE or k == largest]
