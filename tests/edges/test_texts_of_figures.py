"""Texts of figures do not overlap, at three widths, for 2, 12 and 40 columns and mixed tables."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

import bayesmix as bm

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

# Pixels by which boxes of texts may touch: letters are smaller than their boxes.
TOUCH = 2.0
DPI = 100


def overlapping(figure):
    """Pairs of visible texts whose boxes overlap."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = []
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and shown(text, figure):
            boxes.append((text.get_text(), text.get_window_extent(renderer)))
    pairs = []
    for (first, a), (second, b) in combinations(boxes, 2):
        wide = min(a.x1, b.x1) - max(a.x0, b.x0)
        high = min(a.y1, b.y1) - max(a.y0, b.y0)
        if wide > TOUCH and high > TOUCH:
            pairs.append((first, second))
    return pairs


def shown(text, figure):
    """Whether a text is in the figure; ticks outside the limits of their axis are not drawn."""
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            ticks = axis.get_major_ticks() + axis.get_minor_ticks()
            if any(text in (tick.label1, tick.label2) for tick in ticks):
                drawn = axis._update_ticks()
                return any(text in (tick.label1, tick.label2) for tick in drawn)
    return True


def table(n_columns, mixed):
    draw = np.random.default_rng([103, n_columns])
    group = draw.integers(0, 3, 150)
    columns = {
        f"column_{d}": draw.normal(6.0 * (group == d % 3), 1.0) * 10.0 ** (d % 4)
        for d in range(n_columns)
    }
    if mixed:
        columns["income"] = np.exp(draw.normal(9.0 + group, 0.5)).round()
        columns["answer"] = np.array(["never", "sometimes", "always"])[
            np.clip(group + draw.integers(-1, 2, 150), 0, 2)
        ]
        columns["home"] = np.where(draw.random(150) < 0.2 + 0.3 * group, "own", "rent")
    return pd.DataFrame(columns)


@pytest.fixture(scope="module")
def searches():
    made = {}

    def search_of(n_columns, mixed):
        key = n_columns, mixed
        if key not in made:
            frame = table(*key)
            made[key] = frame, bm.select(frame, (2, 3), "diag", n_jobs=1, column_powers=False)
        return made[key]

    return search_of


def drawn(kind, search, frame, width):
    """The figure of a kind, at this width in pixels."""
    figure = Figure(figsize=(width / DPI, 0.45 * width / DPI), dpi=DPI, layout="constrained")
    if kind == "answer":
        search.plot(frame, figure.subplots(1, 2, width_ratios=(1, 3)))
    elif kind == "uncertainty":
        bm.plot_uncertainty(search, frame, figure.subplots(1, 2))
    elif kind == "criterion":
        search.plot(ax=figure.subplots(), kind="criterion")
    elif kind == "description":
        described = search.describe(frame)
        rows = len(described.most_telling())
        figure.set_size_inches(width / DPI, max(4.0, 1.0 + 0.3 * min(rows, 20)))
        described.plot(figure.subplots())
    else:
        getattr(bm, f"plot_{kind}")(search, frame, ax=figure.subplots())
    return figure


KINDS = ("answer", "density", "assignment", "uncertainty", "criterion", "description")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["answer", "density"])
def test_texts_of_a_mixed_table_do_not_overlap(kind, searches):
    frame, search = searches(2, True)
    assert not overlapping(drawn(kind, search, frame, 1280))


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("width", [640, 960, 1280])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("n_columns", [2, 12, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_texts_do_not_overlap(kind, n_columns, mixed, width, searches):
    frame, search = searches(n_columns, mixed)
    assert not overlapping(drawn(kind, search, frame, width))


def test_overlapping_texts_are_found():
    figure = Figure(figsize=(4, 3), dpi=DPI)
    ax = figure.subplots()
    ax.text(0.5, 0.5, "one text")
    assert not overlapping(figure)
    ax.text(0.52, 0.5, "another")
    assert overlapping(figure) == [("one text", "another")]
