"""What a search found, in sentences."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from bayesmix.selection.candidates.row import Row
from bayesmix.selection.choice.cautions import listed
from bayesmix.selection.choice.probability import Probabilities, totals_over_k
from bayesmix.selection.choice.rule import ALONE, Judgement
from bayesmix.selection.choice.rule import NAME as RULE
from bayesmix.selection.criteria.scores import ON_THE_SCALE_OF_EVIDENCE, column_of

NAMES = {
    "evidence_folds": "evidence and folds",
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
    "evidence_folds": "groups",
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
# A probability above which other criteria do not make it an open question.
SETTLED = 0.9
# Nats behind within which what could not be chosen is named: odds of 20 to 1.
CLOSE = 3.0
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
    judgement: Judgement,
    criterion: str,
    n: float,
    found: Probabilities | None,
    notes: list[str],
) -> str:
    """The answer, how close the runners-up are, how sure of K, what other criteria would say.

    Candidates are ranked, the chosen one first.
    """
    rows = judgement.rows
    scored = column_of(criterion)
    best, *others = (row for row in rows if math.isfinite(row.value(scored)))
    lines = [f"By {NAMES.get(criterion, criterion)}: {label(best)}."]
    if criterion == RULE:
        lines += _how_it_was_chosen(judgement, best, n)
    else:
        value = best.value(scored)
        over = float(best.held.weights.sum()) if scored == "cv" and best.held is not None else n
        what = _capital(NAMES.get(scored, scored))
        lines.append(f"{what} is {value:.2f} nats over {over:g} rows.")
    lines += _judged(rows, n)
    lines += notes
    if found is not None and len(found.prior) > 1:
        totals = totals_over_k(rows, found)
        lines.append(_probable(rows, totals, found, criterion == RULE))
        lines += _not_the_most_probable(rows, best, criterion, totals)
    if criterion == "cv_1se":
        lines += _simpler(best, others)
    else:
        free = [row for row in others if row.may_win and not _is_same(row, best, scored)]
        lines += [_runner_up(row, best, scored) for row in free[:3]]
    lines += _others(rows, best, criterion, found)
    failed = [row for row in rows if row.note.startswith(("failed", "degenerate"))]
    if failed:
        lines.append(
            f"{len(failed)} of {len(rows)} candidates have no value (failed or degenerate): "
            "see the column note of results_."
        )
    coding = getattr(getattr(best.result, "family", None), "coding", None)
    if coding is not None:
        # A family of one kind of columns knows them by number.
        columns = best.result.columns if best.result is not None else None
        named = coding if columns is None else replace(coding, names=columns)
        lines.append(f"Columns: {named.sentence}.")
    return "\n".join(lines)


def _judged(rows: list[Row], n: float) -> list[str]:
    """That held-out density is of some of the rows, where it is."""
    counted = [float(row.held.weights.sum()) for row in rows if row.held is not None][:1]
    return [f"Held-out density is of {m:g} of the {n:g} rows." for m in counted if m < 0.99 * n]


def _how_it_was_chosen(judgement: Judgement, best: Row, n: float) -> list[str]:
    """What the rule did in this case, and what evidence alone would have done."""
    rows, behind = judgement.rows, judgement.behind
    names = {row.kind: _kind(row) for row in rows}
    lines = []
    if not behind:
        what = "number of components" if len(names) == 1 else "candidate"
        why = f": {judgement.why_no_folds}" if judgement.why_no_folds else ""
        lines.append(f"The evidence chose the {what}, over {n:g} rows{why}.")
    elif not judgement.refuted:
        lines.append(
            "Held-out density does not tell the structures apart (differences are within one "
            f"standard error), and the evidence chose among all of them, over {n:g} rows."
        )
    else:
        gone = [
            f"{names[kind]} ({behind[kind].value:.1f} nats behind, standard error "
            f"{behind[kind].standard_error:.1f})"
            for kind in judgement.refuted
        ]
        left = [names[kind] for kind in names if kind not in judgement.refuted]
        best_of = [max((row for row in rows if row.kind == kind), key=_worth) for kind in behind]
        some_barred = any(row.objection not in ("", ALONE) for row in best_of)
        free = " that may be chosen" if some_barred else ""
        chose = (
            f"among {listed(left)} the evidence chose"
            if len(left) > 1
            else "the evidence chose the number of components of the one that is left"
        )
        lines.append(
            f"Held-out density, each structure at its best number of components{free}, refutes "
            f"{listed(gone)}; {chose}, over {n:g} rows."
        )
    if judgement.n_apart and behind:
        what = "the row" if judgement.n_apart == 1 else f"the {judgement.n_apart} rows"
        lines.append(f"It leaves out {what} that components of few rows gain most by.")
    if judgement.without_standing:
        lines.append(
            "Every candidate of several components has one that holds few rows or one value."
        )
    unrefuted = [row for row in rows if not row.refuted]
    looked_at: list[list[Row]] = [rows, unrefuted] if judgement.refuted else [rows]
    for some in looked_at:
        ahead = max(some, key=_worth)
        gap = ahead.value(RULE) - best.value(RULE)
        if gap > 0.0 and not ahead.may_win:
            lines.append(
                f"By the evidence alone it would be {label(ahead)}, {gap:.1f} nats ahead; it is "
                f"not chosen, since {ahead.excluded}."
            )
    barred = max((row for row in unrefuted if not row.may_win), key=_worth, default=best)
    gap = best.value(RULE) - _worth(barred)
    if barred is not best and 0.0 <= gap < CLOSE:
        lines.append(
            f"{_capital(label(barred))}, would be {gap:.1f} nats behind; it could not be chosen, "
            f"since {barred.excluded}."
        )
    return list(dict.fromkeys(lines))


def _worth(row: Row) -> float:
    """By the rule; candidates without a value come last."""
    value = row.value(RULE)
    return value if math.isfinite(value) else -math.inf


def _kind(row: Row) -> str:
    """A candidate without its number of components: "tied covariance"."""
    return label(row).split(", ", 1)[-1]


def _simpler(best: Row, others: list[Row]) -> list[str]:
    """What the one-standard-error rule gave up, and why that is not much."""
    leader = others[0] if others else best
    if best.held is None or leader.held is None or leader.value("cv") <= best.value("cv"):
        return ["It has the best held-out density as well."]
    behind = leader.held.less(best.held)
    return [
        f"The best held-out density has {label(leader)}, {behind.value:.2f} nats more, with a "
        f"standard error of that difference of {behind.standard_error:.2f}."
    ]


def _probable(
    rows: list[Row], totals: dict[int, float], found: Probabilities, by_rule: bool
) -> str:
    """Probabilities over K, with the prior over K that they rest on."""
    likely = sorted(totals, key=lambda k: -totals[k])[:3]
    parts = [f"{totals[k]:.2f} for {k}" for k in likely if totals[k] >= 0.005]
    numbers = sorted(found.prior)
    if len(set(found.prior.values())) == 1:
        prior = f"the same for each from {numbers[0]} to {numbers[-1]}"
    else:
        prior = "falling with K" if found.falls else "as given"
    over = ", over the structures that are left" if by_rule and any(r.refuted for r in rows) else ""
    return (
        f"Probability of the number of components: {', '.join(parts)}, by {found.source}{over}; "
        f"beforehand {prior}."
    )


def _not_the_most_probable(
    rows: list[Row], best: Row, criterion: str, totals: dict[int, float]
) -> list[str]:
    """Why another number of components than the most probable one was chosen, where one was."""
    likely = max(totals, key=lambda k: totals[k])
    if likely == best.asked:
        return []
    if not any(row.may_win for row in rows if row.asked == likely and not row.refuted):
        why = "could not be chosen: every candidate that has it is excluded, see results_"
    elif criterion == RULE:
        why = "is that of all structures together, with the prior over K; one candidate was chosen"
    else:
        why = f"is not what {NAMES.get(criterion, criterion)} asks for"
    return [f"The most probable number, {likely}, {why}."]


def _others(rows: list[Row], best: Row, criterion: str, found: Probabilities | None) -> list[str]:
    """What other criteria would choose, what they answer, and what follows."""
    lines, apart = [], {}
    # What the rule computes for those in contention alone is no choice among all.
    of_some = ("evidence", "cv") if criterion == RULE else ()
    for other in COMPARED:
        if other in of_some:
            continue
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
        said = (f"{listed(names)} would choose {chosen}" for chosen, names in choices.items())
        lines.append(_capital("; ".join(said)) + ".")
    mine = ABOUT.get(criterion)
    differing = [o for o, choice in apart.items() if choice.n_components != best.n_components]
    if mine is None or not differing:
        return lines
    asked: dict[str, list[str]] = {}
    for other in differing:
        asked.setdefault(ABOUT[other], []).append(NAMES[other])
    # What is excluded was not weighed: that a criterion would have it unsettles nothing.
    same = [NAMES[o] for o in differing if ABOUT[o] == mine and apart[o].may_win]
    asked.pop(mine, None)
    if asked:
        answers = [(mine, [NAMES[criterion]]), *asked.items()]
        said = (f"{_capital(listed(names))}: {ANSWERS[about]}." for about, names in answers)
        lines.append(f"They answer different questions. {' '.join(said)}")
    if same and mine == "groups" and not _settled(rows, best, found):
        lines.append(
            f"{_capital(listed(same))} {'asks' if len(same) == 1 else 'ask'} the same and "
            f"{'differs' if len(same) == 1 else 'differ'}: these rows do not settle the number."
        )
    icl = apart.get("icl")
    if icl is not None and icl.n_components < best.n_components and mine != "clusters":
        lines.append(
            f"Some components overlap: for a density keep {best.n_components}; for clusters merge "
            "them (bayesmix.merge_components)."
        )
    return lines


def _settled(rows: list[Row], best: Row, found: Probabilities | None) -> bool:
    """Whether probabilities leave no doubt of the number."""
    return found is not None and totals_over_k(rows, found).get(best.asked, 0.0) > SETTLED


def _is_same(row: Row, best: Row, criterion: str) -> bool:
    """Whether two candidates are one model: of one component some structures are."""
    values = row.value(criterion), best.value(criterion)
    return row.asked == best.asked == 1 and math.isclose(*values, rel_tol=1e-9)


def _runner_up(row: Row, best: Row, criterion: str) -> str:
    behind = best.value(criterion) - row.value(criterion)
    line = f"Runner-up: {label(row)}, {behind:.2f} nats behind"
    if criterion in (*ON_THE_SCALE_OF_EVIDENCE, RULE):
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


def _capital(text: str) -> Any:
    return text[:1].upper() + text[1:]
