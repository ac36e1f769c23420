"""What a comparison amounts to, in words: what differs, the gravest first; nothing: it agrees.

A cross-check as a person reads it: a few lines of text, and a small table in a notebook.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.checking.comparison import OCCUPIED, Distance, Mode, Moved
from bayesmix.em.display import CELL, FAINT, shortened
from bayesmix.posterior.arviz_groups import FEWEST_EFFECTIVE, LARGEST_RHAT
from bayesmix.posterior.pareto import TRUSTED_UP_TO

# A mean this many posterior standard deviations away leaves a 90% interval 86 % of its mass.
MOST_SHIFT = 0.5
# Standard deviations this much too small (median of all) leave a 90% interval 81 % of its mass.
MOST_RATIO = 1.25
# Of every single quantity the fit's 90% interval has to hold so much: the median may hide a few.
LEAST_COVERED = 0.75
# Total variation distance of predictive densities: one row in twenty is another.
MOST_DISTANCE = 0.05
# Monte Carlo errors that are allowed for: one false alarm in 700.
STANDARD_ERRORS = 3.0
# Divergences below this share of the draws are common where components are small.
MOST_DIVERGENT = 0.01
# A mode is named from this share of the starts on, and owns a chain from this share of its own.
NAMED_FROM, OWNED_FROM = 0.1, 0.75
MOST_NAMED = 3
WORTH_A_FIT = 0.1  # nats
FAR_FROM_ONE = 1.1


@dataclass(frozen=True)
class Finding:
    """One thing in which fit and sampler differ, or why nothing can be said.

    Attributes
    ----------
    kind : str
        "posterior", "stuck", "modes", "convergence", "shift", "spread", "prediction" or
        "divergences".
    text : str
    """

    kind: str
    text: str


def findings(
    parameters: pd.DataFrame,
    invariants: pd.DataFrame,
    moved: Sequence[Moved],
    distance: Distance,
    divergent: float,
    modes: Callable[[], Sequence[Mode]],
    elbo: float,
) -> tuple[Finding, ...]:
    """What differs. ``modes`` is asked only where something does; ``divergent`` is a share."""
    found = [_posterior(moved)]
    unsure = not_converged(parameters, invariants)
    several = _modes(modes(), elbo) if unsure else None
    stuck = several is not None and several.kind == "stuck"
    if unsure:
        found += [several, _convergence(parameters, invariants, stuck)]
    # Errors by effective draws are allowed for, as long as chains are roughly in one place.
    if not stuck and max(parameters["rhat"].max(), invariants["rhat"].max()) < FAR_FROM_ONE:
        compared = [_shift(parameters), _spread(parameters), _distance(distance)]
        if any(compared) and not unsure:
            found.append(_modes(modes(), elbo))
        found += compared
    found.append(_divergences(divergent))
    return tuple(each for each in found if each is not None)


def not_converged(*tables: pd.DataFrame) -> bool:
    """Whether R-hat or effective draws of any quantity are not what Vehtari et al. (2021) ask."""
    every = pd.concat(tables)
    return bool((every["rhat"] > LARGEST_RHAT).any() or (every["ess"] < FEWEST_EFFECTIVE).any())


def overconfidence(parameters: pd.DataFrame) -> float:
    """Median ratio of standard deviations, sampler over fit; above 1 the fit is too sure."""
    return float(parameters["ratio"].median())


def _posterior(moved: Sequence[Moved]) -> Finding | None:
    certain = [one for one in moved if one.for_certain]
    if not certain:
        return None
    worst = min(certain, key=lambda one: one.p_value)
    return Finding(
        "posterior",
        "the draws are not from the posterior of this model: one sweep of Gibbs sampling under its "
        f"prior changes their mean {worst.name} by {_signed(worst.change)} (standard error "
        f"{worst.standard_error:.2g}); another prior or another density was sampled",
    )


def _modes(modes: Sequence[Mode], elbo: float) -> Finding | None:
    by_chain = np.array([mode.by_chain for mode in modes])
    owners = [int(np.argmax(chain)) if chain.max() >= OWNED_FROM else -1 for chain in by_chain.T]
    others = [(n, mode) for n, mode in enumerate(modes) if n and mode.share >= NAMED_FROM]
    better = _better(modes, elbo)
    if -1 not in owners and len(set(owners)) > 1:
        parts = [
            f"{_chains([c for c, owner in enumerate(owners) if owner == mode])} in "
            f"{_where(modes[mode], mode, elbo)}"
            for mode in sorted(set(owners))
        ]
        said = f"chains are stuck in different modes: {'; '.join(parts)}"
        return Finding("stuck", f"{said}{better}")
    if not others:
        return None
    if modes[0].share < NAMED_FROM and others[0][1].share >= OWNED_FROM:
        said = f"all chains are in another mode than the fit ({_told(others[0][1], elbo)})"
    else:
        named = [f"{mode.share:.0%} to {_where(mode, n, elbo)}" for n, mode in others[:MOST_NAMED]]
        said = (
            "the posterior has several modes: of fits begun at draws "
            f"{modes[0].share:.0%} lead back to the fit, {'; '.join(named)}"
        )
    return Finding("modes", f"{said}{better}")


def _better(modes: Sequence[Mode], elbo: float) -> str:
    """What to do where the fit's search has missed an optimum."""
    # Fewer components after pruning have a bound of another model.
    same = [n for n, mode in enumerate(modes) if len(mode.weights) == len(modes[0].weights)]
    best = max(same, key=lambda n: modes[n].elbo)
    gain = modes[best].elbo - elbo
    if gain <= WORTH_A_FIT:
        return ""
    return (
        f"; a fit with init_params=check.modes[{best}].responsibilities begins at the better "
        "optimum"
    )


def _where(mode: Mode, number: int, elbo: float) -> str:
    return f"another ({_told(mode, elbo)})" if number else "that of the fit"


def _told(mode: Mode, elbo: float) -> str:
    gain = mode.elbo - elbo
    side = "above" if gain > 0.0 else "below"
    weights = ", ".join(f"{weight:.2f}" for weight in mode.weights if weight >= 0.005)
    return (
        f"weights {weights}; {mode.away:.0%} of the rows in other components, ELBO "
        f"{abs(gain):.1f} {side} the fit's"
    )


def _chains(numbers: Sequence[int]) -> str:
    if len(numbers) == 1:
        return f"chain {numbers[0]}"
    return f"chains {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _convergence(parameters: pd.DataFrame, invariants: pd.DataFrame, stuck: bool) -> Finding:
    every = pd.concat([parameters, invariants])
    rhat, ess = every["rhat"], every["ess"]
    what = "the sampler did not converge" if stuck else "too few draws for the sampler to converge"
    return Finding(
        "convergence",
        f"{what}: R-hat up to {rhat.max():.3f} ({rhat.idxmax()}), down to {ess.min():.0f} "
        f"effective draws ({ess.idxmin()}){'' if stuck else '; take more'}",
    )


def _shift(parameters: pd.DataFrame) -> Finding | None:
    # Effective draws say how well the sampler knows a mean, in units of standard deviations.
    beyond = parameters["difference"].abs() - STANDARD_ERRORS / np.sqrt(parameters["ess"])
    if not (beyond > MOST_SHIFT).any():
        return None
    name: Any = beyond.idxmax()
    away = float(parameters["difference"].abs()[name])
    return Finding(
        "shift",
        f"means differ by up to {away:.1f} posterior standard deviations ({name}: "
        f"{parameters['fit_mean'][name]:.4g} in the fit, {parameters['sampler_mean'][name]:.4g} "
        "by the sampler)",
    )


def _spread(parameters: pd.DataFrame) -> Finding | None:
    factor = overconfidence(parameters)
    covered = parameters["covered"]
    error = np.sqrt(LEAST_COVERED * (1.0 - LEAST_COVERED) / parameters["ess"])
    short = covered + STANDARD_ERRORS * error < LEAST_COVERED
    if math.isfinite(factor) and factor > MOST_RATIO:
        text = (
            f"the fit is overconfident by a factor of {factor:.1f}: standard deviations are "
            f"{factor:.1f} times its own (median of {len(parameters)} parameters)"
        )
    elif math.isfinite(factor) and factor < 1.0 / MOST_RATIO:
        text = (
            f"the fit is too wide by a factor of {1.0 / factor:.1f} (median ratio of standard "
            f"deviations, {len(parameters)} parameters)"
        )
    elif short.any():
        text = f"the fit is overconfident in {int(short.sum())} of {len(parameters)} parameters"
    else:
        return None
    name: Any = covered.idxmin()
    return Finding("spread", f"{text}; its 90% interval for {name} holds {covered[name]:.0%}")


def _distance(distance: Distance) -> Finding | None:
    if distance.value - STANDARD_ERRORS * distance.standard_error <= MOST_DISTANCE:
        return None
    return Finding(
        "prediction",
        f"predictive densities differ: total variation distance {distance.value:.3f} (standard "
        f"error {distance.standard_error:.3f})",
    )


def _divergences(divergent: float) -> Finding | None:
    if divergent <= MOST_DIVERGENT:
        return None
    return Finding(
        "divergences",
        f"{divergent:.1%} of the draws diverged: the sampler misses narrow places, such as nearly "
        "empty components; compare with sampler='gibbs'",
    )


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")


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
    lines += [_convergence_line(check), *_differences(check), *_occupied(check)]
    lines += [_prediction(check), *_evidence(check)]
    lines.append(_seconds(check))
    return "\n".join(lines)


def _convergence_line(check: Any) -> str:
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
    return shortened(lines)


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
