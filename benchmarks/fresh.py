"""``select`` on problems that nothing was chosen by: right K, loss, and variable selection.

The seed is new in every run and printed with the table; ``python -m benchmarks fresh`` takes 100
problems a repeat. Half are on the grid of K of 1 to 5, D of 2 and 5, n of 100 and 500, half go
round the recipes (``benchmarks.recipes``). Right K is counted where the truth is normal; the loss
is the true mean log density of fresh rows less the estimated one, and where no truth is known what
one side loses against the best of all sides. ``right_k`` has other criteria on the same fits beside
them. scikit-learn chooses by BIC among four structures and K of 1 to 12 with three starts, mclust
among its 14 structures, where R has it.

``features``: three clusters told apart by six of d features, data without clusters, and tables
with known groups, also with 20 columns of noise. VarSelLCM 2.1.3 (R) on seeds 0 to 2, by BIC:
exactly the six features at d = 20 and 100, with adjusted Rand indices of .77 .81 .87 and .88
.81 .83.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.mixture
from joblib import Parallel, delayed
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

import bayesmix
from bayesmix.core.parallel import resolve_jobs
from bayesmix.selection.criteria import record
from benchmarks.recipes import STRUCTURES, FreshProblem, fresh_problem, make, new_seed

MOST = 12
MCLUST = """
library(mclust)
rows <- as.matrix(read.csv("{folder}/rows.csv", header = FALSE))
fresh <- as.matrix(read.csv("{folder}/fresh.csv", header = FALSE))
fit <- Mclust(rows, G = 1:{most}, verbose = FALSE)
density <- dens(data = fresh, modelName = fit$modelName, parameters = fit$parameters,
                logarithm = TRUE)
cat(fit$G, mean(density), "\\n")
"""
OURS, CHOSEN = "bayesmix select", "bayesmix select, the chosen candidate"
CRITERIA = ("elbo", "elbo_log_k", "bic", "icl", "aicc")
BINS = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.97), (0.97, 1.01))
FIRST_SEED = 2000  # of the data with six features
Chosen = tuple[str, int, "np.ndarray | float"]


@dataclass(frozen=True)
class Choice:
    """What one side made of one problem."""

    found: int
    mean: float  # log density of the fresh rows
    seconds: float
    certainty: float = float("nan")  # of the K that is most probable
    most_probable: int = 0


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Right K and loss beside scikit-learn's BIC and mclust, and whether P(K) comes true."""
    seed, done = _on_fresh_problems(repeats, quick)
    table: list[dict[str, Any]] = [{"seed": seed, "problems": len(done)}]
    for half, wanted in (("grid", True), ("recipes", False), ("all", None)):
        mine = [d for d in done if wanted is None or d[0].recipe.startswith("grid") == wanted]
        table += _compared(half, mine)
    table += _reliability(done)
    return shown(table)


def right_k(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """The same with other criteria on the same fits."""
    seed, done = _on_fresh_problems(repeats, quick, CRITERIA)
    return shown([{"seed": seed, "problems": len(done)}, *_compared("all", done)])


def shown(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print a table, and return it."""
    for row in table:
        print("  ", {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
    return table


def _on_fresh_problems(repeats: int, quick: bool, criteria: Any = ()) -> tuple[int, list[Any]]:
    seed, n = new_seed(), 20 if quick else 100 * repeats
    print(f"  seed {seed}, {n} problems", flush=True)
    workers = Parallel(n_jobs=resolve_jobs(None))
    return seed, workers(delayed(chosen_by_all)(seed, number, criteria) for number in range(n))


def chosen_by_all(
    seed: int, number: int, criteria: Any = ()
) -> tuple[FreshProblem, dict[str, Choice]]:
    """One problem and what every side that is installed makes of it."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    problem = fresh_problem(seed, number)
    choices = ours(problem.rows, problem.fresh, criteria)
    for name, side in OTHERS.items():
        began = time.perf_counter()
        found = side(problem.rows, problem.fresh)
        if found is not None:
            _, K, density = found
            seconds = time.perf_counter() - began
            choices[name] = Choice(K, float(np.mean(density)), seconds)
    return problem, choices


def ours(rows: Any, fresh: Any, criteria: Any = ()) -> dict[str, Choice]:
    """``bayesmix.select(rows)``: the averaged density, the chosen candidate, other criteria."""
    began = time.perf_counter()
    search: Any = bayesmix.select(rows, n_jobs=1, progress=False)
    seconds = time.perf_counter() - began
    probabilities = search.k_probabilities_
    K, sure = search.best_estimator_.n_components_, float(probabilities.max())
    likely = int(probabilities.idxmax())
    choices = {
        name: Choice(K, float(density.score_samples(fresh).mean()), seconds, sure, likely)
        for name, density in {OURS: search.averaged_, CHOSEN: search}.items()
    }
    for criterion in criteria:
        values = search.results_.get(criterion)
        if values is None or not values.notna().any():
            continue
        better = record(criterion).factor * values.to_numpy(dtype=float)
        best = search.estimators_[int(np.nanargmax(better))]
        mean = float(best.score_samples(fresh).mean())
        choices[f"same fits, {criterion}"] = Choice(best.n_components_, mean, seconds)
    return choices


def _compared(
    half: str, done: list[tuple[FreshProblem, dict[str, Choice]]]
) -> list[dict[str, Any]]:
    """A row a side: right K, loss, seconds; of the others how we compare."""
    table = []
    names = [name for name in done[0][1] if all(name in c for _, c in done)]
    losses = {name: np.array([_loss(p, c, name) for p, c in done]) for name in names}
    known = np.array([p.n_components is not None for p, _ in done])
    right = {
        name: np.array([c[name].found == p.n_components for p, c in done], dtype=float)[known]
        for name in names
    }
    for name in names:
        row: dict[str, Any] = {
            "problems": half,
            "procedure": name,
            "n": len(done),
            "right_K": float(right[name].mean()) if known.any() else float("nan"),
            "loss": float(losses[name].mean()),
            "seconds": float(np.median([c[name].seconds for _, c in done])),
        }
        if name != OURS and known.any():
            gains = right[OURS] - right[name]
            row["more_often_right"] = float(gains.mean())
            row["standard_error"] = float(gains.std(ddof=1) / np.sqrt(len(gains)))
            row["our_loss_over_theirs"] = float(losses[OURS].mean() / losses[name].mean())
        table.append(row)
    return table


def _loss(problem: FreshProblem, choices: dict[str, Choice], name: str) -> float:
    best = problem.true_mean
    if not np.isfinite(best):
        best = max(choice.mean for choice in choices.values())
    return best - choices[name].mean


def _reliability(done: list[tuple[FreshProblem, dict[str, Choice]]]) -> list[dict[str, Any]]:
    """Where a probability is said, how often that K is right."""
    said = [(c[OURS], p.n_components) for p, c in done if p.n_components is not None]
    return came_true([(one.certainty, one.most_probable == K) for one, K in said])


def came_true(said: list[tuple[float, bool]]) -> list[dict[str, Any]]:
    """A row for every bin of probabilities that were said, and how many of them came true."""
    table = []
    for low, high in BINS:
        mine = [pair for pair in said if low <= pair[0] < high]
        if mine:
            table.append(
                {
                    "said_between": f"{low:g} and {min(high, 1.0):g}",
                    "data_sets": len(mine),
                    "said": float(np.mean([p for p, _ in mine])),
                    "came_true": float(np.mean([right for _, right in mine])),
                }
            )
    return table


def sklearn_choice(rows: Any, fresh: Any) -> Chosen:
    """BIC over four structures and K of 1 to 12, three starts each."""
    candidates = []
    for structure, K in product(STRUCTURES, range(1, MOST + 1)):
        model = sklearn.mixture.GaussianMixture(
            K, covariance_type=structure, n_init=3, random_state=0
        )
        with suppress(ValueError):  # a collapsed candidate
            candidates.append(model.fit(rows))
    best = min(candidates, key=lambda model: model.bic(rows))
    return "sklearn BIC", best.n_components, best.score_samples(fresh)


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


OTHERS = {"sklearn BIC": sklearn_choice, "mclust": mclust_choice}


def null(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """One normal: how often more than one component is chosen."""
    seed, table = new_seed(), []
    print(f"  seed {seed}", flush=True)
    for D in (1, 2, 5):
        for n in (50, 200, 1000):
            jobs = (delayed(_of_one)([seed, D, n, i], n, D) for i in range(4 * repeats))
            found = Parallel(n_jobs=resolve_jobs(None))(jobs)
            table.append({"D": D, "n": n, "sets": len(found), "more": float(np.mean(found))})
            print("  ", table[-1], flush=True)
    pooled = float(np.average([r["more"] for r in table], weights=[r["sets"] for r in table]))
    return [{"seed": seed}, *table, {"sets": sum(r["sets"] for r in table), "more": pooled}]


def _of_one(seed: list[int], n: int, D: int) -> bool:
    warnings.simplefilter("ignore")
    rows, _ = make("one normal", n, D, seed)
    search: Any = bayesmix.select(rows, n_jobs=1, progress=False)
    return bool(search.best_estimator_.n_components_ > 1)


def features(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per kind of data: averages over data sets."""
    warnings.simplefilter("ignore")
    n_sets = 3 if quick else 10
    seeds = range(FIRST_SEED, FIRST_SEED + n_sets)
    rows = []
    for d in (20, 100, 300):
        rows.append(
            of_sets(f"six of {d}", [(*make("six features", 200, d, s), six(d)) for s in seeds])
        )
    rows.append(of_sets("none of 100", [without_clusters(100, s) for s in range(2 * n_sets)]))
    iris = bayesmix.datasets.load_iris(with_species=True)
    X, z = iris.iloc[:, :4].to_numpy(), iris["species"].cat.codes.to_numpy()
    rows.append(of_sets("iris and 20 of noise", [(*noisy(X, s), z, six(24, 4)) for s in seeds]))
    wine = load_wine()
    for name, values, groups in (("iris", X, z), ("wine", wine.data, wine.target)):
        rows.append(of_sets(name, [(values, groups, np.ones(values.shape[1], dtype=bool))]))
        plain = bayesmix.select(values)
        rows[-1]["index_without"] = adjusted_rand_score(groups, plain.predict(values))
    return shown(rows)


def six(d: int, n_relevant: int = 6) -> Any:
    """Whether each feature (d,) is relevant."""
    return np.arange(d) < n_relevant


def without_clusters(d: int, s: int) -> tuple[Any, Any, Any]:
    """Return standard normal data, which form one cluster."""
    X = np.random.default_rng([20261125, s]).normal(size=(200, d))
    return X, np.zeros(200), np.zeros(d, dtype=bool)


def noisy(X: Any, s: int) -> tuple[Any]:
    """Return data with 20 further columns of noise."""
    return (np.hstack([X, np.random.default_rng([s, 1]).normal(size=(len(X), 20))]),)


def of_sets(name: str, sets: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """Return shares and averages over data sets."""
    exact, near, right, indices, seconds, most = 0, 0, 0, [], [], 0.0
    for X, z, truth in sets:
        began = time.perf_counter()
        search = bayesmix.select(X, variable_selection=True)
        seconds.append(time.perf_counter() - began)
        found = search.get_support()
        wrong = int((found != truth).sum())
        exact, near = exact + (wrong == 0), near + (wrong <= 1 and bool(found[truth].all()))
        right += search.n_components_ == len(np.unique(z))
        indices.append(adjusted_rand_score(z, search.predict(X)))
        others = search.feature_evidence_["probability"].to_numpy()[~truth]
        most = max(most, float(others.max(initial=0.0)))
    return {
        "data": name,
        "sets": len(sets),
        "exact": exact,
        "one_false_at_most": near,
        "right_k": right,
        "index": float(np.mean(indices)),
        "least_index": float(np.min(indices)),
        "largest_p_of_irrelevant": most,
        "seconds": float(np.median(seconds)),
    }
