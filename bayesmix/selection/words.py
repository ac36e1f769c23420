"""What a search found, in sentences."""

from __future__ import annotations

import math
from typing import Any

from bayesmix.selection.sweep import Row

NAMES = {
    "bic": "BIC",
    "aic": "AIC",
    "aicc": "AICc",
    "icl": "ICL",
    "icl_soft": "soft ICL",
    "elbo": "the evidence lower bound",
    "elbo_log_k": "the evidence lower bound with log K!",
    "cv": "cross-validated log density",
}
ON_THE_SCALE_OF_EVIDENCE = ("bic", "elbo", "elbo_log_k")


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


def summary(rows: list[Row], order: list[int], criterion: str, n: float) -> str:
    """The answer, how close the runners-up are, and what other criteria would say."""
    best = rows[order[0]]
    name = NAMES.get(criterion, criterion)
    lines = [f"By {name}: {label(best)}."]
    value = best.value(criterion)
    lines.append(f"{_capital(name)} is {value:.2f} nats over {n:g} rows.")
    for position in order[1:4]:
        lines.append(_runner_up(rows[position], best, criterion))
    others = []
    for other in ("bic", "icl", "aic", "elbo", "cv"):
        if other == criterion:
            continue
        ranked = [row for row in rows if math.isfinite(row.value(other))]
        if ranked:
            choice = max(ranked, key=lambda row: row.value(other))
            if label(choice) != label(best):
                others.append(f"{NAMES[other]} would choose {label(choice)}")
    if others:
        lines.append(_capital("; ".join(others)) + ".")
    failed = [row for row in rows if row.note.startswith(("failed", "degenerate"))]
    if failed:
        lines.append(
            f"{len(failed)} of {len(rows)} candidates have no value (failed or degenerate): "
            "see the column note of results_."
        )
    return "\n".join(lines)


def _runner_up(row: Row, best: Row, criterion: str) -> str:
    behind = best.value(criterion) - row.value(criterion)
    line = f"Runner-up: {label(row)}, {behind:.2f} nats behind"
    if criterion in ON_THE_SCALE_OF_EVIDENCE:
        line += f" ({_odds(behind)})"
    error = row.scores[criterion].standard_error
    if math.isfinite(error):
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
