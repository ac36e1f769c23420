"""Spark's mixture and scikit-learn's beside ours on the same rows: ``python -m benchmarks.spark``.

In an environment of its own, with a Java: ``pip install pyspark`` beside what bayesmix needs, and
on Debian ``apt-get install --no-install-recommends default-jre-headless``. Never a part of the
tests. Seconds a pass are those of runs of 2 and of 12 iterations, subtracted; log likelihoods those
of each program's default fit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import bayesmix as bm
from bayesmix.numerics.arrays import Array

K = 10
CASES = ((10, 200_000), (40, 50_000))
FEW, MORE = 2, 12
# None (as its program does) or a number of iterations -> log density, largest weight, passes.
Fit = Callable[[int | None], tuple[float, float, int]]


def rows_of(n_features: int, n_rows: int) -> Array:
    """Rows of ten clusters of unit variance."""
    rng = np.random.default_rng(n_features)
    centres = 1.5 * rng.normal(size=(K, n_features))
    values: Array = centres[rng.integers(K, size=n_rows)] + rng.normal(size=(n_rows, n_features))
    return values


def ours(values: Array) -> Fit:
    """bayesmix on two threads."""

    def fit(iterations: int | None) -> tuple[float, float, int]:
        plain: Any = {"search": None, "acceleration": None, "tol": 0.0, "max_iter": iterations}
        model = bm.GaussianMixture(K, random_state=0, **({} if iterations is None else plain))
        model.fit(values)
        return float(model.lower_bound_), float(model.weights_.max()), model.result_.passes

    return fit


def scikit_learn(values: Array) -> Fit:
    """scikit-learn from random rows, or by default from k-means."""
    from sklearn.mixture import GaussianMixture

    def fit(iterations: int | None) -> tuple[float, float, int]:
        plain: Any = {"init_params": "random_from_data", "tol": 0.0, "max_iter": iterations}
        model = GaussianMixture(K, random_state=0, **({} if iterations is None else plain))
        model.fit(values)
        return float(model.score(values)), float(model.weights_.max()), int(model.n_iter_)

    return fit


def spark(values: Array, folder: Path) -> Fit:
    """Spark's, on two threads of this machine, its rows cached."""
    import pyarrow as pa
    import pyarrow.parquet
    from pyspark.ml.clustering import GaussianMixture
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import SparkSession

    place = folder / f"rows-{values.shape[1]}.parquet"
    pyarrow.parquet.write_table(pa.table({"rows": list(values)}), place, row_group_size=25_000)
    session = SparkSession.builder.master("local[2]").config("spark.driver.memory", "4g")
    frame = session.config("spark.ui.enabled", "false").getOrCreate().read.parquet(str(place))
    frame = frame.repartition(4).select(array_to_vector("rows").alias("features")).cache()
    frame.count()

    def fit(iterations: int | None) -> tuple[float, float, int]:
        plain: Any = {"maxIter": iterations, "tol": 0.0}
        model = GaussianMixture(k=K, seed=0, **({} if iterations is None else plain)).fit(frame)
        n_passes = int(model.summary.numIter)
        return float(model.summary.logLikelihood) / len(values), max(model.weights), n_passes

    return fit


def main() -> None:
    """Print a row per program and number of columns."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("what", nargs="*", default=["passes", "fits"], help="passes, fits")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        for n_features, n_rows in CASES:
            values = rows_of(n_features, n_rows // 10 if asked.quick else n_rows)
            fits = {
                "bayesmix": ours(values),
                "scikit-learn": scikit_learn(values),
                "Spark": spark(values, Path(name)),
            }
            for program, fit in fits.items():
                said = f"{len(values):,} x {n_features}  {program:13}"
                if "passes" in asked.what:
                    fit(FEW)  # what is compiled, is
                    few, more = timed(fit, FEW)[0], timed(fit, MORE)[0]
                    said += f"{1e3 * (more - few) / (MORE - FEW):8.1f} ms a pass"
                if "fits" in asked.what:
                    seconds, (reached, weight, passes) = timed(fit, None)
                    said += f"  a default fit {seconds:.1f} s, {passes} passes, "
                    said += f"{reached:.4f} nats per observation, largest weight {weight:.3f}"
                print(said, flush=True)


def timed(fit: Fit, iterations: int | None) -> tuple[float, tuple[float, float, int]]:
    """Seconds, and what came of it."""
    began = time.perf_counter()
    found = fit(iterations)
    return time.perf_counter() - began, found


if __name__ == "__main__":
    main()
