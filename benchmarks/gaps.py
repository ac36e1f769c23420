"""Missing values: scores at the truth, what draws of gaps hold, and what a pass costs.

``python -m benchmarks.gaps`` prints all three; ``--seed`` gives other tables.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np

import bayesmix as bm
from bayesmix.core.mixture import Mixture
from bayesmix.core.rows import Frame
from bayesmix.em.expectation import CENTRED
from bayesmix.em.missing_values import Gapped
from bayesmix.em.run import summed
from bayesmix.numerics.arrays import align
from bayesmix.sources.memory import ArraySource

COVARIANCES = {
    "full": np.array([[[1.0, 0.6], [0.6, 1.5]], [[2.0, -0.8], [-0.8, 1.0]]]),
    "tied": np.array([[1.0, 0.6], [0.6, 1.5]]),
    "diag": np.array([[1.0, 1.5], [2.0, 0.5]]),
    "spherical": np.array([1.0, 2.0]),
}
SHARE_MISSING = 0.3
DRAWS = 400


def truth(covariance: str) -> Any:
    """Two clusters that overlap."""
    means = [[0.0, 0.0], [2.5, 2.0]]
    return bm.GaussianMixture.from_parameters([0.4, 0.6], means, COVARIANCES[covariance])


def missing_at_random(rng: np.random.Generator, X: Any) -> Any:
    """The rows with 30 % of second values missing, the more the larger the first is."""
    order = X[:, 0] + rng.logistic(size=len(X))
    gaps = order > np.quantile(order, 1.0 - SHARE_MISSING)
    return np.where(np.column_stack([np.zeros(len(X), dtype=bool), gaps]), np.nan, X)


def score(model: Any, X: Any) -> Any:
    """What sums over rows have beyond those that the true parameters expect (Fisher's identity)."""
    components = model.result_.unframed
    mixture: Any = Mixture(model.result_.mixture.weights, components, Frame.identity(2))
    found: Any = summed(ArraySource(X), mixture, Gapped(0)).statistics
    counts = found.counts - len(X) * model.weights_
    means = found.known * (found.means - components.means)
    squares = found.about(components.means, np.ones((2, 1)))
    expected = components.blocks * align(found.block_counts, components.blocks)
    return np.concatenate([counts[:1], means.ravel(), (squares - expected).ravel()])


def scores(rng: np.random.Generator, times: int) -> list[dict[str, Any]]:
    """The largest |z| of mean scores over simulations, for every structure."""
    rows = []
    for covariance in COVARIANCES:
        model = truth(covariance)
        found = np.array(
            [score(model, missing_at_random(rng, model.sample(500, rng)[0])) for _ in range(times)]
        )
        errors = found.std(axis=0, ddof=1) / np.sqrt(times)
        z = np.abs(found.mean(axis=0) / errors)
        print(
            f"scores, {covariance:<10} {len(z)} parameters, {times} tables: max |z| {z.max():.2f}"
        )
        rows.append({"scores": covariance, "tables": times, "largest_z": float(z.max())})
    return rows


def coverage(rng: np.random.Generator, times: int) -> list[dict[str, Any]]:
    """How often 90 % intervals of draws hold what is missing."""
    held = []
    for _ in range(times):
        whole, _ = truth("full").sample(500, rng)
        X = missing_at_random(rng, whole)
        fitted = bm.BayesianGaussianMixture(2, missing="use", search="short", random_state=0).fit(X)
        gaps = np.isnan(X[:, 1])
        drawn = fitted.impute(X, n_draws=DRAWS, random_state=rng)[:, gaps, 1]
        low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
        held.append(np.mean((low <= whole[gaps, 1]) & (whole[gaps, 1] <= high)))
    error = np.std(held, ddof=1) / np.sqrt(times)
    print(f"90 % intervals, {times} tables: hold {np.mean(held):.4f} (standard error {error:.4f})")
    return [{"tables": times, "intervals_hold": float(np.mean(held)), "error": float(error)}]


def passes(rng: np.random.Generator, repeats: int) -> list[dict[str, Any]]:
    """Seconds of an E-step over 100,000 x 10 rows, K=10, with and without gaps."""
    n_rows, n_features, n_components = 100_000, 10, 10
    means = rng.normal(0.0, 4.0, (n_components, n_features))
    X = means[rng.integers(n_components, size=n_rows)] + rng.normal(size=(n_rows, n_features))
    some = [np.flatnonzero(rng.random(n_features) < 0.5) for _ in range(10)]
    ten, every = X.copy(), X.copy()
    for row in np.flatnonzero(rng.random(n_rows) < 0.2):
        ten[row, some[rng.integers(10)]] = np.nan
    every[rng.random(X.shape) < 0.1] = np.nan
    start = np.eye(n_components)[rng.integers(n_components, size=n_rows)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = bm.GaussianMixture(n_components, max_iter=3, init_params=start).fit(X)
    mixture = fitted.result_.mixture
    cases = [("complete", X, CENTRED), ("ten patterns", ten, Gapped(0))]
    cases.append(("all patterns", every, Gapped(0)))
    whole, found = 0.0, []
    for name, rows, form in cases:
        source = ArraySource(rows, n_jobs=1)
        taken = []
        for _ in range(repeats + 1):
            began = time.perf_counter()
            summed(source, mixture, form)  # type: ignore[arg-type]
            taken.append(time.perf_counter() - began)
        best = min(taken[1:])
        whole = whole or best
        missing = np.isnan(rows).mean()
        print(f"a pass, {name:<13} {missing:5.1%} missing: {best:.3f} s, {best / whole:.2f} times")
        found.append({"rows": name, "seconds": best, "times_a_complete_pass": best / whole})
    return found


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """All three."""
    rng, times = np.random.default_rng(2026), 20 if quick else 200
    return [*passes(rng, repeats), *scores(rng, times), *coverage(rng, times)]


def main() -> None:
    """All three."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--times", type=int, default=200, help="simulated tables")
    parser.add_argument("--repeats", type=int, default=5, help="of a pass")
    asked = parser.parse_args()
    rng = np.random.default_rng(asked.seed)
    passes(rng, asked.repeats)
    scores(rng, asked.times)
    coverage(rng, asked.times)


if __name__ == "__main__":
    main()
