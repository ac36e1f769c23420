"""Choosing K: calibrated probabilities, and what nested cross-validation says of a choice.

``calibration``: data sets drawn from a fixed proper prior with K uniform on 1, 2, 3; what is said
to have probability p must come true in a share p. Beside it stands the evidence by sequential Monte
Carlo, which shares nothing with the package and has no modes to miss: labels are drawn row by row
from their predictive probabilities, parameters integrated out, and the mean weight of the particles
is an unbiased estimate of p(X | K) (Chopin 2002; Fearnhead 2004). ``optimism``: what the best
candidate's own held-out score promises, what nested cross-validation says, and what is true; with
the coverage of the nested interval.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.special import gammaln, logsumexp, softmax
from sklearn.base import clone
from sklearn.model_selection import KFold

import bayesmix
from bayesmix.estimators.select import comparable
from benchmarks.fresh import came_true
from benchmarks.recipes import make, new_seed

Array = np.ndarray
# A fixed proper prior in one dimension, and rows of a data set.
PRIOR: dict[str, Any] = {
    "mean_prior": [0.0],
    "mean_precision_prior": 0.05,
    "degrees_of_freedom_prior": 6.0,
    "covariance_prior": [[6.0]],
}
DRAWN_ROWS = 40
Seed = int | tuple[int, int]
POSSIBLE = (1, 2, 3)
INDEPENDENT = "sequential Monte Carlo"


def drawn(seed: Seed) -> tuple[int, np.ndarray]:
    """K and rows from the prior."""
    generator = np.random.default_rng(seed)
    k = int(generator.choice(POSSIBLE))
    weights = generator.dirichlet(np.ones(k))
    precisions = generator.gamma(3.0, 1.0 / 3.0, k)  # Wishart(1/6, 6) in one dimension
    means = generator.normal(0.0, 1.0 / np.sqrt(0.05 * precisions))
    labels = generator.choice(k, DRAWN_ROWS, p=weights)
    return k, generator.normal(means[labels], 1.0 / np.sqrt(precisions[labels]))[:, None]


def probabilities_of(rows: np.ndarray) -> dict[str, np.ndarray]:
    """P(K | rows) by each column that stands for the evidence; NaN where there is no estimate."""
    estimator = comparable().set_params(**PRIOR)
    search = bayesmix.MixtureSearch(
        estimator, POSSIBLE, also=("evidence",), random_state=0, n_jobs=1
    ).fit(rows)
    by_k = search.results_.sort_values("n_components")  # ranked, as they are
    return {name: softmax(by_k[name].to_numpy()) for name in ("evidence", "elbo_log_k", "elbo")}


def independent_probabilities(seed: Seed, n_particles: int = 4000) -> np.ndarray:
    """P(K | rows) of a data set by sequential Monte Carlo: nothing of the package is in it."""
    _, rows = drawn(seed)
    prior = NormalGamma(
        mean_precision=PRIOR["mean_precision_prior"],
        freedom=PRIOR["degrees_of_freedom_prior"],
        scatter=PRIOR["covariance_prior"][0][0],
    )
    return softmax([log_evidence(rows[:, 0], k, prior, n_particles, 4, seed) for k in POSSIBLE])


def calibrated(seed: int, n_sets: int) -> list[dict[str, Any]]:
    """A row per column: z of each K, log score, in how many data sets there is a value.

    Beside them what independent probabilities have, and how far from these each is at most; then
    how often what the evidence says of its most probable K comes true.
    """
    warnings.simplefilter("ignore")
    seeds = [(seed, number) for number in range(n_sets)]
    sets = [drawn(each) for each in seeds]
    found = Parallel(n_jobs=-1)(delayed(probabilities_of)(rows) for _, rows in sets)
    truth_itself = Parallel(n_jobs=-1)(delayed(independent_probabilities)(each) for each in seeds)
    found = [one | {INDEPENDENT: other} for one, other in zip(found, truth_itself, strict=True)]
    table = []
    for name in (INDEPENDENT, "evidence", "elbo_log_k", "elbo"):
        shares = np.array([each[name] for each in found])
        known = np.isfinite(shares).all(axis=1)
        truth = np.array([[k == possible for possible in POSSIBLE] for k, _ in sets])[known]
        shares = shares[known]
        error = np.sqrt((shares * (1.0 - shares)).sum(axis=0))
        table.append(
            {
                "evidence_by": name,
                "data_sets": int(known.sum()),
                "without_a_value": int((~known).sum()),
                **{
                    f"z_of_K_{k}": float(z)
                    for k, z in zip(POSSIBLE, (truth - shares).sum(axis=0) / error, strict=True)
                },
                "mean_log_score": float(np.log(np.maximum(shares[truth], 1e-300)).mean()),
                "probability_of_the_truth": float(shares[truth].mean()),
                "expected_of_it": float((shares**2).sum(axis=1).mean()),
                "furthest_from_independent": float(
                    np.abs(shares - np.array(truth_itself)[known]).max()
                ),
            }
        )
    said = [(float(each["evidence"].max()), int(each["evidence"].argmax())) for each in found]
    return table + came_true(
        [(p, POSSIBLE[at] == k) for (p, at), (k, _) in zip(said, sets, strict=True) if p > 0.0]
    )


def calibration(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """The table of ``calibrated`` over data sets that are new in every run, 20 a repeat."""
    seed = new_seed()
    table = [{"seed": seed}, *calibrated(seed, 4 if quick else 20 * repeats)]
    for row in table:
        print("  ", row, flush=True)
    return table


def optimism(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Promise, nested estimate and truth, for ever more candidates that differ by chance alone."""
    table = []
    for n_candidates in (2, 8, 32) if not quick else (2, 8):
        n_sets = 20 if quick else 100
        found = Parallel(n_jobs=-1)(
            delayed(_promises)(seed, n_candidates) for seed in range(n_sets)
        )
        naive, nested_score, error, truth, smaller = np.array(found).T
        inside = np.abs(nested_score - smaller.mean()) < 1.96 * error
        table.append(
            {
                "candidates": n_candidates,
                "data_sets": n_sets,
                "own_score": float(naive.mean()),
                "nested": float(nested_score.mean()),
                "true_at_all_rows": float(truth.mean()),
                "true_at_the_folds_rows": float(smaller.mean()),
                "coverage_of_95_percent": float(inside.mean()),
            }
        )
        print("  ", table[-1], flush=True)
    return table


def _promises(seed: int, n_candidates: int) -> tuple[float, ...]:
    """The procedure on one data set of 100 rows: naive, nested, its error, true, true of folds."""
    warnings.simplefilter("ignore")
    generator = np.random.default_rng(seed)
    rows, fresh = (make("two near", generator, n)[0] for n in (100, 5000))
    model = bayesmix.GaussianMixture(
        search=None, init_params="random_from_data", max_iter=3, tol=1e-12, reg_covar=1e-3
    )
    grid = {"random_state": list(range(n_candidates))}
    search = bayesmix.MixtureSearch(
        model, (4,), param_grid=grid, criterion="cv", cv=5, n_jobs=1, random_state=seed
    ).fit(rows)
    found = bayesmix.nested_cv(search, rows, cv=5, n_jobs=1, random_state=seed)
    score = found.score()
    folds = KFold(5, shuffle=True, random_state=seed).split(rows)
    smaller = [clone(search).fit(rows[train]).score(fresh) for train, _ in list(folds)[:1]]
    naive = search.best_score_ / len(rows)
    return naive, score.value, score.standard_error, search.score(fresh), float(np.mean(smaller))


@dataclass(frozen=True)
class NormalGamma:
    """λ ~ Wishart(1 / scatter, freedom), μ | λ ~ N(0, 1 / (mean_precision λ))."""

    mean_precision: float
    freedom: float
    scatter: float

    def log_predictive(self, x: float, counts: Array, sums: Array, squares: Array) -> Array:
        """log p(x | rows with these sums): Student's t (Bishop 2006, eq. 10.81)."""
        precision, freedom = self.mean_precision + counts, self.freedom + counts
        mean = sums / precision
        scatter = self.scatter + squares - precision * mean * mean
        scale = scatter * (precision + 1.0) / (precision * freedom)
        away = (x - mean) ** 2 / scale
        log_density: Array = (
            gammaln(0.5 * (freedom + 1.0))
            - gammaln(0.5 * freedom)
            - 0.5 * np.log(np.pi * freedom * scale)
            - 0.5 * (freedom + 1.0) * np.log1p(away / freedom)
        )
        return log_density


def log_evidence(
    rows: Array,
    n_components: int,
    prior: NormalGamma,
    n_particles: int,
    n_orders: int,
    seed: int | tuple[int, int],
) -> float:
    """log p(X | K) with π ~ Dirichlet(1): the mean of several orders of the rows."""
    generator = np.random.default_rng([*np.atleast_1d(seed), n_components])
    found = np.array(
        [
            _one_order(generator.permutation(rows), n_components, prior, n_particles, generator)
            for _ in range(n_orders)
        ]
    )
    return _log_mean(found)


def _log_mean(logs: Array) -> float:
    return float(logsumexp(logs) - np.log(len(logs)))


def _one_order(
    rows: Array, n_components: int, prior: NormalGamma, n: int, generator: np.random.Generator
) -> float:
    counts, sums, squares = np.zeros((3, n, n_components))
    log_weights, total = np.zeros(n), 0.0
    every = np.arange(n)
    for place, x in enumerate(rows):
        joint = np.log((1.0 + counts) / (n_components + place))
        joint += prior.log_predictive(x, counts, sums, squares)
        largest = joint.max(axis=1)
        shares = np.exp(joint - largest[:, None])
        reached = shares.cumsum(axis=1)
        log_weights += largest + np.log(reached[:, -1])
        drawn = (reached < (generator.random(n) * reached[:, -1])[:, None]).sum(axis=1)
        counts[every, drawn] += 1.0
        sums[every, drawn] += x
        squares[every, drawn] += x * x
        weights = np.exp(log_weights - log_weights.max())
        if weights.sum() ** 2 < 0.5 * n * (weights**2).sum():
            total += _log_mean(log_weights)
            log_weights = np.zeros(n)
            places = (every + generator.random()) / n
            chosen = np.searchsorted(weights.cumsum() / weights.sum() * (1.0 + 1e-12), places)
            counts, sums, squares = counts[chosen], sums[chosen], squares[chosen]
    return total + _log_mean(log_weights)
