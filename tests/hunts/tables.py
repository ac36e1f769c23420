"""Random tables as people have them: kinds of columns, missing codes, ties, weights, odd names.

``python -m tests.hunts.tables --count 20000`` draws small tables and settings, one a seed, and runs
fit, select, predict, save, load and score, of every fiftieth table also in the shell. A problem is
sound if only errors of the package are raised and no warning of another package is, nothing is NaN,
a density is zero only where it can be, probabilities sum to 1, the saved model predicts the same,
the order of rows and columns and the number of workers change nothing (with missing values the
order is as another seed), and a maximum likelihood fit is at least as good as the best of three by
scikit-learn.

``--out FILE`` adds a line per problem and goes on after the last one; ``--count 1 --first 1234``
looks at one again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as OfScikitLearn

import bayesmix as bm
from bayesmix.errors import BayesmixError
from bayesmix.shell.app import app

Generator = np.random.Generator
# One problem in so many is repeated in the shell, and one with two workers.
IN_SHELL, WITH_JOBS = 50, 10
# Of ten problems one is a regression, whatever the generator draws.
A_REGRESSION = 5
# Numbers of rows, searches, and how often they are drawn: many small problems find more than few.
SIZES, SEARCHES = ((2, 12), (12, 40), (40, 90)), (None, "short", "auto")
SHARES = (0.4, 0.45, 0.15)
# Nats per observation by which the likelihoods of two optima differ, and of two runs to one optimum
# (as in ``benchmarks.optimum``).
BETTER, SAME = 1e-3, 1e-4
# The same where a variance is held at a floor, at which the objective is not flat.
SAME_AT_FLOOR = 1e-3
# Missing cells are drawn in the search, by the order of the table as by the seed: another order
# must end at an optimum that one of these seeds reaches.
SEEDS = range(1, 9)
# Samples per parameter below which the best optimum may be a degenerate one.
ENOUGH = 8
# Smallest eigenvalue of a covariance, in units of that of all data, of a collapsed component.
COLLAPSED = 1e-4
STRUCTURES = ("full", "tied", "diag", "spherical")
# Cells of a text file that mean missing.
CODES = ("NA", ".", "?", "-", "", "n/a", "NULL")
TASKS = ("mixture", "family", "gaussian") * 3 + ("classifier", "classifier", "select", "chain")
NAMES = ("x", "Größe (cm)", "a b", "q1", "value", "count", "class", "1", "x,y", 'say "x"', "labels")


class Failure(Exception):
    """Something that must hold does not."""


def _normal(g: Generator, z: Any) -> Any:
    return g.normal(g.uniform(0, 6) * z, 1.0) * 10.0 ** g.integers(-3, 5)


def _counts(g: Generator, z: Any) -> Any:
    return g.poisson(g.uniform(0.5, 9.0) * (1 + z))


def _text(g: Generator, z: Any) -> Any:
    levels = np.array(["red", "green", "blue", "ü", "No", "Yes"])[: g.integers(2, 7)]
    return levels[(z + g.integers(0, len(levels), len(z)) * (g.random(len(z)) < 0.4)) % len(levels)]


def _ordered(g: Generator, z: Any) -> Any:
    return pd.Categorical.from_codes(z % 3, ["low", "mid", "high"], ordered=True)


KINDS: dict[str, Callable[[Generator, Any], Any]] = {
    "normal": _normal,
    "rounded": lambda g, z: _normal(g, z).round(int(g.integers(-1, 2))),
    "half steps": lambda g, z: np.round(2 * g.normal(37 + z, 0.7)) / 2,
    "amounts": lambda g, z: np.exp(g.normal(3 + z, 1.0)).round(2),
    "tails": lambda g, z: g.standard_cauchy(len(z)) + 5 * z,
    "counts": _counts,
    "many zeros": lambda g, z: _counts(g, z) * (g.random(len(z)) < 0.5),
    "overdispersed": lambda g, z: g.negative_binomial(1.5, 1 / (3 + 4 * z)),
    "rating": lambda g, z: np.clip(np.round(g.normal(2 + z, 1.0)), 1, 5).astype(int),
    "binary": lambda g, z: (g.random(len(z)) < 0.2 + 0.6 * (z > 0)).astype(int),
    "flag": lambda g, z: g.random(len(z)) < 0.2 + 0.6 * (z > 0),
    "text": _text,
    "category": lambda g, z: pd.Categorical(_text(g, z)),
    "ordered": _ordered,
    "codes": lambda g, z: 10 * (1 + (z + g.integers(0, 2, len(z))) % 4),
    "identifier": lambda g, z: g.permutation(len(z)) + 1000,
    "row numbers": lambda g, z: np.arange(len(z)) + int(g.integers(2)),
    "constant": lambda g, z: np.full(len(z), 7.0),
    "empty": lambda g, z: np.full(len(z), np.nan),
    "dates": lambda g, z: np.datetime64("2020-01-01") + g.integers(0, 900, len(z)),
    "written dates": lambda g, z: [f"2021-0{1 + i}-11" for i in g.integers(0, 9, len(z))],
    "notes": lambda g, z: [f"note {i}" for i in g.permutation(len(z))],
    "whole numbers": lambda g, z: pd.array(_counts(g, z), dtype="Int64"),
    "years": lambda g, z: 1990 + g.integers(0, 30, len(z)),
    "shares": lambda g, z: g.beta(1 + 3 * z, 2.0),
}
# Kinds for which a family can be named, with the family.
FAMILIES = {
    "counts": ("poisson", "negative_binomial", "zero_inflated_poisson"),
    "many zeros": ("poisson", "negative_binomial", "zero_inflated_poisson"),
    "overdispersed": ("negative_binomial", "poisson"),
    "binary": ("bernoulli", "categorical"),
    "rating": ("ordinal", "categorical", "gaussian"),
    "text": ("categorical",),
    "amounts": ("gamma", "log_normal", "weibull", "exponential"),
    "normal": ("gaussian", "student_t"),
    "rounded": ("gaussian", "student_t"),
}


@dataclass(frozen=True)
class Problem:
    """A table, weights, and a task with its settings."""

    seed: int
    table: pd.DataFrame
    weights: Any
    task: str
    options: dict[str, Any] = field(default_factory=dict)
    y: Any = None

    @property
    def description(self) -> str:
        """The shape, the task and its settings."""
        settings = ", ".join(f"{name}={value}" for name, value in self.options.items())
        weighted = "" if self.weights is None else ", weighted"
        return f"{self.table.shape} {self.task}({settings}){weighted}"


def problem(seed: int) -> Problem:
    """Return the problem of a seed."""
    g = np.random.default_rng([61, seed])
    n = int(g.integers(*SIZES[g.choice(len(SIZES), p=SHARES)]))
    z = g.integers(0, g.integers(1, 4), n)
    task = "regression" if seed % 10 == A_REGRESSION else str(g.choice(TASKS))
    kind = str(g.choice(list(FAMILIES)))
    kinds = [str(name) for name in g.choice(list(KINDS), g.integers(1, 5))]
    if task == "family":
        kinds = [kind] * int(g.integers(1, 4))
    elif task == "gaussian":
        kinds = [str(name) for name in g.choice(list(KINDS)[:5], g.integers(1, 4))]
    elif g.random() < 0.15:
        kinds += ["rating"] * 3
    table = pd.DataFrame({place: pd.Series(KINDS[name](g, z)) for place, name in enumerate(kinds)})
    if g.random() < 0.2:
        table[len(kinds)] = table[0]
    if g.random() < 0.2:
        table = table.iloc[g.integers(0, max(1, n // 2), n)].reset_index(drop=True)
    words = list(g.permutation(NAMES)) if g.random() < 0.3 else [f"v{i}" for i in range(20)]
    table.columns = [str(words[i]) if i < len(words) else f"w{i}" for i in range(table.shape[1])]
    missing = "error"
    if g.random() < 0.35:
        missing = "use" if task == "chain" else str(g.choice(["use", "use", "drop"]))
        table = with_gaps(g, table)
    weights = None
    if g.random() < 0.2 and task != "chain":
        weights = g.choice([g.integers(0, 4, n), g.uniform(0.1, 3.0, n), 1000 * g.random(n)])
    options: dict[str, Any] = {"random_state": 0, "missing": missing}
    y = None
    if task == "select":
        options |= {
            "n_components": (1, 2),
            "criterion": str(g.choice(["bic", "bic", "icl", "auto", "cv"])),
        }
        options["noise"] = bool(g.random() < 0.1)
    elif task == "classifier":
        y = np.array(["a", "b", "c"])[(z + (g.random(n) < 0.2)) % 3]
    elif task == "regression":
        options = {"random_state": 0, "n_components": int(g.integers(1, 4)), "n_init": 5}
        options["response"] = str(g.choice(["normal", "normal", "poisson", "negative_binomial"]))
        first = pd.to_numeric(table.iloc[:, 0], errors="coerce").fillna(0.0).rank().to_numpy()
        y = g.normal(first / n * (2 * z - 1), 0.2).round(int(g.integers(1, 4)))
        y = y if options["response"] == "normal" else g.poisson(np.exp(y))
    else:
        options["n_components"] = int(g.integers(1, 4))
        options["search"] = SEARCHES[g.choice(len(SEARCHES), p=SHARES)]
    if task == "gaussian":
        options["covariance_type"] = str(g.choice(STRUCTURES))
        options["prior"] = g.choice([None, "auto"])
    elif task == "family":
        options["family"] = str(g.choice(FAMILIES[kind]))
    elif task in ("mixture", "chain"):
        options["inference"] = [None, bm.VariationalBayes(), bm.MaximumAPosteriori()][g.integers(3)]
        options["family"] = "auto"
    if task == "chain":
        options |= {"n_init": 2, "search": options["search"] or "short"}
    return Problem(seed, table, weights, task, options, y)


def with_gaps(g: Generator, table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with missing values, in some columns of text by a code."""
    table = table.copy()
    for place, name in enumerate(table.columns):
        gone = g.random(len(table)) < g.choice([0.0, 0.05, 0.3])
        if not gone.any():
            continue
        column = table.iloc[:, place]
        if g.random() < 0.3 and column.dtype.kind in "iuf":
            written = column.astype(object).where(~gone, str(g.choice(CODES)))
            table[name] = written.map(lambda value: value if isinstance(value, str) else f"{value}")
        else:
            table[name] = column.mask(gone)
    return table


def fitted(asked: Problem, table: Any, weights: Any, y: Any, n_jobs: int | None = 1) -> Any:
    """Return the fitted search or model."""
    options = asked.options | {"n_jobs": n_jobs}
    if asked.task == "select":
        return bm.select(table, sample_weight=weights, **options)
    if asked.task == "classifier":
        return bm.MixtureClassifier(**options).fit(table, y, sample_weight=weights)
    if asked.task == "chain":
        return bm.HiddenMarkovModel(**options).fit(table)
    if asked.task == "regression":
        return bm.RegressionMixture(**asked.options).fit(table, y, sample_weight=weights)
    kind = bm.GaussianMixture if asked.task == "gaussian" else bm.Mixture
    return kind(**options).fit(table, sample_weight=weights)


def best(model: Any) -> Any:
    """Return the estimator of a search, or the model."""
    return getattr(model, "best_estimator_", model)


def answers(model: Any, table: Any, y: Any = None) -> dict[str, Any]:
    """Return what a model says about a table, of a regression with the responses ``y``."""
    if isinstance(model, bm.RegressionMixture):
        said = {"probabilities": model.predict_proba(table, y), "labels": model.predict(table)}
        return said | {"scores": model.score_samples(table, y)}
    shares = np.asarray(model.predict_proba(table))
    scores = (
        np.asarray(model.score_samples(table)) if hasattr(model, "score_samples") else np.zeros(1)
    )
    return {"probabilities": shares, "labels": np.asarray(model.predict(table)), "scores": scores}


def checked(asked: Problem) -> str:
    """Run a problem and return "fitted" or "refused"; raise ``Failure`` if it is not sound."""
    given = (asked.table, asked.weights, asked.y)
    try:
        model = fitted(asked, *given)
    except BayesmixError as problem:
        if len(str(problem)) < 15 or "Error" in str(problem):
            raise Failure(f"the error says {problem}") from None
        return f"refused: {type(problem).__name__}: {str(problem)[:90]}"
    usable = asked.table.loc[~_unanswered(asked, best(model))]
    if not len(usable):
        return "fitted"
    y = asked.y[usable.index] if asked.task == "regression" else None
    said = answers(model, usable, y)
    _sound(asked, model, said, usable)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.bayesmix"
        model.save(path)
        for name, value in answers(bm.load(path), usable, y).items():
            if not np.array_equal(value, said[name]):
                raise Failure(f"the saved model has other {name}")
    _same_in_any_order(asked, model)
    if asked.seed % WITH_JOBS == 0 and not same(fitted(asked, *given, 2), model, 0.0):
        raise Failure("two workers give another answer")
    if asked.task == "gaussian":
        _as_good_as_scikit_learn(asked, model)
    if asked.seed % IN_SHELL == 0:
        _same_in_the_shell(asked)
    return "fitted"


def _unanswered(asked: Problem, model: Any) -> Any:
    """Return the rows (n,) without an answer: with any missing value, or with no value at all."""
    if asked.task == "regression":  # has no missing values
        return np.zeros(len(asked.table), dtype=bool)
    used = [str(name) for name in getattr(model, "feature_names_in_", asked.table.columns)]
    gone = asked.table[used].isna() | asked.table[used].isin(CODES)
    if asked.options["missing"] == "drop":
        return gone.any(axis=1).to_numpy()
    return gone.all(axis=1).to_numpy() & (asked.task != "chain")


def _sound(asked: Problem, model: Any, said: dict[str, Any], usable: pd.DataFrame) -> None:
    shares, scores = said["probabilities"], said["scores"]
    counts = np.ones(len(usable), dtype=bool)
    if asked.weights is not None:
        counts = np.asarray(asked.weights)[usable.index] > 0.0
    impossible = np.isneginf(scores) if len(scores) == len(counts) else ~counts
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise Failure("a log density is NaN or infinite")
    if impossible[counts].any():
        raise Failure("a row of the fit has density zero")
    shares = shares[~impossible] if asked.task != "chain" else shares
    if not ((shares >= 0.0).all() and (shares <= 1.0).all()):
        raise Failure("a probability is outside [0, 1]")
    if np.abs(shares.sum(axis=1) - 1.0).max(initial=0.0) > 1e-9 and not asked.options.get("noise"):
        raise Failure("probabilities do not sum to 1")
    if not np.isfinite(objective(model)):
        raise Failure("the objective is not finite")


def objective(model: Any) -> float:
    """Return what the fit maximised, in nats, summed over the mixtures of a classifier."""
    models = getattr(model, "models_", {0: best(model)}).values()
    return float(sum(one.result_.objective for one in models))


def same(one: Any, other: Any, tolerance: float) -> bool:
    """Whether two models have the same objective per observation."""
    n = getattr(getattr(best(one), "result_", None), "total_weight", 1.0)
    a, b = objective(one), objective(other)
    return abs(a - b) <= tolerance * (max(n, 1.0) + abs(a))


def _same_in_any_order(asked: Problem, model: Any) -> None:
    """Fit with rows and columns in another order; which of them matters is found out after."""
    if not _settled(model):
        return
    g = np.random.default_rng([62, asked.seed])
    rows, columns = g.permutation(len(asked.table)), g.permutation(asked.table.shape[1])
    # Row numbers are known by their order, and folds are drawn from it.
    numbers = asked.table.apply(pd.to_numeric, errors="coerce")
    steps = [np.diff(numbers[name].dropna()) for name in numbers]
    by_folds = asked.task == "classifier" or asked.options.get("criterion") in ("cv", "auto")
    # Folds decide between Poisson and negative binomial counts.
    kinds = getattr(model, "columns_", None)
    by_folds = by_folds or (kinds is not None and (kinds["kind"] == "counts").any())
    if asked.task == "chain" or by_folds or any(len(s) and (s == 1.0).all() for s in steps):
        rows = np.arange(len(rows))
    orders = {"rows": (rows, np.sort(columns)), "columns": (np.sort(rows), columns)}
    if _same_in_order(asked, model, rows, columns):
        return
    guilty = [name for name, order in orders.items() if not _same_in_order(asked, model, *order)]
    raise Failure(f"another order of {' and of '.join(guilty or orders)} gives another answer")


def _settled(model: Any) -> bool:
    """Whether all fits of a model converged, and their likelihoods have a maximum."""
    models = getattr(model, "models_", {0: best(model)}).values()
    results = [one.result_ for one in models]
    return all(result.degenerate is None and result.converged for result in results)


def _same_in_order(asked: Problem, model: Any, rows: Any, columns: Any) -> bool:
    weights = None if asked.weights is None else np.asarray(asked.weights)[rows]
    y = None if asked.y is None else np.asarray(asked.y)[rows]
    table = asked.table.iloc[rows, columns].reset_index(drop=True)
    other = fitted(asked, table, weights, y)
    held = any(event.kind == "held" for one in (model, other) for event in _events(one))
    tolerance = SAME_AT_FLOOR if held else SAME
    if same(other, model, tolerance) or not _settled(other):
        return True
    if asked.options.get("missing") != "use" or not asked.table.isin([np.nan, *CODES]).any(
        axis=None
    ):
        return False
    given = (asked.table, asked.weights, asked.y)
    seeded = (replace(asked, options=asked.options | {"random_state": seed}) for seed in SEEDS)
    return any(same(other, fitted(each, *given), tolerance) for each in seeded)


def _events(model: Any) -> Iterator[Any]:
    """Yield what happened during the fits of a model."""
    for one in getattr(model, "models_", {0: best(model)}).values():
        yield from one.result_.events


def _as_good_as_scikit_learn(asked: Problem, model: Any) -> None:
    """Compare the likelihood with scikit-learn's best of three, unless that has collapsed."""
    options, n = asked.options, len(asked.table)
    if (
        asked.weights is not None
        or options["prior"] is not None
        or options["search"] is None
        or asked.table.isna().any(axis=None)
    ):
        return
    values = asked.table.to_numpy(np.float64)
    if (
        n < ENOUGH * model.n_parameters_
        or len(np.unique(values, axis=0)) < n
        or not values.std(0).all()
    ):
        return
    scale = values.std(axis=0)
    if options["covariance_type"] == "spherical":  # a sphere in other units is none
        scale = np.full(len(scale), scale.max())
    theirs = OfScikitLearn(
        options["n_components"],
        covariance_type=options["covariance_type"],
        n_init=3,
        max_iter=1000,
        tol=1e-7,
        random_state=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(values / scale)
    if np.abs(theirs.precisions_cholesky_).max() ** -2.0 < COLLAPSED:
        return
    gap = float(theirs.score(values / scale) - np.log(scale).sum() - model.score(asked.table))
    if gap > BETTER:
        raise Failure(f"scikit-learn is better by {gap:.2g} nats per observation")


def _same_in_the_shell(asked: Problem) -> None:
    """Compare ``select`` on a file in the shell and in Python."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "table.csv")
        asked.table.to_csv(path, index=False)
        out, err = StringIO(), StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                app(["select", path, "--components", "1:2", "--json"], prog_name="bayesmix")
            except SystemExit as end:
                code = end.code
        try:
            table = bm.read_table(path)
            model = bm.select(table, (1, 2), missing="use")
        except BayesmixError as problem:
            if code != 2:
                raise Failure(f"the shell gives {code}, Python says {problem}") from None
            return
        if code:
            raise Failure(f"the shell gives {code}, Python does not: {err.getvalue()[-200:]}")
        said = json.loads(out.getvalue())
        used = [str(name) for name in best(model).feature_names_in_]
        if said["data"]["columns"] != used:
            raise Failure(f"columns {used} are {said['data']['columns']} in the shell")
        if not np.isclose(said["best"][model.criterion_], model.best_score_, rtol=1e-9):
            raise Failure("the shell has another answer")


def outcome(seed: int) -> dict[str, Any]:
    """Return what became of the problem of a seed."""
    asked, began = problem(seed), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", UserWarning)  # those of the package
        try:
            became = checked(asked)
        except Failure as failure:
            became = f"FAILURE {failure}"
        except Exception as problem_found:
            frames = traceback.extract_tb(problem_found.__traceback__)
            places = [at for at in frames if "bayesmix" in at.filename][-3:]
            place = " < ".join(f"{Path(at.filename).name}:{at.lineno}" for at in reversed(places))
            became = (
                f"FAILURE {type(problem_found).__name__}: {str(problem_found)[:200]} at {place}"
            )
    seconds = round(time.process_time() - began, 2)
    return {"seed": seed, "task": asked.description, "became": became, "seconds": seconds}


def outcomes(first: int, count: int, path: Path | None = None) -> Iterator[dict[str, Any]]:
    """Yield the outcomes of problems; those in the file are not run again."""
    stored = path.read_text("utf-8").splitlines() if path is not None and path.exists() else []
    known = {line["seed"]: line for line in map(json.loads, stored)}
    for seed in range(first, first + count):
        if seed in known:
            yield known[seed]
            continue
        line = outcome(seed)
        if path is not None:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        yield line


def counted(lines: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Print the failures, and return how many problems were fitted, refused, or not sound."""
    numbers: Counter[str] = Counter()
    for line in lines:
        numbers[line["became"].split(":")[0].split()[0].lower()] += 1
        if line["became"].startswith("FAILURE"):
            print(line["seed"], line["task"], line["became"][8:], sep=" | ", flush=True)
    return {"problems": sum(numbers.values()), **numbers}


def main() -> None:
    """Run problems; the exit code is 1 where one is not sound."""
    parser = argparse.ArgumentParser(prog="python -m tests.hunts.tables", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="number of problems")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--out", type=Path, help="file with a line per problem, to go on later")
    given = parser.parse_args()
    numbers = counted(outcomes(given.first, given.count, given.out))
    print(", ".join(f"{name}: {number}" for name, number in numbers.items()))
    sys.exit(1 if numbers.get("failure") else 0)


if __name__ == "__main__":
    main()
