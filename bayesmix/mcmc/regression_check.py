"""Comparison of a mixture of regressions with MCMC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtri

from bayesmix.em.progress_bar import console_for
from bayesmix.families.regressions import DESIGN
from bayesmix.mcmc import comparison, verdict
from bayesmix.mcmc.comparison import Quantity
from bayesmix.mcmc.sampling import Job, NutsRun, by_nutpie, pymc_model
from bayesmix.mcmc.verdict import Finding, Verdict
from bayesmix.numerics.arrays import Array
from bayesmix.posterior.chains import Plan
from bayesmix.regressions.regression_vector import ParameterVector

# Quantiles of the normal distribution of an estimate.
N_QUANTILES = 4000
DRAWN = ("coefficients", "weights", "covariance", "residual_deviation", "gate")


@dataclass(frozen=True, repr=False, eq=False)
class RegressionCheck(Verdict):
    """Comparison of a mixture of regressions with MCMC; see ``crosscheck``.

    Attributes
    ----------
    parameters : DataFrame
        As in ``CrossCheck``. The fit's distribution of an estimate is normal with its standard
        error; estimates without one are left out.
    findings : tuple of Finding
        The reasons of the verdict, each with ``kind`` and ``text``.
    run : NutsRun
        Draws of the variables of ``pymc_model``, with the sampler's labels.
    sampler : {"nutpie"}
    """

    parameters: pd.DataFrame
    findings: tuple[Finding, ...]
    run: NutsRun
    sampler: ClassVar[str] = "nutpie"

    @property
    def invariants(self) -> pd.DataFrame:
        """Label-invariant quantities: none."""
        return self.parameters.iloc[:0]

    @property
    def n_divergent(self) -> int:
        """Number of divergent draws."""
        return int(self.run.diverging.sum())

    def summary(self) -> str:
        """Return verdict, convergence and differences in a few lines."""
        C, S = self.run.diverging.shape
        sampler, answer = verdict.SAMPLERS[self.sampler], verdict.answer(self.findings)
        head = f"Regressions against {sampler}, {C} x {S:,} draws: {answer}."
        texts = [f"- {finding.text}." for finding in self.findings]
        lines = [verdict.convergence_line(self), *verdict.difference_lines(self)]
        return "\n".join([head, *texts, *lines])

    def __repr__(self) -> str:
        return f"<RegressionCheck: {self.verdict}>"


def regression_check(
    estimator: Any, plan: Plan, cores: int, progress: bool | None
) -> RegressionCheck:
    """Sample the PyMC model of a fit by NUTS from its estimates, and compare."""
    from pymc.initial_point import make_initial_point_fn

    model = pymc_model(estimator)
    begin = make_initial_point_fn(
        model=model,
        jitter_rvs={rv for rv in model.free_RVs if rv.name == "standard_effects"},
        return_transformed=False,
    )
    drawn = tuple(name for name in DRAWN if name in model.named_vars)
    job = Job(model, drawn, begin, plan, cores, console_for(progress) is not None)
    run = by_nutpie(job)
    parameters = comparison.table(quantities(estimator, run))
    findings = verdict.differences(parameters, float(run.diverging.mean()))
    return RegressionCheck(parameters, findings, run)


def quantities(estimator: Any, run: NutsRun) -> list[Quantity]:
    """Return the estimates of a fit that have standard errors, with their draws relabelled."""
    values = {name: draws.reshape(-1, *draws.shape[2:]) for name, draws in run.values.items()}
    order = relabelled(estimator, values["coefficients"])
    normal = ndtri((np.arange(N_QUANTILES) + 0.5) / N_QUANTILES)
    estimates = []
    names = ParameterVector(estimator._data, estimator._mixture).reported[0]
    table = estimator.coefficients().loc[list(dict.fromkeys(part for part, _, _ in names))]
    for key, (name, row) in zip(names, table.iterrows(), strict=True):
        if np.isfinite(row["standard_error"]):
            draws = draws_of(estimator, values, order, *key).reshape(run.diverging.shape)
            fitted = row["estimate"] + row["standard_error"] * normal
            part, of, term = cast("tuple[str, str, str]", name)
            estimates.append(Quantity(f"{part}[{of}, {term}]", fitted, draws))
    return estimates


def relabelled(estimator: Any, coefficients: Array) -> Array:
    """Return the component (S, K) of each draw that has the most similar means in the data."""
    data = estimator._data
    design = data.values[:, DESIGN : DESIGN + len(data.design.terms)]
    root = np.linalg.qr(design, mode="r") @ np.linalg.inv(data.design.back)
    fit = np.column_stack([estimator.intercept_, estimator.coef_])
    fit = fit[:, -coefficients.shape[2] :] @ root.T
    costs = ((fit[:, None] - (coefficients @ root.T)[:, None]) ** 2).sum(axis=-1)
    return np.array([linear_sum_assignment(cost)[1] for cost in costs])


def draws_of(
    estimator: Any, values: dict[str, Array], order: Array, part: str, k: Any, term: str
) -> Array:
    """Return the draws (S,) of one line of ``coefficients``."""
    data, every = estimator._data, np.arange(len(order))
    component = order[:, 0 if k == "all" else k]
    if part == "coefficient":
        return np.asarray(values["coefficients"][every, component, data.design.terms.index(term)])
    if part == "gate":
        gate = values["gate"][:, :, data.gate.terms.index(term)]
        return np.asarray(gate[every, component] - gate[every, order[:, 0]])
    if term == "residual":
        deviations = values["residual_deviation"]
        return np.asarray(deviations[every, component % deviations.shape[1]] ** 2)
    effects = [data.random.names.index(name) for name in term.split(", ")]
    return np.asarray(values["covariance"][:, effects[0], effects[-1]])
