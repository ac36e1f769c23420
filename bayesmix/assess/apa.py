"""Tables in the style of the American Psychological Association (7th edition).

A number, a title in italics, horizontal rules only, a note below. Numbers that cannot exceed 1 have
no leading zero; p-values have three decimals and no zero, or are "< .001".
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from bayesmix.errors import InvalidInputError, missing_extra
from bayesmix.sources.writing import file_to_write, write

MISSING = "–"
LEAST_P = 0.001
# Characters of a line that fit a printed page.
MOST_CHARACTERS = 110
# Symbols of statistics, which are in italics.
ITALIC = ("p", "M", "SD", "SE", "OR", "LL", "F", "χ²", "n", "df", "N", "b", "d")
TEX = str.maketrans(
    {"\\": r"\textbackslash{}", "−": "$-$", "–": "--", "²": "$^2$", "χ": r"$\chi$"}
    | {"×": r"$\times$", "Δ": r"$\Delta$", "≠": r"$\neq$", "√": r"$\surd$"}
    | {"^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
    | {sign: rf"\{sign}" for sign in "&%_#${}"}
    | {sign: f"${sign}$" for sign in "<>"}
)
# Head of a column and the text of its values, by column of a frame.
Columns: TypeAlias = Mapping[str, tuple[str, Callable[[Any], str]]]


def p_text(value: float) -> str:
    """Return a p-value as APA prints it.

    Examples
    --------
    >>> from bayesmix.assess.apa import p_text
    >>> p_text(0.0312), p_text(0.0002)
    ('.031', '< .001')
    """
    return "< .001" if value < LEAST_P else bounded(value, 3)


def equals(text: str) -> str:
    """Return a number with its sign, as "= 1.20" or "< 0.01"."""
    return text if text.startswith("<") else f"= {text}"


def p_equals(value: float) -> str:
    """Return "= .031" or "< .001"."""
    return equals(p_text(value))


def bounded(value: float, digits: int = 2) -> str:
    """Return a number between -1 and 1 without its leading zero."""
    text = plain(value, digits)
    return text.replace("0.", ".", 1) if text.lstrip("−").startswith("0.") else text


def plain(value: Any, digits: int = 2) -> str:
    """Return a number with thousands separated, and a proper minus sign."""
    if value is pd.NA or math.isnan(value):
        return MISSING
    return f"{value:z,.{digits}f}".replace("-", "−")  # z: no minus sign before 0.00


def whole(value: Any) -> str:
    """Return a whole number with thousands separated."""
    return plain(value, 0)


def digits_of(spread: Any, significant: int = 1) -> int:
    """Return decimals, two or more, that show digits of the largest error or deviation."""
    largest = max((value for value in spread if 0.0 < value < math.inf), default=1.0)
    return max(2, significant - 1 - math.floor(math.log10(largest)))


def with_errors(
    values: Any,
    errors: Any,
    text: Callable[[float], str] | None = None,
    of_zero: str | None = None,
) -> list[str]:
    """Return values with their standard errors in parentheses.

    ``of_zero`` is what stands there for an error of 0.
    """
    digits = digits_of(errors)
    text = text or (lambda value: plain(value, digits))
    inside = [of_zero if of_zero and error == 0.0 else text(error) for error in errors]
    return [f"{text(value)} ({error})" for value, error in zip(values, inside, strict=True)]


def rounded(table: pd.DataFrame, value: str, error: str, significant: int = 1) -> pd.DataFrame:
    """Return texts of two columns, with as many decimals as each error or deviation needs."""
    digits = [digits_of([one], significant) for one in table[error]]
    texts = {name: list(map(plain, table[name], digits)) for name in (value, error)}
    return table.assign(**texts)


@dataclass(frozen=True, repr=False)
class ApaTable:
    """A table for a paper: prints as text, is HTML in a notebook, and writes files.

    Attributes
    ----------
    title : str
    columns : tuple of str
    rows : tuple of tuples of str
    note : str
        Text below the table, after "Note.".
    number : int
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    number: int = 1

    @classmethod
    def of(cls, frame: pd.DataFrame, columns: Columns, title: str, note: str) -> ApaTable:
        """Return the table of some columns of a frame."""
        rows = frame.reset_index().to_dict("records")
        cells = (tuple(text(row[name]) for name, (_, text) in columns.items()) for row in rows)
        return cls(title, tuple(head for head, _ in columns.values()), tuple(cells), note)

    @property
    def _widths(self) -> list[int]:
        """Characters of the widest cell of each column."""
        return [max(map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]

    @property
    def length(self) -> int:
        """Characters of a line, with two between columns."""
        return sum(self._widths) + 2 * (len(self.columns) - 1)

    def split(self, width: int) -> list[ApaTable]:
        """Return tables of at most this many characters, each with the first column."""
        first, *others = self._widths
        blocks: list[list[int]] = []
        room = 0
        for place, size in enumerate(others, start=1):
            if not blocks or room < size + 2:
                blocks.append([0])
                room = width - first
            blocks[-1].append(place)
            room -= size + 2
        return [
            replace(
                self,
                title=self.title if block is blocks[0] else f"{self.title} (continued)",
                columns=tuple(self.columns[place] for place in block),
                rows=tuple(tuple(row[place] for place in block) for row in self.rows),
                note=self.note if block is blocks[-1] else "",
            )
            for block in blocks
        ]

    def to_text(self) -> str:
        """Return the table as plain text."""
        first, *others = self._widths
        form = "  ".join([f"{{:{first}}}", *(f"{{:>{width}}}" for width in others)])
        rule = "─" * self.length
        head, *rows = (form.format(*row).rstrip() for row in (self.columns, *self.rows))
        lines = [f"Table {self.number}", self.title, rule, head, rule, *rows, rule]
        return "\n".join(lines + [f"Note. {self.note}"] * bool(self.note))

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        heads = [f"*{name}*" if name in ITALIC else name for name in self.columns]
        rule = "|".join(["", ":---", *["---:"] * (len(heads) - 1), ""])
        grid = [[cell.replace("|", r"\|") for cell in row] for row in (heads, *self.rows)]
        rows = [" | ".join(["", *row, ""]).strip() for row in grid]
        lines = [f"**Table {self.number}**", "", f"*{self.title}*", "", rows[0], rule, *rows[1:]]
        return "\n".join([*lines, *["", f"*Note.* {self.note}"] * bool(self.note), ""])

    def to_html(self) -> str:
        """Return the table as HTML."""

        def line(tag: str, cells: tuple[str, ...], style: str = "") -> str:
            parts = []
            for place, cell in enumerate(cells):
                side = "right;padding-left:1em" if place else "left"
                text = escape(cell).replace("&lt; ", "&lt;&nbsp;")
                text = f"<em>{cell}</em>" if tag == "th" and cell in ITALIC else text
                parts.append(f'<{tag} style="text-align:{side}{style}">{text}</{tag}>')
            return f"<tr>{''.join(parts)}</tr>"

        head = line("th", self.columns, ";font-weight:normal;border-bottom:1px solid")
        body = "".join(line("td", row) for row in self.rows)
        edges = "border-top:1.5px solid;border-bottom:1.5px solid"
        wide = ' class="wide"' * (self.length > MOST_CHARACTERS)  # smaller on paper
        style = f'style="border-collapse:collapse;{edges}"'
        table = f"<table{wide} {style}><thead>{head}</thead><tbody>{body}</tbody></table>"
        return displayed(f"Table {self.number}", self.title, table, self.note)

    def to_latex(self) -> str:
        """Return the table as LaTeX, for the package booktabs."""
        heads, *rows = (tuple(c.translate(TEX) for c in row) for row in (self.columns, *self.rows))
        heads = tuple(
            rf"\textit{{{head}}}" if name in ITALIC else head
            for name, head in zip(self.columns, heads, strict=True)
        )
        lines = [r"\begin{table}", rf"\caption{{{self.title.translate(TEX)}}}"]
        lines += [rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}", r"\toprule"]
        body = [" & ".join(row) + r" \\" for row in (heads, *rows)]
        lines += [body[0], r"\midrule", *body[1:], r"\bottomrule", r"\end{tabular}"]
        note = rf"\par\smallskip\textit{{Note.}} {self.note.translate(TEX)}"
        return "\n".join([*lines, *[note] * bool(self.note), r"\end{table}", ""])

    def to_csv(self) -> str:
        """Return the table as CSV."""
        frame = pd.DataFrame(self.rows, columns=self.columns)
        return str(frame.to_csv(index=False, lineterminator="\n"))

    def save(self, path: Any) -> Path:
        """Write .md, .html, .tex, .csv, .txt or .docx (needs python-docx), by the ending.

        Raises
        ------
        InvalidInputError
            For another ending.
        """
        kinds: dict[str, Callable[[], str | bytes]] = {
            ".md": self.to_markdown,
            ".html": self.to_html,
            ".tex": self.to_latex,
            ".csv": self.to_csv,
            ".txt": self.to_text,
            ".docx": self._word,
        }
        return write_as(path, kinds)

    def _word(self) -> bytes:
        """Return the table as a Word document."""
        try:
            from docx import Document
            from docx.oxml import parse_xml
            from docx.oxml.ns import nsdecls
            from docx.shared import Pt
        except ImportError:
            raise missing_extra("python-docx", "word") from None
        document = Document()
        font = document.styles["Normal"].font
        font.name, font.size = "Times New Roman", Pt(12)
        document.add_paragraph().add_run(f"Table {self.number}").bold = True
        document.add_paragraph().add_run(self.title).italic = True
        grid = document.add_table(rows=1 + len(self.rows), cols=len(self.columns))
        for number, line in enumerate((self.columns, *self.rows)):
            edges = ["top"] * (number < 2) + ["bottom"] * (number == len(self.rows))
            rules = "".join(f'<w:{edge} w:val="single" w:sz="8"/>' for edge in edges)
            borders = f"<w:tcBorders {nsdecls('w')}>{rules}</w:tcBorders>"
            for place, (cell, text) in enumerate(zip(grid.rows[number].cells, line, strict=True)):
                cell.paragraphs[0].alignment = 2 if place else 0
                cell.paragraphs[0].add_run(text).italic = number == 0 and text in ITALIC
                cell._tc.get_or_add_tcPr().append(parse_xml(borders))
        if self.note:
            paragraph = document.add_paragraph()
            paragraph.add_run("Note. ").italic = True
            paragraph.add_run(self.note)
        stream = io.BytesIO()
        document.save(stream)
        return stream.getvalue()

    __repr__ = __str__ = to_text

    def _repr_html_(self) -> str:
        return self.to_html()


def displayed(name: str, title: str, content: str, note: str) -> str:
    """Return a table or figure as HTML with its name, title and note."""
    head = f"<p><strong>{name}</strong></p><p><em>{escape(title)}</em></p>"
    below = f"<p><em>Note.</em> {escape(note)}</p>" if note else ""
    return f"<div>{head}{content}{below}</div>"


def write_as(path: Any, kinds: Mapping[str, Callable[[], str | bytes]]) -> Path:
    """Write a file of the kind that its ending names, or raise ``InvalidInputError``."""
    place = file_to_write(path)
    if place.suffix not in kinds:
        raise InvalidInputError(f"path must end in {', '.join(kinds)}, got {str(path)!r}")
    content = kinds[place.suffix]()
    write(place, content if isinstance(content, bytes) else content.encode("utf-8"))
    return place
