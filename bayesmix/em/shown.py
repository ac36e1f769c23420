"""What a result shows, from which its text, its view in notebooks and its JSON are made."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bayesmix.core.printed_numbers import significant
from bayesmix.em.display import FAINT, html_table

if TYPE_CHECKING:
    import pandas as pd

# Most rows of a table in a notebook.
MOST_ROWS = 12


@dataclass(frozen=True)
class ShownTable:
    """A table: its name in files, its title (none: the shell leaves it to the files), its rows."""

    name: str
    title: str
    frame: pd.DataFrame


@dataclass(frozen=True)
class Shown:
    """What a result shows.

    Attributes
    ----------
    title : str
        The answer, a sentence.
    sentences : tuple of str
        Further sentences.
    tables : tuple of ShownTable
    cautions : tuple of str
        Sentences on what limits the answer, such as fits that failed.
    """

    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[ShownTable, ...] = ()
    cautions: tuple[str, ...] = ()

    def text(self) -> str:
        """Return the sentences, a line each."""
        return "\n".join([self.title, *self.sentences, *self.cautions])

    def html(self) -> str:
        """Return the sentences and the first rows of the tables, in the colours of the page."""
        tables = "".join(map(_table, self.tables))
        title, cautions = html.escape(self.title), _items(self.cautions)
        return f"<div><b>{title}</b>{_items(self.sentences)}{tables}{cautions}</div>"

    def values(self) -> dict[str, Any]:
        """Return the text, and the rows of the tables by name, for JSON."""
        tables = {table.name: table.frame.to_dict("records") for table in self.tables}
        return {"summary": self.text(), **tables}


def _items(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return f'<ul style="margin:.2em 0">{items}</ul>' if items else ""


def _table(table: ShownTable) -> str:
    frame = table.frame.head(MOST_ROWS)
    rows = [list(map(_cell, row)) for row in frame.itertuples(index=False)]
    left_out = len(table.frame) - len(rows)
    more = f'<div style="{FAINT}">... and {left_out} more rows</div>' if left_out else ""
    title = f'<div style="{FAINT}">{html.escape(table.title)}</div>' if table.title else ""
    return f"{title}{html_table(list(map(str, frame.columns)), rows)}{more}"


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return significant(value) if math.isfinite(value) else "-"
