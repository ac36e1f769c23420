"""A cross-check as a person reads it: a few lines of text, and a small table in a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from bayesmix.checking.quantities import OCCUPIED
from bayesmix.sampling.evidence.pareto import TRUSTED_UP_TO
from bayesmix.workflow.display import CELL, FAINT

# Nats; an upper end that is known less well says nothing.
MOST_ERROR = 1.0
SAMPLERS = {"gibbs": "blocked Gibbs sampling", "nutpie": "NUTS (nutpie)", "pymc": "NUTS (PyMC)"}


def headline(check: Any) -> str:
    """Fit and sampler, and whether they agree."""
    result, found = check.found.result, check.found
    K = result.n_components
    size = f"{K} component{'s' if K != 1 else ''}"
    if result.requested_components != K:
        size += f" of {result.requested_components}"
    kinds = {finding.kind for finding in check.findings}
    # Where only draws are too few, nothing has been found to differ.
    verdict = "undecided" if kinds == {"convergence"} else "differs" if kinds else "agrees"
    return (
        f"{result.family.name}, {size}, against {SAMPLERS[check.sampler]}, {found.n_chains} x "
        f"{found.n_draws:,} draws: {verdict}"
    )


def summary(check: Any) -> str:
    """All that was found, a line each."""
    lines = [_sentence(headline(check))]
    lines += [f"- {_sentence(finding.text)}" for finding in check.findings]
    if check.note:
        lines.append(_sentence(check.note))
    if check.found.status != "finished":
        lines.append(f"Sampling was {check.found.status}: these are the draws so far.")
    lines += [_convergence(check), *_differences(check), *_occupied(check)]
    lines += [_prediction(check), *_evidence(check)]
    lines.append(_seconds(check))
    return "\n".join(lines)


def _convergence(check: Any) -> str:
    every = pd.concat([check.parameters, check.invariants])
    name = every["ess"].idxmin()
    said = (
        f"Convergence: R-hat at most {every['rhat'].max():.3f}, at least {every['ess'].min():,.0f} "
        f"effective draws ({name})"
    )
    if check.sampler == "gibbs":
        return f"{said}."
    return f"{said}; {check.n_divergent or 'no'} divergences."


def _differences(check: Any) -> list[str]:
    if not len(check.parameters):
        return ["Parameters: none that vary."]
    away = check.parameters["difference"].abs()
    covered = check.parameters["covered"]
    return [
        f"Means: at most {away.max():.2f} posterior standard deviations apart ({away.idxmax()}).",
        f"Standard deviations: {check.overconfidence:.2f} times the fit's (median of "
        f"{len(away)} parameters); its 90% intervals hold {covered.min():.0%} to "
        f"{covered.max():.0%} of the posterior.",
    ]


def _occupied(check: Any) -> list[str]:
    """Of a pruned fit, whether the sampler uses what it dropped."""
    result = check.found.result
    if result.n_components == result.requested_components or OCCUPIED not in check.invariants.index:
        return []
    mean = check.invariants.loc[OCCUPIED, "sampler_mean"]
    return [
        f"Components with rows: {mean:.1f} by the sampler on average; the fit kept "
        f"{result.n_components} of {result.requested_components}."
    ]


def _prediction(check: Any) -> str:
    distance = check.predictive
    return (
        f"Predictive densities: total variation distance {distance.value:.3f} (standard error "
        f"{distance.standard_error:.3f})."
    )


def _evidence(check: Any) -> list[str]:
    found = check.evidence
    mended = "can" if found.pareto_k <= TRUSTED_UP_TO else "cannot"
    lines = [f"Pareto k of the fit: {found.pareto_k:.2f}; importance weights {mended} mend it."]
    if not math.isfinite(found.estimate):
        return [*lines, f"Log evidence: {found.note}."]
    parts = [
        f"{found.estimate:,.2f} by bridge sampling (standard error {found.standard_error:.2f})"
    ]
    if math.isfinite(found.upper):
        parts.insert(0, f"bound {found.lower:,.2f}")
    if found.upper_error <= MOST_ERROR:
        parts.append(f"upper end {found.upper:,.2f} ({found.upper_error:.2f})")
    return [*lines, f"Log evidence: {', '.join(parts)} nats."]


def _seconds(check: Any) -> str:
    found = check.found
    compiled = getattr(found, "compile_seconds", 0.0)
    beside = f" and {compiled:.1f} s of compilation" if compiled else ""
    rest = max(0.0, check.seconds - found.seconds - compiled)
    return f"Took {found.seconds:.1f} s of sampling{beside}, {rest:.1f} s of comparison."


def as_text(check: Any) -> str:
    """What ``repr`` shows."""
    lines = [f"<CrossCheck: {headline(check)}>"]
    lines += [f"  {finding.text}" for finding in check.findings]
    lines += [f"  {line}" for line in by_kind(check).to_string().splitlines()]
    return "\n".join(lines)


def as_html(check: Any) -> str:
    """What a notebook shows; colours are those of the page around it."""
    frame = by_kind(check)
    heads = _cells((frame.index.name, *frame.columns), "th", f"{CELL}; {FAINT}")
    rows = "".join(f"<tr>{_cells(row, 'td', CELL)}</tr>" for row in frame.itertuples())
    said = "".join(f"<li>{html.escape(_sentence(finding.text))}</li>" for finding in check.findings)
    listed = f'<ul style="margin:.2em 0">{said}</ul>' if said else ""
    note = f'<div style="{FAINT}">{html.escape(_sentence(check.note))}</div>' if check.note else ""
    return (
        f"<div><div>{html.escape(_sentence(headline(check)))}</div>{listed}"
        '<table style="border-collapse:collapse; margin:.4em 0; background:none; color:inherit">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{note}</div>"
    )


def _cells(texts: Iterable[Any], tag: str, style: str) -> str:
    cells = (html.escape(str(text)) for text in texts)
    return "".join(f'<{tag} style="{style}">{text}</{tag}>' for text in cells)


def by_kind(check: Any) -> pd.DataFrame:
    """A row per kind of parameter, and one of what has no labels, as text.

    The largest difference, the median ratio, the least covered, the worst of R-hat and ESS.
    """
    kinds = check.parameters.index.str.partition("[").get_level_values(0)
    parts = dict(list(check.parameters.groupby(kinds, sort=False)))
    parts["without labels"] = check.invariants
    rows = {
        kind: {
            "numbers": str(len(part)),
            "difference": f"{part['difference'].abs().max():.2f} sd",
            "sd ratio": f"{part['ratio'].median():.2f}",
            "covered": f"{part['covered'].min():.0%}",
            "R-hat": f"{part['rhat'].max():.3f}",
            "ESS": f"{part['ess'].min():,.0f}",
        }
        for kind, part in parts.items()
        if len(part)
    }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "kind"
    return frame


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
