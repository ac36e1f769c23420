"""The generated problems that the benchmarks share; the recipe is all here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


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
