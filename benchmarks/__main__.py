"""``python -m benchmarks``: measure, print, and save the tables.

Both sides run in one process, alternating, with the same cores. Figures are medians of ratios with
their spread; nothing here is a test.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import (
    bands,
    cells,
    chains,
    choosing,
    classes,
    clusters,
    crosscheck,
    fresh,
    lean,
    measured,
    optimum,
    passes,
    posterior,
    scale,
    stability,
    subspace,
    trajectories,
    units,
)

PARTS: dict[str, tuple[str, Callable[[int, bool], list[dict[str, Any]]]]] = {
    "first": ("A first fit in a new process, beside scikit-learn", passes.first),
    "passes": ("Milliseconds a pass, and times faster than scikit-learn", passes.run),
    "measured_passes": ("Passes over measured values, and times a plain pass", measured.run),
    "deconvolution": ("Seconds and log likelihood of a fit, 10,000 x 2, K = 10", measured.others),
    "rounded_values": ("Choices for rounded data, without and with steps", measured.rounded),
    "true_values": ("Share of true values in their 90 % intervals", measured.coverage),
    "lean": ("Milliseconds a pass, beside the fewest NumPy calls and in a race", lean.run),
    "memory": ("Peak memory above the data", passes.memory),
    "scale": ("Rows in parts and on workers", scale.run),
    "optimum": ("Best known optima that one fit reaches, spikes apart", optimum.run),
    "bound": ("The same for variational fits, K free up to 20", optimum.run_variational),
    "fresh": ("select on fresh problems, beside other programs", fresh.run),
    "right_k": ("Other criteria on the same fits", fresh.right_k),
    "null": ("One normal: how often select chooses more", fresh.null),
    "features": ("Variable selection: features, clusters, seconds", fresh.features),
    "subspace": ("select on many columns, as on the true factors?", subspace.run),
    "cells": ("Generated cells beside Leiden, k-means, HDBSCAN", cells.run),
    "clusters": ("Clusters beside mclust on data with known groups", clusters.run),
    "cluster_probability": ("Are probabilities of clusters calibrated?", clusters.probability),
    "units": ("Does select depend on units and origins of columns?", units.run),
    "stability": ("Does the number depend on seeds or the order of rows?", stability.run),
    "calibration": ("Are probabilities over K calibrated?", choosing.calibration),
    "optimism": ("Promised, nested cross-validation, and the truth", choosing.optimism),
    "chains": ("Hidden Markov models beside hmmlearn: passes, optima, K", chains.run),
    "ratings": ("Right numbers of classes: ratings, categories or normal", classes.ratings),
    "bands": ("Do bands of the density hold the truth?", bands.bands),
    "bands_after_selection": ("The same after a choice", bands.bands_after_selection),
    "bands_of_kinds": ("The same of skewed groups and others", bands.bands_of_kinds),
    "class_level": ("Level of the bootstrap test of the number of classes", classes.level),
    "class_coverage": ("Do robust intervals of classes hold pseudo-true values?", classes.coverage),
    "class_times": ("Seconds of enumerate_classes, beside mclust", classes.times),
    "trajectories": ("Trajectories: optima, classes, intervals, time", trajectories.run),
    "crosscheck": ("Verdicts of the comparison with MCMC, right or wrong", crosscheck.run),
    "sbc": ("Do posterior draws come true? Simulation-based calibration", posterior.sbc),
    "sbc_of_sequences": ("The same of hidden Markov models", posterior.sbc_of_sequences),
}


def main() -> None:
    """Run the chosen parts and write ``benchmarks/results/DATE.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all without")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of runs, or seeds")
    parser.add_argument("--quick", action="store_true", help="a few small cases only")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    chosen = parser.parse_args()
    unknown = set(chosen.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    chosen.out.mkdir(parents=True, exist_ok=True)
    today = date.today().isoformat()
    path = chosen.out / f"{today}.json"
    results: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    results |= {"date": today, "machine": passes.description()}
    for part in chosen.parts or PARTS:
        title, run = PARTS[part]
        print(title, flush=True)
        results[part] = run(chosen.repeats, chosen.quick)
        results.setdefault("measured", {})[part] = today
        path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"saved {path}")


if __name__ == "__main__":
    main()
