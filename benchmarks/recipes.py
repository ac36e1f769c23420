"""The generated data of all benchmarks.

Problems of a fixed size have names: ``make("separated", ...)`` returns data and the component of
each row. Fresh problems are drawn by a seed that is new in every run:

Every recipe draws its own K, D, n, weights, shapes and separation. Where the truth is a mixture of
normals there is a right K; of the others, whose components are skewed, heavy-tailed, uniform or
rounded, or come with outliers or columns of noise, there is a density alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

STRUCTURES = ("full", "tied", "diag", "spherical")

Rows: TypeAlias = np.ndarray
LogDensity: TypeAlias = Callable[[Rows], np.ndarray]
Drawn = tuple[np.ndarray, np.ndarray]
# Distance between clusters in each feature that tells them apart.
SHIFT = 2.1


def new_seed() -> int:
    """A seed that no constant was chosen by."""
    return time.time_ns() % 2**31


@dataclass(frozen=True)
class Normals:
    """A mixture of normal components."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def draw(self, n: int, generator: np.random.Generator) -> tuple[Rows, np.ndarray]:
        """Rows (n, D) and their components (n,)."""
        labels = generator.choice(len(self.weights), n, p=self.weights)
        roots = np.linalg.cholesky(self.covariances)
        normal = generator.standard_normal((n, self.means.shape[1]))
        return self.means[labels] + np.einsum("nij,nj->ni", roots[labels], normal), labels

    def log_density(self, rows: Rows) -> np.ndarray:
        """Log density (n,) in nats."""
        terms = [
            np.log(weight) + multivariate_normal(mean, covariance).logpdf(rows)
            for weight, mean, covariance in zip(
                self.weights, self.means, self.covariances, strict=True
            )
        ]
        return np.asarray(logsumexp(np.atleast_2d(terms), axis=0))


@dataclass(frozen=True)
class FreshProblem:
    """Rows to fit, fresh rows to be judged on, and what is known of where they come from."""

    recipe: str
    rows: Rows
    fresh: Rows
    labels: np.ndarray
    n_components: int | None  # None: no number is right
    true_mean: float  # of the true log density over the fresh rows; nan where it is not known
    structure: str = ""


def covariances(
    structure: str, K: int, D: int, generator: np.random.Generator, condition: float = 9.0
) -> np.ndarray:
    """K matrices of one structure; variances along their axes differ by ``condition`` at most."""
    sizes = np.exp(generator.normal(0.0, 0.4, K))
    if structure == "spherical":
        return np.array([size**2 * np.eye(D) for size in sizes])
    deviations = condition ** (0.25 * generator.uniform(-1.0, 1.0, (K, D)))
    if structure == "tied":
        deviations = np.tile(deviations[0], (K, 1))
    else:
        deviations *= sizes[:, None]
    axes = np.tile(np.eye(D), (K, 1, 1))
    if structure != "diag":
        axes = np.linalg.qr(generator.standard_normal((K, D, D)))[0]
    if structure == "tied":
        axes = np.tile(axes[0], (K, 1, 1))
    return np.asarray((axes * deviations[:, None, :] ** 2) @ axes.transpose(0, 2, 1))


def closest(means: np.ndarray, matrices: np.ndarray) -> float:
    """Mahalanobis distance of the closest pair, under the mean of its covariances."""
    first, second = np.triu_indices(len(means), 1)
    apart = means[first] - means[second]
    solved = np.linalg.solve((matrices[first] + matrices[second]) / 2.0, apart[:, :, None])
    return float(np.sqrt((apart * solved[:, :, 0]).sum(axis=1).min()))


def normals(
    structure: str,
    K: int,
    D: int,
    separation: float,
    generator: np.random.Generator,
    least_share: float = 0.5,
    condition: float = 9.0,
) -> Normals:
    """Components whose closest pair lies ``separation`` apart; none below ``least_share`` / K."""
    matrices = covariances(structure, K, D, generator, condition)
    weights = least_share / K + (1.0 - least_share) * generator.dirichlet(np.full(K, 2.0))
    draws = [generator.standard_normal((K, D)) for _ in range(20)]
    means = draws[0]
    if K > 1:
        means = max(draws, key=lambda draw: closest(draw, matrices) / draw.std())
        means = means * (separation / closest(means, matrices))
    return Normals(weights, means, matrices)


def on_the_grid(generator: np.random.Generator, n_fresh: int) -> FreshProblem:
    """K of 1 to 5, D of 2 or 5, n of 100 or 500, 2 to 5 apart, any of the four structures."""
    K, D = int(generator.integers(1, 6)), int(generator.choice([2, 5]))
    n, separation = int(generator.choice([100, 500])), float(generator.choice([2.0, 3.0, 5.0]))
    structure = str(generator.choice(STRUCTURES))
    truth = normals(structure, K, D, separation, generator)
    apart = f", {separation:g} apart" if K > 1 else ""
    return _of_normals(f"grid K={K}, D={D}, n={n}{apart}", truth, structure, n, n_fresh, generator)


def anywhere(generator: np.random.Generator, n_fresh: int) -> FreshProblem:
    """Normal components, everything drawn: at least five rows a parameter of a full component."""
    D = int(generator.choice([1, 2, 3, 5, 8, 12]))
    parameters = 1 + D + D * (D + 1) // 2
    n = round(10 ** generator.uniform(2.0, 3.5))
    K = int(generator.integers(1, max(1, min(12, n // (5 * parameters))) + 1))
    structure = str(generator.choice(STRUCTURES))
    truth = normals(
        structure,
        K,
        D,
        float(generator.uniform(2.5, 6.0)),
        generator,
        float(generator.uniform(0.3, 1.0)),
        float(10.0 ** generator.uniform(0.0, 2.5)),
    )
    return _of_normals("normal, everything drawn", truth, structure, n, n_fresh, generator)


def _of_normals(
    name: str, truth: Normals, structure: str, n: int, n_fresh: int, generator: np.random.Generator
) -> FreshProblem:
    rows, labels = truth.draw(n, generator)
    fresh, _ = truth.draw(n_fresh, generator)
    mean = float(truth.log_density(fresh).mean())
    return FreshProblem(name, rows, fresh, labels, len(truth.weights), mean, structure)


def _base(generator: np.random.Generator) -> tuple[Normals, int]:
    """Few well separated components for recipes that bend them, and how many rows."""
    D = int(generator.choice([2, 3, 5]))
    K = int(generator.integers(1, 5))
    structure = str(generator.choice(STRUCTURES))
    n = round(10 ** generator.uniform(2.2, 3.2))
    return normals(structure, K, D, float(generator.uniform(3.0, 6.0)), generator), n


def _bent(
    name: str, bend: Callable[[Rows, np.random.Generator], Rows]
) -> Callable[[np.random.Generator, int], FreshProblem]:
    def recipe(generator: np.random.Generator, n_fresh: int) -> FreshProblem:
        truth, n = _base(generator)
        rows, labels = truth.draw(n + n_fresh, generator)
        bent = bend(rows, generator)
        return FreshProblem(name, bent[:n], bent[n:], labels[:n], None, float("nan"))

    return recipe


def _skewed(rows: Rows, generator: np.random.Generator) -> Rows:
    return np.exp(rows / (2.0 * rows.std(axis=0)))


def _heavy(rows: Rows, generator: np.random.Generator) -> Rows:
    middle = rows.mean(axis=0)
    scale = np.sqrt(4.0 / generator.chisquare(4.0, len(rows)))
    return middle + (rows - middle) * scale[:, None]


def _rounded(rows: Rows, generator: np.random.Generator) -> Rows:
    step = rows.std(axis=0) / generator.integers(5, 30)
    return np.round(rows / step) * step


def noise_columns(generator: np.random.Generator, n_fresh: int) -> FreshProblem:
    """Normal components, with columns of plain noise beside them: the right K is what it was."""
    truth, n = _base(generator)
    extra = int(generator.integers(1, 6))
    K, D = truth.means.shape
    means = np.hstack([truth.means, np.zeros((K, extra))])
    matrices = np.zeros((K, D + extra, D + extra))
    matrices[:, :D, :D] = truth.covariances
    matrices[:, D:, D:] = np.eye(extra)
    wider = Normals(truth.weights, means, matrices)
    return _of_normals("noise columns", wider, "", n, n_fresh, generator)


def outliers(generator: np.random.Generator, n_fresh: int) -> FreshProblem:
    """Normal components and one row in a hundred anywhere in a box ten times as wide."""
    truth, n = _base(generator)
    rows, labels = truth.draw(n + n_fresh, generator)
    low, high = rows.min(axis=0), rows.max(axis=0)
    away = generator.random(len(rows)) < 0.01
    box = generator.uniform(low - 4.5 * (high - low), high + 4.5 * (high - low), rows.shape)
    rows = np.where(away[:, None], box, rows)
    # What is judged are the rows that belong to the components.
    fresh = rows[n:][~away[n:]]
    return FreshProblem("outliers", rows[:n], fresh, labels[:n], None, float("nan"))


def uniform_boxes(generator: np.random.Generator, n_fresh: int) -> FreshProblem:
    """Components that are uniform on boxes."""
    truth, n = _base(generator)
    labels = generator.choice(len(truth.weights), n + n_fresh, p=truth.weights)
    widths = np.sqrt(3.0 * np.diagonal(truth.covariances, axis1=1, axis2=2))
    shape = (n + n_fresh, truth.means.shape[1])
    rows = truth.means[labels] + widths[labels] * generator.uniform(-1.0, 1.0, shape)
    return FreshProblem("uniform boxes", rows[:n], rows[n:], labels[:n], None, float("nan"))


RECIPES: tuple[Callable[[np.random.Generator, int], FreshProblem], ...] = (
    anywhere,
    anywhere,
    anywhere,
    noise_columns,
    _bent("skewed", _skewed),
    _bent("heavy-tailed", _heavy),
    _bent("rounded", _rounded),
    outliers,
    uniform_boxes,
)


def fresh_problem(seed: int, number: int, n_fresh: int = 5000) -> FreshProblem:
    """One of a run: every other one is on the grid, the rest go round the recipes."""
    generator = np.random.default_rng([seed, number])
    if number % 2 == 0:
        return on_the_grid(generator, n_fresh)
    return RECIPES[(number // 2) % len(RECIPES)](generator, n_fresh)


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


@dataclass(frozen=True)
class FactorData:
    """Rows (n, D) of groups along factors, the group of each, and the rows' true factors (n, q)."""

    noise: str
    rows: np.ndarray
    labels: np.ndarray
    factors: np.ndarray


FACTOR_NOISE = ("equal", "unequal", "correlated", "unequal groups")


def along_factors(seed: Any, n_groups: int | None = None) -> FactorData:
    """3 to 5 groups of 100 to 300 rows in all, along 3 to 6 factors of 60 to 1,000 columns.

    Noise of columns has equal or unequal variances, or is correlated between neighbours; groups
    are spherical along the factors, or of unequal shape. ``factors`` are estimated from the rows
    by the true loadings, so with noise.
    """
    rng = np.random.default_rng([89, *np.atleast_1d(seed)])
    noise = str(rng.choice(FACTOR_NOISE))
    n, D = int(rng.integers(100, 301)), round(60 * (1_000 / 60) ** rng.uniform())
    K, q = int(rng.integers(3, 6)), int(rng.integers(3, 7))
    K = K if n_groups is None else n_groups
    structure = "full" if noise == "unequal groups" else "spherical"
    truth = normals(structure, K, q, float(rng.uniform(5.0, 7.0)), rng)
    inner, labels = truth.draw(n, rng)
    loadings, deviations = rng.standard_normal((D, q)), np.ones(D)
    errors = rng.standard_normal((n, D))
    if noise == "unequal":
        deviations = rng.uniform(0.5, 3.0, D)
    if noise == "correlated":
        for column in range(1, D):
            errors[:, column] = 0.5 * errors[:, column - 1] + 0.75**0.5 * errors[:, column]
    rows = inner @ loadings.T + errors * deviations
    solved = np.linalg.lstsq(loadings / deviations[:, None], (rows / deviations).T, rcond=None)
    return FactorData(noise, rows, labels, solved[0].T)


def few_columns_differ(n: int, n_features: int, n_differ: int, seed: Any) -> Drawn:
    """Three unit normal groups whose means differ in the first columns, by independent normals."""
    rng = np.random.default_rng([90, *np.atleast_1d(seed)])
    labels = rng.integers(0, 3, n)
    means = np.zeros((3, n_features))
    means[:, :n_differ] = 1.2 * rng.normal(size=(3, n_differ))
    return rng.normal(size=(n, n_features)) + means[labels], labels


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


NAMED: dict[str, Callable[..., Drawn]] = {
    "separated": separated,
    "six features": six_features,
    "few columns differ": few_columns_differ,
    "latent classes": latent_classes,
    "chain": chain,
    "one normal": one_normal,
    "two near": two_near,
}


def make(name: str, *arguments: Any, **options: Any) -> Drawn:
    """Data and components of the recipe with this name."""
    return NAMED[name](*arguments, **options)
