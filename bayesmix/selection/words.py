"""What a search found, in sentences."""

from __future__ import annotations

import math
from typing import Any

from bayesmix.selection.criteria import ON_THE_SCALE_OF_EVIDENCE, column_of
from bayesmix.selection.probabilities import Probabilities, totals_over_k
from bayesmix.selection.row import Row

NAMES = {
    "auto": "evidence and AICc",
    "bic": "BIC",
    "sabic": "sample-size adjusted BIC",
    "aic": "AIC",
    "aicc": "AICc",
    "icl": "ICL",
    "icl_soft": "soft ICL",
    "elbo": "the evidence lower bound",
    "elbo_log_k": "the evidence lower bound with log K!",
    "evidence": "the importance-weighted evidence",
    "loo": "leave-one-out log density",
    "cv": "cross-validated log density",
    "cv_1se": "cross-validated log density with the one-standard-error rule",
}
# What each answers: how many groups made the data, which density predicts, which clusters part.
ABOUT = {
    "auto": "groups",
    "bic": "groups",
    "sabic": "groups",
    "elbo": "groups",
    "elbo_log_k": "groups",
    "evidence": "groups",
    "aic": "density",
    "aicc": "density",
    "cv": "density",
    "cv_1se": "density",
    "loo": "density",
    "icl": "clusters",
    "icl_soft": "clusters",
}
ANSWERS = {
    "groups": "how many components made the rows",
    "density": "which density predicts new rows best",
    "clusters": "how many clusters stand apart",
}
COMPARED = ("bic", "icl", "aic", "elbo", "evidence", "loo", "cv")


def label(row: Row) -> str:
    """A candidate in a few words: "3 components, tied covariance"."""
    n = row.n_components
    parts = [f"{n} component{'s' if n != 1 else ''}"]
    for key, value in row.parameters.items():
        name = key.split("__")[-1]
        if name == "covariance_type":
            parts.append(f"{value} covariance")
        elif name != "n_components":
            parts.append(f"{name}={value}")
    return ", ".join(parts)


def summary(
    rows: list[Row], order: list[int], criterion: str, n: float, found: Probabilities | None
) -> str:
    """The answer, how close the runners-up are, how sure of K, what other criteria would say."""
    best = rows[order[0]]
    scored = column_of(criterion)
    lines = [f"By {NAMES.get(criterion, criterion)}: {label(best)}."]
    if criterion == "auto":
        lines.append(_both_questions(rows, best, n))
    else:
        value = best.value(scored)
        lines.append(f"{_capital(NAMES.get(scored, scored))} is {value:.2f} nats over {n:g} rows.")
    if found is not None:
        lines.append(_probable(rows, found))
    if criterion == "cv_1se":
        lines += _simpler(rows, order)
    else:
        lines += [_runner_up(rows[place], best, scored) for place in order[1:4]]
    lines += _others(rows, best, criterion)
    failed = [row for row in rows if row.note.startswith(("failed", "degenerate"))]
    if failed:
        lines.append(
            f"{len(failed)} of {len(rows)} candidates have no value (failed or degenerate): "
            "see the column note of results_."
        )
    return "\n".join(lines)


def _both_questions(rows: list[Row], best: Row, n: float) -> str:
    """What "auto" asked of which criterion; its value is not on the scale of either."""
    if len({row.kind for row in rows}) == 1:
        return f"The evidence (bound + log K!) chose the number of components, over {n:g} rows."
    if not math.isfinite(best.value("aicc")):
        return (
            "The evidence (bound + log K!) chose the covariance structure as well: AICc has no "
            f"value for so few rows ({n:g})."
        )
    return (
        "The evidence (bound + log K!) chose the number of components within each structure, AICc "
        f"the structure that predicts best, over {n:g} rows."
    )


def _simpler(rows: list[Row], order: list[int]) -> list[str]:
    """What the one-standard-error rule gave up, and why that is not much."""
    best, leader = rows[order[0]], rows[order[1]] if len(order) > 1 else rows[order[0]]
    if best.held is None or leader.held is None or leader.value("cv") <= best.value("cv"):
        return ["It has the best held-out density as well."]
    behind = leader.held.less(best.held)
    return [
        f"The best held-out density has {label(leader)}, {behind.value:.2f} nats more, with a "
        f"standard error of that difference of {behind.standard_error:.2f}."
    ]


def _probable(rows: list[Row], found: Probabilities) -> str:
    """Probabilities over K, with the prior over K that they rest on."""
    totals = totals_over_k(rows, found)
    likely = sorted(totals, key=lambda k: -totals[k])[:3]
    parts = [f"{totals[k]:.2f} for {k}" for k in likely if totals[k] >= 0.005]
    numbers = sorted(found.prior)
    flat = len(set(found.prior.values())) == 1
    prior = f"the same for each from {numbers[0]} to {numbers[-1]}" if flat else "as given"
    # Of "auto" the sentence before says it.
    source = "" if found.criterion == "auto" else f", by {found.source}"
    return (
        f"Probability of the number of components: {', '.join(parts)}{source}; beforehand {prior}."
    )


def _others(rows: list[Row], best: Row, criterion: str) -> list[str]:
    """What other criteria would choose, what they answer, and what follows."""
    lines, apart = [], {}
    for other in COMPARED:
        ranked = [row for row in rows if math.isfinite(row.value(other))]
        if other == column_of(criterion) or not ranked:
            continue
        choice = max(ranked, key=lambda row: row.value(other))
        if label(choice) != label(best):
            apart[other] = choice
    choices: dict[str, list[str]] = {}
    for other, choice in apart.items():
        choices.setdefault(label(choice), []).append(NAMES[other])
    if choices:
        said = (f"{_listed(names)} would choose {chosen}" for chosen, names in choices.items())
        lines.append(_capital("; ".join(said)) + ".")
    mine = ABOUT.get(criterion)
    differing = [o for o, choice in apart.items() if choice.n_components != best.n_components]
    if mine is None or not differing:
        return lines
    asked: dict[str, list[str]] = {}
    for other in differing:
        asked.setdefault(ABOUT[other], []).append(NAMES[other])
    same = asked.pop(mine, [])
    if asked:
        answers = [(mine, [NAMES[criterion]]), *asked.items()]
        said = (f"{_capital(_listed(names))}: {ANSWERS[about]}." for about, names in answers)
        lines.append(f"They answer different questions. {' '.join(said)}")
    if same and mine == "groups":
        lines.append(
            f"{_capital(_listed(same))} {'asks' if len(same) == 1 else 'ask'} the same and "
            f"{'differs' if len(same) == 1 else 'differ'}: these rows do not settle the number."
        )
    icl = apart.get("icl")
    if icl is not None and icl.n_components < best.n_components and mine != "clusters":
        lines.append(
            f"Some components overlap: for a density keep {best.n_components}; for clusters merge "
            "them (bayesmix.merge_components)."
        )
    return lines


def _runner_up(row: Row, best: Row, criterion: str) -> str:
    behind = best.value(criterion) - row.value(criterion)
    line = f"Runner-up: {label(row)}, {behind:.2f} nats behind"
    if criterion in (*ON_THE_SCALE_OF_EVIDENCE, "auto"):
        line += f" ({_odds(behind)})"
    error = row.scores[criterion].standard_error
    if row.held is not None and best.held is not None and criterion == "cv":
        paired = best.held.less(row.held).standard_error
        line += f" (standard error of the difference {paired:.2f})"
    elif math.isfinite(error):
        line += f" (standard error of its score {error:.2f})"
    return line + "."


def _odds(behind: float) -> str:
    """A difference of log evidence as odds, in words."""
    if behind < 1.0:
        return "too close to call"
    if behind > math.log(1e6):
        return "odds of over a million to one"
    odds = math.exp(behind)
    digits = max(0, math.floor(math.log10(odds)))
    return f"odds of about {round(odds, 1 - digits):,.0f} to 1"


def _listed(names: list[str]) -> str:
    """Names in one phrase: "BIC, ICL and AIC"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _capital(text: str) -> Any:
    return text[:1].upper() + text[1:]
