"""Figures of a report, drawn twice: for a page's width and for that of a telephone."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from bayesmix.errors import UnsupportedError, missing_extra
from bayesmix.families.gaussian.covariance.models import label
from bayesmix.plots import plot_density, plot_selection, plot_structures
from bayesmix.plots.selection import MOST_LINES
from bayesmix.report.markup import Markup, joined, tag
from bayesmix.report.subject import Subject, capital, counted, criterion_name, listed

WIDE = (6.6, 4.3)
NARROW = (4.4, 4.6)
# Where the page has no room for the wide one, in CSS pixels.
NARROW_BELOW = 560
# Clouds of more points are drawn as pixels, this many per inch.
MOST_POINTS = 500
DOTS_PER_INCH = 220
LOOK: Any = {
    # The same bytes each time; and a column's name with dollar signs is a name, not a formula.
    "svg.hashsalt": "bayesmix",
    "text.parse_math": False,
}


def require_matplotlib() -> None:
    """Raise what to install where figures cannot be drawn."""
    try:
        import matplotlib.figure  # noqa: F401  (whether it is there is the question)
    except ImportError:
        raise missing_extra("matplotlib", "plot") from None


def figures(subject: Subject) -> Markup:
    """The criterion over K, all criteria together, and the density of the best fit."""
    return joined(
        [
            criterion_figure(subject),
            structures_figure(subject),
            criteria_figure(subject),
            density_figure(subject),
        ]
    )


def criterion_figure(subject: Subject) -> Markup:
    """The criterion that chose over the number of components."""
    name = criterion_name(subject.criterion)
    numbers = sorted(set(subject.table["n_components"]))
    alt = (
        f"{capital(name)} over the number of components ({listed([str(k) for k in numbers])}); "
        f"chosen: {subject.label(subject.search.best_index_)}."
    )
    caption = f"{capital(name)} of every candidate, in nats behind the best."
    return drawn(
        lambda ax: plot_selection(subject.search, ax=ax, criterion=subject.criterion), alt, caption
    )


def structures_figure(subject: Subject) -> Markup:
    """The criterion as a matrix, where there are more structures than lines to tell apart."""
    table = subject.table
    if "covariance_type" not in table or table["covariance_type"].nunique() <= MOST_LINES:
        return Markup()
    search, name = subject.search, criterion_name(subject.criterion)
    best = search.matrix(subject.criterion).attrs["best"]
    first = listed([f"{label(structure)} with {k}" for structure, k, _ in best])
    text = (
        f"{capital(name)} of every structure and number of components, in nats behind the best; "
        f"the best three are {first}."
    )
    return drawn(lambda ax: plot_structures(search, ax=ax, criterion=subject.criterion), text, text)


def criteria_figure(subject: Subject) -> Markup:
    """Every criterion over the number of components; nothing where there is only one number."""
    with_value = subject.table[subject.table[subject.criterion].notna()]
    if with_value["n_components"].nunique() == 1:
        return Markup()
    caption = (
        "All criteria over the number of components, each rescaled so that its best is on top, and "
        "with what it would choose."
    )
    return drawn(
        lambda ax: plot_selection(subject.search, ax=ax, criterion="all"), caption, caption
    )


def density_figure(subject: Subject) -> Markup:
    """The density of the best fit, or the reason why there is no picture of it."""
    columns = columns_to_draw(subject)
    try:
        return drawn(
            lambda ax: plot_density(subject.estimator, subject.rows, ax=ax, columns=columns),
            f"Density of the best fit: {counted(subject.result.n_components, 'component')} over "
            f"{counted(subject.result.n_features, 'column')} ({listed(subject.columns)}).",
            _about_density(subject, columns),
        )
    except UnsupportedError as problem:
        return tag("p", f"No picture of the density: {problem}.", class_="note")


def columns_to_draw(subject: Subject) -> Any:
    """Of counts in several columns the one whose rates differ most; else what ``plots`` takes."""
    result = subject.result
    if result.family.drawn_columns != 1 or result.n_features == 1:
        return None
    means = result.unframed.means
    weights = result.mixture.weights.mean()
    middle = weights @ means
    between = weights @ (means - middle) ** 2
    return int(np.argmax(between / np.maximum(middle, 1e-12)))


def _about_density(subject: Subject, columns: Any) -> str:
    parts = ["The density of the best fit and its components"]
    if subject.X is not None:
        parts[0] += ", over the rows"
    if columns is not None:
        parts.append(f"over the column in which they differ most, {subject.columns[columns]}")
    elif subject.result.n_features > 2:
        parts.append("over the two columns in which they lie furthest apart")
    if subject.steps is not None:
        parts.append("in the columns that the steps before the mixture make")
    if subject.result.variational:
        parts.append("the predictive density, which averages over the posterior")
    return "; ".join(parts) + "."


def drawn(draw: Callable[[Any], Any], alt: str, caption: str) -> Markup:
    """A figure with its text for those who cannot see it, and its caption."""
    picture = tag(
        "picture",
        tag("source", media=f"(max-width: {NARROW_BELOW}px)", srcset=as_address(svg(draw, NARROW))),
        tag("img", src=as_address(svg(draw, WIDE)), alt=alt),
    )
    return tag("figure", joined([picture, tag("figcaption", caption)]))


def as_address(image: bytes) -> str:
    """An image as an address that holds it."""
    return "data:image/svg+xml;base64," + base64.b64encode(image).decode("ascii")


def svg(draw: Callable[[Any], Any], size: tuple[float, float]) -> bytes:
    """One panel as SVG, outside pyplot: no window, whatever the backend."""
    import matplotlib
    from matplotlib.figure import Figure

    stream = io.BytesIO()
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        # A name too long for the panel: it is made wider below.
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        figure = Figure(figsize=size, layout="constrained")
        ax = figure.subplots()
        draw(ax)
        for cloud in ax.collections:
            if np.shape(cloud.get_offsets())[0] > MOST_POINTS:
                cloud.set_rasterized(True)
        figure.savefig(
            stream, format="svg", dpi=DOTS_PER_INCH, metadata={"Date": None}, bbox_inches="tight"
        )
    return stream.getvalue()
