"""Style of all figures: colours, markers and lines that also differ in luminance and shape.

Every component also has a marker, a line style and its number. Colours repeat after 20.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bayesmix.core.palette import COLOURS as COLOURS
from bayesmix.core.palette import colour as colour
from bayesmix.core.palette import colour as colour_of
from bayesmix.errors import InvalidInputError, missing_extra
from bayesmix.numerics.arrays import Array, Integers

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.text import Text
else:
    Axes = Any

# Artists of a legend by their labels.
Key: TypeAlias = dict[str, Any]

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
# Inches for ticks and label of the horizontal axis.
LABEL = 0.5
MOST_TICKS = 20
# Width of a digit relative to the size of its font.
LETTER = 0.65
# Letters of a line beside an axis.
MOST_LETTERS = 30


def marker(k: int) -> str:
    """Return the marker of component k; marker and colour repeat only after many components."""
    return "x" if k < 0 else MARKERS[(k + k // len(COLOURS)) % len(MARKERS)]


def line(k: int) -> Any:
    """Return the line style of component k."""
    return LINES[(k + k // len(COLOURS)) % len(LINES)]


def pyplot() -> Any:
    """Return ``matplotlib.pyplot``, or raise an error that says what to install."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise missing_extra("matplotlib", "plot") from None
    return plt


def axes_or_new(ax: Axes | None, width: float = 6.4, height: float = 4.4) -> Axes:
    """Return the given axes, or those of a new figure."""
    if ax is not None:
        expect("ax", ax, "matplotlib axes", "get_figure")
        return ax
    _, new = pyplot().subplots(figsize=(width, height), layout="constrained")
    return new


def panels(axes: Any, rows: int, columns: int, size: tuple[float, float], **options: Any) -> Any:
    """Return an array of axes (rows, columns), flat for one row: those given, or of a new figure.

    ``options`` are those of ``subplots``. Raises ``InvalidInputError`` for another number of axes.
    """
    if axes is None:
        _, axes = pyplot().subplots(rows, columns, figsize=size, layout="constrained", **options)
    axes = np.asarray(axes, dtype=object)
    if axes.size != rows * columns or (rows > 1 and axes.shape != (rows, columns)):
        raise InvalidInputError(
            f"axes must be an array of ({rows}, {columns}) axes, got shape {axes.shape}"
        )
    return axes if rows > 1 else axes.ravel()


def expect(name: str, value: Any, wanted: str, *attributes: str) -> None:
    """Raise an error unless an argument has the attributes of what a figure shows."""
    if not all(hasattr(value, each) for each in attributes):
        raise InvalidInputError(f"{name} must be {wanted}, got {type(value).__name__}")


def finished(
    ax: Axes, key: Key | None = None, remarks: Sequence[str] = (), **properties: Any
) -> Axes:
    """Return axes with properties as in ``Axes.set``, a legend on top, and without a frame.

    ``remarks``, on what a figure leaves out, are in small print above the right corner.
    """
    ax.set(**properties)
    ax.spines[["top", "right"]].set_visible(False)
    if remarks:
        ax.set_title("; ".join(remarks), loc="right", fontsize="small", color=FAINT)
    if key:
        legend_on_top(ax, key)
    return ax


def in_two_lines(name: str, level: str = "") -> str:
    """Return a long name in two lines, which leave room for the axes; a level has its own."""
    short = f"{name}: {level}" if level else name
    if len(short) <= MOST_LETTERS:
        return short
    if not level:
        return "\n".join(textwrap.wrap(name, MOST_LETTERS, max_lines=2, placeholder=" …")) or name
    first, second = (
        textwrap.shorten(text, MOST_LETTERS, placeholder=" …") for text in (name, level)
    )
    return f"{first}:\n{second}"


def evenly(n: int, most: int) -> Integers:
    """Return at most ``most`` evenly spaced indices below n."""
    return np.linspace(0, n - 1, min(n, most)).astype(int)


def luminance(shade: Any) -> float:
    """Return the relative luminance of a colour, from 0 (black) to 1 (white)."""
    from matplotlib.colors import to_rgb

    channels = np.array(to_rgb(shade))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def halo(width: float = 2.5) -> list[Any]:
    """Return a white outline that keeps text readable."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="white")]


def number(
    ax: Axes, k: int, x: float, y: float, *, colour: str | None = None, **options: Any
) -> Text:
    """Draw the number of group or component k, from 1, in its colour."""
    return ax.annotate(
        str(k + 1),
        (x, y),
        color=colour_of(k) if colour is None else colour,
        fontweight="bold",
        ha="center",
        path_effects=halo(),
        annotation_clip=True,
        **options,
    )


def number_at_peak(ax: Axes, k: int, x: float, y: float) -> None:
    """Draw the number of group or component k, from 1, above the highest point of its line."""
    number(
        ax, k, x, y, textcoords="offset points", xytext=(0, 3), va="bottom", fontsize="small",
        zorder=6,
    )  # fmt: skip


def whole_numbers(ax: Axes, numbers: Sequence[int] = ()) -> None:
    """Set integer ticks on the horizontal axis, at given numbers if they are few."""
    from matplotlib.ticker import MaxNLocator

    if 0 < len(numbers) <= MOST_TICKS:
        ax.set_xticks(numbers, _room_for(ax, numbers))
    else:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def _room_for(ax: Axes, numbers: Sequence[int]) -> list[str]:
    """Return the texts of ticks at sorted numbers; "" for those without room beside the last."""
    points = float(ax.xaxis.get_major_ticks(1)[0].label1.get_fontsize())
    letter = LETTER * points * ax.figure.dpi / 72.0
    # The limits will have a margin on both sides.
    unit = ax.get_window_extent().width / (1.1 * max(numbers[-1] - numbers[0], 1))
    texts, end = [], -np.inf
    for value in numbers:
        width = letter * len(str(value))
        start = unit * value - 0.5 * width
        fits = start > end
        texts.append(str(value) if fits else "")
        end = start + width + letter if fits else end
    return texts


def side_by_side(values: Array, near: float, step: float, most: float) -> Array:
    """Return offsets (n,) that separate close values: 0, right, left, ..."""
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


def signed(value: float) -> str:
    """Format a value in nats with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def _laid_out(ax: Axes) -> None:
    from matplotlib.figure import Figure

    figure = ax.figure
    engine = figure.get_layout_engine()
    if engine is not None and isinstance(figure, Figure):
        engine.execute(figure)


def legend_on_top(ax: Axes, key: Key) -> None:
    """Place a legend within the axes, above everything drawn."""
    from matplotlib.legend_handler import HandlerTuple

    def legend(columns: int) -> Any:
        return _legend(
            ax, key, columns, loc="upper left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0.3)},
        )  # fmt: skip

    _laid_out(ax)
    available = size = ax.get_window_extent()
    for columns in range(len(key), 0, -1):
        size = legend(columns).get_window_extent()
        if size.width <= available.width:
            break
    taken = size.height / available.height
    scale = ax.yaxis.get_transform()
    low, high = scale.transform(np.array(ax.get_ylim()))
    top = low + (high - low) / max(1.0 - taken - 0.02, 0.3)
    ax.set_ylim(*scale.inverted().transform(np.array([low, top])))


def legend_beside(ax: Axes, key: Key) -> None:
    """Place a legend below the axes."""
    _laid_out(ax)
    below = LABEL * ax.figure.dpi / ax.get_window_extent().height
    _legend(ax, key, 2, loc="upper center", bbox_to_anchor=(0.5, -below))


def _legend(ax: Axes, key: Key, columns: int, **options: Any) -> Any:
    return ax.legend(
        list(key.values()), list(key), ncols=columns, fontsize="small", frameon=False,
        columnspacing=1.4, handlelength=2.4, **options,
    )  # fmt: skip
