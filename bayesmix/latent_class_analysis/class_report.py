"""Report of a latent profile or latent class analysis: methods, results, checklist, references.

``class_report.jinja`` has its words. The checklist follows SMART-LCA (Van Lissa, Garnier-Villarreal
& Anadria 2024): what software can know is filled in, the rest is listed for the author.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bayesmix import plots
from bayesmix.assess import LEVEL
from bayesmix.assess.apa import ApaTable, bounded, displayed, equals, p_equals, plain, write_as
from bayesmix.errors import InvalidInputError
from bayesmix.latent_class_analysis.class_fits import STARTS
from bayesmix.latent_class_analysis.enumeration import Enumeration, best_number
from bayesmix.latent_class_analysis.profile_plots import profiles_size, shown_fits
from bayesmix.latent_class_analysis.profile_tables import (
    LARGE_RESIDUAL,
    ClassProfiles,
    is_intercept,
    ratio,
    rows_by_key,
    wald_text,
)
from bayesmix.plots.style import Axes
from bayesmix.report import template
from bayesmix.report.figures import svg
from bayesmix.selection.summary_text import phrase
from bayesmix.sources.writing import write
from bayesmix.version import __version__

# Symbols of tests, which are in italics.
SYMBOLS = re.compile(r"\b(F|p)(?=[ (])")


@dataclass(frozen=True)
class ApaFigure:
    """A figure in APA style, drawn on axes of ``subplots(**panels)``."""

    name: str
    number: int
    title: str
    note: str
    draw: Callable[[Axes], object]
    size: tuple[float, float]
    panels: Mapping[str, object] = field(default_factory=dict)

    def content(self, kind: str = "svg") -> bytes:
        """Return the content of a file."""

        def draw(figure: Any) -> None:
            self.draw(figure.subplots(**self.panels))

        return svg(draw, self.size, self.size[1], kind)

    def to_markdown(self) -> str:
        """Return the figure as Markdown, with the name of its file."""
        head = f"**Figure {self.number}**\n\n*{self.title}*"
        return f"{head}\n\n![Figure {self.number}]({self.name}.png)\n\n*Note.* {self.note}"

    def to_html(self) -> str:
        """Return the figure as HTML."""
        data = base64.b64encode(self.content()).decode("ascii")
        image = f'<img src="data:image/svg+xml;base64,{data}" alt="{escape(self.title)}">'
        return displayed(f"Figure {self.number}", self.title, image, self.note)


@dataclass(frozen=True)
class ClassReport:
    """A report: headings, paragraphs and lists in Markdown, tables and figures.

    Attributes
    ----------
    blocks : tuple of str
        "[[name]]" stands for a table or figure.
    tables : dict of ApaTable
        By name, in the order of their numbers.
    figures : dict of ApaFigure
        By name; empty without matplotlib.
    title : str
        "Latent profiles" where all indicators are continuous.
    """

    blocks: tuple[str, ...]
    tables: dict[str, ApaTable]
    figures: dict[str, ApaFigure]
    title: str = "Latent classes"

    @property
    def _displays(self) -> dict[str, ApaTable | ApaFigure]:
        return {f"[[{name}]]": shown for name, shown in (self.tables | self.figures).items()}

    def to_markdown(self) -> str:
        """Return the report as Markdown; figures are files beside it, such as "criteria.png"."""
        displays = {block: shown.to_markdown().rstrip() for block, shown in self._displays.items()}
        return "\n\n".join(displays.get(block, block) for block in self.blocks) + "\n"

    def to_html(self) -> str:
        """Return the report as a page."""
        return template.page(
            "latent_class_analysis/classes.html", self.title, blocks=self._elements()
        )

    def _elements(self) -> list[str]:
        """Return the blocks, tables and figures as HTML."""
        displays = {block: shown.to_html() for block, shown in self._displays.items()}
        return [displays.get(block) or _html(block) for block in self.blocks]

    def save(self, path: Any) -> Path:
        """Write the report to a file that ends in .md, with figures beside it, or .html."""
        place = write_as(path, {".md": self.to_markdown, ".html": self.to_html})
        if place.suffix == ".md":
            for figure in self.figures.values():
                write(place.with_name(f"{figure.name}.png"), figure.content("png"))
        return place

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
        If the profiles have another number of classes, or an argument is something else.

    Examples
    --------
    >>> import bayesmix as bm
    >>> X = bm.datasets.load_iris()
    >>> classes = bm.enumerate_classes(X, range(1, 4), 1, n_bootstrap=0, random_state=0)
    >>> report = bm.class_report(classes, bm.class_profiles(classes.fit(1, 3), X), 1, 3)
    >>> report.to_markdown().splitlines()[0]
    '## Methods'
    """
    for name, value, kind, call in (
        ("enumeration", enumeration, Enumeration, "enumerate_classes(X)"),
        ("profiles", profiles, ClassProfiles, "class_profiles(enumeration.fit(), X)"),
    ):
        if not isinstance(value, kind):
            raise InvalidInputError(f"{name} must be that of {call}, got {type(value).__name__}")
    model, n_classes = enumeration.key(model, n_classes)
    table = enumeration.table[enumeration.table["model"] == model].set_index("n_classes")
    if n_classes not in table.index or profiles.n_classes != n_classes:
        raise InvalidInputError(
            f"profiles must be those of the chosen fit with {n_classes} classes, got "
            f"{profiles.n_classes} classes"
        )
    tables = {"descriptives": profiles.to_apa("descriptives"), "enumeration": enumeration.to_apa()}
    if unconditional is not None:
        title = "Fit of Models Without Covariates"
        tables["unconditional"] = unconditional.to_apa(title=title)
    parts = ["profiles", *["effect_sizes"] * (n_classes > 1), "classification"]
    parts += ["residuals"] * (profiles.residuals is not None and len(profiles.residuals) > 0)
    parts += ["covariates"] * (profiles.contrasts is not None)
    parts += ["outcomes", *["pairs"] * (n_classes > 1)] if profiles.outcomes else []
    tables |= {part: profiles.to_apa(part) for part in parts}
    of_rivals = {f"rival {rival.n_classes}": rival.to_apa() for rival in rivals}
    tables = {
        name: replace(apa, number=number)
        for number, (name, apa) in enumerate((tables | of_rivals).items(), start=1)
    }
    figures = _figures(enumeration, profiles) if find_spec("matplotlib") else {}
    chosen = f"Model {model} ({enumeration.models[model]})"
    everything = enumeration.table
    effects = [] if profiles.contrasts is None else rows_by_key(profiles.contrasts)
    effects = [effect for effect in effects if not is_intercept(effect[0][2])]
    p, row = table["blrt_p"].dropna(), table.loc[n_classes].to_dict()
    converged = everything["converged"].astype(bool)
    ranked = table[table["converged"].astype(bool) | (table.index == n_classes)]
    corrections = [means.attrs["correction"] or "no" for means in profiles.outcomes.values()]
    text = template.filled(
        "latent_class_analysis/class_report.jinja",
        bounded=bounded,
        p_equals=p_equals,
        plain=plain,
        ratio=ratio,
        equals=equals,
        wald_text=lambda test: SYMBOLS.sub(r"*\1*", wald_text(test)),
        percent="{:.1%}".format,
        enumeration=enumeration,
        profiles=profiles,
        numbers=enumeration.listed(sorted(set(everything["n_classes"]))),
        n=f"{enumeration.n_samples:,.0f}",
        version=__version__,
        models=enumeration.models_in_words,
        indicators=list(map(str, profiles.profiles.index.unique("column"))),
        phrase=phrase,
        noun=profiles.noun,
        large=LARGE_RESIDUAL,
        vlmr=everything["vlmr_p"].notna().any(),
        starts=STARTS,
        level=LEVEL,
        shares=phrase([f"{share:.1%}" for share in profiles.sizes["share"]]),
        covariates=phrase(enumeration.covariates) if enumeration.covariates else "",
        correction=f"{corrections[0]} correction" if corrections else "",
        chosen=chosen if len(enumeration.models) > 1 else "The model",
        K=n_classes,
        row=row | {"entropy": profiles.entropy},
        smallest=row["bic"] == everything["bic"][converged].min(),
        best={name: best_number(ranked[name]) for name in ("aic", "sabic")},
        tests=[(K, p[K], table["vlmr_p"][K]) for K in (n_classes, n_classes + 1) if K in p.index],
        unconditional=unconditional,
        terms=[] if profiles.covariate_tests is None else rows_by_key(profiles.covariate_tests),
        effects=[e for e in effects if e[1]["p"] <= LEVEL],
        n_effects=len(effects),
        interval="" if profiles.contrasts is None else f"{profiles.contrasts.attrs['level']:.0%}",
        outcomes=rows_by_key(profiles.overall),
        rivals=list(of_rivals),
        ref={name: f"Table {table.number}" for name, table in tables.items()}
        | {name: f"Figure {figure.number}" for name, figure in figures.items()},
        converged=int(converged.sum()),
        replicated=everything["replicated"].min(),
    )
    blocks = (block.strip() for block in re.split(r"\n\s*\n", text))
    return ClassReport(
        tuple(b if b.startswith("- ") else " ".join(b.split()) for b in blocks if b),
        tables,
        figures,
        f"Latent {profiles.plural}",
    )


def _figures(enumeration: Enumeration, profiles: ClassProfiles) -> dict[str, ApaFigure]:
    """Return the figures of criteria, profiles and classification."""
    errors = f"Bars are standard errors ({profiles.errors_in_words})."
    hidden = len(shown_fits(enumeration.table)) < len(enumeration.table)
    circle = "A circle marks the smallest value."
    circle += f" Values of one {profiles.noun} are larger, and not shown." if hidden else ""
    panels = {"nrows": 1, "ncols": 3, "squeeze": False}
    kinds = profiles.profiles.index.unique("parameter")
    units = "Means in standard deviations from the mean of the sample. " if "mean" in kinds else ""
    numbered: tuple[tuple[Any, ...], ...] = (
        (f"Criteria by Number of {profiles.plural.title()}", circle,
         lambda axes: plots.plot_enumeration(enumeration, axes), (8.2, 3.0), panels),
        (f"Estimates of the {profiles.n_classes}-{profiles.noun.title()} Model", f"{units}{errors}",
         lambda ax: plots.plot_class_profiles(profiles, ax=ax), profiles_size(profiles)),
        (f"Mean Posterior Probabilities by Assigned {profiles.noun.title()}",
         f"Rows are the assigned {profiles.plural}.",
         lambda ax: plots.plot_classification(profiles, ax=ax), (3.4, 3.0)),
    )  # fmt: skip
    names = ("criteria", "figure of profiles", "figure of classification")
    return {
        name: ApaFigure(name.replace("figure of ", ""), number, *parts)
        for number, (name, parts) in enumerate(zip(names, numbered, strict=True), start=1)
    }
