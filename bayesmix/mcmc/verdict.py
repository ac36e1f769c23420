"""Verdict of a comparison with MCMC, as findings, text summary and notebook table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bayesmix.core.nouns import counted
from bayesmix.core.printed_numbers import percent
from bayesmix.em.display import shortened
from bayesmix.em.shown import Shown, ShownTable
from bayesmix.mcmc.comparison import OCCUPIED, Distance, Mode, Moved
from bayesmix.posterior.arviz_groups import FEWEST_EFFECTIVE, LARGEST_RHAT
from bayesmix.posterior.pareto import TRUSTED_UP_TO

# A mean this many standard deviations away leaves 86 % in a 90 % interval.
MOST_SHIFT = 0.5
# Standard deviations too small by this factor leave 81 % in a 90 % interval.
MOST_RATIO = 1.25
# Least coverage of every 90 % interval, because the median may hide a few bad ones.
LEAST_COVERED = 0.75
# Total variation distance of predictive densities.
MOST_DISTANCE = 0.05
# Monte Carlo errors allowed for: one false alarm in 700.
STANDARD_ERRORS = 3.0
# Smaller shares of divergences are common with small components.
MOST_DIVERGENT = 0.01
# Least share of restarts for a mode to be named, and for a chain to belong to it.
NAMED_FROM, OWNED_FROM = 0.1, 0.75
MOST_NAMED = 3
WORTH_A_FIT = 0.1  # nats


# Kinds of findings after which draws do not decide whether the fit is right.
DOUBTS = frozenset({"stuck", "convergence", "divergences"})


@dataclass(frozen=True)
class Finding:
    """One difference between fit and sampler, or a reason why the draws do not show one.

    Attributes
    ----------
    kind : str
        Reasons to doubt the draws are "stuck", "convergence" and "divergences", differences are
        "posterior", "shift", "spread" and "prediction"; "modes" explains either.
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
    ordered: bool = False,
) -> tuple[Finding, ...]:
    """Return why the draws are in doubt; if they are not, the differences.

    ``modes`` is called only if there is a doubt about convergence or a difference. ``ordered``:
    whether the fit is a hidden Markov model, which has no ``init_params``.
    """
    doubts = [_divergences(divergent)]
    if not_converged(parameters, invariants):
        several = _modes(modes(), elbo, ordered)
        stuck = several is not None and several.kind == "stuck"
        doubts = [several, _convergence(parameters, invariants, stuck), *doubts]
    if any(doubts):
        return _present(doubts)
    compared = [_shift(parameters), _spread(parameters), _distance(distance)]
    several = _modes(modes(), elbo, ordered) if any(compared) else None
    return _present([_posterior(moved), several, *compared])


def differences(parameters: pd.DataFrame, divergent: float) -> tuple[Finding, ...]:
    """Return the same for parameters alone."""
    doubts = [_divergences(divergent)]
    if not_converged(parameters):
        doubts.insert(0, _convergence(parameters, parameters.iloc[:0], False))
    return _present(doubts) or _present([_shift(parameters), _spread(parameters)])


def _present(possible: Sequence[Finding | None]) -> tuple[Finding, ...]:
    return tuple(finding for finding in possible if finding is not None)


def not_converged(*tables: pd.DataFrame) -> bool:
    """Return whether R-hat or effective sample size miss the thresholds (Vehtari et al. 2021)."""
    every = pd.concat(tables)
    return bool((every["rhat"] > LARGEST_RHAT).any() or (every["ess"] < FEWEST_EFFECTIVE).any())


def overconfidence(parameters: pd.DataFrame) -> float:
    """Return the median ratio of standard deviations, sampler over fit."""
    return float(parameters["ratio"].median())


class Verdict:
    """Verdict of a comparison by its parameters and findings."""

    parameters: pd.DataFrame
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        """Whether the sampler converged and no difference was found."""
        return not self.findings

    @property
    def undecided(self) -> bool:
        """Whether the draws are too doubtful to compare the fit with them."""
        return answer(self.findings) == "undecided"

    @property
    def verdict(self) -> str:
        """The word "agrees", "differs" or "undecided", with the reasons."""
        texts = "; ".join(finding.text for finding in self.findings)
        return f"{answer(self.findings)}: {texts}" if texts else answer(self.findings)

    @property
    def overconfidence(self) -> float:
        """Median ratio of standard deviations; above 1 the fit underestimates uncertainty."""
        return overconfidence(self.parameters)


def _posterior(moved: Sequence[Moved]) -> Finding | None:
    certain = [one for one in moved if one.for_certain]
    if not certain:
        return None
    worst = min(certain, key=lambda one: one.p_value)
    change = f"{worst.change:+.2g}".replace("-", "−")
    return Finding(
        "posterior",
        "the draws are not from the posterior of this model, but from another prior or density: "
        f"one Gibbs sweep changes the mean {worst.name} by {change} (standard error "
        f"{worst.standard_error:.2g})",
    )


def _modes(modes: Sequence[Mode], elbo: float, ordered: bool) -> Finding | None:
    by_chain = np.array([mode.by_chain for mode in modes])
    owners = [int(np.argmax(chain)) if chain.max() >= OWNED_FROM else -1 for chain in by_chain.T]
    distinct = [(n, mode) for n, mode in enumerate(modes) if n and mode.share >= NAMED_FROM]
    better = _better(modes, elbo, ordered)
    if -1 not in owners and len(set(owners)) > 1:
        parts = [
            f"{_chains([c for c, owner in enumerate(owners) if owner == mode])} in "
            f"{_where(modes[mode], mode, elbo)}"
            for mode in sorted(set(owners))
        ]
        said = f"chains are stuck in different modes: {'; '.join(parts)}"
        return Finding("stuck", f"{said}{better}")
    if not distinct:
        return None
    if modes[0].share < NAMED_FROM and distinct[0][1].share >= OWNED_FROM:
        said = f"all chains are in a different mode from the fit ({_told(distinct[0][1], elbo)})"
    else:
        named = [
            f"{percent(mode.share)} reach {_where(mode, n, elbo)}"
            for n, mode in distinct[:MOST_NAMED]
        ]
        said = (
            "the posterior has several modes. Share of restarts from posterior draws: "
            f"{percent(modes[0].share)} reach the fit; {'; '.join(named)}"
        )
    return Finding("modes", f"{said}{better}")


def _better(modes: Sequence[Mode], elbo: float, ordered: bool) -> str:
    """Return how to reach a better optimum that the fit missed."""
    # After pruning, the ELBO belongs to a model with fewer components.
    same = [n for n, mode in enumerate(modes) if len(mode.weights) == len(modes[0].weights)]
    best = max(same, key=lambda n: modes[n].elbo)
    gain = modes[best].elbo - elbo
    if gain <= WORTH_A_FIT:
        return ""
    if ordered:
        return "; a fit with a larger n_init may reach the better optimum"
    return (
        f"; a fit with init_params=check.modes[{best}].responsibilities starts at the better "
        "optimum"
    )


def _where(mode: Mode, number: int, elbo: float) -> str:
    return f"another ({_told(mode, elbo)})" if number else "that of the fit"


def _told(mode: Mode, elbo: float) -> str:
    gain = mode.elbo - elbo
    side = "above" if gain > 0.0 else "below"
    weights = ", ".join(f"{weight:.2f}" for weight in mode.weights if weight >= 0.005)
    return (
        f"weights {weights}; {percent(mode.away)} of observations in other components, ELBO "
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
        f"{what}: R-hat up to {rhat.max():.3f} ({rhat.idxmax()}), effective sample "
        f"size down to {ess.min():.0f} ({ess.idxmin()}){'' if stuck else '; take more draws'}",
    )


def _shift(parameters: pd.DataFrame) -> Finding | None:
    # The effective sample size gives the error of a mean in standard deviations.
    beyond = parameters["difference"].abs() - STANDARD_ERRORS / np.sqrt(parameters["ess"])
    if not (beyond > MOST_SHIFT).any():
        return None
    name: Any = beyond.idxmax()
    away = float(parameters["difference"].abs()[name])
    return Finding(
        "shift",
        f"means differ by up to {away:.1f} posterior standard deviations ({name}: "
        f"{parameters['fit_mean'][name]:.4g} in the fit, {parameters['sampler_mean'][name]:.4g} "
        "with MCMC)",
    )


def _spread(parameters: pd.DataFrame) -> Finding | None:
    factor = overconfidence(parameters)
    covered = parameters["covered"]
    error = np.sqrt(LEAST_COVERED * (1.0 - LEAST_COVERED) / parameters["ess"])
    short = covered + STANDARD_ERRORS * error < LEAST_COVERED
    if math.isfinite(factor) and factor > MOST_RATIO:
        text = (
            f"the fit underestimates uncertainty: MCMC standard deviations are {factor:.1f} times "
            f"as large (median of {len(parameters)} parameters)"
        )
    elif math.isfinite(factor) and factor < 1.0 / MOST_RATIO:
        text = (
            f"the fit overestimates uncertainty: its standard deviations are {1.0 / factor:.1f} "
            f"times as large (median of {len(parameters)} parameters)"
        )
    elif short.any():
        text = f"the fit is overconfident in {int(short.sum())} of {len(parameters)} parameters"
    else:
        return None
    name: Any = covered.idxmin()
    return Finding(
        "spread", f"{text}; its 90 % interval for {name} covers {percent(covered[name])}"
    )


def _distance(distance: Distance) -> Finding | None:
    if distance.value - STANDARD_ERRORS * distance.standard_error <= MOST_DISTANCE:
        return None
    return Finding("prediction", f"predictive densities differ: {_apart(distance)}")


def _apart(distance: Distance) -> str:
    error = f"standard error {distance.standard_error:.3f}"
    return f"total variation distance {distance.value:.3f} ({error})"


def _divergences(divergent: float) -> Finding | None:
    if divergent <= MOST_DIVERGENT:
        return None
    return Finding(
        "divergences",
        f"{percent(divergent, 1)} of the draws diverged, so the sampler may miss narrow regions "
        "such as nearly empty components; compare with sampler='gibbs'",
    )


# Largest standard error in nats of an upper bound that is reported.
MOST_ERROR = 1.0
SAMPLERS = {"gibbs": "blocked Gibbs sampling", "nutpie": "NUTS (nutpie)"}


def headline(check: Any) -> str:
    """Return fit, sampler and verdict in one line."""
    sampler = check.found
    result = sampler.result
    K = result.n_components
    size = counted(K, result.noun)
    if result.requested_components != K:
        size += f" of {result.requested_components}"
    return (
        f"{result.family.title}, {size}, against {SAMPLERS[check.sampler]}, {sampler.n_chains} x "
        f"{sampler.n_draws:,} draws: {answer(check.findings)}"
    )


def answer(found: Sequence[Finding]) -> str:
    """Return the verdict in one word."""
    if not found:
        return "agrees"
    return "undecided" if any(finding.kind in DOUBTS for finding in found) else "differs"


def summary(check: Any) -> str:
    """Return the comparison, one result per line."""
    lines = [_sentence(headline(check))]
    lines += [f"- {_sentence(finding.text)}" for finding in check.findings]
    if check.note:
        lines.append(_sentence(check.note))
    if check.found.status != "finished":
        lines.append(f"Sampling was {check.found.status}; these are the draws so far.")
    lines += [convergence_line(check), *difference_lines(check), *_occupied(check)]
    lines += [f"Predictive densities: {_apart(check.predictive)}.", *_evidence(check)]
    lines.append(_seconds(check))
    return "\n".join(lines)


def convergence_line(check: Any) -> str:
    """Return R-hat, effective sample size and divergences of a comparison."""
    every = pd.concat([check.parameters, check.invariants])
    name = every["ess"].idxmin()
    said = (
        f"Convergence: R-hat at most {every['rhat'].max():.3f}, effective sample size at least "
        f"{every['ess'].min():,.0f} ({name})"
    )
    if check.sampler == "gibbs":
        return f"{said}."
    return f"{said}; {check.n_divergent or 'no'} divergences."


def difference_lines(check: Any) -> list[str]:
    """Return how far means and standard deviations of parameters differ."""
    if not len(check.parameters):
        return ["Parameters: none that vary."]
    away = check.parameters["difference"].abs()
    covered = check.parameters["covered"]
    return [
        f"Means: at most {away.max():.2f} posterior standard deviations apart ({away.idxmax()}).",
        f"Standard deviations: MCMC {check.overconfidence:.2f} times the fit's (median of "
        f"{len(away)} parameters); the fit's 90 % intervals cover {percent(covered.min())} to "
        f"{percent(covered.max())} of the posterior.",
    ]


def _occupied(check: Any) -> list[str]:
    """Return how many components MCMC occupies, for a pruned fit."""
    result = check.found.result
    if result.n_components == result.requested_components or OCCUPIED not in check.invariants.index:
        return []
    mean = check.invariants.loc[OCCUPIED, "sampler_mean"]
    return [
        f"Occupied components: {mean:.1f} with MCMC on average; the fit kept "
        f"{result.n_components} of {result.requested_components}."
    ]


def _evidence(check: Any) -> list[str]:
    evidence = check.evidence
    reliable = "reliable" if evidence.pareto_k <= TRUSTED_UP_TO else "unreliable"
    lines = [f"Pareto k = {evidence.pareto_k:.2f}: importance sampling is {reliable}."]
    if not math.isfinite(evidence.estimate):
        return [*lines, f"Log evidence: {evidence.note}."]
    parts = [f"{evidence.estimate:,.2f} by bridge sampling (± {evidence.standard_error:.2f})"]
    if math.isfinite(evidence.upper):
        parts.insert(0, f"ELBO {evidence.lower:,.2f}")
    if evidence.upper_error <= MOST_ERROR:
        parts.append(f"upper bound {evidence.upper:,.2f} (± {evidence.upper_error:.2f})")
    return [*lines, f"Log evidence: {', '.join(parts)} nats."]


def _seconds(check: Any) -> str:
    sampler = check.found
    compiled = getattr(sampler, "compile_seconds", 0.0)
    beside = f" and {compiled:.1f} s of compilation" if compiled else ""
    rest = max(0.0, check.seconds - sampler.seconds - compiled)
    return f"Took {sampler.seconds:.1f} s of sampling{beside}, {rest:.1f} s of comparison."


def as_text(check: Any) -> str:
    """Return the text for ``repr``."""
    lines = [f"<CrossCheck: {headline(check)}>"]
    lines += [f"  {finding.text}" for finding in check.findings]
    return shortened(lines)


def as_html(check: Any) -> str:
    """Return the HTML for notebooks, in the colours of the page."""
    findings = tuple(_sentence(finding.text) for finding in check.findings)
    table = ShownTable("parameters", "", by_kind(check).reset_index())
    cautions = (_sentence(check.note),) if check.note else ()
    return Shown(_sentence(headline(check)), findings, (table,), cautions).html()


def by_kind(check: Any) -> pd.DataFrame:
    """Return one line per kind of parameter and one for label-invariant quantities, as text.

    Lists the largest difference, median ratio, least coverage, and worst R-hat and ESS.
    """
    kinds = check.parameters.index.str.partition("[").get_level_values(0)
    parts = dict(list(check.parameters.groupby(kinds, sort=False)))
    parts["label-invariant"] = check.invariants
    rows = {
        kind: {
            "numbers": str(len(part)),
            "difference": f"{part['difference'].abs().max():.2f} sd",
            "sd ratio": f"{part['ratio'].median():.2f}",
            "covered": percent(part["covered"].min()),
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
