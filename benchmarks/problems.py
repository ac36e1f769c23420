"""The generated data of the benchmarks, by name; ``benchmarks.recipes`` draws mixtures by seed.

``make("separated", ...)`` returns data and the component of each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Drawn = tuple[np.ndarray, np.ndarray]
# Distance between clusters in each feature that tells them apart.
SHIFT = 2.1


@dataclass(frozen=True)
class Problem:
    """Rows (n, D) drawn from K Gaussians whose means lie ``separation`` apart."""

    n_rows: int
    n_features: int
    n_components: int
    separation: float = 3.0
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.n_rows:,} x {self.n_features}, K={self.n_components}"

    def rows(self) -> np.ndarray:
        """The rows alone."""
        return self.labelled_rows()[0]

    def labelled_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Means ~ N(0, separation²), weights ~ Dirichlet(5), covariances A Aᵀ, A = N/√D + I/2."""
        means, roots, _, labels, normal = self._drawn()
        return _placed(means, roots, labels, normal), labels

    def fresh_rows(self, n: int) -> np.ndarray:
        """Other rows (n, D) of the same components."""
        means, roots, weights, *_ = self._drawn()
        generator = np.random.default_rng([self.seed, n])
        labels = generator.choice(self.n_components, n, p=weights)
        return _placed(means, roots, labels, generator.standard_normal((n, self.n_features)))

    def _drawn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Means, roots A and weights of the components; labels and standard normal rows."""
        generator = np.random.default_rng(
            [self.seed, self.n_features, self.n_components, int(10 * self.separation)]
        )
        K, D = self.n_components, self.n_features
        means = generator.normal(size=(K, D)) * self.separation
        weights = generator.dirichlet(np.full(K, 5.0))
        labels = generator.choice(K, self.n_rows, p=weights)
        normal = generator.standard_normal((self.n_rows, D))
        roots = generator.normal(size=(K, D, D)) / np.sqrt(D) + 0.5 * np.eye(D)
        return means, roots, weights, labels, normal


def _placed(
    means: np.ndarray, roots: np.ndarray, labels: np.ndarray, normal: np.ndarray
) -> np.ndarray:
    rows = np.empty_like(normal)
    for k, (mean, root) in enumerate(zip(means, roots, strict=True)):
        mine = labels == k
        rows[mine] = mean + normal[mine] @ root.T
    return rows


def ordinary_problems() -> Iterator[Problem]:
    """36 problems of 8,000 rows: D of 2, 5, 10; K of 6, 10, 15; separation 2, 3, 4, 6."""
    for n_features in (2, 5, 10):
        for n_components in (6, 10, 15):
            for separation in (2.0, 3.0, 4.0, 6.0):
                yield Problem(8_000, n_features, n_components, separation)


def separated(
    n: int, n_features: int, n_components: int, separation: float = 3.0, seed: int = 0
) -> Drawn:
    """Normal clusters of any orientation and size."""
    return Problem(n, n_features, n_components, separation, seed).labelled_rows()


def six_features(n: int, n_features: int, seed: int) -> Drawn:
    """Three normal clusters, told apart by the first six of the features."""
    rng = np.random.default_rng(1000 * n_features + seed)
    labels = rng.integers(0, 3, n)
    rows = rng.normal(size=(n, n_features))
    means = np.zeros((3, n_features))
    means[1, :3] = means[2, 3:6] = SHIFT
    return rows + means[labels], labels


def latent_classes(rng: np.random.Generator) -> Drawn:
    """Codes of 5 to 12 categorical columns, of 2 to 5 classes."""
    n, n_columns = int(rng.choice([300, 1000, 2000])), int(rng.integers(5, 13))
    n_classes = int(rng.integers(2, 6))
    classes = rng.choice(n_classes, n, p=rng.dirichlet(np.full(n_classes, 5.0)))
    columns = []
    for n_levels in rng.integers(2, 6, n_columns):
        reached = rng.dirichlet(np.ones(n_levels), n_classes).cumsum(axis=1)
        codes = (rng.random((n, 1)) > reached[classes]).sum(axis=1)
        # Every level that exists occurs.
        columns.append(np.unique(codes, return_inverse=True)[1])
    return np.column_stack(columns).astype(np.float64), classes


def chain(
    rng: np.random.Generator, n: int, n_features: int, n_states: int, stay: float, spread: float
) -> Drawn:
    """A chain of unit normal states that last with probability ``stay``."""
    leaves, by = rng.random(n - 1) > stay, rng.integers(1, max(2, n_states), n - 1)
    states = np.append(0, np.cumsum(leaves * by)) % n_states
    means = rng.normal(0.0, spread, (n_states, n_features))
    return means[states] + rng.normal(size=(n, n_features)), states


def one_normal(n: int, n_features: int, seed: Any) -> Drawn:
    """One normal cluster with any correlations."""
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((n_features, n_features)) + np.eye(n_features)
    return rng.standard_normal((n, n_features)) @ root, np.zeros(n, dtype=int)


def two_near(rng: np.random.Generator, n: int) -> Drawn:
    """Two equal unit normal clusters on a diagonal, 4.2 standard deviations apart."""
    labels = (rng.random(n) < 0.5).astype(int)
    return 3.0 * (1 - labels)[:, None] + rng.normal(size=(n, 2)), labels


RECIPES: dict[str, Callable[..., Drawn]] = {
    "separated": separated,
    "six features": six_features,
    "latent classes": latent_classes,
    "chain": chain,
    "one normal": one_normal,
    "two near": two_near,
}


def make(name: str, *arguments: Any, **options: Any) -> Drawn:
    """Data and components of the recipe with this name."""
    return RECIPES[name](*arguments, **options)
