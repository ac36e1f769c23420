"""Tables in the style of the American Psychological Association (7th edition).

A number, a title in italics, horizontal rules only, a note below. Numbers that cannot exceed 1 have
no leading zero; p-values have three decimals and no zero, or are "< .001".
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from bayesmix.core.writing import file_to_write, write
from bayesmix.errors import InvalidInputError, missing_extra
from bayesmix.selection.summary_text import phrase

MISSING = "–"
LEAST_P = 0.001
LABELS = {
    "model": "Model",
    "n_classes": "Classes",
    "log_likelihood": "LL",
    "n_parameters": "Parameters",
    "entropy": "Entropy",
    "smallest": "Smallest class (%)",
    "min_probability": "Lowest mean posterior",
    "vlmr_p": "VLMR p",
    "blrt_p": "BLRT p",
    "replicated": "Replications",
}
# Symbols of statistics, which are in italics.
ITALIC = ("p", "M", "SE", "OR", "LL", "χ²", "n", "df", "N")


def p_text(value: float) -> str:
    """Return a p-value as APA prints it.

    Examples
    --------
    >>> from bayesmix.assess.apa import p_text
    >>> p_text(0.0312), p_text(0.0002)
    ('.031', '< .001')
    """
    if math.isnan(value):
        return MISSING
    return "< .001" if value < LEAST_P else bounded(value, 3)


def bounded(value: float, digits: int = 2) -> str:
    """Return a number between -1 and 1 without its leading zero."""
    if math.isnan(value):
        return MISSING
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(float(text)) < 1.0 else text


def plain(value: Any, digits: int = 2) -> str:
    """Return a number with thousands separated, and a proper minus sign."""
    if value is pd.NA or math.isnan(value):
        return MISSING
    return f"{value:,.{digits}f}".replace("-", "−")


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

    def to_text(self) -> str:
        """Return the table as plain text."""
        widths = [
            max(map(len, (column, *(row[place] for row in self.rows))))
            for place, column in enumerate(self.columns)
        ]

        def line(cells: Sequence[str]) -> str:
            first, *others = zip(cells, widths, strict=True)
            aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
            return "  ".join(aligned).rstrip()

        rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [f"Table {self.number}", self.title, rule, line(self.columns), rule]
        lines += [*map(line, self.rows), rule]
        return "\n".join([*lines, *([f"Note. {self.note}"] if self.note else [])])

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        head = "| " + " | ".join(map(_starred, self.columns)) + " |"
        rule = "|" + "|".join([":---", *["---:"] * (len(self.columns) - 1)]) + "|"
        lines = [f"**Table {self.number}**", "", f"*{self.title}*", "", head, rule]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([*lines, *(["", f"*Note.* {self.note}"] if self.note else []), ""])

    def to_html(self) -> str:
        """Return the table as HTML."""
        edge, thin = "border-top:1.5px solid", "border-bottom:1px solid"
        cells = "".join(
            f'<th style="text-align:{_side(place)};font-weight:normal;{thin}">'
            f"{_marked(column)}</th>"
            for place, column in enumerate(self.columns)
        )
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:{_side(place)}">{escape(cell)}</td>'
                for place, cell in enumerate(row)
            )
            + "</tr>"
            for row in self.rows
        )
        note = f"<p><em>Note.</em> {escape(self.note)}</p>" if self.note else ""
        return (
            f"<div><p><strong>Table {self.number}</strong></p><p><em>{escape(self.title)}</em></p>"
            f'<table style="border-collapse:collapse;{edge};border-bottom:1.5px solid">'
            f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>{note}</div>"
        )

    def to_latex(self) -> str:
        """Return the table as LaTeX, for the package booktabs."""
        shape = "l" + "r" * (len(self.columns) - 1)
        lines = [r"\begin{table}", rf"\caption{{{_tex(self.title)}}}"]
        lines += [rf"\begin{{tabular}}{{{shape}}}", r"\toprule"]
        heads = (
            rf"\textit{{{_tex(name)}}}" if name in ITALIC else _tex(name) for name in self.columns
        )
        lines += [" & ".join(heads) + r" \\", r"\midrule"]
        lines += [" & ".join(map(_tex, row)) + r" \\" for row in self.rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [rf"\par\smallskip\textit{{Note.}} {_tex(self.note)}"] if self.note else []
        return "\n".join([*lines, r"\end{table}", ""])

    def to_csv(self) -> str:
        """Return the table as CSV."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.columns, *self.rows])
        return text.getvalue()

    def save(self, path: Any) -> Path:
        """Write .md, .html, .tex, .csv, .txt or .docx (needs python-docx), by the ending.

        Raises
        ------
        InvalidInputError
            For another ending.
        """
        place = file_to_write(path)
        if place.suffix == ".docx":
            text = _word(self)
        elif place.suffix in (kinds := self._kinds()):
            text = kinds[place.suffix]().encode("utf-8")
        else:
            raise InvalidInputError(
                f"path must end in {', '.join([*kinds, '.docx'])}, got {str(path)!r}"
            )
        write(place, text)
        return place

    def _kinds(self) -> dict[str, Any]:
        return {
            ".md": self.to_markdown,
            ".html": self.to_html,
            ".tex": self.to_latex,
            ".csv": self.to_csv,
            ".txt": self.to_text,
        }

    __repr__ = __str__ = to_text

    def _repr_html_(self) -> str:
        return self.to_html()


def _side(place: int) -> str:
    return "right;padding-left:1em" if place else "left"


def _starred(name: str) -> str:
    return f"*{name}*" if name in ITALIC else name


def _marked(name: str) -> str:
    return f"<em>{escape(name)}</em>" if name in ITALIC else escape(name)


def _tex(text: str) -> str:
    for plain_text, command in {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "_": r"\_",
        "#": r"\#",
        "$": r"\$",
        "−": "$-$",
        "–": "--",
        "<": "$<$",
        ">": "$>$",
        "²": "$^2$",
        "χ": r"$\chi$",
        "×": r"$\times$",
    }.items():
        text = text.replace(plain_text, command)
    return text


def _word(table: ApaTable) -> bytes:
    """Return the table as a Word document."""
    try:
        from docx import Document
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn
        from docx.shared import Pt
    except ImportError:
        raise missing_extra("python-docx", "word") from None
    document = Document()
    document.styles["Normal"].font.name = "Times New Roman"
    document.styles["Normal"].font.size = Pt(12)
    document.add_paragraph().add_run(f"Table {table.number}").bold = True
    document.add_paragraph().add_run(table.title).italic = True
    grid = document.add_table(rows=0, cols=len(table.columns))
    for number, line in enumerate((table.columns, *table.rows)):
        cells = grid.add_row().cells
        for place, (cell, text) in enumerate(zip(cells, line, strict=True)):
            paragraph = cell.paragraphs[0]
            paragraph.alignment = 2 if place else 0
            paragraph.add_run(text).italic = number == 0 and text in ITALIC
            borders = OxmlElement("w:tcBorders")
            edges = [("top", number < 2), ("bottom", number == len(table.rows))]
            for edge in (name for name, there in edges if there):
                rule = OxmlElement(f"w:{edge}")
                rule.set(qn("w:val"), "single")
                rule.set(qn("w:sz"), "8")
                borders.append(rule)
            cell._tc.get_or_add_tcPr().append(borders)
    if table.note:
        paragraph = document.add_paragraph()
        paragraph.add_run("Note. ").italic = True
        paragraph.add_run(table.note)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def enumeration_table(enumeration: Any, criteria: Sequence[str], title: str | None) -> ApaTable:
    """Return the table of an enumeration in APA style."""
    table = enumeration.table
    several = len(enumeration.models) > 1
    names = [
        *(["model"] if several else []),
        "n_classes",
        "log_likelihood",
        "n_parameters",
        *criteria,
        "entropy",
        "smallest",
        "min_probability",
        *(name for name in ("vlmr_p", "blrt_p") if table[name].notna().any()),
        "replicated",
    ]
    rows = tuple(tuple(_cell(name, row[name]) for name in names) for _, row in table.iterrows())
    note = [f"N = {enumeration.n_samples:,.0f}. LL = log likelihood"]
    note[0] += "; " + "; ".join(f"{c.upper()} = {WORDS[c]}" for c in criteria if c in WORDS) + "."
    note.append("Entropy is relative; the smallest class is a share of assigned observations.")
    if terms := enumeration.covariates:
        note.append(f"In all models class membership depends on {phrase(terms)}.")
    if several:
        note.append(
            "Models: "
            + "; ".join(f"{k} = {words}" for k, words in enumeration.models.items())
            + "."
        )
    if enumeration.n_bootstrap:
        note.append(
            f"BLRT = bootstrap likelihood ratio test of one class less ({enumeration.n_bootstrap} "
            f"samples, so that p is at least {bounded(1.0 / (1 + enumeration.n_bootstrap))})."
        )
    if table["vlmr_p"].notna().any():
        note.append("VLMR = Vuong-Lo-Mendell-Rubin test.")
    note.append("Replications: of 20 random starts that reached the best likelihood.")
    note += [f"{remark}." for remark in enumeration.remarks]
    heads = tuple(LABELS.get(name, name.upper()) for name in names)
    title = title or "Fit of Models With Different Numbers of Classes"
    return ApaTable(title, heads, rows, " ".join(note))


WORDS = {
    "aic": "Akaike information criterion",
    "bic": "Bayesian information criterion",
    "sabic": "sample-size adjusted BIC",
    "caic": "consistent AIC",
    "awe": "approximate weight of evidence",
    "icl": "integrated completed likelihood",
}


def _cell(name: str, value: Any) -> str:
    if name == "model":
        return str(value)
    if name in ("vlmr_p", "blrt_p"):
        return p_text(float(value))
    if name in ("entropy", "min_probability"):
        return bounded(float(value))
    if name == "smallest":
        return plain(100.0 * float(value), 1)
    return plain(value, 0 if name in ("n_classes", "n_parameters", "replicated") else 2)
