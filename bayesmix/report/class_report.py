"""Report of a latent profile or latent class analysis: methods, results, checklist, references.

``class_report.jinja`` has its words. The checklist follows SMART-LCA (Van Lissa, Garnier-Villarreal
& Anadria 2024): what software can know is filled in, the rest is listed for the author.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

from bayesmix.assess.apa import ApaTable, bounded, p_equals, plain, write_as
from bayesmix.assess.class_profiles import KINDS, ClassProfiles, rows_by_key, wald_text
from bayesmix.assess.enumeration import LEVEL, STARTS, Enumeration
from bayesmix.errors import InvalidInputError
from bayesmix.report import template
from bayesmix.selection.summary_text import phrase
from bayesmix.version import __version__


@dataclass(frozen=True)
class ClassReport:
    """A report: headings, paragraphs and lists in Markdown, and tables.

    Attributes
    ----------
    blocks : tuple of str
        "[[name]]" stands for a table.
    tables : dict of ApaTable
        By name, in the order of their numbers.
    """

    blocks: tuple[str, ...]
    tables: dict[str, ApaTable]

    def to_markdown(self) -> str:
        """Return the report as Markdown."""
        tables = {f"[[{name}]]": own.to_markdown().rstrip() for name, own in self.tables.items()}
        return "\n\n".join(tables.get(block, block) for block in self.blocks) + "\n"

    def to_html(self) -> str:
        """Return the report as a page."""
        return template.page("classes.html", "Latent classes", blocks=self._elements())

    def _elements(self) -> list[str]:
        """Return the blocks and the tables as HTML."""
        tables = {f"[[{name}]]": own.to_html() for name, own in self.tables.items()}
        return [tables.get(block) or _html(block) for block in self.blocks]

    def save(self, path: Any) -> Path:
        """Write the report to a file that ends in .md or .html."""
        return write_as(path, {".md": self.to_markdown, ".html": self.to_html})

    __repr__ = __str__ = to_markdown

    def _repr_html_(self) -> str:
        # The style of a page would apply to the whole notebook.
        return "\n".join(self._elements())


def _html(block: str) -> str:
    """Return a heading, list or paragraph with emphasis as HTML."""
    text = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(block))
    text = re.sub(r"\*(.+?)\*", r"<em>\1</em>", text)
    if text.startswith("## "):
        return f"<h2>{text[3:]}</h2>"
    if text.startswith("- "):
        return "<ul>" + re.sub(r"^- (.*)$", r"<li>\1</li>", text, flags=re.MULTILINE) + "</ul>"
    return f"<p>{text}</p>"


def class_report(
    enumeration: Enumeration,
    profiles: ClassProfiles,
    model: Any = None,
    n_classes: int | None = None,
    *,
    rivals: Sequence[ClassProfiles] = (),
    unconditional: Enumeration | None = None,
) -> ClassReport:
    """Return methods, results with all tables, the SMART-LCA checklist and references.

    Parameters
    ----------
    enumeration : Enumeration
    profiles : ClassProfiles
        Of the chosen fit.
    model, n_classes : optional
        Row of the enumeration that was chosen, by default the suggested one.
    rivals : sequence of ClassProfiles
        Profiles of other solutions to show, such as those with one class less and one more.
    unconditional : Enumeration, optional
        The enumeration without covariates, to show beside one with covariates.

    Returns
    -------
    ClassReport

    Raises
    ------
    ValueError
        If the profiles have another number of classes.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_iris()
    >>> classes = bm.enumerate_classes(X, range(1, 4), 1, n_bootstrap=0, random_state=0)
    >>> report = bm.class_report(classes, bm.class_profiles(classes.fit(1, 3), X), 1, 3)
    >>> report.to_markdown().splitlines()[0]
    '## Methods'
    """
    model, n_classes = enumeration.key(model, n_classes)
    table = enumeration.table[enumeration.table["model"] == model].set_index("n_classes")
    if n_classes not in table.index or profiles.n_classes != n_classes:
        raise InvalidInputError(
            f"profiles must be those of the chosen fit with {n_classes} classes, got "
            f"{profiles.n_classes} classes"
        )
    tables = {"enumeration": enumeration.to_apa()}
    if unconditional is not None:
        title = "Fit of Models Without Covariates"
        tables["unconditional"] = unconditional.to_apa(title=title)
    parts = ["profiles", *["effect_sizes"] * (n_classes > 1), "classification"]
    parts += ["covariates"] * (profiles.contrasts is not None) + ["outcomes"] * bool(
        profiles.outcomes
    )
    tables |= {part: profiles.to_apa(part) for part in parts}
    others = {f"rival {own.n_classes}": own.to_apa() for own in rivals}
    tables = {
        name: replace(own, number=number)
        for number, (name, own) in enumerate((tables | others).items(), start=1)
    }
    chosen = f"Model {model} ({enumeration.models[model]})"
    everything = enumeration.table
    effects = [] if profiles.contrasts is None else rows_by_key(profiles.contrasts)
    p, row = table["blrt_p"].dropna(), table.loc[n_classes].to_dict()
    converged = everything["converged"].astype(bool)
    corrections = [own.attrs["correction"] or "no" for own in profiles.outcomes.values()]
    text = template.filled(
        "class_report.jinja",
        bounded=bounded,
        p_equals=p_equals,
        plain=plain,
        wald_text=wald_text,
        percent="{:.1%}".format,
        enumeration=enumeration,
        profiles=profiles,
        numbers=sorted(set(everything["n_classes"])),
        n=f"{enumeration.n_samples:,.0f}",
        version=__version__,
        models="; ".join(enumeration.models.values()),
        indicators=list(map(str, profiles.profiles.index.unique("column"))),
        phrase=phrase,
        vlmr=everything["vlmr_p"].notna().any(),
        starts=STARTS,
        level=LEVEL,
        errors=KINDS[profiles.standard_errors],
        covariates=phrase(enumeration.covariates) if enumeration.covariates else "",
        correction=f"{corrections[0]} correction" if corrections else "",
        chosen=chosen if len(enumeration.models) > 1 else "The model",
        K=n_classes,
        row=row,
        smallest=row["bic"] == everything["bic"][converged].min(),
        tests=[(K, p[K]) for K in (n_classes, n_classes + 1) if K in p.index],
        unconditional=unconditional,
        least=None if unconditional is None else unconditional.suggested,
        terms=[] if profiles.covariate_tests is None else rows_by_key(profiles.covariate_tests),
        effects=[e for e in effects if e[0][2] != "intercept" and e[1]["p"] <= LEVEL],
        interval="" if profiles.contrasts is None else f"{profiles.contrasts.attrs['level']:.0%}",
        outcomes=rows_by_key(profiles.overall),
        rivals=list(others),
        ref={name: f"Table {own.number}" for name, own in tables.items()},
        converged=int(converged.sum()),
        replicated=everything["replicated"].min(),
    )
    blocks = (block.strip() for block in re.split(r"\n\s*\n", text))
    return ClassReport(
        tuple(b if b.startswith("- ") else " ".join(b.split()) for b in blocks if b), tables
    )
