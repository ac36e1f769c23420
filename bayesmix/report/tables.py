"""Values of the tables and warnings of a report, as the template shows them."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from bayesmix.allocation.gated_chain import CovariateChain
from bayesmix.core.nouns import part_name
from bayesmix.em.display import effects_in_words
from bayesmix.posterior.pareto import TRUSTED_UP_TO
from bayesmix.report.subject import Subject, capital, listed
from bayesmix.selection.criteria import RECORDS, record
from bayesmix.selection.summary_text import cell, four_digits
from bayesmix.selection.tasks import DEGENERATE

if TYPE_CHECKING:
    import pandas as pd

NO_VALUE = "–"
SHORT = {"covariance_type": "covariance", "log_likelihood": "log L", "nec": "NEC (a ratio)"}


def number(value: float, decimals: int = 2) -> str:
    """Format a number with a true minus sign and thousands separators; a dash if missing."""
    if not math.isfinite(value):
        return NO_VALUE
    return f"{value:,.{decimals}f}".replace("-", "−")


def typeset(text: str) -> str:
    """Return a sentence with true minus signs before numbers."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def of_frame(frame: pd.DataFrame) -> dict[str, Any]:
    """Return heads, rows and kinds of the columns of a frame, numbers with four digits."""
    numeric = [column.dtype.kind in "fiu" for _, column in frame.items()]
    return {
        "heads": [
            record(name).label if name in RECORDS else str(name).replace("_", " ") for name in frame
        ],
        "rows": [list(map(_text, row)) for row in frame.itertuples(index=False)],
        "best": [],
        "kinds": ["number" if is_number else "words" for is_number in numeric],
    }


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NO_VALUE
    return four_digits(value, ",") if isinstance(value, float) else str(value)


def criteria(subject: Subject) -> list[tuple[str, str, str]]:
    """Return each criterion, its best candidate, and what it estimates; the one in use first."""
    frame, criterion = subject.table, subject.search.criterion_
    columns = {name: record(name).column for name in dict.fromkeys([criterion, *RECORDS])}
    choices = {
        name: (np.sign(record(name).factor) * frame[column].dropna()).idxmax()
        for name, column in columns.items()
        if column in frame and frame[column].notna().any()
    }
    return [
        (
            capital(record(name).label) + (" (used)" if name == criterion else ""),
            subject.label(place),
            record(name).question.format(subject.noun),
        )
        for name, place in choices.items()
    ]


def candidates(subject: Subject) -> dict[str, Any]:
    """Return a row per candidate and a column per criterion, in the order of ``results_``."""
    frame, criterion = subject.table, subject.criterion
    pruned = bool((frame["found_components"] != frame["n_components"]).any())
    scores = [name for name in ("log_likelihood", *RECORDS, "nec") if name in frame]
    beside = [name for name in scores if name != criterion and frame[name].notna().any()]
    words, paired = subject.parameters, criterion == "cv" and "cv_behind" in frame
    records = [(name, record(name)) for name in (criterion, *beside)]
    labels = [SHORT.get(name, of.short or of.label) for name, of in records]
    heads = [
        f"{subject.noun}s",
        *(["found"] if pruned else []),
        *(SHORT.get(name, name) for name in words),
        labels[0],
        "from the best",
        *labels[1:],
        "seconds",
    ]
    rows = [
        [
            str(row["n_components"]),
            *([str(row["found_components"])] if pruned else []),
            *(cell(name, row[name]) for name in words),
            _score(row, criterion),
            _score(row, "cv_behind" if paired else "behind"),
            *(_score(row, name) for name in beside),
            number(float(row["seconds"])),
        ]
        for _, row in frame.iterrows()
    ]
    return {
        "heads": heads,
        "rows": rows,
        "kinds": ["number"] * (1 + pruned)
        + ["words"] * len(words)
        + ["number"] * (3 + len(beside)),
        "best": [place == subject.search.best_index_ for place in frame.index],
        "without": int((~frame[criterion].map(_finite)).sum()),
    }


def _finite(value: Any) -> bool:
    return isinstance(value, float | int) and math.isfinite(value)


def _score(row: Any, name: str, error: str = "") -> str:
    """Format a value with its standard error, if there is one."""
    if not _finite(row[name]):
        return NO_VALUE
    text = number(float(row[name]), 3 if name == "nec" else 2)
    spread = row.get(error or f"{name}_se", math.nan)
    return f"{text} ± {number(float(spread))}" if _finite(spread) else text


def warnings(subject: Subject) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return the candidates and the text of each warning once; "" for those of the search.

    Apart from them are the warnings of candidates that were not chosen, but for failed ones.
    """
    search, frame = subject.search, subject.table
    notes: dict[str, list[str]] = {}
    if getattr(search, "interrupted_", False):
        notes[
            "The search was interrupted: only the candidates listed here were compared. Set "
            "checkpoint=... to continue searches after an interruption."
        ] = []
    notes |= {text: [] for text in search.cautions_}
    pareto = frame.loc[search.best_index_].get(f"{subject.criterion}_k", math.nan)
    if _finite(pareto) and pareto > TRUSTED_UP_TO:
        name = subject.criterion_name.removeprefix("the ")
        notes[
            f"Pareto k of the chosen candidate is {pareto:.2f}, above {TRUSTED_UP_TO}: its {name} "
            "is unreliable. Compare with another criterion, such as cross-validation."
        ] = []
    for place in frame.index:
        note, warning = (str(frame[name][place]) for name in ("note", "warnings"))
        # A collapse is reported in both.
        for text in (note, "" if note.startswith(DEGENERATE) else warning):
            if text:
                notes.setdefault(text, []).append(subject.label(place))
    failed = {str(note) for note in frame["note"]}
    chosen = subject.label(search.best_index_)
    told: list[tuple[str, str]] = []
    others: list[tuple[str, str]] = []
    for text, labels in notes.items():
        first = not labels or text in failed or chosen in labels
        (told if first else others).append((listed(labels, 3, "; "), text))
    return told, others


def covariates(subject: Subject) -> list[tuple[str, dict[str, Any]]]:
    """Return tables of effects of covariates of a fit with captions; none without covariates.

    Standard errors need the data of a maximum likelihood fit.
    """
    result = subject.result
    design, weights = result.side.design, cast("Any", result.mixture.weights)
    if design is None:
        return []
    what = effects_in_words(weights.effects, design.names)
    if subject.rows is not None and result.inference.name == "maximum_likelihood":
        from bayesmix.posterior.gate_errors import gate_coefficients

        table = gate_coefficients(subject.estimator, subject.rows)
        text = f"Log odds of {what}, with 95 % intervals"
    else:
        table, text = _log_odds(subject), f"Log odds of {what}"
    tables = [(text, of_frame(table.reset_index()))]
    if isinstance(weights, CovariateChain):
        text = (
            "Transition probabilities where a covariate is at its mean, and one standard deviation "
            "below and above it; others are at their means"
        )
        tables.append((text, of_frame(_transitions(subject, weights))))
    return tables


def _log_odds(subject: Subject) -> pd.DataFrame:
    """Return the coefficients of gates in units of the covariates."""
    import pandas as pd

    weights: Any = subject.result.mixture.weights
    design: Any = subject.result.side.design
    noun, rows, first = subject.result.class_noun, [], 0
    for numbers, places in zip(weights.free_rows, weights.free_terms, strict=True):
        own, last = design.restricted(places), first + len(places)
        names = [part_name(noun, number) for number in numbers]
        values = own.back @ weights.free[first:last]
        rows += [(*names, term, value) for term, value in zip(own.terms, values, strict=True)]
        first = last
    return pd.DataFrame(rows, columns=[*weights.free_names[:-1], noun, "term", "estimate"])


def _transitions(subject: Subject, chain: CovariateChain) -> pd.DataFrame:
    """Return transition probabilities at values of each covariate."""
    import pandas as pd

    design: Any = subject.result.side.design
    noun, K = subject.result.class_noun, chain.n_components
    rows = []
    for place, name in enumerate(design.names):
        for away in (-1.0, 0.0, 1.0):
            at = np.zeros((1, len(design.names) + 1))
            at[0, 0], at[0, place + 1] = 1.0, away
            value = design.centre[place] + away * design.scale[place]
            for state, probabilities in enumerate(chain.transitions_of(at)[0]):
                rows.append((name, value, part_name(noun, state), *probabilities))
    heads = ["covariate", "value", "from", *(f"to {part_name(noun, k)}" for k in range(K))]
    return pd.DataFrame(rows, columns=heads)
