"""HTML out of nested calls: text is escaped unless it is ``Markup`` already."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence

# Elements that have no end tag.
VOID = ("img", "meta", "source")
NO_VALUE = "–"


class Markup(str):
    """Text that is HTML already; only ``tag`` and ``joined`` make it."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str | None) -> Markup:
    """One element; of attributes ``class_`` is written class, and None leaves one out.

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
    """Parts one after the other, each escaped unless it is HTML."""
    return Markup(
        "".join(part if isinstance(part, Markup) else html.escape(part) for part in parts)
    )


def section(heading: str, *content: str, **attributes: str | None) -> Markup:
    """A part of the page under its heading."""
    return tag("section", tag("h2", heading), *content, **attributes)


def data(name: str, content: str) -> Markup:
    """JSON for the page's script, under this name: nothing in it ends the element or is run."""
    safe = content.replace("<", "\\u003c")
    return Markup(f'<script type="application/json" id="{name}">{safe}</script>')


def paragraphs(lines: Iterable[str]) -> Markup:
    """One paragraph a line."""
    return joined(tag("p", line) for line in lines)


def table(
    caption: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    kinds: Sequence[str],
    marked: Sequence[bool] = (),
) -> Markup:
    """A table in a box of its own, which scrolls where the page is too narrow for it.

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
    # The caption stands outside the box, or it would scroll away with the columns.
    return tag(
        "figure",
        tag("figcaption", caption),
        tag("div", grid, class_="scroll", role="region", aria_label=caption, tabindex="0"),
        class_="table",
    )


def number(value: float, decimals: int = 2) -> str:
    """With a true minus sign, thousands apart; a dash where there is none."""
    if not math.isfinite(value):
        return NO_VALUE
    return f"{value:,.{decimals}f}".replace("-", "−")


def typeset(text: str) -> str:
    """A sentence with true minus signs before its numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def with_error(value: float, error: float) -> str:
    """A value and its standard error, where it has one."""
    text = number(value)
    return f"{text} ± {number(error)}" if math.isfinite(value) and math.isfinite(error) else text
