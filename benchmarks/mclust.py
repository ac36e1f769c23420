"""All fourteen covariance structures and K of 1 to 9, beside mclust through R."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.metrics import adjusted_rand_score

import bayesmix
from bayesmix.families.gaussian.covariance.models import NAMED
from benchmarks.problems import Problem

SCRIPT = """
suppressMessages(library(mclust))
rows <- as.matrix(read.csv("{folder}/rows.csv", header = FALSE))
spent <- system.time(fit <- Mclust(rows, G = 1:{most}, verbose = FALSE))
write.table(unclass(fit$BIC)[, ], "{folder}/bic.csv", sep = ",")
write.table(fit$classification, "{folder}/labels.csv", row.names = FALSE, col.names = FALSE)
cat(spent[["user.self"]] + spent[["sys.self"]], fit$modelName, fit$G, fit$bic, "\\n")
"""
OF_MCLUST = """
suppressMessages(library(mclust)); data({name})
write.table({name}, "{path}", sep = ",", row.names = FALSE, col.names = FALSE, quote = FALSE)
"""
CRABS = """
write.table(data.frame(paste(MASS::crabs$sp, MASS::crabs$sex), MASS::crabs[, 4:8]), "{path}",
            sep = ",", row.names = FALSE, col.names = FALSE, quote = FALSE)
"""
# The largest K: 14 x 9 fits of 30 columns take many minutes on either side.
MOST, MOST_OF = 9, {"breast cancer": 4}
# What a logarithm of a likelihood may be below mclust's.
NATS = 1e-3


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per data set: the best model and its BIC, seconds of the processor, agreement."""
    if shutil.which("Rscript") is None:
        print("  mclust: no R, skipped")
        return []
    warnings.simplefilter("ignore")
    table = []
    for name, load in DATA.items():
        if quick and name not in ("Old Faithful", "iris"):
            continue
        try:
            rows, labels = load()
        except subprocess.CalledProcessError:
            print(f"  {name}: R has it not, skipped")
            continue
        most = MOST_OF.get(name, MOST)
        ours, theirs = _ours(rows, labels, most), _theirs(rows, labels, most)
        table.append({"data": name, "up_to": most} | ours.pop("shown") | theirs.pop("shown"))
        table[-1] |= _cells(ours["matrix"], theirs["matrix"])
        if labels is not None:
            table[-1] |= _default(rows, labels)
            table[-1]["higher_BIC_lower_index"] = bool(
                (table[-1]["bic"] - table[-1]["mclust_bic"])
                * (table[-1]["ari"] - table[-1]["mclust_ari"])
                < 0.0
            )
        print("  ", table[-1])
    return table


def _default(rows: Any, labels: Any) -> dict[str, Any]:
    """What ``select(rows)`` as it is makes of them."""
    began = time.process_time()
    search = bayesmix.select(rows, n_jobs=1)
    spent = time.process_time() - began
    chosen = f"{search.best_params_['covariance_type']}, {search.best_params_['n_components']}"
    ari = adjusted_rand_score(labels, search.predict(rows))
    return {"select": chosen, "select_ari": ari, "select_cpu_s": spent}


def _ours(rows: Any, labels: Any, most: int) -> dict[str, Any]:
    began = time.process_time()
    search = bayesmix.select(rows, range(1, most + 1), "all", criterion="bic", n_jobs=1)
    spent = time.process_time() - began
    letters = NAMED[search.best_params_["covariance_type"]].letters
    shown = {
        "best": f"{letters}, {search.best_params_['n_components']}",
        "bic": 2.0 * search.best_score_,
        "cpu_s": spent,
    }
    if labels is not None:
        shown["ari"] = adjusted_rand_score(labels, search.predict(rows))
    return {"shown": shown, "matrix": search.matrix().rename(columns=lambda k: NAMED[k].letters)}


def _theirs(rows: Any, labels: Any, most: int) -> dict[str, Any]:
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(Path(folder) / "rows.csv", rows, delimiter=",")
        words = _said(SCRIPT.format(folder=folder, most=most)).split()[-4:]
        matrix = pd.read_csv(Path(folder) / "bic.csv")
        found = np.loadtxt(Path(folder) / "labels.csv")
    shown = {
        "mclust_best": f"{words[1]}, {words[2]}",
        "mclust_bic": float(words[3]),
        "mclust_cpu_s": float(words[0]),
    }
    if labels is not None:
        shown["mclust_ari"] = adjusted_rand_score(labels, found)
    return {"shown": shown, "matrix": matrix}


def _cells(ours: Any, theirs: Any) -> dict[str, Any]:
    """Of the cells with values on both sides, those below; BIC of theirs is twice the nats."""
    behind = theirs / 2.0 - ours[theirs.columns]
    return {
        "cells": int(behind.notna().to_numpy().sum()),
        "below": int((behind > NATS).to_numpy().sum()),
        "above": int((behind < -NATS).to_numpy().sum()),
        "theirs_alone": int((theirs.notna() & ours[theirs.columns].isna()).to_numpy().sum()),
        "ours_alone": int((theirs.isna() & ours[theirs.columns].notna()).to_numpy().sum()),
    }


def _said(script: str) -> str:
    done = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True)
    return done.stdout


def _of_r(script: str, **names: str) -> tuple[Any, Any]:
    """Rows and groups of a table that R has, the groups in its first column."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        _said(script.format(path=path, **names))
        cells = np.loadtxt(path, delimiter=",", dtype=str)
    return cells[:, 1:].astype(float), np.unique(cells[:, 0], return_inverse=True)[1]


def _of_sklearn(load: Any) -> tuple[Any, Any]:
    data = load()
    return data.data, data.target


DATA: dict[str, Callable[[], tuple[Any, Any]]] = {
    "Old Faithful": lambda: (bayesmix.datasets.load_faithful().to_numpy(), None),
    "iris": lambda: (bayesmix.datasets.load_iris().to_numpy(), np.repeat([0, 1, 2], 50)),
    "thyroid": lambda: _of_r(OF_MCLUST, name="thyroid"),
    "banknote": lambda: _of_r(OF_MCLUST, name="banknote"),
    "crabs": lambda: _of_r(CRABS),
    "wine": lambda: _of_sklearn(load_wine),
    "5,000 x 5": lambda: (Problem(5_000, 5, 4, 3.0).rows(), None),
    "breast cancer": lambda: _of_sklearn(load_breast_cancer),
}
