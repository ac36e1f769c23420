"""The answer first: what was chosen, how sure that is, what other criteria would choose."""

from __future__ import annotations

from typing import Any

from bayesmix.report.markup import (
    Markup,
    joined,
    number,
    paragraphs,
    section,
    table,
    tag,
    typeset,
)
from bayesmix.report.subject import Subject, capital, counted, criterion_name
from bayesmix.selection.criteria import RECORDS, record
from bayesmix.selection.summary_text import SUREST

LEAST_SHOWN = 0.0005


def header(subject: Subject, title: str) -> Markup:
    """The headline, and the summary that the shell and notebooks show as well."""
    return tag(
        "header",
        tag("p", title, class_="eyebrow"),
        tag("h1", subject.headline()),
        joined(tag("p", typeset(line), class_="lede") for line in subject.sentences),
        tag("p", _among(subject), class_="lede"),
    )


def _among(subject: Subject) -> str:
    """By what it was chosen, and from what."""
    numbers = sorted(set(subject.table["n_components"]))
    compared = str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    components = "component" if numbers[-1] == 1 else "components"
    chosen = criterion_name(subject.search.criterion_)
    rows = counted(subject.result.n_rows, "row")
    columns = counted(subject.result.n_features, "column")
    n = len(subject.table)
    if n == 1:
        return f"The only candidate, fitted to {rows} of {columns}; {chosen} had nothing to choose."
    return (
        f"Chosen by {chosen} among {n} candidates of {compared} {components}, on {rows} of "
        f"{columns}."
    )


def criteria(subject: Subject) -> Markup:
    """The choice of each criterion, and what the verbose summary has beside the short one."""
    rest = [line for line in subject.details if line not in subject.sentences]
    choices = _choices(subject)
    rows = [
        (
            capital(criterion_name(name)) + (" (used)" if mine else ""),
            subject.label(place),
            record(name).question,
        )
        for name, place, mine in choices
    ]
    return section(
        "Criteria",
        table(
            "Each criterion, the candidate that it would choose, and the question that it answers",
            ("criterion", "would choose", "asks"),
            rows,
            ("words", "words", "words"),
            [mine for _, _, mine in choices],
        ),
        paragraphs(map(typeset, rest)),
    )


def _choices(subject: Subject) -> list[tuple[str, Any, bool]]:
    """(criterion, its candidate, whether it is the one that chose), that one first."""
    mine = subject.search.criterion_
    names = [name for name in RECORDS if name != mine and name in subject.table]
    found = [(mine, subject.search.best_index_, True)]
    for name in names:
        values = subject.table[name].dropna()
        if len(values):
            found.append((name, values.idxmax(), False))
    return found


def probabilities(subject: Subject) -> Markup:
    """P(K | rows) as bars; nothing where it is not defined."""
    series = subject.probabilities
    if series is None:
        return Markup()
    prior = series.attrs["prior"]
    flat = len(set(prior.values())) == 1
    approximate = "approximation" in series.attrs["evidence"]
    bars = joined(
        tag(
            "tr",
            tag("th", str(k), scope="row", class_="number"),
            tag("td", _percent(float(p), approximate), class_="number"),
            tag(
                "td",
                tag("span", class_="bar", style=f"width:{max(100 * float(p), 0.0):.1f}%"),
                class_="bars",
                aria_hidden="true",
            ),
        )
        for k, p in series.items()
    )
    caption = f"Probability of each number of components, from {series.attrs['evidence']} and " + (
        "the same prior probability for each." if flat else "the prior over K that was given."
    )
    heads = tag(
        "tr",
        tag("th", "components", scope="col", class_="number"),
        tag("th", "probability", scope="col", class_="number"),
        tag("td", aria_hidden="true"),
    )
    return tag(
        "figure",
        tag("figcaption", caption),
        tag("table", tag("thead", heads), tag("tbody", bars), aria_label=caption),
        class_="probabilities",
    )


def _percent(p: float, approximate: bool) -> str:
    if approximate and p > SUREST:
        return f"> {number(100 * SUREST, 0)} %"
    return f"{number(100 * p, 1)} %" if p >= LEAST_SHOWN else "< 0.1 %"
