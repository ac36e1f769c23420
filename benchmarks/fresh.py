"""``select`` on problems that nothing was chosen by: fresh recipes, no clusters at all, real data.

The seed is new in every run and printed with the table; ``python -m benchmarks fresh`` takes 100
problems a repeat. Half are on the grid of K of 1 to 5, D of 2 and 5, n of 100 and 500, half go
round the recipes (``benchmarks.recipes``). Right K is counted where the truth is normal; the loss
is the true mean log density of fresh rows less the estimated one, and where no truth is known what
one side loses against the best of all sides.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

import bayesmix
from bayesmix.core.parallel import resolve_jobs
from benchmarks.recipes import FreshProblem, fresh_problem, new_seed
from benchmarks.right_k import mclust_choice, rejected, sklearn_choice, worse_by_chance

OURS, CHOSEN = "bayesmix select", "bayesmix select, the chosen candidate"
OTHERS = {"sklearn BIC": sklearn_choice, "mclust": mclust_choice}
BINS = ((0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 0.97), (0.97, 1.01))


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
    seed, n = new_seed(), 20 if quick else 100 * repeats
    print(f"  seed {seed}, {n} problems", flush=True)
    workers = Parallel(n_jobs=resolve_jobs(None), return_as="generator")
    done = list(workers(delayed(chosen_by_all)(seed, number) for number in range(n)))
    table: list[dict[str, Any]] = [{"seed": seed, "problems": n}]
    for half, wanted in (("grid", True), ("recipes", False), ("all", None)):
        mine = [d for d in done if wanted is None or d[0].recipe.startswith("grid") == wanted]
        table += _compared(half, mine)
    table += _reliability(done)
    for row in table:
        print("  ", {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()})
    return table


def chosen_by_all(seed: int, number: int) -> tuple[FreshProblem, dict[str, Choice]]:
    """One problem and what every side that is installed makes of it."""
    warnings.simplefilter("ignore")
    threadpool_limits(1)
    problem = fresh_problem(seed, number)
    choices = ours(problem.rows, problem.fresh)
    for name, side in OTHERS.items():
        began = time.perf_counter()
        found = side(problem.rows, problem.fresh)
        if found is not None:
            _, K, density = found
            seconds = time.perf_counter() - began
            choices[name] = Choice(K, float(np.mean(density)), seconds)
    return problem, choices


def ours(rows: Any, fresh: Any) -> dict[str, Choice]:
    """``bayesmix.select(rows)`` as it is: the density averaged over candidates, and the chosen."""
    began = time.perf_counter()
    search: Any = bayesmix.select(rows, n_jobs=1, progress=False)
    seconds = time.perf_counter() - began
    probabilities = search.k_probabilities_
    K, sure = search.best_estimator_.n_components_, float(probabilities.max())
    likely = int(probabilities.idxmax())
    densities = {OURS: search.averaged_, CHOSEN: search}
    return {
        name: Choice(K, float(density.score_samples(fresh).mean()), seconds, sure, likely)
        for name, density in densities.items()
    }


def _compared(
    half: str, done: list[tuple[FreshProblem, dict[str, Choice]]]
) -> list[dict[str, Any]]:
    """A row a side: right K, loss, seconds; of the others how we compare."""
    table = []
    names = [OURS, CHOSEN, *(name for name in OTHERS if all(name in c for _, c in done))]
    losses = {name: np.array([_loss(p, c, name) for p, c in done]) for name in names}
    known = np.array([p.n_components is not None for p, _ in done])
    right = {
        name: np.array([c[name].found == p.n_components for p, c in done], dtype=float)[known]
        for name in names
    }
    cells = np.array([p.recipe for p, _ in done])
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
            by_cell = [
                worse_by_chance((losses[name] - losses[OURS])[cells == cell], "loss")
                for cell in dict.fromkeys(cells)
            ]
            worse = [list(dict.fromkeys(cells))[i] for i in rejected(by_cell)]
            row["worse_by_Holm"] = "; ".join(worse) or "none"
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
    generator = np.random.default_rng(seed)
    root = generator.standard_normal((D, D)) + np.eye(D)
    rows = generator.standard_normal((n, D)) @ root
    search: Any = bayesmix.select(rows, n_jobs=1, progress=False)
    return bool(search.best_estimator_.n_components_ > 1)


UNIT_CRITERIA = ("auto", "bic", "icl", "aic", "elbo_log_k", "cv")


def units(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Whether a change of the columns' units changes what is chosen: 4 data sets a repeat.

    Columns are multiplied by powers of ten; where spherical covariances take part, all by one.
    """
    seed, n = new_seed(), 2 if quick else 4 * repeats
    print(f"  seed {seed}, {n} data sets", flush=True)
    jobs = (delayed(_in_other_units)(seed, number) for number in range(n))
    found = [each for some in Parallel(n_jobs=resolve_jobs(None))(jobs) for each in some]
    table: list[dict[str, Any]] = [{"seed": seed}]
    for key in dict.fromkeys(each[0] for each in found):
        mine = [(same, away) for one, same, away in found if one == key]
        row = {"structures": key[0], "criterion": key[1], "data_sets": len(mine)}
        row["same_choice"] = float(np.mean([same for same, _ in mine]))
        table.append(row | {"furthest": max(away for _, away in mine)})
        print("  ", table[-1], flush=True)
    return table


def _in_other_units(seed: int, number: int) -> list[tuple[tuple[str, str], bool, float]]:
    """((structures, criterion), whether the choice is the same, how far values are apart)."""
    warnings.simplefilter("ignore")
    rows = fresh_problem(seed, number).rows
    generator = np.random.default_rng([seed, number, 1])
    each = 10.0 ** generator.integers(-4, 5, rows.shape[1]).astype(float)
    found = []
    for structures, factors in (
        (("full", "tied", "diag"), each),
        (("full", "tied", "diag", "spherical"), np.full(rows.shape[1], each[0])),
    ):
        jacobian = len(rows) * float(np.log(factors).sum())
        for criterion in UNIT_CRITERIA:
            options = {"covariance_type": structures, "criterion": criterion, "n_jobs": 1}
            one, other = (_quietly(x, {**options}) for x in (rows, rows * factors))
            values, scaled = (_values(search) for search in (one, other))
            away = (values - scaled - jacobian).abs().dropna()
            same = one.best_params_ == other.best_params_
            found.append(((", ".join(structures), criterion), same, float(away.max())))
    return found


def _values(search: Any) -> Any:
    """What candidates have of the criterion, in nats."""
    table = search.results_.set_index(["covariance_type", "n_components"])
    return table[search.criterion_]


def real_data() -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Rows, and groups of rows where some are known: which need not be normal components."""
    digits = load_digits()
    iris, wine, cancer = load_iris(), load_wine(), load_breast_cancer()
    return {
        "iris": (iris.data, iris.target),
        "wine": (wine.data, wine.target),
        "breast cancer": (cancer.data, cancer.target),
        "digits, 8 principal components": (PCA(8).fit_transform(digits.data), digits.target),
        "galaxies": (bayesmix.datasets.load_galaxies().to_numpy().reshape(-1, 1), None),
        "Old Faithful": (bayesmix.datasets.load_faithful().to_numpy(), None),
    }


def real(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """K, structure, adjusted Rand index, held-out density and seconds, beside other choices."""
    seed, table = new_seed(), []
    print(f"  seed {seed}", flush=True)
    for name, (rows, groups) in real_data().items():
        sides = {
            OURS: {},
            "select, BIC": {"criterion": "bic"},
            "select, bound + log K!": {"criterion": "elbo_log_k"},
        }
        held: dict[str, list[np.ndarray]] = {}
        for label, options in sides.items():
            row = _chosen_of(name, label, rows, groups, options)
            for train, test in KFold(3, shuffle=True, random_state=seed % 2**31).split(rows):
                search: Any = _quietly(rows[train], options)
                held.setdefault(label, []).append(search.score_samples(rows[test]))
            row["held_out"] = float(np.concatenate(held[label]).mean())
            paired = np.concatenate(held[OURS]) - np.concatenate(held[label])
            row["ours_is_better_by"] = float(paired.mean())
            row["standard_error"] = float(paired.std(ddof=1) / np.sqrt(len(paired)))
            table.append(row)
            print("  ", table[-1], flush=True)
        for label, side in OTHERS.items():
            began = time.perf_counter()
            whole = side(rows, rows)
            if whole is None:
                continue
            seconds = time.perf_counter() - began
            folds = KFold(3, shuffle=True, random_state=seed % 2**31)
            parts = [side(rows[train], rows[test]) for train, test in folds.split(rows)]
            means = [float(np.mean(part[2])) for part in parts if part is not None]
            table.append(
                {
                    "data": name,
                    "procedure": label,
                    "K": whole[1],
                    "seconds": seconds,
                    "held_out": float(np.mean(means)),
                }
            )
            print("  ", table[-1], flush=True)
    return [{"seed": seed}, *table]


def _quietly(rows: np.ndarray, options: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bayesmix.select(rows, progress=False, **options)


def _chosen_of(
    name: str, label: str, rows: np.ndarray, groups: np.ndarray | None, options: dict[str, Any]
) -> dict[str, Any]:
    began = time.perf_counter()
    search = _quietly(rows, options)
    row = {"data": name, "procedure": label, "seconds": time.perf_counter() - began}
    row["K"] = search.best_estimator_.n_components_
    row["structure"] = search.best_params_["covariance_type"]
    if groups is not None:
        row["adjusted_rand"] = float(adjusted_rand_score(groups, search.predict(rows)))
    return row
