"""Numbers of clusters of hours, months and bearings with a group around the end of a turn.

``python -m benchmarks.circles --seed 7 --number 20 --out lines.jsonl`` writes a JSON line a problem
and prints how many are right. ``--plain`` declares the columns continuous instead, as before.
Every fifth problem has one group, or none but uniform values.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayesmix as bm

# Name, period, first value and step of recording, 0 for none.
COLUMNS = (
    ("hour", 24.0, 0.0, 0.0),
    ("pickup_hour", 24.0, 0.0, 1.0),
    ("month", 12.0, 1.0, 1.0),
    ("wind_direction", 360.0, 0.0, 10.0),
    ("angle", 2.0 * np.pi, -np.pi, 0.0),
)
# Deviations of groups in turns, and least distance of their centres in the larger deviation.
WIDTHS, APART = (0.03, 0.08), 4.0


def problem(seed: int, number: int) -> tuple[str, pd.DataFrame, int]:
    """Return the name of the column, the table and the number of groups."""
    rng = np.random.default_rng([seed, number])
    name, period, first, step = COLUMNS[number % len(COLUMNS)]
    n, k = int(rng.integers(120, 501)), 1 if number % 5 == 4 else int(rng.integers(2, 4))
    widths = rng.uniform(*WIDTHS, size=k)
    while True:
        centres = np.append(rng.normal(0.0, 0.02), rng.uniform(0.0, 1.0, k - 1))
        away = np.abs(centres[:, None] - centres)
        away = np.minimum(away, 1.0 - away) / np.maximum.outer(widths, widths)
        if (away[np.triu_indices(k, 1)] >= APART).all():
            break
    labels = rng.choice(k, size=n, p=rng.dirichlet(np.full(k, 8.0)))
    turns = centres[labels] + widths[labels] * rng.normal(size=n)
    if k == 1 and number % 10 == 9:
        turns = rng.uniform(size=n)
    values = turns * period
    values = np.round(values / step) * step if step else values
    values = first + np.mod(values - first, period)
    frame = pd.DataFrame({name: values})
    if rng.random() < 0.5:
        frame["size"] = rng.normal(size=n)
    return name, frame, k


def main() -> None:
    """Write lines and print the number of right ones."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.circles", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    right = 0
    for number in range(chosen.first, chosen.first + chosen.number):
        name, frame, k = problem(chosen.seed, number)
        options: dict[str, Any] = {"columns": {name: "continuous"}} if chosen.plain else {}
        start = time.process_time()
        search = bm.select(frame, **options)
        found = search.n_clusters_
        right += found == k
        line = {
            "column": name,
            "seed": chosen.seed,
            "number": number,
            "n": len(frame),
            "columns": frame.shape[1],
            "k": k,
            "found": found,
            "probability": round(float(search.cluster_probabilities_.get(found, 0.0)), 3),
            "kind": str(search.columns_.loc[name, "kind"]),
            "seconds": round(time.process_time() - start, 1),
        }
        text = json.dumps(line)
        print(text, flush=True)
        if chosen.out is not None:
            with chosen.out.open("a") as file:
                file.write(f"{text}\n")
    print(f"right: {right} of {chosen.number}")


if __name__ == "__main__":
    main()
