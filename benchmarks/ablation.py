"""What each start, move and threshold of a fit's search is worth.

``python -m benchmarks.ablation screen --seed 7 --out lines.jsonl`` fits problems with half of the
parts switched off at a time, by a design of Plackett and Burman in 16 runs, and prints the main
effect of each part on the share of optima lost by .1 nats and on processor time.
``python -m benchmarks.ablation without "swaps" "graphs" --seed 8 --out lines.jsonl`` fits other
problems with everything, without each of the parts alone, and without all of them together.

Problems go round eight kinds: overlapping normals by likelihood, with full or other covariances;
small normals of ten recipes by likelihood and by bound; real tables; answers in latent classes;
counts; 3,000 to 8,000 rows; and hostile tables: ties, fewer than 30 rows, constant columns. The
best of all runs, of 20 random starts without moves and of a start at the truth is the optimum that
is not to be lost.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from scipy.linalg import hadamard
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from threadpoolctl import threadpool_limits

import bayesmix as bm
from bayesmix.search import improver, optimum
from bayesmix.search.improver import Improver
from bayesmix.search.optimum import OptimumSearch
from bayesmix.starts import responsibilities
from benchmarks.compared import Line, read
from benchmarks.recipes import STRUCTURES, fresh_problem, normals
from benchmarks.spikes import classes, overlap

LOST = 0.1  # nats
KINDS = 8
RANDOM_STARTS = 20


# Problems: a model to fit, its rows, and labels of the truth where they are known


def problem(seed: int, number: int) -> tuple[Any, Any, np.ndarray | None]:
    """A model, rows to fit it to, and their components in truth, None if not known."""
    generator = np.random.default_rng([99, seed, number])
    K, structure = int(generator.integers(2, 7)), str(generator.choice(STRUCTURES))
    likelihood: Any = partial(bm.GaussianMixture, K, random_state=seed)
    bound: Any = partial(bm.BayesianGaussianMixture, K, random_state=seed, prune=False)
    either = likelihood if generator.random() < 0.5 else bound
    match number % KINDS:
        case 0:
            data = overlap(seed, number)
            kind = structure if number % (2 * KINDS) else "full"
            model = bm.GaussianMixture(data.n_components, covariance_type=kind, random_state=seed)
            return model, data.rows, data.labels
        case 1:
            return likelihood(covariance_type=structure), fresh_problem(seed, number, 10).rows, None
        case 2:
            return bound(covariance_type=structure), fresh_problem(seed, number, 10).rows, None
        case 3:
            return either(covariance_type=structure), real(generator), None
        case 4:
            data = classes(seed, number)
            family = bm.Categorical()
            return bm.Mixture(data.n_components, family=family), data.rows, data.labels
        case 5:
            rates = generator.gamma(2.0, 3.0, (K, 4))
            labels = generator.integers(0, K, int(generator.integers(150, 800)))
            poisson: Any = partial(bm.Mixture, K, family=bm.Poisson())
            model = poisson() if either is likelihood else poisson(inference=bm.VariationalBayes())
            return model, generator.poisson(rates[labels]), labels
        case 6:
            truth = normals("full", K, int(generator.integers(2, 7)), 2.5, generator)
            rows, labels = truth.draw(int(generator.integers(3000, 8000)), generator)
            return either(), rows, labels
        case _:
            return likelihood(covariance_type=structure), hostile(generator), None


def real(generator: np.random.Generator) -> np.ndarray:
    """Four fifths of the rows of a real table, with some of its columns."""
    tables = [bm.datasets.load_iris, bm.datasets.load_faithful, bm.datasets.load_galaxies]
    tables += [bm.datasets.load_penguins, bm.datasets.load_npreg]
    tables += [
        partial(load, as_frame=True) for load in (load_wine, load_breast_cancer, load_diabetes)
    ]
    table: Any = tables[generator.integers(len(tables))]()
    numbers = pd.DataFrame(getattr(table, "data", table)).select_dtypes("number").dropna()
    columns = generator.permutation(numbers.shape[1])[: int(generator.integers(1, 7))]
    rows = generator.permutation(len(numbers))[: int(0.8 * len(numbers))]
    return numbers.to_numpy(dtype=float)[np.ix_(rows, np.sort(columns))]


def hostile(generator: np.random.Generator) -> np.ndarray:
    """Ties, fewer than 30 rows, a constant column, or duplicates of few rows."""
    n, D = int(generator.integers(60, 300)), int(generator.integers(2, 5))
    rows = generator.normal(size=(n, D)) + 3.0 * generator.integers(0, 3, (n, 1))
    match generator.integers(4):
        case 0:
            return np.round(rows)
        case 1:
            return rows[: int(generator.integers(12, 30))]
        case 2:
            return np.column_stack([rows, np.full(n, 7.0)])
        case _:
            return rows[generator.integers(0, 20, n)]


# What can be switched off


def numbered(drop: Callable[[int, range], bool]) -> Any:
    """Starts without those whose number is dropped."""
    before: Any = vars(optimum)["numbered_starts"]  # perhaps already without others

    def fewer(*given: Any) -> Iterator[Any]:
        numbers = given[5]
        yield from ((n, start) for n, start in before(*given) if n == 0 or not drop(n, numbers))

    return patch.object(optimum, "numbered_starts", fewer)


def without_moves(kind: str) -> Any:
    before = Improver._moves

    def fewer(self: Improver, state: Any) -> Iterator[Any]:
        return (move for move in before(self, state) if move.kind != kind)

    return patch.object(Improver, "_moves", fewer)


def schedules(**fields: int) -> list[Any]:
    """Smaller numbers in both schedules of small data."""
    both = {name: getattr(optimum, name) for name in ("FULL", "OF_BOUNDS")}
    return [
        patch.object(
            optimum,
            name,
            replace(old, **{key: min(getattr(old, key), value) for key, value in fields.items()}),
        )
        for name, old in both.items()
    ]


def unguided(before: Any = OptimumSearch._short_runs) -> Any:
    def once(self: OptimumSearch, schedule: Any, guided: bool) -> Any:
        return [] if guided else before(self, schedule, guided)

    return patch.object(OptimumSearch, "_short_runs", once)


PARTS: dict[str, Callable[[], list[Any]]] = {
    "graphs": lambda: [numbered(lambda n, numbers: n in responsibilities.GRAPH_STARTS)],
    "core and rim": lambda: [numbered(lambda n, numbers: n == numbers.stop)],
    "random observations": lambda: [numbered(lambda n, _: n in responsibilities.AT_RANDOM)],
    "k-means in scaled columns": lambda: [numbered(lambda n, _: n % 2 == 0 and n < 11)],
    "k-means in columns as they are": lambda: [numbered(lambda n, _: n % 2 == 1 and n < 11)],
    "tree": lambda: [patch.object(OptimumSearch, "_at_partitions", lambda *_: iter(()))],
    "swaps": lambda: [without_moves("swap")],
    "divisions": lambda: [patch.object(Improver, "_divisions", lambda *_: [])],
    "settled: 3": lambda: schedules(settled=3),
    "improved: 1": lambda: schedules(improved=1),
    "agree: half": lambda: schedules(agree=4),
    "trials side by side": lambda: [patch.object(Improver, "_most_side_by_side", lambda *_: 0)],
    "starts side by side": lambda: [
        patch.object(optimum, "raced", lambda problem, starts, n, monitor, passes: (starts, passes))
    ],
    "trials that fall behind": lambda: [patch.object(improver, "BEHIND", 0.002)],
    "starts under a prior": lambda: [unguided()],
    "fewer starts of bounds": lambda: [patch.object(optimum, "OF_BOUNDS", optimum.FULL)],
}


# Measurement


def fitted(model: Any, rows: Any) -> Line:
    """Objective, processor time, and whether the fit collapsed, failed or is a spurious maximum."""
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model.fit(rows)
        except ValueError as error:
            return {
                "value": None,
                "seconds": time.process_time() - began,
                "failed": str(error)[:80],
            }
    result = model.result_
    value = None if result.degenerate is not None else float(result.objective)
    return {"value": value, "seconds": time.process_time() - began}


def measured(off: tuple[str, ...], seed: int, number: int) -> Line:
    model, rows, _ = problem(seed, number)
    with ExitStack() as stack:
        for part in off:
            for each in PARTS[part]():
                stack.enter_context(each)
        return fitted(model, rows)


def reference(seed: int, number: int) -> Line:
    """The best sound optimum of random starts without moves, and of the truth."""
    model, rows, labels = problem(seed, number)
    starts = [{"init_params": "random_from_data", "random_state": s} for s in range(RANDOM_STARTS)]
    if labels is not None:
        starts.append({"init_params": np.eye(model.n_components)[labels]})
    values = []
    for start in starts:
        one = model.__class__(**model.get_params(deep=False))
        line = fitted(one.set_params(search=None, **start), rows)
        if line["value"] is not None and not spiked(one):
            values.append(line["value"])
    return {"value": max(values, default=None)}


def spiked(model: Any) -> bool:
    """Whether a normal component has so small an eigenvalue that its maximum may be spurious."""
    return model.result_.degenerate is not None or any(
        event.kind == "spurious" for event in model.result_.events
    )


def kept(path: Path, runs: list[tuple[str, ...]], seed: int, numbers: range) -> list[list[Line]]:
    """Return lines by run and number, the reference last; those of the file are not repeated."""
    known = {(tuple(line["off"]), line["number"]): line for line in read([path])}
    table = []
    for off in [*runs, ("reference",)]:
        for number in numbers:
            if (off, number) not in known:
                line = {"off": list(off), "number": number, "seed": seed}
                line |= (
                    reference(seed, number)
                    if off == ("reference",)
                    else measured(off, seed, number)
                )
                with path.open("a", encoding="utf-8") as lines:
                    lines.write(json.dumps(line) + "\n")
                known[off, number] = line
        table.append([known[off, number] for number in numbers])
    return table


def losses(table: list[list[Line]]) -> np.ndarray:
    """Nats (runs, problems) behind the best; infinite for a fit that alone failed."""
    values = np.array(
        [[np.nan if line["value"] is None else line["value"] for line in row] for row in table]
    )
    best = np.where(np.isnan(values), -np.inf, values).max(axis=0)
    lost = best - values[:-1]
    return np.where(np.isnan(lost) & np.isfinite(best), np.inf, lost)


def screen(path: Path, seed: int, numbers: range) -> None:
    """Print the main effects of all parts."""
    design = hadamard(16)[:, 1:] < 0  # (16, 15): which parts are off
    names = list(PARTS)
    names = names[:15]  # as many as the design has columns
    runs = [tuple(np.array(names)[row].tolist()) for row in design]
    table = kept(path, runs, seed, numbers)
    lost = losses(table) > LOST
    seconds = np.array([[line["seconds"] for line in row] for row in table[:-1]])
    print(
        f"{len(numbers)} problems; with everything {lost[0].sum()} lost, {seconds[0].sum():.0f} s"
    )
    for place, name in enumerate(names):
        off = design[:, place]
        effect = lost[off].mean() - lost[~off].mean()
        error = np.sqrt((lost[off].mean(0) - lost[~off].mean(0)).var() / len(numbers))
        ratio = seconds[off].sum() / seconds[~off].sum()
        print(f"{name:32} lost {100 * effect:+5.1f} % ± {100 * error:.1f}   time {ratio:.2f}")


def without(path: Path, seed: int, numbers: range, parts: list[str]) -> None:
    """Print what is lost without each part, and without all of them."""
    runs = [(), *((part,) for part in parts), *([tuple(parts)] if len(parts) > 1 else [])]
    table = kept(path, runs, seed, numbers)
    lost = losses(table)
    for off, own, row in zip(runs, lost, table, strict=False):
        seconds = sum(line["seconds"] for line in row)
        places = {numbers[i]: round(float(own[i]), 2) for i in np.flatnonzero(own > LOST)}
        print(
            f"{', '.join(off) or 'everything on':40} {seconds:6.1f} s, lost {len(places)} {places}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("part", choices=["screen", "without"])
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--problems", type=int, default=96)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    numbers = range(chosen.problems)
    with threadpool_limits(1):
        if chosen.part == "screen":
            screen(chosen.out, chosen.seed, numbers)
        else:
            without(chosen.out, chosen.seed, numbers, chosen.parts)


if __name__ == "__main__":
    main()
