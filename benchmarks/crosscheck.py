"""Verdicts of the comparison with MCMC on right models, and on draws of wrong ones.

Right models: fit and draws have one prior. Where 1,000 draws of each chain are too few, 4,000 are
taken, as the verdict advises. "differs" is confirmed if a Gibbs run of 10,000 gives the same
verdict. Wrong models: the draws are from the posterior under another hyperparameter.
The size of the change is measured by two long Gibbs runs: the largest difference of a
label-invariant mean in standard deviations, and that of the mean log prior density in nats.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.spatial.distance import pdist

import bayesmix as bm
from bayesmix.em.progress_bar import FitProgress
from bayesmix.mcmc.comparison import fit_draws, of_all_draws
from bayesmix.mcmc.crosscheck import compared, crosscheck
from bayesmix.posterior.labels import aligned
from bayesmix.posterior.posterior_draws import log_prior

SEED = 20261130
KINDS = ("full", "tied", "diag", "spherical", "poisson", "bernoulli", "categorical")
N_RIGHT, N_BY_NUTS, N_WRONG = 80, 20, 20
# Distance of components, on scales with standard deviations of about one.
LEAST_APART = 3.0
LEAST_SHIFT, LEAST_NATS = 0.3, 0.4
# Draws of each chain: at first, where they are too few, and to confirm a difference.
N_DRAWS, MORE, LONGER = 1000, 4000, 10_000
MOST_TRIED = 80


@dataclass(frozen=True)
class Problem:
    """Data, number of components, and the family with its prior and that of the weights."""

    kind: str
    X: Any
    n_components: int
    family: Any
    prior: Any
    weights: Any

    def fit(self) -> Any:
        """Return the variational fit."""
        inference = bm.VariationalBayes(self.prior, self.weights)
        options: dict[str, Any] = {"family": self.family, "inference": inference}
        model = bm.Mixture(self.n_components, random_state=0, n_jobs=1, **options)
        return model.fit(self.X)


def problem(seed: int, number: int) -> Problem:
    """Return a problem: every second has stick-breaking weights, the kinds take turns."""
    rng = np.random.default_rng([seed, number])
    kind = KINDS[number // 2 % len(KINDS)]
    K, n = int(rng.integers(2, 5)), int(rng.integers(100, 301))
    labels = rng.choice(K, n, p=rng.dirichlet(np.full(K, 5.0)))
    X, family, prior = DATA.get(kind, normals)(rng, labels, K, kind)
    weights = (bm.DirichletPrior, bm.StickBreakingPrior)[number % 2](float(rng.choice([0.5, 1, 2])))
    return Problem(kind, X, K, family, prior, weights)


def apart(draw: Callable[[], Any], scaled: Callable[[Any], Any]) -> Any:
    """Return parameters of components that are LEAST_APART standard deviations apart or more."""
    while True:
        parameters = draw()
        if pdist(scaled(parameters)).min() >= LEAST_APART:
            return parameters


def normals(rng: Any, labels: Any, K: int, kind: str) -> tuple[Any, Any, Any]:
    """Return normal groups, and for every second problem a fixed prior instead of the default."""
    D = int(rng.integers(1 if kind == "spherical" else 2, 5))
    spread = rng.uniform(2.5, 6.0)
    means = apart(lambda: spread * rng.normal(size=(K, D)), lambda means: means)
    shapes = rng.normal(size=(K, D, D)) / 2.0 + np.eye(D)
    rows = rng.normal(size=(len(labels), D))
    if kind in ("full", "tied"):
        rows = np.einsum("nij,nj->ni", shapes[labels if kind == "full" else 0 * labels], rows)
    given = bm.GaussianPrior(np.zeros(D), 0.1, D + 2.0, covariance(kind, D, 2.0))
    return means[labels] + rows, bm.Gaussian(kind), given if rng.random() < 0.5 else None


def covariance(kind: str, D: int, scale: float) -> Any:
    """Return a prior scale in the shape of the covariance structure."""
    return {"diag": np.full(D, scale), "spherical": scale}.get(kind, scale * np.eye(D))


def counts(rng: Any, labels: Any, K: int, kind: str) -> tuple[Any, Any, Any]:
    """Return Poisson counts."""
    D = int(rng.integers(2, 5))
    rates = apart(lambda: np.exp(rng.normal(1.5, 0.8, (K, D))), lambda rates: 2.0 * np.sqrt(rates))
    return rng.poisson(rates[labels]), bm.Poisson(), bm.GammaPrior(1.0, np.full(D, 0.2))


def answers(rng: Any, labels: Any, K: int, kind: str) -> tuple[Any, Any, Any]:
    """Return yes/no answers."""
    D = int(rng.integers(8, 15))
    shares = apart(lambda: rng.beta(0.4, 0.4, (K, D)), lambda shares: 2 * np.arcsin(shares**0.5))
    return (rng.random((len(labels), shares.shape[1])) < shares[labels]) * 1, *BERNOULLI


def categories(rng: Any, labels: Any, K: int, kind: str) -> tuple[Any, Any, Any]:
    """Return answers of three levels."""
    D = int(rng.integers(6, 11))
    shares = apart(
        lambda: rng.dirichlet(np.full(3, 0.4), (K, D)),
        lambda shares: 2.0 * np.sqrt(shares).reshape(K, -1),
    )
    reached = shares.cumsum(axis=2)[labels][:, :, :2]
    codes = (rng.random((len(labels), D, 1)) > reached).sum(axis=2)
    return codes, bm.Categorical(), bm.CategoricalPrior(1.0)


BERNOULLI = (bm.Bernoulli(), bm.BetaPrior(1.0, 1.0))
DATA = {"poisson": counts, "bernoulli": answers, "categorical": categories}


def right(number: int, seed: int, sampler: str) -> dict[str, Any]:
    """Return the verdict on the model of a problem."""
    one, began = problem(seed, number), time.process_time()
    model = one.fit()
    how: dict[str, Any] = {"random_state": number, "n_jobs": 1, "progress": False}
    row = {"model": number, **described(one), "sampler": sampler}
    first = crosscheck(model, one.X, N_DRAWS, sampler=sampler, **how)
    row |= told(first)
    if first.undecided:
        row["first"] = row["findings"]
        row |= told(crosscheck(model, one.X, MORE, sampler=sampler, **how))
    if row["verdict"] == "differs":
        longer = crosscheck(model, one.X, LONGER, sampler="gibbs", **how)
        row |= {f"longer_{name}": value for name, value in told(longer).items()}
    return row | {"seconds": round(time.process_time() - began, 1)}


def described(one: Problem) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "weights": one.weights.name,
        "K": one.n_components,
        "n": len(one.X),
        "D": one.X.shape[1],
    }


def told(check: Any) -> dict[str, Any]:
    """Return what a comparison says."""
    both = [check.parameters, check.invariants]
    return {
        "verdict": check.verdict.partition(":")[0],
        "findings": " ".join(finding.kind for finding in check.findings),
        "rhat": round(float(max(table["rhat"].max() for table in both)), 4),
        "ess": round(float(min(table["ess"].min() for table in both))),
        "least_p": float(f"{min(one.p_value for one in check.moved):.1g}"),
    }


def changed(one: Problem, rng: Any) -> tuple[str, Problem]:
    """Return a problem with one hyperparameter multiplied, by a factor of 1.5 to 8."""
    factor = float(np.exp(rng.choice([-1, 1]) * rng.uniform(np.log(1.5), np.log(8.0))))
    D = one.X.shape[1]
    if one.kind in DATA:
        prior = one.prior
        options = {
            "poisson": [
                ("shape", lambda: replace(prior, shape=factor * prior.shape)),
                ("rate", lambda: replace(prior, rate=factor * prior.rate)),
            ],
            "bernoulli": [
                ("successes", lambda: bm.BetaPrior(factor, 1.0)),
                ("both", lambda: bm.BetaPrior(factor, factor)),
            ],
            "categorical": [("levels", lambda: bm.CategoricalPrior(factor))],
        }[one.kind]
    else:
        prior = bm.GaussianPrior(np.zeros(D), 0.1, D + 2.0, covariance(one.kind, D, 2.0))
        one = replace(one, prior=prior)
        options = [
            ("β0", lambda: replace(prior, mean_precision=factor * 0.1)),
            ("ν0", lambda: replace(prior, degrees_of_freedom=D + 2.0 + 3.0 * factor)),
            ("covariance", lambda: replace(prior, covariance=covariance(one.kind, D, 2 * factor))),
            ("m0", lambda: replace(prior, mean=np.full(D, 4.0 * factor))),
        ]
    options.append(("concentration", lambda: None))
    name, change = options[int(rng.integers(len(options)))]
    if name == "concentration":
        weights = replace(one.weights, concentration=factor * one.weights.concentration)
        return f"{name} times {factor:.2f}", replace(one, weights=weights)
    return f"{name} times {factor:.2f}", replace(one, prior=change())


def wrong(number: int, seed: int) -> dict[str, Any]:
    """Return the verdict on draws under a changed hyperparameter, and the size of the change."""
    began, rng = time.process_time(), np.random.default_rng([seed, 1, number])
    one = problem(seed + 1, number)
    name, other = changed(one, rng)
    if one.kind not in DATA:
        D = one.X.shape[1]
        prior = bm.GaussianPrior(np.zeros(D), 0.1, D + 2.0, covariance(one.kind, D, 2.0))
        one = replace(one, prior=prior)
    here, there = one.fit(), other.fit()
    row: dict[str, Any] = {"model": number, "change": name, **described(one)}
    if here.n_components_ != there.n_components_:
        return row | {"verdict": "other K"}
    how: dict[str, Any] = {"n_jobs": 1, "progress": False}
    found = bm.gibbs(there, one.X, random_state=number, **how)
    with FitProgress(1, False) as bar:
        check = compared(here.result_, found, number, "", bar, 0.0)
    shift, which, nats = size_of_change(here, bm.gibbs(here, one.X, random_state=1, **how), found)
    row |= {"shift": round(shift, 2), "invariant": which, "nats": round(nats, 2)}
    return row | told(check) | {"seconds": round(time.process_time() - began, 1)}


def size_of_change(model: Any, right_draws: Any, wrong_draws: Any) -> tuple[float, str, float]:
    """Return the largest difference of an invariant, its name, and that of the log prior."""
    result = model.result_
    of_fit = fit_draws(result, right_draws.source, 100, 0)
    named, priors = [], []
    for found in (right_draws, wrong_draws):
        alignment = aligned(result, found.source, found.draws)
        invariants = of_all_draws(result, found.source, of_fit, found, alignment)
        named.append({one.name: one.sampled for one in invariants})
        priors.append(float(log_prior(result.bayesian, found.draws).mean()))
    right, other = named
    shifts = {
        name: float(abs(other[name].mean() - values.mean()) / values.std())
        for name, values in right.items()
        if name in other and name != "log joint density"
    }
    largest = max(shifts, key=lambda name: shifts[name])
    return shifts[largest], largest, abs(priors[1] - priors[0])


def rows_of(seed: int, n_right: int, n_nuts: int, n_wrong: int) -> Iterator[dict[str, Any]]:
    """Return right models, those by NUTS first, and then wrong ones until there are enough."""
    for number in range(n_right):
        yield right(number, seed, "nuts" if number < n_nuts else "gibbs")
    counted = 0
    for number in range(MOST_TRIED):
        if counted == n_wrong:
            return
        row = wrong(number, seed)
        counted += enough(row)
        yield row


def enough(row: dict[str, Any]) -> bool:
    """Return whether a wrong model is one that counts."""
    return row.get("shift", 0.0) >= LEAST_SHIFT or row.get("nats", 0.0) >= LEAST_NATS


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Compare all models, and print how many verdicts are right."""
    warnings.simplefilter("ignore")
    rows = []
    for row in rows_of(SEED, *((4, 0, 1) if quick else (N_RIGHT, N_BY_NUTS, N_WRONG))):
        print("  ", row, flush=True)
        rows.append(row)
    print("  ", summary(rows))
    return rows


def summary(rows: list[dict[str, Any]]) -> dict[str, int]:
    """Return the numbers of models by verdict."""
    of_right = [row for row in rows if "sampler" in row]
    of_wrong = [row for row in rows if "change" in row and enough(row)]
    different = [row for row in of_right if row["verdict"] == "differs"]
    return {
        "right": len(of_right),
        "right_by_nuts": sum(row["sampler"] == "nuts" for row in of_right),
        "posterior": sum("posterior" in f"{row}" for row in of_right),
        "undecided_at_first": sum("first" in row for row in of_right),
        "undecided": sum(row["verdict"] == "undecided" for row in of_right),
        "differs": len(different),
        "differs_confirmed": sum(row["longer_verdict"] == "differs" for row in different),
        "wrong": len(of_wrong),
        "wrong_not_agreeing": sum(row["verdict"] != "agrees" for row in of_wrong),
    }
