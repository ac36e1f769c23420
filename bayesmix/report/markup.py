"""HTML out of nested calls: text is escaped unless it is ``Markup`` already.

The rows one by one: a figure that the page's own script draws, and that answers the pointer.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from bayesmix.errors import UnsupportedError
from bayesmix.numerics.arrays import Array
from bayesmix.plots import subject as views
from bayesmix.plots.style import colour, marker
from bayesmix.report.subject import Subject
from bayesmix.selection.summary_text import counted

# Elements without an end tag.
VOID = ("img", "meta", "source")
NO_VALUE = "–"


class Markup(str):
    """Text that is already HTML; only ``tag`` and ``joined`` create it."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | None) -> Markup:
    """Return an element; ``class_`` is written as class, and None omits an attribute.

    Examples
    --------
    >>> from bayesmix.report.markup import tag
    >>> tag("p", "a < b, ", tag("b", "surely"), class_="note")
    '<p class="note">a &lt; b, <b>surely</b></p>'
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(content)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Join parts, each escaped unless it is HTML."""
    return Markup(
        "".join(part if isinstance(part, Markup) else html.escape(part) for part in parts)
    )


def section(heading: str, *content: str, **attributes: str | None) -> Markup:
    """Return a part of the page with its heading."""
    return tag("section", tag("h2", heading), *content, **attributes)


def data(name: str, content: str) -> Markup:
    """Return JSON for the page's script, which cannot end the element."""
    safe = content.replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="{name}">{safe}</script>')


def paragraphs(lines: Iterable[str]) -> Markup:
    """Return a paragraph for each line."""
    return joined(tag("p", line) for line in lines)


def table(
    caption: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    kinds: Sequence[str],
    marked: Sequence[bool] = (),
) -> Markup:
    """Return a table in a box that scrolls on narrow pages.

    The first cell of a row is its heading. ``kinds`` are the classes of the columns ("number",
    "words"), ``marked`` says which rows stand out.
    """
    head = joined(
        tag("th", cell, scope="col", class_=kind) for cell, kind in zip(heads, kinds, strict=True)
    )
    body = joined(
        tag(
            "tr",
            tag("th", row[0], scope="row", class_=kinds[0]),
            *(tag("td", cell, class_=kind) for cell, kind in zip(row[1:], kinds[1:], strict=True)),
            class_="best" if place < len(marked) and marked[place] else None,
        )
        for place, row in enumerate(rows)
    )
    grid = tag("table", tag("thead", tag("tr", head)), tag("tbody", body), aria_label=caption)
    # The caption is outside the box, so that it does not scroll.
    return tag(
        "figure",
        tag("figcaption", caption),
        tag("div", grid, class_="scroll", role="region", aria_label=caption, tabindex="0"),
        class_="table",
    )


def number(value: float, decimals: int = 2) -> str:
    """Format a number with a true minus sign and thousands separators; a dash if missing."""
    if not math.isfinite(value):
        return NO_VALUE
    return f"{value:,.{decimals}f}".replace("-", "−")


def typeset(text: str) -> str:
    """Return a sentence with true minus signs before numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def with_error(value: float, error: float) -> str:
    """Format a value with its standard error, if there is one."""
    text = number(value)
    return f"{text} ± {number(error)}" if math.isfinite(value) and math.isfinite(error) else text


# Limits: larger data are shown by evenly spaced rows, and the most informative columns.
MOST_ROWS = 1_000
MOST_COLUMNS = 8
DIGITS = 5
# Percentage below which a component is not listed for a row.
LEAST_SHARE = 1


def rows_one_by_one(subject: Subject) -> Markup:
    """Return an interactive scatter plot, if there are two columns to draw."""
    columns = _columns(subject)
    if subject.X is None or len(columns) < 2 or subject.noun == "state":
        return Markup()
    values, _ = views.raw_rows(subject.rows)
    places = np.unique(np.linspace(0, len(values) - 1, MOST_ROWS).astype(int))
    probabilities = subject.estimator.predict_proba(
        views.as_fitted(subject.estimator, values[places])
    )
    result = subject.result
    noise = probabilities.shape[1] - result.n_components
    point = result.plug_in.components.unframed(result.mixture.frame)
    pair = views.least_overlapping(result, combinations(columns, 2))[0]
    weights = [f"weight {weight:.2f}" for weight in result.density.mean_weights]
    if noise:
        assert result.mixture.noise is not None
        weights.append(f"weight {result.mixture.noise.weight:.2f}")
    index = getattr(subject.X, "index", None)  # of a frame
    named = index is not None and not callable(index) and len(index) == len(values)
    names = np.asarray(index, dtype=object) if named else np.arange(len(values))
    content = {
        "columns": [subject.columns[column] for column in columns],
        "shown": [columns.index(column) for column in pair],
        "rows": [str(name) for name in names[places]],
        "values": [
            [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in row]
            for row in values[places][:, columns]
        ],
        "shares": [_shares(row) for row in probabilities],
        "names": [*(str(k) for k in range(result.n_components)), *["noise"] * noise],
        "weights": weights,
        "means": point.means[:, columns].tolist(),
        "covariances": point.covariances[:, columns][:, :, columns].tolist(),
        # Noise is last, and has no ellipse.
        "colours": [*(colour(k) for k in range(result.n_components)), *[colour(-1)] * noise],
        "markers": [*(marker(k) for k in range(result.n_components)), *[marker(-1)] * noise],
    }
    return section(
        "Individual rows",
        tag("div", class_="choice"),
        tag(
            "div",
            tag("div", class_="tip", role="status", hidden=""),
            class_="plane",
            tabindex="0",
            role="group",
            aria_label="Rows: move between them with the arrow keys",
        ),
        tag("div", class_="legend", role="group", aria_label="Components shown"),
        tag("p", _about(subject, len(values), len(columns)), class_="note"),
        data("rows-data", json.dumps(content, allow_nan=False)),
        id_="rows",
        hidden="",
    )


def _columns(subject: Subject) -> list[int]:
    result = subject.result
    try:
        if views.most_columns(result.family) < 2:
            return []
    except UnsupportedError:
        return []
    return views.columns_that_vary(result, MOST_COLUMNS)


def _shares(probabilities: Array) -> list[tuple[int, int]]:
    """Return (component, per cent) of a row, always with the largest."""
    percent = np.rint(100 * probabilities).astype(int)
    largest = int(probabilities.argmax())
    return [(k, int(p)) for k, p in enumerate(percent) if p >= LEAST_SHARE or k == largest]


def _about(subject: Subject, n_rows: int, n_columns: int) -> str:
    shown = f"{MOST_ROWS:,} of the {counted(n_rows, 'row')}, evenly spaced" * (n_rows > MOST_ROWS)
    parts = [
        (shown or f"All {counted(n_rows, 'row')}")
        + ", with ellipses of 1 and 2 standard deviations"
    ]
    if n_columns < subject.result.n_features:
        parts.append(f"the {n_columns} columns in which the components overlap least")
    parts.append("point at a row to see its values and components; press a component to hide it")
    return "; ".join(parts) + "."
