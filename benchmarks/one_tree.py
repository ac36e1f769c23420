"""How ``select`` finds the number of components: one version a run, a JSON line a problem.

``python -m benchmarks.one_tree small --seed 7 --out before.jsonl`` measures the version that is
imported. A run that was stopped goes on where it was, and another version with the same seed has
the same problems. ``python -m benchmarks.one_tree compare --before ... --after ...`` sets two
versions side by side and says which demands are met.

``large``: 30 sets of 2,000 to 1,000,000 rows. ``small``: ten kinds of small and medium problems.
``overlap``: groups 2 to 3 sd apart, beside a grid of the true K and four more. ``grid``: a grid
around the best candidate. ``times``: processor time of eleven sets. ``labelled`` and ``still``:
real tables; ``--folder`` has CSV files whose last column, ``label``, is the group. Two parts do not
depend on the version: ``truth``, classifiers by the true density and k-means on the large sets, and
``loop``, scikit-learn's loop on the sets of ``times``.

Seconds are processor time of one thread. A problem has ``--limit`` seconds; past it the line has
``no_end``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn.cluster
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

import bayesmix as bm
from benchmarks.compared import Line, compare, read
from benchmarks.fresh import sklearn_choice
from benchmarks.recipes import RECIPES, STRUCTURES, Normals, anywhere, make, normals, on_the_grid

N_FRESH = 5_000
COMPARABLE: dict[str, Any] = {  # as in select
    "weight_concentration_prior": 1.0,
    "weight_concentration_prior_type": "dirichlet_distribution",
    "prune": False,
    "search": "short",
}


class NoEndError(BaseException):
    """The time of a problem is over; not an Exception, so that no fit takes it for a failure."""


@dataclass(frozen=True)
class Data:
    """A table and its truth, as far as there is one."""

    table: Any
    labels: np.ndarray | None = None
    n_components: int | None = None  # None: no number is right
    fresh: Any = None
    true_mean: float = float("nan")  # of the true log density over the fresh rows
    options: tuple[tuple[str, Any], ...] = ()  # of select


@dataclass(frozen=True)
class Problem:
    """A name, and functions that make the data and measure."""

    part: str
    number: int
    name: str
    data: Callable[[], Data]
    measure: Callable[[Data], Line]


# Searches


def searched(data: Data, repeats: int = 1, **options: Any) -> tuple[Any, Line]:
    """Return a search, and its evidence, numbers and time."""
    options = dict(data.options) | {"random_state": 0} | options
    seconds: list[float] = []
    while not seconds or (len(seconds) < repeats and sum(seconds) < 5.0):
        began = time.process_time()
        search: Any = bm.select(data.table, n_jobs=1, progress=False, **options)
        seconds.append(time.process_time() - began)
    line = {
        "seconds": float(np.median(seconds)),
        "n_clusters": int(search.n_clusters_),
        "n_components": int(search.best_estimator_.n_components_),
        **evidence(search.results_),
    }
    if data.labels is not None:
        clusters = search.predict_clusters(data.table)
        line["n_groups"] = len(np.unique(data.labels))
        line["index"] = float(adjusted_rand_score(data.labels, clusters))
    return search, line


def evidence(results: pd.DataFrame) -> Line:
    """The most evidence of all candidates, without and with the prior over K.

    ``prior`` is its logarithm by K: it is normalised over the numbers that were tried.
    """
    with_prior = results["elbo_prior"].to_numpy(dtype=float)
    without_prior = results["elbo_log_k"].to_numpy(dtype=float)
    numbers = results["n_components"].to_numpy(dtype=int)
    best = int(np.nanargmax(with_prior))
    structures = results.get("covariance_type", pd.Series([""] * len(results)))
    finite = np.isfinite(with_prior - without_prior)
    prior = zip(numbers[finite], (with_prior - without_prior)[finite], strict=True)
    return {
        "elbo_prior": float(with_prior[best]),
        "elbo_log_k": float(np.nanmax(without_prior)),
        "best": [str(structures.iloc[best]), int(numbers[best])],
        "candidates": len(results),
        "prior": {str(number): round(float(p), 6) for number, p in prior},
    }


def with_grid(data: Data, numbers: Callable[[Line], range]) -> Line:
    """A search, and a grid of all structures as ``grid_...``."""
    _, line = searched(data)
    D = data.table.shape[1]
    estimator = bm.BayesianGaussianMixture(**COMPARABLE)
    grid = bm.MixtureSearch(
        estimator,
        list(numbers(line)),
        covariance_type=list(STRUCTURES if D > 1 else STRUCTURES[:2]),
        criterion="auto",
        random_state=0,
        n_jobs=1,
        progress=False,
    )
    began = time.process_time()
    grid.fit(data.table)
    of_grid: Line = {"seconds": time.process_time() - began, **evidence(grid.results_)}
    return line | {f"grid_{name}": value for name, value in of_grid.items()}


# Large sets


def large(seed: int) -> Iterator[Problem]:
    """30 sets, the cheapest first."""
    specifications = large_specifications(seed)
    for number, specification in enumerate(specifications):
        n, D, K, structure = specification
        yield Problem(
            "large",
            number,
            f"{n:,} x {D}, {K} groups, {structure}",
            partial(large_data, seed, number, specification),
            of_large,
        )


def large_specifications(seed: int) -> list[tuple[int, int, int, str]]:
    """Rows, columns, groups and structure; groups have 8 rows a column or more."""
    generator = np.random.default_rng([98, seed])
    sizes = [round(float(10 ** generator.uniform(np.log10(2_000), 5.0))) for _ in range(26)]
    specifications = []
    for number, n in enumerate([*sizes, 200_000, 300_000, 500_000, 1_000_000]):
        # A million rows of many columns would take hours.
        D = round(float(2 * (30 if n <= 100_000 else 8) ** generator.uniform()))
        most_groups = max(2, min(200, int(n / (20 * D))))
        K = round(float(2 * (most_groups / 2) ** generator.uniform(0.4, 1.0)))
        specifications.append((n, D, K, STRUCTURES[number % 4]))
    return sorted(specifications, key=lambda s: s[0] * s[1] * s[2])


def large_truth(
    seed: int, number: int, specification: tuple[int, int, int, str]
) -> tuple[Normals, Any, Any]:
    """The truth, rows and groups."""
    n, D, K, structure = specification
    generator = np.random.default_rng([98, seed, number])
    truth = normals(structure, K, D, float(generator.uniform(4.0, 6.0)), generator)
    labels = generator.choice(K, n, p=truth.weights)
    roots = np.linalg.cholesky(truth.covariances)
    rows = generator.standard_normal((n, D))
    for k in range(K):
        members = labels == k
        rows[members] = truth.means[k] + rows[members] @ roots[k].T
    return truth, rows, labels


def large_data(seed: int, number: int, specification: tuple[int, int, int, str]) -> Data:
    _, rows, labels = large_truth(seed, number, specification)
    return Data(rows, labels, specification[2])


def of_large(data: Data) -> Line:
    """Number, index, time, and the time of one E-step of the chosen model."""
    search, line = searched(data)
    return line | {"n_true": data.n_components, "pass_seconds": pass_seconds(search, data.table)}


def pass_seconds(search: Any, rows: Any) -> float:
    """Processor time of one E-step with its sums."""
    from bayesmix.em.expectation import LINEAR
    from bayesmix.sources.memory import as_source

    model = search.best_estimator_
    work: Callable[[], Any] = partial(model.score_samples, rows)
    if isinstance(model, bm.BayesianGaussianMixture):
        source = as_source(rows, n_jobs=1)
        work = partial(source.reduce, LINEAR.step(model.result_.mixture), model.n_components_)
    return processor_time(work)


def processor_time(work: Callable[[], Any]) -> float:
    """Mean processor time, over as many runs as a clock of 4 ms needs."""
    began, runs = time.process_time(), 0
    while time.process_time() - began < 0.2:
        work()
        runs += 1
    return (time.process_time() - began) / runs


# Small and medium problems of ten kinds


def tables(generator: np.random.Generator, n_fresh: int) -> Data:
    """Answers, counts or both with measurements, of 2 to 5 classes."""
    K, n = int(generator.integers(2, 6)), int(generator.choice([300, 1000, 2000]))
    labels = generator.choice(K, n + n_fresh, p=generator.dirichlet(np.full(K, 5.0)))
    kinds = {"answers": (8, 0, 0), "counts": (0, 6, 0), "mixed": (4, 2, 3)}
    n_answers, n_counts, n_values = kinds[str(generator.choice(list(kinds)))]
    columns: dict[str, Any] = {}
    for column in range(n_answers):
        levels = generator.dirichlet(np.ones(int(generator.integers(2, 6))), K)
        codes = (generator.random((len(labels), 1)) > levels.cumsum(axis=1)[labels]).sum(axis=1)
        columns[f"answer {column}"] = np.array(list("abcde"))[codes]
    for column in range(n_counts):
        columns[f"count {column}"] = generator.poisson(
            np.exp(generator.normal(1.5, 0.7, K))[labels]
        )
    for column in range(n_values):
        means, deviations = generator.normal(0.0, 2.0, K), generator.uniform(0.7, 1.4, K)
        columns[f"value {column}"] = generator.normal(means[labels], deviations[labels])
    table = pd.DataFrame(columns)
    rows, fresh = table.iloc[:n], table.iloc[n:]
    seen = np.ones(n_fresh, dtype=bool)
    for name in list(table)[:n_answers]:
        seen &= fresh[name].isin(rows[name].unique()).to_numpy()
    return Data(rows, labels[:n], K, fresh[seen].reset_index(drop=True))


def many_columns(generator: np.random.Generator, n_fresh: int) -> Data:
    """60 rows of 30 columns in 1 to 4 groups."""
    K, structure = int(generator.integers(1, 5)), str(generator.choice(STRUCTURES))
    truth = normals(structure, K, 30, float(generator.uniform(5.0, 9.0)), generator)
    rows, labels = truth.draw(60, generator)
    fresh, _ = truth.draw(n_fresh, generator)
    return Data(rows, labels, K, fresh, float(truth.log_density(fresh).mean()))


def of_recipe(recipe: Any, generator: np.random.Generator, n_fresh: int) -> Data:
    """Data of a recipe of ``benchmarks.recipes``."""
    fresh = recipe(generator, n_fresh)
    return Data(fresh.rows, fresh.labels, fresh.n_components, fresh.fresh, fresh.true_mean)


CONTINUOUS: dict[str, Callable[..., Data]] = {
    "grid": partial(of_recipe, on_the_grid),
    "everything drawn": partial(of_recipe, anywhere),
    **{
        name: partial(of_recipe, recipe)
        for name, recipe in zip(
            ("noise columns", "skewed", "heavy-tailed", "rounded", "outliers", "uniform boxes"),
            RECIPES[3:],
            strict=True,
        )
    },
    "60 x 30": many_columns,
}
KINDS: dict[str, Callable[..., Data]] = CONTINUOUS | {"tables": tables}


def small(seed: int, n_problems: int = 200) -> Iterator[Problem]:
    """Ten kinds in turn."""
    for number in range(n_problems):
        kind = list(KINDS)[number % len(KINDS)]
        generator = [981, seed, number]
        data = partial(drawn, KINDS[kind], generator, N_FRESH)
        yield Problem("small", number, kind, data, of_small)


def drawn(kind: Any, seed: list[int], *arguments: Any) -> Data:
    data: Data = kind(np.random.default_rng(seed), *arguments)
    return data


def of_small(data: Data) -> Line:
    """Evidence, numbers, and log density of fresh rows."""
    search, line = searched(data)
    line |= {
        "shape": list(data.table.shape),
        "n_true": data.n_components,
        "true_mean": data.true_mean,
        "chosen_mean": float(np.mean(search.score_samples(data.fresh))),
    }
    averaged = getattr(search, "averaged_", search)
    return line | {"averaged_mean": float(np.mean(averaged.score_samples(data.fresh)))}


# Grids


def overlap(seed: int, n_problems: int = 40) -> Iterator[Problem]:
    """Groups 2 to 3 sd apart, and a grid to four more than there are."""
    for number in range(n_problems):
        data = partial(drawn, overlapping, [982, seed, number])
        yield Problem("overlap", number, "2 to 3 sd apart", data, beside_true_numbers)


def overlapping(generator: np.random.Generator) -> Data:
    K, D = int(generator.integers(2, 6)), int(generator.choice([1, 2, 3, 5]))
    n = round(float(10 ** generator.uniform(2.3, 3.3)))
    structure = str(generator.choice(STRUCTURES))
    truth = normals(structure, K, D, float(generator.uniform(2.0, 3.0)), generator)
    rows, labels = truth.draw(n, generator)
    return Data(rows, labels, K)


def beside_true_numbers(data: Data) -> Line:
    K = data.n_components or 1
    return with_grid(data, lambda _: range(1, K + 5)) | {"n_true": K}


def grid(seed: int, n_problems: int = 40) -> Iterator[Problem]:
    """Nine kinds in turn, and a grid around the best candidate."""
    for number in range(n_problems):
        kind = list(CONTINUOUS)[number % len(CONTINUOUS)]
        data = partial(drawn, CONTINUOUS[kind], [983, seed, number], 1)
        yield Problem("grid", number, kind, data, beside_near_numbers)


def beside_near_numbers(data: Data) -> Line:
    def near(line: Line) -> range:
        K = line["best"][1]
        return range(max(1, K - 3), K + 4)

    return with_grid(data, near)


# Real tables


def labelled(seed: int, folder: Path) -> Iterator[Problem]:
    """Each file as an array and as a frame."""
    files = sorted(sorted(folder.glob("*.csv")), key=lambda path: path.stat().st_size)
    with_label = [path for path in files if "label" in path.read_text("utf-8").split("\n", 1)[0]]
    for number, (path, as_frame) in enumerate((p, f) for p in with_label for f in (False, True)):
        name = f"{path.stem}, {'frame' if as_frame else 'array'}"
        data = partial(of_file, path, as_frame)
        yield Problem("labelled", number, name, data, partial(of_labelled, seed))


def of_file(path: Path, as_frame: bool = True) -> Data:
    table = pd.read_csv(path)
    rows = table.drop(columns="label")
    labels = np.unique(table["label"].astype(str), return_inverse=True)[1]
    return Data(rows if as_frame else rows.to_numpy(dtype=float), labels)


def of_labelled(random_state: int, data: Data) -> Line:
    return searched(data, random_state=random_state)[1]


STILL = ["iris", "banknote", "seeds", "thyroid", "diabetes", "crabs", "ais", "glass", "wine"]


def still(seed: int, folder: Path) -> Iterator[Problem]:
    """12 tables, each with five seeds and three orders of the rows."""
    datasets = bm.datasets
    loaders: dict[str, Callable[[], Data]] = {
        "faithful": lambda: Data(datasets.load_faithful()),
        "galaxies": lambda: Data(datasets.load_galaxies()),
        "penguins": lambda: Data(datasets.load_penguins().drop(columns="species").dropna()),
        **{name: partial(of_file, folder / f"{name}.csv") for name in STILL},
    }
    number = 0
    for repeat in range(15):
        random_state, order = divmod(repeat, 3)
        for name, load in loaders.items():
            data = partial(reordered, load, [984, seed, order], order)
            yield Problem("still", number, name, data, partial(of_still, random_state, order))
            number += 1


def reordered(load: Callable[[], Data], seed: list[int], order: int) -> Data:
    """The rows as they are, or in another order."""
    data = load()
    if order == 0:
        return data
    place = np.random.default_rng(seed).permutation(len(data.table))
    labels = None if data.labels is None else data.labels[place]
    return replace(data, table=data.table.iloc[place].reset_index(drop=True), labels=labels)


def of_still(random_state: int, order: int, data: Data) -> Line:
    search, line = searched(data, random_state=random_state)
    probabilities = {str(number): float(p) for number, p in search.cluster_probabilities_.items()}
    return line | {"random_state": random_state, "order": order, "probabilities": probabilities}


# Times


def times(seed: int, real: Path | None = None, loans: Path | None = None) -> Iterator[Problem]:
    """Eleven tables; a CSV file and a script with ``loans(n, seed)`` are given."""
    datasets = bm.datasets
    sets: dict[str, Callable[[], Data]] = {
        "iris": lambda: Data(datasets.load_iris()),
        "faithful": lambda: Data(datasets.load_faithful()),
        "1,000 x 10": partial(of_made, 1_000, 10, 5, seed),
        "2,000 x 30 counts": partial(many_counts, seed),
        "10,000 x 10": partial(of_made, 10_000, 10, 8, seed),
        "5,000 x 20 answers": partial(many_answers, seed),
    }
    if loans is not None:
        sets["2,000 loans"] = partial(of_loans, loans, 2_000, seed)
    if real is not None:
        sets["a real table"] = lambda: Data(pd.read_csv(real).dropna())
    sets["10,000 x 50"] = partial(of_made, 10_000, 50, 12, seed)
    if loans is not None:
        sets["20,000 loans"] = partial(of_loans, loans, 20_000, seed)
    sets["100,000 x 12"] = partial(of_made, 100_000, 12, 60, seed)
    for number, (name, data) in enumerate(sets.items()):
        yield Problem("times", number, name, data, of_times)


def of_made(n: int, D: int, K: int, seed: int) -> Data:
    rows, labels = make("separated", n, D, K, seed=seed)
    return Data(rows, labels, K)


def many_counts(seed: int) -> Data:
    """Four groups; a frame of whole numbers."""
    generator = np.random.default_rng([985, seed])
    labels, rates = generator.integers(0, 4, 2_000), np.exp(generator.normal(1.0, 0.5, (4, 30)))
    columns = [f"count {column}" for column in range(30)]
    return Data(pd.DataFrame(generator.poisson(rates[labels]), columns=columns), labels, 4)


def many_answers(seed: int) -> Data:
    """Four classes; a frame of text with four levels a column."""
    generator = np.random.default_rng([986, seed])
    labels, levels = generator.integers(0, 4, 5_000), generator.dirichlet(np.ones(4), (4, 20))
    codes = (generator.random((5_000, 20, 1)) > levels[labels].cumsum(axis=2)).sum(axis=2)
    words = np.array(["never", "seldom", "often", "always"])[np.minimum(codes, 3)]
    columns = [f"answer {column}" for column in range(20)]
    return Data(pd.DataFrame(words, columns=columns), labels, 4)


def of_loans(path: Path, n: int, seed: int) -> Data:
    specification: Any = importlib.util.spec_from_file_location("loans", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    table, labels = module.loans(n, seed)
    return Data(table, labels, options=(("missing", "use"),))


def of_times(data: Data) -> Line:
    return searched(data, repeats=3)[1]


# What does not depend on the version


def loop(seed: int, **places: Any) -> Iterator[Problem]:
    """Scikit-learn's loop on the sets of ``times``."""
    for problem in times(seed, **places):
        yield replace(problem, part="loop", measure=of_loop)


def truths(seed: int) -> Iterator[Problem]:
    """The true classifier and k-means on the sets of ``large``."""
    for problem, specification in zip(large(seed), large_specifications(seed), strict=True):
        measure = partial(of_truth, seed, problem.number, specification)
        yield replace(problem, part="truth", data=lambda: Data(None), measure=measure)


def of_loop(data: Data) -> Line:
    rows = data.table
    if isinstance(rows, pd.DataFrame):
        numeric = rows.select_dtypes("number")
        if numeric.shape[1] < rows.shape[1] or numeric.isna().any(axis=None):
            return {"seconds": None}
        rows = numeric.to_numpy(dtype=float)
    began = time.process_time()
    choice: Any = sklearn_choice(rows, rows)
    return {"seconds": time.process_time() - began, "n_components": choice[1]}


def of_truth(seed: int, number: int, specification: Any, data: Data) -> Line:
    """The index of the true density's classifier, and times of k-means with K and with cells."""
    truth, rows, labels = large_truth(seed, number, specification)
    K = len(truth.weights)
    line: Line = {"index": float(adjusted_rand_score(labels, classified(truth, rows)))}
    line["smallest_group"] = int(np.bincount(labels, minlength=K).min())
    for name, n_clusters in (("kmeans", K), ("kmeans_cells", max(200, 2 * K))):
        if name == "kmeans" or rows.size * n_clusters < 4e9:
            k_means = sklearn.cluster.KMeans(n_clusters, n_init=1, random_state=seed)
            line[f"{name}_seconds"] = processor_time(partial(k_means.fit, rows))
            line[f"{name}_iterations"] = int(k_means.n_iter_)
    return line


def classified(truth: Normals, rows: Any) -> np.ndarray:
    """The most probable group (n,) of each row under the true density."""
    groups, best = np.zeros(len(rows), dtype=int), np.full(len(rows), -np.inf)
    for k, (weight, mean, covariance) in enumerate(
        zip(truth.weights, truth.means, truth.covariances, strict=True)
    ):
        root = np.linalg.cholesky(covariance)
        distance = ((np.linalg.inv(root) @ (rows - mean).T) ** 2).sum(axis=0)
        joint = np.log(weight) - np.log(np.diag(root)).sum() - distance / 2
        better = joint > best
        groups[better], best[better] = k, joint[better]
    return groups


# Runs


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise ``NoEndError`` after so much processor time, and again where it was swallowed."""

    def over(*_: Any) -> None:
        raise NoEndError

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds, 5.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)


def run(problems: Iterator[Problem], seed: int, out: Path, limit: float, stop: float) -> None:
    """Measure what is not in the file yet, until ``stop`` seconds by the clock are over."""
    done = {(line["part"], line["seed"], line["number"]) for line in read([out])}
    began = time.monotonic()
    for problem in problems:
        if (problem.part, seed, problem.number) in done:
            continue
        if time.monotonic() - began > stop:
            print("stopped; the same command goes on", flush=True)
            return
        line: Line = {
            "part": problem.part,
            "seed": seed,
            "number": problem.number,
            "name": problem.name,
        }
        try:
            with time_limit(limit):
                line |= problem.measure(problem.data())
        except NoEndError:
            line["no_end"] = limit
        except Exception as error:  # one that fails is a line, and the others are measured
            line["error"] = f"{type(error).__name__}: {error}"[:300]
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        shown = {k: v for k, v in line.items() if "prior" not in k and k not in ("part", "seed")}
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in shown.items()}, flush=True)


def warm_up() -> None:
    """Compile and import what the first search would."""
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(100, 2))
    frame = pd.DataFrame({"answer": list("ab") * 50, "count": generator.poisson(3.0, 100)})
    for table in (rows, frame, frame[["answer"]], pd.DataFrame(rows)):
        bm.select(table, n_jobs=1, progress=False)


PARTS = ("large", "small", "labelled", "overlap", "grid", "times", "still", "truth", "loop")


def main() -> None:
    """Measure one part, or compare."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.one_tree", description=__doc__)
    parser.add_argument("part", choices=[*PARTS, "compare"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="a file to which lines are added")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds of one problem")
    parser.add_argument("--stop", type=float, default=float("inf"), help="seconds of the run")
    parser.add_argument("--folder", type=Path, help="labelled tables")
    parser.add_argument("--real", type=Path, help="a CSV file for times")
    parser.add_argument("--loans", type=Path, help="a script with loans(n, seed) for times")
    for side in ("before", "after", "reference"):
        parser.add_argument(f"--{side}", type=Path, nargs="*", default=[], help="files to compare")
    arguments = parser.parse_args()
    if arguments.part == "compare":
        return compare(read(arguments.before), read(arguments.after), read(arguments.reference))
    if arguments.out is None or (
        arguments.part in ("labelled", "still") and arguments.folder is None
    ):
        parser.error("measuring needs --out, and real tables --folder")
    places = {"real": arguments.real, "loans": arguments.loans}
    parts: dict[str, Callable[[], Iterator[Problem]]] = {
        "large": partial(large, arguments.seed),
        "small": partial(small, arguments.seed),
        "labelled": partial(labelled, arguments.seed, arguments.folder),
        "overlap": partial(overlap, arguments.seed),
        "grid": partial(grid, arguments.seed),
        "times": partial(times, arguments.seed, **places),
        "still": partial(still, arguments.seed, arguments.folder),
        "truth": partial(truths, arguments.seed),
        "loop": partial(loop, arguments.seed, **places),
    }
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"seed {arguments.seed}, {bm.__file__}", flush=True)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        warm_up()
        run(parts[arguments.part](), arguments.seed, arguments.out, arguments.limit, arguments.stop)


if __name__ == "__main__":
    main()
