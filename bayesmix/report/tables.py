"""Tables of components and candidates, and warnings."""

from __future__ import annotations

from typing import Any

from bayesmix.em import display
from bayesmix.report.markup import (
    NO_VALUE,
    Markup,
    joined,
    number,
    section,
    table,
    tag,
    typeset,
    with_error,
)
from bayesmix.report.subject import Subject, capital, finite, listed
from bayesmix.selection.criteria import RECORDS, record
from bayesmix.selection.summary_text import counted
from bayesmix.selection.tasks import DEGENERATE

# Above this number, candidates are folded away except the first.
MOST_CANDIDATES = 14
FIRST_CANDIDATES = 8
MOST_COMPONENTS = 100
MOST_COLUMNS = 100
SHORT = {
    "covariance_type": "covariance",
    "log_likelihood": "log L",
    "sabic": "SABIC",
    "icl_soft": "soft ICL",
    "elbo": "ELBO",
    "elbo_log_k": "ELBO + log K!",
    "evidence": "evidence",
    "loo": "LOO",
    "cv": "CV",
    "nec": "NEC (a ratio)",
}
# Pareto k above which importance sampling is unreliable (Vehtari et al. 2017).
PARETO_K = 0.7


def components(subject: Subject) -> Markup:
    """Return weight, expected observations, and mean ± standard deviation of each component."""
    shown = display.component_table(subject.result, MOST_COMPONENTS, MOST_COLUMNS)
    coding = subject.result.family.coding
    levels = "; for categories the most probable one" if coding and coding.has_levels else ""
    units = "" if subject.steps is None else ", in the columns of the pipeline's output"
    return section(
        capital(f"{subject.noun}s"),
        table(
            f"Mean ± standard deviation by column{levels}{units}",
            shown.heads,
            [tuple(typeset(cell) for cell in row) for row in shown.rows],
            ["number"] * len(shown.heads),
        ),
        tag("p", capital(shown.more.removeprefix("... and ")) + ".", class_="note")
        if shown.more
        else Markup(),
        tag("p", typeset(capital(display.sentence(subject.result))) + ".", class_="note"),
    )


def candidates(subject: Subject) -> Markup:
    """Return all candidates in the order of ``results_``."""
    frame = subject.table
    order = list(frame.index)
    name = subject.criterion_name.removeprefix("the ")
    about = f"The chosen candidate first, then in order of {name}; in nats, greater is better"
    many = len(order) > MOST_CANDIDATES
    shown = order[:FIRST_CANDIDATES] if many else order
    content: list[str] = [candidate_table(subject, shown, about)]
    if many:
        whole = candidate_table(subject, order, f"All candidates. {about}")
        content.append(tag("details", tag("summary", f"All {len(order)} candidates"), whole))
    without = int((~frame[subject.criterion].map(finite)).sum())
    if without:
        text = f"{counted(without, 'candidate')} of {len(frame)} have no value and cannot be chosen"
        content.append(tag("p", f"{text}; the reasons are below.", class_="note"))
    return section("Candidates", *content)


def candidate_table(subject: Subject, order: list[Any], caption: str) -> Markup:
    """Return a row per candidate and a column per criterion."""
    frame = subject.table
    pruned = bool((frame["found_components"] != frame["n_components"]).any())
    scores = [name for name in ("log_likelihood", *RECORDS, "nec") if name in frame]
    beside = [name for name in scores if name != subject.criterion and frame[name].notna().any()]
    heads = [
        f"{subject.noun}s",
        *(["found"] if pruned else []),
        *(SHORT.get(name, name) for name in subject.parameters),
        SHORT.get(subject.criterion, record(subject.criterion).label),
        "behind",
        *(SHORT.get(name, record(name).label) for name in beside),
        "seconds",
    ]
    kinds = [
        *["number"] * (1 + pruned),
        *["words"] * len(subject.parameters),
        *["number"] * (3 + len(beside)),
    ]
    rows = [
        [
            str(row["n_components"]),
            *([str(row["found_components"])] if pruned else []),
            *(str(row[name]) for name in subject.parameters),
            _score(row, subject.criterion),
            _behind(subject, place),
            *(_score(row, name) for name in beside),
            number(float(row["seconds"])),
        ]
        for place, row in frame.loc[order].iterrows()
    ]
    marked = [place == subject.search.best_index_ for place in order]
    return table(caption, heads, rows, kinds, marked)


def _score(row: Any, name: str) -> str:
    if not finite(row[name]):
        return NO_VALUE
    if name == "nec":
        return number(float(row[name]), 3)
    return with_error(float(row[name]), float(row.get(f"{name}_se", float("nan"))))


def _behind(subject: Subject, place: Any) -> str:
    """Return differences to the chosen candidate, for cross-validation to the best."""
    row = subject.table.loc[place]
    if place == subject.search.best_index_:
        return "chosen"
    if subject.criterion == "cv" and "cv_behind" in row:
        return with_error(float(row["cv_behind"]), float(row["cv_behind_se"]))
    return number(float(row["behind"])) if finite(row["behind"]) else NO_VALUE


def warnings(subject: Subject) -> Markup:
    """Return warnings that the reader can act on."""
    notes = [tag("li", text) for text in _of_the_search(subject)]
    candidates_of: dict[str, list[str]] = {}  # of each note and warning
    for place in subject.table.index:
        note, warning = (str(subject.table[name][place]) for name in ("note", "warnings"))
        # A collapse is reported in both.
        for text in (note, "" if note.startswith(DEGENERATE) else warning):
            if text:
                candidates_of.setdefault(text, []).append(subject.label(place))
    for text, labels in candidates_of.items():
        notes.append(tag("li", tag("b", listed(labels, 3, "; ") + ": "), text))
    return listed_warnings(notes)


def listed_warnings(items: list[Markup]) -> Markup:
    """Return a list of warnings."""
    if not items:
        return section("Warnings", tag("p", "None."))
    return section("Warnings", tag("ul", joined(items), class_="warnings"))


def _of_the_search(subject: Subject) -> list[str]:
    search, frame = subject.search, subject.table
    notes: list[str] = []
    if getattr(search, "interrupted_", False):
        notes.append(
            "The search was interrupted: only the candidates listed here were compared. Set "
            "checkpoint=... to continue searches after an interruption."
        )
    best = frame.loc[search.best_index_]
    notes += search.cautions_
    pareto = best.get(f"{subject.criterion}_k", float("nan"))
    if finite(pareto) and pareto > PARETO_K:
        notes.append(
            f"Pareto k of the chosen candidate is {pareto:.2f}, above {PARETO_K}: its "
            f"{subject.criterion_name.removeprefix('the ')} is unreliable. Compare with another "
            "criterion, such as cross-validation."
        )
    return notes
