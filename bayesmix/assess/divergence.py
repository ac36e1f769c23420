"""Distances between mixtures: Kullback-Leibler, Jensen-Shannon, and squared L2."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bayesmix.core import validation
from bayesmix.core.random import Purpose, root_seed, stream
from bayesmix.em.result import FitResult
from bayesmix.errors import InvalidInputError
from bayesmix.families.gaussian.family import Gaussian
from bayesmix.families.gaussian.subspace import CommonSubspace
from bayesmix.numerics.arrays import Array

KINDS = ("kl", "js", "l2")
NAMES = {
    "kl": "Kullback-Leibler divergence",
    "js": "Jensen-Shannon divergence",
    "l2": "Squared L2 distance",
}


@dataclass(frozen=True, repr=False)
class Divergence:
    """A distance between two densities; ``float`` gives its value.

    Attributes
    ----------
    value : float
        In nats ("kl", "js"), or in the units of a density ("l2").
    standard_error : float
        Of the average over draws; 0 where the value is exact.
    kind : {"kl", "js", "l2"}
    n_draws : int
        0 where the value is exact.
    """

    value: float
    standard_error: float
    kind: str
    n_draws: int

    def __float__(self) -> float:
        return self.value

    def summary(self) -> str:
        """Return the value, and its standard error if it is an average over draws."""
        unit = "" if self.kind == "l2" else " nats"
        if not self.n_draws:
            return f"{NAMES[self.kind]}: {self.value:.4g}{unit} (exact)."
        error = f"{self.value:.4g} ± {self.standard_error:.2g}{unit}"
        return f"{NAMES[self.kind]}: {error} ({self.n_draws:,} draws)."

    __repr__ = summary


def divergence(
    p: Any, q: Any, kind: str = "kl", *, n_draws: int = 100_000, random_state: Any = 0
) -> Divergence:
    """Return the divergence of two fitted densities over the same features.

    Parameters
    ----------
    p, q : fitted estimators, searches or averaged densities
        With ``score_samples`` and ``sample``.
    kind : {"kl", "js", "l2"}, default="kl"
        KL(p ‖ q) = ∫ p log(p / q); the symmetric Jensen-Shannon divergence, at most log 2; or
        ∫ (p - q)². Exact for "l2" of normal mixtures and "kl" of two single normals with point
        parameters, otherwise an average over draws.
    n_draws : int, default=100,000
        Draws from each density.
    random_state : default=0

    Returns
    -------
    Divergence

    Raises
    ------
    InvalidInputError
        If the models have no density or different numbers of features.

    Examples
    --------
    >>> import bayesmix as bm
    >>> p = bm.GaussianMixture.from_parameters([1.0], [[0.0]], [1.0])
    >>> q = bm.GaussianMixture.from_parameters([1.0], [[1.0]], [1.0])
    >>> bm.divergence(p, q)
    Kullback-Leibler divergence: 0.5 nats (exact).
    """
    validation.one_of("kind", kind, KINDS)
    n_draws = validation.integer("n_draws", n_draws, 2)
    for name, model in (("p", p), ("q", q)):
        if not (hasattr(model, "score_samples") and hasattr(model, "sample")):
            raise InvalidInputError(
                f"{name} must be a fitted model with a density, got {type(model).__name__}"
            )
    first, second = normal_mixture(p), normal_mixture(q)
    if first is not None and second is not None:
        if first[1].shape[1] != second[1].shape[1]:
            raise InvalidInputError(
                f"p and q must have the same features, got {first[1].shape[1]} and "
                f"{second[1].shape[1]}"
            )
        if kind == "l2":
            value = _inner(first, first) - 2.0 * _inner(first, second) + _inner(second, second)
            return Divergence(max(value, 0.0), 0.0, kind, 0)
        if kind == "kl" and len(first[0]) == len(second[0]) == 1:
            return Divergence(_kl_of_normals(first, second), 0.0, kind, 0)
    seed = root_seed(random_state)
    terms = [
        _terms(one, other, kind, n_draws, int(stream(seed, Purpose.DRAW, k).integers(2**31)))
        for k, (one, other) in enumerate(((p, q), (q, p))[: 1 + (kind != "kl")])
    ]
    value = sum(float(part.mean()) for part in terms)
    error = math.sqrt(sum(float(part.var(ddof=1)) / n_draws for part in terms))
    return Divergence(value, error, kind, n_draws)


def _terms(one: Any, other: Any, kind: str, n_draws: int, seed: int) -> Array:
    """Return the terms (n,) of which the divergence is the mean over draws from ``one``."""
    X, _ = one.sample(n_draws, random_state=seed)
    ours, theirs = (np.asarray(model.score_samples(X)) for model in (one, other))
    if kind == "kl":
        return ours - theirs
    if kind == "l2":  # p² + q² - 2pq, where the mean of p over its draws is ∫ p²
        return np.exp(ours) - np.exp(theirs)
    return 0.5 * (ours - np.logaddexp(ours, theirs) + math.log(2.0))


def normal_mixture(model: Any) -> tuple[Array, Array, Array] | None:
    """Return weights (K,), means (K, D) and covariances (K, D, D); None for other densities."""
    best = getattr(model, "best_estimator_", model)
    result = getattr(best, "result_", None)
    if not isinstance(result, FitResult):
        return None
    if not isinstance(result.family, (Gaussian, CommonSubspace)):
        return None
    if result.variational or result.density.noise is not None or result.side:
        return None
    point: Any = result.plug_in.components.unframed(result.mixture.frame)
    return result.mixture.mean_weights, point.means, point.covariances


def _inner(p: Any, q: Any) -> float:
    """Return ∫ p q of two normal mixtures, a sum of normal densities of differences of means."""
    total = 0.0
    for weight, mean, covariance in zip(*p, strict=True):
        both = covariance + q[2]
        away = q[1] - mean
        solved = np.linalg.solve(both, away[..., None])[..., 0]
        log_density = -0.5 * (
            np.einsum("kd,kd->k", away, solved)
            + np.linalg.slogdet(both)[1]
            + away.shape[1] * math.log(2.0 * math.pi)
        )
        total += float(weight * (q[0] @ np.exp(log_density)))
    return total


def _kl_of_normals(p: Any, q: Any) -> float:
    """Return KL(p ‖ q) of two normal densities (Bishop 2006, exercise 2.13)."""
    (mean, S), (other, T) = (p[1][0], p[2][0]), (q[1][0], q[2][0])
    away, D = other - mean, len(mean)
    trace = float(np.trace(np.linalg.solve(T, S)))
    logs = np.linalg.slogdet(T)[1] - np.linalg.slogdet(S)[1]
    return 0.5 * float(trace + away @ np.linalg.solve(T, away) - D + logs)
