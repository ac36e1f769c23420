"""Variational fits against NUTS, and NUTS against Gibbs sampling.

4 chains of 1,000 draws of the same model each, on all cores. The last figure is the largest |z| of
the means of label-free quantities (log joint density, log likelihood, weights by size, log density
of rows, ...) between the two samplers; Monte Carlo errors are those of their effective draws.
``sweeps``: Gibbs sweeps a second, beside dpmmlearn (Dirichlet process, Neal 2000, algorithm 2)
where that is installed; it is skipped aloud where not.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

import bayesmix
from bayesmix.checking.crosscheck import CrossCheck, crosscheck
from bayesmix.datasets import load_faithful, load_galaxies, load_iris
from bayesmix.estimators.select import comparable
from benchmarks.problems import Problem


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per data set and number of components."""
    warnings.simplefilter("ignore")
    draws, chains = (200, 2) if quick else (1000, 4)
    table = []
    for name, rows, n_components in list(cases())[: 1 if quick else None]:
        model = comparable().set_params(
            n_components=n_components, covariance_type="full", random_state=0
        )
        model.fit(rows)
        found = crosscheck(model, rows, draws, chains, sampler="nuts", progress=False)
        other = crosscheck(model, rows, draws, chains, sampler="gibbs", progress=False)
        table.append(
            {
                "case": name,
                "sampling_s": found.found.seconds,
                "compilation_s": found.found.compile_seconds,
                "gibbs_s": other.found.seconds,
                **_of(found),
                "effective_draws_a_second": effective_a_second(found),
                "of_gibbs": effective_a_second(other),
                "largest_z_to_gibbs": largest_z(found.invariants, other.invariants),
            }
        )
        print("  ", table[-1], flush=True)
        print("  ", found.verdict, flush=True)
    return table


def cases() -> Iterator[tuple[str, Any, int]]:
    yield "Old Faithful, K=2", load_faithful(), 2
    for n_components in (3, 4, 5, 6):
        yield f"galaxies, K={n_components}", load_galaxies(), n_components
    yield "iris, K=3", load_iris().select_dtypes("number"), 3
    problem = Problem(500, 5, 4, 4.0)
    yield problem.name, problem.rows(), 4


def _of(found: CrossCheck) -> dict[str, Any]:
    every = pd.concat([found.parameters, found.invariants])
    ratios = found.parameters["ratio"]
    return {
        "sampler": found.sampler,
        "R_hat": f"{every['rhat'].max():.3f}",
        "effective_draws": int(every["ess"].min()),
        "divergences": found.n_divergent,
        "ratio_of_sd": f"{ratios.median():.2f}",
        "from_to": f"{ratios.min():.2f} to {ratios.max():.2f}",
        "largest_difference_sd": float(found.parameters["difference"].abs().max()),
        "total_variation": f"{found.predictive.value:.3f}",
        "verdict": ", ".join(one.kind for one in found.findings) or "agrees",
    }


def effective_a_second(found: CrossCheck) -> float:
    """Of the label-free quantity that mixes worst; without compilation and comparison."""
    return float(found.invariants["ess"].min()) / found.found.seconds


def largest_z(here: pd.DataFrame, there: pd.DataFrame) -> float:
    """Of the means of the same quantities by two samplers."""
    both = here.index.intersection(there.index)
    one, two = here.loc[both], there.loc[both]
    variance = one["sampler_sd"] ** 2 / one["ess"] + two["sampler_sd"] ** 2 / two["ess"]
    z = (one["sampler_mean"] - two["sampler_mean"]) / np.sqrt(variance)
    return float(z.abs().max())


def sweeps(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Sweeps a second of one chain: medians over repeats, on all cores."""
    warnings.simplefilter("ignore")
    rows = load_faithful().to_numpy()
    large = Problem(10_000 if quick else 100_000, 5, 10, 3.0)
    table = []
    for name, data, n_components, n_sweeps in (
        ("Old Faithful, K=6", rows, 6, 1000),
        (large.name, large.rows(), 10, 100),
    ):
        model = comparable().set_params(n_components=n_components, random_state=0).fit(data)
        rates = []
        for seed in range(repeats):
            found = bayesmix.gibbs(
                model, data, n_sweeps, 1, warmup=0, random_state=seed, progress=False
            )
            rates.append(n_sweeps / found.seconds)
        table.append({"case": f"{name}: bayesmix", "sweeps_a_second": float(np.median(rates))})
        print("  ", table[-1], flush=True)
    if find_spec("dpmmlearn") is None:
        print("  dpmmlearn: not installed, skipped")
        return table
    case = "Old Faithful: dpmmlearn"
    table.append({"case": case, "sweeps_a_second": _dpmmlearn(rows, repeats)})
    print("  ", table[-1], flush=True)
    return table


def _dpmmlearn(rows: Any, repeats: int) -> float:
    from dpmmlearn.dpmm import DPMM
    from dpmmlearn.probability import NormInvWish

    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    prior = NormInvWish(np.zeros(2), 0.1, 0.3 * np.eye(2), 4)
    n_sweeps, rates = 20, []
    for seed in range(repeats):
        sampler = DPMM(
            prior, 1.0, max_iter=n_sweeps, use_best_iter=False, verbose=False, random_state=seed
        )
        began = time.perf_counter()
        sampler.fit(scaled)
        rates.append(n_sweeps / (time.perf_counter() - began))
    return float(np.median(rates))
