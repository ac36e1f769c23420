"""Ratings: how often the number of classes is right, as ratings, categories and normal variables.

Each set has 2 to 4 classes, 4 to 12 items with 3 to 7 levels, and 150 to 1,000 observations. Its
answers are rounded normal variables, follow adjacent-category logits, or have free probabilities.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

import bayesmix as bm

LARGEST = 6
WAYS = ("cells", "adjacent categories", "free probabilities")
# Further observations, whose log density is compared.
HELD_OUT = 2000
# Spread of answers about the location of their class, in units of the scale.
SPREAD = (0.15, 0.3)


def survey(seed: int) -> tuple[pd.DataFrame, Any, pd.DataFrame]:
    """Return answers, coded from 1, their classes, and answers that are held out."""
    g = np.random.default_rng([58, seed])
    K, items, levels = int(g.integers(2, 5)), int(g.integers(4, 13)), int(g.integers(3, 8))
    n = int(np.exp(g.uniform(np.log(150), np.log(1000))))
    z = g.choice(K, n + HELD_OUT, p=g.dirichlet(np.full(K, 5.0)))
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
    every = pd.DataFrame(answers)
    return every[:n], z[:n], every[n:]


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
    answers, z = survey(seed)
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


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
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
