"""Latent classes for papers: level of the bootstrap test, coverage of intervals, and seconds.

``level``: data sets from one and from two classes; how often the likelihood ratio tests reject that
number at 5 %. ``coverage``: how often 95 % intervals of ``parameter_table`` hold the
pseudo-true values, those of a fit to a million observations. ``times``: seconds of
``enumerate_classes``, and of mclust's bootstrap test where R has it. ``ratings``: how often the
number of classes of ratings is right, as ratings, categories and normal variables, for rounded
normal answers, adjacent-category logits and free probabilities.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm
from bayesmix.latent_class_analysis import class_tests, enumeration
from benchmarks.recipes import new_seed

PROFILES, ITEMS = (595, 8), (2_000, 12)
DRAWS, ALPHA = 99, 0.05
# Of 99 ratios five as large as the observed one already make p larger than 5 %.
DECIDED = 5
SETS = 100  # data sets of a repeat


def profiles(n_classes: int, generator: np.random.Generator) -> Any:
    """Return normal columns, with classes one standard deviation apart in each."""
    labels = generator.integers(n_classes, size=PROFILES[0])
    return generator.normal(size=PROFILES) + labels[:, None]


def items(n_classes: int, generator: np.random.Generator) -> Any:
    """Return binary items with probabilities .3 and .75."""
    labels = generator.integers(n_classes, size=ITEMS[0])
    shares = np.where(labels[:, None] > 0, 0.75, 0.3)
    return (generator.random(ITEMS) < shares).astype(int)


def small_profiles(n_classes: int, generator: np.random.Generator) -> Any:
    """Return 100 × 4 normal columns, with classes two standard deviations apart in each."""
    labels = generator.integers(n_classes, size=100)
    return generator.normal(size=(100, 4)) + 2.0 * labels[:, None]


def small_items(n_classes: int, generator: np.random.Generator) -> Any:
    """Return 150 × 6 binary items with probabilities .25 and .75."""
    labels = generator.integers(n_classes, size=150)
    shares = np.where(labels[:, None] > 0, 0.75, 0.25)
    return (generator.random((150, 6)) < shares).astype(int)


SETTINGS: dict[str, tuple[Any, Any]] = {
    "100 × 4, model 3": (small_profiles, bm.GaussianMixture(covariance_type="EEE")),
    "150 × 6 items": (small_items, bm.Mixture(family=bm.Categorical())),
}
NULL_SETS = 20  # of a repeat, for each setting and number of classes: 400 in all by default


def level(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Share of rejections of the true number of classes, with exact 95 % intervals."""
    seed, n = new_seed(), 2 if quick else NULL_SETS * repeats
    tested = {
        (name, n_classes): [p_values(*setting, n_classes, seed + i) for i in range(n)]
        for name, setting in SETTINGS.items()
        for n_classes in (1, 2)
    }
    rows = [rejections(name, n_classes, p) for (name, n_classes), p in tested.items()]
    return [*rows, rejections("all", "1, 2", [p for values in tested.values() for p in values])]


def rejections(name: str, n_classes: Any, tested: list[tuple[float, ...]]) -> dict[str, Any]:
    """Return a row: how many sets, and how many of them each test rejects."""
    row: dict[str, Any] = {"data": name, "classes": n_classes, "sets": len(tested)}
    for test, p in zip(("bootstrap", "VLMR", "adjusted LMR"), np.transpose(tested), strict=True):
        known = p[~np.isnan(p)]
        hits = int((known <= ALPHA).sum())
        low, high = stats.binomtest(hits, len(known)).proportion_ci() if len(known) else (0.0, 1.0)
        row[test] = f"{hits} of {len(known)} [{low:.3f}, {high:.3f}]"
    return row


def p_values(
    draw: Any, estimator: Any, n_classes: int, seed: int, draws: int = DRAWS
) -> tuple[float, float, float]:
    """Return p of the tests of the true number against one more: bootstrap, VLMR, adjusted LMR.

    The bootstrap ends when p is known to exceed 5 %; there is none without ``draws``.
    """
    X = draw(n_classes, np.random.default_rng(seed))
    estimator.set_params(random_state=seed, progress=False, n_jobs=1)
    with warnings.catch_warnings(action="ignore"):
        fitter = estimator._fitter(X)
        questions = ((1, n_classes), (1, n_classes + 1))
        smaller, larger = map(enumeration.FitTask({1: fitter}, questions, seed), (0, 1))
        larger = enumeration.GrownTask({1: fitter}, ((smaller, larger),))(0)
        task = enumeration.PairTask({1: fitter}, ((smaller, larger),), draws, True, seed, "")
        with mock.patch.object(class_tests, "EXCEEDANCES", DECIDED):
            values = task(0).values
    names = ("blrt_p", "vlmr_p", "lmr_p")
    blrt, vlmr, lmr = (float(values.get(name, np.nan)) for name in names)  # type: ignore[arg-type]
    return blrt, vlmr, lmr


def survey(generator: np.random.Generator, n_clusters: int, size: int) -> Any:
    """Return skewed columns with unequal variances in two classes, and their clusters."""
    clusters = np.repeat(np.arange(n_clusters), size)
    together = generator.normal(size=n_clusters)[clusters]
    second = generator.random(len(clusters)) < 1.0 / (1.0 + np.exp(0.3 - 0.8 * together))
    noise = generator.gamma(4.0, 0.5, (len(clusters), 3)) - 2.0 + 0.4 * together[:, None]
    return noise * np.where(second, 1.5, 1.0)[:, None] + 4.0 * second[:, None], clusters


def coverage(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Share of sandwich intervals of a model of equal variances that hold pseudo-true values."""
    generator, n = np.random.default_rng(new_seed()), 3 if quick else SETS * repeats
    X, _ = survey(generator, 10_000 if quick else 1_000_000, 1)
    truth, rows = _estimates(X)["estimate"], []
    for name, n_clusters, size in (("600 observations", 600, 1), ("60 clusters of 10", 60, 10)):
        held = []
        for _ in range(n):
            X, clusters = survey(generator, n_clusters, size)
            table = _estimates(X, clusters=clusters if size > 1 else None)
            held.append((table["lower"] <= truth) & (truth <= table["upper"]))
        shares = np.mean(held, axis=0)
        rows.append(
            {
                "data": name,
                "sets": n,
                "mean coverage": f"{shares.mean():.3f}",
                "parameters": f"{shares.min():.3f} to {shares.max():.3f}",
            }
        )
    return rows


def _estimates(X: Any, **options: Any) -> Any:
    """Return the table of a fit with two classes, in the order of their first means."""
    m = bm.GaussianMixture(2, covariance_type="EEI", random_state=0, n_jobs=1).fit(X)
    table = m.parameter_table(X, "sandwich", **options)
    if m.means_[0, 0] > m.means_[1, 0]:
        table = table.rename(index={"class 1": "class 2", "class 2": "class 1"}, level="class")
    return table.sort_index()


def times(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Seconds of whole enumerations, and of one model beside mclust."""
    generator, rows = np.random.default_rng(new_seed()), []
    draws = 2 if quick else DRAWS
    most = 3 if quick else 9
    X, answers = profiles(2, generator), items(2, generator)
    for name, data, numbers, models, continuous in (
        ("595 × 8, K = 1 to 8, four models", X, range(1, most), None, None),
        ("700 × 3, K = 1 to 8, four models", X[:, :3], range(1, most), None, None),
        ("2,000 × 12 items, K = 1 to 6", answers, range(1, min(most, 7)), None, False),
        ("595 × 8, K = 1 to 3, model 1", X, range(1, 4), 1, None),
    ):
        if name.startswith("700"):
            data = np.vstack([data, generator.normal(size=(105, 3))])
        began = time.perf_counter()
        bm.enumerate_classes(
            data,
            numbers,
            models,
            continuous=continuous,
            n_bootstrap=draws,
            random_state=0,
            n_jobs=1 if models else None,
            progress=False,
        )
        seconds = time.perf_counter() - began
        rows.append({"data": name, "seconds": f"{seconds:.0f}", "mclust": ""})
    rows[-1]["mclust"] = mclust_seconds(X, draws)
    return rows


def mclust_seconds(X: Any, draws: int) -> str:
    """Return seconds of mclust's tests of one and of two classes; empty without R."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "X.csv"
        np.savetxt(path, X, delimiter=",")
        script = (
            "suppressMessages(library(mclust)); "
            f"X <- as.matrix(read.csv('{path}', header = FALSE)); t <- proc.time(); "
            f"mclustBootstrapLRT(X, 'EEI', nboot = {draws}, maxG = 2, level = 2, verbose = FALSE); "
            "cat((proc.time() - t)[['elapsed']])"
        )
        try:
            done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True)
        except FileNotFoundError:
            return ""
    return f"{float(done.stdout.split()[-1]):.0f}" if done.returncode == 0 else ""


LARGEST = 6
WAYS = ("cells", "adjacent categories", "free probabilities")
# Spread of answers about the location of their class, in units of the scale.
SPREAD = (0.15, 0.3)


def rating_scales(seed: int) -> tuple[pd.DataFrame, Any]:
    """Return answers, coded from 1, and their classes."""
    g = np.random.default_rng([58, seed])
    K, items, levels = int(g.integers(2, 5)), int(g.integers(4, 13)), int(g.integers(3, 8))
    n = int(np.exp(g.uniform(np.log(150), np.log(1000))))
    z = g.choice(K, n, p=g.dirichlet(np.full(K, 5.0)))
    way, codes, answers = WAYS[seed % len(WAYS)], np.arange(levels), {}
    for item in range(items):
        places = g.uniform(0, levels - 1, K)
        spread = g.uniform(*SPREAD, K) * (levels - 1)
        if way == "cells":
            drawn = np.round(g.normal(places[z], spread[z])).clip(0, levels - 1)
        else:
            logits = g.normal(0, 0.7, levels) - 0.5 * (codes**2) / spread.mean() ** 2
            shares = np.exp(logits + np.outer(places, codes) / spread.mean() ** 2)
            if way == "free probabilities":
                shares = g.dirichlet(np.full(levels, 0.7), K)
            reached = np.cumsum(shares / shares.sum(axis=1, keepdims=True), axis=1)
            drawn = (g.random((len(z), 1)) > reached[z][:, :-1]).sum(axis=1)
        answers[f"q{item + 1}"] = drawn.astype(int) + 1
    return pd.DataFrame(answers), z


def searches(answers: pd.DataFrame) -> dict[str, Any]:
    """Return the searches to compare, as functions."""
    numbers = range(1, LARGEST + 1)
    kinds = dict.fromkeys(answers, "continuous")
    by_bic = {"criterion": "bic", "random_state": 0}
    return {
        "ratings by BIC": lambda: bm.select(answers, numbers, family="ordinal", **by_bic),
        "categories by BIC": lambda: bm.select(answers, numbers, family="categorical", **by_bic),
        "normal": lambda: bm.select(answers, numbers, columns=kinds),
        "default": lambda: bm.select(answers, numbers),
    }


def compared(seed: int) -> dict[str, Any]:
    """Return K, the adjusted Rand index and seconds of each search on a set."""
    answers, z = rating_scales(seed)
    row: dict[str, Any] = {"seed": seed, "way": WAYS[seed % len(WAYS)], "K": int(z.max()) + 1}
    row |= {"n": len(answers), "items": answers.shape[1]}
    for name, search in searches(answers).items():
        began = time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = search()
        index = adjusted_rand_score(z, model.predict(answers))
        seconds = time.process_time() - began
        row[name] = [model.n_components_, round(float(index), 3), round(seconds, 1)]
    return row


def ratings(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """Print and return a row per set: six sets a repeat."""
    rows = []
    for seed in range(2 if quick else 6 * repeats):
        rows.append(compared(seed))
        print(rows[-1], flush=True)
    names = list(searches(pd.DataFrame()))
    right = {name: sum(row[name][0] == row["K"] for row in rows) for name in names}
    index = {name: round(float(np.mean([row[name][1] for row in rows])), 3) for name in names}
    print(f"right of {len(rows)}: {right}; adjusted Rand index: {index}")
    return rows
