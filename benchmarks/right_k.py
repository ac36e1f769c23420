"""The share of right K, and what the chosen density loses against the true one, on generated data.

**Data.** A data set has K components in D dimensions and n rows. One structure is drawn for all
components, with equal chances: full, tied, diag or spherical. A component's size is exp(N(0, 0.4²))
standard deviations (1 for tied); the standard deviations along its axes are that times a factor
between 1/√3 and √3, uniform in the logarithm (1 for spherical), along random axes for full and
tied. Weights are half 1/K and half Dirichlet(2): none is below 0.5/K. Means are drawn from
N(0, 1) in every coordinate, twenty times; the draw is kept whose closest pair is farthest apart for
its spread, and it is scaled so that this pair lies exactly ``separation`` apart, in Mahalanobis
distance under the mean of the two covariances.

**Cells.** One for each K of 1, 2, 3, 5, 8 and n of 100, 300, 1,000, 5,000. D of 1, 2, 5, 10 and
separation of 2, 3, 5 go round with them, so that every level meets every other as evenly as twenty
cells allow; where K (D + 1) > n/5, D is the largest of its levels that is not beyond. Of n = 5,000
only K of 2 and 5 are kept, so that ten data sets a cell take about half an hour on two cores.

**Figures.** K as chosen, and the mean over 10,000 fresh rows of the true log density minus the
estimated one, in nats. bayesmix is called as ``bayesmix.select(X)``, and judged by its averaged
density; beside it stand its best candidate alone, and what other criteria choose among the same
fits. scikit-learn has four structures and K of 1 to 12: BIC with three starts; the Bayesian mixture
by ``lower_bound_``, and its 12 components of which those are counted that are the most probable one
of a row. mclust has its 14 structures, where R has it. Tests are one-sided (is bayesmix worse?) and
paired over the data sets of a cell: exact McNemar for K, exact Wilcoxon for the loss, with Holm's
correction over the cells.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.mixture
from joblib import Parallel, delayed
from scipy.stats import binomtest, wilcoxon
from threadpoolctl import threadpool_limits

import bayesmix
from bayesmix.core.parallel import resolve_jobs
from benchmarks.recipes import STRUCTURES, Normals, closest, covariances

NUMBERS = (1, 2, 3, 5, 8)
DIMENSIONS = (1, 2, 5, 10)
SEPARATIONS = (2.0, 3.0, 5.0)
SIZES = (100, 300, 1_000, 5_000)
NUMBERS_AT_MOST_ROWS = (2, 5)
MOST = 12
N_FRESH = 10_000
LEVEL = 0.05
OURS = "bayesmix select"
CRITERIA = ("elbo", "elbo_log_k", "bic", "aicc")
MCLUST = """
library(mclust)
rows <- as.matrix(read.csv("{folder}/rows.csv", header = FALSE))
fresh <- as.matrix(read.csv("{folder}/fresh.csv", header = FALSE))
fit <- Mclust(rows, G = 1:{most}, verbose = FALSE)
density <- dens(data = fresh, modelName = fit$modelName, parameters = fit$parameters,
                logarithm = TRUE)
cat(fit$G, mean(density), "\\n")
"""


@dataclass(frozen=True)
class Cell:
    """Where a data set is drawn."""

    n_components: int
    n_features: int
    separation: float
    n_rows: int

    @property
    def name(self) -> str:
        apart = f", {self.separation:g} apart" if self.n_components > 1 else ""
        return f"K={self.n_components}, D={self.n_features}{apart}, n={self.n_rows:,}"


@dataclass(frozen=True)
class Outcome:
    """What one procedure made of one data set."""

    cell: Cell
    structure: str
    procedure: str
    found: int
    loss: float
    seconds: float

    @property
    def right(self) -> bool:
        return self.found == self.cell.n_components


Chosen = tuple[str, int, np.ndarray | float]
# Greater is better.
FIGURES: dict[str, Callable[[Outcome], float]] = {
    "right K": lambda outcome: float(outcome.right),
    "loss": lambda outcome: -outcome.loss,
}


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Pooled figures, paired tests, figures by level and by cell; two data sets a repeat."""
    cells = [c for c in all_cells() if not quick or (c.n_rows <= 300 and c.n_components <= 3)]
    tasks = [(cell, number) for cell in cells for number in range(1 if quick else 2 * repeats)]
    outcomes: list[Outcome] = []
    workers = Parallel(n_jobs=resolve_jobs(None), return_as="generator")
    for done in workers(delayed(one_data_set)(*task) for task in tasks):
        outcomes += done
        ours = done[0]
        print(
            f"  {ours.cell.name} ({ours.structure}): "
            + " | ".join(f"{o.procedure} {o.found}, {o.loss:.3f}" for o in done),
            flush=True,
        )
    table = [
        *pooled(outcomes),
        *tests(outcomes),
        *_by("level", _levels, outcomes),
        *_by("cell", lambda outcome: [outcome.cell.name], outcomes),
    ]
    for row in table:
        print("  ", {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
    return table


def all_cells() -> Iterator[Cell]:
    """Seventeen cells."""
    for row, K in enumerate(NUMBERS):
        for column, n in enumerate(SIZES):
            if n == SIZES[-1] and K not in NUMBERS_AT_MOST_ROWS:
                continue
            allowed = [D for D in DIMENSIONS if n / 5 >= K * (D + 1)]
            D = min(DIMENSIONS[(row + column) % len(DIMENSIONS)], allowed[-1])
            yield Cell(K, D, SEPARATIONS[(row + 2 * column) % len(SEPARATIONS)], n)


def drawn_truth(cell: Cell, generator: np.random.Generator) -> tuple[str, Normals]:
    """By the recipe at the top of this file."""
    structure = str(generator.choice(STRUCTURES))
    K, D = cell.n_components, cell.n_features
    matrices = covariances(structure, K, D, generator)
    weights = 0.5 / K + 0.5 * generator.dirichlet(np.full(K, 2.0))
    means = generator.standard_normal((K, D))
    if K > 1:
        draws = [means, *generator.standard_normal((19, K, D))]
        means = max(draws, key=lambda draw: closest(draw, matrices) / draw.std())
        means = means * (cell.separation / closest(means, matrices))
    return structure, Normals(weights, means, matrices)


def one_data_set(cell: Cell, number: int) -> list[Outcome]:
    """Every procedure on the same rows, bayesmix first."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    generator = np.random.default_rng(
        [number, cell.n_components, cell.n_features, int(10 * cell.separation), cell.n_rows]
    )
    structure, truth = drawn_truth(cell, generator)
    rows, _ = truth.draw(cell.n_rows, generator)
    fresh, _ = truth.draw(N_FRESH, generator)
    true_mean = float(truth.log_density(fresh).mean())
    outcomes = []
    for side in (_bayesmix, _sklearn, _sklearn_bayesian, _mclust):
        began = time.perf_counter()
        chosen = side(rows, fresh)
        seconds = time.perf_counter() - began
        for name, found, density in chosen:
            loss = true_mean - float(np.mean(density))
            outcomes.append(Outcome(cell, structure, name, found, loss, seconds))
    return outcomes


def _bayesmix(rows: Any, fresh: Any) -> list[Chosen]:
    """The default; the best candidate's own density; other criteria on the same fits."""
    search: Any = bayesmix.select(rows, n_jobs=1, progress=False)
    found = search.best_estimator_.n_components_
    density = search.averaged_.score_samples(fresh)
    chosen: list[Chosen] = [
        (OURS, found, density),
        (f"{OURS}, not averaged", found, search.score_samples(fresh)),
    ]
    for criterion in CRITERIA:
        values = search.results_.get(criterion)
        if criterion == search.criterion_ or values is None or not values.notna().any():
            continue
        best = search.estimators_[int(np.nanargmax(values.to_numpy(dtype=float)))]
        chosen.append((f"same fits, {criterion}", best.n_components_, best.score_samples(fresh)))
    return chosen


def _sklearn(rows: Any, fresh: Any) -> list[Chosen]:
    return [sklearn_choice(rows, fresh)]


def sklearn_choice(rows: Any, fresh: Any) -> Chosen:
    """BIC over four structures and K of 1 to 12, three starts each."""
    candidates = _fitted(
        rows,
        lambda K, structure: sklearn.mixture.GaussianMixture(
            K, covariance_type=structure, n_init=3, random_state=0
        ),
    )
    best = min(candidates, key=lambda model: model.bic(rows))
    return "sklearn BIC", best.n_components, best.score_samples(fresh)


def _sklearn_bayesian(rows: Any, fresh: Any) -> list[Chosen]:
    """The largest lower bound over K; and one fit of 12, components with a row of their own."""
    candidates = _fitted(
        rows,
        lambda K, structure: sklearn.mixture.BayesianGaussianMixture(
            n_components=K, covariance_type=structure, random_state=0
        ),
    )
    candidates.sort(key=lambda model: model.lower_bound_)
    best = candidates[-1]
    whole = [model for model in candidates if model.n_components == MOST][-1]
    counted = len(np.unique(whole.predict(rows)))
    return [
        ("sklearn Bayesian, lower_bound_", best.n_components, best.score_samples(fresh)),
        ("sklearn Bayesian, counted", counted, whole.score_samples(fresh)),
    ]


def _fitted(rows: Any, make: Callable[[int, str], Any]) -> list[Any]:
    """Every candidate that scikit-learn can fit: a collapsed one is refused there."""
    models = []
    for structure, K in product(STRUCTURES, range(1, MOST + 1)):
        with suppress(ValueError):
            models.append(make(K, structure).fit(rows))
    return models


def _mclust(rows: Any, fresh: Any) -> list[Chosen]:
    found = mclust_choice(rows, fresh)
    return [] if found is None else [found]


def mclust_choice(rows: Any, fresh: Any) -> Chosen | None:
    """BIC over its 14 structures; None where it is not installed, or fails."""
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(Path(folder) / "rows.csv", rows, delimiter=",")
        np.savetxt(Path(folder) / "fresh.csv", fresh, delimiter=",")
        script = Path(folder) / "fit.R"
        script.write_text(MCLUST.format(folder=folder, most=MOST), encoding="utf-8")
        done = subprocess.run(["Rscript", str(script)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    found, mean = done.stdout.split()[-2:]
    return "mclust", int(found), float(mean)


def pooled(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """A row a procedure, over all data sets."""
    return [
        {
            "procedure": name,
            "data_sets": len(mine),
            "right_K": float(np.mean([o.right for o in mine])),
            "loss": float(np.mean([o.loss for o in mine])),
            "seconds": float(np.median([o.seconds for o in mine])),
        }
        for name, mine in _by_procedure(outcomes).items()
    ]


def tests(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Against each other program: pooled differences, and the cells where bayesmix is worse."""
    sides = _by_procedure(outcomes)
    ours = sides[OURS]
    cells = list(dict.fromkeys(o.cell for o in ours))
    table = []
    for name, theirs in sides.items():
        if not name.startswith(("sklearn", "mclust")) or len(theirs) != len(ours):
            continue
        for figure, value in FIGURES.items():
            gains = np.array([value(a) - value(b) for a, b in zip(ours, theirs, strict=True)])
            of_cells = [gains[[o.cell == cell for o in ours]] for cell in cells]
            worse = rejected([worse_by_chance(values, figure) for values in of_cells])
            table.append(
                {
                    "against": name,
                    "figure": figure,
                    "mean_gain": float(gains.mean()),
                    "standard_error": float(gains.std(ddof=1) / np.sqrt(len(gains))),
                    "cells_better": sum(bool(values.mean() > 0) for values in of_cells),
                    "cells_worse": sum(bool(values.mean() < 0) for values in of_cells),
                    "worse_by_Holm": "; ".join(cells[i].name for i in worse) or "none",
                }
            )
    return table


def worse_by_chance(gains: np.ndarray, figure: str) -> float:
    """p value of one cell: how often chance alone makes bayesmix look this much worse."""
    gains = gains[gains != 0.0]
    if len(gains) == 0:
        return 1.0
    if figure == "right K":
        return float(binomtest(int((gains < 0).sum()), len(gains), alternative="greater").pvalue)
    return float(wilcoxon(gains, alternative="less", method="exact").pvalue)


def rejected(p_values: list[float]) -> list[int]:
    """Which hypotheses Holm's step-down procedure rejects."""
    rejected: list[int] = []
    for rank, place in enumerate(np.argsort(p_values)):
        if p_values[place] > LEVEL / (len(p_values) - rank):
            break
        rejected.append(int(place))
    return rejected


def _by(
    what: str, labels: Callable[[Outcome], list[str]], outcomes: list[Outcome]
) -> list[dict[str, Any]]:
    """Share of right K and loss of every procedure, a row a label."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for label in labels(outcome):
            groups.setdefault(label, []).append(outcome)
    return [{what: label, **_figures(group)} for label, group in sorted(groups.items())]


def _levels(outcome: Outcome) -> list[str]:
    cell = outcome.cell
    apart = [f"{cell.separation:g} apart"] if cell.n_components > 1 else []
    sizes = [f"K = {cell.n_components}", f"D = {cell.n_features}", f"n = {cell.n_rows:,}"]
    return [*sizes, *apart, outcome.structure]


def _figures(outcomes: list[Outcome]) -> dict[str, Any]:
    return {
        name: f"{np.mean([o.right for o in mine]):.0%}, {np.mean([o.loss for o in mine]):.4f}"
        for name, mine in _by_procedure(outcomes).items()
        if not name.startswith("same fits")
    }


def _by_procedure(outcomes: list[Outcome]) -> dict[str, list[Outcome]]:
    sides: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        sides.setdefault(outcome.procedure, []).append(outcome)
    return sides
