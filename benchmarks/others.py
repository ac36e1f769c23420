"""Other programs: pomegranate, mclust through R, Spark; skipped aloud where absent."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import bayesmix
from benchmarks.problems import Problem

PROBLEM = Problem(8_000, 5, 6, 3.0)
MCLUST = """
library(mclust)
rows <- as.matrix(read.csv("{path}", header = FALSE))
began <- proc.time()[["elapsed"]]
fit <- Mclust(rows, G = {k}, modelNames = "VVV", verbose = FALSE)
cat(proc.time()[["elapsed"]] - began, fit$loglik, "\\n")
"""


def run(repeats: int, quick: bool) -> list[dict[str, Any]]:
    """A row per program: seconds and nats per observation of one fit of the same rows."""
    warnings.simplefilter("ignore")
    rows = PROBLEM.rows()
    table = []
    sides: dict[str, Callable[[Any], tuple[float, float] | None]] = {
        "bayesmix": _bayesmix,
        "pomegranate": _pomegranate,
        "mclust": _mclust,
        "Spark": _spark,
    }
    for name, side in sides.items():
        outcome = side(rows)
        if outcome is None:
            print(f"  {name}: not installed, skipped")
            continue
        table.append(
            {"program": name, "seconds": outcome[0], "log_likelihood_a_row": outcome[1] / len(rows)}
        )
        print("  ", table[-1])
    return table


def _bayesmix(rows: Any) -> tuple[float, float]:
    K = PROBLEM.n_components
    bayesmix.GaussianMixture(K, random_state=1).fit(rows)
    began = time.perf_counter()
    model = bayesmix.GaussianMixture(K, random_state=0).fit(rows)
    return time.perf_counter() - began, float(model.log_likelihood_)


def _pomegranate(rows: Any) -> tuple[float, float] | None:
    if find_spec("pomegranate") is None:
        return None
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    single = rows.astype(np.float32)
    began = time.perf_counter()
    model = GeneralMixtureModel([Normal() for _ in range(PROBLEM.n_components)]).fit(single)
    seconds = time.perf_counter() - began
    return seconds, float(model.log_probability(single).sum())


def _mclust(rows: Any) -> tuple[float, float] | None:
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        np.savetxt(path, rows, delimiter=",")
        script = Path(folder) / "fit.R"
        script.write_text(MCLUST.format(path=path, k=PROBLEM.n_components), encoding="utf-8")
        done = subprocess.run(["Rscript", str(script)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    seconds, log_likelihood = done.stdout.split()[-2:]
    return float(seconds), float(log_likelihood)


def _spark(rows: Any) -> tuple[float, float] | None:
    if find_spec("pyspark") is None:
        return None
    from pyspark.ml.clustering import GaussianMixture
    from pyspark.ml.linalg import Vectors
    from pyspark.sql import SparkSession

    session = SparkSession.builder.master("local[*]").getOrCreate()
    frame = session.createDataFrame([(Vectors.dense(row),) for row in rows], ["features"]).cache()
    frame.count()
    began = time.perf_counter()
    model = GaussianMixture(k=PROBLEM.n_components, seed=0).fit(frame)
    seconds = time.perf_counter() - began
    log_likelihood = float(model.summary.logLikelihood)
    session.stop()
    return seconds, log_likelihood
