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
from bayesmix.selection.criteria.registry import RECORDS, record

# How the sentences of a search begin that say how sure it is.
HOW_SURE = (
    "Runner-up",
    "It has the best held-out",
    "The best held-out",
    "The most probable number",
)
# ... and what they hold that a table of the page says better.
IN_A_TABLE = (
    "Runner-up:",
    "Probability of the number",
    " would choose ",
    "They answer different questions",
    "have no value",
)
LEAST_SHOWN = 0.0005


def header(subject: Subject, title: str) -> Markup:
    """The headline and the sentences under it."""
    return tag(
        "header",
        tag("p", title, class_="eyebrow"),
        tag("h1", subject.headline()),
        tag("p", " ".join([_among(subject), *map(typeset, how_sure(subject))]), class_="lede"),
        _how_probable(subject),
    )


def _how_probable(subject: Subject) -> Markup:
    """The most probable number of components, where there are probabilities."""
    series = subject.probabilities
    if series is None:
        return Markup()
    k = int(series.idxmax())
    source = series.attrs["evidence"]
    by = f", by {source}" if source.startswith("BIC") else ""
    return tag(
        "p",
        f"The probability of {counted(k, 'component')} is {_percent(float(series[k]))}, if one of "
        f"{'the numbers' if len(series) > 1 else 'them'} that were compared is right{by}.",
        class_="lede",
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


def how_sure(subject: Subject) -> list[str]:
    """Of every kind of sentence that says so the first."""
    said = (
        next((line for line in subject.sentences if line.startswith(opening)), None)
        for opening in HOW_SURE
    )
    return [line for line in said if line]


def disagreement(subject: Subject) -> Markup:
    """What each criterion would choose, and what follows where they differ."""
    told = how_sure(subject)
    rest = [
        line
        for line in subject.sentences[1:]
        if line not in told and not any(words in line for words in IN_A_TABLE)
    ]
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
        "What the criteria say",
        _agreement(subject, choices),
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


def _agreement(subject: Subject, choices: list[tuple[str, Any, bool]]) -> Markup:
    """Whether they agree, in a sentence."""
    chosen = {subject.label(place) for _, place, _ in choices}
    numbers = {int(subject.table["found_components"][place]) for _, place, _ in choices}
    if len(choices) == 1 or len(subject.table) == 1:
        return Markup()
    if len(chosen) == 1:
        return tag("p", "All criteria choose the same candidate.")
    if len(numbers) == 1:
        return tag("p", "All criteria choose the same number of components.")
    low, high = min(numbers), max(numbers)
    return tag(
        "p",
        f"They do not agree: the numbers of components chosen go from {low} to {high}. Each "
        "answers a question of its own, so take the one that is yours.",
    )


def probabilities(subject: Subject) -> Markup:
    """P(K | rows) as bars; nothing where it is not defined."""
    series = subject.probabilities
    if series is None:
        return Markup()
    prior = series.attrs["prior"]
    flat = len(set(prior.values())) == 1
    bars = joined(
        tag(
            "tr",
            tag("th", str(k), scope="row", class_="number"),
            tag("td", _percent(float(p)), class_="number"),
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


def _percent(p: float) -> str:
    return f"{number(100 * p, 1)} %" if p >= LEAST_SHOWN else "< 0.1 %"
