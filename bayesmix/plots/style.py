"""How all figures look: colours, markers and lines that differ in luminance and shape as well.

The colours are those of Okabe & Ito 2008 and Tol 2021, in an order in which neighbours differ in
luminance; every component also has a marker, a line style and its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bayesmix.errors import InvalidInputError, missing_extra
from bayesmix.numerics.arrays import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

COLOURS = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#7A1F4F",  # wine
    "#009E73",  # green
    "#56B4E9",  # sky
    "#D55E00",  # vermillion
    "#332288",  # indigo
    "#CC79A7",  # purple
    "#6B3E12",  # brown
    "#999933",  # olive
)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
LINES: tuple[Any, ...] = (
    "--",
    "-.",
    (0, (1, 1)),
    (0, (7, 2)),
    (0, (4, 1.5, 1, 1.5, 1, 1.5)),
    (0, (2, 1)),
    (0, (9, 2, 2, 2)),
    (0, (1, 2)),
    (0, (5, 1)),
    (0, (3, 1, 1, 1)),
)
INK = "#1a1a1a"
FILL = "#d9d9d9"
FAINT = "#767676"
OF_NOISE = "#595959"
# Inches that the ticks and the label of the horizontal axis take.
LABEL = 0.5
MOST_TICKS = 20


def colour(k: int) -> str:
    """Of component k; -1 is noise."""
    return COLOURS[k % len(COLOURS)] if k >= 0 else OF_NOISE


def marker(k: int) -> str:
    """Of component k, a cross of noise; eleven components later the pair with its colour is new."""
    return "x" if k < 0 else MARKERS[(k + k // len(COLOURS)) % len(MARKERS)]


def line(k: int) -> Any:
    """Line style of component k."""
    return LINES[(k + k // len(COLOURS)) % len(LINES)]


def pyplot() -> Any:
    """``matplotlib.pyplot``, or the error that says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise missing_extra("matplotlib", "plot") from None
    return plt


def axes_or_new(ax: Axes | None, width: float = 6.4, height: float = 4.4) -> Axes:
    """The axes that were given, or those of a new figure."""
    if ax is not None:
        return ax
    _, new = pyplot().subplots(figsize=(width, height), layout="constrained")
    axes: Axes = new
    return axes


def expect(name: str, value: Any, wanted: str, *attributes: str) -> None:
    """Raise unless an argument is what a figure shows, known by its attributes."""
    if not all(hasattr(value, each) for each in attributes):
        raise InvalidInputError(f"{name} must be {wanted}, got {type(value).__name__}")


def quiet(ax: Axes) -> None:
    """No frame where there is no scale."""
    ax.spines[["top", "right"]].set_visible(False)


def halo(width: float = 2.5) -> list[Any]:
    """A white outline, under which text stays readable on anything."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]


def number(ax: Axes, k: int, x: float, y: float, **options: Any) -> Text:
    """The number of component k, in its colour, at a point of the data."""
    return ax.annotate(
        str(k),
        (x, y),
        color=colour(k),
        fontweight="bold",
        ha="center",
        path_effects=halo(),
        annotation_clip=True,
        **options,
    )


def number_at_peak(ax: Axes, k: int, x: float, y: float) -> None:
    """The number of component k just above the highest point of its line."""
    number(
        ax, k, x, y, textcoords="offset points", xytext=(0, 3), va="bottom", fontsize="small",
        zorder=6,
    )  # fmt: skip


def whole_numbers(ax: Axes, numbers: Sequence[int] = ()) -> None:
    """Ticks of the horizontal axis at integers only: at these numbers where they are few."""
    from matplotlib.ticker import MaxNLocator

    if 0 < len(numbers) <= MOST_TICKS:
        ax.set_xticks(numbers)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def side_by_side(values: Array, near: float, step: float, most: float) -> Array:
    """Offsets (n,) under which near values do not hide one another: 0, right, left, ..."""
    offsets = np.zeros(len(values))
    order = np.argsort(-values, kind="stable")
    for rank, each in enumerate(order):
        taken = {
            round(float(offsets[other] / step))
            for other in order[:rank]
            if values[other] - values[each] < near
        }
        steps = (place for k in range(len(values)) for place in (k, -k))
        offsets[each] = step * next(place for place in steps if place not in taken)
    widest = np.abs(offsets).max()
    return offsets if widest <= most else offsets * (most / widest)


def label_density(ax: Axes) -> None:
    """The name of the vertical axis, whose small values have their power of ten above it."""
    ax.set_ylabel("density")
    ax.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)


def note(ax: Axes, remarks: Sequence[str]) -> None:
    """What the figure leaves out, in small letters above its right corner; the title stays free."""
    if remarks:
        ax.set_title("; ".join(remarks), loc="right", fontsize="small", color=FAINT)


def signed(value: float) -> str:
    """A value in nats with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def _laid_out(ax: Axes) -> None:
    """Let the figure's layout, if it has one, give the axes their size."""
    from matplotlib.figure import Figure

    figure = ax.figure
    engine = figure.get_layout_engine()
    if engine is not None and isinstance(figure, Figure):
        engine.execute(figure)


def legend_on_top(ax: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend within the axes over room made for it, so that it hides nothing drawn so far."""
    from matplotlib.legend_handler import HandlerTuple

    def legend(columns: int) -> Any:
        return ax.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=columns,
            fontsize="small",
            frameon=False,
            borderaxespad=0.2,
            columnspacing=1.4,
            handlelength=2.4,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0.3)},
        )

    _laid_out(ax)
    available = size = ax.get_window_extent()
    for columns in range(len(handles), 0, -1):
        size = legend(columns).get_window_extent()
        if size.width <= available.width:
            break
    taken = size.height / available.height
    low, high = ax.get_ylim()
    ax.set_ylim(low, low + (high - low) / max(1.0 - taken - 0.02, 0.3))


def legend_beside(ax: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend below the axes and their label, where it hides nothing."""
    _laid_out(ax)
    below = LABEL * ax.figure.dpi / ax.get_window_extent().height
    ax.legend(
        handles,
        labels,
        loc="upper center",
        bbox_to_anchor=(0.5, -below),
        ncols=2,
        fontsize="small",
        frameon=False,
        columnspacing=1.4,
        handlelength=2.4,
    )
