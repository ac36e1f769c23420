"""``python -m tests.hunts.fingerprints FILE``: numbers of every result, to compare two commits by.

Families, inferences, forms of the E-step and threads; searches, tables of candidates, draws, and
files saved before. A change that is to change no number leaves all of them as they were:

    python -m tests.hunts.fingerprints before.json --models saved
    (change the code)
    python -m tests.hunts.fingerprints after.json --models saved
    python -m tests.hunts.fingerprints --compare before.json after.json

The comparison says of each name whether its results are equal, equal to rounding (1e-8 of the
largest number of an array), or moved. Only public names are used, so that the same script runs at
both commits. Rounding differs between processors and versions of NumPy: compare on one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

import bayesmix as bm

Numbers: TypeAlias = dict[str, Any]
Fingerprints: TypeAlias = dict[str, Numbers]
ROUNDING = 1e-8

STRUCTURES = ("full", "tied", "diag", "spherical")
FAMILIES: dict[str, Callable[[], Any]] = {
    **{name: lambda name=name: bm.Gaussian(name) for name in STRUCTURES},
    "bernoulli": bm.Bernoulli,
    "poisson": bm.Poisson,
}
# Fitted once by every inference that they have; rows of ``rows_of`` made to suit.
OTHERS: dict[str, tuple[Callable[[], Any], Callable[[np.ndarray], np.ndarray]]] = {
    "gamma": (bm.Gamma, np.exp),
    "log-normal": (bm.LogNormal, np.exp),
    "exponential": (bm.Exponential, np.exp),
    "student-t": (bm.StudentT, lambda rows: rows),
    "student-t, diag": (lambda: bm.StudentT("diag", "shared"), lambda rows: rows),
    "factor-analytic": (lambda: bm.FactorAnalytic(1), lambda rows: rows),
    "binomial": (
        lambda: bm.Binomial([5, 5, 5]),
        lambda rows: np.clip(np.round(rows), 0.0, 5.0),
    ),
    "categorical": (
        lambda: bm.Categorical([[0, 1, 2, 3]] * 3),
        lambda rows: np.clip(np.round(rows), 0.0, 3.0),
    ),
    "product": (
        lambda: bm.Product({0: bm.Gaussian(), 1: bm.LogNormal(), 2: bm.Poisson()}),
        lambda rows: np.column_stack(
            [rows[:, 0], np.exp(rows[:, 1]), np.clip(np.round(rows[:, 2]), 0.0, None)]
        ),
    ),
}
# How the samples of a fit were seen; after a comma the covariance structure.
SEEN = ("missing, full", "missing, tied", "missing, diag", "noise", "labels", "covariates", "chain")
INFERENCES: dict[str, Callable[[], Any]] = {
    "ml": bm.MaximumLikelihood,
    "map": bm.MaximumAPosteriori,
    "vb dirichlet": lambda: bm.VariationalBayes(weights=bm.DirichletPrior(1.0)),
    "vb sticks": lambda: bm.VariationalBayes(weights=bm.StickBreakingPrior(0.5)),
    "vb free": lambda: bm.VariationalBayes(weights=bm.FreeWeights()),
}
# Rows, columns, components, how far apart, and whether rows are weighted; what the E-step then is
# stands in the results as ``form``.
SIZES = {
    "few rows": (400, 3, 3, 3.0, False),  # NumPy, linear
    "few rows, weighted": (400, 2, 3, 2.0, True),
    "few rows, far apart": (400, 3, 3, 1e7, False),  # NumPy, centred
    "many rows": (40_000, 3, 3, 3.0, False),  # in chunks
    "many columns": (3_000, 52, 4, 1.0, True),  # wide rows
    "many rows, far apart": (20_000, 3, 4, 1e7, False),  # centred from linear
    "many components": (1_500, 3, 101, 8.0, False),
}
# What differs from run to run, or is code rather than a result.
LEFT_OUT = {"seconds", "versions", "family", "structure", "source", "n_jobs"}
PLAIN = {"max_iter": 6, "tol": 0.0, "random_state": 0, "progress": False}


def rows_of(name: str, n: int, D: int, K: int, apart: float) -> np.ndarray:
    """Rows (n, D) of K components of a family."""
    generator = np.random.default_rng([n, D, K])
    labels = generator.integers(0, K, n)
    if name == "bernoulli":
        return (generator.random((n, D)) < generator.uniform(size=(K, D))[labels]).astype(float)
    if name == "poisson":
        rates = np.exp(generator.normal(np.log(apart), 1.0, (K, D)))
        return generator.poisson(rates[labels]).astype(float)
    means, spread = apart * generator.normal(size=(K, D)), generator.uniform(0.5, 2.0, (K, D))
    return means[labels] + spread[labels] * generator.normal(size=(n, D))


def results_of(model: Any, rows: Any) -> Numbers:
    """Numbers of all that a fitted estimator holds and says of rows."""
    said = {
        name: getattr(model, name)(rows[:200])
        for name in ("score_samples", "predict", "predict_proba", "responsibilities")
    }
    said |= {"rows": model.sample(20, random_state=1)[0], "bic": model.bic(), "icl": model.icl()}
    return numbers_of({"result": model.result_, "unframed": model.result_.unframed, **said})


def fits() -> Iterator[tuple[str, Callable[[], Numbers]]]:
    """Plain fits over families, inferences, forms and threads."""
    for name, inference, size, jobs in product(FAMILIES, INFERENCES, SIZES, (1, 2)):
        yield (
            f"fit: {name}, {inference}, {size}, {jobs} threads",
            lambda name=name, inference=inference, size=size, jobs=jobs: _fit(
                name, inference, size, jobs
            ),
        )


def _fit(name: str, inference: str, size: str, n_jobs: int) -> Numbers:
    n, D, K, apart, weighted = SIZES[size]
    rows = rows_of(name, n, D, K, apart)
    weights = np.random.default_rng(n).uniform(0.0, 2.0, n) if weighted else None
    model = bm.Mixture(
        K, family=FAMILIES[name](), inference=INFERENCES[inference](), search=None,
        init_params="random_from_data" if K > 100 else "k-means++", n_jobs=n_jobs, **PLAIN,
    )  # fmt: skip
    return results_of(model.fit(rows, sample_weight=weights), rows)


def searches() -> Iterator[tuple[str, Callable[[], Numbers]]]:
    """Whole fits: starts, moves, pruning, extrapolation."""
    for name, inference, jobs in product(FAMILIES, INFERENCES, (1, 2)):
        yield (
            f"search: {name}, {inference}, {jobs} threads",
            lambda name=name, inference=inference, jobs=jobs: results_of(
                *_searched(name, inference, jobs)
            ),
        )
    for cls, structure in product((bm.GaussianMixture, bm.BayesianGaussianMixture), STRUCTURES):
        yield (
            f"estimator: {cls.__name__}, {structure}",
            lambda cls=cls, structure=structure: _attributes(cls, structure),
        )

    for name, inference in product(OTHERS, ("ml", "map", "vb dirichlet")):
        yield (
            f"search: {name}, {inference}",
            lambda name=name, inference=inference: _of_other(name, inference),
        )

    for name, inference in product(SEEN, ("ml", "map", "vb dirichlet")):
        yield (
            f"seen: {name}, {inference}",
            lambda name=name, inference=inference: _seen(name, inference),
        )


def _seen(name: str, inference: str) -> Numbers:
    """A fit with missing values, noise, labels, covariates or an order of the samples."""
    rows = rows_of("full", 300, 2, 3, 3.0)
    generator = np.random.default_rng(300)
    options = {"inference": INFERENCES[inference](), "n_jobs": 1, "random_state": 0}
    if name in ("chain", "covariates"):
        options["inference"] = type(options["inference"])()
    holes = np.where(generator.random(rows.shape) < 0.15, np.nan, rows)
    if name == "chain":
        chain = bm.HiddenMarkovModel(3, n_init=2, missing="use", **options).fit(
            holes, lengths=[100, 200]
        )
        said = {"shares": chain.predict_proba(holes, [100, 200]), "result": chain.result_}
        return numbers_of(said)
    structure = name.partition(", ")[2]
    if structure:
        holes = holes[~np.isnan(holes).all(axis=1)]
        model = bm.Mixture(3, family=bm.Gaussian(structure), missing="use", **options).fit(holes)
        return results_of(model, holes) | numbers_of({"imputed": model.impute(holes)})
    given = {
        "labels": {"labels": np.where(np.arange(300) < 40, 0.0, np.nan)},
        "covariates": {"covariates": generator.normal(size=(300, 1))},
    }.get(name, {})
    noise = "uniform" if name == "noise" else None
    model = bm.Mixture(3, noise=noise, search="short", **options).fit(rows, **given)
    return numbers_of(model.result_)


def _of_other(name: str, inference: str) -> Numbers:
    """A fit, and of a variational one draws and a sampler's."""
    family, suited = OTHERS[name]
    rows = suited(rows_of(name, 300, 3, 3, 1.5))
    model = bm.Mixture(
        3, family=family(), inference=INFERENCES[inference](), random_state=0, search="short",
        max_passes=100, n_jobs=1, progress=False,
    ).fit(rows)  # fmt: skip
    found = results_of(model, rows)
    if inference == "vb dirichlet":
        if name != "product":
            found |= numbers_of({"posterior": model.sample_posterior(n_draws=20, random_state=1)})
        if not name.startswith("student"):
            options = {
                "n_draws": 10,
                "chains": 2,
                "warmup": 5,
                "random_state": 1,
                "progress": False,
            }
            found |= numbers_of({"gibbs": bm.gibbs(model, rows, **options)})
    return found


def _searched(name: str, inference: str, n_jobs: int = 1, K: int = 4) -> tuple[Any, np.ndarray]:
    rows = rows_of(name, 500, 2 if name in STRUCTURES else 6, K, 2.0)
    model = bm.Mixture(
        K, family=FAMILIES[name](), inference=INFERENCES[inference](), random_state=0,
        max_passes=250, n_jobs=n_jobs, progress=False,
    )  # fmt: skip
    return model.fit(rows), rows


def _attributes(cls: Any, structure: str) -> Numbers:
    """Fitted attributes in scikit-learn's names."""
    rows = bm.datasets.load_iris().iloc[:, :4].to_numpy(dtype=float)
    model = cls(3, covariance_type=structure, random_state=0, search="short", progress=False)
    model.fit(rows)
    own = {name: value for name, value in vars(model).items() if name.endswith("_")}
    return numbers_of({**own, "feature_names_in_": None, "result_": None})


def tables() -> Iterator[tuple[str, Callable[[], Numbers]]]:
    """Tables of candidates."""
    faithful = bm.datasets.load_faithful().to_numpy()
    yield "table: select", lambda: _table(bm.select(faithful, n_components=(1, 2, 3)))
    yield "table: select, bic", lambda: _table(bm.select(faithful, criterion="bic"))
    for name in ("bernoulli", "poisson"):
        for inference, criterion in (("ml", "bic"), ("map", "cv"), ("vb dirichlet", "auto")):
            yield (
                f"table: {name}, {inference}, {criterion}",
                lambda name=name, inference=inference, criterion=criterion: _candidates(
                    name, inference, criterion
                ),
            )


def _candidates(name: str, inference: str, criterion: str) -> Numbers:
    model = bm.Mixture(
        family=FAMILIES[name](), inference=INFERENCES[inference](), random_state=0, search="short",
        prune=False,
    )  # fmt: skip
    search = bm.MixtureSearch(model, (1, 2, 3), criterion=criterion, cv=3, random_state=0)
    return _table(search.fit(rows_of(name, 200, 4, 2, 4.0)))


def _table(search: Any) -> Numbers:
    return numbers_of(
        {"table": search.results_, "chosen": search.best_index_, "best": search.best_estimator_}
    )


def draws() -> Iterator[tuple[str, Callable[[], Numbers]]]:
    """What is drawn from posteriors, or refitted."""
    options = {"n_draws": 40, "chains": 2, "warmup": 10, "random_state": 1, "progress": False}
    few = {"n_draws": 50, "random_state": 1}
    works: dict[str, Callable[[Any, np.ndarray], Any]] = {
        "gibbs": lambda vb, rows: bm.gibbs(vb, rows, **options),
        "telescoping": lambda vb, rows: bm.gibbs(vb, rows, n_components=None, **options),
        "posterior": lambda vb, rows: vb.sample_posterior(**few),
        "density_interval": lambda vb, rows: vb.density_interval(rows[:20], **few),
        "log_evidence": lambda vb, rows: bm.log_evidence(vb, rows, random_state=1),
        "marginal": lambda vb, rows: vb.marginal([1]).score_samples(rows[:, 1:2]),
        "conditional_mean": lambda vb, rows: vb.conditional_mean(rows[:20, :1], [0]),
    }
    for name, (kind, work) in product(FAMILIES, works.items()):
        yield (
            f"draws: {kind}, {name}",
            lambda name=name, work=work: numbers_of(work(*_searched(name, "vb dirichlet", K=2))),
        )
    for name in ("full", "poisson"):
        yield (
            f"draws: bootstrap, {name}",
            lambda name=name: numbers_of(
                bm.weighted_bootstrap(*_searched(name, "ml", K=2), n_draws=10, random_state=1)
            ),
        )


def saved(folder: Path) -> Iterator[tuple[str, Callable[[], Numbers]]]:
    """Models of files in a folder; those that are not there yet are saved first."""
    for name, inference in product(FAMILIES, INFERENCES):
        path = folder / f"{name} {inference}.bayesmix"
        if not path.exists():
            model, _ = _searched(name, inference)
            model.save(path)
    for path in sorted(folder.glob("*.bayesmix")):
        yield f"saved: {path.stem}", lambda path=path: _loaded(path)


def _loaded(path: Path) -> Numbers:
    model, name = bm.load(path), path.stem.split()[0]
    return results_of(model, rows_of(name, 200, model.n_features_in_, 4, 2.0))


def numbers_of(value: Any) -> Numbers:
    """Return the numbers and words in a value, by their place."""
    return {place: _numbers(leaf) for place, leaf in _leaves("", value)}


def _leaves(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Arrays and numbers at any depth of records, tables and tuples."""
    inner: Iterator[tuple[Any, Any]] | None = None
    if hasattr(value, "result_"):
        value = value.result_
    if is_dataclass(value) and not isinstance(value, type):
        inner = ((field.name, getattr(value, field.name)) for field in fields(value))
    elif isinstance(value, pd.DataFrame):
        inner = ((str(column), value[column].to_numpy()) for column in value.columns)
    elif isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, tuple | list) or (
        isinstance(value, np.ndarray) and value.dtype == object
    ):
        inner = enumerate(value)
    elif value is None or isinstance(value, np.ndarray | np.generic | str | int | float):
        yield place or "value", value
    for name, one in inner or ():
        if name not in LEFT_OUT and not str(name).startswith("_"):
            yield from _leaves(f"{place}.{name}" if place else str(name), one)


def _numbers(leaf: Any) -> Any:
    """Return a word, a number, or the hash of an array with a few numbers that depend on all."""
    leaf = leaf.item() if isinstance(leaf, np.generic) else leaf
    if not isinstance(leaf, np.ndarray):
        return leaf
    content = f"{leaf.dtype.str}{leaf.shape}".encode() + leaf.tobytes()
    values = np.ravel(leaf).astype(float) if leaf.dtype.kind in "biuf" else np.zeros(0)
    finite = values[np.isfinite(values)]
    means = [float(np.mean(finite * wave)) for wave in _waves(len(finite))] if len(finite) else []
    shape = f"{leaf.dtype.kind}{leaf.shape} {len(values) - len(finite)}"
    return [
        hashlib.sha256(content).hexdigest()[:12],
        shape,
        *(finite if len(finite) < 9 else means),
    ]


def _waves(n: int) -> Iterator[Any]:
    """Yield weights of n numbers whose means show a change of any of them."""
    yield from (np.ones(n), np.sin(np.arange(n)), np.cos(1.7 * np.arange(n)), np.linspace(-1, 1, n))


def _alike(one: Any, other: Any) -> bool:
    """Whether two entries agree to rounding."""
    if isinstance(one, list) and isinstance(other, list):
        numbers = [float(x) for both in (one[2:], other[2:]) for x in both]
        scale = max(map(abs, numbers), default=0.0)
        pairs = zip(one[2:], other[2:], strict=False)
        return one[1] == other[1] and all(
            abs(a - b) <= ROUNDING * max(1.0, scale) for a, b in pairs
        )
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= ROUNDING * max(1.0, abs(one)) or one == other
    return bool(one == other)


def taken(models: Path | None, only: str) -> Fingerprints:
    """All fingerprints whose name contains ``only``."""
    found: Fingerprints = {}
    kinds = [fits(), searches(), tables(), draws(), *([saved(models)] if models else [])]
    for kind in kinds:
        began = time.perf_counter()
        for name, work in kind:
            if only not in name:
                continue
            try:
                found[name] = work()
            except ValueError as error:
                # A refusal is a result too.
                found[name] = {"error": f"{type(error).__name__}: {error}"}
        print(f"{len(found)} after {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return found


def compared(before: Fingerprints, after: Fingerprints) -> tuple[list[str], int]:
    """Return what moved, a line for each name, and how many names are equal to rounding only.

    A line names values, and places that went (-) or came (+).
    """
    lines, n_rounded = [], 0
    for name in sorted({*before, *after}):
        if name not in before or name not in after:
            lines.append(f"{name}: only {'after' if name in after else 'before'}")
            continue
        one, other = before[name], after[name]
        places = [place for place in one if place in other and not _same(one[place], other[place])]
        moved = [place for place in places if not _alike(one[place], other[place])]
        moved += [f"-{place}" for place in one if place not in other]
        moved += [f"+{place}" for place in other if place not in one]
        n_rounded += bool(places and not moved)
        if moved:
            shown = ", ".join(moved[:8]) + (f" and {len(moved) - 8} more" * (len(moved) > 8))
            lines.append(f"{name}: {shown}")
    return lines, n_rounded


def _same(one: Any, other: Any) -> bool:
    """Whether two entries are equal to the bit."""
    if isinstance(one, list) and isinstance(other, list):
        return bool(one[0] == other[0])
    return bool(one == other) or (one != one and other != other)


def main() -> int:
    """Write fingerprints, or compare two files of them: 1 where results moved."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.hunts.fingerprints",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, nargs="?", help="where to write")
    parser.add_argument("--models", type=Path, help="folder of saved models, filled where empty")
    parser.add_argument("--only", default="", help="those whose name contains this")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("BEFORE", "AFTER"))
    chosen = parser.parse_args()
    if chosen.compare:
        before, after = (json.loads(path.read_text("utf-8")) for path in chosen.compare)
        lines, n_rounded = compared(before, after)
        n_equal = len({*before, *after}) - len(lines) - n_rounded
        total = f"{n_equal} equal, {n_rounded} equal to rounding, {len(lines)} moved"
        print("\n".join([*lines, total]))
        return 1 if lines else 0
    if chosen.file is None:
        parser.error("name the file to write, or --compare two")
    if chosen.models:
        chosen.models.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = taken(chosen.models, chosen.only)
    lines = [f"{json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found)]
    chosen.file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"wrote {len(found)} fingerprints to {chosen.file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
