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
    ablation,
    bands,
    chains,
    choosing,
    cliffs,
    clusters,
    columns,
    crosscheck,
    device,
    features,
    first,
    fresh,
    fresh_fits,
    gaps,
    growth,
    hard,
    kills,
    kinds,
    ladder,
    latent_classes,
    machine,
    mclust,
    memory,
    mixed_tables,
    optimum,
    others,
    outliers,
    passes,
    posterior,
    right_k,
    scale,
    shapes,
    soak,
    solution,
    streams,
)

PARTS: dict[str, tuple[str, Callable[[int, bool], list[dict[str, Any]]]]] = {
    "passes": ("Milliseconds a pass, and times faster than scikit-learn", passes.run),
    "limit": ("A pass, and what this machine could do at best", machine.run),
    "device": ("A pass where rows lie: on the host and on a GPU", device.run),
    "first": ("A first fit in a new process", first.run),
    "solution": ("Time to a solution, and passes saved", solution.run),
    "optimum": (
        "Share of best known optima, without spikes (decision 28) and of all, that one fit reaches",
        optimum.run,
    ),
    "bound": ("The same for variational fits, K free up to 20", optimum.run_variational),
    "memory": ("Peak memory above the data", memory.run),
    "mclust": ("All covariance structures, beside mclust", mclust.run),
    "kinds": ("Problems of all fourteen covariances: loss beside mclust", kinds.run),
    "growth": ("Growth with N, D, K; threads; many components", growth.run),
    "cliffs": ("Few samples in many features, and far samples", cliffs.run),
    "outliers": ("Far rows and heavy tails: the right K by BIC", outliers.run),
    "outliers_theory": (
        "Noise beside mclust's, and what one row at 1e6 may do",
        outliers.theory,
    ),
    "gaps": ("Missing values: scores at the truth, intervals of draws, passes", gaps.run),
    "hard": ("Hard inputs: right, warned, refused by name, or wrong", hard.run),
    "features": ("Variable selection: features, clusters, seconds", features.run),
    "latent_classes": ("Latent classes beside StepMix", latent_classes.run),
    "mixed_tables": ("Numbers, categories and counts with gaps, beside StepMix", mixed_tables.run),
    "chains": ("Hidden Markov models beside hmmlearn: passes, optima, K", chains.run),
    "streams": ("Rows as they arrive, beside whole fits", streams.run),
    "scale": ("Rows in parts and on workers", scale.run),
    "columns": ("Factor analysers: clusters in many columns", columns.run),
    "columns_memory": ("Factor analysers: memory by columns", columns.memory),
    "nested": ("Nested cross-validation on Old Faithful", choosing.nested),
    "calibration": ("Are probabilities over K calibrated?", choosing.calibration),
    "clusters": ("Clusters beside mclust on data with known groups", clusters.run),
    "k_probability": ("P(K) on data whose generator is not the prior", clusters.probability),
    "optimism": (
        "What the best candidate promises, nested cross-validation, and the truth",
        choosing.optimism,
    ),
    "large": ("Choosing K on many rows", choosing.large),
    "ladder": ("Passes over all rows of a fit of many", ladder.run),
    "crosscheck": ("Variational fits against NUTS and Gibbs sampling", crosscheck.run),
    "sweeps": ("Sweeps of Gibbs sampling a second", crosscheck.sweeps),
    "fresh": ("select on fresh problems, beside other programs", fresh.run),
    "null": ("One normal: how often select chooses more", fresh.null),
    "units": ("Does a change of the columns' units change what is chosen?", fresh.units),
    "real": ("select on real data", fresh.real),
    "ablation": ("What each idea of the search is worth", ablation.run),
    "fresh_fits": ("Optima of fresh random problems that one fit reaches", fresh_fits.run),
    "shapes": ("Odd shapes: fits behind others of the same rows, and selections", shapes.run),
    "right_k": ("Share of right K, and loss against the true density", right_k.run),
    "bands": ("Do bands of the density hold the truth?", bands.bands),
    "bands_after_selection": (
        "Do bands after a choice of K and structure hold the truth?",
        bands.bands_after_selection,
    ),
    "conformal": ("Coverage of conformal regions where the model is wrong", bands.conformal),
    "sbc": ("Do posterior draws come true? Simulation-based calibration", posterior.sbc),
    "sbc_of_sequences": (
        "Do posterior draws of hidden Markov models come true?",
        posterior.sbc_of_sequences,
    ),
    "corrections": (
        "Standard deviations as shares of those of Gibbs draws",
        posterior.corrections,
    ),
    "soak": ("Many fits in one process and in threads: growth, and equal bits", soak.run),
    "kills": ("Fits and searches killed at random moments", kills.kills),
    "full_disk": ("Fits and searches whose disk is full at random moments", kills.full_disk),
    "others": ("Other programs, where they are installed", others.run),
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
    results |= {"date": today, "machine": machine.description()}
    for part in chosen.parts or PARTS:
        title, run = PARTS[part]
        print(title, flush=True)
        results[part] = run(chosen.repeats, chosen.quick)
        results.setdefault("measured", {})[part] = today
        path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(f"saved {path}")


if __name__ == "__main__":
    main()
