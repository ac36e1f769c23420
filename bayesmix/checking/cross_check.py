"""What a cross-check found: tables, verdict, modes, evidence; immutable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bayesmix.checking import summary_text, verdict
from bayesmix.checking.compare import Distance
from bayesmix.checking.modes import Mode
from bayesmix.checking.quantities import FitDraws, Quantity
from bayesmix.checking.stationary import Moved
from bayesmix.checking.verdict import Finding
from bayesmix.sampling.evidence.importance import Evidence
from bayesmix.sampling.gibbs.inference_data import ToArviz
from bayesmix.sampling.labels.alignment import Alignment

if TYPE_CHECKING:
    from bayesmix.checking.nuts_draws import NutsDraws
    from bayesmix.sampling.gibbs.chains import Gibbs


@dataclass(frozen=True, repr=False, eq=False)
class CrossCheck(ToArviz):
    """A variational fit beside a sampler's draws from the posterior; see ``crosscheck``.

    Attributes
    ----------
    agrees : bool
        Whether nothing was found that differs.
    verdict : str
        "agrees", or what differs, the gravest first.
    findings : tuple of Finding
        The same, each with its ``kind`` and ``text``.
    parameters : DataFrame
        A row per weight and parameter, labels undone, in data units: mean and standard deviation of
        fit and sampler, ``difference`` of the means in posterior standard deviations, ``ratio`` of
        standard deviations (sampler / fit), ``covered`` (share of the sampler's draws in the fit's
        90% interval), ``rhat`` and ``ess``; ends of the 90% intervals.
    invariants : DataFrame
        The same of what does not depend on labels.
    slowest : Quantity
        That with the largest R-hat: its ``name``, values at draws of the fit and in every chain.
    overconfidence : float
        Median ratio of standard deviations; above 1 the fit is too sure.
    predictive : Distance
        Total variation distance of the predictive densities.
    pareto_k : float
        Of q against the joint density: above 0.7 weights cannot mend q.
    evidence : Evidence
        ELBO, estimate by bridge sampling, upper end.
    moved : tuple of Moved
        What one sweep of Gibbs sampling changes: nothing, where draws are from this posterior.
    modes : tuple of Mode
        Optima to which draws lead, the fit's first; empty where nothing differs.
    found : Gibbs or NutsDraws
        The draws.
    own : FitDraws
        Draws from the fit, which stand for it in the tables.
    alignment : Alignment
        The labels of every draw.
    note : str
        Why the sampler is not the one that was asked for; empty where it is.
    seconds : float
        All of it.
    """

    found: Gibbs | NutsDraws
    own: FitDraws
    alignment: Alignment
    parameters: pd.DataFrame
    invariants: pd.DataFrame
    slowest: Quantity
    predictive: Distance
    pareto_k: float
    evidence: Evidence
    moved: tuple[Moved, ...]
    modes: tuple[Mode, ...]
    findings: tuple[Finding, ...]
    note: str
    seconds: float

    @property
    def agrees(self) -> bool:
        return not self.findings

    @property
    def verdict(self) -> str:
        return "; ".join(finding.text for finding in self.findings) or "agrees"

    @property
    def overconfidence(self) -> float:
        return verdict.overconfidence(self.parameters)

    @property
    def sampler(self) -> str:
        """Which: "gibbs", "nutpie" or "pymc"."""
        return str(getattr(self.found, "sampler", "gibbs"))

    @property
    def n_divergent(self) -> int:
        """Draws that diverged; Gibbs sampling has none."""
        return int(np.sum(getattr(self.found, "diverging", 0)))

    def to_arviz(self) -> Any:
        """The draws as ArviZ has them, labels as the sampler left them."""
        return self.found.to_arviz()

    def summary(self) -> str:
        """Verdict, convergence, differences and evidence in a few lines."""
        return summary_text.summary(self)

    def plot(self, axes: Any = None) -> Any:
        """Densities of parameters, both ways; see ``plot_crosscheck``."""
        from bayesmix.plots.posterior.crosscheck import plot_crosscheck

        return plot_crosscheck(self, axes=axes)

    def __repr__(self) -> str:
        return summary_text.as_text(self)

    def _repr_html_(self) -> str:
        return summary_text.as_html(self)
