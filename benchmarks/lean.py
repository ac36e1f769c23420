"""Passes of full Gaussians beside the fewest NumPy calls that do the same.

The lean passes have fixed priors, no sample weights and no checks, which the package adds.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, TypeAlias

import numpy as np
from scipy.special import digamma, gammaln

import bayesmix
from bayesmix.em.expectation import BLOCK_VALUES
from bayesmix.em.model import Model, Settings, resolve
from bayesmix.em.run import Change, Monitor
from bayesmix.search.optimum import raced
from bayesmix.sources.memory import ArraySource
from bayesmix.starts.responsibilities import begun, numbered_starts
from benchmarks.passes import OURS, PLAIN, side_by_side

CASES = ((150, 4, 3), (1_000, 10, 5), (5_000, 5, 5))  # rows, features, components
FEW, MANY = 20, 220  # passes of two fits, whose difference is measured
Array: TypeAlias = Any

# Counts (K,), first and second moments -> constant, linear and quadratic coefficients, regulariser.
MStep: TypeAlias = Callable[[Array, Array, Array], tuple[Array, Array, Array, float]]


def maximum_likelihood(counts: Array, first: Array, second: Array) -> Any:
    """Return coefficients at the maximum-likelihood estimates (Bishop 2006, eq. 9.24 to 9.26)."""
    means = first / counts[:, None]
    covariances = second / counts[:, None, None] - means[:, :, None] * means[:, None, :]
    root = np.linalg.inv(np.linalg.cholesky(covariances))
    precision = root.transpose(0, 2, 1) @ root
    linear = (precision @ means[:, :, None])[:, :, 0]
    log_det = 2.0 * np.log(root.diagonal(0, 1, 2)).sum(axis=1)
    constant = 0.5 * (log_det - first.shape[1] * np.log(2.0 * np.pi) - (means * linear).sum(axis=1))
    return constant + np.log(counts / counts.sum()), linear, precision, 0.0


def variational(counts: Array, first: Array, second: Array) -> Any:
    """Return coefficients under q(π) q(μ, Λ) and minus its KL divergence (eq. 10.58 to 10.77)."""
    K, D = first.shape
    alpha0, beta0, nu0, scale = 1.0, 0.1, D + 2.0, 0.1
    alpha, beta, nu = alpha0 + counts, beta0 + counts, nu0 + counts
    means = first / beta[:, None]
    inverse = second - beta[:, None, None] * (means[:, :, None] * means[:, None, :])
    inverse[:, range(D), range(D)] += scale
    root = np.linalg.inv(np.linalg.cholesky(inverse))
    precision = nu[:, None, None] * (root.transpose(0, 2, 1) @ root)
    linear = (precision @ means[:, :, None])[:, :, 0]
    away = (means * linear).sum(axis=1)
    halves = 0.5 * nu[:, None] - 0.5 * np.arange(D)
    log_w = 2.0 * np.log(root.diagonal(0, 1, 2)).sum(axis=1)
    log_det = digamma(halves).sum(axis=1) + D * np.log(2.0) + log_w
    log_weights = digamma(alpha) - digamma(alpha.sum())
    constant = 0.5 * (log_det - D * np.log(2.0 * np.pi) - D / beta - away) + log_weights
    kl = gammaln(alpha.sum()) - gammaln(alpha).sum() - gammaln(K * alpha0) + K * gammaln(alpha0)
    kl += (alpha - alpha0) @ log_weights
    kl += 0.5 * (D * (beta0 / beta - 1.0 + np.log(beta / beta0)) + beta0 * away).sum()
    prior = 0.5 * nu0 * D * np.log(scale / 2.0) - gammaln(0.5 * (nu0 - np.arange(D))).sum()
    kl -= K * prior + (0.5 * nu * (log_w + D * np.log(2.0)) + gammaln(halves).sum(axis=1)).sum()
    trace = scale * precision.trace(axis1=1, axis2=2)
    kl += 0.5 * ((nu - nu0) * log_det - nu * D + trace).sum()
    return constant, linear, precision, -kl


def lean(X: Array, K: int, m_step: MStep, passes: int) -> int:
    """Make passes from random responsibilities; return their number."""
    n, D = X.shape
    i, j = np.triu_indices(D)
    features = np.vstack([np.ones(n), X.T, X.T[i] * X.T[j]])
    place = np.empty((D, D), dtype=int)
    place[i, j] = place[j, i] = np.arange(1 + D, len(features))
    factors, coefficients = np.where(i == j, -0.5, -1.0), np.empty((K, len(features)))
    joint = np.random.default_rng(0).dirichlet(np.ones(K), n).T
    for _ in range(passes):
        sums = joint @ features.T
        constant, linear, precision, regulariser = m_step(
            sums[:, 0], sums[:, 1 : 1 + D], sums[:, place]
        )
        coefficients[:, 0], coefficients[:, 1 : 1 + D] = constant, linear
        coefficients[:, 1 + D :] = factors * precision[:, i, j]
        joint = coefficients @ features
        largest = joint.max(axis=0)
        np.exp(joint - largest, out=joint)
        total = joint.sum(axis=0)
        joint /= total
        float((np.log(total) + largest).sum()) + regulariser
    return passes


def _fitted(X: Array, K: int, method: str, passes: int) -> int:
    """Return the number of passes that a fit made."""
    options = PLAIN | {"tol": 1e-300, "max_iter": passes, "random_state": 0, "n_jobs": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return int(OURS[method](K, **options).fit(X).result_.passes)


def _raced(X: Array, K: int, method: str, passes: int) -> int:
    """Return the number of passes of the starts of a race, those of all starts together."""
    inference = bayesmix.MaximumLikelihood() if method == "EM" else bayesmix.VariationalBayes()
    source, model = ArraySource(X), Model(K, bayesmix.Gaussian(), inference)
    problem = resolve(model, source, Settings(Change(-1.0, per_row=False)))
    n_starts = min(8, BLOCK_VALUES // (len(X) * K))  # more do not race
    numbered = numbered_starts(source, source.summary, model, 0, 0, range(n_starts), False)
    starts = ((number, begun(problem, start, K)) for number, start in numbered)
    raced(problem, starts, n_starts, Monitor(), passes + 1)
    return n_starts * passes


def _per_pass(fit: Callable[[int], int]) -> float:
    """Return seconds of processor time per pass."""
    began = time.process_time()
    few = fit(FEW)
    between = time.process_time()
    many = fit(MANY)
    return ((time.process_time() - between) - (between - began)) / (many - few)


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Return a row per case and method: milliseconds a pass of both, alternating."""
    table = []
    for n, D, K in CASES[:1] if quick else CASES:
        X = np.random.default_rng(1).normal(size=(n, D))
        for method, m_step in (("EM", maximum_likelihood), ("variational", variational)):
            bare, ours = partial(lean, X, K, m_step), partial(_fitted, X, K, method)
            pairs = [(_per_pass(ours), _per_pass(bare)) for _ in range(5 * repeats)]
            race = median(_per_pass(partial(_raced, X, K, method)) for _ in range(5 * repeats))
            row = side_by_side(pairs, "ms", "lean")
            table.append(
                {
                    "problem": f"{n:,} x {D}, K={K}",
                    "method": method,
                    "bayesmix_ms": row["bayesmix_ms"],
                    "lean_ms": row["lean_ms"],
                    "times_lean": 1.0 / row["times_faster"],
                    "start_of_race_ms": 1e3 * race,
                }
            )
            shown = "  {problem:<16} {method:<11} {times_lean:5.2f} x, {start_of_race_ms:.3f} ms"
            print(shown.format(**table[-1]))
    return table
